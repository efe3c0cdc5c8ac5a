/* Files with secrets, which nobody but their owner can read: NAME=VALUE lines, or NAME<<END and lines up to END. */
#pragma once

#include <stddef.h>

#include "workflow/filecmd.h"

struct err;

/* ERR_USAGE names the file: it is not there, not a file, not the caller's, readable by others, or out of form. */
int private_file_read(const char *path, size_t max, struct filecmd_pairs *ret, struct err *e);
void private_pairs_done(struct filecmd_pairs *p); /* zeroes the values */
