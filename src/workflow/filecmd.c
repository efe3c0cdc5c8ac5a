#include "workflow/filecmd.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define SHOWN 200 /* bytes of a line that a message quotes */

struct reader {
        const char *text;
        size_t len, at;
        unsigned line; /* of the line last read, from 1 */
};

static const char *variable(enum filecmd_kind kind)
{
        static const char *const names[] = {"GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STATE", "GITHUB_PATH"};
        return names[kind];
}

void filecmd_pairs_done(struct filecmd_pairs *p)
{
        for (size_t i = 0; i < p->n; i++) {
                free(p->v[i].name);
                free(p->v[i].value);
        }
        free(p->v);
        *p = (struct filecmd_pairs){0};
}

/* The next line without its end; false at the end of the text. */
static bool next_line(struct reader *r, const char **ret, size_t *len)
{
        if (r->at >= r->len)
                return false;
        const char *start = r->text + r->at;
        const char *end = memchr(start, '\n', r->len - r->at);
        *ret = start;
        *len = end ? (size_t)(end - start) : r->len - r->at;
        r->at += *len + (end ? 1 : 0);
        r->line++;
        return true;
}

/* Bytes of the valid UTF-8 character at s, or 0. */
static size_t utf8_at(const char *s, size_t len)
{
        for (size_t n = 1; n <= 4 && n <= len; n++)
                if (str_is_utf8(s, n))
                        return n;
        return 0;
}

/* A copy in which bytes that are not UTF-8, and NUL, are U+FFFD, as GitHub's reader does it. */
static char *clean(const char *s, size_t len, size_t *ret_len)
{
        struct buf b = BUF_INIT;
        int r = buf_reserve(&b, len + 1, NULL);
        for (size_t i = 0; r == 0 && i < len;) {
                size_t n = s[i] ? utf8_at(s + i, len - i) : 0;
                r = n ? buf_append(&b, s + i, n, NULL) : buf_append_str(&b, "\xef\xbf\xbd", NULL);
                i += n ? n : 1;
        }
        if (r < 0) {
                buf_done(&b);
                return NULL;
        }
        *ret_len = b.len;
        return buf_take_str(&b);
}

static int add(struct filecmd_pairs *p, const char *name, size_t name_len, const char *value, size_t len, struct err *e)
{
        if (p->n == FILECMD_MAX_PAIRS)
                return err_set(e, ERR_RUN_FAILED, "more than %d entries (FILECMD_MAX_PAIRS)", FILECMD_MAX_PAIRS);
        if (p->n == p->cap) {
                size_t cap = p->cap ? p->cap * 2 : 8;
                struct filecmd_pair *v = reallocarray(p->v, cap, sizeof(*v));
                if (!v)
                        return err_nomem(e);
                p->v = v;
                p->cap = cap;
        }
        struct filecmd_pair pair = {0};
        size_t ignored;
        pair.value = clean(value, len, &pair.len);
        pair.name = name ? clean(name, name_len, &ignored) : NULL;
        if (!pair.value || (name && !pair.name)) {
                free(pair.name);
                free(pair.value);
                return err_nomem(e);
        }
        p->v[p->n++] = pair;
        return 0;
}

static int invalid(const struct reader *r, const char *line, size_t len, const char *more, struct err *e)
{
        return err_set(e, ERR_RUN_FAILED, "Invalid format '%.*s'%s (line %u)", (int)MIN(len, (size_t)SHOWN), line, more,
                       r->line);
}

/* The value of `name<<DELIMITER`: the lines up to the one that is the delimiter alone. */
static int read_block(struct reader *r, const char *delimiter, size_t delimiter_len, const char **ret, size_t *ret_len,
                      struct err *e)
{
        unsigned first = r->line;
        size_t start = r->at, end = r->at;
        const char *line;
        size_t len;
        while (next_line(r, &line, &len)) {
                if (len == delimiter_len && memcmp(line, delimiter, len) == 0) {
                        *ret = r->text + start;
                        *ret_len = end - start;
                        return 0;
                }
                end = (size_t)(line - r->text) + len; /* the newline before the delimiter is not part of the value */
        }
        return err_set(e, ERR_RUN_FAILED, "Invalid value. Matching delimiter not found '%.*s' (line %u)",
                       (int)MIN(delimiter_len, (size_t)SHOWN), delimiter, first);
}

static int parse_line(struct reader *r, const char *line, size_t len, struct filecmd_pairs *ret, struct err *e)
{
        const char *equals = memchr(line, '=', len);
        const char *block = memmem(line, len, "<<", 2);
        const char *value;
        size_t value_len;

        if (!equals && !block)
                return invalid(r, line, len, "", e);
        bool plain = equals && (!block || equals < block);
        size_t name_len = (size_t)((plain ? equals : block) - line);
        if (plain) {
                value = equals + 1;
                value_len = len - name_len - 1;
                if (name_len == 0)
                        return invalid(r, line, len, ". Name must not be empty", e);
        } else {
                const char *delimiter = block + 2;
                size_t delimiter_len = len - name_len - 2;
                if (name_len == 0 || delimiter_len == 0)
                        return invalid(r, line, len, ". Name must not be empty and delimiter must not be empty", e);
                int n = read_block(r, delimiter, delimiter_len, &value, &value_len, e);
                if (n < 0)
                        return n;
        }
        if (name_len > FILECMD_MAX_NAME)
                return err_set(e, ERR_RUN_FAILED,
                               "line %u: a name of %zu bytes is longer than the limit of %d (FILECMD_MAX_NAME)",
                               r->line, name_len, FILECMD_MAX_NAME);
        return add(ret, line, name_len, value, value_len, e);
}

static int parse_path_line(const char *line, size_t len, struct filecmd_pairs *ret, struct err *e)
{
        if (len && line[len - 1] == '\r')
                len--;
        return len ? add(ret, NULL, 0, line, len, e) : 0;
}

int filecmd_parse(enum filecmd_kind kind, const void *data, size_t len, struct filecmd_pairs *ret, struct err *e)
{
        struct reader r = {.text = data, .len = len};
        const char *line;
        size_t n;
        unsigned at = 0; /* the line that an entry begins in */
        int result = 0;

        *ret = (struct filecmd_pairs){0};
        if (len > FILECMD_MAX_SIZE)
                return err_set(e, ERR_RUN_FAILED,
                               "%s: a file of %zu bytes is larger than the limit of %zu (FILECMD_MAX_SIZE)",
                               variable(kind), len, FILECMD_MAX_SIZE);
        if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
                r.at = 3; /* a byte order mark is no part of the first name */
        while (result == 0 && next_line(&r, &line, &n)) {
                at = r.line;
                if (kind == FILECMD_PATH)
                        result = parse_path_line(line, n, ret, e);
                else if (n)
                        result = parse_line(&r, line, n, ret, e);
        }
        if (result < 0) {
                filecmd_pairs_done(ret);
                ret->line = at;
                return err_wrap(e, result, "%s", variable(kind));
        }
        return 0;
}

int filecmd_env_allowed(const char *name, struct err *e)
{
        if (!str_ieq(name, "NODE_OPTIONS") && strncasecmp(name, "GITHUB_", 7) != 0 &&
            strncasecmp(name, "RUNNER_", 7) != 0)
                return 0;
        return err_set(e, ERR_RUN_FAILED, "Can't store %s output parameter using '$GITHUB_ENV' command.", name);
}
