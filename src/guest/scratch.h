/* The scratch disk: dm-crypt with a key that exists only in this guest's memory, and a new ext4 file system on it.
 * docs/decisions/scratch.md says why it is made this way.
 *
 * The device is made before the ready record, so that a template has it and its clones need not make it: without a key,
 * in which state the kernel refuses to resume it. The key is drawn after the seed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

#define SCRATCH_MIN_BYTES ((uint64_t)64 << 20)

struct scratch {
        bool missing; /* there is no such disk: said at the seed, to the host */
        uint64_t bytes;
        uint32_t minor; /* of the device-mapper device; only if the disk is large enough */
};

/* Find the disk and make the device, keyless and suspended. Nothing is random yet. */
int scratch_prepare(struct scratch *ret, struct err *e);
/* Give it a key, make a file system and mount that at `target` (made). The random device must have been seeded. */
int scratch_mount(const struct scratch *s, const char *target, struct err *e);
