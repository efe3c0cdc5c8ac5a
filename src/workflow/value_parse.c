/* JSON text to values, by the rules of JavaScript's JSON.parse: a number past the range is Infinity, of a key given
 * twice the last value counts. Of keys that differ only in case the first stays. Depth is bounded, and memory is
 * charged to a budget before it is taken. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/number.h"
#include "workflow/value.h"

/* What one value costs beside its text, and one place in an array or object; memory that malloc rounds up included. */
#define COST_VALUE 64
#define COST_PLACE 16

struct parser {
        const char *start, *at, *end;
        unsigned depth;
        size_t *budget;
        struct buf room; /* a string with escapes */
        struct err *e;
};

static int parse_value(struct parser *p, struct value **ret);

static int fail(const struct parser *p, const char *what)
{
        size_t line = 1, column = 1;
        for (const char *s = p->start; s < p->at; s++) {
                column = *s == '\n' ? 1 : column + (((unsigned char)*s & 0xc0) != 0x80);
                line += *s == '\n';
        }
        return err_set(p->e, ERR_USAGE, "not JSON: line %zu, column %zu: %s", line, column, what);
}

static int charge(struct parser *p, size_t bytes)
{
        if (bytes > *p->budget)
                return err_set(p->e, ERR_USAGE, "The maximum allowed memory size was exceeded");
        *p->budget -= bytes;
        return 0;
}

static void skip_blanks(struct parser *p)
{
        while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
                p->at++;
}

static bool take(struct parser *p, char c)
{
        skip_blanks(p);
        if (p->at == p->end || *p->at != c)
                return false;
        p->at++;
        return true;
}

static int parse_word(struct parser *p, const char *word, struct value *value, struct value **ret)
{
        size_t len = strlen(word);
        if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0)
                return fail(p, "expected a value");
        p->at += len;
        *ret = value;
        return 0;
}

static size_t skip_digits(struct parser *p)
{
        const char *from = p->at;
        while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
                p->at++;
        return (size_t)(p->at - from);
}

static bool take_exponent(struct parser *p)
{
        if (p->at == p->end || (*p->at != 'e' && *p->at != 'E'))
                return true;
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
                p->at++;
        return skip_digits(p) > 0;
}

static int parse_number(struct parser *p, struct value **ret)
{
        const char *from = p->at;
        p->at += *p->at == '-';
        bool zero = p->at < p->end && *p->at == '0';
        size_t digits = skip_digits(p);
        bool good = zero ? digits == 1 : digits > 0;
        if (good && p->at < p->end && *p->at == '.') {
                p->at++;
                good = skip_digits(p) > 0;
        }
        if (!good || !take_exponent(p))
                return fail(p, "expected a number");
        int r = charge(p, COST_VALUE);
        return r < 0 ? r : value_number(number_parse(from, (size_t)(p->at - from)), ret, p->e);
}

static int hex4(struct parser *p, uint32_t *ret)
{
        *ret = 0;
        if (p->end - p->at < 4)
                return fail(p, "expected four hexadecimal digits");
        for (int i = 0; i < 4; i++, p->at++) {
                char c = *p->at;
                uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                                 : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                                 : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                        : 16;
                if (digit == 16)
                        return fail(p, "expected four hexadecimal digits");
                *ret = *ret << 4 | digit;
        }
        return 0;
}

static int append_point(struct parser *p, uint32_t point)
{
        char text[4];
        return buf_append(&p->room, text, str_utf8_encode(point, text), p->e);
}

