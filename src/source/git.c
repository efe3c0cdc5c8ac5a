#include "source/git.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/spawn.h"
#include "source/names.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_STDERR 2048
#define READ_SIZE 65536

/* Whatever could make git read or run something of the user's or the repository's is shut here; the rest is shut by the
 * git folder being ours. */
static const char *const fixed_env[] = {
        "PATH=/usr/bin",
        "HOME=/nonexistent",
        "XDG_CONFIG_HOME=/nonexistent",
        "LC_ALL=C",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_SYSTEM=/dev/null",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_ATTR_NOSYSTEM=1",
        "GIT_NO_REPLACE_OBJECTS=1",
        "GIT_NO_LAZY_FETCH=1",
        "GIT_OPTIONAL_LOCKS=0",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_ALLOW_PROTOCOL=none",
        "GIT_LITERAL_PATHSPECS=1",
        "GIT_PAGER=cat",
        "GIT_EDITOR=false",
        "GIT_ASKPASS=false",
        "GIT_SSH=false",
};

/* A call that runs: the ends of git's pipes that are ours, -1 once done with. */
struct running {
        pid_t pid;
        int pidfd, in, out, err;
        size_t written;
        char message[MAX_STDERR + 1];
        size_t message_len;
};

static void running_done(struct running *r)
{
        if (r->pid > 0) {
                kill(r->pid, SIGKILL);
                while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        r->in = fd_close(r->in);
        r->out = fd_close(r->out);
        r->err = fd_close(r->err);
        r->pidfd = fd_close(r->pidfd);
}

static int build_env(const struct git *g, struct strv *env, struct err *e)
{
        int r = strv_addf(env, e, "GIT_DIR=%s", g->gitdir);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed_env); i++)
                r = strv_add(env, fixed_env[i], e);
        if (r == 0 && g->worktree)
                r = strv_addf(env, e, "GIT_WORK_TREE=%s", g->worktree);
        if (r == 0 && g->index)
                r = strv_addf(env, e, "GIT_INDEX_FILE=%s", g->index);
        return r;
}

static int build_argv(const struct git_call *c, struct strv *argv, struct err *e)
{
        int r = strv_add(argv, "git", e);
        for (size_t i = 0; r == 0 && c->args[i]; i++)
                r = strv_add(argv, c->args[i], e);
        return r;
}

