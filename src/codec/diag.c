#include "codec/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/terminal.h"

#define MAX_SHOWN_LINE 160    /* characters of a source line that are shown */
#define MAX_SHOWN_CALLERS 300 /* bytes of the chain of callers in one line */

struct file {
        char *name;
        char *called_from; /* or NULL */
        const char *source;
        size_t len;
};

struct diag_list {
        struct file *files; /* at least one */
        size_t n_files, at; /* at: the one whose problems are added */
        struct diag *v;
        size_t n, cap, errors, dropped;
};

static int add_file(struct diag_list *l, const char *name, struct err *e)
{
        struct file *files = reallocarray(l->files, l->n_files + 1, sizeof(*files));
        if (!files)
                return err_nomem(e);
        l->files = files;
        files[l->n_files] = (struct file){.name = str_dup(name)};
        if (!files[l->n_files].name)
                return err_nomem(e);
        l->at = l->n_files++;
        return 0;
}

int diag_new(const char *file, struct diag_list **ret, struct err *e)
{
        AUTO(diag_freep) struct diag_list *l = calloc(1, sizeof(*l));
        int r = l ? add_file(l, file, e) : err_nomem(e);
        if (r == 0)
                *ret = TAKE_PTR(l);
        return r;
}

int diag_enter(struct diag_list *l, const char *file, const char *source, size_t len, unsigned line, unsigned column,
               size_t *ret_outer, struct err *e)
{
        size_t outer = l->at;
        int r = add_file(l, file, e);
        if (r < 0)
                return r;
        struct file *f = &l->files[l->at];
        const struct file *caller = &l->files[outer];
        f->source = source;
        f->len = len;
        f->called_from =
                str_printf("%s:%u:%u%s%s", caller->name, line, column, caller->called_from ? ", called from " : "",
                           caller->called_from ? caller->called_from : "");
        if (!f->called_from) {
                l->at = outer;
                return err_nomem(e);
        }
        *ret_outer = outer;
        return 0;
}

void diag_leave(struct diag_list *l, size_t outer)
{
        l->at = outer;
}

struct diag_list *diag_free(struct diag_list *l)
{
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n; i++) {
                free(l->v[i].message);
                free(l->v[i].hint);
        }
        for (size_t i = 0; i < l->n_files; i++) {
                free(l->files[i].name);
                free(l->files[i].called_from);
        }
        free(l->files);
        free(l->v);
        free(l);
        return NULL;
}

