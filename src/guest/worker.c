#include "guest/worker.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/child.h"
#include "guest/guest.h"
#include "guest/ops.h"
#include "guest/relay.h"
#include "guest/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

const char *worker_check_path(const char *path)
{
        if (path[0] != '/')
                child_fail("invalid", "path: expected an absolute path");
        if (strlen(path) > WORKER_MAX_PATH)
                child_fail("invalid", "path: longer than %d bytes", WORKER_MAX_PATH);
        return path;
}

const char *worker_path(const struct fields *request, const char *key)
{
        struct err e = ERR_INIT;
        const char *path;
        if (fields_str(request, key, &path, &e) < 0)
                child_fail("invalid", "%s", e.msg);
        return worker_check_path(path);
}

unsigned worker_mode(const struct fields *request, unsigned fallback)
{
        struct err e = ERR_INIT;
        const char *text;
        if (fields_str_opt(request, "mode", "", &text, &e) < 0)
                child_fail("invalid", "%s", e.msg);
        if (!*text)
                return fallback;
        if (strlen(text) > 5 || strspn(text, "01234567") != strlen(text) || strtoul(text, NULL, 8) > 07777)
                child_fail("invalid", "mode: expected octal digits up to 7777");
        return (unsigned)strtoul(text, NULL, 8);
}

int worker_open_folder(const char *path, unsigned mode)
{
        AUTO(auto_close) int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (const char *p = path; at >= 0;) {
                char name[256];
                p += strspn(p, "/");
                size_t len = strcspn(p, "/");
                if (!len)
                        break;
                if (len >= sizeof(name)) {
                        errno = ENAMETOOLONG;
                        return -1;
                }
                memcpy(name, p, len);
                name[len] = 0;
                p += len;
                int made = mkdirat(at, name, (mode_t)mode) < 0 ? errno : 0;
                int next = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (next < 0 && errno == ENOENT && made)
                        errno = made;
                fd_close(at);
                at = next;
        }
        return at < 0 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static __attribute__((noreturn)) void worker_main(struct guest *g, const struct fields *request, const char *user_name,
                                                  int sock, worker_fn *fn)
{
        struct err e = ERR_INIT;
        struct user user;
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        const int fds[CHILD_N_FDS] = {null, null, null, sock, g->job.mnt_ns, g->job.cgroup_ns, null};
        if (child_take_fds(fds) < 0)
                _exit(127);
        child_enter(user_name, &user);
        child_become(&user);
        umask(0);
        _exit(fn(request, &user, &e) < 0 ? 1 : 0);
}

int worker_start(struct guest *g, struct door_stream *s, const struct fields *request, const char *user, worker_fn *fn,
                 struct err *e)
{
        struct err why = ERR_INIT;
        int socks[2];
        if (fields_str_opt(request, "user", user, &user, &why) < 0)
                return op_refuse_invalid(s, &why, e);
        if (fd_socketpair(SOCK_STREAM, socks, &why) < 0)
                return door_refuse(s, "resources", why.msg, e);
        AUTO(auto_close) int ours = socks[0];
        AUTO(auto_close) int theirs = socks[1];
        pid_t pid = fork();
        if (pid < 0)
                return door_refuse(s, "resources", "no process for the operation", e);
        if (pid == 0)
                worker_main(g, request, user, theirs, fn);
        int r = fd_set_nonblock(ours, true, e);
        return r < 0 ? r : relay_start(g, s, TAKE_FD(ours), pid, e);
}