/* \uXXXX, or a pair of them. Half a pair has no form in UTF-8. */
static int parse_unicode(struct parser *p)
{
        uint32_t high, low;
        int r = hex4(p, &high);
        if (r < 0)
                return r;
        if (high < 0xd800 || high > 0xdfff)
                return append_point(p, high);
        if (high > 0xdbff || p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
                return fail(p, "half of a surrogate pair");
        p->at += 2;
        if ((r = hex4(p, &low)) < 0)
                return r;
        if (low < 0xdc00 || low > 0xdfff)
                return fail(p, "half of a surrogate pair");
        return append_point(p, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

static int parse_escape(struct parser *p)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        if (p->at == p->end)
                return fail(p, "the string has no end");
        char c = *p->at;
        const char *known = c ? strchr(from, c) : NULL;
        if (c != 'u' && !known)
                return fail(p, "unknown escape");
        p->at++;
        return known ? buf_append_byte(&p->room, (uint8_t)to[known - from], p->e) : parse_unicode(p);
}

/* The bytes up to a quote, a backslash, or what may not be in a string. */
static size_t plain_run(const struct parser *p)
{
        const char *s = p->at;
        while (s < p->end && *s != '"' && *s != '\\' && (unsigned char)*s >= 0x20)
                s++;
        return (size_t)(s - p->at);
}

/* After the opening quote. *text is valid until the next string. */
static int parse_text(struct parser *p, const char **text, size_t *len)
{
        size_t run = plain_run(p);
        if ((size_t)(p->end - p->at) > run && p->at[run] == '"') {
                *text = p->at;
                *len = run;
                p->at += run + 1;
                return charge(p, run);
        }
        buf_clear(&p->room);
        for (;; run = plain_run(p)) {
                int r = buf_append(&p->room, p->at, run, p->e);
                if (r < 0)
                        return r;
                p->at += run;
                if (p->at == p->end)
                        return fail(p, "the string has no end");
                char c = *p->at;
                if ((unsigned char)c < 0x20)
                        return fail(p, "a control character in a string");
                p->at++;
                if (c == '"')
                        break;
                if ((r = parse_escape(p)) < 0)
                        return r;
        }
        *text = (const char *)p->room.data;
        *len = p->room.len;
        return charge(p, p->room.len);
}

static int parse_string(struct parser *p, struct value **ret)
{
        const char *text;
        size_t len;
        int r = parse_text(p, &text, &len);
        if (r < 0 || (r = charge(p, COST_VALUE)) < 0)
                return r;
        return value_string(text, len, ret, p->e);
}

static int parse_key(struct parser *p, char **ret)
{
        const char *text;
        size_t len;
        if (!take(p, '"'))
                return fail(p, "expected a key in quotes");
        int r = parse_text(p, &text, &len);
        if (r < 0)
                return r;
        if (len && memchr(text, '\0', len))
                return fail(p, "a key with a NUL character");
        *ret = str_ndup(len ? text : "", len);
        if (!*ret)
                return err_nomem(p->e);
        return take(p, ':') ? 0 : fail(p, "expected ':'");
}

static int parse_member(struct parser *p, struct value *object)
{
        AUTO(auto_free) char *key = NULL;
        AUTO(value_unrefp) struct value *item = NULL;
        int r = parse_key(p, &key);
        if (r == 0)
                r = charge(p, COST_PLACE);
        if (r == 0)
                r = parse_value(p, &item);
        return r < 0 ? r : value_set_spelled(object, key, item, p->e);
}

static int parse_item(struct parser *p, struct value *array)
{
        AUTO(value_unrefp) struct value *item = NULL;
        int r = charge(p, COST_PLACE);
        if (r == 0)
                r = parse_value(p, &item);
        return r < 0 ? r : value_add(array, item, p->e);
}

/* After the opening bracket. */
static int parse_list(struct parser *p, bool object, struct value **ret)
{
        AUTO(value_unrefp) struct value *list = NULL;
        char close = object ? '}' : ']';
        if (++p->depth > VALUE_MAX_DEPTH)
                return err_set(p->e, ERR_USAGE, "JSON is nested deeper than %d levels (VALUE_MAX_DEPTH)",
                               VALUE_MAX_DEPTH);
        int r = charge(p, COST_VALUE);
        if (r == 0)
                r = object ? value_object(&list, p->e) : value_array(&list, p->e);
        for (bool more = r == 0 && !take(p, close); more;) {
                r = object ? parse_member(p, list) : parse_item(p, list);
                if (r < 0)
                        break;
                more = take(p, ',');
                if (!more && !take(p, close))
                        r = fail(p, object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        p->depth--;
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int parse_value(struct parser *p, struct value **ret)
{
        skip_blanks(p);
        if (p->at == p->end)
                return fail(p, "expected a value, found the end");
        switch (*p->at) {
        case '{':
        case '[':
                return parse_list(p, *p->at++ == '{', ret);
        case '"':
                p->at++;
                return parse_string(p, ret);
        case 't':
                return parse_word(p, "true", value_bool(true), ret);
        case 'f':
                return parse_word(p, "false", value_bool(false), ret);
        case 'n':
                return parse_word(p, "null", value_null(), ret);
        default:
                if (*p->at == '-' || (*p->at >= '0' && *p->at <= '9'))
                        return parse_number(p, ret);
                return fail(p, "expected a value");
        }
}

int value_parse_json_part(const char *text, size_t len, size_t *budget, size_t *used, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        struct parser p = {.start = text, .at = text, .end = text + len, .budget = budget, .e = e};
        int r = parse_value(&p, &v);
        buf_done(&p.room);
        if (r < 0)
                return r;
        *used = (size_t)(p.at - text);
        *ret = TAKE_PTR(v);
        return 0;
}

int value_parse_json(const char *text, size_t len, size_t *budget, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        size_t enough = VALUE_MAX_MEMORY, used = 0;
        if (len > VALUE_MAX_JSON)
                return err_set(e, ERR_USAGE, "JSON of %zu bytes is longer than the limit of %zu (VALUE_MAX_JSON)", len,
                               VALUE_MAX_JSON);
        if (!str_is_utf8(text, len))
                return err_set(e, ERR_USAGE, "not JSON: the text is not UTF-8");
        int r = value_parse_json_part(text, len, budget ? budget : &enough, &used, &v, e);
        if (r < 0)
                return r;
        struct parser rest = {.start = text, .at = text + used, .end = text + len, .e = e};
        skip_blanks(&rest);
        if (rest.at < rest.end)
                return fail(&rest, "more text after the value");
        *ret = TAKE_PTR(v);
        return 0;
}
