/* Bytes of a connection, both ways, and the look at the first ones. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "broker/connection.h"
#include "broker/limits.h"
#include "broker/secure.h"
#include "net/hello.h"
#include "net/link.h"
#include "net/policy.h"

#define READS_PER_TURN 16u

static uint8_t bytes[64u * 1024u];

/* ---- the first bytes ---- */

/* What is wrong with the first bytes; "" when nothing is. *ret_more: that is not known yet. */
static void look(const struct connection *c, bool *ret_more, char *ret, size_t size)
{
        struct hello_result hello;
        enum hello found = hello_parse(c->queue.data, c->queue.len, &hello);

        *ret_more = found == HELLO_MORE;
        ret[0] = '\0';
        if (found == HELLO_NONE && c->port == POLICY_DEFAULT_PORT)
                snprintf(ret, size, "what was sent to port %u is no TLS", POLICY_DEFAULT_PORT);
        else if (found == HELLO_BROKEN)
                snprintf(ret, size, "its TLS begins wrongly: %s", hello.why);
        else if (found == HELLO_NO_NAME)
                snprintf(ret, size, "its TLS names no host");
        else if (found == HELLO_NAME && !str_eq(hello.name, c->name))
                snprintf(ret, size, "its TLS asks for %.120s", hello.name);
}

/* `audit` allows any name, so another one is only noted. */
static bool is_accepted(const struct connection *c)
{
        return !c->reason[0] || c->broker->policy->profile == POLICY_AUDIT;
}

bool connection_is_unfit(struct connection *c)
{
        bool more;

        if (!c->checks || !c->queue.len)
                return false;
        look(c, &more, c->reason, sizeof(c->reason));
        return !is_accepted(c);
}

static int judge(struct connection *c, bool *ret_ended, struct err *e)
{
        if (is_accepted(c)) {
                c->checks = false;
                loop_timer_off(c->hello_timer);
                return 0;
        }
        *ret_ended = true;
        return connection_end(c, BROKER_DENIED, e);
}

static int check(struct connection *c, bool *ret_ended, struct err *e)
{
        bool more;

        if (!c->queue.len)
                return 0;
        look(c, &more, c->reason, sizeof(c->reason));
        if (!more)
                return judge(c, ret_ended, e);
        if (c->stream_eof) {
                snprintf(c->reason, sizeof(c->reason), "its TLS ended before it asked for a name");
                return judge(c, ret_ended, e);
        }
        if (!loop_timer_is_armed(c->hello_timer))
                loop_timer_in(c->hello_timer, BROKER_HELLO_MS);
        return 0;
}

/* ---- from the guest ---- */

static int watch(struct connection *c, struct err *e)
{
        unsigned events = c->fd_eof || c->blocked ? 0u : (unsigned)LOOP_READ;

        if (c->queue.len && !c->checks)
                events |= LOOP_WRITE;
        return loop_io_set(c->io, events, e);
}

/* A peer that reads no more: what still comes is taken and thrown away. */
static void send_queue(struct connection *c)
{
        while (c->queue.len) {
                ssize_t n = c->tls ? secure_write(c->tls, c->queue.data, c->queue.len)
                                   : send(c->fd, c->queue.data, c->queue.len, MSG_NOSIGNAL);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                size_t used = n < 0 ? c->queue.len : (size_t)n;
                c->sent += n < 0 ? 0 : used;
                door_consumed(c->s, used);
                buf_consume(&c->queue, used);
        }
        if (c->stream_eof && c->tls)
                secure_close(c->tls);
        else if (c->stream_eof)
                shutdown(c->fd, SHUT_WR);
}

/* *ret_ended: the connection is gone. */
static int pump_out(struct connection *c, bool *ret_ended, struct err *e)
{
        if (c->fd < 0)
                return 0;
        int r = c->checks ? check(c, ret_ended, e) : 0;
        if (r < 0 || *ret_ended)
                return r;
        if (!c->checks || !c->queue.len)
                send_queue(c);
        return watch(c, e);
}

