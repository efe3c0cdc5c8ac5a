#include "serve/ask.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/loop.h"
#include "serve/limits.h"
#include "wire/guest.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (64u * 1024u)
#define READS_PER_TURN 8 /* other sources of the loop get their turn */

enum state { STATE_IDLE, STATE_LIST, STATE_CHUNKS };

struct ask {
        int fd;
        const char *peer;
        struct loop_io *io;
        struct loop_timer *soon; /* reports a failure that was known before the request: never from inside the call */
        struct ask_fns fns;
        void *user;
        enum state state;
        bool greeted, paused, streaming, full;
        struct err broken; /* why no request can succeed any more */
        struct buf in, out;
        size_t mark; /* where the request begins in `out` */
        size_t chunk_left;
        bool *freed; /* set when a callback frees us */
};

static int on_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e);
static int on_soon(struct loop_timer *t, void *user, struct err *e);
static int digest(struct ask *a, struct err *e);

CLEANUP_DEFINE(struct ask, ask_free)

int ask_new(struct loop *l, int fd, const char *peer, const struct ask_fns *fns, void *user, struct ask **ret,
            struct err *e)
{
        AUTO(ask_freep) struct ask *a = calloc(1, sizeof(*a));
        if (!a)
                return err_nomem(e);
        a->fd = -1;
        a->peer = peer;
        a->fns = *fns;
        a->user = user;
        int r = fd_set_nonblock(fd, true, e);
        if (r == 0)
                r = loop_io_new(l, fd, LOOP_READ, on_io, a, &a->io, e);
        if (r == 0)
                r = loop_timer_new(l, on_soon, a, &a->soon, e);
        if (r < 0)
                return r;
        a->fd = fd;
        *ret = TAKE_PTR(a);
        return 0;
}

struct ask *ask_free(struct ask *a)
{
        if (!a)
                return NULL;
        if (a->freed)
                *a->freed = true;
        loop_io_free(a->io);
        loop_timer_free(a->soon);
        fd_close(a->fd);
        buf_done(&a->in);
        buf_done(&a->out);
        free(a);
        return NULL;
}

static int watch(struct ask *a, struct err *e)
{
        if (!a->io)
                return 0;
        unsigned events = (a->paused ? 0u : (unsigned)LOOP_READ) | (a->out.len ? (unsigned)LOOP_WRITE : 0u);
        return loop_io_set(a->io, events, e);
}

void ask_pause(struct ask *a)
{
        a->paused = true;
        watch(a, NULL);
}

void ask_resume(struct ask *a)
{
        a->paused = false;
        watch(a, NULL);
        /* What is already in memory must not wait for the socket to become readable again. */
        if (a->in.len > 0)
                loop_timer_in(a->soon, 0);
}

void ask_expect(struct ask *a, enum ask_next next)
{
        a->state = next == ASK_CHUNKS ? STATE_CHUNKS : STATE_LIST;
        a->chunk_left = 0;
}

void ask_end(struct ask *a)
{
        a->state = STATE_IDLE;
}

/* ---- writing ---- */

/* ASK_E_BROKEN: *broken says why nothing can be written any more. */
static int flush(struct ask *a, struct err *broken)
{
        while (a->out.len > 0) {
                ssize_t n = send(a->fd, a->out.data, a->out.len, MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        err_errno(broken, ERR_RESOURCES, errno, "%s went away", a->peer);
                        return ASK_E_BROKEN;
                }
                buf_consume(&a->out, (size_t)n);
        }
        return watch(a, broken) < 0 ? ASK_E_BROKEN : 0;
}

/* What cannot be written fails the running request, later. */
static void flush_later(struct ask *a)
{
        struct err why = ERR_INIT;
        if (!a->broken.code && flush(a, &why) != 0)
                a->broken = why;
        if (!a->broken.code)
                return;
        buf_clear(&a->out);
        loop_timer_in(a->soon, 0);
}

int ask_begin(struct ask *a, const char *op, struct buf **ret, struct err *e)
{
        assert(a->state == STATE_IDLE && !a->streaming);
        *ret = &a->out;
        int r = fields_begin(&a->out, &a->mark, e);
        return r < 0 ? r : fields_add_str(&a->out, "op", op, e);
}

int ask_send(struct ask *a, struct err *e)
{
        int r = fields_end(&a->out, a->mark, e);
        if (r < 0)
                return r;
        a->state = STATE_LIST;
        flush_later(a);
        return 0;
}

