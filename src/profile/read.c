#include "profile/read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/arena.h"
#include "profile/hints.h"
#include "profile/measure.h"
#include "profile/patterns.h"
#include "profile/profile.h"

#define MAX_KEYS 64 /* known keys of one mapping, for hints */

/* ---- problems ---- */

static bool is_told(const struct diag_list *l, struct yaml_pos pos, const char *message)
{
        for (size_t i = 0; i < diag_count(l); i++) {
                const struct diag *d = diag_at(l, i);

                if (d->line == pos.line && d->column == pos.column && strcmp(d->message, message) == 0)
                        return true;
        }
        return false;
}

int profile_complain(struct reader *r, enum diag_severity severity, struct yaml_pos pos, unsigned width,
                     const char *hint, const char *fmt, ...)
{
        char message[600];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);
        if (is_told(r->problems, pos, message))
                return 0;
        return diag_add(r->problems, severity, pos.line, pos.column, width, hint, r->e, "%s", message);
}

/* "'text'", "the number 5", "a list". */
static void describe(const struct yaml_node *n, char *ret, size_t size)
{
        switch (n->kind) {
        case YAML_KIND_NULL:
                str_copy(ret, size, "nothing");
                break;
        case YAML_KIND_BOOL:
                snprintf(ret, size, "%s", n->boolean ? "true" : "false");
                break;
        case YAML_KIND_NUMBER:
                snprintf(ret, size, "the number %.40s", n->text);
                break;
        case YAML_KIND_STRING:
                snprintf(ret, size, "'%.80s'", n->text);
                break;
        case YAML_KIND_SEQ:
                str_copy(ret, size, "a list");
                break;
        case YAML_KIND_MAP:
                str_copy(ret, size, "a mapping");
                break;
        }
}

static int unexpected(struct reader *r, const char *key, const struct yaml_node *n, const char *hint,
                      const char *expected)
{
        char found[128];

        describe(n, found, sizeof(found));
        return profile_complain(r, DIAG_ERROR, n->pos, yaml_width(n), hint, "%s: expected %s; found %s", key, expected,
                                found);
}

static int refuse_count(struct reader *r, const struct field *f, const struct yaml_node *n, size_t found)
{
        return profile_complain(r, DIAG_ERROR, n->pos, 1, NULL,
                                "%s: expected %" PRIu64 " to %" PRIu64 " entries; found %zu", f->key, f->min, f->max,
                                found);
}

/* ---- one value ---- */

static bool is_scalar(const struct yaml_node *n)
{
        return n->kind != YAML_KIND_SEQ && n->kind != YAML_KIND_MAP;
}

static int parse_text(struct reader *r, const char *key, enum rule rule, const struct yaml_node *n, bool *ret_ok)
{
        struct err why = ERR_INIT;

        *ret_ok = text_rules[rule].parse(n->text, &why) == 0;
        return *ret_ok ? 0
                       : profile_complain(r, DIAG_ERROR, n->pos, yaml_width(n), NULL, "%s: '%.80s': %s", key, n->text,
                                          why.msg);
}

/* A text of the rule. *ret_ok: it is one. */
static int check_text(struct reader *r, const char *key, enum rule rule, const struct yaml_node *n, bool *ret_ok)
{
        *ret_ok = false;
        if (n->kind != YAML_KIND_STRING)
                return unexpected(r, key, n, is_scalar(n) && *n->text ? "write it in quotes" : NULL,
                                  text_rules[rule].expected);
        if (text_rules[rule].parse)
                return parse_text(r, key, rule, n, ret_ok);
        if (patterns_fit(r->patterns, rule, n->text, n->len, ret_ok, r->e) < 0)
                return -1;
        return *ret_ok ? 0 : unexpected(r, key, n, hint_of_text(rule, n->text), text_rules[rule].expected);
}

static int read_text(struct reader *r, const char *key, enum rule rule, const struct yaml_node *n,
                     struct profile_str *into)
{
        bool ok;

        if (check_text(r, key, rule, n, &ok) < 0)
                return -1;
        *into = (struct profile_str){n->pos, ok ? n->text : NULL};
        return 0;
}

