/* A matrix to its combinations: the cross product of its vectors, without what `exclude` names, with what `include`
 * adds. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/plan_priv.h"

#define MAX_PRODUCT 65536 /* combinations before `exclude` */
#define MEMBER_STEPS 16u  /* that a member which an include adds counts as */

struct builder {
        const struct expr_env *env;
        struct plan_fault *f;
        struct value *vectors; /* object: key to array */
        struct value *include, *exclude;
        struct matrix *out;
        size_t *work; /* what may still be done, of the whole plan */
        bool tired;   /* nothing is left of it */
        struct yaml_pos pos;
};

int plan_fail(struct plan_fault *f, struct yaml_pos pos, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(f->message, sizeof(f->message), fmt, ap);
        va_end(ap);
        f->code = ERR_USAGE;
        f->pos = pos;
        return -1;
}

int plan_no_memory(struct plan_fault *f)
{
        *f = (struct plan_fault){.code = ERR_RESOURCES, .message = "out of memory"};
        return -1;
}

int plan_tell(const struct plan_fault *f, struct diag_list *problems, struct err *e)
{
        if (f->code == ERR_RESOURCES)
                return err_nomem(e);
        return diag_add(problems, DIAG_ERROR, f->pos.line, f->pos.column, 1, NULL, e, "%s", f->message);
}

int plan_fail_err(struct plan_fault *f, struct yaml_pos pos, const char *what, const struct err *e)
{
        if (e->code == ERR_RESOURCES)
                return plan_no_memory(f);
        return plan_fail(f, pos, "%s%s%s", what, *what ? ": " : "", e->msg);
}

static int no_memory(struct builder *b)
{
        return plan_no_memory(b->f);
}

/* false: there is no more left to be done. */
static bool spend(struct builder *b, size_t work)
{
        b->tired |= work > *b->work;
        *b->work -= b->tired ? 0 : work;
        return !b->tired;
}

static int tired(struct builder *b)
{
        return plan_fail(b->f, b->pos, "the matrix takes more than %d steps to expand (PLAN_MAX_MATRIX_WORK)",
                         PLAN_MAX_MATRIX_WORK);
}

#define TEXT_PER_STEP 16u /* bytes */

static size_t work_of_key(const char *key)
{
        return 1 + strlen(key) / TEXT_PER_STEP;
}

static size_t work_of(const struct value *v)
{
        size_t len = 0;
        if (value_kind(v) == VALUE_STRING)
                value_text(v, &len);
        return 1 + len / TEXT_PER_STEP;
}

static int to_value(struct builder *b, const struct yaml_node *n, struct value **ret);

int plan_scalar(const struct yaml_node *n, const struct expr_env *env, struct value **ret, struct err *e)
{
        switch (n->kind) {
        case YAML_KIND_NULL:
                *ret = value_null();
                return 0;
        case YAML_KIND_BOOL:
                *ret = value_bool(n->boolean);
                return 0;
        case YAML_KIND_NUMBER:
                return value_number(n->number, ret, e);
        default:
                return expr_template_has_parts(n->text, n->len) ? expr_template(n->text, n->len, env, ret, NULL, e)
                                                                : value_string(n->text, n->len, ret, e);
        }
}

static int scalar_to_value(struct builder *b, const struct yaml_node *n, struct value **ret)
{
        struct err e = ERR_INIT;
        return plan_scalar(n, b->env, ret, &e) ? plan_fail_err(b->f, n->pos, "matrix", &e) : 0;
}

static int list_to_value(struct builder *b, const struct yaml_node *n, struct value **ret)
{
        AUTO(value_unrefp) struct value *list = NULL;
        bool map = n->kind == YAML_KIND_MAP;
        if ((map ? value_object(&list, NULL) : value_array(&list, NULL)) < 0)
                return no_memory(b);
        for (size_t i = 0; i < n->n; i++) {
                AUTO(value_unrefp) struct value *item = NULL;
                int r = to_value(b, n->items[i], &item);
                if (r < 0)
                        return r;
                if ((map ? value_set(list, n->keys[i]->text, item, NULL) : value_add(list, item, NULL)) < 0)
                        return no_memory(b);
        }
        *ret = TAKE_PTR(list);
        return 0;
}

static int to_value(struct builder *b, const struct yaml_node *n, struct value **ret)
{
        bool list = n->kind == YAML_KIND_SEQ || n->kind == YAML_KIND_MAP;
        return list ? list_to_value(b, n, ret) : scalar_to_value(b, n, ret);
}