static int start(const struct git *g, const struct git_call *c, struct running *run, struct err *e)
{
        AUTO(strv_done) struct strv argv = STRV_INIT, env = STRV_INIT;
        int in[2] = {-1, -1}, out[2] = {-1, -1}, errs[2] = {-1, -1};
        AUTO(auto_close) int cwd = -1;
        int r = build_argv(c, &argv, e);
        if (r == 0)
                r = build_env(g, &env, e);
        if (r == 0 && g->worktree && (cwd = open(g->worktree, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "open the work tree");
        if (r == 0)
                r = fd_pipe(in, e);
        if (r == 0)
                r = fd_pipe(out, e);
        if (r == 0)
                r = fd_pipe(errs, e);
        if (r == 0)
                r = fd_set_nonblock(in[1], true, e);
        const struct spawn_fd fds[] = {{in[0], 0}, {out[1], 1}, {errs[1], 2}};
        struct spawn s = SPAWN_INIT;
        s.path = GIT_PROGRAM;
        s.argv = argv.v;
        s.envp = env.v;
        s.fds = fds;
        s.n_fds = ARRAY_SIZE(fds);
        s.cwd_fd = cwd;
        s.die_with_parent = 1;
        if (r == 0)
                r = spawn(&s, &run->pid, &run->pidfd, e);
        fd_close(in[0]);
        fd_close(out[1]);
        fd_close(errs[1]);
        run->in = in[1];
        run->out = out[0];
        run->err = errs[0];
        return r;
}

static void feed_input(struct running *run, const struct git_call *c)
{
        if (c->input && run->written < c->input_len) {
                ssize_t n = write(run->in, (const char *)c->input + run->written, c->input_len - run->written);
                if (n >= 0)
                        run->written += (size_t)n;
                else if (errno != EAGAIN && errno != EINTR)
                        run->written = c->input_len; /* git does not want the rest; its status says why */
        }
        if (!c->input || run->written >= c->input_len)
                run->in = fd_close(run->in);
}

static int take_output(struct running *run, const struct git_call *c, struct err *e)
{
        uint8_t data[READ_SIZE];
        ssize_t n = read(run->out, data, sizeof(data));
        if (n < 0)
                return errno == EINTR ? 0 : err_errno(e, ERR_RESOURCES, errno, "read from git %s", c->args[0]);
        if (n == 0)
                run->out = fd_close(run->out);
        return n > 0 && c->output ? c->output(data, (size_t)n, c->user, e) : 0;
}

/* The first MAX_STDERR bytes are kept, the rest is read and dropped. */
static void take_message(struct running *run)
{
        char data[4096];
        ssize_t n = read(run->err, data, sizeof(data));
        if (n <= 0) {
                if (n == 0 || errno != EINTR)
                        run->err = fd_close(run->err);
                return;
        }
        size_t take = MIN((size_t)n, MAX_STDERR - run->message_len);
        memcpy(run->message + run->message_len, data, take);
        run->message_len += take;
}

/* Positive: the output function has enough. */
static int pump(const struct git *g, const struct git_call *c, struct running *run, struct err *e)
{
        while (run->out >= 0 || run->err >= 0) {
                struct pollfd fds[] = {{run->in, POLLOUT, 0},
                                       {run->out, POLLIN, 0},
                                       {run->err, POLLIN, 0},
                                       {g->peer_fd, POLLRDHUP, 0}};
                if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return err_errno(e, ERR_RESOURCES, errno, "wait for git %s", c->args[0]);
                }
                if (fds[3].revents)
                        return err_set(e, ERR_CANCELLED, "the client went away");
                if (fds[0].revents)
                        feed_input(run, c);
                int r = fds[1].revents ? take_output(run, c, e) : 0;
                if (r != 0)
                        return r;
                if (fds[2].revents)
                        take_message(run);
        }
        return 0;
}

/* git's last words as one line: its "fatal:" or "error:" line where there is one. */
static char *one_line(const struct running *run)
{
        const char *at = strstr(run->message, "fatal: ");
        if (!at)
                at = strstr(run->message, "error: ");
        at = at ? at + 7 : run->message;
        return text_line(at, strcspn(at, "\n"), 300);
}

static int finish(struct running *run, const struct git_call *c, char **ret_message, struct err *e)
{
        int status;
        while (waitpid(run->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return err_errno(e, ERR_RESOURCES, errno, "wait for git %s", c->args[0]);
        run->pid = 0;
        if (WIFSIGNALED(status))
                return err_set(e, ERR_RESOURCES, "git %s was killed by signal %d", c->args[0], WTERMSIG(status));
        if (WEXITSTATUS(status) == 0)
                return 0;
        run->message[run->message_len] = '\0';
        *ret_message = one_line(run);
        return *ret_message ? GIT_E_FAILED : err_nomem(e);
}

int git_call(const struct git *g, const struct git_call *c, char **ret_message, struct err *e)
{
        AUTO(running_done) struct running run = {.pidfd = -1, .in = -1, .out = -1, .err = -1};
        *ret_message = NULL;
        int r = start(g, c, &run, e);
        if (r < 0)
                return r;
        r = pump(g, c, &run, e);
        if (r != 0)
                return r < 0 ? r : 0;
        return finish(&run, c, ret_message, e);
}

int git_must(const struct git *g, const struct git_call *c, struct err *e)
{
        AUTO(auto_free) char *message = NULL;
        int r = git_call(g, c, &message, e);
        return r == GIT_E_FAILED ? err_set(e, ERR_USAGE, "git %s: %s", c->args[0], message) : r;
}

struct collect {
        struct buf *into;
        size_t max;
};

static int collect_output(const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct collect *c = user;
        if (len > c->max - c->into->len)
                return err_set(e, ERR_RESOURCES, "git wrote more than %zu bytes", c->max);
        return buf_append(c->into, data, len, e);
}

int git_text(const struct git *g, const char *const *args, const void *input, size_t input_len, size_t max,
             struct buf *ret, struct err *e)
{
        struct collect collect = {ret, max};
        struct git_call call = {args, input, input_len, collect_output, &collect};
        return git_must(g, &call, e);
}

int git_records_feed(const uint8_t *data, size_t len, void *records, struct err *e)
{
        struct git_records *r = records;
        while (len > 0) {
                const uint8_t *stop = memchr(data, r->end, len);
                size_t n = stop ? (size_t)(stop - data) : len;
                int rc = buf_append(r->part, data, n, e);
                if (rc < 0 || !stop)
                        return rc;
                const char *text = buf_cstr(r->part);
                if (!text)
                        return err_nomem(e);
                rc = r->fn(text, r->part->len, r->user, e);
                if (rc != 0)
                        return rc;
                buf_clear(r->part);
                data += n + 1;
                len -= n + 1;
        }
        return 0;
}
