/* Which workflow files a run is made of. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "workflow/workflow.h"

struct err;

/* One parsed file. */
struct selected {
        char *file; /* as the user knows it: ".github/workflows/ci.yml" */
        char *text;
        size_t len;
        struct workflow *workflow; /* points into nothing of this struct */
};

struct selection {
        struct selected *v;
        size_t n;
};
void selection_done(struct selection *s);
/* Of several files keep those that have the job; ERR_USAGE when none has it. */
int selection_keep_job(struct selection *s, const char *job, struct err *e);

/* Which file is wanted; NULL: every workflow of .github, .forgejo and .gitea/workflows that the event selects, in byte
 * order of the names. */
struct selection_want {
        const char *file;   /* its path, or its name in a workflow folder of `top` */
        bool is_repository; /* the repository names it, not the user: a path is one from `top`, and stays below it */
};

/* What happened. changed() is called once at most, when a workflow filters by the files that changed: it sets those of
 * the trigger. */
struct selection_event {
        struct workflow_trigger trigger;
        void (*changed)(void *user, struct workflow_trigger *trigger);
        void *user;
        bool asked;
};

/* A file that is wanted runs whatever its `on:` says, but a warning says so when the event does not select it. Files
 * below `top` are opened beneath it, links that lead out are refused.
 *
 * Problems of every file are written to standard error with their place; a file with errors is ERR_USAGE. No file, or
 * none that the event selects: ERR_USAGE, naming what was looked at. */
int select_workflows(const char *top, const struct selection_want *want, struct selection_event *event,
                     struct selection *ret, struct err *e);
