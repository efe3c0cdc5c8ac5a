#include "wire/yamux.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "wire/yamux_internal.h"

int yamux_new(enum yamux_role role, const struct yamux_limits *limits, struct yamux **ret, struct err *e)
{
        static const struct yamux_limits defaults = YAMUX_LIMITS_DEFAULT;
        struct yamux *y = calloc(1, sizeof(*y));
        if (!y)
                return err_nomem(e);
        y->limits = limits ? *limits : defaults;
        y->client = role == YAMUX_CLIENT;
        y->next_id = y->client ? 1 : 2;
        list_init(&y->events);
        list_init(&y->ready);
        list_init(&y->ready_urgent);
        for (unsigned i = 0; i < YAMUX_BUCKETS; i++)
                list_init(&y->table[i]);
        ring_init(&y->control, MAX(y->limits.max_control, YAMUX_HEADER));
        *ret = y;
        return 0;
}

void yamux_continue(struct yamux *y, uint32_t first)
{
        assert((first & 1) == (y->client ? 1u : 0u) && y->n_streams == 0);
        y->next_id = first;
        y->gone_below = first;
}

struct yamux *yamux_free(struct yamux *y)
{
        if (!y)
                return NULL;
        for (unsigned i = 0; i < YAMUX_BUCKETS; i++) {
                list_for_safe (pos, tmp, &y->table[i])
                        stream_drop(y, list_entry(pos, struct stream, hash));
        }
        ring_wipe(&y->control);
        secret_wipe(y, sizeof(*y));
        free(y);
        return NULL;
}

void stage_wipe(struct yamux *y)
{
        secret_wipe(y->stage, y->stage_told);
        y->stage_told = 0;
}

/* Tell the lowest waiting event of the first stream. */
static void tell_stream(struct yamux *y, struct yamux_event *ret)
{
        static const struct {
                enum stream_event bit;
                enum yamux_event_type type;
        } order[] = {
                {EVENT_OPENED, YAMUX_OPENED},     {EVENT_ACKED, YAMUX_ACKED}, {EVENT_DATA, YAMUX_DATA},
                {EVENT_WRITABLE, YAMUX_WRITABLE}, {EVENT_EOF, YAMUX_EOF},     {EVENT_RESET, YAMUX_RESET},
                {EVENT_CLOSED, YAMUX_CLOSED},
        };
        struct stream *s = list_entry(y->events.next, struct stream, events);
        size_t i = 0;
        while (!(s->event_bits & order[i].bit))
                i++;
        *ret = (struct yamux_event){.type = order[i].type, .stream = s->id, .user = s->user};
        s->event_bits &= ~order[i].bit;
        if (s->event_bits == 0)
                list_remove(&s->events);
        if (ret->type == YAMUX_DATA) {
                ret->data = y->stage;
                ret->len = y->stage_told = y->stage_len;
        } else if (ret->type == YAMUX_RESET || ret->type == YAMUX_CLOSED) {
                stream_drop(y, s);
        }
}

void yamux_next(struct yamux *y, struct yamux_event *ret)
{
        *ret = (struct yamux_event){.type = YAMUX_NONE};
        stage_wipe(y);
        if (y->dead)
                return;
        if (y->pong_waits) {
                y->pong_waits = false;
                *ret = (struct yamux_event){.type = YAMUX_PONG, .value = y->pong_value};
        } else if (y->goaway_waits) {
                y->goaway_waits = false;
                *ret = (struct yamux_event){.type = YAMUX_GOAWAY, .value = y->goaway_value};
        } else if (!list_is_empty(&y->events)) {
                tell_stream(y, ret);
        }
}

/* What the owner asked for could not be queued: the session cannot go on in order. */
static int die(struct yamux *y, int r)
{
        yamux_die(y, GOAWAY_INTERNAL);
        return r;
}

int yamux_open(struct yamux *y, uint32_t *ret_stream, struct err *e)
{
        if (y->dead)
                return err_set(e, ERR_PROTOCOL, "yamux: the session has ended");
        if (y->goaway_received || y->goaway_sent)
                return YAMUX_E_GOAWAY;
        if (y->n_opening >= y->limits.max_pending_acks)
                return YAMUX_E_AGAIN;
        if (y->next_id == 0)
                return err_set(e, ERR_RESOURCES, "yamux: the stream numbers of this session are used up");
        struct stream *s;
        int r = stream_new(y, y->next_id, false, &s, e);
        if (r < 0)
                return r;
        r = control_put(y, FRAME_WINDOW, FLAG_SYN, s->id, 0, e);
        if (r < 0) {
                stream_drop(y, s);
                return die(y, r);
        }
        *ret_stream = s->id;
        if (!num_add(y->next_id, 2u, &y->next_id))
                y->next_id = 0;
        return 0;
}

