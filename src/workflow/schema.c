/* A definition may offer several choices (one-of). A scalar is matched against all scalar choices, a sequence takes the
 * only sequence choice; for a mapping the choices are narrowed by the keys found, in the order of the file, as GitHub's
 * reader does it, so that both name the same key as wrong. */
#include "workflow/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/diag.h"
#include "codec/yaml.h"
#include "workflow/expr.h"
#include "workflow/number.h"
#include "workflow/place.h"

#define MAX_CHOICES 80 /* leaves of one definition; the largest today has 48 */
#define MAX_KEYS 128   /* known keys of one mapping, for hints */
#define MAX_CONTEXTS 32
#define NAMED (SCHEMA_STATUS - 1u) /* the named contexts of a mask, without the functions */

struct checker {
        const char *source;
        size_t len;
        struct diag_list *problems;
        struct err *e;
        /* One object per set of contexts met, for the expression parser's idea of known names. */
        struct {
                uint32_t mask;
                struct value *names;
        } contexts[MAX_CONTEXTS];
        size_t n_contexts;
};

struct leaves {
        const struct schema_def *v[MAX_CHOICES];
        size_t n;
};

static int check(struct checker *c, const struct yaml_node *node, const struct schema_def *def, uint32_t mask);

static void flatten(const struct schema_def *def, struct leaves *ret)
{
        if (def->kind != SCHEMA_ONE_OF) {
                if (ret->n < MAX_CHOICES)
                        ret->v[ret->n++] = def;
                return;
        }
        for (size_t i = 0; i < def->n; i++)
                flatten(&schema_defs[def->choices[i]], ret);
}

static const struct schema_def *find_kind(const struct leaves *l, enum schema_kind kind)
{
        for (size_t i = 0; i < l->n; i++)
                if (l->v[i]->kind == kind)
                        return l->v[i];
        return NULL;
}

