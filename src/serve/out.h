/* What a helper sends over its socket (serve/ask.h): field lists, and a stream of bytes cut into chunks.
 * Blocking: the client's window is the socket buffer, so what it does not read stops us, and whatever feeds us. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;

struct out {
        int fd;
        uint64_t bytes;   /* of the stream so far */
        struct buf chunk; /* a chunk that is being filled, its length word first */
};

/* A finished field list or anything else that is no chunk. */
int out_raw(struct out *o, const void *data, size_t len, struct err *e);
int out_stream(struct out *o, const void *data, size_t len, struct err *e);
/* Room of at least 1 byte for the caller to fill directly, then out_filled() says how much was. */
int out_room(struct out *o, uint8_t **ret, size_t *ret_len, struct err *e);
int out_filled(struct out *o, size_t len, struct err *e);
/* Send what is left and the empty chunk that ends the stream. */
int out_stream_end(struct out *o, struct err *e);
void out_done(struct out *o);
