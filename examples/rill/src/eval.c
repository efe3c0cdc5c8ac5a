#include "eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "function.h"

static size_t edit_distance(const char *a, const char *b)
{
        size_t row[64], n = strlen(b);

        if (n >= 64 || strlen(a) >= 64)
                return 64;
        for (size_t j = 0; j <= n; j++)
                row[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        size_t cost = diagonal + (strncasecmp(a + i - 1, b + j - 1, 1) != 0);

                        diagonal = row[j];
                        row[j] = row[j] + 1 < cost ? row[j] + 1 : cost;
                        if (row[j - 1] + 1 < row[j])
                                row[j] = row[j - 1] + 1;
                }
        }
        return row[n];
}

static void __attribute__((noreturn)) unknown_column(const char *name, const struct table *t)
{
        const char *nearest = NULL;
        size_t best = 3;

        for (size_t i = 0; i < t->n_columns; i++) {
                size_t distance = edit_distance(name, t->columns[i]);

                if (distance < best) {
                        best = distance;
                        nearest = t->columns[i];
                }
        }
        if (nearest)
                fail("no column '%s'; did you mean '%s'?", name, nearest);
        fail("no column '%s'", name);
}

void expr_bind(struct expr *e, const struct table *t)
{
        if (e->type == EXPR_COLUMN) {
                e->slot = table_column(t, e->name);
                if (e->slot < 0)
                        unknown_column(e->name, t);
        }
        if (e->type == EXPR_CALL)
                function_check(e->name, e->n_args);
        for (size_t i = 0; i < e->n_args; i++)
                expr_bind(e->args[i], t);
}

bool expr_has_aggregate(const struct expr *e)
{
        if (e->type == EXPR_AGGREGATE)
                return true;
        for (size_t i = 0; i < e->n_args; i++)
                if (expr_has_aggregate(e->args[i]))
                        return true;
        return false;
}

static struct value arithmetic(const char *op, const struct value *a, const struct value *b)
{
        double x, y;

        if (!value_to_number(a, &x) || !value_to_number(b, &y))
                return value_null();
        switch (*op) {
        case '+':
                return value_number(x + y);
        case '-':
                return value_number(x - y);
        case '*':
                return value_number(x * y);
        case '/':
                return y == 0 ? value_null() : value_number(x / y);
        default:
                return y == 0 ? value_null() : value_number(fmod(x, y));
        }
}

static struct value concat(const struct value *a, const struct value *b, struct region *r)
{
        struct text t = {0};

        value_print(a, &t);
        value_print(b, &t);
        const char *copy = region_copy(r, t.data, t.len);
        struct value v = value_text(copy, t.len);

        text_free(&t);
        return v;
}

/* A comparison with nothing is nothing, as in SQL. */
static struct value compare(const char *op, const struct value *a, const struct value *b)
{
        double x, y;
        int c;

        if (a->type == VALUE_NULL || b->type == VALUE_NULL)
                return value_null();
        if (a->type != b->type && value_to_number(a, &x) && value_to_number(b, &y))
                c = x < y ? -1 : x > y ? 1 : 0;
        else
                c = value_compare(a, b);
        if (strcmp(op, "=") == 0)
                return value_bool(c == 0);
        if (strcmp(op, "<>") == 0 || strcmp(op, "!=") == 0)
                return value_bool(c != 0);
        if (strcmp(op, "<") == 0)
                return value_bool(c < 0);
        if (strcmp(op, "<=") == 0)
                return value_bool(c <= 0);
        return strcmp(op, ">") == 0 ? value_bool(c > 0) : value_bool(c >= 0);
}

/* AND and OR in three values: known when one side decides alone. */
static struct value logic(bool is_or, const struct expr *e, const struct scope *s)
{
        struct value a = expr_eval(e->args[0], s);

        if (a.type != VALUE_NULL && value_is_true(&a) == is_or)
                return value_bool(is_or);
        struct value b = expr_eval(e->args[1], s);

        if (b.type != VALUE_NULL && value_is_true(&b) == is_or)
                return value_bool(is_or);
        if (a.type == VALUE_NULL || b.type == VALUE_NULL)
                return value_null();
        return value_bool(!is_or);
}

static struct value eval_binary(const struct expr *e, const struct scope *s)
{
        if (strcmp(e->name, "AND") == 0 || strcmp(e->name, "OR") == 0)
                return logic(e->name[0] == 'O', e, s);
        struct value a = expr_eval(e->args[0], s), b = expr_eval(e->args[1], s);

        if (strcmp(e->name, "||") == 0)
                return concat(&a, &b, s->region);
        if (strchr("+-*/%", e->name[0]))
                return arithmetic(e->name, &a, &b);
        return compare(e->name, &a, &b);
}

static struct value eval_unary(const struct expr *e, const struct scope *s)
{
        struct value v = expr_eval(e->args[0], s);
        double number;

