/* The argument list of QEMU for a VM: pure, from a configuration and descriptor numbers to strings. Every file is named
 * by descriptor, nothing by path, and nothing of a workflow or an image but the kernel command line is in it. */
#pragma once

#include "vm/vm.h"

struct buf;
struct err;
struct strv;

/* Descriptor numbers as QEMU has them; -1: not there. */
struct qemu_fds {
        int control, channel, kernel, initramfs, vhost, memory, state;
        int disk[VM_DISK_COUNT];
        uint32_t
                tsc_khz; /* of the host, appended to an emulated guest's command line behind what is measured; 0: not */
};

#define QEMU_MAX_VCPUS 64u
#define QEMU_MIN_MEMORY (64ull << 20)
#define QEMU_MAX_MEMORY (1ull << 40)
#define QEMU_MAX_CMDLINE 2047u   /* bytes, the kernel's own limit */
#define QEMU_CONSOLE_SIZE 65536u /* bytes of the console that are kept */

/* The control group of a VMM: the guest's memory, what QEMU takes beside it (translated code, copies of kernel and
 * initramfs, rings, stacks; measured after a job: 104 MiB, and 10 MiB of the kernel's) and page tables; its processors,
 * and threads for I/O (at most 64), devdep-jail and QEMU's own. */
#define QEMU_GROUP_MEMORY(guest) ((guest) + (512ull << 20) + (guest) / 256)
#define QEMU_GROUP_PROCESSES(vcpus) ((vcpus) + 96u)
#define QEMU_GROUP_WEIGHT 50u /* what looks after guests comes first */

/* The starter's first words on the control connection: commands with the id QMP_START_ID (vm/qmp.h). They come before
 * any command of the owner, and qmp_capabilities is among them; the owner's own is then refused by QEMU, which means
 * nothing. template: x-ignore-shared and events are on, and the state descriptor is known as QEMU_STATE_NAME:
 *             {"execute": "migrate", "arguments": {"uri": "fd:state"}} saves, MIGRATION events tell how far it is.
 *   clone:    x-ignore-shared is on and the incoming migration is under way: the status is "inmigrate" until the RESUME
 *             event, "running" then. A state that cannot be loaded ends QEMU. */
#define QEMU_STATE_NAME "state"
/* Those commands; none for a boot. With a template's goes its state descriptor, in the same message. */
int qemu_first_commands(const struct vm_config *c, const struct qemu_fds *fds, struct buf *ret, struct err *e);

/* ERR_USAGE naming the field: a shape out of range, an accelerator that was not decided, a command line that is too
 * long or has control characters. argv[0] is `program`. */
int qemu_args(const char *program, const struct vm_config *c, const struct qemu_fds *fds, struct strv *ret,
              struct err *e);
