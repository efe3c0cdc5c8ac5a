#include "loop/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"

struct loop_watch {
        int fd;
        struct loop_io *io;
        loop_watch_fn *fn;
        void *user;
};

struct loop_watch *loop_watch_free(struct loop_watch *w)
{
        if (!w)
                return NULL;
        loop_io_free(w->io);
        fd_close(w->fd);
        free(w);
        return NULL;
}

/* What changed is not looked at: one file is watched, and its reader knows its own offset. */
static int on_readable(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct loop_watch *w = user;
        _Alignas(struct inotify_event) char changes[4096];

        (void)io;
        (void)events;
        ssize_t n = read(fd, changes, sizeof(changes));
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                return err_errno(e, ERR_RESOURCES, errno, "read file changes");
        return w->fn(w, w->user, e);
}

CLEANUP_DEFINE(struct loop_watch, loop_watch_free)

int loop_watch_new(struct loop *l, const char *path, loop_watch_fn *fn, void *user, struct loop_watch **ret,
                   struct err *e)
{
        AUTO(loop_watch_freep) struct loop_watch *w = calloc(1, sizeof(*w));

        if (!w)
                return err_nomem(e);
        w->fn = fn;
        w->user = user;
        w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (w->fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "watch files (inotify)");
        if (inotify_add_watch(w->fd, path, IN_MODIFY) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "watch %s", path);
        int r = loop_io_new(l, w->fd, LOOP_READ, on_readable, w, &w->io, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}
