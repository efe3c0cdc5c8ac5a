/* Which accelerator really boots a guest on this host. An openable /dev/kvm proves nothing (a paravirtual one creates
 * VMs and then cannot run a stock kernel), so the verdict comes from a guest: the image's kernel and initramfs, in the
 * same jail as every VM, until the agent's ready record arrives or PROBE_DEADLINE_MS passed. Nothing is left behind
 * either way.
 *
 * The verdict is kept in STATE/cache/probe-HASH.json; HASH covers the host's boot id, its kernel, the VMM (the driver's
 * describe()), the processor and the image's measurement. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/vm.h"

struct err;
struct image;

#define PROBE_DEADLINE_MS 3000u
#define PROBE_DEADLINE_TCG_MS 30000u /* for the door under emulation */
#define PROBE_ENDED_MS 600000u       /* a VMM that ended by itself is tried again after that */

struct probe {
        enum vm_accel accel; /* what to use: VM_ACCEL_KVM or VM_ACCEL_TCG */
        bool cached;
        bool kvm_present;   /* /dev/kvm is there and opens */
        uint32_t boot_ms;   /* KVM guest: start to ready record */
        uint32_t create_ms; /* KVM_CREATE_VM alone */
        char why[200];      /* why not KVM; empty when it is */
        char mend[160];     /* what would change that; may be empty */
};

/* `want` other than VM_ACCEL_AUTO is taken as it is: KVM is then an error only if /dev/kvm does not open. Without an
 * image (NULL) KVM cannot be shown to work and TCG is the answer, uncached. fresh: ignore a cached verdict. */
int vm_probe(const struct vm_driver *d, const char *state, const struct image *im, enum vm_accel want, bool fresh,
             struct probe *ret, struct err *e);

/* Which transport the door takes: vsock only where a guest really answered on it under this accelerator, since a device
 * that opens proves nothing (another program's filter, a kernel without the transport). The verdict is kept beside
 * the accelerator's, in STATE/cache/vsock-ACCEL-HASH.json. */
enum vm_transport { VM_TRANSPORT_AUTO, VM_TRANSPORT_SERIAL, VM_TRANSPORT_VSOCK };
struct probe_door {
        bool vsock; /* what to use */
        bool cached;
        uint32_t boot_ms; /* start to ready record over vsock */
        char why[200];    /* why not vsock; empty when it is */
        char mend[160];   /* may be empty */
};
/* `want` other than VM_TRANSPORT_AUTO is taken as it is: vsock is then an error where the driver or the host has none.
 */
int vm_probe_door(const struct vm_driver *d, const char *state, const struct image *im, enum vm_accel accel,
                  enum vm_transport want, bool fresh, struct probe_door *ret, struct err *e);
/* "auto", "serial", "vsock"; ERR_USAGE for others. */
int vm_transport_parse(const char *s, enum vm_transport *ret, struct err *e);

/* "auto", "kvm", "tcg"; ERR_USAGE for others. */
int vm_accel_parse(const char *s, enum vm_accel *ret, struct err *e);
