#include "job/sequence.h"

#include <stdlib.h>

#include "base/err.h"
#include "job/action_step.h"
#include "job/background.h"
#include "job/job_priv.h"
#include "job/loaded.h"
#include "job/posts.h"
#include "job/scope.h"
#include "job/secrets.h"
#include "job/spec.h"
#include "job/step.h"
#include "job/view.h"
#include "loop/loop.h"

struct sequence {
        struct job *job;
        struct step *owner;
        struct scope *scope;
        const struct spec_step *steps;
        size_t n, next;
        unsigned nameless;
};

int sequence_new(struct job *j, struct step *owner, struct scope *scope, const struct spec_step *steps, size_t n,
                 struct sequence **ret, struct err *e)
{
        struct sequence *q = calloc(1, sizeof(*q));
        if (!q)
                return err_nomem(e);
        *q = (struct sequence){.job = j, .owner = owner, .scope = scope_ref(scope), .steps = steps, .n = n};
        *ret = q;
        return 0;
}

struct sequence *sequence_free(struct sequence *q)
{
        if (!q)
                return NULL;
        scope_unref(q->scope);
        free(q);
        return NULL;
}

struct scope *sequence_scope(const struct sequence *q)
{
        return q->scope;
}

unsigned sequence_count_nameless(struct sequence *q)
{
        return ++q->nameless;
}

/* ---- one after another ---- */

void sequence_begin(struct step *s)
{
        s->begun = ++s->job->begun;
        list_append(&s->job->steps, &s->link);
        step_post(s, STEP_EV_BEGIN);
}

/* A held guest is one that a person looks around in: it is wiped first. */
static int hold_job(struct job *j, struct err *e)
{
        (void)e;
        if (j->state == JOB_STEPS)
                job_post(j, JOB_EV_HOLD);
        return 0;
}

static int end_job(struct job *j, struct err *e)
{
        int r = outputs_evaluate(j, e);
        if (r == 0 && j->spec->hold_on_failure && j->failed && !j->cancelled)
                return job_secrets_release(j->secrets, true, hold_job, e);
        if (r == 0)
                job_post(j, JOB_EV_STEPS_DONE);
        return r;
}

/* Behind the job's own steps: what runs beside them, then the post parts. */
static int next_post(struct job *j, struct err *e)
{
        struct step *s = NULL;
        if (!j->drained) {
                int r = background_drain(j, &j->drained, e);
                if (r < 0 || !j->drained)
                        return r;
        }
        if (list_is_empty(&j->posts))
                return end_job(j, e);
        int r = posts_take(j, &s, e);
        if (r == 0)
                sequence_begin(s);
        return r;
}

static int refuse_nested(struct sequence *q, struct err *e)
{
        int r = err_set(e, ERR_RUN_FAILED, "the actions of the job have more than %u steps", SEQUENCE_MAX_NESTED);
        return step_try(q->owner, r, e);
}

static int end(struct sequence *q, struct err *e)
{
        if (!q->owner)
                return next_post(q->job, e);
        return q->owner->loaded ? composite_end(q->owner, e) : background_all_begun(q->owner, e);
}

int sequence_next(struct sequence *q, struct err *e)
{
        struct job *j = q->job;
        struct step *s = NULL;
        bool of_action = q->owner && q->owner->loaded;
        if (q->next == q->n || (q->owner && q->owner->stopped))
                return end(q, e);
        if (of_action && j->nested == SEQUENCE_MAX_NESTED)
                return refuse_nested(q, e);
        j->nested += of_action;
        size_t index = q->owner ? j->next_index++ : q->next;
        int r = step_new(j, q->scope, &q->steps[q->next++], (int)index, &s, e);
        if (r < 0)
                return r;
        s->sequence = q;
        s->parent = q->owner;
        s->background = s->spec->background || (q->owner && !of_action);
        if (of_action)
                s->within = loaded_ref(q->owner->loaded);
        sequence_begin(s);
        return 0;
}

int steps_begin(struct job *j, struct err *e)
{
        int r = sequence_new(j, NULL, j->scope, j->spec->steps, j->spec->n_steps, &j->sequence, e);
        return r < 0 ? r : sequence_next(j->sequence, e);
}

int steps_over(struct step *s, struct err *e)
{
        struct job *j = s->job;
        int r = s->wants_post ? posts_keep(s, e) : 0;
        if (r == 0 && s->detached)
                return background_over(s, e);
        list_remove(&s->link);
        list_append(&j->over, &s->link);
        loop_timer_in(j->reaper, 0);
        if (r < 0)
                return r;
        return s->sequence ? sequence_next(s->sequence, e) : node_step_pre_over(s, e);
}

/* ---- all steps of the job ---- */

/* From the loop: no call of a step is on the stack. */
static int on_reaper(struct loop_timer *t, void *user, struct err *e)
{
        struct job *j = user;
        (void)t;
        (void)e;
        list_for_safe (pos, next, &j->over)
                step_free(list_entry(pos, struct step, link));
        return 0;
}

/* Steps whose condition still holds go on, but none that runs beside others, as at GitHub. */
void steps_cancel(struct job *j)
{
        bool held = steps_hold(j);
        list_for (pos, &j->steps) {
                struct step *s = list_entry(pos, struct step, link);
                if (s->detached || (!s->parent && !step_may_go_on(s)))
                        step_interrupt(s);
        }
        steps_go_on(j, held);
}

int steps_environment(struct job *j, struct strv *ret, struct err *e)
{
        AUTO(view_freep) struct view *v = NULL;
        list_for (pos, &j->steps) {
                struct step *s = list_entry(pos, struct step, link);
                if (s->view)
                        return step_environment(s, ret, e);
        }
        int r = view_new(j->scope, scope_variables(j->scope), true, &v, e);
        return r < 0 ? r : view_environment(v, NULL, ret, e);
}

/* The steps of an action before the step that uses it. */
int steps_abandon(struct job *j, struct err *e)
{
        int r = 0;
        for (struct list *pos = j->steps.prev; r == 0 && pos != &j->steps; pos = pos->prev)
                r = step_abandon(list_entry(pos, struct step, link), e);
        return r;
}

int steps_init(struct job *j, struct err *e)
{
        list_init(&j->steps);
        list_init(&j->over);
        list_init(&j->ended);
        list_init(&j->posts);
        j->next_index = j->spec->n_steps;
        return loop_timer_new(j->config.loop, on_reaper, j, &j->reaper, e);
}

void steps_done(struct job *j)
{
        list_for_safe (pos, next, &j->steps)
                step_free(list_entry(pos, struct step, link));
        list_for_safe (pos, next, &j->ended)
                step_free(list_entry(pos, struct step, link));
        list_for_safe (pos, next, &j->over)
                step_free(list_entry(pos, struct step, link));
        posts_done(j);
        sequence_free(j->sequence);
        if (j->reaper)
                loop_timer_free(j->reaper);
}
