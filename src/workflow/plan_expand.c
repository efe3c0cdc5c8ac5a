/* A job to its instances: matrix, names, labels, limits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/plan_priv.h"

struct expander {
        const struct plan *plan;
        const struct plan_job *of;
        const struct wf_job *job; /* of->job */
        struct value *contexts;   /* a copy of the caller's, with strategy and matrix of the instance at hand */
        struct expr_env env;
        struct plan_expansion *out;
        struct plan_fault *f;
        struct value *matrix; /* as the workflow has it, evaluated; NULL: the job has none */
};

static void instance_free(struct plan_instance *i)
{
        free(i->key);
        free(i->name);
        value_unref(i->matrix);
        value_unref(i->strategy);
        strv_done(&i->labels);
        free(i->concurrency.group);
        free(i->environment);
        plan_free(i->called);
        free(i);
}

void plan_expansion_done(struct plan_expansion *x)
{
        for (size_t i = 0; i < x->n; i++)
                instance_free(x->v[i]);
        free(x->v);
        *x = (struct plan_expansion){0};
}

static int no_memory(struct expander *x)
{
        return plan_no_memory(x->f);
}

static int eval_bool(struct expander *x, const struct wf_str *s, const char *what, bool *ret)
{
        struct err e = ERR_INIT;
        if (!s->text)
                return 0;
        return expr_template_bool(s->text, &x->env, what, ret, NULL, &e) ? plan_fail_err(x->f, s->pos, "", &e) : 0;
}

static int eval_number(struct expander *x, const struct wf_str *s, const char *what, double low, double high,
                       double *ret)
{
        struct err e = ERR_INIT;
        if (!s->text)
                return 0;
        if (expr_template_number(s->text, &x->env, what, ret, NULL, &e))
                return plan_fail_err(x->f, s->pos, "", &e);
        if (*ret < low || *ret > high)
                return plan_fail(x->f, s->pos, "%s: expected a number from %g to %g, found %g", what, low, high, *ret);
        return 0;
}

static int eval_text(struct expander *x, const struct wf_str *s, char **ret)
{
        struct err e = ERR_INIT;
        return expr_template_str(s->text, &x->env, ret, NULL, &e) ? plan_fail_err(x->f, s->pos, "", &e) : 0;
}

static int add_label(struct expander *x, struct plan_instance *i, const char *label)
{
        if (!*label)
                return plan_fail(x->f, x->job->runs_on.pos, "runs-on: a label is empty");
        if (strlen(label) > PLAN_MAX_LABEL)
                return plan_fail(x->f, x->job->runs_on.pos, "runs-on: a label is longer than %d bytes (PLAN_MAX_LABEL)",
                                 PLAN_MAX_LABEL);
        return strv_add(&i->labels, label, NULL) < 0 ? no_memory(x) : 0;
}

/* A value that an expression gave for runs-on: a text or a list of texts. */
static int add_labels(struct expander *x, struct plan_instance *i, const struct value *v)
{
        bool list = v && value_kind(v) == VALUE_ARRAY;
        int r = 0;
        if (v && value_kind(v) == VALUE_OBJECT)
                return plan_fail(x->f, x->job->runs_on.pos,
                                 "runs-on: expected a label or a list of labels, found a mapping");
        for (size_t k = 0; r == 0 && k < (list ? value_count(v) : 1); k++) {
                AUTO(auto_free) char *label = value_to_str(list ? value_at(v, k) : v);
                r = label ? add_label(x, i, label) : no_memory(x);
        }
        return r;
}

static int eval_labels(struct expander *x, struct plan_instance *i)
{
        const struct wf_runs_on *on = &x->job->runs_on;
        const struct wf_str single = on->expression;
        struct err e = ERR_INIT;
        int r = 0;
        for (size_t k = 0; r == 0 && k < (single.text ? 1 : on->labels.n); k++) {
                const struct wf_str *s = single.text ? &single : &on->labels.v[k];
                AUTO(value_unrefp) struct value *v = NULL;
                if (expr_template(s->text, strlen(s->text), &x->env, &v, NULL, &e))
                        return plan_fail_err(x->f, s->pos, "runs-on", &e);
                r = add_labels(x, i, v);
        }
        if (r == 0 && !i->labels.n && !x->job->uses.text)
                return plan_fail(x->f, on->pos, "runs-on names no label");
        return r;
}

