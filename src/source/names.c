#include "source/names.h"

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "source/limits.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_URL 2048u

static bool is_hex(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool oid_is_valid(const char *s, size_t hex_len)
{
        return strlen(s) == hex_len && oid_is_prefix(s, hex_len);
}

bool oid_is_prefix(const char *s, size_t hex_len)
{
        size_t n = 0;
        while (is_hex(s[n]))
                n++;
        return s[n] == '\0' && n >= 4 && n <= hex_len;
}

static bool ref_component_is_valid(const char *s, size_t len)
{
        if (len == 0 || s[0] == '.' || s[len - 1] == '.')
                return false;
        return len < 5 || memcmp(s + len - 5, ".lock", 5) != 0;
}

bool ref_name_is_valid(const char *name)
{
        size_t len = strlen(name);
        if (len > SOURCE_MAX_REF_NAME || !str_starts(name, "refs/"))
                return false;
        if (strstr(name, "..") || strstr(name, "@{"))
                return false;
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || strchr("~^:?*[\\", name[i]))
                        return false;
        for (const char *at = name;;) {
                size_t n = strcspn(at, "/");
                if (!ref_component_is_valid(at, n))
                        return false;
                if (at[n] == '\0')
                        return true;
                at += n + 1;
        }
}

static bool path_component_is_valid(const char *s, size_t len)
{
        if (len == 0 || len > 255)
                return false;
        if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
                return false;
        return len != 4 || strncasecmp(s, ".git", 4) != 0;
}

bool tree_path_is_valid(const char *path)
{
        if (strlen(path) > SOURCE_MAX_PATH)
                return false;
        for (const char *at = path;;) {
                size_t n = strcspn(at, "/");
                if (!path_component_is_valid(at, n))
                        return false;
                if (at[n] == '\0')
                        return true;
                at += n + 1;
        }
}

char *path_tidy(const char *base, const char *path)
{
        char *joined = path[0] == '/' ? str_dup(path) : str_printf("%s/%s", base, path);
        if (!joined)
                return NULL;
        size_t out = 0; /* joined[0..out) is the tidy path so far: "" or "/a/b" */
        for (char *at = joined; *at;) {
                at += strspn(at, "/");
                size_t n = strcspn(at, "/");
                if (n == 2 && at[0] == '.' && at[1] == '.') {
                        while (out > 0 && joined[--out] != '/')
                                ;
                } else if (n > 0 && !(n == 1 && at[0] == '.')) {
                        joined[out++] = '/';
                        memmove(joined + out, at, n);
                        out += n;
                }
                at += n;
        }
        if (out == 0)
                joined[out++] = '/';
        joined[out] = '\0';
        return joined;
}

const char *path_beneath(const char *folder, const char *path)
{
        size_t n = strlen(folder);
        if (str_eq(folder, "/"))
                return path[0] == '/' ? path + 1 : NULL;
        if (strncmp(path, folder, n) != 0)
                return NULL;
        return path[n] == '\0' ? path + n : path[n] == '/' ? path + n + 1 : NULL;
}

/* Letters that need no quoting anywhere we write a URL. */
static bool url_bytes_are_plain(const char *s)
{
        for (; *s; s++)
                if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                      strchr("-._~:/@%+,=[]", *s)))
                        return false;
        return true;
}

/* SCHEME://[USER[:PASSWORD]@]REST */
static char *url_with_scheme(const char *scheme, const char *rest)
{
        size_t host_len = strcspn(rest, "/");
        const char *at = memrchr(rest, '@', host_len);
        const char *host = at ? at + 1 : rest;
        if (!at || !str_eq(scheme, "ssh://"))
                return str_printf("%s%s", scheme, host);
        int user = (int)strcspn(rest, ":@");
        return str_printf("%s%.*s@%s", scheme, user, rest, host);
}

/* USER@HOST:PATH: no '/' before the first ':', and neither part looks like an option or a helper (ext::). */
static bool url_is_scp(const char *url)
{
        size_t n = strcspn(url, ":/");
        return url[n] == ':' && url[n + 1] != ':' && n > 0 && url[0] != '-' && memchr(url, '@', n);
}

int url_public(const char *url, char **ret, struct err *e)
{
        static const char *const schemes[] = {"https://", "http://", "ssh://", "git://"};
        char copy[MAX_URL];
        *ret = NULL;
        if (!str_copy(copy, sizeof(copy), url))
                return 0;
        copy[strcspn(copy, "?#")] = '\0';
        if (!url_bytes_are_plain(copy))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
                const char *rest = copy + strlen(schemes[i]);
                if (!str_starts(copy, schemes[i]) || rest[0] == '\0' || rest[0] == '-' || rest[0] == '/')
                        continue;
                *ret = url_with_scheme(schemes[i], rest);
                return *ret ? 0 : err_nomem(e);
        }
        if (!url_is_scp(copy))
                return 0;
        *ret = str_dup(copy);
        return *ret ? 0 : err_nomem(e);
}

char *text_line(const char *s, size_t len, size_t max)
{
        if (len > max)
                len = max;
        char *line = str_ndup(s, len);
        if (!line)
                return NULL;
        len = strlen(line);
        /* A cut may have split the last character: then it is not UTF-8 any more, and its bytes are replaced too. */
        for (size_t i = 0; i < len;) {
                size_t n = 1;
                while (n < 4 && i + n < len && ((unsigned char)line[i + n] & 0xc0) == 0x80)
                        n++;
                bool bad = !str_is_utf8(line + i, n) || (unsigned char)line[i] < ' ' || line[i] == 0x7f;
                if (bad)
                        memset(line + i, '?', n);
                i += n;
        }
        return line;
}
