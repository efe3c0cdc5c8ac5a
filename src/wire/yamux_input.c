#include "wire/yamux_internal.h"

#include <string.h>

#include "base/err.h"
#include "base/num.h"

struct frame {
        enum frame_type type;
        uint16_t flags;
        uint32_t stream;
        uint32_t value; /* payload length, window delta, ping value or go-away reason */
};

static int frame_parse(const uint8_t h[YAMUX_HEADER], struct frame *ret, struct err *e)
{
        *ret = (struct frame){
                .type = h[1], .flags = num_be16(h + 2), .stream = num_be32(h + 4), .value = num_be32(h + 8)};
        if (h[0] != 0)
                return err_set(e, ERR_PROTOCOL, "yamux: frame of version %u: expected version 0", h[0]);
        if (h[1] > FRAME_GOAWAY)
                return err_set(e, ERR_PROTOCOL, "yamux: frame of type %u: expected 0 to 3", h[1]);
        if (ret->flags & ~FLAG_ALL)
                return err_set(e, ERR_PROTOCOL, "yamux: unknown flags 0x%04x in a frame of type %u", ret->flags, h[1]);
        bool for_session = ret->type == FRAME_PING || ret->type == FRAME_GOAWAY;
        if (for_session != (ret->stream == 0))
                return err_set(e, ERR_PROTOCOL, "yamux: frame of type %u for stream %u", h[1], ret->stream);
        return 0;
}

static int on_pong(struct yamux *y, uint32_t value, struct err *e)
{
        for (uint32_t i = 0; i < y->n_pings; i++) {
                if (y->pings[i] != value)
                        continue;
                y->pings[i] = y->pings[--y->n_pings];
                y->pong_waits = true;
                y->pong_value = value;
                return 0;
        }
        return err_set(e, ERR_PROTOCOL, "yamux: an answer to a ping that was never sent (value %u)", value);
}

static int on_session_frame(struct yamux *y, const struct frame *f, struct err *e)
{
        if (f->type == FRAME_PING && f->flags == FLAG_SYN)
                return control_put(y, FRAME_PING, FLAG_ACK, 0, f->value, e);
        if (f->type == FRAME_PING && f->flags == FLAG_ACK)
                return on_pong(y, f->value, e);
        if (f->type == FRAME_PING || f->flags != 0)
                return err_set(e, ERR_PROTOCOL, "yamux: frame of type %u with flags 0x%x", f->type, f->flags);
        if (!y->goaway_received) {
                y->goaway_received = true;
                y->goaway_waits = true;
                y->goaway_value = f->value;
        }
        return 0;
}

/* Did a stream with this id exist at any time? */
static bool id_is_known(const struct yamux *y, uint32_t id)
{
        bool ours = (id & 1) == (y->client ? 1u : 0u);
        if (ours)
                return y->next_id == 0 || id < y->next_id;
        return id <= y->last_peer || id < y->gone_below;
}

/* SYN: a new stream, or a refusal. *ret stays NULL when it was refused. */
static int on_syn(struct yamux *y, const struct frame *f, struct stream **ret, struct err *e)
{
        bool ours = (f->stream & 1) == (y->client ? 1u : 0u);
        if (ours || (f->flags & (FLAG_ACK | FLAG_RST)))
                return err_set(e, ERR_PROTOCOL, "yamux: the peer may not open stream %u with flags 0x%x", f->stream,
                               f->flags);
        if (f->stream <= y->last_peer)
                return err_set(e, ERR_PROTOCOL, "yamux: the peer opened stream %u again or out of order (last was %u)",
                               f->stream, y->last_peer);
        y->last_peer = f->stream;
        if (y->goaway_sent || y->n_foreign >= y->limits.max_streams)
                return control_put(y, FRAME_WINDOW, FLAG_RST, f->stream, 0, e);
        int r = control_put(y, FRAME_WINDOW, FLAG_ACK, f->stream, 0, e);
        if (r < 0)
                return r;
        r = stream_new(y, f->stream, true, ret, e);
        if (r < 0)
                return r;
        stream_tell(y, *ret, EVENT_OPENED);
        return 0;
}

static int on_window(struct yamux *y, struct stream *s, uint32_t delta, struct err *e)
{
        if (!num_add(s->send_window, delta, &s->send_window))
                return err_set(e, ERR_PROTOCOL, "yamux: window update of %u overflows the window of stream %u", delta,
                               s->id);
        stream_schedule(y, s);
        return 0;
}

/* The header of a data frame was read: charge the window before a byte of the payload is taken. */
static int on_data_header(struct yamux *y, struct stream *s, const struct frame *f, struct err *e)
{
        if (f->value == 0)
                return 0;
        int r = stream_step(y, s, STEP_DATA, e);
        if (r < 0)
                return r;
        if (f->value > s->recv_window)
                return err_set(e, ERR_PROTOCOL, "yamux: %u bytes on stream %u, whose window has %u left", f->value,
                               s->id, s->recv_window);
        s->recv_window -= f->value;
        return 0;
}

