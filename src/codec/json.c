#include "codec/json.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jansson reports some failed allocations as errors of syntax, so they are noticed where they happen. */
static bool out_of_memory;

static void *noticing_malloc(size_t size)
{
        void *p = malloc(size);
        out_of_memory |= !p;
        return p;
}

static bool wipe_memory;

static void wiping_free(void *p)
{
        if (wipe_memory)
                secret_heap_free(p);
        else
                free(p);
}

void json_wipe_memory(void)
{
        wipe_memory = true;
        json_init();
}

void json_init(void)
{
        static bool done;
        if (done)
                return;
        size_t seed;
        secret_random(&seed, sizeof(seed));
        json_set_alloc_funcs(noticing_malloc, wiping_free);
        json_object_seed(seed ? seed : 1);
        done = true;
}

/* jansson's own depth limit is fixed at 2048 when it is built, so ours is checked before. Text that is not JSON may be
 * measured wrongly here, and is then refused by the parser. */
static int check_depth(const char *text, size_t len, const char *what, struct err *e)
{
        unsigned depth = 0, line = 1;
        bool in_string = false;
        for (size_t i = 0; i < len; i++) {
                char c = text[i];
                if (c == '\n')
                        line++;
                if (in_string && c == '\\')
                        i++;
                else if (c == '"')
                        in_string = !in_string;
                else if (!in_string && (c == '[' || c == '{') && ++depth > JSON_MAX_DEPTH)
                        return err_set(e, ERR_USAGE, "%s:%u: nested deeper than %d levels", what, line, JSON_MAX_DEPTH);
                else if (!in_string && (c == ']' || c == '}') && depth)
                        depth--;
        }
        return 0;
}

int json_parse(const void *data, size_t len, size_t max, const char *what, json_t **ret, struct err *e)
{
        if (len > max)
                return err_set(e, ERR_USAGE, "%s: expected at most %zu bytes, found %zu", what, max, len);
        int r = check_depth(data, len, what, e);
        if (r < 0)
                return r;
        json_error_t error;
        json_init();
        out_of_memory = false;
        json_t *value = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
        /* Also when it came to a value: jansson drops a character of a string when its buffer cannot grow. */
        if (out_of_memory) {
                json_decref(value);
                return err_nomem(e);
        }
        if (!value) {
                char text[2 * JSON_ERROR_TEXT_LENGTH];
                str_escape(text, sizeof(text), error.text, strlen(error.text));
                return err_set(e, ERR_USAGE, "%s:%d:%d: %s", what, error.line, error.column, text);
        }
        *ret = value;
        return 0;
}

static int append(const char *data, size_t len, void *user)
{
        return buf_append(user, data, len, NULL);
}

int json_write(const json_t *value, unsigned flags, struct buf *ret, struct err *e)
{
        size_t before = ret->len;
        size_t how = JSON_ENCODE_ANY;
        how |= flags & JSON_WRITE_PRETTY ? JSON_INDENT(2) : (size_t)JSON_COMPACT;
        how |= flags & JSON_WRITE_SORTED ? (size_t)JSON_SORT_KEYS : 0;
        how |= flags & JSON_WRITE_ASCII ? (size_t)JSON_ENSURE_ASCII : 0;
        if (json_dump_callback(value, append, ret, how) == 0)
                return 0;
        ret->len = before;
        return err_set(e, ERR_RESOURCES, "a JSON text could not be written: no memory, or past its limit");
}

/* "where.key", escaped and cut. */
static void make_path(char ret[JSON_MAX_PATH], const char *where, const char *key)
{
        char shown[JSON_MAX_PATH];
        str_escape(shown, sizeof(shown), key, strlen(key));
        int n = snprintf(ret, JSON_MAX_PATH, "%s%s%s", where, *where ? "." : "", shown);
        if (n >= JSON_MAX_PATH)
                memcpy(ret + JSON_MAX_PATH - 4, "...", 4);
}

