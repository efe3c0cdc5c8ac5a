#include "guest/child.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "guest/jobroot.h"
#include "guest/users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_ASIDE 64 /* moved there first, so that no target number is a source */

static void reset_signals(void)
{
        sigset_t none;
        for (int i = 1; i < NSIG; i++)
                signal(i, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

int child_take_fds(const int from[CHILD_N_FDS])
{
        int aside[CHILD_N_FDS];
        reset_signals();
        for (int i = 0; i < CHILD_N_FDS; i++) {
                aside[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FDS_ASIDE);
                if (aside[i] < 0)
                        return -1;
        }
        for (int i = 0; i < CHILD_N_FDS; i++)
                if ((i < CHILD_REPORT ? dup2(aside[i], i) : dup3(aside[i], i, O_CLOEXEC)) < 0)
                        return -1;
        return (int)syscall(SYS_close_range, (unsigned)CHILD_N_FDS, ~0u, 0u);
}

const char *child_code(int errnum)
{
        switch (errnum) {
        case ENOENT:
        case ENOTDIR:
                return "not-found";
        case EACCES:
        case EPERM:
        case EROFS:
                return "denied";
        case EEXIST:
                return "exists";
        case ENOSPC:
        case EDQUOT:
                return "no-space";
        case EAGAIN:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
                return "resources";
        default:
                return "invalid";
        }
}

static __attribute__((noreturn, format(printf, 3, 0))) void fail(const char *code, const char *reason, const char *fmt,
                                                                 va_list ap)
{
        struct report said = {0};
        str_copy(said.code, sizeof(said.code), code);
        vsnprintf(said.message, sizeof(said.message), fmt, ap);
        size_t len = strlen(said.message);
        snprintf(said.message + len, sizeof(said.message) - len, "%s%s", *reason ? ": " : "", reason);
        fd_write_all(CHILD_REPORT, &said, sizeof(said), "report", NULL);
        _exit(127);
}

void child_fail_errno(int errnum, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        fail(child_code(errnum), strerror(errnum), fmt, ap);
}

void child_fail(const char *code, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        fail(code, "", fmt, ap);
}

void child_report_ok(void)
{
        const struct report well = {0};
        fd_write_all(CHILD_REPORT, &well, sizeof(well), "report", NULL);
}

void child_enter(const char *user_name, struct user *ret)
{
        const struct jobroot job = {.mnt_ns = CHILD_MNT_NS, .cgroup_ns = CHILD_CGROUP_NS};
        struct err e = ERR_INIT;
        if (jobroot_enter(&job, &e) < 0)
                child_fail("resources", "%s", e.msg);
        AUTO(auto_close) int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                child_fail_errno(errno, "open the job's root");
        if (users_read(root, user_name, ret, &e) != 0)
                child_fail("user", "%s", e.msg);
}

void child_become(const struct user *u)
{
        if (setgroups(u->n_groups, u->groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
            setresuid(u->uid, u->uid, u->uid) < 0)
                child_fail_errno(errno, "become user %u", u->uid);
}
