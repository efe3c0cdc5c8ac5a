/* Descriptors that cannot be turned into writable ones. Measured on Linux 6: a process without capabilities can
 * fchmod() an inherited read-only descriptor of its own user's file and reopen it for writing through /proc/self/fd;
 * when the descriptor was opened through a read-only mount both fail with EROFS. */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

/* The mount stays detached: no path of the host leads to it, and it lives as long as the descriptor. */
static int open_through_mount(const char *path, struct err *e)
{
        struct mount_attr a = {.attr_set =
                                       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
        AUTO(auto_close) int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        char self[64];
        int fd;

        if (tree < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s: clone its mount", path);
        if (mount_setattr(tree, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s: make its mount read-only", path);
        snprintf(self, sizeof(self), "/proc/self/fd/%d", tree);
        fd = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        return fd < 0 ? err_errno(e, ERR_RESOURCES, errno, "%s", path) : fd;
}

/* An ordinary user may mount only in a user namespace of its own, which the caller must not enter: a helper does. */
static _Noreturn void helper(int sock, const char *path)
{
        int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
        uid_t uid = geteuid();
        gid_t gid = getegid();

        if (proc >= 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && sandbox_map_self(proc, uid, gid, NULL) == 0)
                fd = open_through_mount(path, NULL);
        if (fd >= 0 && fd_send(sock, "", 1, &fd, 1, NULL) == 0)
                _exit(0);
        _exit(1);
}

static int open_by_helper(const char *path, struct err *e)
{
        AUTO(auto_close) int ours = -1;
        int pair[2], fd = -1, r;
        size_t len = 0, n = 0;
        char byte;
        pid_t pid;

        r = fd_socketpair(SOCK_SEQPACKET, pair, e);
        if (r < 0)
                return r;
        ours = pair[0];
        pid = fork();
        if (pid == 0)
                helper(pair[1], path);
        fd_close(pair[1]);
        if (pid < 0)
                return err_errno(e, ERR_RESOURCES, errno, "fork");
        r = fd_recv(ours, &byte, 1, &fd, 1, &len, &n, e);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        if (r < 0)
                return r;
        return n == 1 ? fd : err_set(e, ERR_RESOURCES, "%s: no read-only mount in a user namespace", path);
}

static int check_regular(const char *path, int fd, struct err *e)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "stat %s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s is not a regular file", path);
        return 0;
}

int sandbox_open_readonly(const char *path, int *ret, bool *ret_degraded, struct err *e)
{
        AUTO(auto_close) int plain = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        int fd, r;

        if (ret_degraded)
                *ret_degraded = false;
        if (plain < 0)
                return err_errno(e, errno == ENOENT ? ERR_USAGE : ERR_RESOURCES, errno, "%s", path);
        r = check_regular(path, plain, e);
        if (r < 0)
                return r;
        fd = geteuid() == 0 ? open_through_mount(path, NULL) : open_by_helper(path, NULL);
        if (fd < 0) {
                if (ret_degraded)
                        *ret_degraded = true;
                fd = TAKE_FD(plain);
        }
        r = fd_set_nonblock(fd, false, e);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        *ret = fd;
        return 0;
}

static bool same_file(int a, int b)
{
        struct stat x, y;

        return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int sandbox_reopen_readonly(int fd, int *ret, bool *ret_degraded, struct err *e)
{
        AUTO(auto_close) int again = -1;
        char self[64], path[PATH_MAX];
        ssize_t n;

        snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        n = readlink(self, path, sizeof(path) - 1);
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "find the file of descriptor %d", fd);
        path[n] = '\0';
        /* By its path, which means something in the helper's mount namespace too; what is there now may be another
         * file. */
        if (path[0] == '/' && sandbox_open_readonly(path, &again, ret_degraded, NULL) == 0 && same_file(fd, again)) {
                *ret = TAKE_FD(again);
                return 0;
        }
        return sandbox_open_readonly(self, ret, ret_degraded, e);
}
