#include "wire/door.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "wire/door_internal.h"

CLEANUP_DEFINE(struct door, door_free)
CLEANUP_DEFINE(struct fields, fields_free)

int door_new(enum door_role role, const struct door_limits *limits, const struct door_callbacks *callbacks, void *user,
             struct door **ret, struct err *e)
{
        AUTO(door_freep) struct door *d = calloc(1, sizeof(*d));
        if (!d)
                return err_nomem(e);
        /* A whole frame must fit the free half of a send queue, or "writable" would promise too much. */
        assert(limits->yamux.max_send_queue / 2 >= GUEST_FRAME_HEADER + GUEST_MAX_FRAME_DATA);
        d->role = role;
        d->limits = *limits;
        d->callbacks = *callbacks;
        d->user = user;
        d->state = role == DOOR_HOST ? DOOR_WAIT_READY : DOOR_WAIT_SEED;
        list_init(&d->streams);
        int r = yamux_new(role == DOOR_HOST ? YAMUX_CLIENT : YAMUX_SERVER, &limits->yamux, &d->yamux, e);
        if (r == 0)
                r = fields_reader_new(limits->max_header, &d->preamble, e);
        if (r == 0 && role == DOOR_GUEST) {
                guest_ready_write(d->ready);
                r = buf_append(&d->out, d->ready, sizeof(d->ready), e);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

void door_enter(struct door *d, enum door_entry at)
{
        static const enum door_state states[] = {[DOOR_AT_READY] = DOOR_WAIT_READY,
                                                 [DOOR_AT_SEED] = DOOR_READY,
                                                 [DOOR_IN_SESSION] = DOOR_OPEN,
                                                 [DOOR_AT_ONCE] = DOOR_OPEN};
        assert(d->role == DOOR_HOST || at == DOOR_AT_ONCE);
        assert(d->state == (d->role == DOOR_HOST ? DOOR_WAIT_READY : DOOR_WAIT_SEED) && d->ready_len == 0);
        d->state = states[at];
        buf_clear(&d->out);
        if (at == DOOR_IN_SESSION)
                yamux_continue(d->yamux, DOOR_NEXT_STREAM);
}

struct door *door_free(struct door *d)
{
        if (!d)
                return NULL;
        list_for_safe (pos, tmp, &d->streams)
                door_stream_free(list_entry(pos, struct door_stream, list));
        yamux_free(d->yamux);
        fields_reader_free(d->preamble);
        buf_wipe(&d->out);
        free(d);
        return NULL;
}

static int on_ready(struct door *d, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        *ret_used = MIN(len, sizeof(d->ready) - d->ready_len);
        memcpy(d->ready + d->ready_len, data, *ret_used);
        d->ready_len += *ret_used;
        if (d->ready_len < sizeof(d->ready))
                return 0;
        int r = guest_ready_check(d->ready, e);
        if (r < 0)
                return r;
        d->state = DOOR_READY;
        /* Before the callback: an answer that is here already was made before the seed existed. */
        if (len > *ret_used)
                return err_set(e, ERR_PROTOCOL, "%zu bytes behind the ready record, before the seed was sent",
                               len - *ret_used);
        return d->callbacks.ready(d, d->user, e);
}

static int on_seed(struct door *d, const struct fields *seed, size_t left, struct err *e)
{
        const char *op;
        int r = fields_str(seed, "op", &op, e);
        if (r < 0)
                return r;
        if (strcmp(op, "seed") != 0)
                return err_set(e, ERR_PROTOCOL, "the first operation must be 'seed'");
        d->state = DOOR_SEEDING;
        if (left > 0)
                return err_set(e, ERR_PROTOCOL, "%zu bytes behind the seed, before its answer", left);
        return d->callbacks.seed(d, seed, d->user, e);
}

static int on_seed_answer(struct door *d, const struct fields *answer, struct err *e)
{
        const char *status, *message;
        int r = fields_str(answer, "status", &status, e);
        if (r == 0)
                r = fields_str_opt(answer, "message", "no message", &message, e);
        if (r < 0)
                return r;
        if (strcmp(status, "error") == 0) {
                char text[256];
                str_copy_plain(text, sizeof(text), message);
                return err_set(e, ERR_VM_BOOT_FAILED, "the guest could not apply its seed: %s", text);
        }
        if (strcmp(status, "ok") != 0)
                return err_set(e, ERR_PROTOCOL, "the answer to the seed: field 'status': expected 'ok' or 'error'");
        d->state = DOOR_OPEN;
        return d->callbacks.seeded(d, answer, d->user, e);
}

static int on_preamble_list(struct door *d, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        struct fields *list = NULL;
        int r = fields_reader_feed(d->preamble, data, len, ret_used, &list, e);
        if (r == 0 && list)
                r = d->state == DOOR_WAIT_SEED ? on_seed(d, list, len - *ret_used, e) : on_seed_answer(d, list, e);
        fields_free(list);
        return r < 0 ? err_wrap(e, r, "beginning of the session") : r;
}

static int on_preamble(struct door *d, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        switch (d->state) {
        case DOOR_WAIT_READY:
                return on_ready(d, data, len, ret_used, e);
        case DOOR_WAIT_SEED:
        case DOOR_WAIT_ANSWER:
                return on_preamble_list(d, data, len, ret_used, e);
        case DOOR_READY:
                return err_set(e, ERR_PROTOCOL, "%zu bytes of the guest before the seed was sent", len);
        case DOOR_SEEDING:
                return err_set(e, ERR_PROTOCOL, "%zu bytes of the host before the seed was answered", len);
        default:
                return err_set(e, ERR_PROTOCOL, "the session has ended");
        }
}

static int on_event(struct door *d, const struct yamux_event *event, struct err *e)
{
        struct door_stream *s;
        switch (event->type) {
        case YAMUX_OPENED:
                return door_stream_new(d, event->stream, DOOR_STREAM_HEADER, &s, e);
        case YAMUX_PONG:
                return d->callbacks.pong ? d->callbacks.pong(d, event->value, d->user, e) : 0;
        case YAMUX_GOAWAY:
                return d->callbacks.goaway ? d->callbacks.goaway(d, event->value, d->user, e) : 0;
        default:
                return door_stream_event(event->user, event, e);
        }
}

static int drain(struct door *d, struct err *e)
{
        struct yamux_event event;
        for (yamux_next(d->yamux, &event); event.type != YAMUX_NONE; yamux_next(d->yamux, &event)) {
                int r = on_event(d, &event, e);
                if (r < 0)
                        return r;
        }
        if (yamux_is_dead(d->yamux))
                return err_set(e, ERR_PROTOCOL, "the peer does not read what the session owes it");
        return 0;
}

static int input(struct door *d, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        if (d->state != DOOR_OPEN)
                return on_preamble(d, data, len, ret_used, e);
        int r = yamux_input(d->yamux, data, len, ret_used, e);
        return r < 0 ? r : drain(d, e);
}

/* Every failure is final: half of an event may have been handled. */
static int fail(struct door *d, int r)
{
        bool open = d->state == DOOR_OPEN;
        d->state = DOOR_DEAD;
        if (open)
                yamux_end(d->yamux);
        else
                buf_wipe(&d->out);
        return r;
}

int door_input(struct door *d, const uint8_t *data, size_t len, struct err *e)
{
        while (len > 0) {
                size_t used = 0;
                int r = input(d, data, len, &used, e);
                if (r < 0)
                        return fail(d, r);
                data += used;
                len -= used;
        }
        return 0;
}

size_t door_output(struct door *d, const uint8_t **ret)
{
        if (d->out.len) {
                *ret = d->out.data;
                return d->out.len;
        }
        if (d->state == DOOR_OPEN || d->state == DOOR_DEAD)
                return yamux_output(d->yamux, ret);
        *ret = NULL;
        return 0;
}

int door_output_done(struct door *d, size_t n, struct err *e)
{
        if (d->out.len) {
                buf_consume(&d->out, n);
                return 0;
        }
        yamux_output_done(d->yamux, n);
        if (d->state == DOOR_DEAD)
                return 0;
        int r = drain(d, e);
        return r < 0 ? fail(d, r) : 0;
}

bool door_is_midway(const struct door *d)
{
        if (d->ready_len > 0 && d->ready_len < sizeof(d->ready))
                return true;
        return fields_reader_held(d->preamble) > 0 || d->headers_held > 0 || yamux_is_midway(d->yamux);
}

bool door_is_open(const struct door *d)
{
        return d->state == DOOR_OPEN;
}

bool door_is_idle(const struct door *d)
{
        return d->state == DOOR_OPEN && d->out.len == 0 && !door_is_midway(d) && yamux_is_idle(d->yamux);
}

uint32_t door_count(const struct door *d)
{
        return yamux_count(d->yamux);
}

int door_seed(struct door *d, const struct buf *list, struct err *e)
{
        if (d->state != DOOR_READY)
                return err_set(e, ERR_GUEST_LOST, "the guest cannot be seeded now: it is not waiting for its seed");
        d->state = DOOR_WAIT_ANSWER;
        return buf_append(&d->out, list->data, list->len, e);
}

int door_seeded(struct door *d, const struct buf *list, struct err *e)
{
        if (d->state != DOOR_SEEDING)
                return err_set(e, ERR_PROTOCOL, "there is no seed to answer");
        AUTO(fields_freep) struct fields *answer = NULL;
        const char *status = NULL;
        int r = fields_parse(list->data, list->len, &answer, e);
        if (r == 0)
                r = fields_str(answer, "status", &status, e);
        if (r < 0)
                return r;
        d->state = strcmp(status, "ok") == 0 ? DOOR_OPEN : DOOR_DEAD;
        return buf_append(&d->out, list->data, list->len, e);
}

int door_ping(struct door *d, uint32_t value, struct err *e)
{
        if (d->state != DOOR_OPEN)
                return err_set(e, ERR_GUEST_LOST, "the door is not open");
        return yamux_ping(d->yamux, value, e);
}
