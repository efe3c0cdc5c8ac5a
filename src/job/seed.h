/* The seed of a guest (docs/protocol-guest.md §4): what makes it another one than its siblings. */
#pragma once

#include <stdint.h>

#include "wire/guest.h"

struct buf;
struct err;

/* What else a seed says. */
struct seed_wish {
        const char *hostname;
        const char *rootfs; /* NULL in every seed of a guest but the first */
        unsigned pids;      /* 0: the guest's own bound */
};

/* A field list with op=seed: fresh entropy, nonce (also returned) and identity from getrandom(2), and the time. Wipe
 * the buffer. */
int seed_build(const struct seed_wish *w, uint8_t ret_nonce[GUEST_NONCE_SIZE], struct buf *ret, struct err *e);
