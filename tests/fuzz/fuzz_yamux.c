/* One yamux session against hostile bytes. Input: u8 flags (1: server; 2: the owner reads slowly; 4: a session that
 * another process began), u8 step, then what
 * the peer sends, cut into pieces of `step` bytes. Between pieces the owner opens, writes, closes and resets. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/yamux.h"

#define MAX_STREAMS 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct owner {
        struct yamux *y;
        bool slow;
        uint32_t opened;
};

static void on_event(struct owner *o, const struct yamux_event *ev)
{
        if (ev->type == YAMUX_OPENED)
                yamux_write(o->y, ev->stream, "hello", 5, NULL);
        if (ev->type == YAMUX_DATA) {
                assert(ev->len > 0 && ev->len <= YAMUX_MAX_FRAME);
                if (!o->slow)
                        yamux_consumed(o->y, ev->stream, ev->len);
                if (ev->data[0] == 'r')
                        yamux_reset(o->y, ev->stream, NULL);
        }
        if (ev->type == YAMUX_EOF)
                yamux_close(o->y, ev->stream, NULL);
}

static void drain(struct owner *o)
{
        struct yamux_event ev;
        for (yamux_next(o->y, &ev); ev.type != YAMUX_NONE; yamux_next(o->y, &ev))
                on_event(o, &ev);
}

static void act(struct owner *o, uint8_t what)
{
        static const uint8_t bytes[20000];
        const uint8_t *out;
        if (what % 8 == 0)
                (void)yamux_open(o->y, &o->opened, NULL);
        if (what % 8 == 1)
                (void)yamux_write(o->y, o->opened, bytes, sizeof(bytes), NULL);
        if (what % 8 == 2)
                (void)yamux_close(o->y, o->opened, NULL);
        if (what % 8 == 3)
                (void)yamux_reset(o->y, o->opened, NULL);
        if (what % 8 == 4)
                (void)yamux_ping(o->y, what, NULL);
        size_t n = yamux_output(o->y, &out);
        yamux_output_done(o->y, what & 1 ? n : n / 2);
        drain(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        const struct yamux_limits limits = {.max_streams = MAX_STREAMS,
                                            .max_send_queue = 65536,
                                            .max_pending_acks = MAX_STREAMS,
                                            .max_control = 4096};
        struct owner o = {.slow = data[0] & 2};
        if (yamux_new(data[0] & 1 ? YAMUX_SERVER : YAMUX_CLIENT, &limits, &o.y, NULL) < 0)
                return 0;
        if (data[0] & 4)
                yamux_continue(o.y, data[0] & 1 ? 65538 : 65537);
        size_t step = data[1] + 1u;
        for (size_t at = 2; at < size;) {
                size_t len = size - at < step ? size - at : step, taken;
                if (yamux_input(o.y, data + at, len, &taken, NULL) < 0)
                        break;
                drain(&o);
                at += taken;
                act(&o, (uint8_t)(data[at - 1] + at));
                assert(yamux_count(o.y) <= 2 * MAX_STREAMS + size);
        }
        yamux_free(o.y);
        return 0;
}
