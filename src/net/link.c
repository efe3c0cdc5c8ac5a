#include "net/link.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"

struct link {
        struct link_config config;
        struct door *door;
        struct loop_io *io;
        struct loop_timer *turn; /* output of calls from outside, and the end */
        unsigned watched;
        bool over;
        struct err why;
        uint8_t read_buf[LINK_READ];
};

static void end(struct link *k, const struct err *why)
{
        if (k->over)
                return;
        k->over = true;
        k->why = *why;
        k->io = loop_io_free(k->io);
        loop_timer_in(k->turn, 0);
}

static void end_with(struct link *k, const char *message)
{
        struct err why = ERR_INIT;

        err_set(&why, ERR_GUEST_LOST, "%s", message);
        end(k, &why);
}

static int write_out(struct link *k, struct err *e)
{
        const uint8_t *data;
        size_t len = 0;

        for (unsigned i = 0; i < LINK_WRITES_PER_TURN && (len = door_output(k->door, &data)) > 0; i++) {
                ssize_t n = write(k->config.fd, data, len);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                if (n < 0) {
                        end_with(k, "the other side is gone");
                        return 0;
                }
                int r = door_output_done(k->door, (size_t)n, e);
                if (r < 0)
                        return r;
        }
        unsigned watch = LOOP_READ | (door_output(k->door, &data) > 0 ? LOOP_WRITE : 0u);
        if (watch == k->watched)
                return 0;
        k->watched = watch;
        return loop_io_set(k->io, watch, e);
}

static int on_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct link *k = user;
        struct err why = ERR_INIT;

        (void)io;
        if (events & (LOOP_READ | LOOP_HANGUP)) {
                ssize_t n = read(fd, k->read_buf, sizeof(k->read_buf));
                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                        end_with(k, "the other side has closed");
                else if (n > 0 && door_input(k->door, k->read_buf, (size_t)n, &why) < 0)
                        end(k, &why);
        }
        return k->over ? 0 : write_out(k, e);
}

static int on_turn(struct loop_timer *t, void *user, struct err *e)
{
        struct link *k = user;

        (void)t;
        if (!k->over)
                return write_out(k, e);
        return k->config.ended(k, &k->why, k->config.user, e);
}

void link_wake(struct link *k)
{
        if (!k->over)
                loop_timer_in(k->turn, 0);
}

struct door *link_door(struct link *k)
{
        return k->door;
}

CLEANUP_DEFINE(struct link, link_free)

int link_end_loop(struct loop *l, const struct err *why, struct err *e)
{
        if (why->code == ERR_PROTOCOL) {
                if (e)
                        *e = *why;
                return -1;
        }
        loop_quit(l);
        return 0;
}

int link_new(const struct link_config *c, struct link **ret, struct err *e)
{
        AUTO(link_freep) struct link *k = calloc(1, sizeof(*k));

        if (!k)
                return err_nomem(e);
        k->config = *c;
        k->watched = LOOP_READ;
        int r = fd_set_nonblock(c->fd, true, e);
        if (r == 0)
                r = door_new(c->role, c->limits, c->callbacks, c->user, &k->door, e);
        if (r == 0)
                door_enter(k->door, DOOR_AT_ONCE);
        if (r == 0)
                r = loop_timer_new(c->loop, on_turn, k, &k->turn, e);
        if (r == 0)
                r = loop_io_new(c->loop, c->fd, LOOP_READ, on_io, k, &k->io, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(k);
        return 0;
}

struct link *link_free(struct link *k)
{
        if (!k)
                return NULL;
        loop_io_free(k->io);
        loop_timer_free(k->turn);
        door_free(k->door);
        free(k);
        return NULL;
}
