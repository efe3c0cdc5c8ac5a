/* What the host has room for. */
#pragma once

#include <stdint.h>

#include "vm/vm.h"

struct err;

#define HOST_MEMORY_MARGIN ((uint64_t)256 << 20) /* beside the guests: the VMM and what else runs */
#define HOST_DISK_LEAST ((uint64_t)1 << 30)      /* free bytes for scratch disks and logs below which nothing starts */
#define HOST_MAX_JOBS 64u

/* How many VMs of this shape run at a time: one per processor, as far as the memory that is available now goes.
 * ERR_RESOURCES when there is not memory for one, or less disk than HOST_DISK_LEAST on the file system of `state`. */
int host_capacity(const struct vm_shape *shape, const char *state, unsigned *ret, struct err *e);
