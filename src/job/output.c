#include "job/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/journal.h"
#include "job/mask.h"
#include "workflow/command.h"
#include "workflow/issue.h"

#define FEED_MAX ((size_t)16 << 10) /* bytes masked at once, so that collected text stays near its limit */

static const char *const stream_names[OUTPUT_STREAMS] = {"out", "err"};

struct line {
        struct buf raw; /* the beginning of a line that is not complete */
        struct mask_stream *mask;
        bool broken; /* the beginning of this line was written already */
};

struct output {
        struct output_config config;
        struct command_parser parser;
        struct line line[OUTPUT_STREAMS];
        struct buf text; /* masked lines not yet written, all of one stream */
        enum output_stream text_stream;
        char *group;
        unsigned annotations;
        struct buf held; /* while paused: stream, length, bytes; again and again */
        bool paused, finishing;
        bool commanded; /* the owner carries out a line of the guest: what it annotates counts as the guest's */
};

int output_new(const struct output_config *config, struct output **ret, struct err *e)
{
        struct output *o = calloc(1, sizeof(*o));
        if (!o)
                return err_nomem(e);
        o->config = *config;
        command_parser_init(&o->parser);
        for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
                int r = mask_stream_new(config->masks, &o->line[i].mask, e);
                if (r < 0) {
                        output_free(o);
                        return r;
                }
        }
        *ret = o;
        return 0;
}

struct output *output_free(struct output *o)
{
        if (!o)
                return NULL;
        for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
                buf_wipe(&o->line[i].raw);
                mask_stream_free(o->line[i].mask);
        }
        buf_wipe(&o->held);
        buf_done(&o->text);
        free(o->group);
        free(o);
        return NULL;
}

bool output_is_pending(const struct output *o)
{
        return o->text.len > 0;
}

/* How much of the text makes the next event: whole lines where there are any, else up to the start of a character. */
static size_t slice(const uint8_t *p, size_t len)
{
        size_t n = MIN(len, JOURNAL_MAX_LOG - 1);
        const uint8_t *nl = memrchr(p, '\n', n);
        if (nl)
                return (size_t)(nl - p) + 1;
        while (n < len && n > 1 && (p[n] & 0xc0) == 0x80)
                n--;
        return n;
}

static int write_slice(struct output *o, const uint8_t *p, size_t n, struct err *e)
{
        struct buf b = BUF_INIT;
        const char *stream = stream_names[o->text_stream];
        if (p[n - 1] == '\n')
                return journal_log(o->config.journal, o->config.step, stream, o->group, p, n, e);
        int r = buf_append(&b, p, n, e);
        if (r == 0)
                r = buf_append_byte(&b, '\n', e);
        if (r == 0)
                r = journal_log(o->config.journal, o->config.step, stream, o->group, b.data, b.len, e);
        buf_done(&b);
        return r;
}

int output_flush(struct output *o, struct err *e)
{
        int r = 0;
        for (size_t at = 0; r == 0 && at < o->text.len;) {
                size_t n = slice(o->text.data + at, o->text.len - at);
                r = write_slice(o, o->text.data + at, n, e);
                at += n;
        }
        buf_clear(&o->text);
        return r;
}

/* Text of whole lines, or a piece of a long one. */
static int add_text(struct output *o, enum output_stream stream, const uint8_t *p, size_t len, struct err *e)
{
        AUTO(buf_wipe) struct buf plain = BUF_INIT;
        int r = masks_colored(o->config.masks, p, len, &plain, e);
        if (r == 0 && o->text_stream != stream)
                r = output_flush(o, e);
        o->text_stream = stream;
        if (plain.len) {
                p = plain.data;
                len = plain.len;
        }
        while (r == 0 && len) {
                size_t n = MIN(len, FEED_MAX);
                r = mask_stream_feed(o->line[stream].mask, p, n, &o->text, e);
                p += n;
                len -= n;
                if (r == 0 && o->text.len >= OUTPUT_MAX_TEXT && o->text.data[o->text.len - 1] == '\n')
                        r = output_flush(o, e);
        }
        return r;
}