/* A frame without flags, payload or window says nothing; few are tolerated, a flood is not. */
static int on_idle_frame(struct yamux *y, struct err *e)
{
        if (++y->n_idle_frames > YAMUX_MAX_IDLE_FRAMES)
                return err_set(e, ERR_PROTOCOL, "yamux: more than %u empty frames", YAMUX_MAX_IDLE_FRAMES);
        return 0;
}

/* What the frame does before its payload (there may be none). */
static int on_frame_start(struct yamux *y, struct stream *s, const struct frame *f, struct err *e)
{
        int r = 0;
        if (f->flags & FLAG_RST)
                return stream_step(y, s, STEP_RST, e);
        if (f->flags & FLAG_ACK)
                r = stream_step(y, s, STEP_ACK, e);
        if (r == 0 && f->flags == 0 && f->value == 0)
                r = on_idle_frame(y, e);
        if (r < 0)
                return r;
        if (f->type == FRAME_DATA)
                return on_data_header(y, s, f, e);
        if (f->flags == 0) {
                r = stream_step(y, s, STEP_WINDOW, e);
                if (r < 0)
                        return r;
        }
        return on_window(y, s, f->value, e);
}

/* FIN takes effect behind the payload of its frame. */
static int on_frame_end(struct yamux *y, struct err *e)
{
        struct stream *s = stream_find(y, y->payload_stream);
        if (!s || !(y->payload_flags & FLAG_FIN))
                return 0;
        return stream_step(y, s, STEP_FIN, e);
}

static int on_stream_frame(struct yamux *y, const struct frame *f, struct err *e)
{
        uint32_t max = y->limits.max_frame_in ? y->limits.max_frame_in : YAMUX_MAX_FRAME;
        if (f->type == FRAME_DATA && f->value > max)
                return err_set(e, ERR_PROTOCOL, "yamux: data frame of %u bytes on stream %u: the limit is %u", f->value,
                               f->stream, max);
        struct stream *s = NULL;
        int r;
        if (f->flags & FLAG_SYN) {
                r = on_syn(y, f, &s, e);
                if (r < 0)
                        return r;
        } else {
                if (!id_is_known(y, f->stream))
                        return err_set(e, ERR_PROTOCOL, "yamux: a frame for stream %u, which was never opened",
                                       f->stream);
                s = stream_find(y, f->stream);
        }
        /* A stream that is gone: what the peer sent before it learned so is read over. */
        if (s) {
                r = on_frame_start(y, s, f, e);
                if (r < 0)
                        return r;
        }
        y->payload_stream = f->stream;
        y->payload_flags = f->flags;
        y->payload_left = f->type == FRAME_DATA ? f->value : 0;
        return y->payload_left ? 0 : on_frame_end(y, e);
}

static int on_frame(struct yamux *y, struct err *e)
{
        struct frame f;
        int r = frame_parse(y->header, &f, e);
        if (r < 0)
                return r;
        return f.stream ? on_stream_frame(y, &f, e) : on_session_frame(y, &f, e);
}

static size_t take_header(struct yamux *y, const uint8_t *data, size_t len)
{
        size_t n = MIN(len, YAMUX_HEADER - y->header_len);
        memcpy(y->header + y->header_len, data, n);
        y->header_len += n;
        return n;
}

/* A piece of payload becomes an event at once: nothing is stored beyond this one piece. */
static size_t take_payload(struct yamux *y, const uint8_t *data, size_t len)
{
        size_t n = MIN(MIN(len, y->payload_left), sizeof(y->stage));
        struct stream *s = stream_find(y, y->payload_stream);
        if (s) {
                stage_wipe(y);
                memcpy(y->stage, data, n);
                y->stage_len = n;
                s->unread += (uint32_t)n;
                stream_tell(y, s, EVENT_DATA);
        }
        y->payload_left -= (uint32_t)n;
        return n;
}

static int take_some(struct yamux *y, const uint8_t *data, size_t len, size_t *ret, struct err *e)
{
        if (y->payload_left) {
                *ret = take_payload(y, data, len);
                return y->payload_left ? 0 : on_frame_end(y, e);
        }
        *ret = take_header(y, data, len);
        if (y->header_len < YAMUX_HEADER)
                return 0;
        y->header_len = 0;
        return on_frame(y, e);
}

static bool events_wait(const struct yamux *y)
{
        return !list_is_empty(&y->events) || y->pong_waits || y->goaway_waits;
}

int yamux_input(struct yamux *y, const uint8_t *data, size_t len, size_t *ret_taken, struct err *e)
{
        *ret_taken = 0;
        if (y->dead)
                return err_set(e, ERR_PROTOCOL, "yamux: the session has ended");
        while (*ret_taken < len && !events_wait(y)) {
                size_t n = 0;
                struct err inner = ERR_INIT;
                int r = take_some(y, data + *ret_taken, len - *ret_taken, &n, &inner);
                *ret_taken += n;
                if (r < 0) {
                        yamux_die(y, inner.code == ERR_PROTOCOL ? GOAWAY_PROTOCOL : GOAWAY_INTERNAL);
                        if (e)
                                *e = inner;
                        return r;
                }
        }
        return 0;
}
