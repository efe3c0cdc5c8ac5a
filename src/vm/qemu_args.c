#include "vm/qemu_args.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "vm/qmp.h"
#include "vm/vsock.h"

/* Measured with QEMU 7.2 and Debian's cloud kernel:
 * acpi=on        the kernel finds virtio-mmio devices through the DSDT only
 * mem-merge=off  no page sharing between guests; dump-guest-core=off: no guest memory in a core file
 * -no-user-config, -nodefaults: nothing from the host's configuration, no device that is not named here
 * store-global-state=off: what is loaded runs at once, whether or not it was stopped when it was saved */
static const char *const machine[] = {
        "-M",
        "microvm,acpi=on,x-option-roms=off,isa-serial=off,rtc=on,mem-merge=off,dump-guest-core=off,memory-backend=mem",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-serial",
        "none",
        "-parallel",
        "none",
        "-monitor",
        "none",
        /* A guest that ended stays, stopped, until its owner has read the console. */
        "-action",
        "reboot=shutdown,shutdown=pause,panic=pause",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-global",
        "migration.store-global-state=off",
};

static const char *const disk_names[VM_DISK_COUNT] = {"root", "scratch", "volume", "input"};

static int add_pair(struct strv *a, const char *option, const char *value, struct err *e)
{
        int r = strv_add(a, option, e);

        return r < 0 ? r : strv_add(a, value, e);
}

#define add_pairf(a, e, option, ...)                                                                                   \
        ({                                                                                                             \
                int add_r_ = strv_add((a), (option), (e));                                                             \
                add_r_ < 0 ? add_r_ : strv_addf((a), (e), __VA_ARGS__);                                                \
        })

static int check_cmdline(const char *cmdline, struct err *e)
{
        if (!cmdline || strlen(cmdline) > QEMU_MAX_CMDLINE)
                return err_set(e, ERR_USAGE, "kernel command line: expected at most %u bytes", QEMU_MAX_CMDLINE);
        for (const char *p = cmdline; *p; p++) {
                if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
                        return err_set(e, ERR_USAGE, "kernel command line: a byte that is not printable at %td",
                                       p - cmdline);
        }
        return 0;
}

static int check(const struct vm_config *c, struct err *e)
{
        if (c->accel != VM_ACCEL_KVM && c->accel != VM_ACCEL_TCG)
                return err_set(e, ERR_USAGE, "the accelerator of a VM must be kvm or tcg, found %s",
                               vm_accel_name(c->accel));
        if (c->shape.vcpus < 1 || c->shape.vcpus > QEMU_MAX_VCPUS)
                return err_set(e, ERR_USAGE, "vcpus: expected 1 to %u, found %u", QEMU_MAX_VCPUS, c->shape.vcpus);
        if (c->shape.memory < QEMU_MIN_MEMORY || c->shape.memory > QEMU_MAX_MEMORY || c->shape.memory % (1 << 20))
                return err_set(e, ERR_USAGE, "memory: expected whole MiB from 64 MiB to 1 TiB, found %llu bytes",
                               (unsigned long long)c->shape.memory);
        if ((c->start == VM_START_BOOT) != (c->memory_fd < 0))
                return err_set(e, ERR_USAGE, "a template and its clones have a memory file, other VMs have none");
        if (c->start != VM_START_BOOT && (c->state_fd < 0 || c->vsock))
                return err_set(e, ERR_USAGE, "a template and its clones have a state file, and no vsock");
        return c->start == VM_START_CLONE ? 0 : check_cmdline(c->cmdline, e);
}

/* The memory of a template is its file; a clone sees the file's bytes until it writes, and never writes to it: the file
 * is sealed. */
static int add_memory(struct strv *a, const struct vm_config *c, const struct qemu_fds *fds, struct err *e)
{
        unsigned long long mib = c->shape.memory >> 20;
        int r = add_pairf(a, e, "-m", "%lluM", mib);

        if (r < 0)
                return r;
        if (fds->memory < 0)
                return add_pairf(a, e, "-object", "memory-backend-ram,id=mem,size=%lluM", mib);
        return add_pairf(a, e, "-object", "memory-backend-file,id=mem,size=%lluM,mem-path=/proc/self/fd/%d,share=%s",
                         mib, fds->memory, c->start == VM_START_TEMPLATE ? "on" : "off");
}

/* tb-size bounds the memory of translated code. -cpu max keeps RDRAND, which the guest's first entropy comes from.
 * Without erms the kernel copies by words: emulated, "rep movsb" goes byte by byte, and a step's output costs 1.6 times
 * the processor time. */
static int add_processor(struct strv *a, const struct vm_config *c, struct err *e)
{
        bool kvm = c->accel == VM_ACCEL_KVM;
        int r = add_pair(a, "-accel", kvm ? "kvm" : "tcg,thread=multi,tb-size=64", e);

        if (r == 0)
                r = add_pair(a, "-cpu", kvm ? "host" : "max,-erms", e);
        if (r == 0)
                r = add_pairf(a, e, "-smp", "%u", c->shape.vcpus);
        return r;
}

/* no_timer_check: the kernel's test of its timer interrupt counts ticks while its processor runs, and on a busy host an
 * emulated one does not run long enough; a guest that fails it does not boot. Under KVM the kernel leaves the test out
 * by itself. The loader opens by name; /proc/self/fd reaches the sealed memory file that was checked and no other. */