/* ---- from the outside ---- */

static int take_bytes(struct connection *c, size_t n, struct err *e)
{
        c->received += n;
        if (door_write(c->s, bytes, n, e) != n)
                return err_set(e, ERR_RESOURCES, "the stream took less than it had room for");
        return 0;
}

/* What TLS has taken from the socket already is read in this turn: nothing would tell of it. It is one record at most.
 */
static bool has_more(const struct connection *c)
{
        return c->tls && secure_has_more(c->tls);
}

static int pump_in(struct connection *c, bool *ret_ended, struct err *e)
{
        for (unsigned i = 0; (i < READS_PER_TURN || has_more(c)) && !c->fd_eof; i++) {
                size_t room = MIN(door_write_space(c->s), sizeof(bytes));
                c->blocked = room == 0;
                if (c->blocked) {
                        door_write(c->s, bytes, 1, e); /* takes nothing; asks for `writable` */
                        return 0;
                }
                ssize_t n = c->tls ? secure_read(c->tls, bytes, room) : read(c->fd, bytes, room);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n < 0) {
                        *ret_ended = true;
                        snprintf(c->reason, sizeof(c->reason), "%s", strerror(errno));
                        return connection_end(c, BROKER_ALLOWED, e);
                }
                c->fd_eof = n == 0;
                int r = n ? take_bytes(c, (size_t)n, e) : door_close(c->s, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int on_fd(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct connection *c = user;
        struct link *link = c->broker->link;
        bool ended = false;
        int r = 0;

        (void)io;
        (void)fd;
        if (events & LOOP_WRITE)
                r = pump_out(c, &ended, e);
        if (r == 0 && !ended && events & LOOP_READ)
                r = pump_in(c, &ended, e);
        if (r == 0 && !ended)
                r = watch(c, e);
        link_wake(link);
        return r;
}

static int on_hello_late(struct loop_timer *t, void *user, struct err *e)
{
        struct connection *c = user;
        bool ended = false;

        (void)t;
        snprintf(c->reason, sizeof(c->reason), "its TLS did not ask for a name within %u ms", BROKER_HELLO_MS);
        int r = judge(c, &ended, e);
        return r < 0 || ended ? r : pump_out(c, &ended, e);
}

int connection_flow(struct connection *c, struct err *e)
{
        struct link *link = c->broker->link;
        bool ended = false;
        int r = loop_timer_new(c->broker->loop, on_hello_late, c, &c->hello_timer, e);

        if (r == 0)
                r = loop_io_new(c->broker->loop, c->fd, LOOP_READ, on_fd, c, &c->io, e);
        if (r == 0)
                r = pump_out(c, &ended, e);
        link_wake(link);
        return r;
}

/* ---- what the door tells ---- */

static int on_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct connection *c = user;
        bool ended = false;

        (void)s;
        int r = buf_append(&c->queue, data, len, e);
        return r < 0 ? r : pump_out(c, &ended, e);
}

static int on_eof(struct door_stream *s, void *user, struct err *e)
{
        struct connection *c = user;
        bool ended = false;

        (void)s;
        c->stream_eof = true;
        return pump_out(c, &ended, e);
}

static int on_writable(struct door_stream *s, void *user, struct err *e)
{
        struct connection *c = user;
        bool ended = false;

        (void)s;
        c->blocked = false;
        if (!c->io)
                return 0;
        int r = has_more(c) ? pump_in(c, &ended, e) : 0;
        return r < 0 || ended ? r : watch(c, e);
}

/* In order, or given up by devdep-job. */
static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct connection *c = user;
        struct broker *b = c->broker;

        (void)s;
        (void)why;
        (void)refusal;
        c->s = NULL;
        if (connection_end(c, c->fd < 0 ? BROKER_ABANDONED : BROKER_ALLOWED, NULL) < 0)
                loop_quit(b->loop);
}

const struct door_handler connection_handler = {
        .data = on_data,
        .eof = on_eof,
        .writable = on_writable,
        .end = on_end,
};
