#include "workflow/reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/reader_priv.h"

unsigned reader_of(const char *name)
{
        static const struct {
                const char *name;
                unsigned bit;
        } names[] = {{"cc", READER_CC},         {"gcc", READER_CC}, {"clang", READER_CC}, {"cargo", READER_CARGO},
                     {"pytest", READER_PYTEST}, {"go", READER_GO},  {"tap", READER_TAP}};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (str_ieq(names[i].name, name))
                        return names[i].bit;
        return 0;
}

int readers_new(const struct readers_config *config, struct readers **ret, struct err *e)
{
        struct readers *r = calloc(1, sizeof(*r));
        if (!r)
                return err_nomem(e);
        r->config = *config;
        r->workspace = str_dup(config->workspace);
        r->folder = str_dup(config->folder);
        if (!r->workspace || !r->folder) {
                readers_free(r);
                return err_nomem(e);
        }
        *ret = r;
        return 0;
}

struct readers *readers_free(struct readers *r)
{
        if (!r)
                return NULL;
        for (unsigned i = 0; i < READER_STREAMS; i++) {
                draft_clear(&r->cargo[i].draft);
                draft_clear(&r->pytest[i].draft);
                go_done(&r->go[i]);
        }
        tap_done(&r->tap);
        cc_done(&r->cc);
        free(r->workspace);
        free(r->folder);
        free(r->go_module);
        free(r);
        return NULL;
}

int readers_line(struct readers *r, unsigned stream, const char *line, struct err *e)
{
        unsigned on = r->config.readers;
        int n = 0;
        if (on & READER_CC)
                n = cc_line(r, line, e);
        if (n == 0 && (on & READER_CARGO))
                n = cargo_line(r, &r->cargo[stream], line, e);
        if (n == 0 && (on & READER_PYTEST))
                n = pytest_line(r, &r->pytest[stream], line, e);
        if (n == 0 && (on & READER_GO))
                n = go_line(r, &r->go[stream], line, e);
        if (n == 0 && (on & READER_TAP))
                n = tap_line(r, &r->tap, line, e);
        return n;
}

int readers_finish(struct readers *r, struct err *e)
{
        int n = 0;
        for (unsigned i = 0; n == 0 && i < READER_STREAMS; i++) {
                n = cargo_finish(r, &r->cargo[i], e);
                if (n == 0)
                        n = pytest_finish(r, &r->pytest[i], e);
                if (n == 0)
                        n = go_finish(r, &r->go[i], e);
        }
        return n < 0 ? n : tap_finish(r, &r->tap, e);
}

bool readers_want_go_mod(const struct readers *r)
{
        for (unsigned i = 0; i < READER_STREAMS; i++)
                for (size_t k = 0; k < r->go[i].n; k++)
                        if (r->go[i].v[k].package && !r->go_module)
                                return true;
        return false;
}

/* "module NAME" of one line, or 0: there is none. */
static int module_line(struct readers *r, const char *line, size_t len, struct err *e)
{
        static const char word[] = "module ";
        size_t n = sizeof(word) - 1;
        if (len <= n || memcmp(line, word, n) != 0)
                return 0;
        while (n < len && strchr(" \t\"", line[n]))
                n++;
        size_t end = n;
        while (end < len && !strchr(" \t\r\"", line[end]))
                end++;
        int k = end > n ? draft_set(&r->go_module, line + n, end - n, e) : 0;
        return k < 0 ? k : end > n;
}

int readers_go_mod(struct readers *r, const void *text, size_t len, struct err *e)
{
        const char *p = text;
        int n = 0;
        while (n == 0 && len) {
                const char *nl = memchr(p, '\n', len);
                size_t line = nl ? (size_t)(nl - p) : len;
                n = module_line(r, p, line, e);
                p += line + (nl ? 1 : 0);
                len -= line + (nl ? 1 : 0);
        }
        return n < 0 ? n : 0;
}

/* ---- shared ---- */

bool reader_skip(const char **s, const char *text)
{
        if (!str_starts(*s, text))
                return false;
        *s += strlen(text);
        return true;
}

/* ":NUMBER" at the end of s[len]: the number, and len without it; 0: there is none. */
static unsigned last_number(const char *s, size_t *len)
{
        size_t n = *len;
        while (n && s[n - 1] >= '0' && s[n - 1] <= '9')
                n--;
        unsigned number = n && s[n - 1] == ':' ? issue_number(s + n, *len - n) : 0;
        if (number)
                *len = n - 1;
        return number;
}

bool reader_place(const char *s, size_t len, struct place *ret)
{
        unsigned second = last_number(s, &len), first = second ? last_number(s, &len) : 0;
        *ret = (struct place){.path = s, .path_len = len, .line = first ? first : second, .column = first ? second : 0};
        return second && len && len <= ISSUE_MAX_PATH && !memmem(s, len, "://", 3);
}

void draft_clear(struct draft *d)
{
        free(d->path);
        free(d->title);
        free(d->name);
        buf_done(&d->message);
        *d = (struct draft){0};
}

int draft_set(char **field, const char *text, size_t len, struct err *e)
{
        char *copy = str_ndup(text, len);
        if (!copy)
                return err_nomem(e);
        free(*field);
        *field = copy;
        return 0;
}

int draft_place(struct draft *d, const struct place *p, struct err *e)
{
        d->line = p->line;
        d->column = p->column;
        return draft_set(&d->path, p->path, p->path_len, e);
}

int draft_add(struct draft *d, const char *line, struct err *e)
{
        size_t n = strlen(line);
        if (d->message.len + n + 1 > ISSUE_MAX_MESSAGE)
                return 0;
        int r = d->message.len ? buf_append_byte(&d->message, '\n', e) : 0;
        return r < 0 ? r : buf_append(&d->message, line, n, e);
}

bool reader_is_inside(const struct readers *r, const char *path, size_t len)
{
        AUTO(auto_free) char *text = str_ndup(path, len);
        AUTO(auto_free) char *file = text ? issue_path(r->workspace, r->folder, text) : NULL;
        return file != NULL;
}

/* A place outside the workspace is said in words. */
static int say_place(struct draft *d, struct err *e)
{
        struct buf b = BUF_INIT;
        int r = buf_printf(&b, e, "%s:%u: ", d->path, d->line);
        if (r == 0)
                r = buf_append(&b, d->message.data, d->message.len, e);
        buf_done(&d->message);
        d->message = b;
        return r;
}

int reader_tell(struct readers *r, const char *source, enum issue_level level, const char *folder, struct draft *d,
                const char *code, struct err *e)
{
        AUTO(auto_free) char *file = d->path ? issue_path(r->workspace, folder, d->path) : NULL;
        int n = d->path && !file ? say_place(d, e) : 0;
        const char *message = n == 0 ? buf_cstr(&d->message) : NULL;
        if (n == 0 && !message)
                n = err_nomem(e);
        if (n == 0) {
                struct issue i = {.level = level, .source = source, .file = file, .title = d->title, .code = code};
                i.message = message;
                i.line = file ? d->line : 0;
                i.column = file ? d->column : 0;
                n = r->config.issue(&i, r->config.user, e);
        }
        draft_clear(d);
        return n;
}
