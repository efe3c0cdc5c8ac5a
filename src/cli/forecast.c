#include "cli/forecast.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/labels.h"
#include "workflow/value.h"

const char *forecast_state_name(enum forecast_state s)
{
        static const char *const names[] = {"runs", "skipped", "later"};

        return names[s];
}

static void jobs_done(struct forecast_jobs *jobs)
{
        for (size_t i = 0; i < jobs->n; i++) {
                struct forecast_job *j = &jobs->v[i];

                for (size_t k = 0; k < j->job->expansion.n; k++) {
                        if (j->images)
                                free(j->images[k]);
                        if (j->calls)
                                jobs_done(&j->calls[k]);
                }
                free(j->images);
                free(j->calls);
                free(j->reason);
        }
        free(jobs->v);
}

void forecast_done(struct forecast *f)
{
        for (size_t i = 0; f->jobs && i < f->launch.selection.n; i++)
                jobs_done(&f->jobs[i]);
        free(f->jobs);
        launch_done(&f->launch);
}

/* How the jobs before one ended. A skipped one is neither a success nor a failure. */
enum world { WORLD_SUCCEEDED, WORLD_SKIPPED, WORLD_FAILED };

static int ask_world(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        const enum world *world = user;

        (void)args, (void)n, (void)e;
        *ret = (fn == EXPR_SUCCESS && *world == WORLD_SUCCEEDED) || (fn == EXPR_FAILURE && *world == WORLD_FAILED);
        return 0;
}

/* What the conditions of a plan's jobs are decided with. */
struct scene {
        const struct launch *launch;
        struct value *contexts;
};

static int holds(const struct scene *s, const struct forecast_job *j, enum world world, bool *ret, struct err *e)
{
        struct expr_env env = {.contexts = s->contexts, .status = ask_world, .user = &world};

        return plan_condition(j->plan, j->job, &env, ret, e);
}

static int decide(struct forecast_job *j, enum forecast_state state, char *reason, struct err *e)
{
        j->state = state;
        j->reason = reason;
        return reason ? 0 : err_nomem(e);
}

/* The first of the job's ancestors that is skipped, or NULL. */
static const struct forecast_job *skipped_ancestor(const struct forecast_jobs *jobs, const struct forecast_job *j)
{
        for (size_t i = 0; i < j->job->n_needs; i++) {
                const struct forecast_job *need = &jobs->v[j->job->needs[i]];

                if (need->state == FORECAST_SKIPPED || need->skipped_ancestor)
                        return need->state == FORECAST_SKIPPED ? need : need->skipped_ancestor;
        }
        return NULL;
}

/* Does the job's `if` read what is known only when the jobs before it have ended? */
static int condition_waits(const struct scene *s, const struct forecast_job *j, bool *asks_status, bool *ret,
                           struct err *e)
{
        const char *text = j->job->job->condition.text;
        bool inputs_wait = value_get(s->contexts, "inputs") == NULL;

        *asks_status = *ret = false;
        if (!text)
                return 0;
        int r = expr_condition_uses_status(text, asks_status, e);
        if (r == 0)
                r = expr_condition_uses_context(text, "needs", ret, e);
        return r < 0 || *ret || !inputs_wait ? r : expr_condition_uses_context(text, "inputs", ret, e);
}

static int forecast_condition(const struct scene *s, const struct forecast_jobs *jobs, struct forecast_job *j,
                              struct err *e)
{
        const char *text = j->job->job->condition.text;
        bool asks, waits, now = true, after_failure = false;

        int r = condition_waits(s, j, &asks, &waits, e);
        if (r < 0)
                return r;
        j->skipped_ancestor = skipped_ancestor(jobs, j);
        if (j->skipped_ancestor && !asks)
                return decide(j, FORECAST_SKIPPED,
                              str_printf("it needs '%s', which is skipped", j->skipped_ancestor->job->job->id.text), e);
        if (waits)
                return decide(j, FORECAST_LATER, str_printf("decided by the results of other jobs: %s", text), e);
        if ((r = holds(s, j, j->skipped_ancestor ? WORLD_SKIPPED : WORLD_SUCCEEDED, &now, e)) < 0 ||
            (r = holds(s, j, WORLD_FAILED, &after_failure, e)) < 0)
                return r;
        if (now && j->job->job->strategy.matrix && !j->job->dynamic && j->job->expansion.n == 0)
                return decide(j, FORECAST_SKIPPED, str_dup("every combination of its matrix is excluded"), e);
        if (now)
                return 0;
        if (after_failure && asks)
                return decide(j, FORECAST_LATER, str_printf("runs only when something before it fails: %s", text), e);
        return decide(j, FORECAST_SKIPPED, str_printf("its `if` is false: %s", text ? text : ""), e);
}

