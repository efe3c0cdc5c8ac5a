#include "workflow/value.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/casemap.h"
#include "workflow/number.h"

#define INDEX_FROM 8 /* members of an object from which a lookup goes through a hash */

struct value {
        unsigned refs; /* 0: static */
        uint8_t kind;
        bool boolean;
        bool filtered;
        union {
                double number;
                struct {
                        size_t len;
                        char text[1];
                } string;
                struct {
                        struct value **items;
                        char **keys; /* objects */
                        size_t n, cap;
                        struct map *index; /* folded key to position + 1, once there are INDEX_FROM members */
                } list;
        };
};

static struct value null_value = {.kind = VALUE_NULL};
static struct value true_value = {.kind = VALUE_BOOL, .boolean = true};
static struct value false_value = {.kind = VALUE_BOOL, .boolean = false};

struct value *value_ref(struct value *v)
{
        if (v && v->refs)
                v->refs++;
        return v;
}

struct value *value_unref(struct value *v)
{
        if (!v || !v->refs || --v->refs)
                return NULL;
        if (v->kind == VALUE_ARRAY || v->kind == VALUE_OBJECT) {
                for (size_t i = 0; i < v->list.n; i++) {
                        value_unref(v->list.items[i]);
                        if (v->list.keys)
                                free(v->list.keys[i]);
                }
                free(v->list.items);
                free(v->list.keys);
                map_free(v->list.index);
        }
        free(v);
        return NULL;
}

static int make(enum value_kind kind, size_t size, struct value **ret, struct err *e)
{
        struct value *v = calloc(1, MAX(size, sizeof(struct value)));
        if (!v)
                return err_nomem(e);
        v->refs = 1;
        v->kind = (uint8_t)kind;
        *ret = v;
        return 0;
}

struct value *value_null(void)
{
        return &null_value;
}
struct value *value_bool(bool b)
{
        return b ? &true_value : &false_value;
}

int value_number(double d, struct value **ret, struct err *e)
{
        int r = make(VALUE_NUMBER, 0, ret, e);
        if (r == 0)
                (*ret)->number = d;
        return r;
}

int value_string(const char *s, size_t len, struct value **ret, struct err *e)
{
        if (len > VALUE_MAX_STRING)
                return err_set(e, ERR_USAGE, "a string of %zu bytes is longer than the limit of %zu (VALUE_MAX_STRING)",
                               len, VALUE_MAX_STRING);
        int r = make(VALUE_STRING, offsetof(struct value, string.text) + len + 1, ret, e);
        if (r < 0)
                return r;
        (*ret)->string.len = len;
        if (len)
                memcpy((*ret)->string.text, s, len);
        return 0;
}

int value_str(const char *s, struct value **ret, struct err *e)
{
        return value_string(s, s ? strlen(s) : 0, ret, e);
}

int value_array(struct value **ret, struct err *e)
{
        return make(VALUE_ARRAY, 0, ret, e);
}
int value_object(struct value **ret, struct err *e)
{
        return make(VALUE_OBJECT, 0, ret, e);
}

static int grow(struct value *v, struct err *e)
{
        if (v->list.n < v->list.cap)
                return 0;
        size_t cap = v->list.cap ? v->list.cap * 2 : 4;
        struct value **items = reallocarray(v->list.items, cap, sizeof(*items));
        if (!items)
                return err_nomem(e);
        v->list.items = items;
        if (v->kind == VALUE_OBJECT) {
                char **keys = reallocarray(v->list.keys, cap, sizeof(*keys));
                if (!keys)
                        return err_nomem(e);
                v->list.keys = keys;
        }
        v->list.cap = cap;
        return 0;
}

int value_add(struct value *array, struct value *item, struct err *e)
{
        assert(array->kind == VALUE_ARRAY);
        int r = grow(array, e);
        if (r < 0)
                return r;
        array->list.items[array->list.n++] = value_ref(item);
        return 0;
}

static bool is_ascii(const char *s)
{
        for (; *s; s++)
                if ((unsigned char)*s >= 0x80)
                        return false;
        return true;
}

