#include "cli/render.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/journal.h"
#include "cli/open_steps.h"
#include "codec/json.h"
#include "codec/terminal.h"

/* A line of a journal, each byte of it shown as four, and our own words around it. */
#define MAX_TEXT (4 * JOURNAL_MAX_LINE + 4096)
#define MAX_REMEMBERED_TEXT 4096u /* bytes of a line, or an annotation, that the summary repeats */
#define MAX_REMEMBERED 200u       /* annotations and failed steps that the summary repeats, per job */

/* What the summary repeats of one failed step. */
struct failed_step {
        struct list link;
        char *name;
        char *reason;
        char *tail;
};

struct render_job {
        struct list link;
        struct render *render;
        char *name;
        unsigned hue;
        bool started;
        uint64_t since_ms; /* of the start */
        struct open_steps steps;
        struct list failed; /* struct failed_step */
        unsigned n_failed;
        struct strv errors; /* annotations of level error, as one line each */
        char *conclusion, *reason;
        char *environment; /* "production: https://..."; NULL: none, or not known yet */
        uint64_t ms;
};

struct render {
        struct render_options o;
        struct list jobs;
        unsigned n_jobs;
        struct buf line;
        uint64_t written_ms; /* when something was last shown */
        bool weaker_told;
        bool status_shown; /* the terminal's last line is a status that the next line replaces */
};

#define ERASE_LINE "\r\x1b[K"
#define STATUS_COLUMNS 100u

static const char *const hues[] = {"\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[33m", "\x1b[96m", "\x1b[95m"};
#define BOLD "\x1b[1m"
#define RED "\x1b[31m"
#define GREEN "\x1b[32m"
#define YELLOW "\x1b[33m"
#define DIM "\x1b[2m"
#define RESET "\x1b[0m"

int render_new(const struct render_options *o, struct render **ret, struct err *e)
{
        struct render *r = calloc(1, sizeof(*r));

        if (!r)
                return err_nomem(e);
        r->o = *o;
        r->line.max = MAX_TEXT;
        list_init(&r->jobs);
        *ret = r;
        return 0;
}

static void job_free(struct render_job *j)
{
        list_for_safe (pos, next, &j->failed) {
                struct failed_step *f = list_entry(pos, struct failed_step, link);
                free(f->name);
                free(f->reason);
                free(f->tail);
                free(f);
        }
        open_steps_done(&j->steps);
        strv_done(&j->errors);
        free(j->name);
        free(j->conclusion);
        free(j->reason);
        free(j->environment);
        free(j);
}

struct render *render_free(struct render *r)
{
        if (!r)
                return NULL;
        list_for_safe (pos, next, &r->jobs)
                job_free(list_entry(pos, struct render_job, link));
        buf_done(&r->line);
        free(r);
        return NULL;
}

int render_plain(const char *text, struct buf *ret, struct err *e)
{
        struct terminal t;
        int r = 0;

        terminal_init(&t, true);
        while (*text && r == 0) {
                size_t n = strcspn(text, "\n");

                r = terminal_filter(&t, text, n, ret, e);
                text += n;
                if (r == 0 && *text == '\n') {
                        r = buf_append_str(ret, "\\n", e);
                        text++;
                }
        }
        return r == 0 ? terminal_flush(&t, ret, e) : r;
}

/* A foreign text made plain, malloc'd; NULL when memory is out (*e filled). */
static char *plain(const char *text, struct err *e)
{
        struct buf b = BUF_INIT_MAX(MAX_TEXT);

        if (render_plain(text, &b, e) < 0) {
                buf_done(&b);
                return NULL;
        }
        char *out = buf_take_str(&b);
        if (!out)
                err_nomem(e);
        return out;
}

int render_job_new(struct render *r, const char *name, struct render_job **ret, struct err *e)
{
        struct render_job *j = calloc(1, sizeof(*j));

        if (!j)
                return err_nomem(e);
        list_init(&j->failed);
        open_steps_init(&j->steps);
        j->render = r;
        j->hue = r->n_jobs++ % (unsigned)ARRAY_SIZE(hues);
        list_append(&r->jobs, &j->link);
        j->name = plain(name, e);
        if (!j->name)
                return -1;
        *ret = j;
        return 0;
}

