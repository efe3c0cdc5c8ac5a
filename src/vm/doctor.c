/* The checks' frame and those of programs, processors, memory and disks; doctor_jail.c has the protections. */
#include "vm/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/doctor_internal.h"
#include "vm/image.h"
#include "vm/kvm.h"
#include "vm/probe.h"
#include "vm/qemu.h"
#include "vm/swap.h"
#include "vm/template.h"

#define DOCTOR_MAX_CHECKS 128

static const char *const state_names[] = {"ok", "degraded", "missing"};

const char *doctor_state_name(enum doctor_state s)
{
        return state_names[s];
}

void doctor_say(struct doctor *d, const char *name, enum doctor_state state, bool required, const char *mend,
                const char *fmt, ...)
{
        struct doctor_check *c = &d->checks[d->n];
        va_list ap;

        if (d->n == DOCTOR_MAX_CHECKS)
                return;
        d->n++;
        *c = (struct doctor_check){.group = "", .state = state, .required = required};
        str_copy(c->name, sizeof(c->name), name);
        va_start(ap, fmt);
        vsnprintf(c->why, sizeof(c->why), fmt, ap);
        va_end(ap);
        if (state != DOCTOR_OK)
                str_copy(c->mend, sizeof(c->mend), mend);
}

/* ---- programs ---- */

static const char *find_program(const char *name, char *ret, size_t size)
{
        static const char *const folders[] = {"/usr/bin", "/usr/sbin",      "/bin",
                                              "/sbin",    "/usr/local/bin", "/usr/local/sbin"};

        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                snprintf(ret, size, "%s/%s", folders[i], name);
                if (access(ret, X_OK) == 0)
                        return ret;
        }
        return NULL;
}

static void check_qemu(struct doctor *d)
{
        struct err err = ERR_INIT;
        const char *path = NULL;

        if (qemu_program(&path, &err) < 0)
                doctor_say(d, "qemu", DOCTOR_MISSING, true, "apt install qemu-system-x86", "no qemu-system-x86_64");
        else if (access("/usr/share/qemu/bios-microvm.bin", R_OK) < 0)
                doctor_say(d, "qemu", DOCTOR_MISSING, true, "apt install qemu-system-data", "no bios-microvm.bin");
        else
                doctor_say(d, "qemu", DOCTOR_OK, true, "", "%s", path);
}

static void check_programs(struct doctor *d)
{
        static const struct {
                const char *name, *mend, *use;
                bool required;
        } rows[] = {
                {"git", "apt install git", "source of a job", true},
                {"mmdebstrap", "apt install mmdebstrap", "devdep-cli image build", false},
                {"mke2fs", "apt install e2fsprogs", "devdep-cli image build", false},
                {"e2fsck", "apt install e2fsprogs", "devdep-cli image import", false},
                {"veritysetup", "apt install cryptsetup-bin", "devdep-cli image build", false},
                {"newuidmap", "apt install uidmap", "devdep-cli image build by an ordinary user", false},
        };
        char path[128];

        check_qemu(d);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (find_program(rows[i].name, path, sizeof(path)))
                        doctor_say(d, rows[i].name, DOCTOR_OK, rows[i].required, "", "%s", path);
                else
                        doctor_say(d, rows[i].name, rows[i].required ? DOCTOR_MISSING : DOCTOR_DEGRADED,
                                   rows[i].required, rows[i].mend, "not installed; needed for: %s", rows[i].use);
        }
}

/* ---- resources ---- */

static bool meminfo(const char *key, uint64_t *ret)
{
        struct buf text = BUF_INIT;
        unsigned long long kib = 0;
        const char *p = NULL;

        if (fs_read("/proc/meminfo", 65536, &text, NULL) == 0 && buf_cstr(&text))
                p = strstr(buf_cstr(&text), key);
        bool ok = p && sscanf(p + strlen(key), ": %llu", &kib) == 1;
        buf_done(&text);
        *ret = kib << 10;
        return ok;
}

static void check_memory(struct doctor *d)
{
        static const char mend[] = "end other programs, or give the host more memory";
        const uint64_t one = 2560ull << 20, least = 768ull << 20;
        uint64_t available = 0;

        if (!meminfo("MemAvailable", &available))
                doctor_say(d, "memory", DOCTOR_DEGRADED, true, "mount /proc",
                           "/proc/meminfo does not say what is available");
        else
                doctor_say(d, "memory",
                           available >= one     ? DOCTOR_OK
                           : available >= least ? DOCTOR_DEGRADED
                                                : DOCTOR_MISSING,
                           true, mend, "%llu MiB available; a job of the default size takes up to 2,560",
                           (unsigned long long)(available >> 20));
}

