/* The contexts of a job that are the same for all its steps (github, runner, needs, strategy, matrix, inputs, vars),
 * its status, and its variables. What one list of steps has of its own is its scope (scope.h); what one step sees of
 * all that is its view (view.h). */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

struct buf;
struct context;
struct err;
struct masks;
struct policy;
struct spec;
struct value;
struct variables;

enum context_status { CONTEXT_SUCCESS, CONTEXT_FAILURE, CONTEXT_CANCELLED };

/* spec is borrowed. */
int context_new(const struct spec *spec, struct context **ret, struct err *e);
struct context *context_free(struct context *c); /* always NULL */
CLEANUP_DEFINE(struct context, context_free)

const char *context_temp(const struct context *c);      /* RUNNER_TEMP, absolute */
const char *context_workspace(const struct context *c); /* absolute */
const struct policy *context_egress(const struct context *c);
bool context_debug(const struct context *c);                          /* runner.debug is 1 */
const char *context_github(const struct context *c, const char *key); /* a text of the github context, or NULL */
int context_event_json(const struct context *c, struct buf *ret, struct err *e); /* the payload of the event */

void context_set_status(struct context *c, enum context_status status);
enum context_status context_status(const struct context *c);
const char *context_status_name(enum context_status status); /* "success" */
struct variables *context_variables(struct context *c);

/* The context `secrets`, name to text: a new object each time, since views keep the one they saw. The first time the
 * job's `env` is evaluated; errors of its expressions are ERR_RUN_FAILED. */
int context_set_secrets(struct context *c, struct value *secrets, struct err *e);
/* None is there any more, nor a variable that holds one. */
void context_forget_secrets(struct context *c, struct masks *m);

/* The contexts by name, for views to add theirs; `github` is without what one step has. A new object in *ret. */
int context_values(const struct context *c, struct value **ret, struct err *e);
