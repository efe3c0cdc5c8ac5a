/* A parked VM from a devdep-pool, if one listens: ours (STATE/pool/socket) before the host's. */
#pragma once

#include <stdbool.h>

#include "vm/vm.h"

struct err;
struct image;
struct slot;

#define CLAIM_SYSTEM_STATE "/var/lib/devdep" /* of root's pool */

struct claim {
        struct vm_handle vm; /* parked; ours, as if we had started it */
        struct slot *slot;   /* the VM's, adopted; NULL: it stays in a slot of the pool's user, ours is another */
};
#define CLAIM_INIT                                                                                                     \
        {                                                                                                              \
                .vm = VM_HANDLE_INIT                                                                                   \
        }
/* The VM ends. */
void claim_done(struct claim *c);

/* CLAIM_E_NONE: no pool listens, or it has none of this kind. Negative: a pool that does not answer as it should; the
 * caller says so and does without. */
#define CLAIM_E_NONE 1
int claim_vm(const char *state, const struct image *im, enum vm_accel accel, const struct vm_shape *shape,
             struct claim *ret, struct err *e);
