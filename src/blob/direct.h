/* A client of devdep-store that waits for it: for devdep-service, which adds artifacts and removes them this way
 * (docs/protocol-store.md). The run and the job are devdep-store's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct store_direct;

#define DIRECT_E_EXISTS 1

struct direct_what {
        const char *name, *type; /* valid (blob/names.h); type may be "" */
        uint32_t days;
};

/* fd: a blocking stream socket; stays the caller's. ERR_USAGE: what devdep-store refuses; ERR_RESOURCES: what it lacks,
 * or that it cannot serve, or is not there any more, and then every later call fails, too. */
int store_direct_new(int fd, struct store_direct **ret, struct err *e);
struct store_direct *store_direct_free(struct store_direct *d); /* always NULL */

/* A new artifact: begin, bytes of its tar archive, and the end, which is called in any case once this has begun.
 * DIRECT_E_EXISTS: the name is taken. */
int store_direct_begin(struct store_direct *d, const struct direct_what *w, struct err *e);
int store_direct_write(struct store_direct *d, const void *data, size_t len, struct err *e);
/* whole false: throw it away, and 0. *ret_id is set when it is an artifact now. DIRECT_E_EXISTS. */
int store_direct_end(struct store_direct *d, bool whole, uint64_t *ret_id, struct err *e);
int store_direct_remove(struct store_direct *d, uint64_t id, struct err *e);
