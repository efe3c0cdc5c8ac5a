/* A request of the store protocol (docs/protocol-store.md): bytes of a less trusted client into a checked structure.
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/limits.h"

struct err;
struct fields;

enum store_op {
        STORE_OP_LIST_ARTIFACTS,
        STORE_OP_GET_ARTIFACT,
        STORE_OP_PUT_ARTIFACT,
        STORE_OP_DELETE_ARTIFACT,
        STORE_OP_FIND_CACHE,
        STORE_OP_GET_CACHE,
        STORE_OP_PUT_CACHE,
};

/* Texts are owned by `fields`; which ones are set depends on the operation. Names, keys and versions are valid
 * (blob/names.h). */
struct store_request {
        struct fields *fields;
        enum store_op op;
        uint64_t id;                      /* get, delete */
        const char *name;                 /* put: artifact */
        const char *type;                 /* put: artifact; "" for most */
        uint32_t days;                    /* put: artifact */
        bool overwrite;                   /* put: artifact */
        const char *keys[STORE_MAX_KEYS]; /* find: in order; put: one */
        size_t n_keys;
        const char *version; /* find, put: cache */
};

/* data holds one complete field list. ERR_PROTOCOL names the field. */
int store_request_parse(const uint8_t *data, size_t len, struct store_request *ret, struct err *e);
void store_request_done(struct store_request *r);
