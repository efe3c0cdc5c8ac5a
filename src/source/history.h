/* The objects and refs of a checkout: which commits a depth leaves, which refs the guest gets, one pack with its index.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "source/client.h"

struct err;
struct refs;
struct repo;

struct history {
        struct refs *refs;  /* of the guest's packed-refs */
        struct buf shallow; /* lines of ids where history is cut; empty: it is not */
        char *pack_name;    /* "pack-ID" */
        char *pack_path, *idx_path;
};
/* `wanted` has passed the checks of request.h; commit exists. */
int history_make(const struct repo *r, const struct source_checkout *wanted, struct history *ret, struct err *e);
void history_done(struct history *h); /* removes the pack's files, too */
