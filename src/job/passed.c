#include "job/passed.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/context.h"
#include "job/spec.h"
#include "workflow/expr.h"
#include "workflow/value.h"

/* The contexts of the caller's expressions. */
static int contexts_of(const struct spec_call *call, const struct context *c, struct value *secrets, struct value **ret,
                       struct err *e)
{
        AUTO(value_unrefp) struct value *all = NULL, *own = NULL;
        int r = context_values(c, &all, e);
        if (r == 0)
                r = value_from_json(call->contexts, &own, e);
        for (size_t i = 0; r == 0 && i < value_count(own); i++)
                r = value_set(all, value_key_at(own, i), value_at(own, i), e);
        if (r == 0)
                r = value_set(all, "secrets", secrets, e);
        if (r == 0)
                *ret = TAKE_PTR(all);
        return r;
}

static int pass(const struct spec_call *call, const struct spec_pair *p, struct value *contexts, struct value *to,
                struct err *e)
{
        const struct expr_env env = {.contexts = contexts};
        AUTO(auto_free) char *text = NULL;
        struct err why = ERR_INIT;
        if (expr_template_str(p->value, &env, &text, NULL, &why) < 0)
                return why.code == ERR_RESOURCES ? err_nomem(e)
                                                 : err_set(e, ERR_RUN_FAILED, "%s:%u:%u: the secret '%.100s': %s",
                                                           call->file, p->line, p->column, p->name, why.msg);
        return *text ? value_set_str(to, p->name, text, e) : 0;
}

static int pass_all(const struct spec_call *call, const struct context *c, struct value **secrets, struct err *e)
{
        AUTO(value_unrefp) struct value *contexts = NULL, *inner = NULL;
        int r = contexts_of(call, c, *secrets, &contexts, e);
        if (r == 0)
                r = value_object(&inner, e);
        for (size_t i = 0; r == 0 && i < call->pass.n; i++)
                r = pass(call, &call->pass.v[i], contexts, inner, e);
        value_unref(*secrets);
        *secrets = TAKE_PTR(inner);
        return r;
}

static bool is_named(const struct spec *s, const char *name)
{
        return !s->secret_names || str_iin(name, s->secret_names, s->n_secret_names);
}

int passed_secrets(const struct spec *s, const struct context *c, struct value *given, struct value **ret,
                   struct err *e)
{
        AUTO(value_unrefp) struct value *secrets = value_ref(given), *named = NULL;
        int r = value_object(&named, e);
        for (size_t i = 0; r == 0 && i < s->n_calls; i++)
                r = pass_all(&s->calls[i], c, &secrets, e);
        for (size_t i = 0; r == 0 && i < value_count(secrets); i++)
                if (is_named(s, value_key_at(secrets, i)))
                        r = value_set(named, value_key_at(secrets, i), value_at(secrets, i), e);
        if (r == 0)
                *ret = TAKE_PTR(named);
        return r;
}
