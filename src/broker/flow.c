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

void connection_clear(struct connection *c)
{
        c->look = LOOK_NO;
        c->clear = SIZE_MAX;
}

/* The hello that should stand behind what is clear: what is wrong with it is in c->reason then, "" when nothing is.
 * *ret_size: of a whole one, its bytes. */
static enum hello look(struct connection *c, size_t *ret_size)
{
        struct hello_result hello;
        enum hello found = hello_parse(c->queue.data + c->clear, c->queue.len - c->clear, &hello);
        const char *its = c->look == LOOK_FIRST ? "its TLS" : "the second ClientHello of its TLS";
        char *ret = c->reason;
        size_t size = sizeof(c->reason);

        ret[0] = '\0';
        *ret_size = hello.size;
        if (found == HELLO_NONE && c->port == POLICY_DEFAULT_PORT)
                snprintf(ret, size, "what was sent to port %u is no TLS", POLICY_DEFAULT_PORT);
        else if (found == HELLO_BROKEN)
                snprintf(ret, size, "%s begins wrongly: %s", its, hello.why);
        else if (found == HELLO_NO_NAME)
                snprintf(ret, size, "%s names no host", its);
        else if (found == HELLO_NAME && !str_eq(hello.name, c->name))
                snprintf(ret, size, "%s asks for %s", its, hello.name);
        return found;
}

/* `audit` allows any name, so another one is only noted. */
static bool is_accepted(const struct connection *c)
{
        return !c->reason[0] || c->broker->policy->profile == POLICY_AUDIT;
}

bool connection_is_unfit(struct connection *c)
{
        size_t size;

        if (c->look != LOOK_FIRST || !c->queue.len)
                return false;
        look(c, &size);
        return !is_accepted(c);
}

/* Cut off, or not looked at any more. */
static int judge(struct connection *c, bool *ret_ended, struct err *e)
{
        if (is_accepted(c)) {
                connection_clear(c);
                loop_timer_off(c->hello_timer);
                return 0;
        }
        *ret_ended = true;
        return connection_end(c, BROKER_DENIED, e);
}

/* Behind the first hello: clear whole records. True: what stands behind what is clear should be a second hello. */
static bool is_at_hello(struct connection *c)
{
        size_t size;

        while (c->look != LOOK_NO && c->clear < c->queue.len) {
                if (c->look == LOOK_FIRST)
                        return true;
                switch (hello_record(c->queue.data + c->clear, c->queue.len - c->clear, &size)) {
                case HELLO_RECORD_HANDSHAKE:
                        if (c->look == LOOK_SECOND)
                                return true;
                        if (!c->fd_eof)
                                return false;
                        connection_clear(c); /* a server that says nothing any more does not ask */
                        break;
                case HELLO_RECORD_OTHER:
                        c->clear += size;
                        break;
                case HELLO_RECORD_MORE:
                        if (c->stream_eof)
                                connection_clear(c);
                        return false;
                case HELLO_RECORD_NONE:
                        connection_clear(c);
                        break;
                }
        }
        return false;
}

/* Does the server's answer, as far as it is there, ask for a second hello? */
static void read_answer(struct connection *c)
{
        enum hello_retry retry = hello_retry(c->answer, c->answer_len);

        if (retry == HELLO_RETRY_YES)
                c->look = LOOK_SECOND;
        else if (retry == HELLO_RETRY_NO)
                connection_clear(c);
}

/* The hello is in order. A server asks for a second one once. */
static void pass(struct connection *c, size_t size)
{
        loop_timer_off(c->hello_timer);
        if (c->look == LOOK_SECOND) {
                connection_clear(c);
                return;
        }
        c->look = LOOK_ANSWER;
        c->clear += size;
        read_answer(c);
}

static int check(struct connection *c, bool *ret_ended, struct err *e)
{
        while (is_at_hello(c)) {
                size_t size;
                enum hello found = look(c, &size);
                if (found == HELLO_MORE && c->stream_eof)
                        snprintf(c->reason, sizeof(c->reason), "its TLS ended before it asked for a name");
                else if (found == HELLO_MORE) {
                        if (!loop_timer_is_armed(c->hello_timer))
                                loop_timer_in(c->hello_timer, BROKER_HELLO_MS);
                        return 0;
                }
                if (found != HELLO_NAME || c->reason[0])
                        return judge(c, ret_ended, e);
                pass(c, size);
        }
        return 0;
}

/* n of `bytes` are the server's next ones. */
static void note_answer(struct connection *c, size_t n)
{
        size_t more = MIN(n, sizeof(c->answer) - c->answer_len);

        memcpy(c->answer + c->answer_len, bytes, more);
        c->answer_len += more;
        if (c->look == LOOK_ANSWER)
                read_answer(c);
}

/* ---- from the guest ---- */

static int watch(struct connection *c, struct err *e)
{
        unsigned events = c->fd_eof || c->blocked ? 0u : (unsigned)LOOP_READ;

        if (MIN(c->queue.len, c->clear))
                events |= LOOP_WRITE;
        return loop_io_set(c->io, events, e);
}

static void take_out(struct connection *c, size_t n)
{
        if (c->s)
                door_consumed(c->s, n);
        buf_consume(&c->queue, n);
        if (c->clear != SIZE_MAX)
                c->clear -= n;
}

/* A peer that reads no more: what still comes is taken and thrown away. */
static void send_queue(struct connection *c)
{
        size_t len;

        while ((len = MIN(c->queue.len, c->clear)) > 0) {
                ssize_t n = c->tls ? secure_write(c->tls, c->queue.data, len)
                                   : send(c->fd, c->queue.data, len, MSG_NOSIGNAL);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                c->sent += n < 0 ? 0 : (size_t)n;
                take_out(c, n < 0 ? len : (size_t)n);
        }
        /* Once: each call is an event of its own for whoever watches the socket. */
        if (c->stream_eof && !c->queue.len && !c->is_shut) {
                c->is_shut = true;
                if (c->tls)
                        secure_close(c->tls);
                else
                        shutdown(c->fd, SHUT_WR);
        }
}

/* *ret_ended: the connection is gone. */
static int pump_out(struct connection *c, bool *ret_ended, struct err *e)
{
        if (c->fd < 0)
                return 0;
        int r = check(c, ret_ended, e);
        if (r < 0 || *ret_ended)
                return r;
        send_queue(c);
        if (c->s || c->queue.len)
                return watch(c, e);
        *ret_ended = true;
        return connection_end(c, BROKER_ALLOWED, e);
}

/* ---- from the outside ---- */

static int take_bytes(struct connection *c, size_t n, struct err *e)
{
        c->received += n;
        note_answer(c, n);
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
        if (events & LOOP_READ)
                r = pump_in(c, &ended, e);
        /* What waited for the server's answer, too. */
        if (r == 0 && !ended)
                r = pump_out(c, &ended, e);
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

/* In order, or given up by devdep-job. A server that ended its own side first still gets what it has not taken yet. */
static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct connection *c = user;
        struct broker *b = c->broker;

        (void)s;
        (void)refusal;
        c->s = NULL;
        c->in_order = why == DOOR_CLOSED && c->fd >= 0;
        if (c->in_order && c->queue.len)
                return;
        if (connection_end(c, c->fd < 0 ? BROKER_ABANDONED : BROKER_ALLOWED, NULL) < 0)
                loop_quit(b->loop);
}

const struct door_handler connection_handler = {
        .data = on_data,
        .eof = on_eof,
        .writable = on_writable,
        .end = on_end,
};
