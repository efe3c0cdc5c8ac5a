/* Virtual machines: the driver table and what a VM is to its owner.
 *
 * Two processes share a VM's life. The *starter* (devdep-cli; later devdep-pool) prepares a slot and calls vm_start():
 * that forks devdep-jail, which becomes the VMM. The starter never reads a byte of the VMM or of the guest. The *owner*
 * (devdep-job) gets the three descriptors of `struct vm_handle` by inheritance or SCM_RIGHTS and calls vm_attach(): it
 * speaks to the VMM (QMP), to the guest (the door), and keeps the VM alive by holding the lifeline. Owning a VM is
 * holding that write end: when its last copy closes, devdep-jail kills the VMM.
 *
 * It kills it, too, when the last copy of the *leash* closes, a second pipe of the same kind. It is held by whoever the
 * VM is run for (the command that started or claimed it), which reads nothing of a VMM or a guest, and never by the
 * owner, who does: an owner that was taken over cannot keep a VM alive. A supervisor that may be restarted under its
 * jobs gives the leash to them, and finds them by their slots.
 *
 * A driver opens nothing by itself: every file it needs comes as a descriptor in struct vm_config. It never sends
 * identity.
 *
 * How a VM comes to be, and who does what of it: docs/decisions/clones.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

struct err;
struct loop;
struct buf;
struct slot;
struct vsock;

enum vm_accel { VM_ACCEL_AUTO, VM_ACCEL_KVM, VM_ACCEL_TCG };
const char *vm_accel_name(enum vm_accel a); /* "auto", "kvm", "tcg" */

/* What a driver can do; a missing bit is reported by doctor and refused by the caller, never emulated. */
enum vm_cap {
        VM_CAP_PAUSE = 1 << 0,
        VM_CAP_TEMPLATE = 1 << 1, /* VM_START_TEMPLATE, VM_START_CLONE, save() */
        VM_CAP_STATS = 1 << 2,
        VM_CAP_CONSOLE = 1 << 3, /* the console's last bytes can be read after a failure */
        VM_CAP_VSOCK = 1 << 4,
};

enum vm_disk { VM_DISK_ROOT, VM_DISK_SCRATCH, VM_DISK_VOLUME, VM_DISK_INPUT, VM_DISK_COUNT };

/* The size class of a VM. */
struct vm_shape {
        uint32_t vcpus;   /* default 2 */
        uint64_t memory;  /* bytes, default 2 GiB */
        uint64_t scratch; /* bytes, default 16 GiB, sparse */
};
#define VM_SHAPE_DEFAULT                                                                                               \
        {                                                                                                              \
                .vcpus = 2, .memory = 2ull << 30, .scratch = 16ull << 30                                               \
        }

/* What a VM is to its owner: how it came to be, and so what its guest waits for. */
enum vm_origin {
        VM_BOOTED, /* kernel and initramfs: the ready record comes, then the first seed is sent */
        VM_CLONED, /* memory and state of a template, whose owner read the ready record: the first seed is sent */
        VM_PARKED, /* a clone that was seeded and paused: resume(), then `seed` as an operation */
};
const char *vm_origin_name(enum vm_origin o);                           /* "booted", "cloned", "parked" */
int vm_origin_parse(const char *s, enum vm_origin *ret, struct err *e); /* ERR_USAGE */

/* What a VMM is started for. Whatever the start, a VM of one shape has the same machine. */
enum vm_start {
        VM_START_BOOT,
        VM_START_TEMPLATE, /* boots on memory_fd; its owner ends it with save() */
        VM_START_CLONE,    /* from memory_fd and state_fd; no kernel, no initramfs. The processor starts by itself */
};

/* Everything a VM is started from. Descriptors stay the caller's. */
struct vm_config {
        enum vm_start start;
        enum vm_accel accel; /* KVM or TCG, already decided by vm_probe() */
        struct vm_shape shape;
        int kernel_fd, initramfs_fd; /* opened through a read-only mount or sealed; -1 when started from a template */
        const char *cmdline;         /* exact kernel command line; part of the measurement */
        uint32_t tsc_khz;            /* of the host, for an emulated guest's kernel; 0: the driver measures it */
        /* Template: an unsealed memfd of shape.memory bytes that becomes the guest's memory, and an empty memfd that
         * gets the devices' state. Clone: the same two, sealed. Boot: -1 each. */
        int memory_fd, state_fd;
        /* Clone: called when the VMM is there and before it reads its memory; afterwards memory_fd is complete and
         * sealed. NULL: it is so from the start. */
        int (*memory_ready)(void *user, struct err *e);
        void *user;
        int disk_fd[VM_DISK_COUNT]; /* -1: an empty slot. root is read-only, scratch is an unlinked sparse file */
        const struct slot *slot;    /* user ids, lock: src/vm/slot.h */
        const struct vsock *vsock;  /* the door over vhost-vsock (src/vm/vsock.h), or NULL: virtio-serial */
};
#define VM_CONFIG_INIT                                                                                                 \
        {                                                                                                              \
                .shape = VM_SHAPE_DEFAULT, .kernel_fd = -1, .initramfs_fd = -1, .memory_fd = -1, .state_fd = -1,       \
                .disk_fd = {                                                                                           \
                        -1,                                                                                            \
                        -1,                                                                                            \
                        -1,                                                                                            \
                        -1                                                                                             \
                }                                                                                                      \
        }
