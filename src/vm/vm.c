#include "vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/probe.h"

static const char *const accel_names[] = {"auto", "kvm", "tcg"};

const char *vm_accel_name(enum vm_accel a)
{
        return accel_names[a];
}

int vm_accel_parse(const char *s, enum vm_accel *ret, struct err *e)
{
        for (unsigned i = 0; i < ARRAY_SIZE(accel_names); i++) {
                if (str_eq(s, accel_names[i])) {
                        *ret = (enum vm_accel)i;
                        return 0;
                }
        }
        return err_set(e, ERR_USAGE, "expected auto, kvm or tcg, found '%s'", s);
}

static const char *const origin_names[] = {"booted", "cloned", "parked"};

const char *vm_origin_name(enum vm_origin o)
{
        return origin_names[o];
}

int vm_origin_parse(const char *s, enum vm_origin *ret, struct err *e)
{
        for (unsigned i = 0; i < ARRAY_SIZE(origin_names); i++) {
                if (str_eq(s, origin_names[i])) {
                        *ret = (enum vm_origin)i;
                        return 0;
                }
        }
        return err_set(e, ERR_USAGE, "origin of a VM: expected booted, cloned or parked, found '%s'", s);
}

int vm_transport_parse(const char *s, enum vm_transport *ret, struct err *e)
{
        static const char *const names[] = {"auto", "serial", "vsock"};

        for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
                if (str_eq(s, names[i])) {
                        *ret = (enum vm_transport)i;
                        return 0;
                }
        }
        return err_set(e, ERR_USAGE, "expected auto, serial or vsock, found '%s'", s);
}

int vm_driver_find(const char *name, const struct vm_driver **ret, struct err *e)
{
        if (!str_eq(name, vm_driver_qemu.name))
                return err_set(e, ERR_USAGE, "expected %s, found '%s'", vm_driver_qemu.name, name);
        *ret = &vm_driver_qemu;
        return 0;
}

int vm_scratch_open(const char *folder, uint64_t size, int *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint64_t available = 0;
        int r = fs_free_space(folder, &available, e);

        if (r < 0)
                return r;
        if (available < VM_SCRATCH_MIN_FREE)
                return err_set(e, ERR_RESOURCES,
                               "%s has %llu MiB free, a VM's scratch disk needs at least %llu MiB; free some space",
                               folder, (unsigned long long)(available >> 20), VM_SCRATCH_MIN_FREE >> 20);
        fd = open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make a scratch disk in %s", folder);
        if (ftruncate(fd, (off_t)size) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make a scratch disk of %llu bytes in %s",
                                 (unsigned long long)size, folder);
        *ret = TAKE_FD(fd);
        return 0;
}

int vm_log(const struct vm_handle *h, struct buf *ret, struct err *e)
{
        char text[VM_LOG_MAX];
        ssize_t n = h->log_fd < 0 ? 0 : pread(h->log_fd, text, sizeof(text), 0);

        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the VMM's log");
        return buf_append(ret, text, strnlen(text, (size_t)n), e);
}

void vm_last_words(const struct vm_handle *h, char *ret, size_t size)
{
        AUTO(buf_done) struct buf log = BUF_INIT;
        const char *text, *line;

        ret[0] = '\0';
        if (vm_log(h, &log, NULL) < 0)
                return;
        while (log.len && log.data[log.len - 1] == '\n')
                log.len--;
        text = buf_cstr(&log);
        line = text ? strrchr(text, '\n') : NULL;
        if (text)
                str_copy_plain(ret, size, line ? line + 1 : text);
}

int vm_wait(struct vm_handle *h, uint64_t timeout_ms, int *ret_status, struct err *e)
{
        struct pollfd p = {.fd = h->jail_pidfd, .events = POLLIN};
        uint64_t deadline = clock_mono_ms() + timeout_ms;
        siginfo_t end = {0};
        int n;

        do {
                uint64_t now = clock_mono_ms();
                n = poll(&p, 1, now >= deadline ? 0 : (int)MIN(deadline - now, (uint64_t)INT32_MAX));
        } while (n < 0 && errno == EINTR);
        if (n == 0)
                return VM_E_TIMEOUT;
        /* The jail of a VM that devdep-pool parked is not our child: that it has ended is all there is to know, and its
         * number may be that of a child of ours by now. */
        if (waitid(P_PIDFD, (id_t)h->jail_pidfd, &end, WEXITED) < 0 && errno != ECHILD)
                return err_errno(e, ERR_RESOURCES, errno, "wait for devdep-jail");
        h->jail_pidfd = fd_close(h->jail_pidfd);
        *ret_status = end.si_code == CLD_KILLED || end.si_code == CLD_DUMPED ? 128 + end.si_status : end.si_status;
        return 0;
}

void vm_handle_done(struct vm_handle *h)
{
        int status;

        h->control_fd = fd_close(h->control_fd);
        h->channel_fd = fd_close(h->channel_fd);
        h->lifeline_fd = fd_close(h->lifeline_fd);
        h->leash_fd = fd_close(h->leash_fd);
        h->log_fd = fd_close(h->log_fd);
        /* Somebody else may own the VM now (the lifeline was handed on): only what has ended is reaped. */
        if (h->jail_pidfd >= 0)
                vm_wait(h, 0, &status, NULL);
        h->jail_pidfd = fd_close(h->jail_pidfd);
}
