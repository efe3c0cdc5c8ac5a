/* The four disks of a guest: docs/guest-boot.md. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

#define DISK_E_MISSING 1

/* "/dev/vdX" of the disk `role` ("root", "scratch", ...), by serial "devdep-ROLE" or else by position. DISK_E_MISSING:
 * no such disk, or an empty one. */
int disk_find(const char *role, unsigned position, char *ret, size_t size, struct err *e);
/* Bytes of a block device. */
int disk_size(int fd, uint64_t *ret, struct err *e);
