#include "broker/start.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/program.h"
#include "codec/json.h"
#include "loop/spawn.h"
#include "sandbox/sandbox.h"

#define NAME "devdep-broker"
#define EXIT_GRACE_MS 2000 /* after the socket was closed */

/* Sealed: what it was started with is what it goes by. */
static int write_policy(const struct broker_start *s, int *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(json_decrefp) json_t *policy = json_copy(s->policy);
        int r = policy && (!s->authorities || json_object_set(policy, "authorities", s->authorities) == 0)
                        ? json_write(policy, 0, &text, e)
                        : err_nomem(e);

        return r < 0 ? r : fd_memfd_sealed("egress-policy", text.data, text.len, ret, e);
}

static int start(const struct broker_start *s, int socket, int policy, int report, struct sandbox_child *p,
                 struct err *e)
{
        AUTO(auto_free) char *program = NULL;
        char name[] = NAME, uid_option[] = "--uid", gid_option[] = "--gid", uid[16], gid[16], *none[] = {NULL};
        char *argv[] = {name, s->uid == (uid_t)-1 ? NULL : uid_option, uid, gid_option, gid, NULL};
        const struct spawn_fd fds[] = {{socket, BROKER_FD_SOCKET},
                                       {policy, BROKER_FD_POLICY},
                                       {report, BROKER_FD_REPORT},
                                       {s->log_fd, STDERR_FILENO}};
        struct spawn spawned = SPAWN_INIT;
        int r = program_path(NAME, &program, e);

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

int broker_start(const struct broker_start *s, struct sandbox_child *ret, struct err *e)
{
        AUTO(auto_close) int theirs = -1;
        AUTO(auto_close) int policy = -1;
        AUTO(auto_close) int told = -1;
        AUTO(auto_close) int tells = -1;
        int pair[2], pipe[2];
        int r = write_policy(s, &policy, e);

        *ret = (struct sandbox_child)SANDBOX_CHILD_INIT;
        ret->name = NAME;
        ret->grace_ms = EXIT_GRACE_MS;
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
                sandbox_child_end(ret);
                r = -1;
        }
        if (r < 0)
                ret->socket_fd = fd_close(ret->socket_fd);
        return r < 0 ? err_wrap(e, r, "start " NAME) : 0;
}
