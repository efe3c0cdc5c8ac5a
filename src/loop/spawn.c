/* fork() and exec with a status pipe: it is close-on-exec, so its end says that the exec succeeded, and eight bytes in
 * it (which stage, which errno) that it did not. Between fork and exec the child makes system calls only. */
#include "loop/spawn.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLOSE_ON_EXEC 4u /* CLOSE_RANGE_CLOEXEC; <linux/close_range.h> is too new for some headers */
#define READ_CHUNK 65536

enum stage { STAGE_GROUPS, STAGE_FDS, STAGE_SIGNALS, STAGE_SESSION, STAGE_USER, STAGE_PARENT, STAGE_CWD, STAGE_EXEC };

static const char *const stage_names[] = {
        [STAGE_GROUPS] = "enter its control groups",
        [STAGE_FDS] = "arrange its descriptors",
        [STAGE_SIGNALS] = "reset its signals",
        [STAGE_SESSION] = "make its session",
        [STAGE_USER] = "change to its user",
        [STAGE_PARENT] = "tie it to its parent",
        [STAGE_CWD] = "enter its folder",
        [STAGE_EXEC] = "execute it",
};

struct failure {
        int stage, errnum;
};

static int max_target(const struct spawn *s)
{
        int most = 2;
        for (unsigned i = 0; i < s->n_fds; i++)
                most = MAX(most, s->fds[i].to);
        return most;
}

static int child_groups(const struct spawn *s)
{
        for (unsigned i = 0; i < s->n_enter; i++)
                if (write(s->enter[i], "0", 1) < 0)
                        return -1;
        return 0;
}

/* Copy every source above all targets first, so that no target overwrites a source that is still needed; then mark all
 * as close-on-exec, and let dup2() make the targets, which are not. */
static int child_fds(const struct spawn *s, int *status)
{
        int high = max_target(s) + 1, copies[SPAWN_MAX_FDS];
        *status = fcntl(*status, F_DUPFD_CLOEXEC, high);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        int null_high = null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, high);
        if (*status < 0 || null_high < 0)
                return -1;
        for (unsigned i = 0; i < s->n_fds; i++) {
                copies[i] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, high);
                if (copies[i] < 0)
                        return -1;
        }
        if (syscall(SYS_close_range, 3u, UINT_MAX, CLOSE_ON_EXEC) < 0)
                return -1;
        for (int fd = 0; fd <= 2; fd++)
                if (dup2(null_high, fd) < 0)
                        return -1;
        for (unsigned i = 0; i < s->n_fds; i++)
                if (dup2(copies[i], s->fds[i].to) < 0)
                        return -1;
        return 0;
}

/* The kernel's own call: the C libraries refuse the real-time signals that they keep for themselves, and one of these
 * that was ignored when we were started would stay ignored. Whatever its layout, a kernel sigaction of zeros is the
 * default. */
