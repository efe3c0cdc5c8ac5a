#include "job/background.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/output.h"
#include "job/scope.h"
#include "job/sequence.h"
#include "job/spec.h"
#include "job/step.h"
#include "job/variables.h"
#include "job/view.h"
#include "loop/loop.h"

/* ---- places ---- */

static bool is_block(const struct step *s)
{
        return s && s->spec->parallel;
}

static void run(struct step *s)
{
        s->job->background++;
        s->has_place = true;
        step_start_limit(s);
        step_post(s, s->chosen);
}

static unsigned count_open(const struct job *j)
{
        unsigned n = 0;
        list_for (pos, &j->steps)
                n += list_entry(pos, struct step, link)->detached;
        return n;
}

int background_start(struct step *s, enum step_event chosen, struct err *e)
{
        struct job *j = s->job;
        if (count_open(j) == BACKGROUND_MAX_OPEN) {
                int r = err_set(e, ERR_RUN_FAILED, "more than %u steps in the background", BACKGROUND_MAX_OPEN);
                return step_try(s, r, e);
        }
        s->detached = true;
        s->chosen = chosen;
        if (j->background < BACKGROUND_MAX)
                run(s);
        else
                step_post(s, STEP_EV_QUEUE);
        if (is_block(s->parent) && j->background == BACKGROUND_MAX) {
                s->parent->stalled = true;
                return 0;
        }
        return sequence_next(s->sequence, e);
}

/* The first step that is queued, else the first block that has more to begin. */
static struct step *first_waiting(struct job *j)
{
        struct step *block = NULL;
        list_for (pos, &j->steps) {
                struct step *s = list_entry(pos, struct step, link);
                if (s->state == STEP_QUEUED && !s->has_place && s->is_open)
                        return s;
                if (s->stalled && !block)
                        block = s;
        }
        return block;
}

static int give_place(struct job *j, struct err *e)
{
        struct step *s = first_waiting(j);
        if (!s)
                return 0;
        if (!s->stalled) {
                run(s);
                return 0;
        }
        s->stalled = false;
        return sequence_next(s->inner, e);
}

/* ---- results ---- */

/* In the order in which they began. */
static void keep(struct step *s)
{
        struct list *at = &s->job->ended;
        while (at->prev != &s->job->ended && list_entry(at->prev, struct step, link)->begun > s->begun)
                at = at->prev;
        list_remove(&s->link);
        list_append(at, &s->link);
        s->view = view_free(s->view);
        variables_settle(s->fork);
}

/* What it left becomes the job's. */
static int take(struct step *s, struct err *e)
{
        struct job *j = s->job;
        list_remove(&s->link);
        list_append(&j->over, &s->link);
        loop_timer_in(j->reaper, 0);
        int r = variables_join(scope_variables(s->scope), s->fork, e);
        return r < 0 ? r : step_record(s, e);
}

static void explain(struct err *ret, const struct step *s)
{
        err_set(ret, ERR_RUN_FAILED, "step '%s' failed: %s", s->name, s->reason.msg);
}

/* ---- steps that wait ---- */

static bool is_named(const struct spec_ids *ids, const char *id)
{
        for (size_t i = 0; id && i < ids->n; i++)
                if (str_ieq(ids->v[i], id))
                        return true;
        return false;
}

static bool waits_for(const struct step *s, const struct step *t)
{
        const struct spec_step *p = s->spec;
        if (!t->detached)
                return false;
        if (p->parallel)
                return t->parent == s;
        if (p->cancel)
                return t->spec->id && str_ieq(p->cancel, t->spec->id);
        return p->wait_all || is_named(&p->wait, t->spec->id);
}

static const struct step *first_open(const struct step *s)
{
        list_for (pos, &s->job->steps) {
                const struct step *t = list_entry(pos, struct step, link);
                if (waits_for(s, t))
                        return t;
        }
        return NULL;
}

/* A failure of what was waited for is one of the step that waited; one of what was to be cancelled counts later. */
static void judge(struct step *s, struct step *t)
{
        if (t->conclusion == STEP_CANCELLED && !s->spec->cancel && s->outcome == STEP_SUCCESS)
                s->outcome = STEP_CANCELLED;
        if (t->conclusion != STEP_FAILURE)
                return;
        struct err *where = s->spec->cancel ? &s->job->late : &s->reason;
        if (!s->spec->cancel)
                s->outcome = STEP_FAILURE;
        if (where->code == ERR_SUCCESS)
                explain(where, t);
}