static void check_disk(struct doctor *d, const char *state)
{
        AUTO(auto_free) char *folder = str_dup(state);
        uint64_t available = 0;
        struct err err = ERR_INIT;

        /* What does not exist yet is made later: its nearest parent's file system counts. */
        while (folder && !fs_exists(folder) && strrchr(folder, '/') && strrchr(folder, '/') != folder)
                *strrchr(folder, '/') = '\0';
        if (!folder || fs_free_space(folder, &available, &err) < 0)
                doctor_say(d, "disk-space", DOCTOR_MISSING, true, "set DEVDEP_STATE to a folder that you may write",
                           "%s", err.msg);
        else if (available < VM_SCRATCH_MIN_FREE)
                doctor_say(d, "disk-space", DOCTOR_MISSING, true, "free some space, or set DEVDEP_STATE",
                           "%llu MiB free in %s", (unsigned long long)(available >> 20), state);
        else
                doctor_say(d, "disk-space", available < 8ull << 30 ? DOCTOR_DEGRADED : DOCTOR_OK, true,
                           "free some space: images and scratch disks take gigabytes", "%llu MiB free in %s",
                           (unsigned long long)(available >> 20), state);
}

/* Swapped-out guest memory would be readable from the disk afterwards. */
static void check_swap(struct doctor *d)
{
        struct swap_facts swap;
        struct err err = ERR_INIT;

        if (swap_examine(&swap, &err) < 0)
                doctor_say(d, "swap", DOCTOR_DEGRADED, false, "mount /proc", "%s", err.msg);
        else if (swap.plain)
                doctor_say(d, "swap", DOCTOR_DEGRADED, false, "swapoff -a, or encrypt the swap device (crypttab(5))",
                           "%u swap area(s) that are not encrypted, such as %s: memory of guests can reach the disk",
                           swap.plain, swap.first);
        else
                doctor_say(d, "swap", DOCTOR_OK, false, "",
                           swap.all ? "on devices that are encrypted or in memory" : "none");
}

static void check_memlock(struct doctor *d)
{
        struct rlimit l = {0};

        getrlimit(RLIMIT_MEMLOCK, &l);
        if (l.rlim_cur >= 1 << 20)
                doctor_say(d, "memlock", DOCTOR_OK, true, "", "%llu KiB can be locked for secrets",
                           (unsigned long long)(l.rlim_cur >> 10));
        else
                doctor_say(d, "memlock", l.rlim_cur ? DOCTOR_DEGRADED : DOCTOR_MISSING, true,
                           "raise memlock in /etc/security/limits.conf", "only %llu KiB can be locked for secrets",
                           (unsigned long long)(l.rlim_cur >> 10));
}

static void check_processors(struct doctor *d)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        doctor_say(d, "processors", n >= 2 ? DOCTOR_OK : DOCTOR_DEGRADED, false, "give the host two processors or more",
                   "%ld", n);
}

/* ---- the virtual machine ---- */

/* Returns what guests run under. */
static enum vm_accel check_kvm(struct doctor *d, const char *state, const struct image *im)
{
        struct kvm_facts kvm;
        struct err err = ERR_INIT;
        struct probe p;

        kvm_examine(&kvm);
        if (vm_probe(&vm_driver_qemu, state, im, VM_ACCEL_AUTO, false, &p, &err) < 0)
                doctor_say(d, "kvm", DOCTOR_DEGRADED, false, "mend what the message names", "%s", err.msg);
        else if (p.accel == VM_ACCEL_KVM)
                doctor_say(d, "kvm", DOCTOR_OK, false, "", "a guest booted in %u ms", p.boot_ms);
        else
                doctor_say(d, "kvm", DOCTOR_DEGRADED, false,
                           p.mend[0] ? p.mend : "build an image: devdep-cli image build default",
                           "guests are emulated (TCG): %s%s", p.why,
                           kvm.usable && !kvm.hardware ? "; the processor has neither vmx nor svm" : "");
        if (kvm.usable)
                doctor_say(d, "kvm-create", kvm.create_us < 20000 ? DOCTOR_OK : DOCTOR_DEGRADED, false,
                           "mount -o remount,favordynmods /sys/fs/cgroup, or the module option kvm.nx_huge_pages=never",
                           "making a VM takes %u.%u ms", kvm.create_us / 1000, kvm.create_us / 100 % 10);
        return p.accel;
}