        if (v.type == VALUE_NULL)
                return v;
        if (e->name[0] == 'N')
                return value_bool(!value_is_true(&v));
        return value_to_number(&v, &number) ? value_number(-number) : value_null();
}

static struct value eval_in(const struct expr *e, const struct scope *s)
{
        struct value v = expr_eval(e->args[0], s);
        bool unknown = v.type == VALUE_NULL;

        for (size_t i = 1; i < e->n_args && v.type != VALUE_NULL; i++) {
                struct value item = expr_eval(e->args[i], s), same = compare("=", &v, &item);

                if (same.type == VALUE_NULL)
                        unknown = true;
                else if (same.truth)
                        return value_bool(true);
        }
        return unknown ? value_null() : value_bool(false);
}

static struct value eval_like(const struct expr *e, const struct scope *s)
{
        struct value text = expr_eval(e->args[0], s), pattern = expr_eval(e->args[1], s);
        struct text a = {0}, b = {0};

        if (text.type == VALUE_NULL || pattern.type == VALUE_NULL)
                return value_null();
        text_add(&a, "", 0);
        text_add(&b, "", 0);
        value_print(&text, &a);
        value_print(&pattern, &b);
        bool matches = value_like(a.data, b.data);

        text_free(&a);
        text_free(&b);
        return value_bool(matches);
}

static struct value eval_case(const struct expr *e, const struct scope *s)
{
        size_t i = 0;

        for (; i + 1 < e->n_args; i += 2) {
                struct value when = expr_eval(e->args[i], s);

                if (value_is_true(&when))
                        return expr_eval(e->args[i + 1], s);
        }
        return i < e->n_args ? expr_eval(e->args[i], s) : value_null();
}

static struct value eval_call(const struct expr *e, const struct scope *s)
{
        struct value args[FUNCTION_MAX_ARGS];

        for (size_t i = 0; i < e->n_args; i++)
                args[i] = expr_eval(e->args[i], s);
        return function_call(e->name, args, e->n_args, s->region);
}

struct value expr_eval(const struct expr *e, const struct scope *s)
{
        struct value v;

        switch (e->type) {
        case EXPR_LITERAL:
                return e->literal;
        case EXPR_COLUMN:
                return s->row ? s->row[e->slot] : value_null();
        case EXPR_UNARY:
                return eval_unary(e, s);
        case EXPR_BINARY:
                return eval_binary(e, s);
        case EXPR_CALL:
                return eval_call(e, s);
        case EXPR_AGGREGATE:
                return s->aggregates ? s->aggregates[e->slot] : value_null();
        case EXPR_IN:
                return eval_in(e, s);
        case EXPR_LIKE:
                return eval_like(e, s);
        case EXPR_IS_NULL:
                v = expr_eval(e->args[0], s);
                return value_bool((v.type == VALUE_NULL) != e->negated);
        case EXPR_CASE:
                return eval_case(e, s);
        }
        return value_null();
}

/* Has this value been seen? Remembers it when not. */
static bool seen_before(struct aggregate *a, const struct value *v)
{
        size_t low = 0, high = a->n_seen;

        while (low < high) {
                size_t middle = (low + high) / 2;
                int c = value_compare(&a->seen[middle], v);

                if (c == 0)
                        return true;
                if (c < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (a->n_seen == a->cap_seen) {
                size_t cap = a->cap_seen ? a->cap_seen * 2 : 16;
                struct value *seen = realloc(a->seen, cap * sizeof(*seen));

                if (!seen)
                        fail("out of memory");
                a->seen = seen;
                a->cap_seen = cap;
        }
        memmove(a->seen + low + 1, a->seen + low, (a->n_seen - low) * sizeof(*a->seen));
        a->seen[low] = *v;
        a->n_seen++;
        return false;
}

void aggregate_add(struct aggregate *a, const struct expr *e, const struct value *v)
{
        double number;

        if (v->type == VALUE_NULL || (e->distinct && seen_before(a, v)))
                return;
        if (value_to_number(v, &number))
                a->sum += number;
        if (a->count == 0 || value_compare(v, &a->least) < 0)
                a->least = *v;
        if (a->count == 0 || value_compare(v, &a->greatest) > 0)
                a->greatest = *v;
        a->count++;
}

struct value aggregate_result(const struct aggregate *a, const struct expr *e)
{
        if (strcasecmp(e->name, "count") == 0)
                return value_number((double)a->count);
        if (a->count == 0)
                return value_null();
        if (strcasecmp(e->name, "sum") == 0)
                return value_number(a->sum);
        if (strcasecmp(e->name, "avg") == 0)
                return value_number(a->sum / (double)a->count);
        return strcasecmp(e->name, "min") == 0 ? a->least : a->greatest;
}

void aggregate_free(struct aggregate *a)
{
        free(a->seen);
        *a = (struct aggregate){0};
}
