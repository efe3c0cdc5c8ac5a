/* Values from and to jansson's, and to JSON text as GitHub writes it. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "workflow/number.h"
#include "workflow/value.h"

static int from_json(const json_t *json, unsigned depth, struct value **ret, struct err *e);

static int from_array(const json_t *json, unsigned depth, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *list = NULL;
        int r = value_array(&list, e);
        for (size_t i = 0; r == 0 && i < json_array_size(json); i++) {
                AUTO(value_unrefp) struct value *item = NULL;
                if ((r = from_json(json_array_get(json, i), depth + 1, &item, e)) == 0)
                        r = value_add(list, item, e);
        }
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int from_object(json_t *json, unsigned depth, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *object = NULL;
        int r = value_object(&object, e);
        for (void *at = json_object_iter(json); r == 0 && at; at = json_object_iter_next(json, at)) {
                AUTO(value_unrefp) struct value *item = NULL;
                if ((r = from_json(json_object_iter_value(at), depth + 1, &item, e)) == 0)
                        r = value_set_spelled(object, json_object_iter_key(at), item, e);
        }
        if (r == 0)
                *ret = TAKE_PTR(object);
        return r;
}

static int from_json(const json_t *json, unsigned depth, struct value **ret, struct err *e)
{
        if (depth > VALUE_MAX_DEPTH)
                return err_set(e, ERR_USAGE, "JSON is nested deeper than %d levels (VALUE_MAX_DEPTH)", VALUE_MAX_DEPTH);
        switch (json_typeof(json)) {
        case JSON_NULL:
                *ret = value_null();
                return 0;
        case JSON_TRUE:
        case JSON_FALSE:
                *ret = value_bool(json_is_true(json));
                return 0;
        case JSON_INTEGER:
        case JSON_REAL:
                return value_number(json_number_value(json), ret, e);
        case JSON_STRING:
                return value_string(json_string_value(json), json_string_length(json), ret, e);
        case JSON_ARRAY:
                return from_array(json, depth, ret, e);
        case JSON_OBJECT: {
                union {
                        const json_t *constant;
                        json_t *plain;
                } u = {.constant = json}; /* jansson's iterators take no const */
                return from_object(u.plain, depth, ret, e);
        }
        }
        return err_set(e, ERR_USAGE, "unknown kind of JSON value");
}

int value_from_json(const struct json_t *json, struct value **ret, struct err *e)
{
        return from_json(json, 0, ret, e);
}

static json_t *number_to_json(double d)
{
        if (!isfinite(d))
                return json_null();
        if (d == trunc(d) && fabs(d) < 9007199254740992.0)
                return json_integer((json_int_t)d);
        return json_real(d);
}

static int to_json(const struct value *v, json_t **ret, struct err *e);

static int list_to_json(const struct value *v, json_t **ret, struct err *e)
{
        bool object = value_kind(v) == VALUE_OBJECT;
        json_t *list = object ? json_object() : json_array();
        int r = list ? 0 : err_nomem(e);
        for (size_t i = 0; r == 0 && i < value_count(v); i++) {
                json_t *item = NULL;
                if ((r = to_json(value_at(v, i), &item, e)) < 0)
                        break;
                if ((object ? json_object_set_new(list, value_key_at(v, i), item) : json_array_append_new(list, item)) <
                    0)
                        r = err_set(e, ERR_USAGE, "a key or value cannot be written as JSON");
        }
        if (r < 0)
                json_decref(list);
        else
                *ret = list;
        return r;
}

static int to_json(const struct value *v, json_t **ret, struct err *e)
{
        size_t len;
        const char *text;
        switch (value_kind(v)) {
        case VALUE_NULL:
                *ret = json_null();
                return 0;
        case VALUE_BOOL:
                *ret = json_boolean(value_is_true(v));
                return 0;
        case VALUE_NUMBER:
                *ret = number_to_json(value_double(v));
                break;
        case VALUE_STRING:
                text = value_text(v, &len);
                *ret = json_stringn(text, len);
                if (!*ret)
                        return err_set(e, ERR_USAGE, "a string is not UTF-8");
                break;
        case VALUE_ARRAY:
        case VALUE_OBJECT:
                return list_to_json(v, ret, e);
        }
        return *ret ? 0 : err_nomem(e);
}

int value_to_json(const struct value *v, struct json_t **ret, struct err *e)
{
        return to_json(v, ret, e);
}

static int write_unit(uint32_t unit, struct buf *ret, struct err *e)
{
        static const char digits[] = "0123456789abcdef";
        const char text[] = {
                '\\', 'u', digits[unit >> 12 & 15], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]};
        return buf_append(ret, text, sizeof(text), e);
}