/* Vectors, include and exclude out of the matrix's object; each must be a list. */
static int split(struct builder *b, const struct value *matrix)
{
        if (value_object(&b->vectors, NULL) < 0)
                return no_memory(b);
        for (size_t i = 0; i < value_count(matrix); i++) {
                const char *key = value_key_at(matrix, i);
                struct value *v = value_at(matrix, i);
                bool include = str_ieq(key, "include"), exclude = str_ieq(key, "exclude");
                if (value_kind(v) == VALUE_NULL && (include || exclude))
                        continue;
                if (value_kind(v) != VALUE_ARRAY)
                        return plan_fail(b->f, b->pos, "matrix: '%.100s' must be a list, found %s", key,
                                         value_kind_name(value_kind(v)));
                for (size_t k = 0; (include || exclude) && k < value_count(v); k++)
                        if (value_kind(value_at(v, k)) != VALUE_OBJECT)
                                return plan_fail(b->f, b->pos, "matrix: every entry of '%s' must be a mapping", key);
                if (include)
                        b->include = value_ref(v);
                else if (exclude)
                        b->exclude = value_ref(v);
                else if (!value_count(v))
                        return plan_fail(b->f, b->pos, "Matrix vector '%.100s' does not contain any values", key);
                else if (value_set(b->vectors, key, v, NULL) < 0)
                        return no_memory(b);
        }
        if (!value_count(b->vectors) && !value_count(b->include))
                return plan_fail(b->f, b->pos, "Matrix must define at least one vector");
        return 0;
}

static int add(struct builder *b, struct value *combination, bool extra)
{
        struct matrix *m = b->out;
        if (m->n == PLAN_MAX_MATRIX)
                return plan_fail(b->f, b->pos, "the matrix has more than %d combinations (PLAN_MAX_MATRIX)",
                                 PLAN_MAX_MATRIX);
        m->v[m->n] = value_ref(combination);
        m->extra[m->n++] = extra;
        return 0;
}

static const struct value *member(struct builder *b, const struct value *object, const char *key)
{
        return spend(b, work_of_key(key)) ? value_get(object, key) : NULL;
}

/* Scalars as `==` compares them, lists and mappings by content. */
static bool same(struct builder *b, const struct value *x, const struct value *y)
{
        bool list = value_kind(x) == VALUE_ARRAY || value_kind(x) == VALUE_OBJECT;
        if (!spend(b, work_of(x) + work_of(y)))
                return false;
        if (!list)
                return value_equal(x, y);
        if (value_kind(x) != value_kind(y) || value_count(x) != value_count(y))
                return false;
        for (size_t i = 0; i < value_count(x); i++) {
                const struct value *other =
                        value_kind(x) == VALUE_ARRAY ? value_at(y, i) : member(b, y, value_key_at(x, i));
                if (!other || !same(b, value_at(x, i), other))
                        return false;
        }
        return true;
}

static bool is_excluded(struct builder *b, const struct value *combination)
{
        for (size_t i = 0; i < value_count(b->exclude) && spend(b, 1); i++) {
                const struct value *entry = value_at(b->exclude, i);
                bool all = value_count(entry) > 0;
                for (size_t k = 0; all && k < value_count(entry); k++) {
                        const struct value *own = member(b, combination, value_key_at(entry, k));
                        all = own && same(b, own, value_at(entry, k));
                }
                if (all)
                        return true;
        }
        return false;
}

/* The combination with a number: the last vector turns fastest. */
static int make_combination(struct builder *b, size_t number, struct value **ret)
{
        AUTO(value_unrefp) struct value *c = NULL;
        size_t digits[64], n = value_count(b->vectors);
        if (value_object(&c, NULL) < 0)
                return no_memory(b);
        for (size_t i = n; i-- > 0;) {
                size_t base = value_count(value_at(b->vectors, i));
                digits[i] = number % base;
                number /= base;
        }
        for (size_t i = 0; i < n; i++) {
                const char *key = value_key_at(b->vectors, i);
                if (!spend(b, work_of_key(key)))
                        return tired(b);
                if (value_set(c, key, value_at(value_at(b->vectors, i), digits[i]), NULL) < 0)
                        return no_memory(b);
        }
        *ret = TAKE_PTR(c);
        return 0;
}

