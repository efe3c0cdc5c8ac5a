/* The seed record as values. Pure: docs/protocol-guest.md, operation `seed`. */
#pragma once

#include "wire/guest.h"

#include <stdbool.h>
#include <stdint.h>

struct err;
struct fields;

#define SEED_MACHINE_ID 32
#define SEED_BOOT_ID 36
#define SEED_MAX_HOSTNAME 64 /* what sethostname takes */

struct seed {
        uint8_t entropy[GUEST_ENTROPY_SIZE];
        uint8_t nonce[GUEST_NONCE_SIZE];
        uint64_t time_ns;                     /* since the epoch */
        char machine_id[SEED_MACHINE_ID + 1]; /* lower-case hex */
        char boot_id[SEED_BOOT_ID + 1];       /* a UUID, lower case */
        char hostname[SEED_MAX_HOSTNAME + 1];
        uint32_t pids; /* 0: as many as the guest lets a job have by itself */
        bool read_only;
};
void seed_wipe(struct seed *s); /* for AUTO() */

/* `first`: the record may choose `rootfs`; a later one must not. `pids` may be given in each. Everything else is
 * required, every time. */
int seed_parse(const struct fields *f, bool first, struct seed *ret, struct err *e);
