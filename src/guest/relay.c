#include "guest/relay.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/secret.h"
#include "guest/child.h"
#include "guest/guest.h"
#include "guest/reap.h"
#include "loop/loop.h"
#include "wire/door.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_PER_TURN 16

struct relay {
        struct guest *g;
        struct door_stream *s; /* NULL: it ended, or the door has it */
        int fd;
        struct loop_io *io;
        struct buf queue; /* from the stream, at most a window */
        bool stream_eof;  /* the opener half-closed */
        bool fd_eof;      /* our end of the descriptor brought its end */
        bool blocked;     /* the stream takes no more now */
        bool connecting;  /* no answer yet: the socket has no peer */
        pid_t worker;     /* 0: none, or it ended */
        int status;       /* of the worker: 0, or not 0 */
        struct report report;
        size_t report_len;     /* bytes of it that are there; all of them: answered */
        relay_ended_fn *ended; /* of relay_connect(); NULL: another one */
        void *user;
        bool lost; /* the host refused or reset the stream */
};

static uint8_t bytes[64u * 1024u];

void relay_cut(int fd)
{
        const struct linger now = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        fd_close(fd);
}

static void relay_free(struct relay *y)
{
        struct err why = ERR_INIT;
        if (y->ended && y->ended(y->lost, y->user, &why) < 0)
                log_error("%s", why.msg);
        if (y->worker) {
                kill(y->worker, SIGKILL);
                reaper_forget(y->g->reaper, y->worker);
        }
        loop_io_free(y->io);
        if (y->lost)
                relay_cut(y->fd);
        else
                fd_close(y->fd);
        buf_wipe(&y->queue);
        free(y);
}

static bool is_answered(const struct relay *y)
{
        return y->report_len == sizeof(y->report);
}

static int watch(struct relay *y, struct err *e)
{
        if (y->connecting)
                return loop_io_set(y->io, LOOP_WRITE, e);
        unsigned events =
                (y->fd_eof || y->blocked ? 0u : (unsigned)LOOP_READ) | (y->queue.len ? (unsigned)LOOP_WRITE : 0u);
        return loop_io_set(y->io, events, e);
}

static int refuse(struct relay *y, const char *code, const char *message, struct err *e)
{
        struct door_stream *s = y->s;
        relay_free(y);
        return door_refuse(s, code, message, e);
}

/* Bytes of the stream to the descriptor. */
static int pump_in(struct relay *y, struct err *e)
{
        while (y->queue.len && !y->connecting) {
                ssize_t n = send(y->fd, y->queue.data, y->queue.len, MSG_NOSIGNAL);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                /* A peer that reads no more: what still comes is taken and thrown away. */
                size_t used = n < 0 ? y->queue.len : (size_t)n;
                if (y->s)
                        door_consumed(y->s, used);
                buf_consume(&y->queue, used);
        }
        if (!y->queue.len && y->stream_eof && !y->connecting)
                shutdown(y->fd, SHUT_WR);
        return watch(y, e);
}

/* Both the descriptor's end and the worker's are there: end the stream's other direction. Frees y on a reset. */
static int end_output(struct relay *y, struct err *e)
{
        if (!y->fd_eof || y->worker)
                return 0;
        if (!is_answered(y))
                return refuse(y, "resources", "the operation's process ended early", e);
        struct door_stream *s = y->s;
        if (y->status == 0)
                return door_close(s, e);
        relay_free(y);
        return door_reset(s, e);
}

static int read_report(struct relay *y, bool *ret_freed, struct err *e)
{
        ssize_t n = read(y->fd, (uint8_t *)&y->report + y->report_len, sizeof(y->report) - y->report_len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                y->fd_eof = true;
                *ret_freed = !y->worker;
                return end_output(y, e);
        }
        y->report_len += (size_t)n;
        if (!is_answered(y))
                return 0;
        y->report.code[sizeof(y->report.code) - 1] = y->report.message[sizeof(y->report.message) - 1] = 0;
        if (!y->report.code[0])
                return door_answer(y->s, NULL, e);
        struct report why = y->report;
        *ret_freed = true;
        return refuse(y, why.code, why.message, e);
}

