#include "function.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

typedef struct value function(const struct value *args, size_t n, struct region *r);

/* The printed form of a value as a text in the region; nothing stays nothing. */
static struct value as_text(const struct value *v, struct region *r)
{
        struct text t = {0};

        if (v->type == VALUE_NULL || v->type == VALUE_TEXT)
                return *v;
        value_print(v, &t);
        struct value out = value_text(region_copy(r, t.data, t.len), t.len);

        text_free(&t);
        return out;
}

static struct value fold_case(const struct value *v, struct region *r, int (*fold)(int))
{
        struct value t = as_text(v, r);

        if (t.type == VALUE_NULL)
                return t;
        char *copy = region_copy(r, t.text, t.len);

        for (size_t i = 0; i < t.len; i++)
                copy[i] = (char)fold((unsigned char)copy[i]);
        return value_text(copy, t.len);
}

static struct value fn_lower(const struct value *args, size_t n, struct region *r)
{
        (void)n;
        return fold_case(&args[0], r, tolower);
}

static struct value fn_upper(const struct value *args, size_t n, struct region *r)
{
        (void)n;
        return fold_case(&args[0], r, toupper);
}

static struct value fn_length(const struct value *args, size_t n, struct region *r)
{
        struct value t = as_text(&args[0], r);

        (void)n;
        return t.type == VALUE_NULL ? t : value_number((double)text_width(t.text, t.len));
}

static struct value fn_trim(const struct value *args, size_t n, struct region *r)
{
        struct value t = as_text(&args[0], r);
        size_t start = 0;

        (void)n;
        if (t.type == VALUE_NULL)
                return t;
        while (start < t.len && isspace((unsigned char)t.text[start]))
                start++;
        while (t.len > start && isspace((unsigned char)t.text[t.len - 1]))
                t.len--;
        return value_text(region_copy(r, t.text + start, t.len - start), t.len - start);
}

/* substr(text, start from 1 [, count]), in bytes. */
static struct value fn_substr(const struct value *args, size_t n, struct region *r)
{
        struct value t = as_text(&args[0], r);
        double start, count = 1e15;

        if (t.type == VALUE_NULL || !value_to_number(&args[1], &start) || (n == 3 && !value_to_number(&args[2], &count)))
                return value_null();
        if (start < 1)
                start = 1;
        if (start > (double)t.len || count <= 0)
                return value_text("", 0);
        size_t from = (size_t)start - 1, len = t.len - from;

        if (count < (double)len)
                len = (size_t)count;
        return value_text(region_copy(r, t.text + from, len), len);
}

static struct value fn_replace(const struct value *args, size_t n, struct region *r)
{
        struct value t = as_text(&args[0], r), old = as_text(&args[1], r), new = as_text(&args[2], r);
        struct text out = {0};

        (void)n;
        if (t.type == VALUE_NULL || old.type == VALUE_NULL || new.type == VALUE_NULL || old.len == 0)
                return t;
        text_add(&out, "", 0);
        for (size_t i = 0; i < t.len;) {
                if (t.len - i >= old.len && memcmp(t.text + i, old.text, old.len) == 0) {
                        text_add(&out, new.text, new.len);
                        i += old.len;
                } else {
                        text_add_char(&out, t.text[i++]);
                }
        }
        struct value v = value_text(region_copy(r, out.data, out.len), out.len);

        text_free(&out);
        return v;
}

static struct value fn_coalesce(const struct value *args, size_t n, struct region *r)
{
        (void)r;
        for (size_t i = 0; i < n; i++)
                if (args[i].type != VALUE_NULL)
                        return args[i];
        return value_null();
}

static struct value apply(const struct value *v, double (*fn)(double))
{
        double x;

        return value_to_number(v, &x) ? value_number(fn(x)) : value_null();
}

static struct value fn_abs(const struct value *args, size_t n, struct region *r)
{
        (void)n;
        (void)r;
        return apply(&args[0], fabs);
}

static struct value fn_floor(const struct value *args, size_t n, struct region *r)
{
        (void)n;
        (void)r;
        return apply(&args[0], floor);
}

/* round(x [, decimals]), halves away from zero. */
static struct value fn_round(const struct value *args, size_t n, struct region *r)
{
        double x, decimals = 0;

        (void)r;
        if (!value_to_number(&args[0], &x) || (n == 2 && !value_to_number(&args[1], &decimals)))
                return value_null();
        double scale = pow(10, floor(decimals));

        return value_number(round(x * scale) / scale);
}

static struct value fn_type(const struct value *args, size_t n, struct region *r)
{
        const char *name = value_type_name(args[0].type);

        (void)n;
        (void)r;
        return value_text(name, strlen(name));
}

static const struct {
        const char *name;
        size_t min_args, max_args;
        function *call;
} functions[] = {
        {"abs", 1, 1, fn_abs},         {"coalesce", 1, FUNCTION_MAX_ARGS, fn_coalesce},
        {"floor", 1, 1, fn_floor},     {"length", 1, 1, fn_length},
        {"lower", 1, 1, fn_lower},     {"replace", 3, 3, fn_replace},
        {"round", 1, 2, fn_round},     {"substr", 2, 3, fn_substr},
        {"trim", 1, 1, fn_trim},       {"type", 1, 1, fn_type},
        {"upper", 1, 1, fn_upper},
};

static size_t find(const char *name)
{
        size_t i = 0;

        while (i < sizeof(functions) / sizeof(functions[0]) && strcasecmp(functions[i].name, name) != 0)
                i++;
        return i;
}

void function_check(const char *name, size_t n)
{
        size_t i = find(name);

        if (i == sizeof(functions) / sizeof(functions[0]))
                fail("no function '%s'", name);
        if (n < functions[i].min_args || n > functions[i].max_args)
                fail("%s() takes %zu to %zu arguments, found %zu", functions[i].name, functions[i].min_args,
                     functions[i].max_args, n);
}

struct value function_call(const char *name, const struct value *args, size_t n, struct region *r)
{
        return functions[find(name)].call(args, n, r);
}
