/* User and group ids, user namespaces, capabilities. */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"

static int write_map(int dir, const char *path, unsigned inside, unsigned outside, struct err *e)
{
        char line[64];

        snprintf(line, sizeof(line), "%u %u 1", inside, outside);
        return fs_put(dir, path, line, e);
}

int sandbox_map_self(int proc_fd, uid_t uid, gid_t gid, struct err *e)
{
        int r;

        r = fs_put(proc_fd, "self/setgroups", "deny", e);
        if (r < 0)
                return r;
        r = write_map(proc_fd, "self/uid_map", uid, uid, e);
        if (r < 0)
                return r;
        return write_map(proc_fd, "self/gid_map", gid, gid, e);
}

/* The namespace is made after the ids were taken and after pivot_root, so it owns none of the jail's other namespaces:
 * capabilities that a kernel bug might give inside it are worth nothing against them. */
static int own_user_ns(const struct sandbox *s, int proc_fd, struct sandbox_report *r, struct err *e)
{
        /* Changing ids made /proc/self root's; the map has to be written by the new user. exec() or the caller sets it
         * back. */
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "PR_SET_DUMPABLE");
        if (unshare(CLONE_NEWUSER) < 0) {
                sandbox_held_less(r, SANDBOX_USER_NS, SANDBOX_MISSING, "unshare: %s", strerror(errno));
                return 0;
        }
        sandbox_held_ok(r, SANDBOX_USER_NS);
        return sandbox_map_self(proc_fd, s->uid, s->gid, e);
}

/* Needs CAP_SETPCAP in the current user namespace. */
static int drop_bounding(struct err *e)
{
        for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
                if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "drop capability %d from the bounding set", cap);
        }
        return 0;
}

int sandbox_take_ids(const struct sandbox *s, bool root, int proc_fd, struct sandbox_report *r, struct err *e)
{
        int ret;

        if (!root) {
                sandbox_held_ok(r, SANDBOX_USER_NS);
                sandbox_held_less(r, SANDBOX_OWN_USER, SANDBOX_DEGRADED,
                                  "runs under the id of the user who started it (%u)", (unsigned)geteuid());
                return drop_bounding(e);
        }
        ret = drop_bounding(e);
        if (ret < 0)
                return ret;
        if (setgroups(0, NULL) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 || setresuid(s->uid, s->uid, s->uid) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "take user id %u, group id %u", (unsigned)s->uid,
                                 (unsigned)s->gid);
        sandbox_held_ok(r, SANDBOX_OWN_USER);
        ret = own_user_ns(s, proc_fd, r, e);
        if (ret < 0 || r->held[SANDBOX_USER_NS].state != SANDBOX_OK)
                return ret;
        /* A new user namespace starts with every capability, in the bounding set too. */
        return drop_bounding(e);
}

int sandbox_drop_caps(struct sandbox_report *r, struct err *e)
{
        struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        if (syscall(SYS_capset, &h, none) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "drop all capabilities");
        sandbox_held_ok(r, SANDBOX_NO_CAPS);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "PR_SET_NO_NEW_PRIVS");
        sandbox_held_ok(r, SANDBOX_NO_NEW_PRIVS);
        return 0;
}

/* The holder of the namespace sends its folder of /proc (our pid for it would mean nothing in the host's /proc when we
 * are in a pid namespace already) and lives until our end of the socket closes. */
static pid_t idmap_holder(int ours, int its)
{
        pid_t pid = fork();
        int dir;
        char c;

        if (pid != 0)
                return pid;
        close(ours);
        dir = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0 && unshare(CLONE_NEWUSER) == 0 && fd_send(its, "", 1, &dir, 1, NULL) == 0 && read(its, &c, 1) >= 0)
                _exit(0);
        _exit(1);
}

static int idmap_fill(int sock, uid_t owner, gid_t owner_gid, uid_t uid, gid_t gid, int *ret, struct err *e)
{
        AUTO(auto_close) int dir = -1;
        size_t len = 0, n = 0;
        char c;
        int r = fd_recv(sock, &c, 1, &dir, 1, &len, &n, e);

        if (r == 0 && n != 1)
                r = err_set(e, ERR_RESOURCES, "no user namespace for an id-mapped mount");
        if (r == 0)
                r = write_map(dir, "uid_map", owner, uid, e);
        if (r == 0)
                r = write_map(dir, "gid_map", owner_gid, gid, e);
        if (r == 0 && (*ret = openat(dir, "ns/user", O_RDONLY | O_CLOEXEC)) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "open a user namespace");
        return r;
}

int sandbox_idmap_ns(uid_t owner, gid_t owner_gid, uid_t uid, gid_t gid, int *ret, struct err *e)
{
        int pair[2], r;
        pid_t pid;

        r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        pid = idmap_holder(pair[0], pair[1]);
        fd_close(pair[1]);
        if (pid < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "fork");
        else
                r = idmap_fill(pair[0], owner, owner_gid, uid, gid, ret, e);
        fd_close(pair[0]);
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        return r;
}
