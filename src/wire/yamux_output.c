#include "wire/yamux_internal.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"

static void header_write(uint8_t ret[YAMUX_HEADER], enum frame_type type, unsigned flags, uint32_t stream,
                         uint32_t value)
{
        ret[0] = 0;
        ret[1] = (uint8_t)type;
        ret[2] = (uint8_t)(flags >> 8);
        ret[3] = (uint8_t)flags;
        for (unsigned i = 0; i < 4; i++) {
                ret[4 + i] = (uint8_t)(stream >> (24 - 8 * i));
                ret[8 + i] = (uint8_t)(value >> (24 - 8 * i));
        }
}

int control_put(struct yamux *y, enum frame_type type, unsigned flags, uint32_t stream, uint32_t value, struct err *e)
{
        uint8_t frame[YAMUX_HEADER];
        if (ring_space(&y->control) < sizeof(frame))
                return err_set(e, ERR_PROTOCOL,
                               "yamux: the peer does not read: %zu bytes of control frames wait for it",
                               y->control.len);
        header_write(frame, type, flags, stream, value);
        return ring_put(&y->control, frame, sizeof(frame), e);
}

void yamux_die(struct yamux *y, enum goaway_reason reason)
{
        if (y->dead)
                return;
        y->dead = true;
        /* Replies that were owed are worth nothing now; the frame that is already in `out` is finished, so that the
         * go-away can be read. */
        uint8_t frame[YAMUX_HEADER];
        header_write(frame, FRAME_GOAWAY, 0, 0, reason);
        ring_wipe(&y->control);
        (void)ring_put(&y->control, frame, sizeof(frame), NULL);
}

static bool wants_fin(const struct stream *s)
{
        return s->closing && !s->fin_sent && s->queue.len == 0;
}

static bool is_sendable(const struct stream *s)
{
        return (s->queue.len > 0 && s->send_window > 0) || wants_fin(s);
}

void stream_schedule(struct yamux *y, struct stream *s)
{
        if (list_is_empty(&s->ready) && is_sendable(s))
                list_append(s->urgent ? &y->ready_urgent : &y->ready, &s->ready);
}

static size_t out_space(const struct yamux *y)
{
        return sizeof(y->out) - y->out_end;
}

static void send_data(struct yamux *y, struct stream *s)
{
        uint32_t len = MIN(s->send_window, YAMUX_MAX_FRAME);
        if (s->queue.len < len)
                len = (uint32_t)s->queue.len;
        header_write(y->out + y->out_end, FRAME_DATA, 0, s->id, len);
        ring_take(&s->queue, y->out + y->out_end + YAMUX_HEADER, len);
        y->out_end += YAMUX_HEADER + len;
        s->send_window -= len;
        if (s->blocked && s->queue.len <= s->queue.max / 2) {
                s->blocked = false;
                stream_tell(y, s, EVENT_WRITABLE);
        }
}

/* A window update with FIN, as the reference implementation sends it: some peers read no payload of a frame with FIN.
 */
static void send_fin(struct yamux *y, struct stream *s)
{
        header_write(y->out + y->out_end, FRAME_WINDOW, FLAG_FIN, s->id, 0);
        y->out_end += YAMUX_HEADER;
        s->fin_sent = true;
        int r = stream_step(y, s, STEP_FIN_SENT, NULL);
        assert(r == 0);
}

/* One frame of the stream whose turn it is. */
static void send_turn(struct yamux *y, struct list *ready)
{
        struct stream *s = list_entry(ready->next, struct stream, ready);
        list_remove(&s->ready);
        if (s->queue.len > 0)
                send_data(y, s);
        else
                send_fin(y, s);
        if (s->state != STREAM_CLOSED)
                stream_schedule(y, s);
}

static void fill_control(struct yamux *y)
{
        size_t n = MIN(y->control.len, out_space(y));
        n -= n % YAMUX_HEADER;
        ring_take(&y->control, y->out + y->out_end, n);
        y->out_end += n;
}

size_t yamux_output(struct yamux *y, const uint8_t **ret)
{
        if (y->out_start == y->out_end) {
                y->out_start = y->out_end = 0;
                fill_control(y); /* what is left of it has filled more than a batch: no data overtakes it */
                while (!y->dead && y->out_end < YAMUX_OUT_BATCH) {
                        struct list *ready = list_is_empty(&y->ready_urgent) ? &y->ready : &y->ready_urgent;
                        if (list_is_empty(ready))
                                break;
                        send_turn(y, ready);
                }
        }
        *ret = y->out + y->out_start;
        return y->out_end - y->out_start;
}

void yamux_output_done(struct yamux *y, size_t n)
{
        assert(n <= y->out_end - y->out_start);
        secret_wipe(y->out + y->out_start, n); /* the next batch may be shorter */
        y->out_start += n;
}
