#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "wire/door_internal.h"

int door_stream_new(struct door *d, uint32_t id, enum door_stream_state state, struct door_stream **ret, struct err *e)
{
        struct door_stream *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        int r = fields_reader_new(d->limits.max_header, &s->reader, e);
        if (r < 0) {
                free(s);
                return r;
        }
        s->door = d;
        s->id = id;
        s->state = state;
        list_append(&d->streams, &s->list);
        yamux_set_user(d->yamux, id, s);
        *ret = s;
        return 0;
}

static void reader_drop(struct door_stream *s)
{
        if (s->reader)
                s->door->headers_held -= fields_reader_held(s->reader);
        s->reader = fields_reader_free(s->reader);
}

void door_stream_free(struct door_stream *s)
{
        if (s->door->current == s)
                s->door->current = NULL;
        reader_drop(s);
        list_remove(&s->list);
        buf_wipe(&s->pending);
        free(s);
}

/* Hand the rest of the header or answer to yamux, and the half-close that waits behind it. */
static int pending_flush(struct door_stream *s, struct err *e)
{
        struct yamux *y = s->door->yamux;
        if (s->pending.len) {
                struct err inner = ERR_INIT;
                size_t n = yamux_write(y, s->id, s->pending.data, s->pending.len, &inner);
                if (inner.code) {
                        if (e)
                                *e = inner;
                        return -1;
                }
                buf_consume(&s->pending, n);
                if (s->pending.len)
                        return 0;
                buf_wipe(&s->pending);
        }
        return s->closing ? yamux_close(y, s->id, e) : 0;
}

static int pending_add(struct door_stream *s, const struct buf *list, struct err *e)
{
        int r = buf_append(&s->pending, list->data, list->len, e);
        return r < 0 ? r : pending_flush(s, e);
}

int door_open(struct door *d, const struct buf *header, const struct door_handler *handler, void *user,
              struct door_stream **ret, struct err *e)
{
        uint32_t id;
        if (d->state != DOOR_OPEN)
                return err_set(e, ERR_GUEST_LOST, "the door is not open");
        int r = yamux_open(d->yamux, &id, e);
        if (r != 0)
                return r;
        struct door_stream *s;
        r = door_stream_new(d, id, DOOR_STREAM_ASKED, &s, e);
        if (r < 0) {
                (void)yamux_reset(d->yamux, id, NULL);
                return r;
        }
        s->handler = handler;
        s->user = user;
        r = pending_add(s, header, e);
        if (r < 0) {
                (void)door_reset(s, NULL);
                return r;
        }
        *ret = s;
        return 0;
}

void door_accept(struct door_stream *s, const struct door_handler *handler, void *user)
{
        s->handler = handler;
        s->user = user;
}

/* A field list of `status` and up to two more texts. */
static int answer_build(struct buf *b, const char *status, const char *code, const char *message, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);
        if (r == 0)
                r = fields_add_str(b, "status", status, e);
        if (r == 0 && code)
                r = fields_add_str(b, "code", code, e);
        if (r == 0 && message)
                r = fields_add_str(b, "message", message, e);
        return r < 0 ? r : fields_end(b, mark, e);
}

int door_answer(struct door_stream *s, const struct buf *list, struct err *e)
{
        assert(s->handler && s->state == DOOR_STREAM_REQUEST);
        struct buf ok = BUF_INIT;
        int r = list ? 0 : answer_build(&ok, "ok", NULL, NULL, e);
        if (r == 0) {
                s->state = DOOR_STREAM_FLOWS;
                r = pending_add(s, list ? list : &ok, e);
        }
        buf_done(&ok);
        return r;
}

int door_refuse(struct door_stream *s, const char *code, const char *message, struct err *e)
{
        struct buf list = BUF_INIT;
        int r = answer_build(&list, "error", code, message, e);
        if (r == 0) {
                s->state = DOOR_STREAM_REFUSED;
                s->handler = NULL;
                s->closing = true;
                r = pending_add(s, &list, e);
        }
        buf_done(&list);
        return r;
}

static bool may_write(const struct door_stream *s)
{
        return !s->closing && (s->state == DOOR_STREAM_FLOWS || s->state == DOOR_STREAM_ASKED);
}

size_t door_write(struct door_stream *s, const void *data, size_t len, struct err *e)
{
        if (!may_write(s))
                return 0;
        if (s->pending.len)
                return 0;
        return yamux_write(s->door->yamux, s->id, data, len, e);
}

size_t door_write_space(const struct door_stream *s)
{
        return may_write(s) && s->pending.len == 0 ? yamux_write_space(s->door->yamux, s->id) : 0;
}

int door_frame(struct door_stream *s, enum guest_frame type, const void *payload, size_t len, struct err *e)
{
        if (len > GUEST_MAX_FRAME_DATA)
                return err_set(e, ERR_RESOURCES, "a frame of %zu bytes: the limit is %u", len, GUEST_MAX_FRAME_DATA);
        if (door_write_space(s) < GUEST_FRAME_HEADER + len) {
                yamux_want_write(s->door->yamux, s->id);
                return DOOR_E_FULL;
        }
        const uint8_t header[GUEST_FRAME_HEADER] = {(uint8_t)type, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                                    (uint8_t)(len >> 8), (uint8_t)len};
        struct err inner = ERR_INIT;
        size_t n = yamux_write(s->door->yamux, s->id, header, sizeof(header), &inner);
        if (len && !inner.code)
                n += yamux_write(s->door->yamux, s->id, payload, len, &inner);
        if (n == sizeof(header) + len)
                return 0;
        if (e)
                *e = inner;
        return -1;
}

void door_consumed(struct door_stream *s, size_t n)
{
        yamux_consumed(s->door->yamux, s->id, n);
}

