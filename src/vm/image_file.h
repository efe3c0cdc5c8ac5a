/* Files of images: hashing while reading, copies that are checked, the size of a hash tree. Internal to src/vm/image*.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/image.h"

struct err;

/* SHA-256 of the next `size` bytes of fd (from offset 0 by pread). A shorter file is ERR_IMAGE_REFUSED. tick may be
 * NULL. */
int image_file_hash(int fd, uint64_t size, const char *what, image_tick_fn *tick, void *user, uint8_t ret[IMAGE_SHA256],
                    struct err *e);
/* Copy the first `size` bytes of from to the end of to and hash them; what follows `size` is not looked at. Blocks of
 * zeroes become holes where `to` is a regular file. tick may be NULL. */
int image_file_copy(int from, int to, uint64_t size, const char *what, image_tick_fn *tick, void *user,
                    uint8_t ret[IMAGE_SHA256], struct err *e);
/* A regular file below a folder, never through a link. ERR_IMAGE_REFUSED when missing or another kind. */
int image_file_open(int dir, const char *name, const char *what, int *ret, uint64_t *ret_size, struct err *e);

/* Blocks of the dm-verity tree over this many data blocks: 4096-byte blocks of 128 SHA-256 digests, level upon level.
 */
uint64_t image_tree_blocks(uint64_t data_blocks);
