/* The caches of one job as GitHub's own client (npm @actions/cache) has them: an archive that only the client
 * understands, under a key and a version. In the shelf (docs/store-format.md) it is a tar with one file; its version is
 * one that no built-in `actions/cache` has, so neither finds what the other one saved.
 *
 * What a job can name is what it was told: uploads by a random token, entries by an id that a lookup found in one of
 * the job's scopes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "blob/limits.h"
#include "service/uploads.h"

struct caches;
struct err;
struct store;

#define CACHES_E_MISSING 1
#define CACHES_E_EXISTS 2

struct caches_config {
        struct store *store; /* a writer's */
        struct uploads *uploads;
        const char *const *scopes; /* the first is the one that is written */
        size_t n_scopes;
        const char *run, *job;
};
/* Everything is borrowed. */
int caches_new(const struct caches_config *config, struct caches **ret, struct err *e);
struct caches *caches_free(struct caches *c); /* always NULL */

/* ERR_USAGE in all of these: a key or version that is none. CACHES_E_EXISTS: the key is taken. */
int caches_create(struct caches *c, const char *key, const char *version, char ret_token[UPLOADS_TOKEN_SIZE],
                  struct err *e);
/* The upload becomes an entry, on disk before this returns, and is over in any case. */
int caches_finalize(struct caches *c, const char *key, const char *version, uint64_t size, uint64_t *ret_id,
                    struct err *e);
/* As actions/cache looks: docs/protocol-store.md, find-cache. The archive's digest is checked; one that is damaged is
 * removed, and there is none. CACHES_E_MISSING. */
int caches_lookup(struct caches *c, const char *const *keys, size_t n, const char *version, uint64_t *ret_id,
                  char ret_key[STORE_MAX_KEY + 1], struct err *e);
/* An entry that a lookup found: its archive is *ret_size bytes of *ret_fd from *ret_at on. CACHES_E_MISSING. */
int caches_open(struct caches *c, uint64_t id, int *ret_fd, uint64_t *ret_at, uint64_t *ret_size, struct err *e);