static const char *found(const json_t *value)
{
        if (!value)
                return "nothing";
        switch (json_typeof(value)) {
        case JSON_OBJECT:
                return "an object";
        case JSON_ARRAY:
                return "an array";
        case JSON_STRING:
                return "a string";
        case JSON_INTEGER:
                return "an integer";
        case JSON_REAL:
                return "a fraction";
        case JSON_TRUE:
        case JSON_FALSE:
                return "a boolean";
        case JSON_NULL:
                return "null";
        }
        return "something else";
}

static int refuse(const char *path, const json_t *value, const char *expected, struct err *e)
{
        return err_set(e, ERR_USAGE, "%s: expected %s, found %s", *path ? path : "the text", expected, found(value));
}

/* What a field must be; the result goes where `ret` points, by type. */
struct want {
        enum { WANT_STRING, WANT_INT } type;
        int64_t min, max;
        void *ret;
};

static int want_string(const struct want *w, const char *path, const json_t *value, struct err *e)
{
        if (!json_is_string(value))
                return refuse(path, value, "a string", e);
        if ((uint64_t)json_string_length(value) > (uint64_t)w->max)
                return err_set(e, ERR_USAGE, "%s: expected at most %" PRId64 " bytes, found %zu", path, w->max,
                               json_string_length(value));
        *(const char **)w->ret = json_string_value(value);
        return 0;
}

static int want_int(const struct want *w, const char *path, const json_t *value, struct err *e)
{
        char expected[96];
        snprintf(expected, sizeof(expected), "an integer from %" PRId64 " to %" PRId64, w->min, w->max);
        if (!json_is_integer(value))
                return refuse(path, value, expected, e);
        int64_t v = json_integer_value(value);
        if (v < w->min || v > w->max)
                return err_set(e, ERR_USAGE, "%s: expected %s, found %" PRId64, path, expected, v);
        *(int64_t *)w->ret = v;
        return 0;
}

static int field(const json_t *obj, const char *where, const char *key, bool required, const struct want *w,
                 struct err *e)
{
        if (!json_is_object(obj))
                return refuse(where, obj, "an object", e);
        const json_t *value = json_object_get(obj, key);
        bool missing = !value || json_is_null(value);
        if (missing && !required)
                return 0;
        char path[JSON_MAX_PATH];
        make_path(path, where, key);
        return w->type == WANT_STRING ? want_string(w, path, value, e) : want_int(w, path, value, e);
}

static int64_t clamp(size_t max)
{
        return max > INT64_MAX ? INT64_MAX : (int64_t)max;
}

int json_get_string(const json_t *obj, const char *where, const char *key, size_t max, const char **ret, struct err *e)
{
        return field(obj, where, key, true, &(struct want){WANT_STRING, 0, clamp(max), ret}, e);
}

int json_get_int(const json_t *obj, const char *where, const char *key, int64_t min, int64_t max, int64_t *ret,
                 struct err *e)
{
        return field(obj, where, key, true, &(struct want){WANT_INT, min, max, ret}, e);
}

int json_opt_int(const json_t *obj, const char *where, const char *key, int64_t min, int64_t max, int64_t *ret,
                 struct err *e)
{
        return field(obj, where, key, false, &(struct want){WANT_INT, min, max, ret}, e);
}

static bool is_known(const char *key, const char *const *known, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (str_eq(key, known[i]))
                        return true;
        return false;
}

int json_check_keys(const json_t *obj, const char *where, const char *const *known, size_t n, struct err *e)
{
        if (!json_is_object(obj))
                return refuse(where, obj, "an object", e);
        const char *key;
        json_t *value;
        /* The macro wants an object that is not const, and changes nothing. */
        json_t *mutable = (json_t *)(uintptr_t)obj;
        json_object_foreach(mutable, key, value)
        {
                if (is_known(key, known, n))
                        continue;
                char path[JSON_MAX_PATH];
                make_path(path, where, key);
                const char *near = str_nearest(key, known, n);
                return err_set(e, ERR_USAGE, "%s: unknown key%s%s%s", path, near ? "; did you mean '" : "",
                               near ? near : "", near ? "'?" : "");
        }
        return 0;
}
