#include "guest/boot.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct boot_mount {
        const char *type, *target, *options;
        unsigned long flags;
};

static const struct boot_mount mounts[] = {
        {"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC},
        {"tmpfs", "/run", "mode=0700,size=4m", MS_NOSUID | MS_NODEV},
        /* nsdelegate: the job's root cannot change the limits of its own top group, nor move out of it. */
        {"cgroup2", "/sys/fs/cgroup", "nsdelegate,memory_recursiveprot", MS_NOSUID | MS_NODEV | MS_NOEXEC},
};

int boot_mounts(struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
                const struct boot_mount *m = &mounts[i];
                mkdir(m->target, 0755);
                if (mount(m->type, m->target, m->type, m->flags, m->options) < 0 && errno != EBUSY)
                        return err_errno(e, ERR_VM_BOOT_FAILED, errno, "mount %s on %s", m->type, m->target);
        }
        return 0;
}

/* QEMU's software emulation, by the processor's own word. */
static bool is_emulated(void)
{
#ifdef __x86_64__
        unsigned eax, name[4] = {0};
        __cpuid(0x40000000u, eax, name[0], name[1], name[2]);
        return strcmp((const char *)name, "TCGTCGTCGTCG") == 0;
#else
        return false;
#endif
}

bool boot_module_is_wanted(const char *name, enum boot_modules which, bool emulated)
{
        /* Emulated, its vector code takes twice the time of the kernel's plain C. */
        if (emulated && str_eq(name, "sha256-ssse3.ko"))
                return false;
        bool is_vsock = str_eq(name, "vsock.ko") || str_starts(name, "vmw_vsock_");
        return is_vsock == (which == BOOT_MODULES_VSOCK);
}

static int load_module(int folder, const char *name, struct err *e)
{
        AUTO(auto_close) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "open the module %s", name);
        if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "load the module %s", name);
        return 0;
}

int boot_modules(const char *folder, enum boot_modules which, struct err *e)
{
        AUTO(auto_close) int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO(auto_close) int order = dir < 0 ? -1 : openat(dir, "order", O_RDONLY | O_CLOEXEC);
        if (order < 0)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "open %s/order", folder);
        char text[BOOT_MAX_MODULES * BOOT_MAX_MODULE_LINE + 1];
        ssize_t n = read(order, text, sizeof(text));
        if (n < 0 || n == (ssize_t)sizeof(text))
                return err_set(e, ERR_VM_BOOT_FAILED, "%s/order cannot be read or is too long", folder);
        text[n] = 0;
        char *rest = text;
        bool emulated = is_emulated();
        for (char *line; (line = strsep(&rest, "\n"));) {
                bool optional = line[0] == '?';
                char *name = line + optional;
                if (!*name)
                        continue;
                if (!str_is_name(name, BOOT_MAX_MODULE_LINE))
                        return err_set(e, ERR_VM_BOOT_FAILED, "%s/order: expected a module's file name", folder);
                if (!boot_module_is_wanted(name, which, emulated))
                        continue;
                int r = load_module(dir, name, e);
                if (r < 0 && !optional)
                        return r;
        }
        return 0;
}

/* The value of `key=` in the command line, copied; exactly one. */
static int argument(const char *cmdline, const char *key, char *ret, size_t size, struct err *e)
{
        size_t key_len = strlen(key);
        unsigned found = 0;
        for (const char *p = cmdline; *p;) {
                size_t len = strcspn(p, " \n");
                if (len > key_len && strncmp(p, key, key_len) == 0 && p[key_len] == '=') {
                        size_t value = len - key_len - 1;
                        if (value >= size)
                                return err_set(e, ERR_VM_BOOT_FAILED, "kernel command line: %s is too long", key);
                        memcpy(ret, p + key_len + 1, value);
                        ret[value] = 0;
                        found++;
                }
                p += len;
                p += strspn(p, " \n");
        }
        if (found != 1)
                return err_set(e, ERR_VM_BOOT_FAILED, "kernel command line: expected %s= once, found it %u times", key,
                               found);
        return 0;
}

int boot_root_parse(const char *cmdline, struct boot_root *ret, struct err *e)
{
        char value[2 * BOOT_HASH_SIZE + 1];
        int r = argument(cmdline, "devdep.root", value, sizeof(value), e);
        r = r < 0 ? r : num_hex(value, ret->hash, sizeof(ret->hash), "devdep.root", e);
        r = r < 0 ? r : argument(cmdline, "devdep.salt", value, sizeof(value), e);
        r = r < 0 ? r : num_hex(value, ret->salt, sizeof(ret->salt), "devdep.salt", e);
        r = r < 0 ? r : argument(cmdline, "devdep.blocks", value, sizeof(value), e);
        return r < 0 ? r : num_u64(value, 1, UINT32_MAX, "devdep.blocks", &ret->blocks, e);
}

int boot_root_read(struct boot_root *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(auto_close) int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "open /proc/cmdline");
        int r = fd_read_all(fd, BOOT_MAX_CMDLINE, "/proc/cmdline", &text, e);
        if (r < 0)
                return r;
        const char *cmdline = buf_cstr(&text);
        return cmdline ? boot_root_parse(cmdline, ret, e) : err_nomem(e);
}
