#include "base/fd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_CHUNK 65536

void auto_close(int *fd)
{
        *fd = fd_close(*fd);
}

int fd_close(int fd)
{
        int kept = errno;
        if (fd >= 0)
                close(fd);
        errno = kept;
        return -1;
}

/* Set or clear one bit of the flags that get and set commands handle. */
static int change_flag(int fd, int get, int set, int bit, bool on, struct err *e)
{
        int flags = fcntl(fd, get);
        if (flags < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the flags of descriptor %d", fd);
        int wanted = on ? flags | bit : flags & ~bit;
        if (wanted != flags && fcntl(fd, set, wanted) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the flags of descriptor %d", fd);
        return 0;
}

int fd_set_nonblock(int fd, bool on, struct err *e)
{
        return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on, e);
}

int fd_set_cloexec(int fd, bool on, struct err *e)
{
        return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on, e);
}

int fd_write_all(int fd, const void *data, size_t len, const char *what, struct err *e)
{
        const uint8_t *p = data;
        while (len) {
                ssize_t n = write(fd, p, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "write %s", what);
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

int fd_read_all(int fd, size_t max, const char *what, struct buf *ret, struct err *e)
{
        for (size_t total = 0;;) {
                size_t want = MIN(max - total, (size_t)READ_CHUNK);
                /* One byte past the limit is asked for, to tell "exactly max" from "more". */
                uint8_t past;
                int r = want ? buf_reserve(ret, want, e) : 0;
                if (r < 0)
                        return err_wrap(e, r, "read %s", what);
                ssize_t n = want ? read(fd, ret->data + ret->len, want) : read(fd, &past, 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read %s", what);
                if (n == 0)
                        return 0;
                if (!want)
                        return err_set(e, ERR_USAGE, "%s: expected at most %zu bytes, found more", what, max);
                total += (size_t)n;
                ret->len += (size_t)n;
        }
}

/* From *at on, or from the descriptor's own position. */
static int read_whole(int fd, const uint64_t *at, void *data, size_t len, const char *what, struct err *e)
{
        uint8_t *p = data;
        for (size_t got = 0; got < len;) {
                ssize_t n = at ? pread(fd, p + got, len - got, (off_t)(*at + got)) : read(fd, p + got, len - got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read %s", what);
                if (n == 0)
                        return err_set(e, ERR_RESOURCES, "%s: expected %zu bytes, it ended after %zu", what, len, got);
                got += (size_t)n;
        }
        return 0;
}

int fd_read_exact(int fd, void *data, size_t len, const char *what, struct err *e)
{
        return read_whole(fd, NULL, data, len, what, e);
}

int fd_read_at(int fd, uint64_t at, void *data, size_t len, const char *what, struct err *e)
{
        return read_whole(fd, &at, data, len, what, e);
}

int fd_pipe(int ret[2], struct err *e)
{
        return pipe2(ret, O_CLOEXEC) < 0 ? err_errno(e, ERR_RESOURCES, errno, "make a pipe") : 0;
}

int fd_socketpair(int type, int ret[2], struct err *e)
{
        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make a socket pair");
        return 0;
}

int fd_memfd(const char *name, int *ret, struct err *e)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the memory file '%s'", name);
        *ret = fd;
        return 0;
}

int fd_memfd_bounded(const char *name, size_t size, int *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = fd_memfd(name, &fd, e);

        if (r < 0)
                return r;
        if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make a memory file of %zu bytes", size);
        *ret = TAKE_FD(fd);
        return 0;
}

int fd_memfd_sealed(const char *name, const void *data, size_t len, int *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = fd_memfd(name, &fd, e);

        if (r == 0)
                r = fd_write_all(fd, data, len, name, e);
        if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "rewind the memory file '%s'", name);
        if (r == 0)
                r = fd_seal(fd, e);
        if (r == 0)
                *ret = TAKE_FD(fd);
        return r;
}

int fd_seal(int fd, struct err *e)
{
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "seal a memory file");
        return 0;
}

union control {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * FD_MAX_PASSED)];
};

int fd_send(int sock, const void *data, size_t len, const int *fds, size_t n, struct err *e)
{
        if (n > FD_MAX_PASSED)
                return err_set(e, ERR_RESOURCES, "send %zu descriptors: at most %d go in one message", n,
                               FD_MAX_PASSED);
        union control control = {0};
        struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (n) {
                msg.msg_control = control.space;
                msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
                struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
        }
        ssize_t sent;
        do
                sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno == EAGAIN)
                return FD_E_AGAIN;
        if (sent < 0)
                return err_errno(e, ERR_RESOURCES, errno, "send a message of %zu bytes", len);
        if ((size_t)sent != len)
                return err_set(e, ERR_RESOURCES, "send a message of %zu bytes: only %zd went", len, sent);
        return 0;
}

/* Collect the descriptors of a message into got[FD_MAX_PASSED]; how many. */
static size_t collect_fds(struct msghdr *msg, int *got)
{
        size_t n = 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count && n < FD_MAX_PASSED; i++)
                        memcpy(&got[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        }
        return n;
}

int fd_recv(int sock, void *data, size_t max, int *fds, size_t n_max, size_t *ret_len, size_t *ret_n, struct err *e)
{
        union control control = {0};
        struct iovec iov = {.iov_base = data, .iov_len = max};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        ssize_t len;
        do
                len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
        while (len < 0 && errno == EINTR);
        if (len < 0 && errno == EAGAIN)
                return FD_E_AGAIN;
        if (len < 0)
                return err_errno(e, ERR_RESOURCES, errno, "receive a message");
        int got[FD_MAX_PASSED];
        size_t n = collect_fds(&msg, got);
        if (n > n_max || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
                for (size_t i = 0; i < n; i++)
                        fd_close(got[i]);
                return err_set(e, ERR_PROTOCOL,
                               "receive a message: expected at most %zu bytes and %zu descriptors, found more", max,
                               n_max);
        }
        if (n)
                memcpy(fds, got, n * sizeof(int));
        *ret_len = (size_t)len;
        *ret_n = n;
        return 0;
}

static int close_span(unsigned first, unsigned last, struct err *e)
{
        if (first <= last && syscall(SYS_close_range, first, last, 0u) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "close descriptors %u to %u", first, last);
        return 0;
}

int fd_close_from(int first, const int *keep, size_t n, struct err *e)
{
        unsigned next = (unsigned)first;
        for (size_t i = 0; i < n; i++) {
                if (keep[i] < first)
                        continue;
                unsigned kept = (unsigned)keep[i];
                int r = kept ? close_span(next, kept - 1, e) : 0;
                if (r < 0)
                        return r;
                next = kept + 1;
        }
        return close_span(next, UINT_MAX, e);
}

int fd_open_beneath(int dirfd, const char *path, int flags, mode_t mode, bool follow)
{
        struct open_how how = {
                .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                .mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? mode : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (follow ? 0 : RESOLVE_NO_SYMLINKS),
        };
        long fd;
        /* EAGAIN: something was renamed beneath while "..", which RESOLVE_BENEATH resolves, was walked. */
        do
                fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
        while (fd < 0 && (errno == EINTR || errno == EAGAIN));
        return (int)fd;
}