int door_close(struct door_stream *s, struct err *e)
{
        s->closing = true;
        return s->pending.len ? 0 : yamux_close(s->door->yamux, s->id, e);
}

int door_reset(struct door_stream *s, struct err *e)
{
        struct yamux *y = s->door->yamux;
        uint32_t id = s->id;
        door_stream_free(s);
        return yamux_reset(y, id, e);
}

void door_set_urgent(struct door_stream *s)
{
        yamux_set_urgent(s->door->yamux, s->id);
}

size_t door_unsent(const struct door_stream *s)
{
        return s->pending.len + yamux_unsent(s->door->yamux, s->id);
}

/* The opener's header is complete: ask the owner. */
static int on_header(struct door_stream *s, const struct fields *header, struct err *e)
{
        struct door *d = s->door;
        const char *op;
        int r = fields_str(header, "op", &op, e);
        if (r < 0)
                return err_wrap(e, r, "header of stream %u", s->id);
        s->state = DOOR_STREAM_REQUEST;
        if (d->callbacks.request)
                r = d->callbacks.request(s, op, header, d->user, e);
        if (r < 0 || d->current != s)
                return r;
        if (!s->handler && s->state == DOOR_STREAM_REQUEST)
                r = door_refuse(s, "unsupported", "this side does not know the operation", e);
        return r;
}

static int tell_refusal(struct door_stream *s, const struct fields *answer, struct err *e)
{
        struct door *d = s->door;
        if (s->handler->end)
                s->handler->end(s, DOOR_REFUSED, answer, s->user);
        return d->current == s ? door_reset(s, e) : 0;
}

/* The answerer's status arrived. */
static int on_answer(struct door_stream *s, const struct fields *answer, struct err *e)
{
        const char *status, *text;
        int r = fields_str(answer, "status", &status, e);
        if (r == 0)
                r = fields_str_opt(answer, "message", "", &text, e);
        if (r == 0)
                r = fields_str_opt(answer, "code", "", &text, e);
        if (r < 0)
                return err_wrap(e, r, "answer on stream %u", s->id);
        if (strcmp(status, "error") == 0)
                return tell_refusal(s, answer, e);
        if (strcmp(status, "ok") != 0)
                return err_set(e, ERR_PROTOCOL, "answer on stream %u: field 'status': expected 'ok' or 'error'", s->id);
        s->state = DOOR_STREAM_FLOWS;
        return s->handler->answer ? s->handler->answer(s, answer, s->user, e) : 0;
}

/* Collect the header or answer from data; charged to the door before it is kept. */
static int read_list(struct door_stream *s, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        struct door *d = s->door;
        size_t before = fields_reader_held(s->reader);
        struct fields *list = NULL;
        if (d->headers_held + len > d->limits.max_headers)
                return err_set(e, ERR_PROTOCOL, "more than %zu bytes of headers that are not complete",
                               d->limits.max_headers);
        int r = fields_reader_feed(s->reader, data, len, ret_used, &list, e);
        d->headers_held += fields_reader_held(s->reader) - before;
        if (r < 0)
                return err_wrap(e, r, "stream %u", s->id);
        yamux_consumed(d->yamux, s->id, *ret_used);
        if (!list)
                return 0;
        reader_drop(s);
        r = s->state == DOOR_STREAM_HEADER ? on_header(s, list, e) : on_answer(s, list, e);
        fields_free(list);
        return r;
}

static int on_data(struct door_stream *s, const uint8_t *data, size_t len, struct err *e)
{
        struct door *d = s->door;
        if (s->reader) {
                size_t used;
                int r = read_list(s, data, len, &used, e);
                if (r < 0 || d->current != s)
                        return r;
                data += used;
                len -= used;
        }
        if (len == 0)
                return 0;
        if (s->state == DOOR_STREAM_REFUSED) {
                door_consumed(s, len);
                return 0;
        }
        if (!s->handler->data)
                return err_set(e, ERR_PROTOCOL, "%zu bytes on stream %u, whose operation has none in this direction",
                               len, s->id);
        return s->handler->data(s, data, len, s->user, e);
}

static int on_writable(struct door_stream *s, struct err *e)
{
        int r = pending_flush(s, e);
        if (r < 0 || s->pending.len)
                return r;
        return may_write(s) && s->handler->writable ? s->handler->writable(s, s->user, e) : 0;
}

static int on_eof(struct door_stream *s, struct err *e)
{
        if (s->reader)
                return err_set(e, ERR_PROTOCOL, "stream %u was closed before its %s was complete", s->id,
                               s->state == DOOR_STREAM_HEADER ? "header" : "answer");
        return s->handler && s->handler->eof ? s->handler->eof(s, s->user, e) : 0;
}

static void on_end(struct door_stream *s, enum door_end why)
{
        struct door *d = s->door;
        if (s->handler && s->handler->end)
                s->handler->end(s, why, NULL, s->user);
        if (d->current == s)
                door_stream_free(s);
}

int door_stream_event(struct door_stream *s, const struct yamux_event *event, struct err *e)
{
        struct door *d = s->door;
        int r = 0;
        d->current = s;
        switch (event->type) {
        case YAMUX_DATA:
                r = on_data(s, event->data, event->len, e);
                break;
        case YAMUX_WRITABLE:
                r = on_writable(s, e);
                break;
        case YAMUX_EOF:
                r = on_eof(s, e);
                break;
        case YAMUX_RESET:
        case YAMUX_CLOSED:
                on_end(s, event->type == YAMUX_RESET ? DOOR_RESET : DOOR_CLOSED);
                break;
        default:
                break;
        }
        d->current = NULL;
        return r;
}