/* The lower-case form of a key, in `small` when it fits, else in new memory; NULL when memory is out. */
static char *fold_key(const char *key, char *small, size_t size)
{
        size_t len = strlen(key), n = 0;
        char *to = small;
        bool ascii = is_ascii(key);
        size_t need = ascii ? len + 1 : len * 12 + 1; /* one code point gives at most three of four bytes */
        if (need > size && !(to = malloc(need)))
                return NULL;
        struct casemap_cursor c;
        casemap_start(&c, key, len, CASEMAP_LOWER);
        for (int32_t p; (p = casemap_next(&c)) >= 0;)
                n += str_utf8_encode((uint32_t)p, to + n);
        to[n] = '\0';
        return to;
}

static int index_add(struct value *o, const char *key, size_t position, struct err *e)
{
        char small[256];
        char *folded = fold_key(key, small, sizeof(small));
        if (!folded)
                return err_nomem(e);
        int r = map_set(o->list.index, folded, (void *)(position + 1), e);
        if (folded != small)
                free(folded);
        return r;
}

static int index_build(struct value *o, struct err *e)
{
        int r = map_new(NULL, &o->list.index, e);
        for (size_t i = 0; r == 0 && i < o->list.n; i++)
                r = index_add(o, o->list.keys[i], i, e);
        if (r < 0)
                o->list.index = map_free(o->list.index);
        return r;
}

static bool key_equal(const char *a, const char *b)
{
        if (str_ieq(a, b))
                return true;
        if (is_ascii(a) && is_ascii(b))
                return false;
        struct casemap_cursor ca, cb;
        casemap_start(&ca, a, strlen(a), CASEMAP_LOWER);
        casemap_start(&cb, b, strlen(b), CASEMAP_LOWER);
        for (;;) {
                int32_t pa = casemap_next(&ca), pb = casemap_next(&cb);
                if (pa != pb)
                        return false;
                if (pa < 0)
                        return true;
        }
}

/* Position of a key, or SIZE_MAX. */
static size_t find(const struct value *o, const char *key)
{
        if (!o->list.index) {
                for (size_t i = 0; i < o->list.n; i++)
                        if (key_equal(o->list.keys[i], key))
                                return i;
                return SIZE_MAX;
        }
        char small[256];
        char *folded = fold_key(key, small, sizeof(small));
        if (!folded)
                return SIZE_MAX;
        size_t at = (size_t)map_get(o->list.index, folded);
        if (folded != small)
                free(folded);
        return at ? at - 1 : SIZE_MAX;
}

static int append_member(struct value *object, const char *key, struct value *item, struct err *e)
{
        int r = grow(object, e);
        if (r < 0)
                return r;
        AUTO(auto_free) char *copy = str_dup(key);
        if (!copy)
                return err_nomem(e);
        if (!object->list.index && object->list.n + 1 >= INDEX_FROM && (r = index_build(object, e)) < 0)
                return r;
        if (object->list.index && (r = index_add(object, key, object->list.n, e)) < 0)
                return r;
        object->list.keys[object->list.n] = TAKE_PTR(copy);
        object->list.items[object->list.n++] = value_ref(item);
        return 0;
}

static void replace_item(struct value *object, size_t at, struct value *item)
{
        struct value *old = object->list.items[at];
        object->list.items[at] = value_ref(item);
        value_unref(old);
}

int value_set(struct value *object, const char *key, struct value *item, struct err *e)
{
        assert(object->kind == VALUE_OBJECT);
        size_t at = find(object, key);
        if (at == SIZE_MAX)
                return append_member(object, key, item, e);
        replace_item(object, at, item);
        return 0;
}

int value_set_spelled(struct value *object, const char *key, struct value *item, struct err *e)
{
        assert(object->kind == VALUE_OBJECT);
        size_t at = find(object, key);
        if (at == SIZE_MAX)
                return append_member(object, key, item, e);
        if (strcmp(object->list.keys[at], key) == 0)
                replace_item(object, at, item);
        return 0;
}