/* The expression parser's names for a set of contexts; built once. */
static int names_of(struct checker *c, uint32_t mask, struct value **ret)
{
        static const char *const names[] = {"github",  "inputs", "vars", "needs",  "strategy", "matrix",
                                            "secrets", "steps",  "job",  "runner", "env",      "jobs"};
        for (size_t i = 0; i < c->n_contexts; i++)
                if (c->contexts[i].mask == mask) {
                        *ret = c->contexts[i].names;
                        return 0;
                }
        if (c->n_contexts == MAX_CONTEXTS)
                value_unref(c->contexts[--c->n_contexts].names);
        AUTO(value_unrefp) struct value *object = NULL;
        int r = value_object(&object, c->e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
                if (mask & (1u << i))
                        r = value_set(object, names[i], value_null(), c->e);
        if (r < 0)
                return r;
        *ret = object;
        c->contexts[c->n_contexts].mask = mask;
        c->contexts[c->n_contexts++].names = TAKE_PTR(object);
        return 0;
}

static int no_hash(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e)
{
        (void)user, (void)patterns, (void)n, (void)ret;
        return err_set(e, ERR_USAGE, "nothing is evaluated here");
}

static int no_status(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        (void)user, (void)fn, (void)args, (void)n, (void)ret;
        return err_set(e, ERR_USAGE, "nothing is evaluated here");
}

static int env_of(struct checker *c, uint32_t mask, struct expr_env *ret)
{
        *ret = (struct expr_env){.status_takes_jobs = (mask & SCHEMA_STATUS_JOBS) != 0};
        if (mask & SCHEMA_STATUS)
                ret->status = no_status;
        if (mask & SCHEMA_HASH_FILES)
                ret->hash_files = no_hash;
        return names_of(c, mask & NAMED, &ret->contexts);
}

static int refuse_expression(struct checker *c, const struct yaml_node *n)
{
        return diag_add(c->problems, DIAG_ERROR, n->pos.line, n->pos.column, yaml_width(n), "write the value out", c->e,
                        "A template expression is not allowed in this context");
}

/* *broken: one of them is no expression. */
static int check_expressions_of(struct checker *c, const struct yaml_node *node, const struct schema_def *def,
                                uint32_t mask, bool *broken)
{
        struct expr_env env;
        struct expr_fault fault;
        struct err problem = ERR_INIT;
        int r = env_of(c, mask, &env);
        if (r < 0)
                return r;
        bool parts = expr_template_has_parts(node->text, node->len);
        if (def && def->condition)
                r = expr_condition_check(node->text, &env, &fault, &problem);
        else
                r = expr_template_check(node->text, node->len, &env, &fault, &problem);
        if (r == 0)
                return parts && !(mask & NAMED) ? refuse_expression(c, node) : 0;
        if (fault.kind == EXPR_FAULT_NONE) {
                if (c->e)
                        *c->e = problem;
                return r;
        }
        *broken = true;
        bool closed = !str_starts(problem.msg, "The expression is not closed");
        struct yaml_pos pos = parts && closed && !diag_is_full(c->problems)
                                      ? place_of_expression(c->source, c->len, node, fault.offset)
                                      : node->pos;
        const char *hint = str_starts(problem.msg, "Unrecognized named-value")
                                   ? "this context is not available at this place (or does not exist)"
                                   : NULL;
        return diag_add(c->problems, DIAG_ERROR, pos.line, pos.column, parts ? 3 : yaml_width(node), hint, c->e, "%s",
                        problem.msg);
}

static int check_expressions(struct checker *c, const struct yaml_node *node, const struct schema_def *def,
                             uint32_t mask)
{
        bool broken;
        return check_expressions_of(c, node, def, mask, &broken);
}

static bool matches(const struct yaml_node *n, const struct schema_def *def)
{
        switch (def->kind) {
        case SCHEMA_STRING: /* numbers, booleans and nothing are taken as text */
                if (def->constant)
                        return strcmp(n->text, def->constant) == 0;
                return !def->non_empty || (n->len && n->kind != YAML_KIND_NULL);
        case SCHEMA_NUMBER:
                return n->kind == YAML_KIND_NUMBER;
        case SCHEMA_BOOLEAN:
                return n->kind == YAML_KIND_BOOL;
        case SCHEMA_NULL:
                return n->kind == YAML_KIND_NULL;
        case SCHEMA_VALUES:
                for (size_t i = 0; i < def->n; i++)
                        if (strcmp(n->text, def->values[i]) == 0)
                                return true;
                return false;
        case SCHEMA_ANY:
                return true;
        case SCHEMA_ONE_OF:
        case SCHEMA_MAPPING:
        case SCHEMA_SEQUENCE:
                return false;
        }
        return false;
}

/* "expected a number or a boolean", or the nearest of the fixed words. */
static void scalar_hint(const struct yaml_node *n, const struct leaves *l, char *ret, size_t size)
{
        const char *words[MAX_CHOICES];
        size_t n_words = 0;
        str_copy(ret, size, "");
        for (size_t i = 0; i < l->n; i++) {
                if (l->v[i]->constant && n_words < MAX_CHOICES)
                        words[n_words++] = l->v[i]->constant;
                for (size_t k = 0; l->v[i]->kind == SCHEMA_VALUES && k < l->v[i]->n && n_words < MAX_CHOICES; k++)
                        words[n_words++] = l->v[i]->values[k];
        }
        const char *near = n_words ? str_nearest(n->text, words, n_words) : NULL;
        if (near) {
                snprintf(ret, size, "did you mean '%s'?", near);
                return;
        }
        snprintf(ret, size, "expected%s%s%s%s%s", find_kind(l, SCHEMA_STRING) && !n_words ? " a text," : "",
                 find_kind(l, SCHEMA_NUMBER) ? " a number," : "", find_kind(l, SCHEMA_BOOLEAN) ? " true or false," : "",
                 find_kind(l, SCHEMA_SEQUENCE) ? " a list," : "", find_kind(l, SCHEMA_MAPPING) ? " a mapping," : "");
        size_t used = strlen(ret);
        for (size_t i = 0; i < n_words && i < 12; i++) {
                snprintf(ret + used, size - used, " %s%s", words[i], i + 1 < n_words ? "," : "");
                used = strlen(ret);
        }
        if (used && ret[used - 1] == ',')
                ret[used - 1] = '\0';
}

static int check_scalar(struct checker *c, const struct yaml_node *n, const struct schema_def *def,
                        const struct leaves *l, uint32_t mask)
{
        char hint[256], number[NUMBER_TEXT_SIZE];
        const struct schema_def *condition = find_kind(l, SCHEMA_STRING);
        bool is_condition = condition && condition->condition;
        if (is_condition)
                return check_expressions(c, n, condition, mask);
        if (n->kind == YAML_KIND_STRING && expr_template_has_parts(n->text, n->len)) {
                bool broken = false;
                int r = check_expressions_of(c, n, def, mask, &broken);
                if (r < 0 || !broken)
                        return r;
                /* What is no expression is text, and judged as such, too: so does GitHub's reader. */
        }
        for (size_t i = 0; i < l->n; i++)
                if (matches(n, l->v[i]))
                        return 0;
        scalar_hint(n, l, hint, sizeof(hint));
        number_format(n->number, number);
        return diag_add(c->problems, DIAG_ERROR, n->pos.line, n->pos.column, yaml_width(n), hint, c->e,
                        "Unexpected value '%.200s'",
                        n->kind == YAML_KIND_NULL     ? ""
                        : n->kind == YAML_KIND_NUMBER ? number
                                                      : n->text);
}

static int check_any(struct checker *c, const struct yaml_node *n, uint32_t mask)
{
        int r = 0;
        if (n->kind == YAML_KIND_STRING && expr_template_has_parts(n->text, n->len))
                return check_expressions(c, n, NULL, mask);
        for (size_t i = 0; r == 0 && i < n->n; i++) {
                if (n->keys)
                        r = check_any(c, n->keys[i], mask);
                if (r == 0)
                        r = check_any(c, n->items[i], mask);
        }
        return r;
}

static int check_sequence(struct checker *c, const struct yaml_node *n, const struct leaves *l, uint32_t mask)
{
        const struct schema_def *def = find_kind(l, SCHEMA_SEQUENCE);
        int r = 0;
        if (!def)
                return diag_add(c->problems, DIAG_ERROR, n->pos.line, n->pos.column, 1,
                                "write one value instead of a list", c->e, "A sequence was not expected");
        for (size_t i = 0; r == 0 && i < n->n; i++)
                r = check(c, n->items[i], &schema_defs[def->item], mask | def->context);
        return r;
}

static const struct schema_property *find_property(const struct schema_def *def, const char *key)
{
        for (size_t i = 0; i < def->n; i++)
                if (strcmp(def->properties[i].key, key) == 0)
                        return &def->properties[i];
        return NULL;
}

/* Keep the mapping choices that know the key; the property of the first. NULL and nothing changed when none knows it.
 */
static const struct schema_property *narrow(struct leaves *maps, const char *key)
{
        struct leaves kept = {.n = 0};
        const struct schema_property *found = NULL;
        for (size_t i = 0; i < maps->n; i++) {
                const struct schema_property *p = find_property(maps->v[i], key);
                if (!p)
                        continue;
                kept.v[kept.n++] = maps->v[i];
                found = found ? found : p;
        }
        if (found)
                *maps = kept;
        return found;
}

static int refuse_key(struct checker *c, const struct yaml_node *key, const struct leaves *all)
{
        const char *known[MAX_KEYS];
        char hint[400];
        size_t n = 0, used;
        for (size_t i = 0; i < all->n; i++)
                for (size_t k = 0; k < all->v[i]->n && n < MAX_KEYS; k++)
                        known[n++] = all->v[i]->properties[k].key;
        const char *near = str_nearest(key->text, known, n);
        if (near && strcmp(near, key->text) == 0) {
                str_copy(hint, sizeof(hint), "this key does not go together with the keys before it");
        } else if (near) {
                snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
        } else {
                str_copy(hint, sizeof(hint), "known keys here:");
                for (size_t i = 0; i < n && (used = strlen(hint)) < sizeof(hint) - 40; i++)
                        snprintf(hint + used, sizeof(hint) - used, "%s %s", i ? "," : "", known[i]);
        }
        return diag_add(c->problems, DIAG_ERROR, key->pos.line, key->pos.column, yaml_width(key), hint, c->e,
                        "Unexpected value '%.200s'", key->text);
}

/* GitHub takes keys that differ only in case for one. */
static int check_duplicate(struct checker *c, const struct yaml_node *n, size_t i, bool *ret)
{
        for (size_t k = 0; k < i && n->n < 1000; k++)
                if (str_ieq(n->keys[k]->text, n->keys[i]->text)) {
                        *ret = true;
                        return diag_add(c->problems, DIAG_ERROR, n->keys[i]->pos.line, n->keys[i]->pos.column,
                                        yaml_width(n->keys[i]), "keys that differ only in case are one key", c->e,
                                        "'%.200s' is already defined", n->keys[i]->text);
                }
        *ret = false;
        return 0;
}

/* An expression as a key is legal where contexts are. What stands below it is anything where keys are fixed. */
static int check_expression_key(struct checker *c, const struct yaml_node *n, size_t i, const struct leaves *maps,
                                uint32_t mask)
{
        const struct schema_def *def = maps->v[0];
        int r = check_expressions(c, n->keys[i], NULL, mask);
        if (r < 0 || !(mask & NAMED))
                return r;
        if (maps->n > 1 || def->n || !def->loose)
                return check_any(c, n->items[i], mask);
        return check(c, n->items[i], &schema_defs[def->loose_value], mask | def->context);
}

static int check_key(struct checker *c, const struct yaml_node *n, size_t i, struct leaves *maps,
                     const struct leaves *all, uint32_t mask)
{
        const struct yaml_node *key = n->keys[i], *value = n->items[i];
        bool duplicate;
        if (expr_template_has_parts(key->text, key->len))
                return check_expression_key(c, n, i, maps, mask);
        int r = check_duplicate(c, n, i, &duplicate);
        if (r < 0 || duplicate)
                return r;
        const struct schema_property *p = narrow(maps, key->text);
        if (p)
                return check(c, value, &schema_defs[p->type], mask | maps->v[0]->context);
        for (size_t k = 0; k < maps->n; k++) {
                const struct schema_def *def = maps->v[k];
                if (!def->loose)
                        continue;
                if ((r = check(c, key, &schema_defs[def->loose_key], mask | def->context)) < 0)
                        return r;
                return check(c, value, &schema_defs[def->loose_value], mask | def->context);
        }
        return refuse_key(c, key, all);
}

/* A key in another case was reported as unknown already. */
static bool has_key(const struct yaml_node *n, const char *key)
{
        for (size_t i = 0; i < n->n; i++)
                if (str_ieq(n->keys[i]->text, key))
                        return true;
        return false;
}

/* With an expression among the keys nobody knows what is missing. */
static bool has_expression_key(const struct yaml_node *n)
{
        for (size_t i = 0; i < n->n; i++)
                if (expr_template_has_parts(n->keys[i]->text, n->keys[i]->len))
                        return true;
        return false;
}

static int check_required(struct checker *c, const struct yaml_node *n, const struct schema_def *def, uint32_t mask)
{
        int r = 0;
        if ((mask & NAMED) && has_expression_key(n))
                return 0;
        for (size_t i = 0; r == 0 && i < def->n; i++)
                if (def->properties[i].required && !has_key(n, def->properties[i].key))
                        r = diag_add(c->problems, DIAG_ERROR, n->pos.line, n->pos.column, 1, NULL, c->e,
                                     "Required property is missing: %s", def->properties[i].key);
        return r;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Several choices fit: name the keys that only one of them knows, sorted, as GitHub does. */
static int refuse_ambiguous(struct checker *c, const struct yaml_node *n, const struct leaves *maps)
{
        const char *keys[MAX_KEYS];
        size_t n_keys = 0;
        for (size_t i = 0; i < maps->n; i++)
                for (size_t k = 0; k < maps->v[i]->n; k++) {
                        const char *key = maps->v[i]->properties[k].key;
                        size_t known_by = 0;
                        for (size_t m = 0; m < maps->n; m++)
                                known_by += find_property(maps->v[m], key) != NULL;
                        if (known_by == 1 && n_keys < MAX_KEYS)
                                keys[n_keys++] = key;
                }
        char list[400] = "";
        qsort(keys, n_keys, sizeof(keys[0]), by_text);
        for (size_t i = 0, used = 0; i < n_keys; i++, used = strlen(list))
                snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", keys[i]);
        return diag_add(c->problems, DIAG_ERROR, n->pos.line, n->pos.column, 1, NULL, c->e,
                        "There's not enough info to determine what you meant. Add one of these properties: %s", list);
}

static int check_mapping(struct checker *c, const struct yaml_node *n, const struct leaves *l, uint32_t mask)
{
        struct leaves all = {.n = 0};
        int r = 0;
        for (size_t i = 0; i < l->n; i++)
                if (l->v[i]->kind == SCHEMA_MAPPING)
                        all.v[all.n++] = l->v[i];
        if (!all.n)
                return diag_add(c->problems, DIAG_ERROR, n->pos.line, n->pos.column, 1,
                                "write one value instead of a mapping", c->e, "A mapping was not expected");
        struct leaves maps = all;
        for (size_t i = 0; r == 0 && i < n->n; i++)
                r = check_key(c, n, i, &maps, &all, mask);
        if (r < 0)
                return r;
        return maps.n > 1 ? refuse_ambiguous(c, n, &maps) : check_required(c, n, maps.v[0], mask);
}

static int check(struct checker *c, const struct yaml_node *node, const struct schema_def *def, uint32_t mask)
{
        struct leaves l = {.n = 0};
        mask |= def->context;
        flatten(def, &l);
        if (find_kind(&l, SCHEMA_ANY))
                return check_any(c, node, mask);
        switch (node->kind) {
        case YAML_KIND_SEQ:
                return check_sequence(c, node, &l, mask);
        case YAML_KIND_MAP:
                return check_mapping(c, node, &l, mask);
        default:
                return check_scalar(c, node, def, &l, mask);
        }
}

int schema_check(const struct yaml_node *root, uint16_t def, const char *source, size_t len, struct diag_list *problems,
                 struct err *e)
{
        struct checker c = {.source = source, .len = len, .problems = problems, .e = e};
        int r = check(&c, root, &schema_defs[def], 0);
        while (c.n_contexts)
                value_unref(c.contexts[--c.n_contexts].names);
        return r;
}

const char *schema_nearest_event(const char *name)
{
        const struct schema_def *events = &schema_defs[schema_events];
        const char *known[MAX_KEYS];
        size_t n = 0;

        for (; n < events->n && n < MAX_KEYS; n++)
                known[n] = events->properties[n].key;
        const char *near = str_nearest(name, known, n);
        return near && !str_eq(near, name) ? near : NULL;
}
