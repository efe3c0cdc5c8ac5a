/* The functions of the expression language. Arguments are evaluated before the call, as at GitHub. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/casemap.h"
#include "workflow/expr_priv.h"
#include "workflow/number.h"

#define UNBOUNDED UINT16_MAX

static const struct function functions[] = {
        {"case", FN_CASE, 3, UNBOUNDED},
        {"contains", FN_CONTAINS, 2, 2},
        {"endsWith", FN_ENDS_WITH, 2, 2},
        {"format", FN_FORMAT, 1, EXPR_MAX_ARGS},
        {"fromJSON", FN_FROM_JSON, 1, 1},
        {"join", FN_JOIN, 1, 2},
        {"startsWith", FN_STARTS_WITH, 2, 2},
        {"toJSON", FN_TO_JSON, 1, 1},
        {"hashFiles", FN_HASH_FILES, 1, EXPR_MAX_ARGS},
        {"success", FN_SUCCESS, 0, UNBOUNDED},
        {"failure", FN_FAILURE, 0, UNBOUNDED},
        {"cancelled", FN_CANCELLED, 0, 0},
        {"always", FN_ALWAYS, 0, 0},
};

const struct function *expr_function(const char *name, size_t len, const struct expr_env *env)
{
        for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
                const struct function *f = &functions[i];
                if (strlen(f->name) != len || value_text_compare(f->name, len, name, len) != 0)
                        continue;
                if (f->id == FN_HASH_FILES)
                        return env && env->hash_files ? f : NULL;
                if (f->id >= FN_SUCCESS)
                        return env && env->status ? f : NULL;
                return f;
        }
        return NULL;
}

static bool is_primitive(const struct value *v)
{
        return value_kind(v) != VALUE_ARRAY && value_kind(v) != VALUE_OBJECT;
}

/* The text of a value: a string's own bytes, else rendered into *room. */
static int text_of(const struct value *v, struct buf *room, const char **ret, size_t *len, struct err *e)
{
        if (value_kind(v) == VALUE_STRING) {
                *ret = value_text(v, len);
                return 0;
        }
        int r = value_to_text(v, room, e);
        *ret = room->len ? (const char *)room->data : "";
        *len = room->len;
        return r;
}

struct pair_of_texts {
        struct buf room[2];
        const char *text[2];
        size_t len[2];
};

static int texts_of(const struct value *a, const struct value *b, struct pair_of_texts *ret, struct err *e)
{
        *ret = (struct pair_of_texts){0};
        int r = text_of(a, &ret->room[0], &ret->text[0], &ret->len[0], e);
        return r < 0 ? r : text_of(b, &ret->room[1], &ret->text[1], &ret->len[1], e);
}

static void texts_done(struct pair_of_texts *t)
{
        buf_done(&t->room[0]);
        buf_done(&t->room[1]);
}

/* Append text with its case mapped, as UTF-8 does not matter for search: each code point is four bytes. */
static int fold(const char *text, size_t len, enum casemap_direction direction, struct buf *ret, struct err *e)
{
        struct casemap_cursor c;
        int r = buf_reserve(ret, len * 4, e);
        casemap_start(&c, text, len, direction);
        for (int32_t p; r == 0 && (p = casemap_next(&c)) >= 0;)
                r = buf_append_be32(ret, (uint32_t)p, e);
        return r;
}

static bool find_points(const struct buf *hay, const struct buf *needle)
{
        if (needle->len == 0)
                return true;
        const uint8_t *at = hay->data;
        for (size_t left = hay->len; left >= needle->len;) {
                const uint8_t *hit = memmem(at, left, needle->data, needle->len);
                if (!hit)
                        return false;
                if ((hit - hay->data) % 4 == 0)
                        return true;
                left -= (size_t)(hit + 1 - at);
                at = hit + 1;
        }
        return false;
}

enum where { AT_START, AT_END, ANYWHERE };

static bool match_points(const struct buf *hay, const struct buf *needle, enum where where)
{
        if (needle->len > hay->len)
                return false;
        if (needle->len == 0)
                return true;
        if (where == ANYWHERE)
                return find_points(hay, needle);
        return memcmp(hay->data + (where == AT_END ? hay->len - needle->len : 0), needle->data, needle->len) == 0;
}

static int text_match(const struct value *a, const struct value *b, enum where where, bool *ret, struct err *e)
{
        struct pair_of_texts t;
        struct buf hay = BUF_INIT, needle = BUF_INIT;
        enum casemap_direction direction = where == ANYWHERE ? CASEMAP_LOWER : CASEMAP_UPPER;
        int r = texts_of(a, b, &t, e);
        if (r == 0)
                r = fold(t.text[0], t.len[0], direction, &hay, e);
        if (r == 0)
                r = fold(t.text[1], t.len[1], direction, &needle, e);
        if (r == 0)
                *ret = match_points(&hay, &needle, where);
        buf_done(&hay);
        buf_done(&needle);
        texts_done(&t);
        return r;
}