static int take_all(struct step *s, struct err *e)
{
        int r = 0;
        list_for_safe (pos, next, &s->job->ended) {
                struct step *t = list_entry(pos, struct step, link);
                if (r < 0 || !waits_for(s, t))
                        continue;
                judge(s, t);
                r = take(t, e);
        }
        return r;
}

static int check(struct step *s, struct err *e)
{
        if ((s->inner && !s->all_begun) || first_open(s))
                return 0;
        int r = take_all(s, e);
        if (r < 0)
                return step_try(s, r, e);
        if (s->failed)
                s->outcome = STEP_FAILURE;
        return step_finish(s, s->cancelled && s->outcome == STEP_SUCCESS ? STEP_CANCELLED : s->outcome, e);
}

static int tell_names(struct step *s, struct err *e)
{
        struct buf names = BUF_INIT;
        int r = 0;
        list_for (pos, &s->job->steps) {
                const struct step *t = list_entry(pos, struct step, link);
                if (r == 0 && waits_for(s, t))
                        r = buf_printf(&names, e, "%s%s", names.len ? ", " : "", t->name);
        }
        if (r == 0 && names.len)
                r = output_note(s->output, e, "%s: %.*s", s->spec->cancel ? "Cancelling" : "Waiting for",
                                (int)names.len, (const char *)names.data);
        buf_done(&names);
        return r;
}

/* An interruption may end a step at once, and so change the list. */
static void stop_targets(struct step *s)
{
        for (struct list *pos = s->job->steps.next, *next; pos != &s->job->steps; pos = next) {
                struct step *t = list_entry(pos, struct step, link);
                next = pos->next;
                if (!waits_for(s, t))
                        continue;
                t->stopped = true;
                step_interrupt(t);
        }
}

int background_wait(struct step *s, struct err *e)
{
        int r = 0;
        s->outcome = STEP_SUCCESS;
        if (s->spec->parallel) {
                r = sequence_new(s->job, s, s->scope, s->spec->parallel, s->spec->n_parallel, &s->inner, e);
                return r < 0 ? r : sequence_next(s->inner, e);
        }
        r = tell_names(s, e);
        if (r == 0 && s->spec->cancel)
                stop_targets(s);
        return r < 0 || s->state != STEP_WAIT ? r : check(s, e);
}

int background_all_begun(struct step *block, struct err *e)
{
        block->all_begun = true;
        return check(block, e);
}

int background_over(struct step *s, struct err *e)
{
        struct job *j = s->job;
        keep(s);
        int r = 0;
        if (s->has_place) {
                j->background--;
                r = give_place(j, e);
        }
        list_for (pos, &j->steps) {
                struct step *waiting = list_entry(pos, struct step, link);
                if (waiting->state == STEP_WAIT && r == 0)
                        return check(waiting, e);
        }
        return r == 0 && j->draining ? sequence_next(j->sequence, e) : r;
}

/* ---- the end of the job ---- */

static int note_drain(struct job *j, struct err *e)
{
        struct buf names = BUF_INIT;
        int r = 0;
        list_for (pos, &j->steps) {
                const struct step *t = list_entry(pos, struct step, link);
                if (r == 0 && t->detached)
                        r = buf_printf(&names, e, "%s%s", names.len ? ", " : "", t->name);
        }
        if (r == 0)
                r = journal_note(j->journal, -1, e, "Waiting for steps in the background: %.*s", (int)names.len,
                                 (const char *)names.data);
        buf_done(&names);
        return r;
}

int background_drain(struct job *j, bool *ret_done, struct err *e)
{
        bool began = !j->draining;
        int r = 0;
        j->draining = true;
        *ret_done = !count_open(j);
        if (!*ret_done)
                return began ? note_drain(j, e) : 0;
        list_for_safe (pos, next, &j->ended) {
                struct step *t = list_entry(pos, struct step, link);
                if (r < 0)
                        break;
                if (t->conclusion == STEP_FAILURE && j->late.code == ERR_SUCCESS)
                        explain(&j->late, t);
                r = take(t, e);
        }
        if (j->late.code != ERR_SUCCESS)
                job_fail_step(j, &j->late);
        return r;
}
