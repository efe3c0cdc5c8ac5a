/* Which jobs, in which order, and what is known of them before anything ran. */
#include "workflow/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/plan_priv.h"

struct selection {
        bool *wanted; /* per job of the file */
        size_t *at;   /* per job of the file: its place in the plan */
        size_t n;     /* wanted ones */
};

struct plan *plan_free(struct plan *p)
{
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n_jobs; i++) {
                free(p->jobs[i].key);
                free(p->jobs[i].name);
                free(p->jobs[i].needs);
                plan_expansion_done(&p->jobs[i].expansion);
        }
        if (p->scope && !p->scope->caller)
                free(p->scope->shared);
        free(p->scope);
        free(p->jobs);
        free(p->run_name);
        value_unref(p->inputs);
        free(p);
        return NULL;
}

/* What one planning may take. */
static void renew(struct plan_shared *s)
{
        s->values = PLAN_MAX_VALUES;
        s->matrix_work = PLAN_MAX_MATRIX_WORK;
}

/* shared is NULL for the first workflow, which gets its own. */
static int plan_alloc(const struct workflow *w, struct plan_shared *shared, const struct plan_instance *caller,
                      struct plan **ret, struct err *e)
{
        AUTO(plan_freep) struct plan *p = calloc(1, sizeof(*p));
        if (!p || !(p->scope = calloc(1, sizeof(*p->scope))))
                return err_nomem(e);
        p->workflow = w;
        p->scope->caller = caller;
        p->scope->shared = shared ? shared : calloc(1, sizeof(*shared));
        if (!p->scope->shared)
                return err_nomem(e);
        if (!shared)
                renew(p->scope->shared);
        *ret = TAKE_PTR(p);
        return 0;
}

static int unknown_job(const struct workflow *w, const char *id, struct err *e)
{
        struct buf b = BUF_INIT_MAX(600);
        for (size_t i = 0; i < w->n_jobs; i++)
                buf_printf(&b, NULL, "%s%s", i ? ", " : "", w->jobs[i].id.text); /* past the limit the list is cut */
        const char *known = buf_cstr(&b);
        int r = err_set(e, ERR_USAGE, "%s: there is no job '%s'; the jobs are: %s", w->file, id, known ? known : "");
        buf_done(&b);
        return r;
}

/* Mark a job and all that it needs. The graph has no cycle, and each job is visited once. */
static void want(const struct workflow *w, struct selection *s, size_t job, size_t *stack)
{
        size_t depth = 0;
        if (!s->wanted[job])
                stack[depth++] = job;
        s->wanted[job] = true;
        while (depth) {
                const struct wf_job *j = &w->jobs[stack[--depth]];
                for (size_t i = 0; i < j->needs.n; i++)
                        if (!s->wanted[j->needs_index[i]]) {
                                s->wanted[j->needs_index[i]] = true;
                                stack[depth++] = j->needs_index[i];
                        }
        }
}

static int select_jobs(const struct workflow *w, const char *id, struct selection *s, struct err *e)
{
        size_t *stack = calloc(w->n_jobs + 1, sizeof(*stack));
        const struct wf_job *only = id ? workflow_job(w, id) : NULL;
        if (!stack)
                return err_nomem(e);
        if (id && !only) {
                free(stack);
                return unknown_job(w, id, e);
        }
        for (size_t i = 0; i < w->n_jobs; i++)
                if (!only || only == &w->jobs[i])
                        want(w, s, i, stack);
        for (size_t i = 0; i < w->n_jobs; i++)
                s->n += s->wanted[i];
        free(stack);
        return 0;
}

static bool needs_are_placed(const struct wf_job *j, const struct selection *s)
{
        for (size_t i = 0; i < j->needs.n; i++)
                if (s->at[j->needs_index[i]] == SIZE_MAX)
                        return false;
        return true;
}

int plan_count(const struct plan *p, size_t more, struct yaml_pos at, struct plan_fault *f)
{
        struct plan_shared *shared = p->scope->shared;
        if (more > PLAN_MAX_INSTANCES - shared->jobs) {
                shared->full = true;
                return plan_fail(f, at, "the run has more than %d jobs (PLAN_MAX_INSTANCES)", PLAN_MAX_INSTANCES);
        }
        shared->jobs += more;
        return 0;
}

