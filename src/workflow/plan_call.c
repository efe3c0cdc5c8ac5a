/* A call of a workflow: what it is given, and what it gives back. */
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/plan_priv.h"

int plan_input_value(const struct wf_input *in, struct value *v, struct value **ret, struct err *e)
{
        const enum value_kind kind = value_kind(v);
        const bool boolean = str_eq(in->type.text, "boolean"), number = str_eq(in->type.text, "number");
        const bool fits = boolean ? kind == VALUE_BOOL : number ? kind == VALUE_NUMBER : kind <= VALUE_STRING;
        AUTO(auto_free) char *text = value_to_str(v);
        if (!text)
                return err_nomem(e);
        if (!fits)
                return err_set(e, ERR_USAGE, "the input '%.100s': expected a %s, found %s '%.100s'%s", in->name.text,
                               in->type.text, value_kind_name(kind), text,
                               kind == VALUE_STRING ? "; fromJSON() converts a text" : "");
        if (!boolean && !number)
                return value_str(text, ret, e);
        *ret = value_ref(v);
        return 0;
}

static const struct wf_pair *find_pair(const struct wf_pairs *pairs, const char *name)
{
        for (size_t i = 0; i < pairs->n; i++)
                if (str_ieq(pairs->v[i].name.text, name))
                        return &pairs->v[i];
        return NULL;
}

/* What an input is when neither the caller nor its declaration says. */
static int zero_of(const struct wf_input *in, struct value **ret, struct err *e)
{
        if (str_eq(in->type.text, "number"))
                return value_number(0, ret, e);
        *ret = str_eq(in->type.text, "boolean") ? value_bool(false) : NULL;
        return *ret ? 0 : value_str("", ret, e);
}

/* A default is evaluated in the caller's contexts, as at GitHub. */
static int eval_input(const struct wf_input *in, const struct wf_pair *given, const struct expr_env *env,
                      struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *raw = NULL;
        const struct yaml_node *node = given ? given->node : in->default_value;
        if (!node)
                return zero_of(in, ret, e);
        int r = plan_scalar(node, env, &raw, e);
        return r < 0 ? r : plan_input_value(in, raw, ret, e);
}

static int set_input(const struct wf_job *caller, const struct workflow *called, const struct wf_input *in,
                     const struct expr_env *env, struct value *to, struct plan_fault *f)
{
        AUTO(value_unrefp) struct value *v = NULL;
        struct err e = ERR_INIT;
        const struct wf_pair *given = find_pair(&caller->with, in->name.text);
        if (eval_input(in, given, env, &v, &e) == 0)
                return value_set(to, in->name.text, v, NULL) < 0 ? plan_no_memory(f) : 0;
        if (e.code == ERR_RESOURCES)
                return plan_no_memory(f);
        return plan_fail(f, given ? given->value.pos : caller->uses.pos, "%s (declared at %s:%u:%u)", e.msg,
                         called->file, in->name.pos.line, in->name.pos.column);
}

int plan_call_inputs(const struct wf_job *caller, const struct workflow *called, const struct expr_env *env,
                     struct value **ret, struct plan_fault *f)
{
        AUTO(value_unrefp) struct value *inputs = NULL;
        const struct wf_event *on = workflow_event(called, "workflow_call");
        if (value_object(&inputs, NULL) < 0)
                return plan_no_memory(f);
        for (size_t i = 0; on && i < on->n_inputs; i++)
                if (set_input(caller, called, &on->inputs[i], env, inputs, f) < 0)
                        return -1;
        *ret = TAKE_PTR(inputs);
        return 0;
}

/* An error of a plan's own file. */
static int fault_to_err(const struct plan *p, const struct plan_fault *f, struct err *e)
{
        if (f->code == ERR_RESOURCES)
                return err_nomem(e);
        return err_set(e, ERR_USAGE, "%s:%u:%u: %s", p->workflow->file, f->pos.line, f->pos.column, f->message);
}

int plan_call_contexts(const struct plan *p, const struct plan_job *j, const struct plan_instance *i,
                       struct value *contexts, struct value **ret, struct err *e)
{
        static const char *const passed[] = {"github", "vars", "runner"};
        const struct expr_env env = {.contexts = contexts, .any_context = true};
        AUTO(value_unrefp) struct value *all = NULL, *inputs = NULL;
        struct plan_fault f;
        if (plan_call_inputs(j->job, i->called->workflow, &env, &inputs, &f) < 0)
                return fault_to_err(p, &f, e);
        int r = value_object(&all, e);
        for (size_t k = 0; r == 0 && k < ARRAY_SIZE(passed); k++) {
                struct value *v = value_get(contexts, passed[k]);
                if (v)
                        r = value_set(all, passed[k], v, e);
        }
        if (r == 0)
                r = value_set(all, "inputs", inputs, e);
        if (r == 0)
                *ret = TAKE_PTR(all);
        return r;
}

int plan_call_outputs(const struct plan *called, struct value *contexts, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *outputs = NULL;
        const struct wf_event *on = workflow_event(called->workflow, "workflow_call");
        const struct expr_env env = {.contexts = contexts, .any_context = true};
        int r = value_object(&outputs, e);
        for (size_t i = 0; r == 0 && on && i < on->outputs.n; i++) {
                const struct wf_pair *p = &on->outputs.v[i];
                AUTO(auto_free) char *text = NULL;
                struct err why = ERR_INIT;
                if (expr_template_str(p->value.text, &env, &text, NULL, &why) < 0)
                        return why.code == ERR_RESOURCES ? err_nomem(e)
                                                         : err_set(e, ERR_USAGE, "%s:%u:%u: the output '%.100s': %s",
                                                                   called->workflow->file, p->value.pos.line,
                                                                   p->value.pos.column, p->name.text, why.msg);
                r = value_set_str(outputs, p->name.text, text, e);
        }
        if (r == 0)
                *ret = TAKE_PTR(outputs);
        return r;
}
