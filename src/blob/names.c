#include "blob/names.h"

#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "blob/limits.h"
#include "codec/hash.h"

static bool has_control(const char *text)
{
        size_t len = strlen(text);
        for (size_t i = 0; i < len;) {
                uint32_t cp = 0;
                unsigned n = str_utf8_next(text + i, len - i, &cp);
                if (n == 0 || str_is_control(cp))
                        return true;
                i += n;
        }
        return false;
}

static const char *text_problem(const char *text, size_t max, const char *too_long)
{
        if (!*text)
                return "is empty";
        if (strlen(text) > max)
                return too_long;
        return has_control(text) ? "holds a control character, or is not UTF-8" : NULL;
}

const char *artifact_name_problem(const char *name)
{
        static const struct {
                char character;
                const char *problem;
        } forbidden[] = {
                {'"', "contains '\"' (double quote)"}, {':', "contains ':' (colon)"},
                {'<', "contains '<' (less than)"},     {'>', "contains '>' (greater than)"},
                {'|', "contains '|' (vertical bar)"},  {'*', "contains '*' (asterisk)"},
                {'?', "contains '?' (question mark)"}, {'\r', "contains a carriage return"},
                {'\n', "contains a line feed"},        {'\\', "contains '\\' (backslash)"},
                {'/', "contains '/' (forward slash)"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
                if (strchr(name, forbidden[i].character))
                        return forbidden[i].problem;
        if (str_eq(name, ".") || str_eq(name, ".."))
                return "is the name of a folder itself";
        return text_problem(name, STORE_MAX_NAME, "is longer than 255 bytes");
}

bool artifact_type_is_valid(const char *type)
{
        static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
        size_t n = strspn(type, token);
        size_t m = n && type[n] == '/' ? strspn(type + n + 1, token) : 0;
        return m && !type[n + 1 + m] && n + 1 + m <= STORE_MAX_TYPE;
}

/* Bytes that are no UTF-8 are passed over: file names of this host may have them. */
static bool path_has_control(const char *path)
{
        size_t len = strlen(path);
        for (size_t i = 0; i < len;) {
                uint32_t cp = 0;
                unsigned n = str_utf8_next(path + i, len - i, &cp);
                if (n && str_is_control(cp))
                        return true;
                i += MAX(n, 1);
        }
        return false;
}

const char *artifact_path_problem(const char *path)
{
        unsigned folders = 0;
        for (const char *c = path; *c; c++)
                folders += *c == '/';
        if (str_eq(path, "."))
                return "is the name of a folder itself";
        if (folders > ARTIFACT_MAX_DEPTH)
                return "lies below more than 64 folders";
        return path_has_control(path) ? "holds a control character" : NULL;
}

const char *cache_key_problem(const char *key)
{
        if (strchr(key, ','))
                return "contains a comma";
        return text_problem(key, STORE_MAX_KEY, "is longer than 512 bytes");
}

bool cache_scope_is_valid(const char *scope)
{
        return !*scope || (str_starts(scope, "refs/") && !text_problem(scope, STORE_MAX_SCOPE, ""));
}

bool digest_is_valid(const char *hex)
{
        return strlen(hex) == HASH_HEX_SIZE - 1 && strspn(hex, "0123456789abcdef") == HASH_HEX_SIZE - 1;
}