/* "CALLER.ID"; a long one is cut and gets the job's number in the run. */
static char *job_key(const struct plan *p, const struct wf_job *j)
{
        const struct plan_instance *caller = p->scope->caller;
        char *key = caller ? str_printf("%s.%s", caller->key, j->id.text) : str_dup(j->id.text);
        if (!key || strlen(key) <= PLAN_MAX_KEY)
                return key;
        char *cut = str_printf("%.*s~%zu", PLAN_MAX_KEY - 10, key, p->scope->shared->keys++);
        free(key);
        return cut;
}

/* The name as far as it is known without evaluating anything. */
static char *job_name(const struct plan *p, const struct wf_job *j)
{
        const struct plan_instance *caller = p->scope->caller;
        bool own = j->name.text && *j->name.text && !expr_template_has_parts(j->name.text, strlen(j->name.text));
        const char *name = own ? j->name.text : j->id.text;
        return caller ? str_printf("%s / %s", caller->name, name) : str_dup(name);
}

static int place(struct plan *p, const struct wf_job *j, const struct selection *s, struct err *e)
{
        struct plan_job *to = &p->jobs[p->n_jobs++];
        *to = (struct plan_job){.job = j,
                                .n_needs = j->needs.n,
                                .needs = calloc(j->needs.n + 1, sizeof(size_t)),
                                .key = job_key(p, j),
                                .name = job_name(p, j)};
        if (!to->needs || !to->key || !to->name)
                return err_nomem(e);
        for (size_t i = 0; i < j->needs.n; i++)
                to->needs[i] = s->at[j->needs_index[i]];
        return 0;
}

/* In the order of the file, but every job after what it needs. */
static int order_jobs(const struct workflow *w, struct selection *s, struct plan *p, struct err *e)
{
        p->jobs = calloc(s->n + 1, sizeof(*p->jobs));
        if (!p->jobs)
                return err_nomem(e);
        for (bool moved = true; moved && p->n_jobs < s->n;) {
                moved = false;
                for (size_t i = 0; i < w->n_jobs; i++) {
                        if (!s->wanted[i] || s->at[i] != SIZE_MAX || !needs_are_placed(&w->jobs[i], s))
                                continue;
                        s->at[i] = p->n_jobs;
                        int r = place(p, &w->jobs[i], s, e);
                        if (r < 0)
                                return r;
                        moved = true;
                }
        }
        return 0;
}

/* Does a text read what is known only when its job is ready? */
static int text_waits(const struct plan *p, const struct wf_str *s, bool *ret, struct err *e)
{
        if (!s->text || *ret)
                return 0;
        int r = expr_template_uses_context(s->text, strlen(s->text), "needs", ret, e);
        if (r < 0 || *ret || !p->scope->inputs_later)
                return r;
        return expr_template_uses_context(s->text, strlen(s->text), "inputs", ret, e);
}

static int node_waits(const struct plan *p, const struct yaml_node *n, bool *ret, struct err *e)
{
        if (!n || *ret)
                return 0;
        int r = plan_node_uses(n, "needs", ret, e);
        return r < 0 || *ret || !p->scope->inputs_later ? r : plan_node_uses(n, "inputs", ret, e);
}