/* A key that is a name: taken as it is written, whatever else it could mean. */
static int check_name(struct reader *r, const struct field *f, const struct yaml_node *key, bool *ret_ok)
{
        if (patterns_fit(r->patterns, f->rule, key->text, key->len, ret_ok, r->e) < 0)
                return -1;
        if (*ret_ok)
                return 0;
        return profile_complain(r, DIAG_ERROR, key->pos, yaml_width(key), hint_of_text(f->rule, key->text),
                                "%s: expected %s; found '%.80s'", f->key, text_rules[f->rule].expected, key->text);
}

static int read_word(struct reader *r, const struct field *f, const struct yaml_node *n, struct profile_num *into)
{
        char expected[160] = "", hint[80];

        for (size_t i = 0; n->kind == YAML_KIND_STRING && i < f->n_words; i++)
                if (strcmp(n->text, f->words[i]) == 0) {
                        *into = (struct profile_num){n->pos, i};
                        return 0;
                }
        for (size_t i = 0, used = 0; i < f->n_words; i++, used = strlen(expected))
                snprintf(expected + used, sizeof(expected) - used, "%s%s",
                         i == 0               ? ""
                         : i + 1 < f->n_words ? ", "
                                              : " or ",
                         f->words[i]);
        const char *near = is_scalar(n) ? str_nearest(n->text, f->words, f->n_words) : NULL;
        snprintf(hint, sizeof(hint), "did you mean '%s'?", near ? near : "");
        return unexpected(r, f->key, n, near ? hint : NULL, expected);
}

static int read_number(struct reader *r, const struct field *f, const struct yaml_node *n, struct profile_num *into)
{
        char expected[80];

        if (n->kind == YAML_KIND_NUMBER && n->number >= (double)f->min && n->number <= (double)f->max &&
            (double)(uint64_t)n->number == n->number) {
                *into = (struct profile_num){n->pos, (uint64_t)n->number};
                return 0;
        }
        snprintf(expected, sizeof(expected), "a whole number from %" PRIu64 " to %" PRIu64, f->min, f->max);
        return unexpected(r, f->key, n, NULL, expected);
}

static int read_measure(struct reader *r, const struct field *f, const struct yaml_node *n, struct profile_num *into)
{
        char low[MEASURE_TEXT_SIZE], high[MEASURE_TEXT_SIZE], expected[160];
        bool fits = false;

        if (n->kind == YAML_KIND_STRING && patterns_fit(r->patterns, f->rule, n->text, n->len, &fits, r->e) < 0)
                return -1;
        uint64_t v = fits ? measure_read(f->kind, n->text) : 0;
        if (fits && v >= f->min && v <= f->max) {
                *into = (struct profile_num){n->pos, v};
                return 0;
        }
        measure_text(f->kind, f->min, low);
        measure_text(f->kind, f->max, high);
        snprintf(expected, sizeof(expected), "%s, from %s to %s", text_rules[f->rule].expected, low, high);
        return unexpected(r, f->key, n, NULL, expected);
}

/* ---- lists ---- */

/* A text is a list of one. */
static int read_texts(struct reader *r, const struct field *f, const struct yaml_node *n, struct profile_list *into)
{
        bool list = n->kind == YAML_KIND_SEQ;
        size_t count = list ? n->n : 1, kept = 0;

        if (count < f->min || count > f->max)
                return refuse_count(r, f, n, count);
        char *v = arena_array(r->arena, count + 1, f->size, r->e);
        if (!v)
                return -1;
        for (size_t i = 0; i < count; i++) {
                struct profile_str text = {0};

                if (read_text(r, f->key, f->rule, list ? n->items[i] : n, &text) < 0)
                        return -1;
                if (text.text)
                        memcpy(v + f->size * kept++, &text, sizeof(text));
        }
        *into = (struct profile_list){n->pos, v, kept};
        return 0;
}

