/* An event's payload, as GitHub sends it, to what workflows ask of it: refs, changed files, inputs. Pure. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "workflow/value.h"
#include "workflow/workflow.h"

struct err;

#define EVENT_MAX_FILE ((size_t)25 << 20) /* bytes of a payload; GitHub's own limit */
#define EVENT_MAX_PATHS 3000              /* files that the commits of a payload list */

/* What the files that an event changed are compared with, given `base`. */
enum event_base {
        EVENT_BASE_COMMIT, /* that commit: the one before a push */
        EVENT_BASE_FIRST,  /* the parent of that commit: the oldest one of a new branch */
        EVENT_BASE_BRANCH, /* where the head left it: the base of a pull request */
};

/* Strings that are borrowed belong to the payload; NULL: unknown. */
struct event {
        const char *name;
        const char *type; /* activity type: "opened" */
        char *ref;        /* github.ref */
        char *filter_ref; /* what filters for branches and tags look at; of a pull request the base branch */
        const char *sha, *head_ref, *base_ref, *repository, *repository_url, *actor;
        char *repository_id, *repository_owner_id, *actor_id;
        const char *base; /* a commit id, or a branch of a pull request; NULL: the event names none */
        enum event_base base_is;
        const char *head;  /* commit id of the newest change; NULL: HEAD */
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