static int append_scalar(const struct value *v, struct buf *b)
{
        int r = b->len ? buf_append_str(b, ", ", NULL) : 0;
        if (r == 0)
                r = value_to_text(v, b, NULL);
        b->len = MIN(b->len, PLAN_MAX_NAME); /* the name will be cut in front of that */
        return r;
}

/* The scalars of a combination, for a name: no more than it can hold. */
static int append_scalars(const struct value *v, struct buf *b)
{
        int r = 0;
        if (value_kind(v) != VALUE_ARRAY && value_kind(v) != VALUE_OBJECT)
                return append_scalar(v, b);
        for (size_t i = 0; r == 0 && i < value_count(v) && b->len < PLAN_MAX_NAME; i++)
                r = append_scalars(value_at(v, i), b);
        return r;
}

/* "linux, 1": the vectors' values; of a combination that an include made, all values. */
static int matrix_suffix(struct expander *x, const struct matrix *m, size_t index, struct buf *b)
{
        size_t n = m->extra[index] ? value_count(m->v[index]) : m->base;
        for (size_t i = 0; i < n; i++)
                if (append_scalars(value_at(m->v[index], i), b) < 0)
                        return no_memory(x);
        return 0;
}

/* A name is never longer than PLAN_MAX_NAME; it is cut between characters. Takes over the name; NULL: no memory. */
static char *cut_name(char *name)
{
        size_t cut = PLAN_MAX_NAME - 3;
        if (!name || strlen(name) <= PLAN_MAX_NAME)
                return name;
        while (cut && ((unsigned char)name[cut] & 0xc0) == 0x80)
                cut--;
        char *shorter = str_printf("%.*s...", (int)cut, name);
        free(name);
        return shorter;
}

/* "CALLER / NAME"; takes over the name. */
static int set_name(struct expander *x, struct plan_instance *i, char *name)
{
        const struct plan_instance *caller = x->plan->scope->caller;
        i->name = name && caller ? str_printf("%s / %s", caller->name, name) : name;
        if (i->name != name)
                free(name);
        i->name = cut_name(i->name);
        return i->name ? 0 : no_memory(x);
}

/* A name without an expression gets the combination added, so that no two instances have one name. */
static int name_instance(struct expander *x, struct plan_instance *i, const struct matrix *m, size_t index)
{
        const struct wf_str *name = &x->job->name;
        const char *plain = name->text && *name->text ? name->text : x->job->id.text;
        AUTO(buf_done) struct buf b = BUF_INIT;
        char *own = NULL;
        if (name->text && expr_template_has_parts(name->text, strlen(name->text)))
                return eval_text(x, name, &own) < 0 ? -1 : set_name(x, i, own);
        if (!m->n)
                return set_name(x, i, str_dup(plain));
        if (matrix_suffix(x, m, index, &b) < 0)
                return -1;
        const char *suffix = buf_cstr(&b);
        return set_name(x, i, suffix ? str_printf("%s (%s)", plain, suffix) : NULL);
}

/* The job's key, numbered where there are several. */
static char *make_key(const struct plan_job *j, size_t index, size_t total)
{
        return total > 1 ? str_printf("%s.%zu", j->key, index + 1) : str_dup(j->key);
}

static int strategy_context(struct expander *x, size_t index, size_t total, struct value **ret)
{
        double parallel = x->out->max_parallel ? (double)x->out->max_parallel : (double)total;
        AUTO(value_unrefp) struct value *s = NULL;
        if (value_object(&s, NULL) < 0 || value_set_bool(s, "fail-fast", x->out->fail_fast, NULL) < 0 ||
            value_set_number(s, "job-index", (double)index, NULL) < 0 ||
            value_set_number(s, "job-total", (double)total, NULL) < 0 ||
            value_set_number(s, "max-parallel", parallel, NULL) < 0)
                return no_memory(x);
        *ret = TAKE_PTR(s);
        return 0;
}

