/* SHA-256 (FIPS 180-4), by OpenSSL. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct hash;

#define HASH_SIZE 32
#define HASH_HEX_SIZE (2 * HASH_SIZE + 1)

int hash_new(struct hash **ret, struct err *e);
int hash_add(struct hash *h, const void *data, size_t len, struct err *e);
int hash_finish(struct hash *h, uint8_t ret[HASH_SIZE], struct err *e); /* once; then only hash_free() */
struct hash *hash_free(struct hash *h);                                 /* always NULL */

int hash_bytes(const void *data, size_t len, uint8_t ret[HASH_SIZE], struct err *e);
/* The whole file from offset 0, wherever its position is; *ret_size (may be NULL) is how many bytes that were. */
int hash_fd(int fd, const char *what, uint8_t ret[HASH_SIZE], uint64_t *ret_size, struct err *e);
void hash_hex(const uint8_t digest[HASH_SIZE], char ret[HASH_HEX_SIZE]);
