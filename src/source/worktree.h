/* The files of a work tree as entries of a checkout stream: tracked and untracked-not-ignored ones, as git lists them,
 * read beneath the top folder without following any link. */
#pragma once

#include <stdint.h>

struct err;
struct archive;
struct notes;
struct repo;

/* *ret_files: entries that are files or links. A file that vanished meanwhile is not there; one that shrank while it
 * was read is an error (ERR_USAGE: the user edits; try again). */
int worktree_send(const struct repo *r, struct archive *a, struct notes *notes, uint64_t *ret_files, struct err *e);
/* Does anything differ from HEAD, or are there untracked files? */
int worktree_is_dirty(const struct repo *r, int *ret, struct err *e);