static int eval_concurrency(struct expander *x, struct plan_instance *i)
{
        const struct wf_concurrency *c = &x->job->concurrency;
        struct plan_concurrency *to = &i->concurrency;
        if (!c->group.text)
                return 0;
        to->queue_max = str_eq(c->queue.text, "max");
        if (eval_text(x, &c->group, &to->group) < 0)
                return -1;
        if (strlen(to->group) > PLAN_MAX_GROUP)
                return plan_fail(x->f, c->group.pos, "the concurrency group is longer than %d bytes (PLAN_MAX_GROUP)",
                                 PLAN_MAX_GROUP);
        return eval_bool(x, &c->cancel_in_progress, "cancel-in-progress", &to->cancel_in_progress);
}

/* A job whose environment's name comes to nothing has none, as at GitHub. */
static int eval_environment(struct expander *x, struct plan_instance *i)
{
        const struct wf_str *s = &x->job->environment;
        AUTO(auto_free) char *name = NULL;

        if (!s->text)
                return 0;
        if (eval_text(x, s, &name) < 0)
                return -1;
        if (strlen(name) > PLAN_MAX_ENVIRONMENT)
                return plan_fail(x->f, s->pos, "the environment's name is longer than %d bytes (PLAN_MAX_ENVIRONMENT)",
                                 PLAN_MAX_ENVIRONMENT);
        if (*name)
                i->environment = TAKE_PTR(name);
        return 0;
}

static int fill_instance(struct expander *x, struct plan_instance *i, const struct matrix *m, size_t index)
{
        size_t total = m->n ? m->n : 1;
        double minutes = WORKFLOW_DEFAULT_TIMEOUT_MINUTES;
        int r = strategy_context(x, index, total, &i->strategy);
        if (r < 0)
                return r;
        i->matrix = m->n ? value_ref(m->v[index]) : value_null();
        i->key = make_key(x->of, index, total);
        if (!i->key || value_set(x->contexts, "matrix", i->matrix, NULL) < 0 ||
            value_set(x->contexts, "strategy", i->strategy, NULL) < 0)
                return no_memory(x);
        if ((r = name_instance(x, i, m, index)) < 0 || (r = eval_labels(x, i)) < 0 ||
            (r = eval_concurrency(x, i)) < 0 || (r = eval_environment(x, i)) < 0 ||
            (r = eval_number(x, &x->job->timeout_minutes, "timeout-minutes", 0.001, PLAN_MAX_TIMEOUT_MINUTES,
                             &minutes)) < 0)
                return r;
        i->timeout_ms = (uint64_t)(minutes * 60000);
        return eval_bool(x, &x->job->continue_on_error, "continue-on-error", &i->continue_on_error);
}

static int add_instances(struct expander *x, const struct matrix *m)
{
        size_t total = m->n ? m->n : 1;
        int r = 0;
        if (x->matrix && !m->n)
                return 0;                                          /* everything is excluded: no instance */
        if (plan_count(x->plan, total - 1, x->job->pos, x->f) < 0) /* the job itself was counted */
                return -1;
        x->out->v = calloc(total, sizeof(*x->out->v));
        if (!x->out->v)
                return no_memory(x);
        for (size_t k = 0; r == 0 && k < total; k++) {
                struct plan_instance *i = calloc(1, sizeof(*i));
                if (!i)
                        return no_memory(x);
                x->out->v[x->out->n++] = i;
                r = fill_instance(x, i, m, k);
        }
        return r;
}

#define MAX_PARALLEL 10000