static int read_pairs(struct reader *r, const struct field *f, const struct yaml_node *n, struct profile_list *into)
{
        if (n->kind != YAML_KIND_MAP)
                return unexpected(r, f->key, n, NULL, "a mapping of names and texts");
        if (n->n < f->min || n->n > f->max)
                return refuse_count(r, f, n, n->n);
        struct profile_pair *v = arena_array(r->arena, n->n + 1, sizeof(*v), r->e);
        size_t kept = 0;
        if (!v)
                return -1;
        for (size_t i = 0; i < n->n; i++) {
                bool ok;
                if (check_name(r, f, n->keys[i], &ok) < 0 ||
                    read_text(r, n->keys[i]->text, f->value_rule, n->items[i], &v[kept].value) < 0)
                        return -1;
                v[kept].name = (struct profile_str){n->keys[i]->pos, n->keys[i]->text};
                kept += ok && v[kept].value.text;
        }
        *into = (struct profile_list){n->pos, v, kept};
        return 0;
}

/* A struct that begins with its place. */
static int read_map(struct reader *r, const struct field *f, const struct yaml_node *n, void *into)
{
        if (n->kind != YAML_KIND_MAP)
                return unexpected(r, f->key, n, NULL, "a mapping");
        memcpy(into, &n->pos, sizeof(n->pos));
        return profile_read(r, n, f->set, into);
}

static int read_maps(struct reader *r, const struct field *f, const struct yaml_node *n, struct profile_list *into)
{
        if (n->kind != YAML_KIND_SEQ)
                return unexpected(r, f->key, n, NULL, "a list of mappings");
        if (n->n < f->min || n->n > f->max)
                return refuse_count(r, f, n, n->n);
        char *v = arena_array(r->arena, n->n + 1, f->set->size, r->e);
        if (!v)
                return -1;
        for (size_t i = 0; i < n->n; i++)
                if (read_map(r, f, n->items[i], v + i * f->set->size) < 0)
                        return -1;
        *into = (struct profile_list){n->pos, v, n->n};
        return 0;
}

/* ---- mappings of names ---- */

static size_t find_entry(const char *v, size_t n, size_t size, const char *name)
{
        struct profile_str found;

        for (size_t i = 0; i < n; i++) {
                memcpy(&found, v + i * size, sizeof(found));
                if (strcmp(found.text, name) == 0)
                        return i;
        }
        return n;
}

/* A mapping of the set, or the text that stands for one. */
static int read_entry(struct reader *r, const struct field *f, const struct yaml_node *key, const struct yaml_node *n,
                      void *entry)
{
        const struct field *only = field_find(f->set, f->set->shorthand);
        const struct profile_str name = {key->pos, key->text};

        memcpy(entry, &name, sizeof(name));
        if (n->kind == YAML_KIND_MAP)
                return profile_read(r, n, f->set, entry);
        return read_text(r, key->text, only->rule, n, (struct profile_str *)(void *)((char *)entry + only->at));
}

static int read_named(struct reader *r, const struct field *f, const struct yaml_node *n, struct profile_list *into)
{
        size_t size = f->set->size, count = into->n;

        if (n->kind != YAML_KIND_MAP)
                return unexpected(r, f->key, n, NULL, "a mapping of names");
        if (n->n < f->min || n->n > f->max)
                return refuse_count(r, f, n, n->n);
        char *v = arena_array(r->arena, count + n->n + 1, size, r->e);
        if (!v)
                return -1;
        if (count)
                memcpy(v, into->v, count * size);
        for (size_t i = 0; i < n->n; i++) {
                bool ok;
                size_t at = find_entry(v, count, size, n->keys[i]->text);

                if (check_name(r, f, n->keys[i], &ok) < 0)
                        return -1;
                memset(v + at * size, 0, size);
                if (read_entry(r, f, n->keys[i], n->items[i], v + at * size) < 0)
                        return -1;
                count += at == count;
        }
        if (count > f->max)
                return refuse_count(r, f, n, count);
        *into = (struct profile_list){n->pos, v, count};
        return 0;
}

