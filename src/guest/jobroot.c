#include "guest/jobroot.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/cgroup.h"
#include "guest/identity.h"
#include "guest/jobmounts.h"
#include "guest/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void jobroot_done(struct jobroot *j)
{
        j->mnt_ns = fd_close(j->mnt_ns);
        j->cgroup_ns = fd_close(j->cgroup_ns);
        j->pts = fd_close(j->pts);
        j->etc = fd_close(j->etc);
        j->secrets = fd_close(j->secrets);
}

/* The holder: the first process of the job's namespaces. It makes them, waits until process 1 has taken hold, and ends.
 */
static int holder(const struct jobmounts *m, struct err *e)
{
        AUTO(auto_close) int procs = open(CGROUP_ROOT "/job/cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (procs < 0 || write(procs, "0", 1) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "enter the job's control group");
        if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the job's namespaces");
        return jobmounts_make(m, e);
}

static __attribute__((noreturn)) void holder_main(const struct jobmounts *m, int sock)
{
        struct err err = ERR_INIT;
        char go;
        int r = holder(m, &err);
        size_t len = r < 0 ? strlen(err.msg) + 1 : 1; /* one NUL byte: success */
        if (fd_write_all(sock, r < 0 ? err.msg : "", len, "answer", NULL) < 0 || read(sock, &go, 1) < 0)
                _exit(1);
        _exit(0);
}

static int open_ns(pid_t pid, const char *name, int flags, int *ret, struct err *e)
{
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        *ret = open(path, flags | O_CLOEXEC);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "open %s", path) : 0;
}

/* Wait for the holder's word and open what it made. */
static int take_hold(pid_t pid, int sock, struct jobroot *ret, struct err *e)
{
        char msg[ERR_MAX_MESSAGE] = "";
        ssize_t n = read(sock, msg, sizeof(msg) - 1);
        if (n <= 0 || msg[0])
                return err_set(e, ERR_RESOURCES, "the job's root: %s", n > 0 ? msg : "its first process died");
        int r = open_ns(pid, "ns/mnt", O_RDONLY, &ret->mnt_ns, e);
        r = r < 0 ? r : open_ns(pid, "ns/cgroup", O_RDONLY, &ret->cgroup_ns, e);
        return r < 0 ? r : open_ns(pid, "root/dev/pts", O_RDONLY | O_DIRECTORY, &ret->pts, e);
}

static int make_namespaces(const struct jobmounts *m, struct jobroot *ret, struct err *e)
{
        int socks[2];
        int r = fd_socketpair(SOCK_STREAM, socks, e);
        if (r < 0)
                return r;
        AUTO(auto_close) int ours = socks[0];
        AUTO(auto_close) int theirs = socks[1];
        pid_t pid = fork();
        if (pid < 0)
                return err_errno(e, ERR_RESOURCES, errno, "fork");
        if (pid == 0)
                holder_main(m, theirs);
        theirs = fd_close(theirs);
        r = take_hold(pid, ours, ret, e);
        ours = fd_close(ours);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
}

int jobroot_make(const char *image, const char *scratch, const struct seed *s, struct jobroot *ret, struct err *e)
{
        struct jobmounts m = {.image = image, .scratch = scratch, .read_only = s->read_only};
        struct jobroot j = JOBROOT_INIT;
        int r = jobmounts_prepare(&m, &j.etc, &j.secrets, e);
        r = r < 0 ? r : identity_write_etc(j.etc, s, e);
        r = r < 0 ? r : make_namespaces(&m, &j, e);
        if (r < 0)
                jobroot_done(&j);
        else
                *ret = j;
        return r;
}

int jobroot_enter(const struct jobroot *j, struct err *e)
{
        /* setns of a mount namespace also moves root and working directory to the namespace's root. */
        if (setns(j->mnt_ns, CLONE_NEWNS) < 0 || setns(j->cgroup_ns, CLONE_NEWCGROUP) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "enter the job's namespaces");
        return 0;
}