static int child_signals(void)
{
        const unsigned long as_default[8] = {0};
        for (int signo = 1; signo < NSIG; signo++)
                syscall(SYS_rt_sigaction, signo, as_default, NULL, (size_t)8);
        sigset_t none;
        sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Raw system calls: the C library's wrappers synchronise threads, which is not safe between fork and exec. */
static int child_user(const struct spawn *s)
{
        if (s->uid == (uid_t)-1)
                return 0;
        if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
                return -1;
        return (int)syscall(SYS_setresuid, s->uid, s->uid, s->uid);
}

static int child_parent(const struct spawn *s, pid_t parent)
{
        if (!s->die_with_parent)
                return 0;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return -1;
        /* The parent may have died before the request; then nobody would ever kill us. */
        if (getppid() != parent) {
                errno = ESRCH;
                return -1;
        }
        return 0;
}

static _Noreturn void child(const struct spawn *s, pid_t parent, int status)
{
        struct failure f = {STAGE_GROUPS, 0};
        bool ok = child_groups(s) == 0;
        if (ok && (f.stage = STAGE_FDS, child_fds(s, &status) < 0))
                ok = false;
        if (ok && (f.stage = STAGE_SIGNALS, child_signals() < 0))
                ok = false;
        if (ok && s->new_session && (f.stage = STAGE_SESSION, setsid() < 0))
                ok = false;
        if (ok && (f.stage = STAGE_CWD, s->cwd_fd >= 0 ? fchdir(s->cwd_fd) < 0 : chdir("/") < 0))
                ok = false;
        if (ok && (f.stage = STAGE_USER, child_user(s) < 0))
                ok = false;
        /* After the change of user, which clears the request. */
        if (ok && (f.stage = STAGE_PARENT, child_parent(s, parent) < 0))
                ok = false;
        if (ok) {
                f.stage = STAGE_EXEC;
                execve(s->path, s->argv, s->envp);
        }
        f.errnum = errno;
        ssize_t ignored = write(status, &f, sizeof(f));
        (void)ignored;
        _exit(127);
}

static int check(const struct spawn *s, struct err *e)
{
        if (s->n_fds > SPAWN_MAX_FDS)
                return err_set(e, ERR_RESOURCES, "start %s: at most %d descriptors can be handed over", s->path,
                               SPAWN_MAX_FDS);
        for (unsigned i = 0; i < s->n_fds; i++)
                for (unsigned j = 0; j < i; j++)
                        if (s->fds[i].to == s->fds[j].to)
                                return err_set(e, ERR_RESOURCES, "start %s: descriptor %d is named twice", s->path,
                                               s->fds[i].to);
        return 0;
}

/* fork() with every signal blocked, so that no handler of ours runs in the child. */
static pid_t fork_blocked(const struct spawn *s, int status)
{
        sigset_t all, before;
        sigfillset(&all);
        pid_t parent = getpid();
        sigprocmask(SIG_SETMASK, &all, &before);
        pid_t pid = fork();
        if (pid == 0)
                child(s, parent, status);
        int errnum = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        errno = errnum;
        return pid;
}

static void reap(pid_t pid)
{
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* Wait for the child's exec. 0, or negative with the child reaped. */
static int await_exec(const struct spawn *s, pid_t pid, int status, struct err *e)
{
        struct failure f;
        ssize_t n;
        do
                n = read(status, &f, sizeof(f));
        while (n < 0 && errno == EINTR);
        if (n == 0)
                return 0;
        if (n != (ssize_t)sizeof(f)) {
                kill(pid, SIGKILL);
                f = (struct failure){STAGE_EXEC, EIO};
        }
        reap(pid);
        return err_errno(e, ERR_RESOURCES, f.errnum, "start %s: %s", s->path, stage_names[f.stage]);
}

int spawn(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
        int ends[2];
        int r = check(s, e);
        if (r == 0)
                r = fd_pipe(ends, e);
        if (r < 0)
                return r;
        AUTO(auto_close) int from_child = ends[0];
        AUTO(auto_close) int to_parent = ends[1];
        pid_t pid = fork_blocked(s, to_parent);
        if (pid < 0)
                return err_errno(e, ERR_RESOURCES, errno, "start %s: fork", s->path);
        to_parent = fd_close(to_parent);
        r = await_exec(s, pid, from_child, e);
        if (r < 0)
                return r;
        /* Nobody else reaps our children, so the number still means this one. */
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
        if (pidfd < 0) {
                int errnum = errno;
                kill(pid, SIGKILL);
                reap(pid);
                return err_errno(e, ERR_RESOURCES, errnum, "start %s: watch it", s->path);
        }
        *ret_pid = pid;
        *ret_pidfd = pidfd;
        return 0;
}

/* One output of a child that spawn_wait() collects. */
struct collected {
        struct buf *buf; /* NULL: not collected */
        int fd, child_fd;
        const char *name;
};

static int collect_open(struct collected *c, struct spawn *s, struct spawn_fd *fds, struct err *e)
{
        int ends[2];
        if (!c->buf)
                return 0;
        int r = fd_pipe(ends, e);
        if (r < 0)
                return r;
        c->fd = ends[0];
        fds[s->n_fds++] = (struct spawn_fd){.from = ends[1], .to = c->child_fd};
        return fd_set_nonblock(c->fd, true, e);
}

static int collect_read(struct collected *c, size_t max, const char *path, struct err *e)
{
        int r = buf_reserve(c->buf, READ_CHUNK, e);
        if (r < 0)
                return r;
        ssize_t n = read(c->fd, c->buf->data + c->buf->len, READ_CHUNK);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read what %s wrote", path);
        if (n == 0)
                c->fd = fd_close(c->fd);
        if (c->buf->len + (size_t)n > max)
                return err_set(e, ERR_RESOURCES, "%s wrote more than %zu bytes to its %s", path, max, c->name);
        c->buf->len += (size_t)n;
        return 0;
}

/* Collect until both outputs have ended and the process too. */
static int collect_all(struct collected c[2], int pidfd, size_t max, uint64_t deadline_ms, const char *path,
                       struct err *e)
{
        bool alive = true;
        while (alive || c[0].fd >= 0 || c[1].fd >= 0) {
                struct pollfd p[3] = {{c[0].fd, POLLIN, 0}, {c[1].fd, POLLIN, 0}, {alive ? pidfd : -1, POLLIN, 0}};
                uint64_t now = clock_mono_ms();
                if (now >= deadline_ms)
                        return err_set(e, ERR_RESOURCES, "%s did not end in time and was killed", path);
                int n = poll(p, 3, (int)MIN(deadline_ms - now, (uint64_t)INT_MAX));
                if (n < 0 && errno != EINTR)
                        return err_errno(e, ERR_RESOURCES, errno, "wait for %s", path);
                if (n <= 0)
                        continue;
                alive = alive && !p[2].revents;
                for (int i = 0; i < 2; i++) {
                        int r = p[i].revents ? collect_read(&c[i], max, path, e) : 0;
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int wait_status(pid_t pid)
{
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int spawn_wait(const struct spawn *s, struct buf *stdout_buf, struct buf *stderr_buf, size_t max, uint64_t timeout_ms,
               int *ret_status, struct err *e)
{
        struct spawn copy = *s;
        struct spawn_fd fds[SPAWN_MAX_FDS + 2];
        if (s->n_fds > SPAWN_MAX_FDS - 2)
                return err_set(e, ERR_RESOURCES, "start %s: too many descriptors", s->path);
        for (unsigned i = 0; i < s->n_fds; i++)
                fds[i] = s->fds[i];
        copy.fds = fds;
        struct collected c[2] = {{stdout_buf, -1, 1, "standard output"}, {stderr_buf, -1, 2, "standard error"}};
        pid_t pid = -1;
        AUTO(auto_close) int pidfd = -1;
        int r = collect_open(&c[0], &copy, fds, e);
        if (r == 0)
                r = collect_open(&c[1], &copy, fds, e);
        if (r == 0)
                r = spawn(&copy, &pid, &pidfd, e);
        for (unsigned i = s->n_fds; i < copy.n_fds; i++)
                fd_close(fds[i].from);
        if (r == 0) {
                uint64_t deadline;
                if (!num_add(clock_mono_ms(), timeout_ms, &deadline))
                        deadline = UINT64_MAX;
                r = collect_all(c, pidfd, max, deadline, s->path, e);
                if (r < 0)
                        kill(pid, SIGKILL);
                int status = wait_status(pid);
                if (r == 0)
                        *ret_status = status;
        }
        fd_close(c[0].fd);
        fd_close(c[1].fd);
        return r;
}
