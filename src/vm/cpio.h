/* A writer of newc cpio archives, the form of an initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Deterministic: owner 0:0, time 0, inode numbers in
 * order of entries. Several archives may follow each other in one file. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct buf;

#define CPIO_MAX_FILE (64u << 20) /* bytes of one file */

struct cpio {
        struct buf *out; /* the caller's */
        uint32_t ino;
};

int cpio_folder(struct cpio *c, const char *path, mode_t mode, struct err *e);
int cpio_file(struct cpio *c, const char *path, mode_t mode, const void *data, size_t len, struct err *e);
int cpio_char_device(struct cpio *c, const char *path, mode_t mode, unsigned major, unsigned minor, struct err *e);
/* The trailer. The archive's length is then a multiple of 4, so that another may follow. */
int cpio_end(struct cpio *c, struct err *e);
