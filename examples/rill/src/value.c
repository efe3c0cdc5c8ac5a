#include "value.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct value value_null(void)
{
        return (struct value){.type = VALUE_NULL};
}

struct value value_bool(bool truth)
{
        return (struct value){.type = VALUE_BOOL, .truth = truth};
}

struct value value_number(double number)
{
        return (struct value){.type = VALUE_NUMBER, .number = number};
}

struct value value_text(const char *text, size_t len)
{
        return (struct value){.type = VALUE_TEXT, .text = text, .len = len};
}

/* Digits with an optional sign, one point and an exponent. strtod alone would also take "inf", "0x10" and "nan". */
static bool is_number(const char *s, size_t len)
{
        size_t i = 0, digits = 0;

        if (i < len && (s[i] == '-' || s[i] == '+'))
                i++;
        for (; i < len && isdigit((unsigned char)s[i]); i++)
                digits++;
        if (i < len && s[i] == '.')
                for (i++; i < len && isdigit((unsigned char)s[i]); i++)
                        digits++;
        if (digits == 0)
                return false;
        if (i < len && (s[i] == 'e' || s[i] == 'E')) {
                size_t start = ++i;

                if (i < len && (s[i] == '-' || s[i] == '+'))
                        start = ++i;
                while (i < len && isdigit((unsigned char)s[i]))
                        i++;
                if (i == start)
                        return false;
        }
        return i == len;
}

struct value value_from_cell(const char *text, size_t len)
{
        if (len == 0)
                return value_null();
        if (len < 64 && is_number(text, len))
                return value_number(strtod(text, NULL));
        return value_text(text, len);
}

bool value_is_true(const struct value *v)
{
        switch (v->type) {
        case VALUE_NULL:
                return false;
        case VALUE_BOOL:
                return v->truth;
        case VALUE_NUMBER:
                return v->number != 0 && !isnan(v->number);
        case VALUE_TEXT:
                return v->len > 0;
        }
        return false;
}

bool value_to_number(const struct value *v, double *ret)
{
        if (v->type == VALUE_NUMBER)
                *ret = v->number;
        else if (v->type == VALUE_BOOL)
                *ret = v->truth ? 1 : 0;
        else if (v->type == VALUE_TEXT && v->len < 64 && is_number(v->text, v->len))
                *ret = strtod(v->text, NULL);
        else
                return false;
        return true;
}

static int compare_numbers(double a, double b)
{
        return a < b ? -1 : a > b ? 1 : 0;
}

static int compare_text(const struct value *a, const struct value *b)
{
        size_t n = a->len < b->len ? a->len : b->len;
        int c = n > 0 ? memcmp(a->text, b->text, n) : 0;

        if (c != 0)
                return c < 0 ? -1 : 1;
        return a->len < b->len ? -1 : a->len > b->len ? 1 : 0;
}

int value_compare(const struct value *a, const struct value *b)
{
        if (a->type != b->type)
                return a->type < b->type ? -1 : 1;
        switch (a->type) {
        case VALUE_NULL:
                return 0;
        case VALUE_BOOL:
                return (int)a->truth - (int)b->truth;
        case VALUE_NUMBER:
                return compare_numbers(a->number, b->number);
        case VALUE_TEXT:
                return compare_text(a, b);
        }
        return 0;
}

bool value_equal(const struct value *a, const struct value *b)
{
        return value_compare(a, b) == 0;
}

void value_print(const struct value *v, struct text *out)
{
        switch (v->type) {
        case VALUE_NULL:
                break;
        case VALUE_BOOL:
                text_printf(out, "%s", v->truth ? "true" : "false");
                break;
        case VALUE_NUMBER:
                if (v->number == floor(v->number) && fabs(v->number) < 1e15)
                        text_printf(out, "%.0f", v->number);
                else
                        text_printf(out, "%.10g", v->number);
                break;
        case VALUE_TEXT:
                text_add(out, v->text, v->len);
                break;
        }
}

const char *value_type_name(enum value_type type)
{
        static const char *const names[] = {"null", "boolean", "number", "text"};

        return names[type];
}

static int fold(char c)
{
        return tolower((unsigned char)c);
}

bool value_like(const char *text, const char *pattern)
{
        const char *star = NULL, *retry = NULL;

        while (*text) {
                if (*pattern == '%') {
                        star = ++pattern;
                        retry = text;
                } else if (*pattern == '_' || (*pattern && fold(*pattern) == fold(*text))) {
                        pattern++;
                        text++;
                } else if (star) {
                        pattern = star;
                        text = ++retry;
                } else {
                        return false;
                }
        }
        while (*pattern == '%')
                pattern++;
        return *pattern == '\0';
}
