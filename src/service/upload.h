/* One upload: blocks of a guest in a file without a name, and the list that puts them in order. A block that comes
 * again takes the place of the first one. Nothing of it is left when the process ends. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/limits.h"

struct err;
struct store;
struct upload;

/* The file lies beside the archives of s, which stays the caller's. max: bytes of all blocks together. */
int upload_new(struct store *s, uint64_t max, struct upload **ret, struct err *e);
struct upload *upload_free(struct upload *u); /* always NULL */

/* Room for a block of len bytes: *ret is its place in the file. ERR_USAGE: past the limits; ERR_RESOURCES: the host has
 * no room. */
int upload_reserve(struct upload *u, uint64_t len, uint64_t *ret, struct err *e);
int upload_write(struct upload *u, uint64_t at, const void *data, size_t len, struct err *e);
/* The block at a reserved place is whole; "" is the id of an upload of one block. */
int upload_block(struct upload *u, const char *id, uint64_t at, uint64_t len, struct err *e);
/* The list, from its beginning, one block after another. ERR_USAGE: there is no such block. */
void upload_list_begin(struct upload *u);
int upload_list_add(struct upload *u, const char *id, struct err *e);
void upload_list_end(struct upload *u);

/* Are the listed blocks all, and of so many bytes? ERR_USAGE. */
int upload_check(const struct upload *u, uint64_t size, struct err *e);
uint64_t upload_size(const struct upload *u); /* bytes of the listed blocks */
/* All of len bytes from `at` on, which are there, as if the blocks were one file. */
int upload_read_at(struct upload *u, uint64_t at, void *data, size_t len, struct err *e);
/* Give the listed blocks to fn, in order. */
int upload_read(struct upload *u, int (*fn)(const void *data, size_t len, void *user, struct err *e), void *user,
                struct err *e);