static int call_match(struct value *const *args, enum where where, struct value **ret, struct err *e)
{
        bool found = false;
        int r = 0;
        if (is_primitive(args[0]) && is_primitive(args[1]))
                r = text_match(args[0], args[1], where, &found, e);
        *ret = value_bool(found);
        return r;
}

static int call_contains(struct value *const *args, struct value **ret, struct err *e)
{
        if (value_kind(args[0]) != VALUE_ARRAY)
                return call_match(args, ANYWHERE, ret, e);
        bool found = false;
        for (size_t i = 0; !found && i < value_count(args[0]); i++)
                found = value_equal(args[1], value_at(args[0], i));
        *ret = value_bool(found);
        return 0;
}

/* A buffer may grow to what is left of the budget. */
static void budget_limit(const struct evaluation *ev, struct buf *b)
{
        b->max = MAX(ev->budget, (size_t)1);
}

static int take_text(struct evaluation *ev, int r, struct buf *b, struct value **ret, struct err *e)
{
        if (r < 0 && e && e->code == ERR_RESOURCES && b->max && e->errnum == 0)
                r = expr_charge(ev, SIZE_MAX, e);
        if (r == 0 && (r = expr_charge(ev, b->len, e)) == 0)
                r = value_string((const char *)b->data, b->len, ret, e);
        buf_done(b);
        return r;
}

static int invalid_format(const char *f, size_t len, struct err *e)
{
        return err_set(e, ERR_USAGE, "The following format string is invalid: %.*s",
                       (int)MIN(len, (size_t)ERR_MAX_MESSAGE), f);
}

/* `{N...}` at f[open]; *next is set past the closing brace. */
static int format_item(const char *f, size_t len, size_t open, struct value *const *args, size_t n, struct buf *out,
                       size_t *next, struct err *e)
{
        const char *close = memchr(f + open, '}', len - open);
        size_t at = open + 1, index = 0;
        for (; at < len && f[at] >= '0' && f[at] <= '9'; at++)
                index = MIN(index * 10 + (size_t)(f[at] - '0'), (size_t)1000000);
        if (!close || at == open + 1)
                return invalid_format(f, len, e);
        if (index + 1 >= n)
                return err_set(e, ERR_USAGE,
                               "The following format string references more arguments than were supplied: %.*s",
                               (int)MIN(len, (size_t)ERR_MAX_MESSAGE), f);
        *next = (size_t)(close - f) + 1;
        return value_to_text(args[index + 1], out, e);
}

static int format_text(const char *f, size_t len, struct value *const *args, size_t n, struct buf *out, struct err *e)
{
        size_t at = 0;
        int r = 0;
        while (r == 0 && at < len) {
                size_t run = at;
                while (run < len && f[run] != '{' && f[run] != '}')
                        run++;
                if ((r = buf_append(out, f + at, run - at, e)) < 0 || run == len)
                        return r;
                if (run + 1 < len && f[run + 1] == f[run]) {
                        r = buf_append_byte(out, (uint8_t)f[run], e);
                        at = run + 2;
                } else if (f[run] == '}') {
                        r = invalid_format(f, len, e);
                } else {
                        r = format_item(f, len, run, args, n, out, &at, e);
                }
        }
        return r;
}

int expr_check_format(const struct value *format, size_t n, struct err *e)
{
        struct value *args[EXPR_MAX_ARGS];
        struct buf out = BUF_INIT;
        size_t len;
        const char *f = value_text(format, &len);
        for (size_t i = 0; i < EXPR_MAX_ARGS; i++)
                args[i] = value_null();
        int r = format_text(f, len, args, n, &out, e);
        buf_done(&out);
        return r;
}

static int call_format(struct evaluation *ev, struct value *const *args, size_t n, struct value **ret, struct err *e)
{
        struct buf room = BUF_INIT, out = BUF_INIT;
        const char *f;
        size_t len;
        budget_limit(ev, &out);
        int r = text_of(args[0], &room, &f, &len, e);
        if (r == 0)
                r = format_text(f, len, args, n, &out, e);
        r = take_text(ev, r, &out, ret, e);
        buf_done(&room);
        return r;
}

static int join_items(const struct value *list, const char *separator, size_t len, struct buf *out, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(list); i++) {
                if (i)
                        r = buf_append(out, separator, len, e);
                if (r == 0)
                        r = value_to_text(value_at(list, i), out, e);
        }
        return r;
}

