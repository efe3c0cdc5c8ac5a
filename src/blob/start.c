#include "blob/start.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "blob/args.h"
#include "blob/limits.h"
#include "loop/spawn.h"
#include "sandbox/sanitizer.h"

/* Where the jail shows things. */
#define JAIL_ARTIFACTS "/artifacts"
#define JAIL_CACHES "/caches"

#define MAX_BINDS 16
#define MAX_OPEN_FILES 64
#define EXIT_GRACE_MS 5000 /* after the socket was closed: a commit is finished */

static const char *name_of(bool service)
{
        return service ? "devdep-service" : "devdep-store";
}

static int build_argv(const struct store_start *s, struct strv *argv, struct err *e)
{
        const char *const fixed[] = {name_of(s->service), "--run", s->run, "--job", s->job};
        int r = 0;
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed); i++)
                r = strv_add(argv, fixed[i], e);
        if (r == 0 && s->peer_fd >= 0)
                r = strv_add(argv, "--peer", e);
        if (r == 0 && s->peer_fd >= 0)
                r = strv_addf(argv, e, "%d", STORE_PEER_FD);
        if (r == 0 && s->artifacts)
                r = strv_add(argv, "--artifacts", e);
        if (r == 0 && s->artifacts)
                r = strv_add(argv, JAIL_ARTIFACTS, e);
        if (r == 0 && s->caches)
                r = strv_add(argv, "--caches", e);
        if (r == 0 && s->caches)
                r = strv_add(argv, JAIL_CACHES, e);
        for (size_t i = 0; r == 0 && s->caches && i < s->n_scopes; i++) {
                r = strv_add(argv, "--scope", e);
                if (r == 0)
                        r = strv_add(argv, s->scopes[i], e);
        }
        return r;
}

static unsigned build_binds(const struct store_start *s, struct sandbox_bind *b)
{
        unsigned n = 0;
        for (unsigned i = 0; i < sandbox_n_binds_libraries; i++)
                b[n++] = sandbox_binds_libraries[i];
        if (s->artifacts)
                b[n++] = (struct sandbox_bind){.from = s->artifacts, .to = JAIL_ARTIFACTS, .writable = !s->service};
        if (s->caches)
                b[n++] = (struct sandbox_bind){.from = s->caches, .to = JAIL_CACHES, .writable = true};
        return n;
}

static int start_jailed(const struct store_start *s, const char *program, int socket, struct sandbox_child *p,
                        struct err *e)
{
        static const struct sandbox_limit limits[] = {
                {RLIMIT_FSIZE, MAX(ARTIFACT_MAX_BYTES, CACHE_MAX_BYTES)},
                {RLIMIT_NOFILE, MAX_OPEN_FILES},
        };
        static char *const env[] = {NULL};
        AUTO(strv_done) struct strv argv = STRV_INIT;
        struct sandbox_bind binds[MAX_BINDS];
        struct sandbox jail = SANDBOX_INIT;
        int r = build_argv(s, &argv, e);
        if (r < 0)
                return r;
        jail.name = s->service ? "service" : "store";
        jail.uid = s->uid;
        jail.gid = s->gid;
        jail.binds = binds;
        jail.n_binds = build_binds(s, binds);
        jail.proc = SANDBOX_SANITIZED;
        jail.limits = limits;
        jail.n_limits = ARRAY_SIZE(limits);
        jail.filter = s->service ? SANDBOX_FILTER_SERVICE_START : SANDBOX_FILTER_STORE_START;
        struct spawn_fd fds[3] = {{socket, 3}};
        unsigned n_fds = 1;
        if (s->log_fd >= 0)
                fds[n_fds++] = (struct spawn_fd){s->log_fd, 2};
        if (s->peer_fd >= 0)
                fds[n_fds++] = (struct spawn_fd){s->peer_fd, STORE_PEER_FD};
        const struct sandbox_exec exec = {.path = program,
                                          .argv = argv.v,
                                          .envp = env,
                                          .fds = fds,
                                          .n_fds = n_fds,
                                          .enter = s->enter,
                                          .n_enter = s->n_enter,
                                          .die_with_parent = true};
        return sandbox_spawn(&jail, &exec, &p->pid, &p->pidfd, &p->report, e);
}

int store_start(const struct store_start *s, struct sandbox_child *ret, struct err *e)
{
        AUTO(sandbox_child_end)
        struct sandbox_child p = {.name = name_of(s->service), .grace_ms = EXIT_GRACE_MS, .socket_fd = -1, .pidfd = -1};
        AUTO(auto_free) char *program = s->program ? str_dup(s->program) : NULL;
        AUTO(auto_close) int theirs = -1;
        int pair[2], r = 0;
        *ret = (struct sandbox_child)SANDBOX_CHILD_INIT;
        if (!s->program)
                r = program_path(name_of(s->service), &program, e);
        else if (!program)
                r = err_nomem(e);
        if (r == 0)
                r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        p.socket_fd = pair[0];
        theirs = pair[1];
        r = start_jailed(s, program, theirs, &p, e);
        if (r < 0)
                return err_wrap(e, r, "start %s", name_of(s->service));
        *ret = p;
        p = (struct sandbox_child)SANDBOX_CHILD_INIT;
        return 0;
}