int value_copy(const struct value *object, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *copy = NULL;
        int r = value_object(&copy, e);
        for (size_t i = 0; r == 0 && i < value_count(object) && object->kind == VALUE_OBJECT; i++)
                r = value_set(copy, value_key_at(object, i), value_at(object, i), e);
        if (r == 0)
                *ret = TAKE_PTR(copy);
        return r;
}

int value_set_str(struct value *object, const char *key, const char *s, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        if (!s)
                return value_set(object, key, value_null(), e);
        int r = value_str(s, &v, e);
        return r < 0 ? r : value_set(object, key, v, e);
}

int value_set_number(struct value *object, const char *key, double d, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        int r = value_number(d, &v, e);
        return r < 0 ? r : value_set(object, key, v, e);
}

int value_set_bool(struct value *object, const char *key, bool b, struct err *e)
{
        return value_set(object, key, value_bool(b), e);
}

enum value_kind value_kind(const struct value *v)
{
        return (enum value_kind)v->kind;
}

const char *value_kind_name(enum value_kind kind)
{
        static const char *const names[] = {"Null", "Boolean", "Number", "String", "Array", "Object"};
        return names[kind];
}

bool value_is_true(const struct value *v)
{
        assert(v->kind == VALUE_BOOL);
        return v->boolean;
}

double value_double(const struct value *v)
{
        assert(v->kind == VALUE_NUMBER);
        return v->number;
}

const char *value_text(const struct value *v, size_t *len)
{
        assert(v->kind == VALUE_STRING);
        if (len)
                *len = v->string.len;
        return v->string.text;
}

static bool is_list(const struct value *v)
{
        return v && (v->kind == VALUE_ARRAY || v->kind == VALUE_OBJECT);
}

size_t value_count(const struct value *v)
{
        return is_list(v) ? v->list.n : 0;
}

struct value *value_at(const struct value *v, size_t i)
{
        return i < value_count(v) ? v->list.items[i] : NULL;
}

const char *value_key_at(const struct value *v, size_t i)
{
        assert(v->kind == VALUE_OBJECT);
        return i < v->list.n ? v->list.keys[i] : NULL;
}

struct value *value_get(const struct value *v, const char *key)
{
        if (!v || v->kind != VALUE_OBJECT)
                return NULL;
        size_t at = find(v, key);
        return at == SIZE_MAX ? NULL : v->list.items[at];
}

const char *value_get_str(const struct value *v, const char *key)
{
        const struct value *item = value_get(v, key);
        return item && item->kind == VALUE_STRING ? item->string.text : NULL;
}

void value_set_filtered(struct value *array)
{
        array->filtered = true;
}
bool value_is_filtered(const struct value *v)
{
        return v->filtered;
}

bool value_truthy(const struct value *v)
{
        switch ((enum value_kind)v->kind) {
        case VALUE_NULL:
                return false;
        case VALUE_BOOL:
                return v->boolean;
        case VALUE_NUMBER:
                return v->number != 0 && !isnan(v->number);
        case VALUE_STRING:
                return v->string.len > 0;
        case VALUE_ARRAY:
        case VALUE_OBJECT:
                return true;
        }
        return false;
}

double value_to_number(const struct value *v)
{
        switch ((enum value_kind)v->kind) {
        case VALUE_NULL:
                return 0;
        case VALUE_BOOL:
                return v->boolean ? 1 : 0;
        case VALUE_NUMBER:
                return v->number;
        case VALUE_STRING:
                return number_parse(v->string.text, v->string.len);
        case VALUE_ARRAY:
        case VALUE_OBJECT:
                return NAN;
        }
        return NAN;
}

int value_to_text(const struct value *v, struct buf *ret, struct err *e)
{
        char number[NUMBER_TEXT_SIZE];
        switch ((enum value_kind)v->kind) {
        case VALUE_NULL:
                return 0;
        case VALUE_BOOL:
                return buf_append_str(ret, v->boolean ? "true" : "false", e);
        case VALUE_NUMBER:
                number_to_text(v->number, number);
                return buf_append_str(ret, number, e);
        case VALUE_STRING:
                return buf_append(ret, v->string.text, v->string.len, e);
        case VALUE_ARRAY:
                return buf_append_str(ret, "Array", e);
        case VALUE_OBJECT:
                return buf_append_str(ret, "Object", e);
        }
        return 0;
}