static int call_join(struct evaluation *ev, struct value *const *args, size_t n, struct value **ret, struct err *e)
{
        struct buf room = BUF_INIT, out = BUF_INIT;
        const char *separator = ",";
        size_t len = 1;
        int r = 0;
        budget_limit(ev, &out);
        if (n > 1 && is_primitive(args[1]))
                r = text_of(args[1], &room, &separator, &len, e);
        if (r == 0 && value_kind(args[0]) == VALUE_ARRAY)
                r = join_items(args[0], separator, len, &out, e);
        else if (r == 0 && is_primitive(args[0]))
                r = value_to_text(args[0], &out, e);
        r = take_text(ev, r, &out, ret, e);
        buf_done(&room);
        return r;
}

static int call_to_json(struct evaluation *ev, struct value *const *args, struct value **ret, struct err *e)
{
        struct buf out = BUF_INIT;
        budget_limit(ev, &out);
        int r = value_to_json_text(args[0], VALUE_WRITE_PRETTY, &out, e);
        return take_text(ev, r, &out, ret, e);
}

static bool is_blank(const char *s, size_t len)
{
        for (size_t n; len; s += n, len -= n)
                if ((n = number_blank(s, len)) == 0)
                        return false;
        return true;
}

static int call_from_json(struct evaluation *ev, struct value *const *args, struct value **ret, struct err *e)
{
        struct buf room = BUF_INIT;
        const char *text;
        size_t len;
        int r = text_of(args[0], &room, &text, &len, e);
        if (r == 0 && is_blank(text, len))
                r = err_set(e, ERR_USAGE, "empty input");
        if (r == 0 && (r = value_parse_json(text, len, &ev->budget, ret, e)) < 0)
                r = err_wrap(e, r, "Error parsing JSON when evaluating fromJson");
        buf_done(&room);
        return r;
}

static int call_case(struct value *const *args, size_t n, struct value **ret, struct err *e)
{
        for (size_t i = 0; i + 1 < n; i += 2) {
                if (value_kind(args[i]) != VALUE_BOOL)
                        return err_set(e, ERR_USAGE, "case predicate must evaluate to a boolean value");
                if (value_is_true(args[i])) {
                        *ret = value_ref(args[i + 1]);
                        return 0;
                }
        }
        *ret = value_ref(args[n - 1]);
        return 0;
}

/* The text of every argument, for the callbacks. */
static int strings_of(struct value *const *args, size_t n, struct strv *ret, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++) {
                AUTO(auto_free) char *s = value_to_str(args[i]);
                r = s ? strv_add(ret, s, e) : err_nomem(e);
        }
        return r;
}

static int call_hash_files(struct evaluation *ev, struct value *const *args, size_t n, struct value **ret,
                           struct err *e)
{
        struct strv patterns = STRV_INIT;
        int r = strings_of(args, n, &patterns, e);
        if (r == 0)
                r = ev->env->hash_files(ev->env->user, (const char *const *)patterns.v, n, ret, e);
        strv_done(&patterns);
        return r;
}

static int call_status(struct evaluation *ev, enum function_id id, struct value *const *args, size_t n,
                       struct value **ret, struct err *e)
{
        static const enum expr_status which[] = {EXPR_SUCCESS, EXPR_FAILURE, EXPR_CANCELLED};
        struct strv names = STRV_INIT;
        bool result = false;
        int r = strings_of(args, n, &names, e);
        if (r == 0)
                r = ev->env->status(ev->env->user, which[id - FN_SUCCESS], (const char *const *)names.v, n, &result, e);
        *ret = value_bool(result);
        strv_done(&names);
        return r;
}

int expr_call(struct evaluation *ev, const struct function *f, struct value *const *args, size_t n, struct value **ret,
              struct err *e)
{
        switch (f->id) {
        case FN_CASE:
                return call_case(args, n, ret, e);
        case FN_CONTAINS:
                return call_contains(args, ret, e);
        case FN_STARTS_WITH:
                return call_match(args, AT_START, ret, e);
        case FN_ENDS_WITH:
                return call_match(args, AT_END, ret, e);
        case FN_FORMAT:
                return call_format(ev, args, n, ret, e);
        case FN_FROM_JSON:
                return call_from_json(ev, args, ret, e);
        case FN_JOIN:
                return call_join(ev, args, n, ret, e);
        case FN_TO_JSON:
                return call_to_json(ev, args, ret, e);
        case FN_HASH_FILES:
                return call_hash_files(ev, args, n, ret, e);
        case FN_SUCCESS:
        case FN_FAILURE:
        case FN_CANCELLED:
                return call_status(ev, f->id, args, n, ret, e);
        case FN_ALWAYS:
                *ret = value_bool(true);
                return 0;
        }
        return 0;
}
