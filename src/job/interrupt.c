/* A step that is to end before it is done: SIGINT, SIGTERM, SIGKILL, and then the session. */
#include <signal.h>

#include "job/builtin.h"
#include "job/hash_files.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/step.h"
#include "loop/loop.h"

/* A process that ignores everything, or a guest that does not end it. */
static int give_up(struct step *s)
{
        struct err why = ERR_INIT;
        err_set(&why, ERR_GUEST_LOST, "the guest did not end the step that was killed");
        job_fail(s->job, &why);
        return 0;
}

static int escalate(struct step *s, struct err *e)
{
        switch (s->interrupt) {
        case STEP_GOES_ON:
                s->interrupt = STEP_TOLD_INT;
                loop_timer_in(s->escalation, STEP_INT_MS);
                return op_signal(s->exec, SIGINT, e);
        case STEP_TOLD_INT:
                s->interrupt = STEP_TOLD_TERM;
                loop_timer_in(s->escalation, STEP_TERM_MS);
                return op_signal(s->exec, SIGTERM, e);
        case STEP_TOLD_TERM:
                s->interrupt = STEP_TOLD_KILL;
                loop_timer_in(s->escalation, STEP_KILL_MS);
                return op_signal(s->exec, SIGKILL, e);
        case STEP_TOLD_KILL:
                return give_up(s);
        }
        return 0;
}

static int on_escalation(struct loop_timer *t, void *user, struct err *e)
{
        struct step *s = user;
        struct err why = ERR_INIT;
        (void)t;
        (void)e;
        if (s->exec && escalate(s, &why) < 0)
                job_fail(s->job, &why);
        return 0;
}

/* The steps of its action. */
static void interrupt_inner(struct step *s)
{
        list_for (pos, &s->job->steps) {
                struct step *inner = list_entry(pos, struct step, link);
                if (inner->parent == s)
                        step_interrupt(inner);
        }
}

/* Nothing of it has begun. */
static void end_queued(struct step *s)
{
        struct err e = ERR_INIT;
        err_set(&s->reason, ERR_RUN_FAILED, "the step was cancelled");
        if (step_finish(s, STEP_CANCELLED, &e) < 0)
                job_fail(s->job, &e);
}

void step_interrupt(struct step *s)
{
        if (!s->is_open)
                return;
        s->cancelled = !s->timed_out;
        if (s->state == STEP_QUEUED && !s->has_place) {
                end_queued(s);
                return;
        }
        builtin_interrupt(s);
        hash_files_interrupt(s);
        interrupt_inner(s);
        if (s->exec && s->interrupt == STEP_GOES_ON)
                loop_timer_in(s->escalation, 0);
}

static int on_limit(struct loop_timer *t, void *user, struct err *e)
{
        struct step *s = user;
        (void)t;
        (void)e;
        s->timed_out = s->stopped = true;
        step_interrupt(s);
        return 0;
}

static int on_flush(struct loop_timer *t, void *user, struct err *e)
{
        struct step *s = user;
        struct err why = ERR_INIT;
        (void)t;
        (void)e;
        if (output_flush(s->output, &why) < 0)
                job_fail(s->job, &why);
        return 0;
}

int step_make_timers(struct step *s, struct err *e)
{
        struct loop *l = s->job->config.loop;
        int r = loop_timer_new(l, on_limit, s, &s->limit, e);
        if (r == 0)
                r = loop_timer_new(l, on_escalation, s, &s->escalation, e);
        return r < 0 ? r : loop_timer_new(l, on_flush, s, &s->flush, e);
}

void step_start_limit(struct step *s)
{
        if (s->limit_ms)
                loop_timer_in(s->limit, s->limit_ms);
}

void step_stop_timers(struct step *s)
{
        loop_timer_off(s->limit);
        loop_timer_off(s->escalation);
        loop_timer_off(s->flush);
}
