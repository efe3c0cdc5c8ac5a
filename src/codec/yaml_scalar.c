#include "codec/yaml_scalar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "codec/yaml.h"

#define CORE "tag:yaml.org,2002:"

static bool is_one_of(const char *s, const char *const *words, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(s, words[i]) == 0)
                        return true;
        return false;
}

static bool is_null(const char *s)
{
        static const char *const words[] = {"", "~", "null", "Null", "NULL"};
        return is_one_of(s, words, ARRAY_SIZE(words));
}

static bool is_bool(const char *s, bool *ret)
{
        static const char *const yes[] = {"true", "True", "TRUE"};
        static const char *const no[] = {"false", "False", "FALSE"};
        *ret = is_one_of(s, yes, ARRAY_SIZE(yes));
        return *ret || is_one_of(s, no, ARRAY_SIZE(no));
}

static size_t digits(const char *s)
{
        return strspn(s, "0123456789");
}

/* 0o17 and 0x1F; values past 2^53 lose digits like every number here. */
static bool is_radix(const char *s, double *ret)
{
        const char *allowed = s[0] != '0'   ? NULL
                              : s[1] == 'o' ? "01234567"
                              : s[1] == 'x' ? "0123456789abcdefABCDEF"
                                            : NULL;
        if (!allowed || !s[2] || s[2 + strspn(s + 2, allowed)] != '\0')
                return false;
        double base = s[1] == 'o' ? 8 : 16;
        *ret = 0;
        for (const char *p = s + 2; *p; p++) {
                int digit = *p <= '9' ? *p - '0' : (*p | 0x20) - 'a' + 10;
                *ret = *ret * base + digit;
        }
        return true;
}

static bool is_special(const char *s, double *ret)
{
        static const char *const infinity[] = {".inf", ".Inf", ".INF"};
        static const char *const nan_words[] = {".nan", ".NaN", ".NAN"};
        const char *unsigned_part = *s == '-' || *s == '+' ? s + 1 : s;
        if (is_one_of(unsigned_part, infinity, ARRAY_SIZE(infinity))) {
                *ret = *s == '-' ? -INFINITY : INFINITY;
                return true;
        }
        *ret = NAN;
        return is_one_of(s, nan_words, ARRAY_SIZE(nan_words));
}

static bool is_decimal(const char *s, bool *is_integer, double *ret)
{
        const char *p = *s == '-' || *s == '+' ? s + 1 : s;
        size_t whole = digits(p), fraction = 0;
        p += whole;
        *is_integer = *p == '\0';
        if (*p == '.') {
                p++;
                fraction = digits(p);
                p += fraction;
        }
        if (!whole && !fraction)
                return false;
        if (*p == 'e' || *p == 'E') {
                p++;
                if (*p == '-' || *p == '+')
                        p++;
                size_t exponent = digits(p);
                if (!exponent)
                        return false;
                p += exponent;
        }
        if (*p)
                return false;
        *ret = strtod(s, NULL);
        return true;
}

static bool is_number(const char *s, bool *is_integer, double *ret)
{
        *is_integer = true;
        if (is_radix(s, ret))
                return true;
        if (is_decimal(s, is_integer, ret))
                return true;
        *is_integer = false;
        return is_special(s, ret);
}

static const char *resolve_tagged(struct yaml_node *n, const char *type)
{
        bool integer;
        if (strcmp(type, "str") == 0)
                return NULL;
        if (strcmp(type, "null") == 0 && is_null(n->text)) {
                n->kind = YAML_KIND_NULL;
                return NULL;
        }
        if (strcmp(type, "bool") == 0 && is_bool(n->text, &n->boolean)) {
                n->kind = YAML_KIND_BOOL;
                return NULL;
        }
        if ((strcmp(type, "int") == 0 || strcmp(type, "float") == 0) && is_number(n->text, &integer, &n->number) &&
            (integer || type[0] == 'f')) {
                n->kind = YAML_KIND_NUMBER;
                return NULL;
        }
        return "the value does not fit its tag, or the tag is not one of YAML's core schema (!!str, !!int, !!float, "
               "!!bool, !!null)";
}

const char *yaml_scalar_resolve(struct yaml_node *n, const char *tag, bool plain)
{
        bool integer;
        n->kind = YAML_KIND_STRING;
        if (tag && strcmp(tag, "!") == 0)
                return NULL;
        if (tag && !plain && !str_ends(tag, ":str"))
                return "a quoted or block scalar cannot have a tag other than !!str";
        if (tag)
                return resolve_tagged(n, str_starts(tag, CORE) ? tag + strlen(CORE) : tag);
        if (!plain)
                return NULL;
        if (is_null(n->text))
                n->kind = YAML_KIND_NULL;
        else if (is_bool(n->text, &n->boolean))
                n->kind = YAML_KIND_BOOL;
        else if (is_number(n->text, &integer, &n->number))
                n->kind = YAML_KIND_NUMBER;
        return NULL;
}
