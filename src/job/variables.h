/* The variables that steps leave for later ones: the job's `env`, what was written to GITHUB_ENV, and the folders of
 * GITHUB_PATH. A step that runs beside others has a fork of them, so that nobody sees half of what it sets; what it
 * changed is joined when somebody waits for it. */
#pragma once

#include "base/cleanup.h"

struct err;
struct map;
struct masks;
struct strv;
struct variables;

#define VARIABLES_MAX_PATHS 1000u /* folders of GITHUB_PATH */

int variables_new(struct variables **ret, struct err *e);
int variables_fork(const struct variables *from, struct variables **ret, struct err *e);
struct variables *variables_free(struct variables *v); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct variables, variables_free)

/* ERR_RUN_FAILED: no name of a variable, or too many folders. */
int variables_set(struct variables *v, const char *name, const char *value, struct err *e);
int variables_add_path(struct variables *v, const char *folder, struct err *e);
/* Nothing more is set in the fork: of what it copied nothing is kept, only what is to be joined. */
void variables_settle(struct variables *fork);
/* What was set and added in the fork since it was made, in that order. */
int variables_join(struct variables *v, const struct variables *fork, struct err *e);

/* What holds a secret goes: such a variable is empty from now on, such a folder is none. */
void variables_forget(struct variables *v, struct masks *m);

const struct map *variables_env(const struct variables *v);    /* name to text */
const struct strv *variables_paths(const struct variables *v); /* the last one comes first in PATH */
