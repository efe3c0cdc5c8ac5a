/* What is known of a repository and an event before a run: the contexts that workflows read. */
#pragma once

#include <stddef.h>

#include "source/ask.h"

struct err;
struct event;
struct value;
struct workflow;

/* Facts of HEAD, and what is derived from them. */
struct facts {
        struct source_facts_own git;
        char *repository; /* "owner/name", from the remote or the folder's name */
        char *name;       /* the part behind the slash, safe as a folder's name */
        char *ref;        /* refs/heads/..., refs/tags/... or "" */
        char *workspace;  /* in the guest: /home/runner/work/NAME/NAME */
};
void facts_done(struct facts *f);
/* Asks devdep-source, in its jail, under the ids of a slot of `state` that is given back at once. */
int facts_read(const char *state, const struct source_place *place, struct facts *ret, struct err *e);

/* One workflow and what started it. */
struct facts_event {
        const struct event *event;
        struct value *payload; /* or NULL: as much as can be known of a push is made up */
        const struct workflow *workflow;
        const char *run;          /* its number as text */
        const struct value *vars; /* an object */
};
/* An object: github, inputs (none), runner. What the event says counts more than HEAD. A new reference. */
int facts_contexts(const struct facts *f, const struct facts_event *about, struct value **ret, struct err *e);
/* Set the context `inputs`, and github.event.inputs of a dispatch: what was given (an object), completed by the
 * defaults that the workflow declares for the event. ERR_USAGE: an input that is unknown, missing or does not fit, with
 * the place of the event. */
int facts_inputs(struct value *contexts, const struct workflow *w, const char *event, const struct value *given,
                 struct err *e);
