#include "secrets/message.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "secrets/limits.h"
#include "secrets/ref.h"
#include "wire/guest.h"

#include <string.h>

enum part { PART_VALUES = 1, PART_NAME = 2, PART_MESSAGE = 4, PART_COUNT = 8 };

static const struct {
        const char *name;
        unsigned parts;
} words[SECRETS_WORD_COUNT] = {
        [SECRETS_VALUES] = {"values", PART_VALUES},   [SECRETS_FAILED] = {"failed", PART_MESSAGE},
        [SECRETS_CHANGED] = {"changed", PART_VALUES}, [SECRETS_NOTE] = {"note", PART_MESSAGE},
        [SECRETS_ROTATED] = {"rotated", PART_COUNT},  [SECRETS_RELEASED] = {"released", PART_COUNT},
        [SECRETS_CHECKED] = {"checked", PART_COUNT},  [SECRETS_MISSING] = {"missing", PART_NAME | PART_MESSAGE},
};

/* The four fields of a value, in this order. */
static const char *const value_keys[] = {"secret", "version", "at", "len"};
#define VALUE_KEYS ARRAY_SIZE(value_keys)

static int write_value(const struct secrets_value *v, struct buf *b, struct err *e)
{
        int r = fields_add_str(b, value_keys[0], v->name, e);
        if (r == 0)
                r = fields_add_str(b, value_keys[1], v->version, e);
        if (r == 0)
                r = fields_add_u64(b, value_keys[2], v->at, e);
        return r < 0 ? r : fields_add_u64(b, value_keys[3], v->len, e);
}

int secrets_message_write(const struct secrets_message *m, struct buf *ret, struct err *e)
{
        unsigned parts = words[m->word].parts;
        size_t mark;
        int r = fields_begin(ret, &mark, e);
        if (r == 0)
                r = fields_add_str(ret, "word", words[m->word].name, e);
        if (r == 0 && (parts & PART_NAME))
                r = fields_add_str(ret, "name", m->name, e);
        if (r == 0 && (parts & PART_MESSAGE))
                r = fields_add_str(ret, "message", m->message, e);
        if (r == 0 && (parts & PART_COUNT))
                r = fields_add_u64(ret, "count", m->count, e);
        for (size_t i = 0; r == 0 && (parts & PART_VALUES) && i < m->n_values; i++)
                r = write_value(&m->values[i], ret, e);
        return r < 0 ? r : fields_end(ret, mark, e);
}

/* ---- reading ---- */

static int wrong(struct err *e, const char *what)
{
        return err_set(e, ERR_PROTOCOL, "devdep-secrets: %s", what);
}

static int take_word(struct secrets_message *m, struct err *e)
{
        const char *text;
        int r = fields_str(m->fields, "word", &text, e);
        for (unsigned i = 0; r == 0 && i < SECRETS_WORD_COUNT; i++) {
                if (str_eq(text, words[i].name)) {
                        m->word = (enum secrets_word)i;
                        return 0;
                }
        }
        return r < 0 ? r : wrong(e, "a message of an unknown kind");
}

static int text_at(const struct fields *f, size_t i, const char *key, const char **ret, struct err *e)
{
        const struct field *x = i < fields_count(f) ? fields_at(f, i) : NULL;
        if (!x || !str_eq(x->key, key) || memchr(x->value, 0, x->len))
                return wrong(e, "the list of values is malformed");
        *ret = (const char *)x->value;
        return 0;
}

static int number_at(const struct fields *f, size_t i, const char *key, size_t max, size_t *ret, struct err *e)
{
        const char *text;
        uint64_t number = 0;
        int r = text_at(f, i, key, &text, e);
        if (r == 0 && num_u64(text, 0, max, key, &number, NULL) < 0)
                r = wrong(e, "a value that is not in the memory file");
        *ret = (size_t)number;
        return r;
}

static int take_value(struct secrets_message *m, size_t at, size_t size, struct err *e)
{
        struct secrets_value *v = &m->values[m->n_values++];
        int r = text_at(m->fields, at, value_keys[0], &v->name, e);
        if (r == 0)
                r = text_at(m->fields, at + 1, value_keys[1], &v->version, e);
        if (r == 0)
                r = number_at(m->fields, at + 2, value_keys[2], size, &v->at, e);
        if (r == 0)
                r = number_at(m->fields, at + 3, value_keys[3], MIN(size - v->at, SECRETS_MAX_VALUE), &v->len, e);
        return r == 0 && !secret_name_is_valid(v->name) ? wrong(e, "a secret with an impossible name") : r;
}

static int take_values(struct secrets_message *m, size_t size, struct err *e)
{
        size_t n = fields_count(m->fields) - 1;
        int r = 0;
        if (n % VALUE_KEYS || n / VALUE_KEYS > SECRETS_MAX_COUNT || (m->word == SECRETS_CHANGED && n != VALUE_KEYS))
                return wrong(e, "the list of values is malformed");
        m->values = calloc(n / VALUE_KEYS + 1, sizeof(*m->values));
        if (!m->values)
                return err_nomem(e);
        for (size_t at = 1; r == 0 && at <= n; at += VALUE_KEYS)
                r = take_value(m, at, size, e);
        return r;
}

int secrets_message_read(struct fields *f, size_t size, struct secrets_message *ret, struct err *e)
{
        AUTO(secrets_message_done) struct secrets_message m = {.fields = f};
        int r = take_word(&m, e);
        unsigned parts = r == 0 ? words[m.word].parts : 0;
        if (r == 0 && (parts & PART_NAME))
                r = fields_str(f, "name", &m.name, e);
        if (r == 0 && (parts & PART_MESSAGE))
                r = fields_str(f, "message", &m.message, e);
        if (r == 0 && (parts & PART_COUNT))
                r = fields_u64(f, "count", UINT32_MAX, &m.count, e);
        if (r == 0 && (parts & PART_VALUES))
                r = take_values(&m, size, e);
        if (r < 0)
                return r;
        *ret = m;
        m = (struct secrets_message){0};
        return 0;
}

void secrets_message_done(struct secrets_message *m)
{
        free(m->values);
        fields_free(m->fields);
        *m = (struct secrets_message){0};
}
