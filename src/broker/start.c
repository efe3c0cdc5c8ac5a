#include "broker/start.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/program.h"
#include "codec/json.h"
#include "loop/spawn.h"
#include "sandbox/sandbox.h"

#define EXIT_GRACE_MS 2000 /* after the socket was closed */

/* Sealed: what it was started with is what it goes by. */
static int write_policy(json_t *policy, int *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(auto_close) int fd = -1;
        int r = json_write(policy, 0, &text, e);

        if (r == 0)
                r = fd_memfd("egress-policy", &fd, e);
        if (r == 0)
                r = fd_write_all(fd, text.data, text.len, "the egress policy", e);
        if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "rewind the egress policy");
        if (r == 0)
                r = fd_seal(fd, e);
        if (r == 0)
                *ret = TAKE_FD(fd);
        return r;
}

static int start(const struct broker_start *s, int socket, int policy, int report, struct broker_process *p,
                 struct err *e)
{
        AUTO(auto_free) char *program = NULL;
        char name[] = "devdep-broker", uid_option[] = "--uid", gid_option[] = "--gid", uid[16], gid[16],
             *none[] = {NULL};
        char *argv[] = {name, s->uid == (uid_t)-1 ? NULL : uid_option, uid, gid_option, gid, NULL};
        const struct spawn_fd fds[] = {{socket, BROKER_FD_SOCKET},
                                       {policy, BROKER_FD_POLICY},
                                       {report, BROKER_FD_REPORT},
                                       {s->log_fd, STDERR_FILENO}};
        struct spawn spawned = SPAWN_INIT;
        int r = program_path("devdep-broker", &program, e);

        if (r < 0)
                return r;
        snprintf(uid, sizeof(uid), "%u", (unsigned)s->uid);
        snprintf(gid, sizeof(gid), "%u", (unsigned)s->gid);
        spawned.path = program;
        spawned.argv = argv;
        spawned.envp = none;
        spawned.fds = fds;
        spawned.n_fds = s->log_fd < 0 ? 3 : 4;
        spawned.enter = s->enter;
        spawned.n_enter = s->n_enter;
        spawned.new_session = 1;
        spawned.die_with_parent = 1;
        return spawn(&spawned, &p->pid, &p->pidfd, e);
}

int broker_start(const struct broker_start *s, struct broker_process *ret, struct err *e)
{
        AUTO(auto_close) int theirs = -1;
        AUTO(auto_close) int policy = -1;
        AUTO(auto_close) int told = -1;
        AUTO(auto_close) int tells = -1;
        int pair[2], pipe[2];
        int r = write_policy(s->policy, &policy, e);

        *ret = (struct broker_process)BROKER_PROCESS_INIT;
        if (r == 0)
                r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        ret->socket_fd = pair[0];
        theirs = pair[1];
        r = fd_pipe(pipe, e);
        if (r == 0) {
                told = pipe[0];
                tells = pipe[1];
                r = start(s, theirs, policy, tells, ret, e);
        }
        tells = fd_close(tells);
        theirs = fd_close(theirs);
        if (r == 0 && sandbox_report_receive(told, SANDBOX_REPORT_MS, &ret->report, e) < 0) {
                broker_process_done(ret);
                r = -1;
        }
        if (r < 0)
                ret->socket_fd = fd_close(ret->socket_fd);
        return r < 0 ? err_wrap(e, r, "start devdep-broker") : 0;
}

void broker_process_done(struct broker_process *p)
{
        p->socket_fd = fd_close(p->socket_fd);
        if (p->pid > 0) {
                struct pollfd f = {p->pidfd, POLLIN, 0};
                if (poll(&f, 1, EXIT_GRACE_MS) <= 0)
                        kill(p->pid, SIGKILL);
                int status = 0;
                while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
                        ;
                p->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
        p->pidfd = fd_close(p->pidfd);
        p->pid = 0;
}

bool broker_process_explain(const struct broker_process *p, char *ret, size_t size)
{
        if (p->status <= 128 || p->status == 128 + SIGKILL)
                return false;
        sandbox_explain_exit("devdep-broker", p->status, ret, size);
        return true;
}
