#include "wire/yamux_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/num.h"

#define BAD STREAM_N_STATES /* the peer may not do this, or (FIN_SENT) we never do */

/* [state][step] -> state. Written out in docs/protocol-guest.md, "Streams". A second ACK, data after FIN, and anything
 * but ACK, window and RST before the acknowledgement are lies or replays. */
static const enum stream_state transitions[STREAM_N_STATES][STEP_N] = {
        [STREAM_OPENING] = {[STEP_ACK] = STREAM_OPEN,
                            [STEP_DATA] = BAD,
                            [STEP_WINDOW] = STREAM_OPENING,
                            [STEP_FIN] = BAD,
                            [STEP_RST] = STREAM_RESET,
                            [STEP_FIN_SENT] = STREAM_OPENING_CLOSED},
        [STREAM_OPENING_CLOSED] = {[STEP_ACK] = STREAM_LOCAL_CLOSED,
                                   [STEP_DATA] = BAD,
                                   [STEP_WINDOW] = STREAM_OPENING_CLOSED,
                                   [STEP_FIN] = BAD,
                                   [STEP_RST] = STREAM_RESET,
                                   [STEP_FIN_SENT] = BAD},
        [STREAM_OPEN] = {[STEP_ACK] = BAD,
                         [STEP_DATA] = STREAM_OPEN,
                         [STEP_WINDOW] = STREAM_OPEN,
                         [STEP_FIN] = STREAM_REMOTE_CLOSED,
                         [STEP_RST] = STREAM_RESET,
                         [STEP_FIN_SENT] = STREAM_LOCAL_CLOSED},
        [STREAM_LOCAL_CLOSED] = {[STEP_ACK] = BAD,
                                 [STEP_DATA] = STREAM_LOCAL_CLOSED,
                                 [STEP_WINDOW] = STREAM_LOCAL_CLOSED,
                                 [STEP_FIN] = STREAM_CLOSED,
                                 [STEP_RST] = STREAM_RESET,
                                 [STEP_FIN_SENT] = BAD},
        [STREAM_REMOTE_CLOSED] = {[STEP_ACK] = BAD,
                                  [STEP_DATA] = BAD,
                                  [STEP_WINDOW] = STREAM_REMOTE_CLOSED,
                                  [STEP_FIN] = BAD,
                                  [STEP_RST] = STREAM_RESET,
                                  [STEP_FIN_SENT] = STREAM_CLOSED},
        /* Nothing is looked up in these two: stream_find() does not show them. */
        [STREAM_CLOSED] = {BAD, BAD, BAD, BAD, BAD, BAD},
        [STREAM_RESET] = {BAD, BAD, BAD, BAD, BAD, BAD},
};

static const char *state_name(enum stream_state state)
{
        static const char *const names[] = {
                [STREAM_OPENING] = "not yet acknowledged",
                [STREAM_OPENING_CLOSED] = "not yet acknowledged",
                [STREAM_OPEN] = "open",
                [STREAM_LOCAL_CLOSED] = "closed on this side",
                [STREAM_REMOTE_CLOSED] = "closed by peer",
                [STREAM_CLOSED] = "closed",
                [STREAM_RESET] = "reset",
        };
        return names[state];
}

static const char *step_name(enum stream_step step)
{
        static const char *const names[] = {
                [STEP_ACK] = "an acknowledgement",
                [STEP_DATA] = "data",
                [STEP_WINDOW] = "a window update",
                [STEP_FIN] = "a close",
                [STEP_RST] = "a reset",
                [STEP_FIN_SENT] = "our close",
        };
        return names[step];
}

int stream_step(struct yamux *y, struct stream *s, enum stream_step step, struct err *e)
{
        enum stream_state old = s->state, state = transitions[old][step];
        if (state == BAD)
                return err_set(e, ERR_PROTOCOL, "yamux: the peer sent %s on stream %u, which is %s", step_name(step),
                               s->id, state_name(old));
        s->state = state;
        if (step == STEP_ACK || (step == STEP_RST && (old == STREAM_OPENING || old == STREAM_OPENING_CLOSED)))
                y->n_opening--;
        if (step == STEP_ACK)
                stream_tell(y, s, EVENT_ACKED);
        if (step == STEP_FIN)
                stream_tell(y, s, EVENT_EOF);
        if (state == STREAM_CLOSED)
                stream_tell(y, s, EVENT_CLOSED);
        if (state == STREAM_RESET)
                stream_tell(y, s, EVENT_RESET);
        if (state == STREAM_CLOSED || state == STREAM_RESET) {
                ring_wipe(&s->queue);
                list_remove(&s->ready);
        }
        return 0;
}

void stream_tell(struct yamux *y, struct stream *s, enum stream_event event)
{
        if (s->event_bits == 0)
                list_append(&y->events, &s->events);
        s->event_bits |= event;
}

static struct list *bucket(const struct yamux *y, uint32_t id)
{
        const struct list *b = &y->table[(id >> 1) % YAMUX_BUCKETS];
        return (struct list *)(uintptr_t)b;
}

struct stream *stream_find_any(const struct yamux *y, uint32_t id)
{
        list_for (pos, bucket(y, id)) {
                struct stream *s = list_entry(pos, struct stream, hash);
                if (s->id == id)
                        return s;
        }
        return NULL;
}

struct stream *stream_find(const struct yamux *y, uint32_t id)
{
        struct stream *s = stream_find_any(y, id);
        return s && s->state != STREAM_CLOSED && s->state != STREAM_RESET ? s : NULL;
}

int stream_new(struct yamux *y, uint32_t id, bool foreign, struct stream **ret, struct err *e)
{
        struct stream *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->id = id;
        s->foreign = foreign;
        s->state = foreign ? STREAM_OPEN : STREAM_OPENING;
        s->recv_window = YAMUX_INITIAL_WINDOW;
        s->send_window = YAMUX_INITIAL_WINDOW;
        ring_init(&s->queue, y->limits.max_send_queue);
        list_init(&s->events);
        list_init(&s->ready);
        list_append(bucket(y, id), &s->hash);
        y->n_streams++;
        y->n_foreign += foreign;
        y->n_opening += !foreign;
        *ret = s;
        return 0;
}

void stream_drop(struct yamux *y, struct stream *s)
{
        if (s->state == STREAM_OPENING || s->state == STREAM_OPENING_CLOSED)
                y->n_opening--;
        list_remove(&s->hash);
        list_remove(&s->events);
        list_remove(&s->ready);
        y->n_streams--;
        y->n_foreign -= s->foreign;
        ring_wipe(&s->queue);
        free(s);
}