static void put_number(struct journal *j, const char *key, unsigned n)
{
        if (n)
                journal_i64(j, key, n);
}

static int annotate(struct output *o, const struct issue *i, struct err *e)
{
        static const char *const levels[] = {"error", "warning", "notice"};
        struct journal *j = o->config.journal;
        int r = output_flush(o, e);
        if (r < 0)
                return r;
        o->annotations++;
        journal_begin(j, "annotation");
        journal_i64(j, "step", o->config.step);
        journal_word(j, "level", levels[i->level]);
        journal_str(j, "title", i->title);
        journal_str(j, "file", i->file);
        put_number(j, "line", i->line);
        put_number(j, "end_line", i->end_line);
        put_number(j, "column", i->column);
        put_number(j, "end_column", i->end_column);
        journal_str(j, "code", i->code);
        journal_str(j, "source", i->source);
        journal_text(j, "message", i->message, MIN(strlen(i->message), OUTPUT_MAX_MESSAGE));
        return journal_end(j, e);
}

static enum issue_level level_of(enum command_kind kind)
{
        return kind == COMMAND_ERROR ? ISSUE_ERROR : kind == COMMAND_WARNING ? ISSUE_WARNING : ISSUE_NOTICE;
}

/* A file outside the workspace is none that the annotation could be shown at. */
static int annotate_command(struct output *o, const struct command *c, struct err *e)
{
        const char *workspace = o->config.workspace;
        AUTO(auto_free) char *file = c->file && workspace ? issue_path(workspace, workspace, c->file) : NULL;
        const struct issue i = {.level = level_of(c->kind),
                                .file = workspace ? file : c->file,
                                .title = c->title,
                                .message = c->data ? c->data : "",
                                .line = c->line,
                                .column = c->column,
                                .end_line = c->end_line,
                                .end_column = c->end_column};
        if (o->config.annotated)
                o->config.annotated(&i, o->config.user);
        return annotate(o, &i, e);
}

static bool annotations_full(const struct output *o)
{
        return o->annotations >= OUTPUT_MAX_ANNOTATIONS || journal_is_full(o->config.journal);
}

int output_annotate(struct output *o, const char *level, const char *title, const char *message, struct err *e)
{
        if (o->commanded && annotations_full(o))
                return 0;
        const struct issue i = {.level = str_eq(level, "error")     ? ISSUE_ERROR
                                         : str_eq(level, "warning") ? ISSUE_WARNING
                                                                    : ISSUE_NOTICE,
                                .title = title,
                                .message = message};
        return annotate(o, &i, e);
}

int output_issue(struct output *o, const struct issue *i, struct err *e)
{
        return annotations_full(o) ? 0 : annotate(o, i, e);
}

static int set_group(struct output *o, const char *title, struct err *e)
{
        int r = output_flush(o, e);
        free(o->group);
        o->group = title ? str_ndup(title, 1024) : NULL;
        return title && !o->group ? err_nomem(e) : r;
}

static int tell_owner(struct output *o, const struct command *c, struct err *e)
{
        o->commanded = true;
        int r = o->config.command(c, o->config.user, e);
        o->commanded = false;
        return r;
}

/* 1: the line is text all the same. */
static int do_command(struct output *o, const struct command *c, struct err *e)
{
        int r;
        switch (c->kind) {
        case COMMAND_NONE:
                return 1;
        case COMMAND_ERROR:
        case COMMAND_WARNING:
        case COMMAND_NOTICE:
                if (annotations_full(o))
                        return 1;
                return annotate_command(o, c, e);
        case COMMAND_GROUP:
                return set_group(o, c->data ? c->data : "", e);
        case COMMAND_ENDGROUP:
                return set_group(o, NULL, e);
        case COMMAND_DEBUG:
                return o->config.debug;
        case COMMAND_STOP:
        case COMMAND_RESUME:
        case COMMAND_ECHO:
                r = c->problem ? tell_owner(o, c, e) : 0;
                return r < 0 ? r : c->echo;
        default:
                r = output_flush(o, e);
                if (r == 0)
                        r = tell_owner(o, c, e);
                return r < 0 ? r : c->echo && c->kind != COMMAND_ADD_MASK;
        }
}

