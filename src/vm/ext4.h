/* Is this a file that a guest can have as its root? Looks at the first bytes only, without I/O. What is accepted is one
 * thing: an uncompressed, clean ext4 file system with 4096-byte blocks, from the first byte of the file to its end. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

#define EXT4_HEAD_SIZE (68u * 1024u) /* bytes of the file's beginning that are looked at; a smaller file: all of it */

/* The file has `size` bytes. ERR_IMAGE_REFUSED with a message of its own for each other format that is known
 * (compressed files, disk images, archives, partition tables, other file systems), for ext2 and ext3, a journal to
 * recover, a file system that was not unmounted or has errors, features that a guest's kernel lacks, and a size that
 * does not fit. */
int ext4_check(const uint8_t *head, size_t len, uint64_t size, const char *what, struct err *e);