/* The overrides are read later, each over a copy of the profile. */
static int read_environments(struct reader *r, const struct field *f, const struct yaml_node *n,
                             struct profile_list *into)
{
        if (n->kind != YAML_KIND_MAP)
                return unexpected(r, f->key, n, NULL, "a mapping of names");
        if (n->n < f->min || n->n > f->max)
                return refuse_count(r, f, n, n->n);
        struct profile_environment *v = arena_array(r->arena, n->n + 1, sizeof(*v), r->e);
        size_t kept = 0;
        if (!v)
                return -1;
        for (size_t i = 0; i < n->n; i++) {
                bool ok, map = n->items[i]->kind == YAML_KIND_MAP;

                if (check_name(r, f, n->keys[i], &ok) < 0 ||
                    (!map && unexpected(r, n->keys[i]->text, n->items[i], NULL, "a mapping") < 0))
                        return -1;
                if (!ok || !map)
                        continue;
                v[kept].name = (struct profile_str){n->keys[i]->pos, n->keys[i]->text};
                v[kept++].node = n->items[i];
        }
        *into = (struct profile_list){n->pos, v, kept};
        return 0;
}

/* ---- keys ---- */

static int read_field(struct reader *r, const struct field *f, const struct yaml_node *n, void *at)
{
        switch (f->kind) {
        case FIELD_TEXT:
                return read_text(r, f->key, f->rule, n, at);
        case FIELD_WORD:
                return read_word(r, f, n, at);
        case FIELD_NUMBER:
                return read_number(r, f, n, at);
        case FIELD_SIZE:
        case FIELD_SPAN:
                return read_measure(r, f, n, at);
        case FIELD_TEXTS:
                return read_texts(r, f, n, at);
        case FIELD_PAIRS:
                return read_pairs(r, f, n, at);
        case FIELD_MAP:
                return read_map(r, f, n, at);
        case FIELD_MAPS:
                return read_maps(r, f, n, at);
        case FIELD_NAMED:
                return read_named(r, f, n, at);
        case FIELD_ENVIRONMENTS:
                return read_environments(r, f, n, at);
        }
        return 0;
}

/* The nearest known key, or all of them. */
static void hint_of_key(const char *key, const struct field_set *set, char *ret, size_t size)
{
        const char *known[MAX_KEYS] = {NULL};
        size_t n = 0;

        for (; n < set->n && n < MAX_KEYS; n++)
                known[n] = set->v[n].key;
        const char *near = str_nearest(key, known, n);
        if (near)
                snprintf(ret, size, "did you mean '%s'?", near);
        else
                str_copy(ret, size, "known keys here:");
        for (size_t i = 0, used = strlen(ret); !near && i < n; i++, used = strlen(ret))
                snprintf(ret + used, size - used, "%s %s", i ? "," : "", known[i]);
}

static int refuse_key(struct reader *r, const struct yaml_node *key, const struct field_set *set)
{
        char hint[500];

        if (set == &field_environment && field_find(&field_root, key->text))
                str_copy(hint, sizeof(hint), "it is the repository's: no environment changes it");
        else
                hint_of_key(key->text, set, hint, sizeof(hint));
        return profile_complain(r, DIAG_ERROR, key->pos, yaml_width(key), hint, "unknown key '%.80s'", key->text);
}

static int check_required(struct reader *r, const struct yaml_node *n, const struct field_set *set, const void *into)
{
        for (size_t i = 0; i < set->n; i++) {
                struct yaml_pos pos;

                memcpy(&pos, (const char *)into + set->v[i].at, sizeof(pos));
                if (!set->v[i].required || pos.line || yaml_get(n, set->v[i].key))
                        continue;
                if (profile_complain(r, DIAG_ERROR, n->pos, 1, NULL, "the key '%s' is missing", set->v[i].key) < 0)
                        return -1;
        }
        return 0;
}

int profile_read(struct reader *r, const struct yaml_node *n, const struct field_set *set, void *into)
{
        for (size_t i = 0; i < n->n; i++) {
                const struct field *f = field_find(set, n->keys[i]->text);
                int k = f ? read_field(r, f, n->items[i], (char *)into + f->at) : refuse_key(r, n->keys[i], set);

                if (k < 0)
                        return k;
        }
        return check_required(r, n, set, into);
}