char *value_to_str(const struct value *v)
{
        struct buf b = BUF_INIT;
        if (value_to_text(v, &b, NULL) < 0) {
                buf_done(&b);
                return NULL;
        }
        return buf_take_str(&b);
}

/* UTF-16 order, which JavaScript compares in: code points past the basic plane sort between U+D800 and U+E000. */
static int32_t utf16_rank(int32_t point)
{
        if (point >= 0x10000)
                return 0xd800 + (point - 0x10000) / 0x400;
        return point;
}

static int compare_points(int32_t a, int32_t b)
{
        int32_t ra = utf16_rank(a), rb = utf16_rank(b);
        if (ra != rb)
                return ra < rb ? -1 : 1;
        return a < b ? -1 : a > b;
}

int value_text_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
        struct casemap_cursor ca, cb;
        casemap_start(&ca, a, a_len, CASEMAP_UPPER);
        casemap_start(&cb, b, b_len, CASEMAP_UPPER);
        for (;;) {
                int32_t pa = casemap_next(&ca), pb = casemap_next(&cb);
                if (pa != pb)
                        return compare_points(pa, pb);
                if (pa < 0)
                        return 0;
        }
}

/* What a comparison works on once types are coerced: both numbers, both strings, or nothing comparable. */
enum pairing { PAIR_NUMBERS, PAIR_STRINGS, PAIR_SAME_LIST, PAIR_NONE };

static enum pairing pair(const struct value *a, const struct value *b)
{
        if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
                return PAIR_STRINGS;
        if (is_list(a) && a->kind == b->kind)
                return PAIR_SAME_LIST;
        if (is_list(a) || is_list(b))
                return PAIR_NONE;
        return PAIR_NUMBERS;
}

static int compare_strings(const struct value *a, const struct value *b)
{
        return value_text_compare(a->string.text, a->string.len, b->string.text, b->string.len);
}

bool value_equal(const struct value *a, const struct value *b)
{
        switch (pair(a, b)) {
        case PAIR_NUMBERS:
                return value_to_number(a) == value_to_number(b); /* NaN equals nothing */
        case PAIR_STRINGS:
                return compare_strings(a, b) == 0;
        case PAIR_SAME_LIST:
                return a == b;
        case PAIR_NONE:
                return false;
        }
        return false;
}

bool value_greater(const struct value *a, const struct value *b)
{
        switch (pair(a, b)) {
        case PAIR_NUMBERS:
                return value_to_number(a) > value_to_number(b);
        case PAIR_STRINGS:
                return compare_strings(a, b) > 0;
        case PAIR_SAME_LIST:
        case PAIR_NONE:
                return false;
        }
        return false;
}

bool value_less(const struct value *a, const struct value *b)
{
        return value_greater(b, a);
}

static bool same_list(const struct value *a, const struct value *b)
{
        if (a->list.n != b->list.n)
                return false;
        for (size_t i = 0; i < a->list.n; i++) {
                const struct value *other = b->list.items[i];
                if (a->kind == VALUE_OBJECT && !(other = value_get(b, a->list.keys[i])))
                        return false;
                if (!value_same(a->list.items[i], other))
                        return false;
        }
        return true;
}

bool value_same(const struct value *a, const struct value *b)
{
        if (a == b)
                return true;
        if (a->kind != b->kind)
                return false;
        switch ((enum value_kind)a->kind) {
        case VALUE_NULL:
                return true;
        case VALUE_BOOL:
                return a->boolean == b->boolean;
        case VALUE_NUMBER:
                return a->number == b->number || (isnan(a->number) && isnan(b->number));
        case VALUE_STRING:
                return a->string.len == b->string.len && memcmp(a->string.text, b->string.text, a->string.len) == 0;
        case VALUE_ARRAY:
        case VALUE_OBJECT:
                return same_list(a, b);
        }
        return false;
}