static int forecast_plan(const struct scene *s, const struct plan *plan, struct forecast_jobs *ret, struct err *e);

/* The jobs of a called workflow, in its own contexts. */
static int forecast_call(const struct scene *s, const struct plan *called, struct forecast_jobs *ret, struct err *e)
{
        AUTO(value_unrefp) struct value *contexts = NULL;
        int r = value_object(&contexts, e);

        for (size_t i = 0; r == 0 && i < value_count(s->contexts); i++)
                if (!str_eq(value_key_at(s->contexts, i), "inputs"))
                        r = value_set(contexts, value_key_at(s->contexts, i), value_at(s->contexts, i), e);
        if (r == 0 && called->inputs)
                r = value_set(contexts, "inputs", called->inputs, e);
        const struct scene inner = {s->launch, contexts};
        return r < 0 ? r : forecast_plan(&inner, called, ret, e);
}

/* The profile's goes before that of the labels. The place of an unknown label is that of `runs-on`. */
static int find_image(const struct scene *s, const struct forecast_job *j, const struct plan_instance *x, char **ret,
                      struct err *e)
{
        const struct yaml_pos *at = &j->job->job->runs_on.pos;
        const struct profile *p = s->launch->profile.profile;

        if (p && p->image.text) {
                *ret = str_dup(p->image.text);
                return *ret ? 0 : err_nomem(e);
        }
        int r = labels_image(&s->launch->store, &x->labels, ret, e);
        if (r < 0)
                return err_wrap(e, r, "%s:%u:%u: job %s", j->plan->workflow->file, at->line, at->column, x->name);
        return 0;
}

static int forecast_instances(const struct scene *s, struct forecast_job *j, struct err *e)
{
        const struct plan_expansion *x = &j->job->expansion;
        int r = 0;

        j->images = calloc(x->n + 1, sizeof(*j->images));
        j->calls = calloc(x->n + 1, sizeof(*j->calls));
        if (!j->images || !j->calls)
                return err_nomem(e);
        for (size_t i = 0; r == 0 && i < x->n; i++)
                r = x->v[i]->called ? forecast_call(s, x->v[i]->called, &j->calls[i], e)
                                    : find_image(s, j, x->v[i], &j->images[i], e);
        return r;
}

static int forecast_plan(const struct scene *s, const struct plan *plan, struct forecast_jobs *ret, struct err *e)
{
        ret->v = calloc(plan->n_jobs + 1, sizeof(*ret->v));
        if (!ret->v)
                return err_nomem(e);
        for (; ret->n < plan->n_jobs; ret->n++)
                ret->v[ret->n] = (struct forecast_job){.plan = plan, .job = &plan->jobs[ret->n]};
        for (size_t i = 0; i < ret->n; i++) {
                int r = forecast_instances(s, &ret->v[i], e);

                if (r == 0)
                        r = forecast_condition(s, ret, &ret->v[i], e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int forecast_all(struct forecast *f, struct err *e)
{
        int r = 0;

        f->jobs = calloc(f->launch.selection.n, sizeof(*f->jobs));
        if (!f->jobs)
                return err_nomem(e);
        for (size_t i = 0; r == 0 && i < f->launch.selection.n; i++) {
                const struct scene s = {&f->launch, f->launch.workflows[i].contexts};
                r = forecast_plan(&s, f->launch.workflows[i].plan, &f->jobs[i], e);
        }
        return r;
}

int forecast_make(const struct launch_options *o, struct forecast *ret, struct err *e)
{
        *ret = (struct forecast){0};
        int r = launch_init(&ret->launch, o, e);
        if (r == 0)
                r = launch_find(&ret->launch, e);
        if (r == 0)
                r = launch_plan(&ret->launch, "1", e);
        return r < 0 ? r : forecast_all(ret, e);
}