/* Could a command stand in it? Most lines are decided here. */
static bool may_be_command(const uint8_t *p, size_t len)
{
        return memmem(p, len, "::", 2) || memmem(p, len, "##[", 3);
}

static size_t without_cr(const uint8_t *p, size_t len)
{
        return len && p[len - 1] == '\r' ? len - 1 : len;
}

/* To who looks for problems in it, as long as they could be told. */
static int show_line(struct output *o, enum output_stream stream, const uint8_t *p, size_t len, struct err *e)
{
        if (!o->config.line || len > OUTPUT_MAX_LINE || annotations_full(o))
                return 0;
        return o->config.line(stream, p, len, o->config.user, e);
}

/* One whole line without its newline. */
static int take_line(struct output *o, enum output_stream stream, const uint8_t *p, size_t len, struct err *e)
{
        struct line *l = &o->line[stream];
        int r = 1;
        if (!l->broken && may_be_command(p, len)) {
                struct command c = {0};
                r = command_parse(&o->parser, (const char *)p, len, &c, e);
                if (r == 0)
                        r = do_command(o, &c, e);
                command_done(&c);
        }
        bool whole = !l->broken;
        l->broken = false;
        if (r <= 0)
                return r;
        r = add_text(o, stream, p, without_cr(p, len), e);
        if (r == 0)
                r = add_text(o, stream, (const uint8_t *)"\n", 1, e);
        return r < 0 || !whole ? r : show_line(o, stream, p, len, e);
}

/* Blanks and "::" at its start: kept whole up to the length that a command may have. */
static bool looks_like_command(const struct buf *raw)
{
        size_t i = 0;
        while (i < raw->len && (raw->data[i] == ' ' || raw->data[i] == '\t'))
                i++;
        return i + 2 <= raw->len && memcmp(raw->data + i, "::", 2) == 0;
}

/* A line that does not end is written in pieces; the masker keeps its state across them. */
static int break_line(struct output *o, enum output_stream stream, struct err *e)
{
        struct line *l = &o->line[stream];
        if (l->raw.len < OUTPUT_MAX_LINE ||
            (!l->broken && looks_like_command(&l->raw) && l->raw.len <= COMMAND_MAX_LINE))
                return 0;
        int r = add_text(o, stream, l->raw.data, l->raw.len, e);
        if (r == 0 && o->text.len)
                r = buf_append_byte(&o->text, '\n', e);
        if (r == 0)
                r = output_flush(o, e);
        l->broken = true;
        if (l->raw.cap > 2 * OUTPUT_MAX_LINE)
                buf_wipe(&l->raw);
        buf_clear(&l->raw);
        return r;
}

/* The end of the line that was begun before. Returns how many bytes it took. */
static int complete_line(struct output *o, enum output_stream stream, const uint8_t *p, size_t len, size_t *ret_used,
                         struct err *e)
{
        struct line *l = &o->line[stream];
        const uint8_t *nl = memchr(p, '\n', len);
        size_t n = nl ? (size_t)(nl - p) : len;
        int r = buf_append(&l->raw, p, n, e);
        *ret_used = n + (nl ? 1 : 0);
        if (r < 0)
                return r;
        if (!nl)
                return break_line(o, stream, e);
        r = take_line(o, stream, l->raw.data, l->raw.len, e);
        buf_clear(&l->raw);
        return r;
}

/* ---- a pause ---- */