static int take_member(struct expander *x, const char *key, struct value *v, double *parallel)
{
        const struct yaml_pos pos = x->job->strategy.expression.pos;
        const char *kind = value_kind_name(value_kind(v));
        if (str_ieq(key, "matrix")) {
                x->matrix = value_kind(v) == VALUE_NULL ? NULL : value_ref(v);
                return 0;
        }
        if (str_ieq(key, "fail-fast")) {
                if (value_kind(v) != VALUE_BOOL)
                        return plan_fail(x->f, pos, "fail-fast: expected true or false, found %s", kind);
                x->out->fail_fast = value_is_true(v);
                return 0;
        }
        if (!str_ieq(key, "max-parallel"))
                return plan_fail(x->f, pos, "strategy: expected matrix, fail-fast and max-parallel, found '%.100s'",
                                 key);
        if (value_kind(v) != VALUE_NUMBER)
                return plan_fail(x->f, pos, "max-parallel: expected a number, found %s", kind);
        *parallel = value_double(v);
        if (*parallel >= 1 && *parallel <= MAX_PARALLEL)
                return 0;
        return plan_fail(x->f, pos, "max-parallel: expected a number from 1 to %d, found %g", MAX_PARALLEL, *parallel);
}

/* A strategy that one expression gives. */
static int take_strategy(struct expander *x, double *parallel)
{
        const struct wf_str *s = &x->job->strategy.expression;
        AUTO(value_unrefp) struct value *v = NULL;
        struct err e = ERR_INIT;
        int r = 0;
        if (expr_template(s->text, strlen(s->text), &x->env, &v, NULL, &e))
                return plan_fail_err(x->f, s->pos, "strategy", &e);
        if (value_kind(v) != VALUE_OBJECT)
                return plan_fail(x->f, s->pos, "strategy: expected a mapping, found %s",
                                 value_kind_name(value_kind(v)));
        for (size_t i = 0; r == 0 && i < value_count(v); i++)
                r = take_member(x, value_key_at(v, i), value_at(v, i), parallel);
        return r;
}

static int eval_strategy(struct expander *x, double *parallel)
{
        const struct wf_strategy *s = &x->job->strategy;
        if (s->expression.text)
                return take_strategy(x, parallel);
        int r = s->matrix ? matrix_value(s->matrix, &x->env, &x->matrix, x->f) : 0;
        if (r == 0)
                r = eval_bool(x, &s->fail_fast, "fail-fast", &x->out->fail_fast);
        return r < 0 ? r : eval_number(x, &s->max_parallel, "max-parallel", 1, MAX_PARALLEL, parallel);
}

static int expand_strategy(struct expander *x, struct matrix *m)
{
        const struct wf_strategy *s = &x->job->strategy;
        double parallel = 0;
        x->out->fail_fast = true;
        int r = eval_strategy(x, &parallel);
        x->out->max_parallel = (size_t)parallel;
        if (r < 0 || !x->matrix)
                return r;
        return matrix_expand(x->matrix, s->matrix ? s->matrix->pos : s->expression.pos,
                             &x->plan->scope->shared->matrix_work, m, x->f);
}

int plan_expand_at(const struct plan *p, const struct plan_job *j, struct value *contexts, struct plan_expansion *ret,
                   struct plan_fault *f)
{
        struct matrix m = {0};
        struct expander x = {.plan = p, .of = j, .job = j->job, .out = ret, .f = f};
        *ret = (struct plan_expansion){0};
        if (value_copy(contexts, &x.contexts, NULL) < 0)
                return no_memory(&x);
        x.env = (struct expr_env){.contexts = x.contexts, .any_context = true, .budget = &p->scope->shared->values};
        int r = expand_strategy(&x, &m);
        if (r == 0)
                r = add_instances(&x, &m);
        matrix_done(&m);
        value_unref(x.matrix);
        value_unref(x.contexts);
        if (r < 0)
                plan_expansion_done(ret);
        return r;
}

int plan_condition(const struct plan *p, const struct plan_job *j, const struct expr_env *env, bool *ret, struct err *e)
{
        struct expr_env own = *env;
        own.status_takes_jobs = true;
        own.any_context = true;
        int r = expr_condition(j->job->condition.text, &own, ret, NULL, e);
        if (r < 0)
                return err_wrap(e, r, "%s:%u:%u: if", p->workflow->file, j->job->condition.pos.line,
                                j->job->condition.pos.column);
        return r;
}