static void check_isolation(struct doctor *d)
{
        const struct doctor_check *kvm = &d->checks[d->n - 1];

        for (unsigned i = 0; i < d->n; i++)
                kvm = str_eq(d->checks[i].name, "kvm") ? &d->checks[i] : kvm;
        if (kvm->state == DOCTOR_OK)
                doctor_say(d, "isolation", DOCTOR_OK, false, "", "hardware virtualisation and the jail");
        else
                doctor_say(d, "isolation", DOCTOR_DEGRADED, false, "use a host with KVM for code that you do not trust",
                           "QEMU's maintainers give no isolation guarantee for emulation: the jail is the boundary");
}

/* What guests are cloned from. */
static void check_templates(struct doctor *d, const char *state)
{
        struct template_stock stock;
        struct err err = ERR_INIT;

        if (template_supported(&vm_driver_qemu, &err) < 0 || template_stock(state, &stock, &err) < 0)
                doctor_say(d, "templates", DOCTOR_DEGRADED, false, "mend what the message names",
                           "guests are booted, not cloned: %s", err.msg);
        else if (stock.n == 0)
                doctor_say(d, "templates", DOCTOR_OK, false, "", "none yet: the first run makes one");
        else
                doctor_say(d, "templates", DOCTOR_OK, false, "", "%u, %llu MiB in %s/templates", stock.n,
                           (unsigned long long)stock.bytes >> 20, state);
}

static void check_vsock(struct doctor *d, const char *state, const struct image *im, enum vm_accel accel)
{
        struct err err = ERR_INIT;
        struct probe_door p;

        if (vm_probe_door(&vm_driver_qemu, state, im, accel, VM_TRANSPORT_AUTO, false, &p, &err) < 0)
                doctor_say(d, "vhost-vsock", DOCTOR_DEGRADED, false, "mend what the message names", "%s", err.msg);
        else if (p.vsock)
                doctor_say(d, "vhost-vsock", DOCTOR_OK, false, "",
                           "a guest answered in %u ms; jobs reach every vsock listener of this host (--transport "
                           "serial: none)",
                           p.boot_ms);
        else
                doctor_say(d, "vhost-vsock", DOCTOR_DEGRADED, false, p.mend[0] ? p.mend : "mend what the message names",
                           "the door goes through virtio-serial: %s", p.why);
}

/* ---- all ---- */

static struct image *check_image(struct doctor *d, const struct image_store *store, const char *name)
{
        AUTO(auto_free) char *build = str_printf("devdep-cli image build %s", name);
        struct err err = ERR_INIT;
        struct image *im = NULL;

        if (image_open(store, name, &im, &err) < 0) {
                doctor_say(d, "image", DOCTOR_MISSING, true, build ? build : "devdep-cli image build", "%s", err.msg);
                return NULL;
        }
        doctor_say(d, "image", DOCTOR_OK, true, "", "%s, signed by %.16s", im->name, im->signer);
        return im;
}

static void close_group(struct doctor *d, unsigned first, const char *name)
{
        for (unsigned i = first; i < d->n; i++)
                d->checks[i].group = name;
}

int doctor_run(const struct image_store *store, const char *image, void (*progress)(const char *group, void *user),
               void *user, struct doctor **ret, struct err *e)
{
        static const char *const groups[] = {"programs", "resources", "protections", "image", "virtual machine"};
        struct doctor *d = calloc(1, sizeof(*d));
        struct image *im = NULL;
        enum vm_accel accel = VM_ACCEL_TCG;

        if (d)
                d->checks = calloc(DOCTOR_MAX_CHECKS, sizeof(d->checks[0]));
        if (!d || !d->checks) {
                doctor_free(d);
                return err_nomem(e);
        }
        for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
                unsigned first = d->n;
                if (progress)
                        progress(groups[g], user);
                switch (g) {
                case 0:
                        check_programs(d);
                        break;
                case 1:
                        check_processors(d);
                        check_memory(d);
                        check_disk(d, store->state);
                        check_memlock(d);
                        check_swap(d);
                        break;
                case 2:
                        doctor_check_protections(d);
                        break;
                case 3:
                        im = check_image(d, store, image ? image : "default");
                        break;
                default:
                        accel = check_kvm(d, store->state, im);
                        check_isolation(d);
                        check_templates(d, store->state);
                        check_vsock(d, store->state, im, accel);
                }
                close_group(d, first, groups[g]);
        }
        image_free(im);
        *ret = d;
        return 0;
}

struct doctor *doctor_free(struct doctor *d)
{
        if (d)
                free(d->checks);
        free(d);
        return NULL;
}

bool doctor_can_run(const struct doctor *d)
{
        for (unsigned i = 0; i < d->n; i++) {
                if (d->checks[i].required && d->checks[i].state == DOCTOR_MISSING)
                        return false;
        }
        return true;
}
