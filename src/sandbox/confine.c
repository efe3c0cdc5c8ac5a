#include "sandbox/confine.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/secret.h"
#include "sandbox/sandbox.h"
#include "sandbox/sanitizer.h"

int confine_read_id(const char *text, const char *option, unsigned *ret, struct err *e)
{
        uint64_t id = 0;
        int r = num_u64(text, 1, UINT32_MAX - 1, option, &id, e);
        *ret = (unsigned)id;
        return r;
}

/* Is the descriptor there, and what it should be? */
static int check_one(const struct confine_fd *want, const char *program, bool *ret_there, struct err *e)
{
        struct stat st;
        *ret_there = fstat(want->fd, &st) == 0;
        if (!*ret_there && want->optional)
                return 0;
        if (!*ret_there)
                return err_set(e, ERR_USAGE, "descriptor %d (%s) is missing; %s is started by devdep", want->fd,
                               want->name, program);
        mode_t type = st.st_mode & S_IFMT;
        if (type != want->type && type != want->other)
                return err_set(e, ERR_USAGE, "descriptor %d (%s) is of the wrong kind", want->fd, want->name);
        return fd_set_cloexec(want->fd, true, e);
}

int confine_check(const struct confine *c, const char *program, bool *ret_there, struct err *e)
{
        int r = 0;
        if (geteuid() == 0 && (c->uid == (uid_t)-1 || c->gid == (gid_t)-1))
                return err_set(e, ERR_USAGE, "root must name another user with --uid and --gid");
        for (size_t i = 0; r == 0 && i < c->n_fds; i++)
                r = check_one(&c->fds[i], program, &ret_there[i], e);
        return r;
}

int confine_self(const struct confine *c, struct sandbox_report *ret_report, struct err *e)
{
        /* Not writable: whoever started us connects to the control socket in it by name, and shares its disk. */
        const struct sandbox_bind run = {.from = c->run_dir, .to = "/run"};
        const struct sandbox_limit limits[] = {{RLIMIT_NOFILE, CONFINE_MAX_OPEN_FILES},
                                               {RLIMIT_NPROC, SANDBOX_SANITIZED ? RLIM_INFINITY : 0},
                                               {RLIMIT_FSIZE, c->file_size}};
        struct sandbox_bind binds[2];
        int keep[3 + CONFINE_MAX_FDS];
        size_t n_keep = 0;
        struct sandbox s = SANDBOX_INIT;
        for (int fd = 0; fd < 3; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        keep[n_keep++] = fd;
        for (size_t i = 0; i < c->n_fds; i++)
                if (fcntl(c->fds[i].fd, F_GETFD) >= 0)
                        keep[n_keep++] = c->fds[i].fd;
        s.name = c->name;
        s.host_network = c->host_network;
        s.uid = c->uid;
        s.gid = c->gid;
        s.binds = binds;
        if (c->run_dir)
                binds[s.n_binds++] = run;
        if (SANDBOX_SANITIZED) /* no pid namespace is entered: the host's own */
                binds[s.n_binds++] = (struct sandbox_bind){.from = "/proc"};
        s.limits = limits;
        s.n_limits = ARRAY_SIZE(limits);
        s.filter = c->filter;
        if (c->host_network)
                s.required &= ~SANDBOX_BIT(SANDBOX_NET_NS);
        int r = secret_no_dumps(e);
        return r < 0 ? r : sandbox_confine_self(&s, keep, n_keep, ret_report, e);
}
