/* A tree and contexts to a value. Depth is bounded by the parser, memory by the evaluation's budget. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "workflow/expr_priv.h"

static int eval(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e);

int expr_charge(struct evaluation *ev, size_t bytes, struct err *e)
{
        if (bytes > ev->budget)
                return err_set(e, ERR_USAGE, "The maximum allowed memory size was exceeded (%zu bytes)",
                               EXPR_MAX_MEMORY);
        ev->budget -= bytes;
        return 0;
}

static int eval_logical(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e)
{
        bool stop_at = n->kind == NODE_OR;
        for (size_t i = 0; i < n->n; i++) {
                AUTO(value_unrefp) struct value *v = NULL;
                int r = eval(ev, n->args[i], &v, e);
                if (r)
                        return r;
                if (i + 1 == n->n || value_truthy(v) == stop_at) {
                        *ret = TAKE_PTR(v);
                        return 0;
                }
        }
        return 0;
}

static bool compare(enum token_kind op, const struct value *a, const struct value *b)
{
        switch (op) {
        case TOKEN_EQUAL:
                return value_equal(a, b);
        case TOKEN_NOT_EQUAL:
                return !value_equal(a, b);
        case TOKEN_GREATER:
                return value_greater(a, b);
        case TOKEN_GREATER_EQUAL:
                return value_equal(a, b) || value_greater(a, b);
        case TOKEN_LESS:
                return value_less(a, b);
        default:
                return value_equal(a, b) || value_less(a, b);
        }
}

static int eval_compare(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *left = NULL;
        int r = eval(ev, n->args[0], &left, e);
        for (size_t i = 1; r == 0 && i < n->n; i++) {
                AUTO(value_unrefp) struct value *right = NULL;
                if ((r = eval(ev, n->args[i], &right, e)))
                        break;
                bool result = compare(n->ops[i - 1], left, right);
                value_unref(left);
                left = value_bool(result);
        }
        if (r == 0)
                *ret = TAKE_PTR(left);
        return r;
}

/* What an index selects: a member by name, an item by number, both or neither. */
struct selector {
        char *name;
        size_t number;
        bool by_number;
};

static int select_by(const struct value *index, struct selector *ret, struct err *e)
{
        *ret = (struct selector){0};
        double d = value_to_number(index);
        if (isfinite(d) && d >= 0 && d < 1e15) {
                ret->by_number = true;
                ret->number = (size_t)d;
        }
        size_t len = 0;
        const char *text = value_kind(index) == VALUE_STRING ? value_text(index, &len) : NULL;
        bool is_no_name = text && memchr(text, '\0', len); /* none of ours holds a NUL */
        if (is_no_name || value_kind(index) == VALUE_ARRAY || value_kind(index) == VALUE_OBJECT)
                return 0;
        ret->name = value_to_str(index);
        return ret->name ? 0 : err_nomem(e);
}

static struct value *pick(const struct value *from, const struct selector *s)
{
        if (value_kind(from) == VALUE_OBJECT)
                return s->name ? value_get(from, s->name) : NULL;
        if (value_kind(from) == VALUE_ARRAY)
                return s->by_number ? value_at(from, s->number) : NULL;
        return NULL;
}

static int new_filtered(struct value **ret, struct err *e)
{
        int r = value_array(ret, e);
        if (r == 0)
                value_set_filtered(*ret);
        return r;
}

static int add_charged(struct evaluation *ev, struct value *list, struct value *item, struct err *e)
{
        int r = expr_charge(ev, sizeof(void *) * 2, e);
        return r < 0 ? r : value_add(list, item, e);
}

static int add_all(struct evaluation *ev, struct value *list, const struct value *from, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(from); i++)
                r = add_charged(ev, list, value_at(from, i), e);
        return r;
}

