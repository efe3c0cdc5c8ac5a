#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "wire/guest.h"

#define LENGTH_WORD 4u

struct fields {
        size_t n;
        uint8_t *mem; /* every key and every value, each followed by a NUL */
        size_t mem_len;
        struct field v[];
};

static bool is_key_char(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

static bool is_key(const uint8_t *key, size_t len)
{
        if (len < 1 || len > GUEST_MAX_KEY)
                return false;
        for (size_t i = 0; i < len; i++) {
                if (!is_key_char(key[i]))
                        return false;
        }
        return true;
}

int fields_begin(struct buf *b, size_t *ret_mark, struct err *e)
{
        *ret_mark = b->len;
        return buf_append_be32(b, 0, e);
}

int fields_add(struct buf *b, const char *key, const void *value, size_t len, struct err *e)
{
        size_t key_len = strlen(key);
        if (!is_key((const uint8_t *)key, key_len))
                return err_set(e, ERR_USAGE, "'%s' cannot be the key of a field", key);
        if (len > GUEST_MAX_HEADER)
                return err_set(e, ERR_RESOURCES, "the field '%s' has %zu bytes: the limit is %u", key, len,
                               GUEST_MAX_HEADER);
        int r = buf_append_be16(b, (uint16_t)key_len, e);
        if (r < 0)
                return r;
        r = buf_append(b, key, key_len, e);
        if (r < 0)
                return r;
        r = buf_append_be32(b, (uint32_t)len, e);
        if (r < 0)
                return r;
        return buf_append(b, value, len, e);
}

int fields_add_str(struct buf *b, const char *key, const char *value, struct err *e)
{
        return fields_add(b, key, value, strlen(value), e);
}

int fields_add_u64(struct buf *b, const char *key, uint64_t value, struct err *e)
{
        char text[24];
        int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        return fields_add(b, key, text, (size_t)n, e);
}

int fields_end(struct buf *b, size_t mark, struct err *e)
{
        size_t total = b->len - mark - LENGTH_WORD;
        if (total > GUEST_MAX_HEADER)
                return err_set(e, ERR_RESOURCES, "a list of fields has %zu bytes: the limit is %u", total,
                               GUEST_MAX_HEADER);
        for (unsigned i = 0; i < LENGTH_WORD; i++)
                b->data[mark + i] = (uint8_t)(total >> (24 - 8 * i));
        return 0;
}

int fields_size(const uint8_t *data, size_t len, size_t *ret, struct err *e)
{
        if (len < LENGTH_WORD)
                return FIELDS_E_MORE;
        uint32_t total = num_be32(data);
        if (total > GUEST_MAX_HEADER)
                return err_set(e, ERR_PROTOCOL, "a list of fields of %u bytes: the limit is %u", total,
                               GUEST_MAX_HEADER);
        *ret = LENGTH_WORD + total;
        return 0;
}

/* Bounds of the field at *pos, which moves behind it. */
struct span {
        const uint8_t *key, *value;
        size_t key_len, value_len;
};

static int field_split(const uint8_t *data, size_t len, size_t *pos, struct span *ret, struct err *e)
{
        size_t left = len - *pos;
        const uint8_t *p = data + *pos;
        if (left < 2)
                return err_set(e, ERR_PROTOCOL, "a list of fields ends inside the length of a key, at byte %zu", *pos);
        ret->key_len = num_be16(p);
        if (ret->key_len > left - 2)
                return err_set(e, ERR_PROTOCOL, "a list of fields ends inside a key, at byte %zu", *pos);
        ret->key = p + 2;
        if (!is_key(ret->key, ret->key_len))
                return err_set(e, ERR_PROTOCOL, "the key at byte %zu of a list of fields is not 1 to %u of [a-z0-9_.-]",
                               *pos, GUEST_MAX_KEY);
        p += 2 + ret->key_len;
        left -= 2 + ret->key_len;
        if (left < 4 || num_be32(p) > left - 4)
                return err_set(e, ERR_PROTOCOL, "a list of fields ends inside the value of '%.*s'", (int)ret->key_len,
                               (const char *)ret->key);
        ret->value_len = num_be32(p);
        ret->value = p + 4;
        *pos += 2 + ret->key_len + 4 + ret->value_len;
        return 0;
}

/* Check everything and count, before memory is taken. *ret_mem: bytes of keys, values and a NUL behind each. */
static int list_check(const uint8_t *data, size_t len, size_t *ret_n, size_t *ret_mem, struct err *e)
{
        *ret_n = *ret_mem = 0;
        for (size_t pos = LENGTH_WORD; pos < len;) {
                struct span s;
                int r = field_split(data, len, &pos, &s, e);
                if (r < 0)
                        return r;
                if (++*ret_n > GUEST_MAX_FIELDS)
                        return err_set(e, ERR_PROTOCOL, "a list of more than %u fields", GUEST_MAX_FIELDS);
                *ret_mem += s.key_len + 1 + s.value_len + 1;
        }
        return 0;
}

static const uint8_t *copy_terminated(uint8_t **pos, const uint8_t *data, size_t len)
{
        uint8_t *copy = *pos;
        memcpy(copy, data, len);
        copy[len] = 0;
        *pos += len + 1;
        return copy;
}

int fields_parse(const uint8_t *data, size_t len, struct fields **ret, struct err *e)
{
        size_t whole = 0, n, mem_len;
        int r = fields_size(data, len, &whole, e);
        if (r < 0)
                return r;
        if (r == FIELDS_E_MORE || whole != len)
                return err_set(e, ERR_PROTOCOL, "a list of fields says %zu bytes and has %zu", whole, len);
        r = list_check(data, len, &n, &mem_len, e);
        if (r < 0)
                return r;
        struct fields *f = calloc(1, sizeof(*f) + n * sizeof(f->v[0]));
        uint8_t *mem = f ? malloc(mem_len + 1) : NULL;
        if (!mem) {
                free(f);
                return err_nomem(e);
        }
        f->n = n;
        f->mem = mem;
        f->mem_len = mem_len;
        for (size_t pos = LENGTH_WORD, i = 0; i < n; i++) {
                struct span s;
                (void)field_split(data, len, &pos, &s, NULL); /* list_check() passed it */
                f->v[i].key = (const char *)copy_terminated(&mem, s.key, s.key_len);
                f->v[i].value = copy_terminated(&mem, s.value, s.value_len);
                f->v[i].len = s.value_len;
        }
        *ret = f;
        return 0;
}

struct fields *fields_free(struct fields *f)
{
        if (!f)
                return NULL;
        secret_wipe(f->mem, f->mem_len);
        free(f->mem);
        free(f);
        return NULL;
}

size_t fields_count(const struct fields *f)
{
        return f->n;
}

const struct field *fields_at(const struct fields *f, size_t i)
{
        return i < f->n ? &f->v[i] : NULL;
}

/* The one value of this key into *ret, NULL when absent; a key that repeats is ERR_PROTOCOL. */
static int find_one(const struct fields *f, const char *key, const struct field **ret, struct err *e)
{
        *ret = NULL;
        for (size_t i = 0; i < f->n; i++) {
                if (strcmp(f->v[i].key, key) != 0)
                        continue;
                if (*ret)
                        return err_set(e, ERR_PROTOCOL, "the field '%s' is there more than once", key);
                *ret = &f->v[i];
        }
        return 0;
}

const struct field *fields_get(const struct fields *f, const char *key)
{
        const struct field *found;
        return find_one(f, key, &found, NULL) < 0 ? NULL : found;
}

int fields_str_opt(const struct fields *f, const char *key, const char *fallback, const char **ret, struct err *e)
{
        const struct field *found;
        int r = find_one(f, key, &found, e);
        if (r < 0)
                return r;
        if (found && memchr(found->value, 0, found->len))
                return err_set(e, ERR_PROTOCOL, "the field '%s' holds a NUL byte: expected text", key);
        *ret = found ? (const char *)found->value : fallback;
        return 0;
}

static int missing(const char *key, struct err *e)
{
        return err_set(e, ERR_PROTOCOL, "the field '%s' is missing", key);
}

int fields_str(const struct fields *f, const char *key, const char **ret, struct err *e)
{
        int r = fields_str_opt(f, key, NULL, ret, e);
        if (r < 0)
                return r;
        return *ret ? 0 : missing(key, e);
}

static int parse_u64(const char *key, const char *text, uint64_t max, uint64_t *ret, struct err *e)
{
        struct err inner = ERR_INIT;
        if (num_u64(text, 0, max, key, ret, &inner) < 0)
                return err_set(e, ERR_PROTOCOL, "field %s", inner.msg);
        return 0;
}

int fields_u64_opt(const struct fields *f, const char *key, uint64_t fallback, uint64_t max, uint64_t *ret,
                   struct err *e)
{
        const char *text;
        int r = fields_str_opt(f, key, NULL, &text, e);
        if (r < 0)
                return r;
        if (text)
                return parse_u64(key, text, max, ret, e);
        *ret = fallback;
        return 0;
}

int fields_u64(const struct fields *f, const char *key, uint64_t max, uint64_t *ret, struct err *e)
{
        const char *text;
        int r = fields_str(f, key, &text, e);
        return r < 0 ? r : parse_u64(key, text, max, ret, e);
}

struct fields_reader {
        struct buf held;
        size_t max;
};

int fields_reader_new(size_t max, struct fields_reader **ret, struct err *e)
{
        struct fields_reader *r = calloc(1, sizeof(*r));
        if (!r)
                return err_nomem(e);
        r->max = MIN(max, (size_t)LENGTH_WORD + GUEST_MAX_HEADER);
        *ret = r;
        return 0;
}

struct fields_reader *fields_reader_free(struct fields_reader *r)
{
        if (r)
                buf_wipe(&r->held);
        free(r);
        return NULL;
}

size_t fields_reader_held(const struct fields_reader *r)
{
        return r->held.len;
}

/* Take from data until the list has `want` bytes. */
static int reader_fill(struct fields_reader *r, const uint8_t *data, size_t len, size_t want, size_t *used,
                       struct err *e)
{
        size_t n = want > r->held.len ? MIN(want - r->held.len, len - *used) : 0;
        if (n == 0)
                return 0;
        int x = buf_append(&r->held, data + *used, n, e);
        *used += n;
        return x;
}

int fields_reader_feed(struct fields_reader *r, const uint8_t *data, size_t len, size_t *ret_used, struct fields **ret,
                       struct err *e)
{
        *ret_used = 0;
        *ret = NULL;
        int x = reader_fill(r, data, len, LENGTH_WORD, ret_used, e);
        if (x < 0)
                return x;
        size_t want;
        x = fields_size(r->held.data, r->held.len, &want, e);
        if (x != 0)
                return x < 0 ? x : 0;
        if (want > r->max)
                return err_set(e, ERR_PROTOCOL, "a list of fields of %zu bytes: the limit here is %zu", want, r->max);
        x = reader_fill(r, data, len, want, ret_used, e);
        if (x < 0 || r->held.len < want)
                return x;
        x = fields_parse(r->held.data, r->held.len, ret, e);
        buf_wipe(&r->held);
        return x;
}
