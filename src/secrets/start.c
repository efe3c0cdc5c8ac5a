#include "secrets/start.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "loop/spawn.h"
#include "secrets/limits.h"
#include "secrets/order.h"

#define MAX_BINDS 16
#define OPEN_FILES 64
#define MAX_LOG 16384 /* bytes of its standard error, the only file it writes */
#define RESOLVER "/etc/resolv.conf"
#define HOSTS "/etc/hosts"

static bool needs_network(const struct order *o)
{
        for (size_t i = 0; i < o->n; i++)
                if (!str_eq(o->secrets[i].provider, "local"))
                        return true;
        return false;
}

static int write_order(const struct order *o, int *ret, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = order_write(o, &b, e);

        return r < 0 ? r : fd_memfd_sealed("secrets-order", b.data, b.len, ret, e);
}

/* Whoever maps it first can write it for ever: that is devdep-secrets (base/secret.h). */
static int make_values(int *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = fd_memfd("secrets", &fd, e);
        if (r == 0 && ftruncate(fd, (off_t)SECRETS_MAX_TOTAL) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "make the memory file of secrets");
        if (r == 0)
                *ret = TAKE_FD(fd);
        return r;
}

/* The files behind the names, which are links on many hosts. */
struct files {
        char *resolver, *hosts, *authorities;
};

static void files_done(struct files *f)
{
        free(f->resolver);
        free(f->hosts);
        free(f->authorities);
}

static unsigned build_binds(const struct files *f, struct sandbox_bind *b)
{
        const struct sandbox_bind named[] = {{.from = f->resolver, .to = RESOLVER},
                                             {.from = f->hosts, .to = HOSTS},
                                             {.from = f->authorities, .to = FS_HOST_AUTHORITIES}};
        unsigned n = 0;
        for (unsigned i = 0; i < sandbox_n_binds_libraries; i++)
                b[n++] = sandbox_binds_libraries[i];
        for (size_t i = 0; i < ARRAY_SIZE(named); i++)
                if (named[i].from)
                        b[n++] = named[i];
        return n;
}

static int start_jailed(const struct secrets_start *s, const struct files *files, const char *program, int order,
                        int socket, int report, struct secrets_process *p, struct err *e)
{
        const struct sandbox_limit limits[] = {{RLIMIT_FSIZE, MAX_LOG}, {RLIMIT_NOFILE, OPEN_FILES}};
        const struct spawn_fd all[] = {{s->log_fd, STDERR_FILENO},
                                       {order, SECRETS_FD_ORDER},
                                       {socket, SECRETS_FD_SOCKET},
                                       {p->values_fd, SECRETS_FD_VALUES},
                                       {s->credentials_fd, SECRETS_FD_CREDENTIALS},
                                       {s->slot_fd, SECRETS_FD_SLOT},
                                       {report, SECRETS_FD_REPORT}};
        static char *const env[] = {NULL};
        char name[] = "devdep-secrets", check[] = "--check", network[] = "--network", *argv[4] = {name};
        size_t n_args = 1;
        struct sandbox_bind binds[MAX_BINDS];
        struct spawn_fd fds[ARRAY_SIZE(all)];
        unsigned n = 0;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (all[i].from >= 0)
                        fds[n++] = all[i];
        if (s->check)
                argv[n_args++] = check;
        if (needs_network(s->order))
                argv[n_args] = network;
        struct sandbox jail = SANDBOX_INIT;
        jail.name = "secrets";
        jail.uid = s->uid;
        jail.gid = s->gid;
        jail.binds = binds;
        jail.n_binds = build_binds(files, binds);
        jail.devices = SANDBOX_DEV_NULL | SANDBOX_DEV_URANDOM;
        jail.limits = limits;
        jail.n_limits = ARRAY_SIZE(limits);
        jail.filter = SANDBOX_FILTER_SECRETS_START;
        jail.host_network = needs_network(s->order);
        if (jail.host_network)
                jail.required &= ~SANDBOX_BIT(SANDBOX_NET_NS);
        const struct sandbox_exec exec = {.path = program,
                                          .argv = argv,
                                          .envp = env,
                                          .fds = fds,
                                          .n_fds = n,
                                          .enter = s->enter,
                                          .n_enter = s->n_enter};
        return sandbox_spawn(&jail, &exec, &p->pid, &p->pidfd, &p->report, e);
}

int secrets_start(const struct secrets_start *s, struct secrets_process *ret, struct err *e)
{
        AUTO(secrets_process_close) struct secrets_process p = SECRETS_PROCESS_INIT;
        AUTO(files_done)
        struct files files = {realpath(RESOLVER, NULL), realpath(HOSTS, NULL), realpath(FS_HOST_AUTHORITIES, NULL)};
        AUTO(auto_free) char *program = s->program ? str_dup(s->program) : NULL;
        AUTO(auto_close) int theirs = -1;
        AUTO(auto_close) int order = -1;
        AUTO(auto_close) int told = -1;
        AUTO(auto_close) int tells = -1;
        int pair[2], pipe[2], r = 0;
        *ret = (struct secrets_process)SECRETS_PROCESS_INIT;
        if (!s->program)
                r = program_path("devdep-secrets", &program, e);
        else if (!program)
                r = err_nomem(e);
        if (r == 0)
                r = write_order(s->order, &order, e);
        if (r == 0 && !s->check)
                r = make_values(&p.values_fd, e);
        if (r == 0)
                r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        p.socket_fd = pair[0];
        theirs = pair[1];
        r = fd_pipe(pipe, e);
        if (r < 0)
                return r;
        told = pipe[0];
        tells = pipe[1];
        r = start_jailed(s, &files, program, order, theirs, tells, &p, e);
        if (r < 0)
                return err_wrap(e, r, "start devdep-secrets");
        tells = fd_close(tells);
        r = sandbox_report_receive(told, SANDBOX_REPORT_MS, &p.report, e);
        if (r < 0) {
                kill(p.pid, SIGKILL);
                waitpid(p.pid, NULL, 0);
                return err_wrap(e, r, "start devdep-secrets");
        }
        *ret = p;
        p = (struct secrets_process)SECRETS_PROCESS_INIT;
        return 0;
}

void secrets_process_close(struct secrets_process *p)
{
        p->socket_fd = fd_close(p->socket_fd);
        p->values_fd = fd_close(p->values_fd);
        p->pidfd = fd_close(p->pidfd);
}
