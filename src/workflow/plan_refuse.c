/* What the parser accepts and cannot run yet: refused with a position, never ignored. */
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/diag.h"
#include "codec/uses.h"
#include "workflow/plan_priv.h"

struct refusals {
        struct diag_list *problems;
        enum diag_severity severity;
        const struct check_options *options;
};

static int refuse(struct refusals *l, struct yaml_pos pos, const char *hint, struct err *e, const char *what)
{
        return diag_add(l->problems, l->severity, pos.line, pos.column, 1, hint, e, "%s cannot be run yet", what);
}

static int add(struct refusals *l, const struct wf_str *uses, const char *hint, struct err *e, const char *what)
{
        return diag_add(l->problems, l->severity, uses->pos.line, uses->pos.column, (unsigned)strlen(uses->text), hint,
                        e, "%s", what);
}

/* An action of the repository lies below it. */
static int refuse_local(const struct wf_str *uses, struct refusals *l, struct err *e)
{
        for (const char *p = uses->text; *p;) {
                size_t n = strcspn(p, "/");
                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return add(l, uses, "name a folder of the repository: ./path", e,
                                   "the action's path leads out of the repository");
                p += n + (p[n] == '/');
        }
        return 0;
}

static int refuse_remote(const struct wf_str *uses, const struct uses *u, struct refusals *l, struct err *e)
{
        struct plan_refusal refusal;
        if (!l->options->action)
                return 0;
        int r = l->options->action(u, l->options->action_user, &refusal, e);
        return r == PLAN_ACTION_E_REFUSED ? add(l, uses, refusal.hint, e, refusal.message) : r;
}

static int refuse_uses(const struct wf_str *uses, struct refusals *l, struct err *e)
{
        struct err why = ERR_INIT;
        struct uses u;
        if (uses_parse(uses->text, &u, &why) < 0)
                return why.code == ERR_USAGE ? add(l, uses, NULL, e, why.msg) : err_nomem(e);
        int r = 0;
        if (u.kind == USES_DOCKER)
                r = refuse(l, uses->pos, "install the tool in the image or in a step, and call it with `run`", e,
                           "a Docker action");
        else if (u.kind == USES_LOCAL)
                r = refuse_local(uses, l, e);
        else if (u.kind == USES_REMOTE && !plan_builtin_of(&u))
                r = refuse_remote(uses, &u, l, e);
        uses_done(&u);
        return r;
}

/* One expression may give them all, but none the name of one. */
static int refuse_names(const struct wf_pairs *p, struct refusals *l, struct err *e, const char *what)
{
        if (!p->n || !p->expression.text)
                return 0;
        return refuse(l, p->expression.pos, "write the name, or give all of them by one expression", e, what);
}

static int refuse_step(const struct wf_step *s, struct refusals *l, struct err *e)
{
        int r = refuse_names(&s->with, l, e, "an expression for the name of an input");
        if (r == 0)
                r = refuse_names(&s->env, l, e, "an expression for the name of a variable");
        if (r == 0 && s->kind == WF_STEP_USES)
                r = refuse_uses(&s->uses, l, e);
        for (size_t i = 0; r == 0 && i < s->n_parallel; i++)
                r = refuse_step(&s->parallel[i], l, e);
        return r;
}

/* Those of a job, `parallel` blocks included: WORKFLOW_MAX_STEPS is of one list. */
static size_t count_steps(const struct wf_job *j)
{
        size_t n = j->n_steps;
        for (size_t i = 0; i < j->n_steps; i++)
                n += j->steps[i].n_parallel;
        return n;
}

static int refuse_many(const struct wf_job *j, struct refusals *l, struct err *e)
{
        if (count_steps(j) <= WORKFLOW_MAX_STEPS)
                return 0;
        return diag_add(l->problems, l->severity, j->pos.line, j->pos.column, 1, "split the job", e,
                        "more than %d steps, those in `parallel` included (WORKFLOW_MAX_STEPS)", WORKFLOW_MAX_STEPS);
}

static int refuse_containers(const struct wf_job *j, struct refusals *l, struct err *e)
{
        int r = 0;
        if (j->container && j->container->kind != YAML_KIND_NULL)
                r = refuse(l, j->container->pos, "a job runs in its own microVM; put what it needs into the image", e,
                           "`container`");
        if (r == 0 && j->services && j->services->kind != YAML_KIND_NULL)
                r = refuse(l, j->services->pos, "start the service in a step of the job", e, "`services`");
        if (r == 0 && j->snapshot)
                r = refuse(l, j->snapshot->pos, "build images with `devdep-cli image build`", e, "`snapshot`");
        return r;
}

static int refuse_job(const struct wf_job *j, struct refusals *l, struct err *e)
{
        int r = refuse_containers(j, l, e);
        if (r == 0 && j->runs_on.group.text)
                r = refuse(l, j->runs_on.group.pos, "name labels", e, "a runner group");
        if (r == 0)
                r = refuse_names(&j->env, l, e, "an expression for the name of a variable");
        if (r == 0)
                r = refuse_many(j, l, e);
        for (size_t i = 0; r == 0 && i < j->n_steps; i++)
                r = refuse_step(&j->steps[i], l, e);
        return r;
}

int plan_refuse_job(const struct wf_job *j, const struct check_options *o, struct diag_list *problems, struct err *e)
{
        struct refusals l = {problems, o->refusals, o};
        return refuse_job(j, &l, e);
}

int plan_refuse_step(const struct wf_step *s, const struct check_options *o, struct diag_list *problems, struct err *e)
{
        struct refusals l = {problems, o->refusals, o};
        return refuse_step(s, &l, e);
}

int plan_refuse_workflow(const struct workflow *w, struct diag_list *problems, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < w->n_events; i++)
                if (w->events[i].both.line)
                        r = diag_add(problems, DIAG_ERROR, w->events[i].both.line, w->events[i].both.column, 1,
                                     "use a pattern that begins with '!' to exclude", e,
                                     "a filter and its -ignore form for one event: GitHub's service refuses that");
        struct refusals l = {.problems = problems, .severity = DIAG_ERROR};
        return r < 0 ? r : refuse_names(&w->env, &l, e, "an expression for the name of a variable");
}