static int cross_product(struct builder *b)
{
        size_t n = value_count(b->vectors), product = n ? 1 : 0;
        if (n > 64)
                return plan_fail(b->f, b->pos, "the matrix has more than 64 vectors");
        for (size_t i = 0; i < n; i++)
                if (!num_mul(product, value_count(value_at(b->vectors, i)), &product) || product > MAX_PRODUCT)
                        return plan_fail(b->f, b->pos, "the matrix has more than %d combinations (PLAN_MAX_MATRIX)",
                                         PLAN_MAX_MATRIX);
        for (size_t i = 0; i < product; i++) {
                AUTO(value_unrefp) struct value *c = NULL;
                int r = make_combination(b, i, &c);
                bool excluded = r == 0 && is_excluded(b, c);
                if (r == 0 && b->tired)
                        r = tired(b);
                if (r == 0 && !excluded)
                        r = add(b, c, false);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* An include fits a combination when it overwrites none of the vectors' values. */
static bool include_fits(struct builder *b, const struct value *entry, const struct value *combination)
{
        for (size_t i = 0; i < value_count(entry); i++) {
                const char *key = value_key_at(entry, i);
                if (member(b, b->vectors, key) && !same(b, value_get(combination, key), value_at(entry, i)))
                        return false;
        }
        return true;
}

/* A member more of a combination is memory, too: it counts for more than a comparison. */
static int merge(struct builder *b, struct value *combination, const struct value *entry)
{
        for (size_t i = 0; i < value_count(entry); i++) {
                const char *key = value_key_at(entry, i);
                if (!spend(b, MEMBER_STEPS * work_of_key(key)))
                        return tired(b);
                if (!value_get(b->vectors, key) && value_set(combination, key, value_at(entry, i), NULL) < 0)
                        return no_memory(b);
        }
        return 0;
}

static int apply_include(struct builder *b, struct value *entry)
{
        bool fitted = false;
        for (size_t i = 0; i < b->out->n; i++) {
                if (b->out->extra[i] || !include_fits(b, entry, b->out->v[i])) {
                        if (b->tired)
                                return tired(b);
                        continue;
                }
                int r = merge(b, b->out->v[i], entry);
                if (r < 0)
                        return r;
                fitted = true;
        }
        return fitted ? 0 : add(b, entry, true);
}

static int build(struct builder *b, const struct value *matrix)
{
        int r = 0;
        if (value_kind(matrix) != VALUE_OBJECT)
                return plan_fail(b->f, b->pos, "the matrix must be a mapping, found %s",
                                 value_kind_name(value_kind(matrix)));
        if ((r = split(b, matrix)) < 0 || (r = cross_product(b)) < 0)
                return r;
        for (size_t i = 0; r == 0 && i < value_count(b->include); i++)
                r = apply_include(b, value_at(b->include, i));
        b->out->base = value_count(b->vectors);
        return r;
}

int matrix_value(const struct yaml_node *node, const struct expr_env *env, struct value **ret, struct plan_fault *f)
{
        struct builder b = {.env = env, .f = f};
        return to_value(&b, node, ret);
}

int matrix_expand(const struct value *matrix, struct yaml_pos pos, size_t *work, struct matrix *ret,
                  struct plan_fault *f)
{
        struct builder b = {.f = f, .out = ret, .work = work, .pos = pos};
        *ret = (struct matrix){.v = calloc(PLAN_MAX_MATRIX, sizeof(*ret->v)),
                               .extra = calloc(PLAN_MAX_MATRIX, sizeof(bool))};
        int r = ret->v && ret->extra ? build(&b, matrix) : no_memory(&b);
        value_unref(b.vectors);
        value_unref(b.include);
        value_unref(b.exclude);
        if (r < 0)
                matrix_done(ret);
        return r;
}

void matrix_done(struct matrix *m)
{
        for (size_t i = 0; i < m->n; i++)
                value_unref(m->v[i]);
        free(m->v);
        free(m->extra);
        *m = (struct matrix){0};
}

int plan_node_uses(const struct yaml_node *n, const char *context, bool *ret, struct err *e)
{
        int r = 0;
        *ret = false;
        if (!n)
                return 0;
        if (n->kind == YAML_KIND_STRING)
                return expr_template_uses_context(n->text, n->len, context, ret, e);
        for (size_t i = 0; r == 0 && !*ret && i < n->n; i++)
                r = plan_node_uses(n->items[i], context, ret, e);
        return r;
}
