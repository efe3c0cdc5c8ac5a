/* The files of a stage get their places in the folder that it was made in. */
#pragma once

#include <stdbool.h>

struct err;
struct stage;

/* First it is looked at whether any is in the way of another: then nothing is changed (ERR_USAGE; force: a file takes
 * the place of what is no folder). Then each file is renamed to its place; folders are made. No link is followed. */
int merge_folder(struct stage *s, bool force, struct err *e);