void yamux_set_user(struct yamux *y, uint32_t stream, void *user)
{
        struct stream *s = stream_find_any(y, stream);
        if (s)
                s->user = user;
}

void yamux_set_urgent(struct yamux *y, uint32_t stream)
{
        struct stream *s = stream_find(y, stream);
        if (!s)
                return;
        s->urgent = true;
        list_remove(&s->ready);
        stream_schedule(y, s);
}

static struct stream *find_writable(const struct yamux *y, uint32_t stream)
{
        struct stream *s = y->dead ? NULL : stream_find(y, stream);
        return s && !s->closing ? s : NULL;
}

size_t yamux_write(struct yamux *y, uint32_t stream, const void *data, size_t len, struct err *e)
{
        struct stream *s = find_writable(y, stream);
        if (!s)
                return 0;
        size_t n = MIN(len, ring_space(&s->queue));
        if (n < len)
                s->blocked = true;
        if (ring_put(&s->queue, data, n, e) < 0)
                return 0;
        stream_schedule(y, s);
        return n;
}

size_t yamux_write_space(const struct yamux *y, uint32_t stream)
{
        const struct stream *s = find_writable(y, stream);
        return s ? ring_space(&s->queue) : 0;
}

void yamux_want_write(struct yamux *y, uint32_t stream)
{
        struct stream *s = find_writable(y, stream);
        if (!s)
                return;
        if (s->queue.len <= s->queue.max / 2)
                stream_tell(y, s, EVENT_WRITABLE);
        else
                s->blocked = true;
}

size_t yamux_unsent(const struct yamux *y, uint32_t stream)
{
        const struct stream *s = stream_find(y, stream);
        return s ? s->queue.len : 0;
}

void yamux_consumed(struct yamux *y, uint32_t stream, size_t n)
{
        struct stream *s = y->dead ? NULL : stream_find(y, stream);
        if (!s)
                return;
        uint32_t bytes = (uint32_t)MIN(n, s->unread);
        s->unread -= bytes;
        s->credit += bytes;
        bool remote_sends = s->state == STREAM_OPEN || s->state == STREAM_LOCAL_CLOSED;
        if (!remote_sends || s->credit < YAMUX_INITIAL_WINDOW / 2)
                return;
        if (control_put(y, FRAME_WINDOW, 0, s->id, s->credit, NULL) < 0) {
                yamux_die(y, GOAWAY_PROTOCOL);
                return;
        }
        s->recv_window += s->credit;
        s->credit = 0;
}

int yamux_close(struct yamux *y, uint32_t stream, struct err *e)
{
        if (y->dead)
                return err_set(e, ERR_PROTOCOL, "yamux: the session has ended");
        struct stream *s = stream_find(y, stream);
        if (!s || s->closing)
                return 0;
        s->closing = true;
        s->blocked = false;
        stream_schedule(y, s);
        return 0;
}

int yamux_reset(struct yamux *y, uint32_t stream, struct err *e)
{
        struct stream *s = stream_find_any(y, stream);
        if (!s)
                return 0;
        bool gone = s->state == STREAM_RESET || s->state == STREAM_CLOSED;
        stream_drop(y, s);
        if (gone || y->dead)
                return 0;
        int r = control_put(y, FRAME_WINDOW, FLAG_RST, stream, 0, e);
        return r < 0 ? die(y, r) : 0;
}

int yamux_ping(struct yamux *y, uint32_t value, struct err *e)
{
        if (y->dead)
                return err_set(e, ERR_PROTOCOL, "yamux: the session has ended");
        if (y->n_pings == YAMUX_MAX_PINGS)
                return YAMUX_E_AGAIN;
        int r = control_put(y, FRAME_PING, FLAG_SYN, 0, value, e);
        if (r < 0)
                return die(y, r);
        y->pings[y->n_pings++] = value;
        return 0;
}

int yamux_goaway(struct yamux *y, uint32_t reason, struct err *e)
{
        if (y->dead || y->goaway_sent)
                return 0;
        int r = control_put(y, FRAME_GOAWAY, 0, 0, reason, e);
        if (r < 0)
                return die(y, r);
        y->goaway_sent = true;
        return 0;
}

void yamux_end(struct yamux *y)
{
        yamux_die(y, GOAWAY_PROTOCOL);
}

bool yamux_is_midway(const struct yamux *y)
{
        return y->header_len > 0 || y->payload_left > 0;
}

bool yamux_is_dead(const struct yamux *y)
{
        return y->dead;
}

bool yamux_is_idle(const struct yamux *y)
{
        return !y->dead && y->n_streams == 0 && y->n_pings == 0 && y->control.len == 0 && y->out_start == y->out_end &&
               !yamux_is_midway(y);
}

uint32_t yamux_count(const struct yamux *y)
{
        return y->n_streams;
}
