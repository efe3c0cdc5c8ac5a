/* The calls of GitHub's results service (twirp: a POST with JSON, and JSON back) that devdep answers:
 * github.actions.results.api.v1.CacheService and ArtifactService. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct services;

#define TWIRP_PREFIX "/twirp/"

/* path: of the request, with TWIRP_PREFIX. *ret is the body of the answer, *ret_status its HTTP status; what the caller
 * did wrong, and what the host lacks, are answers too. Negative: no memory. */
int twirp_call(struct services *s, const char *path, const uint8_t *data, size_t len, struct buf *ret,
               unsigned *ret_status, struct err *e);