static char *format(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static char *format(const char *fmt, va_list ap)
{
        char *s = NULL;
        return vasprintf(&s, fmt, ap) < 0 ? NULL : s;
}

static int grow(struct diag_list *l, struct err *e)
{
        if (l->n < l->cap)
                return 0;
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct diag *v = reallocarray(l->v, cap, sizeof(*v));
        if (!v)
                return err_nomem(e);
        l->v = v;
        l->cap = cap;
        return 0;
}

int diag_add(struct diag_list *l, enum diag_severity severity, unsigned line, unsigned column, unsigned width,
             const char *hint, struct err *e, const char *fmt, ...)
{
        va_list ap;
        l->errors += severity == DIAG_ERROR;
        if (l->n == DIAG_MAX) {
                l->dropped++;
                return 0;
        }
        int r = grow(l, e);
        if (r < 0)
                return r;
        struct diag d = {.severity = severity, .line = line, .column = column, .width = MAX(width, 1u), .file = l->at};
        va_start(ap, fmt);
        d.message = format(fmt, ap);
        va_end(ap);
        d.hint = hint && *hint ? str_dup(hint) : NULL;
        if (!d.message || (hint && *hint && !d.hint)) {
                free(d.message);
                return err_nomem(e);
        }
        l->v[l->n++] = d;
        return 0;
}

size_t diag_count(const struct diag_list *l)
{
        return l->n;
}
const struct diag *diag_at(const struct diag_list *l, size_t i)
{
        return i < l->n ? &l->v[i] : NULL;
}
bool diag_is_full(const struct diag_list *l)
{
        return l->n == DIAG_MAX;
}
size_t diag_errors(const struct diag_list *l)
{
        return l->errors;
}
size_t diag_dropped(const struct diag_list *l)
{
        return l->dropped;
}

const char *diag_file(const struct diag_list *l, const struct diag *d)
{
        return l->files[d->file].name;
}

const char *diag_called_from(const struct diag_list *l, const struct diag *d)
{
        return l->files[d->file].called_from;
}

static bool is_before(const struct diag *a, const struct diag *b)
{
        if (a->file != b->file)
                return a->file < b->file;
        return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void diag_sort(struct diag_list *l)
{
        for (size_t i = 1; i < l->n; i++) { /* at most DIAG_MAX: insertion keeps the order of equals */
                struct diag d = l->v[i];
                size_t k = i;
                for (; k && is_before(&d, &l->v[k - 1]); k--)
                        l->v[k] = l->v[k - 1];
                l->v[k] = d;
        }
}

/* One line of what is shown: a line break of a foreign text would begin one that looks like ours. */
static int append_safe(const char *text, size_t len, struct buf *ret, struct err *e)
{
        struct terminal t;
        const char *end = text + len, *stop;
        int r = 0;

        terminal_init(&t, true);
        for (; r == 0 && (stop = memchr(text, '\n', (size_t)(end - text))); text = stop + 1) {
                r = terminal_filter(&t, text, (size_t)(stop - text), ret, e);
                if (r == 0)
                        r = terminal_flush(&t, ret, e);
                if (r == 0)
                        r = buf_append_str(ret, "\\n", e);
        }
        if (r == 0)
                r = terminal_filter(&t, text, (size_t)(end - text), ret, e);
        return r < 0 ? r : terminal_flush(&t, ret, e);
}

/* The bytes of a 1-based line; false when there is no such line. */
static bool find_line(const char *source, size_t len, unsigned line, const char **ret, size_t *ret_len)
{
        const char *p = source, *end = source + len;
        for (unsigned i = 1; i < line; i++) {
                const char *next = memchr(p, '\n', (size_t)(end - p));
                if (!next)
                        return false;
                p = next + 1;
        }
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        *ret = p;
        *ret_len = (size_t)((stop ? stop : end) - p);
        if (*ret_len && p[*ret_len - 1] == '\r')
                (*ret_len)--;
        return p < end;
}

static size_t characters(const char *s, size_t len)
{
        size_t n = 0;
        for (size_t i = 0; i < len; i++)
                n += ((unsigned char)s[i] & 0xc0) != 0x80;
        return n;
}

/* Bytes of the first n characters. */
static size_t prefix(const char *s, size_t len, size_t n)
{
        size_t i = 0;
        for (; i < len && n; n--)
                do
                        i++;
                while (i < len && ((unsigned char)s[i] & 0xc0) == 0x80);
        return i;
}

/* "  12 | text" and a line of carets below. Long lines are cut at the right; a place past the cut gets no caret. */
static int append_source(const struct diag *d, const char *source, size_t len, struct buf *ret, struct err *e)
{
        const char *line;
        size_t n;
        if (!source || !d->line || !find_line(source, len, d->line, &line, &n))
                return 0;
        n = prefix(line, n, MAX_SHOWN_LINE);
        struct buf shown = BUF_INIT;
        int r = append_safe(line, n, &shown, e);
        if (r == 0)
                r = buf_printf(ret, e, "%6u | ", d->line);
        if (r == 0)
                r = buf_append(ret, shown.data, shown.len, e);
        if (r == 0)
                r = buf_append_str(ret, "\n", e);
        size_t total = characters(line, n);
        if (r == 0 && d->column && d->column <= total + 1) {
                size_t left = total + 1 - d->column, width = MIN((size_t)d->width, MAX(left, (size_t)1));
                r = buf_printf(ret, e, "       | %*s", (int)d->column - 1, "");
                for (size_t i = 0; r == 0 && i < width; i++)
                        r = buf_append_byte(ret, '^', e);
                if (r == 0)
                        r = buf_append_byte(ret, '\n', e);
        }
        buf_done(&shown);
        return r;
}

static int append_place(const struct diag_list *l, const struct diag *d, struct buf *ret, struct err *e)
{
        const char *file = diag_file(l, d);
        int r = append_safe(file, strlen(file), ret, e);
        if (r == 0 && d->line)
                r = buf_printf(ret, e, ":%u:%u", d->line, d->column);
        return r < 0 ? r : buf_printf(ret, e, ": %s: ", d->severity == DIAG_ERROR ? "error" : "warning");
}

/* A line of its own: what, and a text of the file; nothing when there is no text. */
static int append_note(const char *what, const char *text, struct buf *ret, struct err *e)
{
        if (!text)
                return 0;
        int r = buf_printf(ret, e, "  %s", what);
        if (r == 0)
                r = append_safe(text, strlen(text), ret, e);
        return r < 0 ? r : buf_append_byte(ret, '\n', e);
}

static int append_one(const struct diag_list *l, const struct diag *d, const char *source, size_t len, struct buf *ret,
                      struct err *e)
{
        int r = append_place(l, d, ret, e);
        if (r == 0)
                r = append_safe(d->message, strlen(d->message), ret, e);
        if (r == 0)
                r = buf_append_byte(ret, '\n', e);
        if (r == 0)
                r = append_source(d, source, len, ret, e);
        if (r == 0)
                r = append_note("hint: ", d->hint, ret, e);
        return r < 0 ? r : append_note("called from ", diag_called_from(l, d), ret, e);
}

int diag_render(const struct diag_list *l, const char *source, size_t source_len, struct buf *ret, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < l->n; i++) {
                const struct file *f = &l->files[l->v[i].file];
                bool own = f == l->files;
                r = append_one(l, &l->v[i], own ? source : f->source, own ? source_len : f->len, ret, e);
        }
        if (r == 0 && l->dropped)
                r = buf_printf(ret, e, "%zu more problems are not shown\n", l->dropped);
        return r;
}

int diag_to_err(const struct diag_list *l, struct err *e)
{
        const struct diag *first = NULL;
        for (size_t i = 0; i < l->n && !first; i++)
                if (l->v[i].severity == DIAG_ERROR)
                        first = &l->v[i];
        if (!first)
                return 0;
        char more[40] = "";
        if (l->errors > 1)
                snprintf(more, sizeof(more), " (%zu more problem%s)", l->errors - 1, l->errors == 2 ? "" : "s");
        const struct file *f = &l->files[first->file];
        char called[MAX_SHOWN_CALLERS + 32] = "";
        if (f->called_from)
                snprintf(called, sizeof(called), " (called from %.*s%s)", MAX_SHOWN_CALLERS, f->called_from,
                         strlen(f->called_from) > MAX_SHOWN_CALLERS ? "..." : "");
        if (!first->line)
                return err_set(e, ERR_USAGE, "%s: %s%s%s", f->name, first->message, called, more);
        return err_set(e, ERR_USAGE, "%s:%u:%u: %s%s%s", f->name, first->line, first->column, first->message, called,
                       more);
}
