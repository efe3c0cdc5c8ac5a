/* The client of devdep-store: what devdep-job asks about artifacts and caches (docs/protocol-store.md).
 *
 * One request at a time, asynchronous on the loop, over the connection of serve/ask.h: a callback may free the client,
 * or begin the next request. Which run, which repository and which scopes are meant was decided when devdep-store was
 * started. Every callback gets `failure` (NULL when the request succeeded). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct store_client;

int store_client_new(struct loop *l, int fd /* taken over on success */, struct store_client **ret, struct err *e);
struct store_client *store_client_free(struct store_client *s); /* always NULL; ends a running request */

/* An artifact or a cache. The texts are valid during the call. */
struct store_item {
        uint64_t id;
        const char *name;   /* of an artifact; key of a cache */
        const char *digest; /* SHA-256 of the archive, 64 hexadecimal digits */
        uint64_t bytes;     /* of the archive */
        uint64_t files, content;
};

typedef int store_items_fn(struct store_client *s, const struct store_item *v, size_t n, const struct err *failure,
                           void *user, struct err *e);
/* The run's artifacts, newest first. */
int store_ask_artifacts(struct store_client *s, store_items_fn *fn, void *user, struct err *e);
/* The cache that fits, or n == 0. keys: the primary one and the restore keys, in order. */
int store_ask_cache(struct store_client *s, const char *const *keys, size_t n, const char *version, store_items_fn *fn,
                    void *user, struct err *e);

enum store_what_kind { STORE_ITEM_ARTIFACT, STORE_ITEM_CACHE };

/* An archive, as it was put. */
struct store_download {
        /* Bytes arrived; take all of them. To stop the flow call store_pause(); it goes on at store_resume(). */
        int (*data)(struct store_client *s, const uint8_t *data, size_t len, void *user, struct err *e);
        /* Once, last. Without failure the archive is complete and what its digest says; with it, to be thrown away. */
        int (*done)(struct store_client *s, const struct err *failure, void *user, struct err *e);
};
int store_get(struct store_client *s, enum store_what_kind kind, uint64_t id, const struct store_download *fns,
              void *user, struct err *e);
void store_pause(struct store_client *s);
void store_resume(struct store_client *s);

/* A new archive. After `ready` the caller gives bytes (store_give()) and ends with store_give_end(); `done` may come
 * before that with a failure, and nothing is to be given any more. */
struct store_upload {
        /* exists: the name or key is taken, the request is over and `done` does not follow. */
        int (*ready)(struct store_client *s, bool exists, void *user, struct err *e);
        int (*drained)(struct store_client *s, void *user, struct err *e);
        /* item NULL without a failure: somebody else was first. */
        int (*done)(struct store_client *s, const struct store_item *item, const struct err *failure, void *user,
                    struct err *e);
};
int store_put_artifact(struct store_client *s, const char *name, unsigned days, bool overwrite,
                       const struct store_upload *fns, void *user, struct err *e);
int store_put_cache(struct store_client *s, const char *key, const char *version, const struct store_upload *fns,
                    void *user, struct err *e);
/* All bytes are taken; store_is_full(): stop until `drained`. */
int store_give(struct store_client *s, const void *data, size_t len, struct err *e);
bool store_is_full(const struct store_client *s);
/* whole false: throw it away; `done` follows with a failure. */
int store_give_end(struct store_client *s, bool whole, struct err *e);
