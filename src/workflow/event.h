/* An event's payload, as GitHub sends it, to what workflows ask of it: refs, changed files, inputs. Pure. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "workflow/value.h"
#include "workflow/workflow.h"

struct err;

#define EVENT_MAX_FILE ((size_t)25 << 20) /* bytes of a payload; GitHub's own limit */
#define EVENT_MAX_PATHS 3000              /* changed files that filters look at; GitHub's own limit */

/* Strings that are borrowed belong to the payload; NULL: unknown. */
struct event {
        const char *name;
        const char *type; /* activity type: "opened" */
        char *ref;        /* github.ref */
        char *filter_ref; /* what filters for branches and tags look at; of a pull request the base branch */
        const char *sha, *head_ref, *base_ref, *repository, *actor;
        struct strv paths; /* changed files */
        bool paths_known;
};

/* payload: an object, or NULL. Whatever has an unexpected kind is unknown. Negative: no memory. */
int event_read(const char *name, const struct value *payload, struct event *ret, struct err *e);
void event_done(struct event *ev);
void event_trigger(const struct event *ev, struct workflow_trigger *ret); /* borrows */

/* The `inputs` context of an event of the workflow: what was given (an object or NULL), completed by defaults, with the
 * declared types. ERR_USAGE: an unknown or missing input, or a value that is not of its type; names the input. */
int event_inputs(const struct wf_event *declared, const struct value *given, struct value **ret, struct err *e);
