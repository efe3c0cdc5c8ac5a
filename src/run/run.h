/* The state of one run: which job may start, which is skipped, how the run ends. Pure: no time, no processes, no files.
 *
 * The caller tells what happened (run_started, run_finished, run_cancel) and asks run_next() what to do until it says
 * RUN_WAIT or RUN_DONE.
 *
 * A job of the file becomes one or more instances when everything that it needs is done and its `if` holds. An instance
 * goes
 *
 *      WAITING -> READY -> STARTING -> RUNNING -> DONE
 *
 * and every change is made by one function with a table (run.c). Rules, GitHub's:
 * - A job whose needs did not all succeed is skipped, unless its `if` calls always(), failure() or cancelled() (also
 * !cancelled()) and holds.
 * - success() and failure() look at all ancestors; a skipped ancestor makes success() false and failure() neither.
 * - continue-on-error of an instance makes the job's result `success` for its dependants and for the run; its own
 * conclusion stays visible.
 * - fail-fast: a failed instance cancels its siblings, running and waiting. max-parallel bounds running siblings.
 * - A cancelled run starts only jobs whose `if` holds under cancelled().
 *
 * An instance that calls a workflow is never given to the caller to start: it begins by itself when it may start,
 * whatever the capacity is, and the jobs of the called workflow take part like all others, in the contexts of the call.
 * It ends when they have: with their result, and with the outputs that the called workflow declares. `needs` and the
 * status functions of a job see the jobs of its own workflow. What cancels a call (fail-fast, its concurrency group)
 * cancels its jobs; a call that began in a cancelled run, because its `if` asks for that, runs like any other.
 *
 * Without keep_going a failed job (that is not allowed to fail) stops jobs that are independent of it from *starting*,
 * because a person at a terminal wants the failure now; running ones end, and jobs whose `if` asks for it (always(),
 * failure()) still run. With keep_going independent jobs start as they do at GitHub. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "workflow/plan.h"

struct value;
struct run;

enum run_state {
        RUN_STATE_WAITING,
        RUN_STATE_READY,
        RUN_STATE_STARTING,
        RUN_STATE_RUNNING,
        RUN_STATE_DONE,
        RUN_N_STATES
};
enum run_conclusion { RUN_NONE, RUN_SUCCESS, RUN_FAILURE, RUN_CANCELLED, RUN_SKIPPED, RUN_TIMED_OUT };

const char *run_conclusion_name(enum run_conclusion c); /* "success", ...; RUN_NONE: "" */
/* The reverse, for journals; RUN_NONE when unknown. */
enum run_conclusion run_conclusion_parse(const char *name);

/* One instance; belongs to the run. */
struct run_job {
        const struct plan *plan; /* that the job is of: the run's, or that of a called workflow */
        const struct plan_job *job;
        const struct plan_instance *instance; /* NULL: the job was skipped or failed before it had instances */
        const char *key, *name;
        size_t index; /* in run_job_at() */
        enum run_state state;
        enum run_conclusion conclusion;
        enum err_code code; /* why it failed; ERR_SUCCESS otherwise */
        const char *reason; /* why it was skipped, cancelled or failed before starting; NULL */
        bool cancel_asked;
        struct value *outputs; /* an object, or NULL */
        void *user;            /* the caller's */
};

struct run_options {
        size_t capacity; /* instances at a time, at least 1 */
        bool keep_going;
        struct value *contexts; /* github, inputs, vars, secrets: an object; borrowed until run_free() */
};

/* plan is borrowed and must outlive the run. */
int run_new(const struct plan *plan, const struct run_options *options, struct run **ret, struct err *e);
struct run *run_free(struct run *r); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct run, run_free)

enum run_action {
        RUN_WAIT,   /* nothing to do until something happens */
        RUN_START,  /* start decision.job, then call run_started() or run_finished() */
        RUN_CANCEL, /* ask decision.job, which is starting or running, to cancel */
        RUN_REPORT, /* decision.job ended without having run (skipped, cancelled, failed to evaluate) */
        RUN_DONE,   /* everything has ended */
};
struct run_decision {
        enum run_action action;
        struct run_job *job;
};
/* Each decision is given once. Negative: no memory. */
int run_next(struct run *r, struct run_decision *ret, struct err *e);

/* Events. An event that the state does not allow is ERR_PROTOCOL and changes nothing. */
int run_started(struct run *r, struct run_job *j, struct err *e);
/* outputs: an object of strings, or NULL; a reference is taken. code: of a failure (ERR_RUN_FAILED, ERR_GUEST_LOST,
 * ...). */
int run_finished(struct run *r, struct run_job *j, enum run_conclusion c, enum err_code code, struct value *outputs,
                 struct err *e);
void run_cancel(struct run *r);                        /* the whole run; running jobs get RUN_CANCEL */
void run_set_capacity(struct run *r, size_t capacity); /* takes effect for starts from now on */

/* The contexts of an instance that is about to start: the run's own and `needs`, `strategy`, `matrix`. A new reference.
 */
int run_contexts(struct run *r, const struct run_job *j, struct value **ret, struct err *e);

/* The instance that called the workflow that the job is of; NULL: it is of the first one. */
const struct run_job *run_job_caller(const struct run_job *j);

/* Instances known so far, in the plan's order, those of a call behind it. A job that has no instances yet has one entry
 * with instance NULL. */
size_t run_job_count(const struct run *r);
struct run_job *run_job_at(const struct run *r, size_t i);
bool run_is_done(const struct run *r);
/* How the run ended (or would end if nothing else happened), and the code to exit with: the first failed job's,
 * ERR_CANCELLED, or ERR_SUCCESS. */
enum run_conclusion run_result(const struct run *r, enum err_code *ret_code);
