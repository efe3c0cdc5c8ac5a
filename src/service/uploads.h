/* The uploads of a job that are not finished: what each will be, under a token that cannot be guessed. Past
 * SERVICE_MAX_UPLOADS the oldest is given up. */
#pragma once

#include <stdint.h>

#include "blob/limits.h"
#include "codec/hash.h"

struct err;
struct store;
struct upload;
struct uploads;

#define UPLOADS_TOKEN_SIZE 33

enum upload_kind { UPLOAD_CACHE, UPLOAD_ARTIFACT };

struct upload_what {
        enum upload_kind kind;
        char name[STORE_MAX_KEY + 1];  /* or the key of a cache */
        char version[HASH_HEX_SIZE];   /* caches; else "" */
        char type[STORE_MAX_TYPE + 1]; /* artifacts that are one file; else "" */
        uint32_t days;                 /* artifacts */
};

/* The bytes lie beside the archives of scratch, which stays the caller's. */
int uploads_new(struct store *scratch, struct uploads **ret, struct err *e);
struct uploads *uploads_free(struct uploads *u); /* always NULL */

int uploads_begin(struct uploads *u, const struct upload_what *what, uint64_t max, char ret_token[UPLOADS_TOKEN_SIZE],
                  struct err *e);
struct upload *uploads_find(struct uploads *u, const char *token); /* NULL: none, or none any more */
/* The one of that kind, name and version, and what was said of it; NULL: none. Both last until the next call that
 * begins or ends one. */
struct upload *uploads_named(struct uploads *u, enum upload_kind kind, const char *name, const char *version,
                             const struct upload_what **ret_what);
void uploads_end(struct uploads *u, const struct upload *upload);