/* Bytes of the descriptor to the stream. *ret_freed: the relay is gone. */
static int pump_out(struct relay *y, bool *ret_freed, struct err *e)
{
        for (unsigned i = 0; i < READS_PER_TURN && !y->fd_eof; i++) {
                if (!is_answered(y)) {
                        int r = read_report(y, ret_freed, e);
                        if (r < 0 || *ret_freed || !is_answered(y))
                                return r;
                        continue;
                }
                size_t room = MIN(door_write_space(y->s), sizeof(bytes));
                y->blocked = room == 0;
                if (y->blocked) {
                        door_write(y->s, bytes, 1, e); /* takes nothing; asks for `writable` */
                        return 0;
                }
                ssize_t n = read(y->fd, bytes, room);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                y->fd_eof = n <= 0;
                y->status |= n < 0; /* a connection that was reset is no half-close */
                ssize_t taken = n > 0 ? (ssize_t)door_write(y->s, bytes, (size_t)n, e) : n;
                if (n > 0)
                        secret_wipe(bytes, (size_t)n); /* a file of a step may hold its secrets */
                if (taken != n)
                        return err_set(e, ERR_RESOURCES, "the stream took less than it had room for");
        }
        if (!y->fd_eof)
                return 0;
        *ret_freed = !y->worker && y->status;
        return end_output(y, e);
}

static int on_connected(struct relay *y, bool *ret_freed, struct err *e)
{
        int failed = 0;
        socklen_t len = sizeof(failed);
        if (getsockopt(y->fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0)
                failed = errno;
        if (failed) {
                *ret_freed = true;
                return refuse(y, failed == ECONNREFUSED ? "refused" : "not-found", strerror(failed), e);
        }
        y->connecting = false;
        int r = door_answer(y->s, NULL, e);
        return r < 0 ? r : pump_in(y, e);
}

static int on_fd(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct relay *y = user;
        struct guest *g = y->g;
        bool freed = false;
        int r = 0;
        (void)io;
        (void)fd;
        if (y->connecting)
                r = on_connected(y, &freed, e);
        else if (events & LOOP_WRITE)
                r = pump_in(y, e);
        if (r == 0 && !freed && events & LOOP_READ)
                r = pump_out(y, &freed, e);
        if (r == 0 && !freed && !y->s && !y->queue.len) {
                relay_free(y);
                freed = true;
        }
        if (r == 0 && !freed)
                r = watch(y, e);
        return r < 0 ? r : guest_flush(g, e);
}

static int on_worker_exit(int exit_code, int term_signal, void *user, struct err *e)
{
        struct relay *y = user;
        struct guest *g = y->g;
        (void)term_signal;
        y->worker = 0;
        y->status |= exit_code != 0;
        int r = end_output(y, e);
        return r < 0 ? r : guest_flush(g, e);
}

static int on_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct relay *y = user;
        (void)s;
        int r = buf_append(&y->queue, data, len, e);
        return r < 0 ? r : pump_in(y, e);
}

static int on_eof(struct door_stream *s, void *user, struct err *e)
{
        struct relay *y = user;
        (void)s;
        y->stream_eof = true;
        return pump_in(y, e);
}

static int on_writable(struct door_stream *s, void *user, struct err *e)
{
        struct relay *y = user;
        (void)s;
        y->blocked = false;
        return watch(y, e);
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct relay *y = user;
        (void)s;
        (void)refusal;
        y->s = NULL;
        y->lost = y->ended && why != DOOR_CLOSED;
        /* Who ended its own side first, and reads slowly, still gets what is here. */
        if (why != DOOR_CLOSED || !y->queue.len)
                relay_free(y);
}

static const struct door_handler handler = {
        .data = on_data,
        .eof = on_eof,
        .writable = on_writable,
        .end = on_end,
};

int relay_start(struct guest *g, struct door_stream *s, int fd, pid_t worker, struct err *e)
{
        struct relay *y = calloc(1, sizeof(*y));
        if (!y) {
                fd_close(fd);
                return err_nomem(e);
        }
        *y = (struct relay){.g = g, .s = s, .fd = fd, .worker = worker, .connecting = !worker};
        if (!worker)
                y->report_len = sizeof(y->report);
        int r = worker ? reaper_watch(g->reaper, worker, on_worker_exit, y, e) : 0;
        r = r < 0 ? r : loop_io_new(g->loop, fd, worker ? LOOP_READ : LOOP_WRITE, on_fd, y, &y->io, e);
        if (r < 0) {
                relay_free(y);
                return r;
        }
        door_accept(s, &handler, y);
        return 0;
}

int relay_connect(struct guest *g, const struct buf *header, int fd, relay_ended_fn *ended, void *user, struct err *e)
{
        struct relay *y = calloc(1, sizeof(*y));
        if (!y) {
                fd_close(fd);
                return err_nomem(e);
        }
        *y = (struct relay){.g = g, .fd = fd, .report_len = sizeof(y->report), .ended = ended, .user = user};
        int r = loop_io_new(g->loop, fd, LOOP_READ, on_fd, y, &y->io, e);
        r = r < 0 ? r : door_open(g->door, header, &handler, y, &y->s, e);
        if (r == 0)
                return 0;
        y->lost = true;
        relay_free(y);
        return r < 0 ? r : 0;
}