/* Does anything that makes its instances wait? */
static int job_waits(const struct plan *p, const struct wf_job *j, bool *ret, struct err *e)
{
        const struct wf_str *const texts[] = {&j->strategy.expression,
                                              &j->strategy.fail_fast,
                                              &j->strategy.max_parallel,
                                              &j->runs_on.expression,
                                              &j->name,
                                              &j->timeout_minutes,
                                              &j->continue_on_error,
                                              &j->concurrency.group,
                                              &j->concurrency.cancel_in_progress,
                                              &j->environment};
        *ret = false;
        int r = node_waits(p, j->strategy.matrix, ret, e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
                r = text_waits(p, texts[i], ret, e);
        for (size_t i = 0; r == 0 && i < j->runs_on.labels.n; i++)
                r = text_waits(p, &j->runs_on.labels.v[i], ret, e);
        return r;
}

/* Are the inputs that a job gives known before it is ready? A default reads the caller's `inputs`. */
static int inputs_wait(const struct plan *p, const struct wf_job *j, const struct workflow *called, bool *ret,
                       struct err *e)
{
        const struct wf_event *on = workflow_event(called, "workflow_call");
        int r = 0;
        *ret = false;
        for (size_t i = 0; r == 0 && i < j->with.n; i++)
                r = node_waits(p, j->with.v[i].node, ret, e);
        for (size_t i = 0; r == 0 && on && i < on->n_inputs; i++)
                r = node_waits(p, on->inputs[i].default_value, ret, e);
        return r;
}

static int expand_jobs(struct plan *p, struct value *contexts, struct diag_list *problems, struct err *e);
static int arrange(struct plan *p, const char *job, struct yaml_pos at, struct diag_list *problems, struct err *e);

/* The contexts that a called workflow is planned with: those that are the same for all, and its inputs. */
static int called_contexts(struct value *contexts, struct value *inputs, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *own = NULL;
        static const char *const hidden[] = {"needs", "strategy", "matrix", "inputs"};
        int r = value_copy(contexts, &own, e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(hidden); i++)
                if (value_get(own, hidden[i]))
                        r = value_set(own, hidden[i], value_null(), e);
        if (r == 0 && inputs)
                r = value_set(own, "inputs", inputs, e);
        if (r == 0)
                *ret = TAKE_PTR(own);
        return r;
}

static int eval_inputs(const struct plan *caller, const struct wf_job *j, struct plan_instance *i,
                       struct value *contexts, struct diag_list *problems, struct err *e)
{
        AUTO(value_unrefp) struct value *own = NULL;
        struct plan_fault f;
        int r = value_copy(contexts, &own, e);
        if (r == 0)
                r = value_set(own, "matrix", i->matrix, e);
        if (r == 0)
                r = value_set(own, "strategy", i->strategy, e);
        if (r < 0)
                return r;
        const struct expr_env env = {.contexts = own, .any_context = true, .budget = &caller->scope->shared->values};
        if (plan_call_inputs(j, i->called->workflow, &env, &i->called->inputs, &f) == 0)
                return 0;
        return plan_tell(&f, problems, e);
}

/* Plan it inside of its own file. */
static int fill_called(const struct wf_job *j, const struct library_file *file, struct plan *p, struct value *contexts,
                       struct diag_list *problems, struct err *e)
{
        AUTO(value_unrefp) struct value *own = NULL;
        const struct yaml_pos *at = &j->uses.pos;
        size_t outer;
        int r = called_contexts(contexts, p->inputs, &own, e);
        if (r == 0)
                r = arrange(p, NULL, *at, problems, e);
        if (r < 0)
                return r;
        r = diag_enter(problems, file->path, file->text, file->len, at->line, at->column, &outer, e);
        if (r < 0)
                return r;
        r = expand_jobs(p, own, problems, e);
        diag_leave(problems, outer);
        return r;
}

/* The plan of the workflow that an instance calls, which was checked. later: `inputs` may not be known yet. */
static int plan_called(const struct plan *caller, const struct wf_job *j, struct plan_instance *i,
                       struct value *contexts, bool later, struct diag_list *problems, struct err *e)
{
        struct plan_shared *shared = caller->scope->shared;
        struct library_file *file = NULL;
        const char *reason;
        size_t before = diag_errors(problems);
        int r = library_get(shared->library, library_path(j->uses.text, &reason), j->uses.pos, problems, &file, e);
        if (r < 0)
                return r;
        r = plan_alloc(file->workflow, shared, i, &i->called, e);
        if (r == 0 && later)
                r = inputs_wait(caller, j, file->workflow, &i->called->scope->inputs_later, e);
        if (r == 0 && !i->called->scope->inputs_later)
                r = eval_inputs(caller, j, i, contexts, problems, e);
        if (r < 0 || diag_errors(problems) > before)
                return r;
        return fill_called(j, file, i->called, contexts, problems, e);
}

/* Past the limit of a run nothing more is looked at: what calls would go on making is not worth its time. */
static int expand_calls(const struct plan *p, const struct wf_job *j, const struct plan_expansion *x,
                        struct value *contexts, bool later, struct diag_list *problems, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && j->uses.text && i < x->n && !p->scope->shared->full; i++)
                r = plan_called(p, j, x->v[i], contexts, later, problems, e);
        return r;
}

static int expand_job(struct plan *p, struct plan_job *j, struct value *contexts, struct diag_list *problems,
                      struct err *e)
{
        struct plan_fault f;
        int r = job_waits(p, j->job, &j->dynamic, e);
        if (r < 0 || j->dynamic)
                return r;
        if (plan_expand_at(p, j, contexts, &j->expansion, &f) < 0)
                return plan_tell(&f, problems, e);
        return expand_calls(p, j->job, &j->expansion, contexts, true, problems, e);
}

static int expand_jobs(struct plan *p, struct value *contexts, struct diag_list *problems, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_jobs && !p->scope->shared->full; i++)
                r = expand_job(p, &p->jobs[i], contexts, problems, e);
        return r;
}