/* `.*`: the items of an array or the values of an object; of a filtered array the items of its items. */
static int filter(struct evaluation *ev, const struct value *from, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *list = NULL;
        int r = new_filtered(&list, e);
        if (r == 0 && !value_is_filtered(from))
                r = add_all(ev, list, from, e);
        else
                for (size_t i = 0; r == 0 && i < value_count(from); i++)
                        r = add_all(ev, list, value_at(from, i), e);
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int pick_from_each(struct evaluation *ev, const struct value *from, const struct selector *s, struct value **ret,
                          struct err *e)
{
        AUTO(value_unrefp) struct value *list = NULL;
        int r = new_filtered(&list, e);
        for (size_t i = 0; r == 0 && i < value_count(from); i++) {
                struct value *item = pick(value_at(from, i), s);
                if (item)
                        r = add_charged(ev, list, item, e);
        }
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int eval_index(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *index = NULL, *from = NULL;
        struct selector s;
        int r = eval(ev, n->args[1], &index, e);
        if (r)
                return r < 0 ? err_wrap(e, r, "could not evaluate index for index access") : r;
        if ((r = eval(ev, n->args[0], &from, e)) || (r = select_by(index, &s, e)))
                return r;
        if (value_is_filtered(from)) {
                r = pick_from_each(ev, from, &s, ret, e);
        } else {
                struct value *item = pick(from, &s);
                *ret = item ? value_ref(item) : value_null();
        }
        free(s.name);
        return r;
}

static int eval_filter(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *from = NULL;
        int r = eval(ev, n->args[0], &from, e);
        return r ? r : filter(ev, from, ret, e);
}

static int eval_call(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e)
{
        struct value *few[8];
        struct value **args = n->n <= 8 ? few : calloc(n->n, sizeof(*args));
        size_t done = 0;
        int r = args ? 0 : err_nomem(e);
        while (r == 0 && done < n->n)
                if ((r = eval(ev, n->args[done], &args[done], e)) == 0)
                        done++;
        if (r == 0)
                r = expr_call(ev, n->function, args, n->n, ret, e);
        while (done)
                value_unref(args[--done]);
        if (args != few)
                free(args);
        return r;
}

static int eval_context(struct evaluation *ev, const struct node *n, struct value **ret)
{
        struct value *v = ev->env && ev->env->contexts ? value_get(ev->env->contexts, n->name) : NULL;
        *ret = v ? value_ref(v) : value_null();
        return 0;
}

static int eval_not(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        int r = eval(ev, n->args[0], &v, e);
        if (r == 0)
                *ret = value_bool(!value_truthy(v));
        return r;
}

static int eval(struct evaluation *ev, const struct node *n, struct value **ret, struct err *e)
{
        switch (n->kind) {
        case NODE_LITERAL:
                *ret = value_ref(n->literal);
                return 0;
        case NODE_CONTEXT:
                return eval_context(ev, n, ret);
        case NODE_NOT:
                return eval_not(ev, n, ret, e);
        case NODE_AND:
        case NODE_OR:
                return eval_logical(ev, n, ret, e);
        case NODE_COMPARE:
                return eval_compare(ev, n, ret, e);
        case NODE_INDEX:
                return eval_index(ev, n, ret, e);
        case NODE_FILTER:
                return eval_filter(ev, n, ret, e);
        case NODE_CALL:
                return eval_call(ev, n, ret, e);
        }
        return 0;
}

int expr_eval(const struct expr *x, const struct expr_env *env, struct value **ret, struct expr_fault *fault,
              struct err *e)
{
        const size_t most = env && env->budget ? MIN(*env->budget, EXPR_MAX_MEMORY) : EXPR_MAX_MEMORY;
        struct evaluation ev = {.env = env, .budget = most};
        struct err local = ERR_INIT;
        int r = eval(&ev, x->root, ret, &local);
        if (env && env->budget)
                *env->budget -= most - ev.budget;
        if (fault)
                *fault = (struct expr_fault){.kind = r < 0 && local.code == ERR_USAGE ? EXPR_FAULT_EVALUATION
                                                                                      : EXPR_FAULT_NONE};
        if (r < 0 && e)
                *e = local;
        return r;
}

static bool is_blank(const char *text, size_t len)
{
        while (len && text[len - 1] && strchr(" \t\r\n", text[len - 1]))
                len--;
        return len == 0;
}

int expr_evaluate(const char *text, size_t len, const struct expr_env *env, struct value **ret,
                  struct expr_fault *fault, struct err *e)
{
        AUTO(expr_freep) struct expr *x = NULL;
        if (is_blank(text, len)) {
                if (fault)
                        *fault = (struct expr_fault){.kind = EXPR_FAULT_NONE};
                *ret = value_null();
                return 0;
        }
        int r = expr_parse(text, len, env, &x, fault, e);
        return r < 0 ? r : expr_eval(x, env, ret, fault, e);
}
