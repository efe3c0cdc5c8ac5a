/* A jailed program run to its end: both outputs bounded, a deadline, the exit status. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/spawn.h"

struct output {
        struct buf *buf; /* NULL: not collected */
        int read_fd, write_fd;
};

static int output_open(struct output *o, struct buf *buf, int number, struct spawn_fd *fds, unsigned *n, struct err *e)
{
        int pipe[2], r;

        o->buf = buf;
        o->read_fd = o->write_fd = -1;
        if (!buf)
                return 0;
        r = fd_pipe(pipe, e);
        if (r < 0)
                return r;
        o->read_fd = pipe[0];
        o->write_fd = pipe[1];
        fds[(*n)++] = (struct spawn_fd){.from = o->write_fd, .to = number};
        return 0;
}

static void output_close(struct output *o)
{
        o->read_fd = fd_close(o->read_fd);
        o->write_fd = fd_close(o->write_fd);
}

static int output_read(struct output *o, const char *name, size_t max, struct err *e)
{
        uint8_t data[16384];
        ssize_t n = read(o->read_fd, data, sizeof(data));

        if (n < 0 && errno == EINTR)
                return 0;
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the output of %s", name);
        if (n == 0) {
                o->read_fd = fd_close(o->read_fd);
                return 0;
        }
        if (o->buf->len + (size_t)n > max)
                return err_set(e, ERR_RESOURCES, "%s wrote more than %zu bytes", name, max);
        return buf_append(o->buf, data, (size_t)n, e);
}

/* Until both outputs ended and the process is gone. */
static int collect(const char *name, int pidfd, struct output *out, size_t max, uint64_t deadline, struct err *e)
{
        bool alive = true;

        while (alive || out[0].read_fd >= 0 || out[1].read_fd >= 0) {
                struct pollfd p[3] = {{.fd = alive ? pidfd : -1, .events = POLLIN},
                                      {.fd = out[0].read_fd, .events = POLLIN},
                                      {.fd = out[1].read_fd, .events = POLLIN}};
                uint64_t now = clock_mono_ms();
                int n = now >= deadline ? 0 : poll(p, 3, (int)(deadline - now > 60000 ? 60000 : deadline - now));
                if (n < 0 && errno != EINTR)
                        return err_errno(e, ERR_RESOURCES, errno, "poll");
                if (n == 0 && clock_mono_ms() >= deadline)
                        return err_set(e, ERR_RESOURCES, "%s did not end in time and was killed", name);
                for (int i = 0; i < 2 && n > 0; i++) {
                        int r = p[i + 1].revents ? output_read(&out[i], name, max, e) : 0;
                        if (r < 0)
                                return r;
                }
                if (n > 0 && p[0].revents)
                        alive = false;
        }
        return 0;
}

static int reap(pid_t pid)
{
        int status = 0;

        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int sandbox_wait(pid_t pid, int pidfd, int timeout_ms)
{
        struct pollfd f = {.fd = pidfd, .events = POLLIN};

        if (poll(&f, 1, timeout_ms) <= 0)
                kill(pid, SIGKILL);
        return reap(pid);
}

int sandbox_run(const struct sandbox *s, const struct sandbox_exec *x, struct buf *stdout_buf, struct buf *stderr_buf,
                size_t max, uint64_t timeout_ms, int *ret_status, struct err *e)
{
        struct output out[2];
        struct spawn_fd fds[SPAWN_MAX_FDS];
        struct sandbox_exec mine = *x;
        AUTO(auto_close) int pidfd = -1;
        pid_t pid = 0;
        int r;

        if (x->n_fds > SPAWN_MAX_FDS - 2)
                return err_set(e, ERR_USAGE, "at most %d descriptors, found %u", SPAWN_MAX_FDS - 2, x->n_fds);
        if (x->n_fds)
                memcpy(fds, x->fds, x->n_fds * sizeof(fds[0]));
        mine.fds = fds;
        mine.die_with_parent = true;
        r = output_open(&out[0], stdout_buf, 1, fds, &mine.n_fds, e);
        if (r < 0)
                return r;
        r = output_open(&out[1], stderr_buf, 2, fds, &mine.n_fds, e);
        if (r == 0)
                r = sandbox_spawn(s, &mine, &pid, &pidfd, NULL, e);
        out[0].write_fd = fd_close(out[0].write_fd);
        out[1].write_fd = fd_close(out[1].write_fd);
        if (pid > 0) {
                r = collect(s->name, pidfd, out, max, clock_mono_ms() + timeout_ms, e);
                if (r < 0)
                        kill(pid, SIGKILL);
                int status = reap(pid);
                if (r == 0)
                        *ret_status = status;
        }
        output_close(&out[0]);
        output_close(&out[1]);
        return r;
}
