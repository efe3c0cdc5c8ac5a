/* A manifest: what one artifact or one cache entry is, as a small JSON file (docs/store-format.md). Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "blob/limits.h"
#include "codec/hash.h"

struct buf;
struct err;

enum store_kind { STORE_ARTIFACTS, STORE_CACHES };

struct store_entry {
        uint64_t id;                     /* 1..STORE_MAX_ID; of two the larger is the newer one */
        char name[STORE_MAX_KEY + 1];    /* of an artifact; the key of a cache */
        char scope[STORE_MAX_SCOPE + 1]; /* caches */
        char version[HASH_HEX_SIZE];     /* caches: SHA-256 over what the paths are */
        char digest[HASH_HEX_SIZE];      /* SHA-256 of the archive */
        uint64_t bytes;                  /* of the archive */
        uint64_t files, content;         /* regular files in it, and their bytes */
        char type[STORE_MAX_TYPE + 1];   /* artifacts that are one file as it is: its MIME type, else "" */
        uint64_t created_ms, expires_ms; /* since the epoch; expires_ms: artifacts */
        char run[STORE_MAX_RUN + 1];     /* who made it */
        char job[STORE_MAX_JOB + 1];
        uint64_t used_ms; /* caches: last use. Not in the manifest: the time of its file */
};

/* Every field is checked as if a stranger had written it. ERR_USAGE names the field. */
int manifest_parse(enum store_kind kind, const void *data, size_t len, struct store_entry *ret, struct err *e);
/* The one form of an entry: members in byte order of their keys, no space, a newline at the end. */
int manifest_write(enum store_kind kind, const struct store_entry *entry, struct buf *ret, struct err *e);