/* Choose the jobs and put them in order. at: what to name when there are too many. */
static int arrange(struct plan *p, const char *job, struct yaml_pos at, struct diag_list *problems, struct err *e)
{
        const struct workflow *w = p->workflow;
        struct selection s = {.wanted = calloc(w->n_jobs + 1, sizeof(bool)),
                              .at = calloc(w->n_jobs + 1, sizeof(size_t))};
        struct plan_fault f;
        int r = s.wanted && s.at ? 0 : err_nomem(e);
        for (size_t i = 0; r == 0 && i < w->n_jobs; i++)
                s.at[i] = SIZE_MAX;
        if (r == 0)
                r = select_jobs(w, job, &s, e);
        if (r == 0 && plan_count(p, s.n, at, &f) < 0)
                r = plan_tell(&f, problems, e);
        else if (r == 0)
                r = order_jobs(w, &s, p, e);
        free(s.wanted);
        free(s.at);
        return r;
}

const char *plan_title(const struct plan *p)
{
        const char *own = p->run_name;
        return own && own[strspn(own, " \t\r\n")] ? own : workflow_title(p->workflow);
}

static int eval_run_name(struct plan *p, struct value *contexts, struct diag_list *problems, struct err *e)
{
        const struct wf_str *name = &p->workflow->run_name;
        const struct expr_env env = {.contexts = contexts, .any_context = true, .budget = &p->scope->shared->values};
        struct err problem = ERR_INIT;
        if (!name->text || expr_template_str(name->text, &env, &p->run_name, NULL, &problem) == 0)
                return 0;
        if (problem.code == ERR_RESOURCES)
                return err_nomem(e);
        return diag_add(problems, DIAG_ERROR, name->pos.line, name->pos.column, 1, NULL, e, "run-name: %s",
                        problem.msg);
}

static int check(const struct plan *p, const struct plan_options *o, struct diag_list *problems, struct err *e)
{
        AUTO(check_freep) struct check *c = NULL;
        const struct check_options options = {.w = p->workflow,
                                              .source = o->source,
                                              .len = o->len,
                                              .library = o->library,
                                              .refusals = DIAG_ERROR,
                                              .action = o->action,
                                              .action_user = o->action_user};
        int r = plan_refuse_workflow(p->workflow, problems, e);
        if (r == 0)
                r = check_new(&options, problems, &c, e);
        for (size_t i = 0; r == 0 && i < p->n_jobs; i++)
                r = check_job(c, p->jobs[i].job, e);
        return r;
}

static int build(struct plan *p, const struct plan_options *o, struct diag_list *problems, struct err *e)
{
        AUTO(value_unrefp) struct value *none = NULL;
        const struct yaml_pos first = p->workflow->n_jobs ? p->workflow->jobs[0].pos : (struct yaml_pos){0, 0};
        int r = value_object(&none, e);
        struct value *contexts = o->contexts ? o->contexts : none;
        if (r == 0)
                r = arrange(p, o->job, first, problems, e);
        if (r == 0)
                r = check(p, o, problems, e);
        if (r == 0 && !diag_errors(problems))
                r = expand_jobs(p, contexts, problems, e);
        if (r == 0)
                r = eval_run_name(p, contexts, problems, e);
        diag_sort(problems);
        return r < 0 ? r : diag_errors(problems) ? PLAN_E_REFUSED : 0;
}

int plan_new(const struct workflow *w, const struct plan_options *options, struct diag_list *problems,
             struct plan **ret, struct err *e)
{
        AUTO(plan_freep) struct plan *p = NULL;
        int r = plan_alloc(w, NULL, NULL, &p, e);
        if (r == 0) {
                p->scope->shared->library = options->library;
                r = build(p, options, problems, e);
        }
        if (r == 0)
                *ret = TAKE_PTR(p);
        return r;
}

int plan_expand(const struct plan *p, const struct plan_job *j, struct value *contexts, struct plan_expansion *ret,
                struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct plan_fault f;
        *ret = (struct plan_expansion){0};
        int r = diag_new(p->workflow->file, &problems, e);
        if (r < 0)
                return r;
        renew(p->scope->shared);
        if (plan_expand_at(p, j, contexts, ret, &f) < 0)
                r = plan_tell(&f, problems, e);
        if (r == 0)
                r = expand_calls(p, j->job, ret, contexts, false, problems, e);
        if (r == 0)
                r = diag_to_err(problems, e);
        if (r < 0)
                plan_expansion_done(ret);
        return r;
}