int ask_stream(struct ask *a, const void *data, size_t len, struct err *e)
{
        const uint8_t *at = data;
        if (a->broken.code)
                return 0;
        a->streaming = true;
        for (size_t left = len; left > 0;) {
                uint32_t n = (uint32_t)MIN(left, (size_t)SERVE_MAX_CHUNK);
                int r = buf_append_be32(&a->out, n, e);
                if (r == 0)
                        r = buf_append(&a->out, at, n, e);
                if (r < 0)
                        return r;
                at += n;
                left -= n;
        }
        flush_later(a);
        a->full = a->out.len > SERVE_MAX_UNSENT;
        return 0;
}

int ask_stream_end(struct ask *a, bool whole, struct err *e)
{
        size_t mark;
        if (a->broken.code)
                return 0;
        a->streaming = a->full = false;
        int r = buf_append_be32(&a->out, 0, e);
        if (r == 0)
                r = fields_begin(&a->out, &mark, e);
        if (r == 0)
                r = fields_add_str(&a->out, "status", whole ? "ok" : "error", e);
        if (r == 0)
                r = fields_end(&a->out, mark, e);
        if (r == 0)
                flush_later(a);
        return r;
}

bool ask_is_full(const struct ask *a)
{
        return a->full;
}

/* ---- reading ---- */

/* Tell the request's owner that it failed. A stream of ours that nobody wants any more is ended in order. */
static int report(struct ask *a, const struct err *failure, struct err *e)
{
        if (a->state == STATE_IDLE)
                return 0;
        if (a->streaming && ask_stream_end(a, false, e) < 0)
                return -1;
        a->state = STATE_IDLE;
        return a->fns.failed(a, failure, a->user, e);
}

/* No further request can succeed; the running one fails now. */
static int break_off(struct ask *a, const struct err *why, struct err *e)
{
        struct err copy = *why;
        a->broken = copy;
        a->streaming = a->full = false;
        a->io = loop_io_free(a->io);
        a->fd = fd_close(a->fd);
        buf_clear(&a->in);
        buf_clear(&a->out);
        return report(a, &copy, e);
}

static int on_soon(struct loop_timer *t, void *user, struct err *e)
{
        struct ask *a = user;
        (void)t;
        if (a->broken.code)
                return break_off(a, &a->broken, e);
        int r = digest(a, e);
        return r < 0 ? r : 0;
}

/* A failed answer as an error of ours. Unknown codes become ERR_RESOURCES. */
static void failure_of(const struct fields *f, struct err *ret)
{
        uint64_t code = ERR_RESOURCES;
        const char *message = "no reason given";
        fields_u64_opt(f, "code", ERR_RESOURCES, 100000, &code, NULL);
        fields_str_opt(f, "message", message, &message, NULL);
        char shown[ERR_MAX_MESSAGE];
        str_escape(shown, sizeof(shown), message, strlen(message));
        err_set(ret, code == ERR_USAGE || code == ERR_PROTOCOL ? (enum err_code)code : ERR_RESOURCES, "%s", shown);
}

/* 0: ok; 1: it says error (*ret_failure filled); negative: broken. */
static int status_of(const struct ask *a, const struct fields *f, struct err *ret_failure, struct err *e)
{
        const char *status;
        int r = fields_str(f, "status", &status, e);
        if (r < 0)
                return r;
        if (str_eq(status, "ok"))
                return 0;
        if (!str_eq(status, "error"))
                return err_set(e, ERR_PROTOCOL, "%s: status: expected 'ok' or 'error'", a->peer);
        failure_of(f, ret_failure);
        return 1;
}

/* A complete field list. ASK_E_BROKEN: the request is still to be told. */
static int on_fields(struct ask *a, const struct fields *f, struct err *broken, struct err *e)
{
        struct err failure = ERR_INIT;
        int r = status_of(a, f, &failure, broken);
        if (r < 0)
                return ASK_E_BROKEN;
        if (!a->greeted) {
                a->greeted = true;
                if (r > 0)
                        *broken = failure;
                return r > 0 ? ASK_E_BROKEN : 0;
        }
        if (a->state == STATE_IDLE || (r == 0 && a->streaming)) {
                err_set(broken, ERR_PROTOCOL, "%s answered without a request", a->peer);
                return ASK_E_BROKEN;
        }
        return r > 0 ? report(a, &failure, e) : a->fns.list(a, f, broken, a->user, e);
}

