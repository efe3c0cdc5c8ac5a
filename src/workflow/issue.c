#include "workflow/issue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* ---- paths ---- */

/* Append the names of a path to an absolute one, ".." taking one away. */
static size_t add_names(char *at, size_t len, const char *path)
{
        while (*path) {
                size_t n = strcspn(path, "/");
                if (n == 2 && memcmp(path, "..", 2) == 0) {
                        while (len && at[--len] != '/')
                                ;
                } else if (n && !(n == 1 && *path == '.')) {
                        at[len++] = '/';
                        memcpy(at + len, path, n);
                        len += n;
                }
                path += n + (path[n] == '/');
        }
        return len;
}

char *issue_join(const char *folder, const char *path)
{
        size_t f = strlen(folder), p = strlen(path);
        if (!p || p > ISSUE_MAX_PATH || f > ISSUE_MAX_PATH)
                return NULL;
        char *out = malloc(f + p + 4);
        if (!out)
                return NULL;
        size_t len = path[0] == '/' ? 0 : add_names(out, 0, folder);
        len = add_names(out, len, path);
        out[len] = '\0';
        return out;
}

char *issue_path(const char *workspace, const char *folder, const char *path)
{
        AUTO(auto_free) char *root = issue_join("/", workspace);
        AUTO(auto_free) char *whole = issue_join(folder, path);
        size_t n = root ? strlen(root) : 0;
        if (!root || !whole || strncmp(whole, root, n) != 0 || whole[n] != '/' || strlen(whole) - n > ISSUE_MAX_PATH)
                return NULL;
        return str_dup(whole + n + 1);
}

/* ---- lines ---- */

/* How long the escape sequence is that begins at p, ESC included; 1 when nothing known follows. */
static size_t escape_length(const uint8_t *p, size_t len)
{
        size_t n = 2;
        if (len < 2)
                return 1;
        if (p[1] == '[') {
                while (n < len && p[n] >= 0x20 && p[n] <= 0x3f)
                        n++;
                return n < len && p[n] >= 0x40 && p[n] <= 0x7e ? n + 1 : n;
        }
        if (p[1] >= 0x20 && p[1] <= 0x2f) { /* ESC ( B: a set of characters */
                while (n < len && p[n] >= 0x20 && p[n] <= 0x2f)
                        n++;
                return n < len && p[n] >= 0x30 && p[n] <= 0x7e ? n + 1 : n;
        }
        if (p[1] != ']')
                return 1;
        while (n < len && p[n] != 0x07 && !(p[n] == 0x1b && n + 1 < len && p[n + 1] == '\\'))
                n++;
        return n == len ? len : n + (p[n] == 0x07 ? 1 : 2);
}

/* One character, or U+FFFD for a byte that is none. */
static int add_character(struct buf *b, const uint8_t *p, size_t len, size_t *ret_used, struct err *e)
{
        uint32_t c;
        unsigned n = *p ? str_utf8_next(p, len, &c) : 0;
        *ret_used = n ? n : 1;
        return n ? buf_append(b, p, n, e) : buf_append_str(b, REPLACEMENT, e);
}

/* Bytes that need no second look, in one go. */
static size_t plain_length(const uint8_t *p, size_t len)
{
        size_t n = 0;
        while (n < len && p[n] >= 0x01 && p[n] <= 0x7f && p[n] != 0x1b)
                n++;
        return n;
}

int issue_clean(const void *line, size_t len, struct buf *ret, struct err *e)
{
        const uint8_t *p = line;
        int r = 0;
        buf_clear(ret);
        if (len && p[len - 1] == '\r')
                len--;
        for (size_t i = 0; r == 0 && i < len && ret->len < ISSUE_MAX_LINE;) {
                size_t used = plain_length(p + i, MIN(len - i, ISSUE_MAX_LINE - ret->len));
                if (used)
                        r = buf_append(ret, p + i, used, e);
                else if (p[i] == 0x1b)
                        used = escape_length(p + i, len - i);
                else
                        r = add_character(ret, p + i, len - i, &used, e);
                i += used;
        }
        return r == 0 && !buf_cstr(ret) ? err_nomem(e) : r;
}

unsigned issue_number(const char *s, size_t len)
{
        uint64_t n = 0;
        if (!len || len > 10 || *s == '0')
                return 0;
        for (size_t i = 0; i < len; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return 0;
                n = 10 * n + (uint64_t)(s[i] - '0');
        }
        return n > INT32_MAX ? 0 : (unsigned)n;
}
