/* What a run would do, found out without starting anything: `devdep-cli plan`. */
#pragma once

#include <stddef.h>

#include "cli/launch.h"

struct err;

/* LATER: decided by results of other jobs. */
enum forecast_state { FORECAST_RUNS, FORECAST_SKIPPED, FORECAST_LATER };
const char *forecast_state_name(enum forecast_state s); /* "runs", "skipped", "later" */

struct forecast_jobs;

struct forecast_job {
        const struct plan *plan; /* that the job is of: the workflow's, or that of a called one */
        const struct plan_job *job;
        enum forecast_state state;
        char *reason;                                /* of SKIPPED and LATER */
        const struct forecast_job *skipped_ancestor; /* or NULL */
        char **images;               /* one per instance of the job's expansion; NULL: the instance is a call */
        struct forecast_jobs *calls; /* the same; no jobs: it is none */
};

/* The jobs of a plan, in its order. */
struct forecast_jobs {
        struct forecast_job *v;
        size_t n;
};

struct forecast {
        struct launch launch;
        struct forecast_jobs *jobs; /* one per workflow of the launch */
};

/* Problems are written to standard error; a file that is refused, an unknown label or event are errors as for a run.
 * forecast_done() is due whatever it returned. */
int forecast_make(const struct launch_options *o, struct forecast *ret, struct err *e);
void forecast_done(struct forecast *f);