/* An unlinked sparse file of `size` bytes on the file system of `folder`: a scratch disk. ERR_RESOURCES when there is
 * less than VM_SCRATCH_MIN_FREE bytes are free there. */
#define VM_SCRATCH_MIN_FREE (256ull << 20)
int vm_scratch_open(const char *folder, uint64_t size, int *ret, struct err *e);

struct vm_handle {
        int control_fd;  /* the VMM's control connection (QMP); a connected AF_UNIX stream */
        int channel_fd;  /* the door's bytes; a connected AF_UNIX stream, or with vsock the listener of vsock_take() */
        int lifeline_fd; /* write end; the VM dies when the last copy closes */
        int leash_fd;    /* the same, for whoever the VM is run for */
        int log_fd; /* what the VMM wrote to its standard error: a memfd of VM_LOG_MAX bytes, NUL-filled; vm_log() */
        int jail_pidfd; /* the starter's child: exits when the VMM is gone and what it left is removed */
        pid_t jail_pid;
        enum vm_origin origin;
        struct sandbox_report report; /* which protections hold for this VMM */
};
#define VM_HANDLE_INIT                                                                                                 \
        {                                                                                                              \
                .control_fd = -1, .channel_fd = -1, .lifeline_fd = -1, .leash_fd = -1, .log_fd = -1, .jail_pidfd = -1  \
        }
#define VM_LOG_MAX 16384
/* Closes everything; with the last copy of lifeline or leash the VMM ends. A jail that is this process's child is
 * reaped. */
void vm_handle_done(struct vm_handle *h);
/* The VMM's words so far, untrusted. */
int vm_log(const struct vm_handle *h, struct buf *ret, struct err *e);
/* The last line of them as printable text, cut; empty when there is none. */
#define VM_LAST_WORDS 200
void vm_last_words(const struct vm_handle *h, char *ret, size_t size);
/* Wait for the jail's end (reaped); *ret_status is the VMM's exit code, or 128 + signal. 0 for one that is not
 * our child. VM_E_TIMEOUT when it still runs. */
#define VM_E_TIMEOUT 1
int vm_wait(struct vm_handle *h, uint64_t timeout_ms, int *ret_status, struct err *e);

/* What happened to a running VM, as its owner sees it. */
enum vm_event_type {
        VM_EVENT_RUNNING,    /* the VMM answered and the processor runs; again after resume() */
        VM_EVENT_GUEST_DOWN, /* poweroff, reset or panic: `text` is the VMM's word for it. The guest is stopped; the
                                console can be read */
        VM_EVENT_HOST_FULL,  /* a disk write failed on the host: no space; reported once */
        VM_EVENT_IO_ERROR,   /* another disk error on the host, once; text is the disk */
        VM_EVENT_PAUSED,     /* after pause() */
        VM_EVENT_SAVED,      /* after save(): the state is in the state descriptor; the guest never runs again */
        VM_EVENT_GONE,       /* the control connection ended: the VMM died or broke its protocol */
};
struct vm_event {
        enum vm_event_type type;
        const char *text;
};
struct vm;
typedef int vm_event_fn(struct vm *vm, const struct vm_event *ev, void *user, struct err *e);
/* The console's last bytes, untrusted; called once. len 0 when the VMM cannot tell any more. */
typedef int vm_console_fn(struct vm *vm, const uint8_t *data, size_t len, void *user, struct err *e);

struct vm_stats {
        uint64_t rss_bytes, cpu_ms;
        bool runs; /* a thread of the VMM runs, or waits for a processor or a disk; not for an event */
};

struct vm_driver {
        const char *name; /* "qemu", "fake", "firecracker" */
        unsigned caps;
        /* Which programs and versions it would use; digest identifies them for cached verdicts. */
        int (*describe)(struct buf *ret_text, uint8_t ret_digest[32], struct err *e);
        /* starter's side */
        int (*start)(const struct vm_config *c, struct vm_handle *ret, struct err *e);
        /* By the starter, which can see the VMM's process. */
        int (*stats)(const struct vm_handle *h, struct vm_stats *ret, struct err *e);
        /* owner's side; all asynchronous on the loop. attach takes h->control_fd and h->lifeline_fd over on success;
         * the channel stays the caller's. The control connection's peer may be hostile: what breaks QMP's rules is
         * VM_EVENT_GONE. */
        int (*attach)(struct loop *l, struct vm_handle *h, vm_event_fn *fn, void *user, struct vm **ret, struct err *e);
        int (*pause)(struct vm *vm, struct err *e);
        int (*resume)(struct vm *vm, struct err *e);
        /* Of a VM that was started as a template: stop the guest and write the devices' state to state_fd, without the
         * memory, which is in memory_fd. VM_EVENT_SAVED, or VM_EVENT_GONE when it fails. */
        int (*save)(struct vm *vm, struct err *e);
        int (*console)(struct vm *vm, vm_console_fn *fn, void *user, struct err *e);
        int (*stop)(struct vm *vm, struct err *e); /* drop the lifeline: the VMM ends at once; VM_EVENT_GONE follows */
        struct vm *(*free)(struct vm *vm);         /* always NULL; a VMM that still runs ends */
};

extern const struct vm_driver vm_driver_qemu;
/* By name; ERR_USAGE with the list of known ones. */
int vm_driver_find(const char *name, const struct vm_driver **ret, struct err *e);
