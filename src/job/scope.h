/* A list of steps that know each other: those of the job, or those of one run of a composite action. A scope has its
 * own `steps` and `inputs`, the variables that the calling steps set over everything, and what `github` says about the
 * action. Status functions look at the scope: the steps of an action see what failed in it, those of the job the job.
 *
 * Scopes are counted: the post part of a step keeps that of its main part. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "job/context.h"

struct map;
struct scope;
struct value;
struct variables;

#define SCOPE_MAX_DEPTH 10u                  /* composite actions in each other */
#define SCOPE_MAX_OUTPUTS ((size_t)32 << 20) /* bytes of all outputs of all steps that a job keeps */

/* What is known of an action; NULL where it is not. */
struct scope_action {
        const char *path; /* of its folder in the guest, absolute */
        const char *repository, *ref;
};

/* The three as members of an object. */
int scope_action_value(const struct scope_action *a, struct value *github, struct err *e);

/* The job's. context is borrowed. */
int scope_new(struct context *context, struct scope **ret, struct err *e);
/* An action's, called by a step of `outer` with these inputs (an object, a reference is taken). variables: those of the
 * calling step, borrowed; env: the calling step's own, over those that its scope has already, name to text. */
int scope_new_action(struct scope *outer, const struct scope_action *action, struct variables *variables,
                     const struct map *env, struct value *inputs, struct scope **ret, struct err *e);
struct scope *scope_ref(struct scope *s);
struct scope *scope_unref(struct scope *s); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct scope, scope_unref)

struct context *scope_context(const struct scope *s);
struct variables *scope_variables(const struct scope *s);
unsigned scope_depth(const struct scope *s);        /* 0: the job's */
const struct map *scope_env(const struct scope *s); /* of the calling steps, or NULL */
struct value *scope_inputs(const struct scope *s);  /* NULL: the job's */
struct value *scope_github(const struct scope *s);  /* members of `github` that say what action it is, or NULL */
int scope_steps(const struct scope *s, struct value **ret, struct err *e); /* the context `steps`, a new object */

/* A step of the scope failed, and nothing tolerated it. Of the job: its status. */
void scope_fail(struct scope *s);
/* What success(), failure() and cancelled() say; for a composite action's steps the job's cancellation counts, too. */
enum context_status scope_status(const struct scope *s);
/* So many bytes of outputs more are kept until the scope ends. ERR_RUN_FAILED: more than a job keeps. */
int scope_keep(struct scope *s, size_t bytes, struct err *e);
/* steps.ID; outputs maps names to texts and may be NULL. */
int scope_step_result(struct scope *s, const char *id, const struct map *outputs, const char *outcome,
                      const char *conclusion, struct err *e);