static int add_kernel(struct strv *a, const struct vm_config *c, const struct qemu_fds *fds, struct err *e)
{
        int r = 0;

        if (c->start == VM_START_CLONE)
                return add_pair(a, "-incoming", "defer", e);
        if (fds->kernel < 0)
                return 0;
        r = add_pairf(a, e, "-kernel", "/proc/self/fd/%d", fds->kernel);
        if (r == 0 && fds->initramfs >= 0)
                r = add_pairf(a, e, "-initrd", "/proc/self/fd/%d", fds->initramfs);
        if (r == 0 && c->accel == VM_ACCEL_TCG && fds->tsc_khz)
                return add_pairf(a, e, "-append", "%s tsc=reliable tsc_early_khz=%u no_timer_check", c->cmdline,
                                 fds->tsc_khz);
        return r == 0 ? add_pair(a, "-append", c->cmdline, e) : r;
}

/* The console is virtconsole number 0 and a ring in memory: a guest that writes without end costs 64 KiB. */
static int add_channels(struct strv *a, const struct vm_config *c, const struct qemu_fds *fds, struct err *e)
{
        int r = add_pairf(a, e, "-chardev", "socket,id=control,fd=%d", fds->control);

        if (r == 0)
                r = add_pair(a, "-mon", "chardev=control,mode=control", e);
        if (r == 0)
                r = add_pair(a, "-device", "virtio-serial-device,max_ports=4", e);
        if (r == 0)
                r = add_pairf(a, e, "-chardev", "ringbuf,id=console,size=%u", QEMU_CONSOLE_SIZE);
        if (r == 0)
                r = add_pair(a, "-device", "virtconsole,chardev=console", e);
        if (r == 0 && fds->vhost >= 0)
                return add_pairf(a, e, "-device", "vhost-vsock-device,guest-cid=%u,vhostfd=%d", c->vsock->cid,
                                 fds->vhost);
        if (r == 0)
                r = add_pairf(a, e, "-chardev", "socket,id=door,fd=%d", fds->channel);
        if (r == 0)
                r = add_pair(a, "-device", "virtserialport,chardev=door,name=devdep.door", e);
        return r;
}

/* A slot is always there, so that every VM of a class has the same devices; an empty one has no sectors. Writable or
 * not is the slot's, not the file's: a guest that was told so in a template keeps to it in every clone. Errors are
 * reported to the guest: a full host must never stop it silently. cache.no-flush: a scratch disk dies with its VM. */
static int add_disk(struct strv *a, enum vm_disk d, int fd, struct err *e)
{
        const char *name = disk_names[d], *readonly = d == VM_DISK_ROOT || d == VM_DISK_INPUT ? "on" : "off";
        int r;

        if (fd < 0) {
                r = add_pairf(a, e, "-blockdev", "driver=null-co,node-name=%s,size=0,read-only=%s", name, readonly);
        } else {
                r = add_pairf(a, e, "-add-fd", "fd=%d,set=%d,opaque=%s", fd, (int)d + 1, name);
                if (r == 0)
                        r = add_pairf(
                                a, e, "-blockdev",
                                "driver=raw,node-name=%s,read-only=%s,discard=unmap,cache.direct=off,cache.no-flush=%s,"
                                "file.driver=file,file.filename=/dev/fdset/%d,file.locking=off,file.read-only=%s",
                                name, readonly, d == VM_DISK_SCRATCH ? "on" : "off", (int)d + 1, readonly);
        }
        if (r == 0)
                r = add_pairf(a, e, "-device",
                              "virtio-blk-device,drive=%s,id=disk-%s,serial=devdep-%s,werror=report,rerror=report",
                              name, name, name);
        return r;
}

#define COMMAND(name, ...) "{\"execute\":\"" name "\",\"id\":\"" QMP_START_ID "\"" __VA_ARGS__ "}\n"
#define IGNORE_SHARED "{\"capability\":\"x-ignore-shared\",\"state\":true}"
#define EVENTS "{\"capability\":\"events\",\"state\":true}"

int qemu_first_commands(const struct vm_config *c, const struct qemu_fds *fds, struct buf *ret, struct err *e)
{
        int r;

        if (c->start == VM_START_BOOT)
                return 0;
        r = buf_append_str(ret,
                           COMMAND("qmp_capabilities")
                                   COMMAND("migrate-set-capabilities",
                                           ",\"arguments\":{\"capabilities\":[" IGNORE_SHARED "," EVENTS "]}"),
                           e);
        if (r == 0 && c->start == VM_START_TEMPLATE)
                return buf_append_str(ret, COMMAND("getfd", ",\"arguments\":{\"fdname\":\"" QEMU_STATE_NAME "\"}"), e);
        return r == 0 ? buf_printf(ret, e, COMMAND("migrate-incoming", ",\"arguments\":{\"uri\":\"fd:%d\"}"),
                                   fds->state)
                      : r;
}

int qemu_args(const char *program, const struct vm_config *c, const struct qemu_fds *fds, struct strv *ret,
              struct err *e)
{
        int r = check(c, e);

        if (r == 0)
                r = strv_add(ret, program, e);
        for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]) && r == 0; i++)
                r = strv_add(ret, machine[i], e);
        if (r == 0)
                r = add_processor(ret, c, e);
        if (r == 0)
                r = add_memory(ret, c, fds, e);
        if (r == 0)
                r = add_kernel(ret, c, fds, e);
        if (r == 0)
                r = add_channels(ret, c, fds, e);
        for (unsigned d = 0; d < VM_DISK_COUNT && r == 0; d++)
                r = add_disk(ret, d, fds->disk[d], e);
        return r;
}
