/* Files of a repository's work tree, as the workflows that are read from it. */
#pragma once

struct buf;
struct err;

/* Open a file or folder beneath the top folder. Links are followed, but not out of the repository: a workflow is what
 * was cloned. FS_E_MISSING; ERR_USAGE names the file. */
int repofile_open(const char *top, const char *name, int flags, int *ret, struct err *e);
/* Append its bytes, for a library (workflow/library.h): LIBRARY_E_MISSING. */
int repofile_read(const char *top, const char *name, struct buf *ret, struct err *e);
/* The top folder of the repository that a file is of: what a workflow folder stands in, else the work tree around the
 * file, else the current folder. *ret is malloc'd. */
int repofile_top(const char *path, char **ret, struct err *e);
