#include "codec/uses.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

void uses_done(struct uses *u)
{
        free(u->repository);
        free(u->path);
        free(u->ref);
        *u = (struct uses){.kind = USES_LOCAL};
}

static bool is_dots(const char *s, size_t n)
{
        return n <= 2 && strspn(s, ".") >= n;
}

static bool is_name(const char *s, size_t n)
{
        return n > 0 && n <= USES_MAX_NAME && strspn(s, LOWER DIGITS "._-") >= n && !is_dots(s, n) && s[0] != '-';
}

bool uses_is_repository(const char *s)
{
        size_t n = strcspn(s, "/");
        return s[n] == '/' && is_name(s, n) && is_name(s + n + 1, strlen(s + n + 1));
}

bool uses_is_ref(const char *s)
{
        size_t len = strlen(s);
        if (!len || len > USES_MAX_REF || s[0] == '-' || s[strspn(s, UPPER LOWER DIGITS "._/+-=#%,!")])
                return false;
        for (const char *at = s;; at++) {
                size_t n = strcspn(at, "/");
                if (!n || at[0] == '.' || at[n - 1] == '.')
                        return false;
                at += n;
                if (!*at)
                        return !strstr(s, "..");
        }
}

/* Parts between slashes, empty ones left out, put together again. NULL: no memory; "" and *ret_bad: a part that no path
 * may have. */
static char *tidy_path(const char *s, size_t len, bool *ret_bad)
{
        char *out = malloc(len + 2);
        size_t used = 0;
        for (size_t i = 0; out && i < len;) {
                size_t n = 0;
                while (i + n < len && s[i + n] != '/')
                        n++;
                *ret_bad |= n && is_dots(s + i, n);
                if (n && used)
                        out[used++] = '/';
                memcpy(out + used, s + i, n);
                used += n;
                i += n + 1;
        }
        if (out)
                out[used] = '\0';
        return out;
}

static int malformed(const char *text, struct err *e)
{
        char shown[300];
        str_escape(shown, sizeof(shown), text, strlen(text));
        return err_set(e, ERR_USAGE, "Expected format {org}/{repo}[/path]@ref. Actual '%s'", shown);
}

static int take_remote(const char *text, struct uses *u, struct err *e)
{
        const char *at = strchr(text, '@');
        bool bad = false;
        if (!at || strchr(at + 1, '@'))
                return malformed(text, e);
        AUTO(auto_free) char *whole = tidy_path(text, (size_t)(at - text), &bad);
        if (!whole)
                return err_nomem(e);
        size_t owner = strcspn(whole, "/"), both = owner + (whole[owner] == '/');
        both += strcspn(whole + both, "/");
        u->repository = str_ndup(whole, both);
        u->path = str_dup(whole + both + (whole[both] == '/'));
        u->ref = str_dup(at + 1);
        if (!u->repository || !u->path || !u->ref)
                return err_nomem(e);
        for (char *c = u->repository; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        return bad || !uses_is_repository(u->repository) || !uses_is_ref(u->ref) ? malformed(text, e) : 0;
}

static bool has_control(const char *s)
{
        for (; *s; s++)
                if ((unsigned char)*s < ' ' || *s == 0x7f || *s == '\\')
                        return true;
        return false;
}

static int take(const char *text, struct uses *u, struct err *e)
{
        size_t len = strlen(text);
        if (len > USES_MAX)
                return err_set(e, ERR_USAGE, "uses: expected at most %u bytes, found %zu (USES_MAX)", USES_MAX, len);
        if (str_starts(text, "docker://")) {
                u->kind = USES_DOCKER;
                return 0;
        }
        if (!str_is_utf8(text, len) || has_control(text))
                return malformed(text, e);
        if (!str_starts(text, "./")) {
                u->kind = USES_REMOTE;
                return take_remote(text, u, e);
        }
        u->kind = USES_LOCAL;
        u->path = str_dup(text + 2);
        return u->path ? 0 : err_nomem(e);
}

int uses_parse(const char *text, struct uses *ret, struct err *e)
{
        *ret = (struct uses){.kind = USES_LOCAL};
        int r = take(text, ret, e);
        if (r < 0)
                uses_done(ret);
        return r;
}
