#include "net/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"

struct dial {
        struct loop *loop;
        struct address *addresses;
        size_t n, at; /* `at`: the one that is tried, or is to be tried next */
        uint16_t port;
        dial_fn *done;
        void *user;
        int fd;
        struct loop_io *io;
        struct loop_timer *timer;
        int failed; /* errno of the last one */
};

struct dial *dial_free(struct dial *d)
{
        if (!d)
                return NULL;
        loop_io_free(d->io);
        loop_timer_free(d->timer);
        fd_close(d->fd);
        free(d->addresses);
        free(d);
        return NULL;
}
CLEANUP_DEFINE(struct dial, dial_free)

/* The next one, from the loop. */
static void go_on(struct dial *d, int failed)
{
        d->io = loop_io_free(d->io);
        d->fd = fd_close(d->fd);
        d->failed = failed;
        d->at++;
        loop_timer_in(d->timer, 0);
}

static int on_connected(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct dial *d = user;
        int failed = 0;
        socklen_t len = sizeof(failed);

        (void)io;
        (void)events;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0)
                failed = errno;
        if (failed) {
                go_on(d, failed);
                return 0;
        }
        d->io = loop_io_free(d->io);
        loop_timer_off(d->timer);
        return d->done(TAKE_FD(d->fd), &d->addresses[d->at], NULL, d->user, e);
}

static int try_one(struct dial *d, struct err *e)
{
        struct sockaddr_storage to;
        socklen_t len = address_to_socket(&d->addresses[d->at], d->port, &to);

        d->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (d->fd < 0 || (connect(d->fd, (const struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)) {
                go_on(d, errno);
                return 0;
        }
        loop_timer_in(d->timer, DIAL_TIMEOUT_MS);
        return loop_io_new(d->loop, d->fd, LOOP_WRITE, on_connected, d, &d->io, e);
}

static int on_timer(struct loop_timer *t, void *user, struct err *e)
{
        struct dial *d = user;

        (void)t;
        if (d->io) {
                go_on(d, ETIMEDOUT);
                return 0;
        }
        if (d->at < d->n)
                return try_one(d, e);
        return d->done(-1, NULL, strerror(d->failed), d->user, e);
}

int dial_start(struct loop *l, const struct address *v, size_t n, uint16_t port, dial_fn *done, void *user,
               struct dial **ret, struct err *e)
{
        AUTO(dial_freep) struct dial *d = calloc(1, sizeof(*d));

        if (!d)
                return err_nomem(e);
        d->fd = -1;
        d->loop = l;
        d->n = n;
        d->port = port;
        d->done = done;
        d->user = user;
        d->addresses = calloc(n, sizeof(*v));
        if (!d->addresses)
                return err_nomem(e);
        memcpy(d->addresses, v, n * sizeof(*v));
        int r = loop_timer_new(l, on_timer, d, &d->timer, e);
        if (r < 0)
                return r;
        loop_timer_in(d->timer, 0);
        *ret = TAKE_PTR(d);
        return 0;
}
