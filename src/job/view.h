/* What the expressions and the process of one step see.
 *
 * Environment of a process, later ones winning: the base (HOME, PATH, ..., the variables of the operator's mirrors,
 * which stand back before one of the same name in whatever case), the workflow's and job's `env`, what steps wrote to
 * GITHUB_ENV, the `env` of the steps that called the action it is in, the step's own `env`, then the variables of the
 * contexts (GITHUB_*, RUNNER_*), which nothing can replace.
 *
 * Errors of an expression are ERR_RUN_FAILED and say what was evaluated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

#define VIEW_HOME "/home/runner" /* of every step's process */

struct err;
struct map;
struct scope;
struct spec_pairs;
struct strv;
struct value;
struct variables;
struct view;

#define VIEW_MAX_ENVIRONMENT                                                                                           \
        ((size_t)896 << 10) /* bytes of a step's environment: it must fit one request to the guest */

/* Paths in the guest that one step speaks through. */
struct view_files {
        const char *output, *env, *path, *summary, *state;
};

/* variables: those of the scope or a fork of them; borrowed. of_job: status functions look at the job whatever the
 * scope is, as for post parts. The view is of now: what other steps change later does not show in it. */
int view_new(struct scope *scope, struct variables *variables, bool of_job, struct view **ret, struct err *e);
struct view *view_free(struct view *v); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct view, view_free)

/* The step's own part: github.action, the paths of its file commands (NULL: it has no process), its `env`. When that
 * fails with ERR_RUN_FAILED the rest can be used all the same. */
int view_begin(struct view *v, const char *action, const struct view_files *files, const struct spec_pairs *env,
               struct err *e);
/* What `github` says of the action that this step is: for its process. */
struct scope_action;
int view_set_action(struct view *v, const struct scope_action *a, struct err *e);
const struct map *view_own_env(const struct view *v); /* the step's own `env`, evaluated: name to text */

/* hashFiles: as expr.h has it, but what is not known yet is a failure (hash_files.h). Without it there is none. */
struct value;
typedef int view_hash_fn(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e);
void view_set_hash(struct view *v, view_hash_fn *fn, void *user);

int view_condition(struct view *v, const char *text, bool *ret, struct err *e);
/* what: the field, for messages. NULL text gives NULL. */
int view_text(struct view *v, const char *text, const char *what, char **ret, struct err *e);
int view_bool(struct view *v, const char *text, const char *what, bool *ret, struct err *e);
int view_number(struct view *v, const char *text, const char *what, double *ret, struct err *e);

/* Pairs of names and texts (`env`, `with`), or the one expression that gives them all, evaluated into `into`: name to
 * text. */
int view_pairs(struct view *v, const struct spec_pairs *pairs, const char *what, struct map *into, struct err *e);

/* NAME=VALUE of everything a process of this step gets. more: further variables under those of the contexts, name to
 * text, or NULL. */
int view_environment(struct view *v, const struct map *more, struct strv *ret, struct err *e);