static int flush_line(struct render *r, struct err *e)
{
        if (r->status_shown)
                fputs(ERASE_LINE, r->o.out);
        r->status_shown = false;
        r->written_ms = clock_mono_ms();
        size_t n = r->o.quiet ? r->line.len : fwrite(r->line.data, 1, r->line.len, r->o.out);
        int failed = n != r->line.len || (!r->o.quiet && fflush(r->o.out) != 0);

        buf_clear(&r->line);
        return failed ? err_errno(e, ERR_RESOURCES, errno, "write to standard output") : 0;
}

static int paint(struct render *r, const char *color, struct err *e)
{
        return r->o.color ? buf_append_str(&r->line, color, e) : 0;
}

/* Begin a line of a job: "name | ". */
static int begin_line(struct render_job *j, struct err *e)
{
        struct render *r = j->render;

        if (!r->o.prefix)
                return 0;
        int q = paint(r, hues[j->hue], e);
        if (q == 0)
                q = buf_printf(&r->line, e, "%-*s |", (int)MIN(r->o.width, 40u), j->name);
        if (q == 0)
                q = paint(r, RESET, e);
        return q == 0 ? buf_append_byte(&r->line, ' ', e) : q;
}

/* One whole line of ours in a colour. */
static int put_line(struct render_job *j, const char *color, const char *text, struct err *e)
{
        struct render *r = j->render;
        int q = begin_line(j, e);

        if (q == 0)
                q = paint(r, color, e);
        if (q == 0)
                q = buf_append_str(&r->line, text, e);
        if (q == 0)
                q = paint(r, RESET, e);
        if (q == 0)
                q = buf_append_byte(&r->line, '\n', e);
        return q == 0 ? flush_line(r, e) : q;
}