/* A character outside of ASCII as one or two \uXXXX. */
static int write_escaped(uint32_t point, struct buf *ret, struct err *e)
{
        if (point < 0x10000)
                return write_unit(point, ret, e);
        int r = write_unit(0xd800 + ((point - 0x10000) >> 10), ret, e);
        return r < 0 ? r : write_unit(0xdc00 + ((point - 0x10000) & 0x3ff), ret, e);
}

static bool is_plain(unsigned char c, unsigned flags)
{
        return c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || !(flags & VALUE_WRITE_ASCII));
}

/* The character at s that may not stand as it is; *used bytes. */
static int write_special(const char *s, size_t len, size_t *used, struct buf *ret, struct err *e)
{
        static const char from[] = "\b\t\n\f\r\"\\", to[] = "btnfr\"\\";
        const char *known = *s ? strchr(from, *s) : NULL;
        uint32_t point = 0;
        *used = 1;
        if (known) {
                const char form[] = {'\\', to[known - from]};
                return buf_append(ret, form, sizeof(form), e);
        }
        *used = str_utf8_next(s, len, &point);
        if (*used)
                return write_escaped(point, ret, e);
        *used = 1;
        return write_escaped(0xfffd, ret, e);
}

static int write_string(const char *s, size_t len, unsigned flags, struct buf *ret, struct err *e)
{
        int r = buf_append_byte(ret, '"', e);
        for (size_t i = 0, used; r == 0 && i < len; i += used) {
                size_t run = i;
                while (run < len && is_plain((unsigned char)s[run], flags))
                        run++;
                used = run - i;
                r = used ? buf_append(ret, s + i, used, e) : write_special(s + i, len - i, &used, ret, e);
        }
        return r < 0 ? r : buf_append_byte(ret, '"', e);
}

static int line_break(unsigned flags, unsigned depth, struct buf *ret, struct err *e)
{
        bool pretty = flags & VALUE_WRITE_PRETTY;
        int r = pretty ? buf_append_byte(ret, '\n', e) : 0;
        for (unsigned i = 0; r == 0 && pretty && i < depth; i++)
                r = buf_append_str(ret, "  ", e);
        return r;
}

static int write_value(const struct value *v, unsigned flags, unsigned depth, struct buf *ret, struct err *e);

static int write_list(const struct value *v, unsigned flags, unsigned depth, struct buf *ret, struct err *e)
{
        bool object = value_kind(v) == VALUE_OBJECT;
        size_t n = value_count(v);
        if (depth > 2 * VALUE_MAX_DEPTH)
                return err_set(e, ERR_USAGE, "a value is nested too deep for JSON (VALUE_MAX_DEPTH)");
        int r = buf_append_byte(ret, object ? '{' : '[', e);
        for (size_t i = 0; r == 0 && i < n; i++) {
                if (i && (r = buf_append_byte(ret, ',', e)) < 0)
                        return r;
                if ((r = line_break(flags, depth + 1, ret, e)) < 0)
                        return r;
                if (object) {
                        const char *key = value_key_at(v, i);
                        if ((r = write_string(key, strlen(key), flags, ret, e)) < 0 ||
                            (r = buf_append_str(ret, flags & VALUE_WRITE_PRETTY ? ": " : ":", e)) < 0)
                                return r;
                }
                r = write_value(value_at(v, i), flags, depth + 1, ret, e);
        }
        if (r == 0 && n)
                r = line_break(flags, depth, ret, e);
        return r < 0 ? r : buf_append_byte(ret, object ? '}' : ']', e);
}

static int write_value(const struct value *v, unsigned flags, unsigned depth, struct buf *ret, struct err *e)
{
        char number[NUMBER_TEXT_SIZE];
        size_t len;
        const char *text;
        switch (value_kind(v)) {
        case VALUE_NULL:
                return buf_append_str(ret, "null", e);
        case VALUE_BOOL:
                return buf_append_str(ret, value_is_true(v) ? "true" : "false", e);
        case VALUE_NUMBER:
                number_format(value_double(v), number);
                return buf_append_str(ret, isfinite(value_double(v)) ? number : "null", e);
        case VALUE_STRING:
                text = value_text(v, &len);
                return write_string(text, len, flags, ret, e);
        case VALUE_ARRAY:
        case VALUE_OBJECT:
                return write_list(v, flags, depth, ret, e);
        }
        return 0;
}

int value_to_json_text(const struct value *v, unsigned flags, struct buf *ret, struct err *e)
{
        if (!ret->max)
                ret->max = VALUE_MAX_JSON;
        return write_value(v, flags, 0, ret, e);
}
