/* A byte queue on circular memory that grows by doubling up to a fixed limit: what a stream still has to send. Taking
 * from the front moves no bytes, which a `struct buf` would do for every frame. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

struct ring {
        uint8_t *mem;
        size_t cap;  /* bytes allocated, a power of two or `max` */
        size_t head; /* offset of the first byte */
        size_t len;  /* bytes held */
        size_t max;  /* limit of len */
};

void ring_init(struct ring *r, size_t max);
void ring_wipe(struct ring *r); /* zeroes and frees; the limit stays */
size_t ring_space(const struct ring *r);
/* Append all of len bytes, which must fit ring_space(). Fails for no memory only. */
int ring_put(struct ring *r, const void *data, size_t len, struct err *e);
/* Move exactly len bytes (at most ring.len) from the front to ret; where they were, zeros are. */
void ring_take(struct ring *r, void *ret, size_t len);