static int put_linef(struct render_job *j, const char *color, struct err *e, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
static int put_linef(struct render_job *j, const char *color, struct err *e, const char *fmt, ...)
{
        struct buf text = BUF_INIT_MAX(MAX_TEXT);
        va_list ap;

        va_start(ap, fmt);
        int r = buf_vprintf(&text, e, fmt, ap);
        va_end(ap);
        const char *s = r == 0 ? buf_cstr(&text) : NULL;
        if (r == 0)
                r = s ? put_line(j, color, s, e) : err_nomem(e);
        buf_done(&text);
        return r;
}

int render_job_start(struct render_job *j, const char *image, const char *origin, struct err *e)
{
        j->started = true;
        j->since_ms = clock_mono_ms();
        return render_note(j, e, "starts in a guest of image %s (%s)", image, origin);
}

int render_note(struct render_job *j, struct err *e, const char *fmt, ...)
{
        struct buf text = BUF_INIT_MAX(MAX_TEXT);
        va_list ap;

        va_start(ap, fmt);
        int r = buf_vprintf(&text, e, fmt, ap);
        va_end(ap);
        AUTO(auto_free) char *raw = r == 0 ? buf_take_str(&text) : NULL;
        AUTO(auto_free) char *safe = raw ? plain(raw, e) : NULL;
        buf_done(&text);
        if (r == 0 && !raw)
                return err_nomem(e);
        return safe ? put_line(j, DIM, safe, e) : -1;
}

int render_line(struct render *r, struct err *e, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        int q = buf_vprintf(&r->line, e, fmt, ap);
        va_end(ap);
        if (q == 0)
                q = buf_append_byte(&r->line, '\n', e);
        return q == 0 ? flush_line(r, e) : q;
}

/* "build: Compile 12s; unit: starting 3s" */
static int describe_running(struct render *r, struct buf *ret, struct err *e)
{
        int q = 0;

        list_for (pos, &r->jobs) {
                struct render_job *j = list_entry(pos, struct render_job, link);
                const struct open_step *s = open_steps_last(&j->steps);

                if (q < 0 || !j->started || j->conclusion)
                        continue;
                q = buf_printf(ret, e, "%s%s: %s %llus", ret->len > 0 ? "; " : "", j->name, s ? s->name : "starting",
                               (unsigned long long)((clock_mono_ms() - (s ? s->since_ms : j->since_ms)) / 1000));
        }
        return q;
}

int render_tick(struct render *r, struct err *e)
{
        struct buf status = BUF_INIT_MAX(MAX_TEXT);

        if (r->o.quiet || r->o.progress == RENDER_PROGRESS_NONE || clock_mono_ms() - r->written_ms < RENDER_SILENCE_MS)
                return 0;
        int q = describe_running(r, &status, e);
        if (q == 0 && status.len > 0 && r->o.progress == RENDER_PROGRESS_LINES) {
                q = render_line(r, e, "... %.*s", (int)status.len, (const char *)status.data);
        } else if (q == 0 && status.len > 0) {
                fprintf(r->o.out, ERASE_LINE "%.*s", (int)MIN(status.len, (size_t)STATUS_COLUMNS),
                        (const char *)status.data);
                fflush(r->o.out);
                r->status_shown = true;
        }
        buf_done(&status);
        return q;
}

static const char *get_str(const json_t *event, const char *key)
{
        const char *s = json_string_value(json_object_get(event, key));

        return s ? s : "";
}

static long long get_int(const json_t *event, const char *key)
{
        return (long long)json_integer_value(json_object_get(event, key));
}

/* The text itself, or where it is too long for a summary, its beginning without colours, made plain once more: a cut
 * may have gone through a sequence. */
static char *shortened(const char *line, size_t len, struct err *e)
{
        if (len <= MAX_REMEMBERED_TEXT) {
                char *copy = str_ndup(line, len);
                if (!copy)
                        err_nomem(e);
                return copy;
        }
        AUTO(auto_free) char *start = str_ndup(line, MAX_REMEMBERED_TEXT);
        AUTO(auto_free) char *safe = start ? plain(start, e) : NULL;
        char *cut = safe ? str_printf("%s...", safe) : NULL;
        if (!cut)
                err_nomem(e);
        return cut;
}

/* Remember a shown line for the summary. */
static int remember_line(struct open_step *s, const char *line, size_t len, struct err *e)
{
        char *copy = s ? shortened(line, len, e) : NULL;

        if (copy)
                open_step_remember(s, copy);
        return s && !copy ? -1 : 0;
}

/* Where steps run beside each other, each line says whose it is. */
static int put_step(struct render_job *j, const struct open_step *s, struct err *e)
{
        struct render *r = j->render;

        if (!s || !j->steps.n_background)
                return 0;
        int q = paint(r, DIM, e);
        if (q == 0)
                q = buf_printf(&r->line, e, "[%s] ", open_step_shown(s)->name);
        return q == 0 ? paint(r, RESET, e) : q;
}

static int log_line(struct render_job *j, struct open_step *s, const char *line, size_t len, bool note, struct err *e)
{
        struct render *r = j->render;
        struct terminal t;

        terminal_init(&t, !r->o.color);
        int q = begin_line(j, e);
        if (q == 0)
                q = put_step(j, s, e);
        if (q == 0 && note)
                q = paint(r, DIM, e);
        size_t start = r->line.len;
        if (q == 0)
                q = terminal_filter(&t, line, len, &r->line, e);
        if (q == 0)
                q = terminal_flush(&t, &r->line, e);
        if (q == 0)
                q = remember_line(s, (const char *)r->line.data + start, r->line.len - start, e);
        if (q == 0 && note)
                q = paint(r, RESET, e);
        if (q == 0)
                q = buf_append_byte(&r->line, '\n', e);
        return q == 0 ? flush_line(r, e) : q;
}

static int put_group(struct render_job *j, struct open_step *s, const char *group, struct err *e)
{
        if (!s || str_eq(group, s->group))
                return 0;
        free(s->group);
        s->group = str_dup(group);
        AUTO(auto_free) char *title = plain(group, e);
        if (!title || !s->group)
                return err_nomem(e);
        return *title ? put_linef(j, BOLD, e, "> %s", title) : 0;
}

static struct open_step *step_of(struct render_job *j, const json_t *event)
{
        return open_steps_find(&j->steps, get_int(event, "step"));
}

static int on_log(struct render_job *j, const json_t *event, struct err *e)
{
        struct open_step *s = step_of(j, event);
        const char *text = get_str(event, "text");
        bool note = str_eq(get_str(event, "stream"), "note");
        int r = put_group(j, s, get_str(event, "group"), e);

        while (*text && r == 0) {
                size_t n = strcspn(text, "\n");

                r = log_line(j, s, text, n, note, e);
                text += n + (text[n] == '\n');
        }
        return r;
}

/* The steps of an action are shown inside of the step that uses it. */
static int on_step_started(struct render_job *j, const json_t *event, struct err *e)
{
        const json_t *parent = json_object_get(event, "parent");
        bool background = json_is_true(json_object_get(event, "background"));
        struct open_step *s;
        char *name = plain(get_str(event, "name"), e);

        if (!name || open_steps_add(&j->steps, get_int(event, "step"), parent ? json_integer_value(parent) : -1,
                                    background, name, &s, e) < 0)
                return -1;
        if (!s)
                return 0;
        if (s->parent)
                return put_linef(j, DIM, e, "-- %s", s->name);
        return put_linef(j, BOLD, e, "== %s%s", s->name, background ? " (in the background)" : "");
}

/* "Run ./action / Run make" */
static char *whole_name(const struct open_step *s)
{
        AUTO(auto_free) char *outer = s->parent ? whole_name(s->parent) : NULL;

        return outer ? str_printf("%s / %s", outer, s->name) : str_dup(s->name);
}

/* Of an action that failed because of one of its steps, that step is told. */
static int remember_failure(struct render_job *j, struct open_step *s, const char *reason, struct err *e)
{
        AUTO(auto_free) char *name = whole_name(s);
        struct failed_step *f;
        struct buf tail = BUF_INIT_MAX(MAX_TEXT);

        if (s->parent)
                s->parent->told = true;
        if (s->told || j->n_failed++ >= MAX_REMEMBERED)
                return 0;
        f = calloc(1, sizeof(*f));
        if (!f || !name) {
                free(f);
                return err_nomem(e);
        }
        list_append(&j->failed, &f->link);
        for (size_t i = 0; i < s->n_tail; i++)
                if (buf_printf(&tail, e, "    %s\n", s->tail[i]) < 0)
                        break;
        f->name = shortened(name, strlen(name), e);
        f->reason = shortened(reason, strlen(reason), e);
        f->tail = buf_take_str(&tail);
        return f->name && f->reason && f->tail ? 0 : err_nomem(e);
}

/* Parts of a step that went well need no line of their own. */
static int put_finished(struct render_job *j, const struct open_step *s, const json_t *event, const char *reason,
                        struct err *e)
{
        const char *outcome = get_str(event, "outcome"), *mark = s->parent ? "-- " : "";
        bool tolerated = str_eq(get_str(event, "conclusion"), "success");
        char took[CLOCK_DURATION_SIZE];

        clock_duration((uint64_t)get_int(event, "ms"), took);
        if (str_eq(outcome, "success"))
                return s->parent && !s->background ? 0 : put_linef(j, GREEN, e, "%sok %s (%s)", mark, s->name, took);
        if (str_eq(outcome, "skipped"))
                return put_linef(j, DIM, e, "%sskipped %s%s%s", mark, s->name, *reason ? ": " : "", reason);
        return put_linef(j, tolerated ? YELLOW : RED, e, "%s%s %s (%s)%s%s", mark,
                         str_eq(outcome, "cancelled") ? "cancelled" : "failed", s->name, took, *reason ? ": " : "",
                         reason);
}

static int on_step_finished(struct render_job *j, const json_t *event, struct err *e)
{
        AUTO(auto_free) char *reason = plain(get_str(event, "reason"), e);
        struct open_step *s = step_of(j, event);

        if (!reason)
                return -1;
        if (!s)
                return 0;
        int r = put_finished(j, s, event, reason, e);
        if (r == 0 && str_eq(get_str(event, "outcome"), "failure"))
                r = remember_failure(j, s, reason, e);
        open_steps_remove(&j->steps, s);
        return r;
}

/* "error: src/a.c:3:5: title: message", with what of it is there. */
static int annotation_text(const json_t *event, struct buf *ret, struct err *e)
{
        const char *file = get_str(event, "file"), *title = get_str(event, "title");
        int r = render_plain(get_str(event, "level"), ret, e);

        if (r == 0)
                r = buf_append_str(ret, ": ", e);
        if (r == 0 && *file) {
                r = render_plain(file, ret, e);
                if (r == 0 && get_int(event, "line") > 0)
                        r = buf_printf(ret, e, ":%lld", get_int(event, "line"));
                if (r == 0 && get_int(event, "column") > 0)
                        r = buf_printf(ret, e, ":%lld", get_int(event, "column"));
                if (r == 0)
                        r = buf_append_str(ret, ": ", e);
        }
        if (r == 0 && *title)
                r = render_plain(title, ret, e);
        if (r == 0 && *title)
                r = buf_append_str(ret, ": ", e);
        return r == 0 ? render_plain(get_str(event, "message"), ret, e) : r;
}

static int on_annotation(struct render_job *j, const json_t *event, struct err *e)
{
        struct buf text = BUF_INIT_MAX(MAX_TEXT);
        bool is_error = str_eq(get_str(event, "level"), "error");
        int r = annotation_text(event, &text, e);
        const char *s = r == 0 ? buf_cstr(&text) : NULL;

        if (r == 0)
                r = s ? put_line(j, is_error ? RED : YELLOW, s, e) : err_nomem(e);
        if (r == 0 && is_error && j->errors.n < MAX_REMEMBERED) {
                AUTO(auto_free) char *kept = shortened(s, strlen(s), e);
                r = kept ? strv_add(&j->errors, kept, e) : -1;
        }
        buf_done(&text);
        return r;
}

static int on_console(struct render_job *j, const json_t *event, struct err *e)
{
        const char *text = get_str(event, "text");
        int r = *text ? put_line(j, BOLD, "the guest's console ended with:", e) : 0;

        while (*text && r == 0) {
                size_t n = strcspn(text, "\n");

                r = log_line(j, NULL, text, n, true, e);
                text += n + (text[n] == '\n');
        }
        return r;
}

static int on_vm_seeded(struct render_job *j, const json_t *event, struct err *e)
{
        AUTO(auto_free) char *kernel = plain(get_str(event, "kernel"), e);

        if (!kernel)
                return -1;
        const long long cpus = get_int(event, "cpus");
        return put_linef(j, DIM, e, "guest is up: Linux %s, %lld processor%s, %lld MiB", kernel, cpus,
                         cpus == 1 ? "" : "s", get_int(event, "memory") >> 20);
}

/* What protects less here than it could, once for all jobs of a run: it is the host, and so the same for each. */
static int on_job_started(struct render_job *j, const json_t *event, struct err *e)
{
        json_t *protections = json_object_get(event, "protections");
        struct buf names = BUF_INIT_MAX(MAX_TEXT);
        const char *name;
        json_t *state;
        int r = 0;

        json_object_foreach(protections, name, state)
        {
                if (r < 0 || str_eq(json_string_value(state), "ok"))
                        continue;
                r = buf_append_str(&names, names.len > 0 ? ", " : "", e);
                if (r == 0)
                        r = render_plain(name, &names, e);
                if (r == 0)
                        r = buf_append_str(&names, str_eq(json_string_value(state), "missing") ? " (missing)" : "", e);
        }
        if (r == 0 && names.len > 0 && !j->render->weaker_told) {
                j->render->weaker_told = true;
                r = render_line(j->render, e, "weaker on this host: %.*s; 'devdep-cli doctor' says why", (int)names.len,
                                (const char *)names.data);
        }
        buf_done(&names);
        return r;
}

static int on_job_finished(struct render_job *j, const json_t *event, struct err *e)
{
        const json_t *environment = json_object_get(event, "job_environment");

        if (!environment)
                return 0;
        AUTO(auto_free) char *name = plain(get_str(environment, "name"), e);
        AUTO(auto_free) char *url = name ? plain(get_str(environment, "url"), e) : NULL;
        if (!url)
                return -1;
        free(j->environment);
        j->environment = str_printf("%s%s%s", name, *url ? ": " : "", url);
        return j->environment ? 0 : err_nomem(e);
}

int render_event(struct render_job *j, const char *type, const struct json_t *event, struct err *e)
{
        static const struct {
                const char *type;
                int (*fn)(struct render_job *j, const json_t *event, struct err *e);
        } table[] = {
                {"log", on_log},
                {"step_started", on_step_started},
                {"step_finished", on_step_finished},
                {"annotation", on_annotation},
                {"console", on_console},
                {"vm_seeded", on_vm_seeded},
                {"job_started", on_job_started},
                {"job_finished", on_job_finished},
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (strcmp(table[i].type, type) == 0)
                        return table[i].fn(j, event, e);
        return 0;
}

static const char *conclusion_color(const char *conclusion)
{
        if (str_eq(conclusion, "success"))
                return GREEN;
        return str_eq(conclusion, "skipped") ? DIM : RED;
}

int render_job_end(struct render_job *j, const char *conclusion, uint64_t ms, const char *reason, struct err *e)
{
        char took[CLOCK_DURATION_SIZE];

        clock_duration(ms, took);
        free(j->conclusion);
        free(j->reason);
        j->conclusion = str_dup(conclusion);
        j->reason = plain(reason ? reason : "", e);
        j->ms = ms;
        if (!j->conclusion || !j->reason)
                return err_nomem(e);
        return put_linef(j, conclusion_color(conclusion), e, "job %s: %s%s%s (%s)", j->name, conclusion,
                         *j->reason ? ": " : "", j->reason, took);
}

static int summary_row(struct render_job *j, struct err *e)
{
        struct render *r = j->render;
        char took[CLOCK_DURATION_SIZE];

        clock_duration(j->ms, took);
        int q = buf_printf(&r->line, e, "  %-*s  ", (int)MIN(r->o.width, 60u), j->name);
        if (q == 0)
                q = paint(r, conclusion_color(j->conclusion), e);
        if (q == 0)
                q = buf_printf(&r->line, e, "%-9s", j->conclusion);
        if (q == 0)
                q = paint(r, RESET, e);
        if (q == 0)
                q = buf_printf(&r->line, e, "  %8s%s%s%s%s\n", took, *j->reason ? "  " : "", j->reason,
                               j->environment ? "  environment " : "", j->environment ? j->environment : "");
        return q == 0 ? flush_line(r, e) : q;
}

static int summary_failures(struct render_job *j, struct err *e)
{
        struct render *r = j->render;
        int q = 0;

        list_for (pos, &j->failed) {
                const struct failed_step *f = list_entry(pos, struct failed_step, link);

                if (q == 0)
                        q = render_line(r, e, "\n%s: step '%s' failed%s%s", j->name, f->name, *f->reason ? ": " : "",
                                        f->reason);
                if (q == 0 && *f->tail) {
                        q = buf_append_str(&r->line, f->tail, e);
                        if (q == 0)
                                q = flush_line(r, e);
                }
        }
        for (size_t i = 0; i < j->errors.n && q == 0; i++)
                q = render_line(r, e, "%s%s", i == 0 ? "\n" : "", j->errors.v[i]);
        return q;
}

int render_summary(struct render *r, struct err *e)
{
        int q = render_line(r, e, "%s", "");

        list_for (pos, &r->jobs) {
                struct render_job *j = list_entry(pos, struct render_job, link);
                if (q == 0 && j->conclusion)
                        q = summary_row(j, e);
        }
        list_for (pos, &r->jobs)
                if (q == 0)
                        q = summary_failures(list_entry(pos, struct render_job, link), e);
        return q;
}

int render_use_color(const char *when, FILE *out, bool *ret, struct err *e)
{
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

        if (!when || str_eq(when, "auto"))
                *ret = isatty(fileno(out)) && !(no_color && *no_color) && !str_eq(term, "dumb");
        else if (str_eq(when, "always") || str_eq(when, "never"))
                *ret = str_eq(when, "always");
        else
                return err_set(e, ERR_USAGE, "--color: expected auto, always or never, found '%s'", when);
        return 0;
}

int render_use_progress(const char *when, FILE *out, enum render_progress *ret, struct err *e)
{
        bool terminal = isatty(fileno(out)) && !str_eq(getenv("TERM"), "dumb");

        if (!when || str_eq(when, "auto"))
                *ret = terminal ? RENDER_PROGRESS_STATUS : RENDER_PROGRESS_NONE;
        else if (str_eq(when, "always"))
                *ret = terminal ? RENDER_PROGRESS_STATUS : RENDER_PROGRESS_LINES;
        else if (str_eq(when, "never"))
                *ret = RENDER_PROGRESS_NONE;
        else
                return err_set(e, ERR_USAGE, "--progress: expected auto, always or never, found '%s'", when);
        return 0;
}