static int hold(struct output *o, enum output_stream stream, const uint8_t *p, size_t len, struct err *e)
{
        uint8_t head[1 + sizeof(len)];
        head[0] = (uint8_t)stream;
        memcpy(head + 1, &len, sizeof(len));
        int r = len ? buf_append(&o->held, head, sizeof(head), e) : 0;
        if (r == 0 && len)
                r = buf_append(&o->held, p, len, e);
        return r < 0 || o->held.len <= OUTPUT_MAX_HELD ? r : output_resume(o, e);
}

void output_pause(struct output *o)
{
        o->paused = !o->finishing;
}

bool output_is_paused(const struct output *o)
{
        return o->paused;
}

int output_resume(struct output *o, struct err *e)
{
        struct buf held = o->held;
        int r = 0;
        o->paused = false;
        o->held = (struct buf)BUF_INIT;
        for (size_t at = 0; r == 0 && at < held.len;) {
                size_t len;
                const uint8_t *p = held.data + at;
                memcpy(&len, p + 1, sizeof(len));
                r = output_feed(o, (enum output_stream)p[0], p + 1 + sizeof(len), len, e);
                at += 1 + sizeof(len) + len;
        }
        buf_wipe(&held);
        return r;
}

/* ---- what comes in ---- */

/* Whole lines in one go where none of them can be a command and nobody looks at them. *ret_used: up to a pause. */
static int take_lines(struct output *o, enum output_stream stream, const uint8_t *p, size_t len, size_t *ret_used,
                      struct err *e)
{
        int r = 0;
        *ret_used = len;
        if (!o->config.line && !may_be_command(p, len) && !memchr(p, '\r', len))
                return add_text(o, stream, p, len, e);
        const uint8_t *at = p, *end = p + len;
        while (r == 0 && at < end && !o->paused) {
                size_t n = (size_t)((const uint8_t *)memchr(at, '\n', (size_t)(end - at)) - at);
                r = take_line(o, stream, at, n, e);
                at += n + 1;
        }
        *ret_used = (size_t)(at - p);
        return r;
}

static int take_bytes(struct output *o, enum output_stream stream, const uint8_t *p, size_t len, size_t *ret_used,
                      struct err *e)
{
        struct line *l = &o->line[stream];
        if (l->raw.len || l->broken)
                return complete_line(o, stream, p, len, ret_used, e);
        const uint8_t *last = memrchr(p, '\n', len);
        if (last)
                return take_lines(o, stream, p, (size_t)(last - p) + 1, ret_used, e);
        *ret_used = len;
        int r = buf_append(&l->raw, p, len, e);
        return r < 0 ? r : break_line(o, stream, e);
}

int output_feed(struct output *o, enum output_stream stream, const void *data, size_t len, struct err *e)
{
        const uint8_t *p = data;
        int r = 0;
        while (r == 0 && len && !o->paused) {
                size_t used = 0;
                r = take_bytes(o, stream, p, len, &used, e);
                p += used;
                len -= used;
        }
        return r < 0 ? r : hold(o, stream, p, len, e);
}

int output_finish(struct output *o, struct err *e)
{
        o->finishing = true;
        int r = output_resume(o, e);
        for (enum output_stream i = 0; r == 0 && i < OUTPUT_STREAMS; i++) {
                struct line *l = &o->line[i];
                if (l->raw.len || l->broken)
                        r = take_line(o, i, l->raw.data, l->raw.len, e);
                buf_wipe(&l->raw);
        }
        return r < 0 ? r : output_flush(o, e);
}

int output_note(struct output *o, struct err *e, const char *fmt, ...)
{
        struct buf b = BUF_INIT;
        va_list ap;
        int r = output_flush(o, e);
        va_start(ap, fmt);
        if (r == 0)
                r = buf_vprintf(&b, e, fmt, ap);
        va_end(ap);
        const char *text = r == 0 ? buf_cstr(&b) : NULL;
        if (text)
                r = journal_note(o->config.journal, o->config.step, e, "%s", text);
        else if (r == 0)
                r = err_nomem(e);
        buf_wipe(&b);
        return r;
}