static int take_chunk(struct ask *a, size_t *ret_used, struct err *broken, struct err *e)
{
        if (a->chunk_left > 0) {
                size_t n = MIN(a->chunk_left, a->in.len);
                a->chunk_left -= n;
                *ret_used = n;
                return n ? a->fns.data(a, a->in.data, n, a->user, e) : 0;
        }
        if (a->in.len < 4)
                return 0;
        a->chunk_left = num_be32(a->in.data);
        if (a->chunk_left > SERVE_MAX_CHUNK) {
                err_set(broken, ERR_PROTOCOL, "%s sent a chunk that is too long", a->peer);
                return ASK_E_BROKEN;
        }
        if (a->chunk_left == 0)
                a->state = STATE_LIST;
        *ret_used = 4;
        return 0;
}

/* Use what one step can use of a->in. *ret_used 0: more bytes are needed. */
static int step(struct ask *a, size_t *ret_used, struct err *broken, struct err *e)
{
        *ret_used = 0;
        if (a->state == STATE_CHUNKS)
                return take_chunk(a, ret_used, broken, e);
        size_t size;
        int r = fields_size(a->in.data, a->in.len, &size, broken);
        if (r == FIELDS_E_MORE || (r == 0 && size > a->in.len))
                return 0;
        struct fields *f = NULL;
        r = r < 0 ? r : fields_parse(a->in.data, size, &f, broken);
        if (r < 0)
                return ASK_E_BROKEN;
        *ret_used = size;
        r = on_fields(a, f, broken, e);
        fields_free(f);
        return r;
}

/* Everything that is in memory. Positive: a callback freed us, or the connection is at its end. */
static int digest(struct ask *a, struct err *e)
{
        bool freed = false;
        int r = 0;
        a->freed = &freed;
        for (size_t used = 1; r == 0 && used > 0 && !a->paused;) {
                struct err broken = ERR_INIT;
                r = step(a, &used, &broken, e);
                if (freed)
                        return r < 0 ? r : 1;
                if (r > 0) {
                        r = break_off(a, &broken, e);
                        if (freed || r == 0)
                                r = r < 0 ? r : 1;
                } else if (r == 0) {
                        buf_consume(&a->in, used);
                }
        }
        if (!freed)
                a->freed = NULL;
        return r;
}

/* 1: the other side is gone, and the connection with it. */
static int on_end(struct ask *a, int errnum, struct err *e)
{
        struct err why = ERR_INIT;
        if (errnum)
                err_errno(&why, ERR_RESOURCES, errnum, "%s went away", a->peer);
        else
                err_set(&why, ERR_RESOURCES, "%s ended before it had answered", a->peer);
        int r = break_off(a, &why, e);
        return r < 0 ? r : 1;
}

/* 1: freed, or broken off. */
static int on_writable(struct ask *a, struct err *e)
{
        struct err why = ERR_INIT;
        bool freed = false;
        if (flush(a, &why) != 0) {
                int r = break_off(a, &why, e);
                return r < 0 ? r : 1;
        }
        if (!a->full || a->out.len > SERVE_MAX_UNSENT / 2)
                return 0;
        a->full = false;
        a->freed = &freed;
        int r = a->fns.drained(a, a->user, e);
        if (freed)
                return r < 0 ? r : 1;
        a->freed = NULL;
        return r;
}

static int on_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct ask *a = user;
        (void)io;
        int r = events & LOOP_WRITE ? on_writable(a, e) : 0;
        if (r != 0)
                return r < 0 ? r : 0;
        /* A hang-up while paused: what was sent before it is read first, at ask_resume(). */
        for (int i = 0; i < READS_PER_TURN && !a->paused; i++) {
                r = buf_reserve(&a->in, READ_SIZE, e);
                if (r < 0)
                        return r;
                ssize_t n = recv(fd, a->in.data + a->in.len, READ_SIZE, 0);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n <= 0)
                        r = on_end(a, n < 0 ? errno : 0, e);
                else
                        a->in.len += (size_t)n;
                if (r == 0)
                        r = digest(a, e);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return 0;
}

bool ask_text_at(const struct fields *f, size_t i, const char *key, const char **ret, struct strv *keep)
{
        const struct field *x = i < fields_count(f) ? fields_at(f, i) : NULL;
        if (!x || !str_eq(x->key, key) || memchr(x->value, '\0', x->len))
                return false;
        char *copy = str_ndup((const char *)x->value, x->len);
        int r = copy ? strv_add(keep, copy, NULL) : -1;
        free(copy);
        if (r == 0)
                *ret = keep->v[keep->n - 1];
        return r == 0;
}
