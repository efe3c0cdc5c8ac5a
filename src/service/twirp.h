/* The calls of GitHub's results service (twirp: a POST with JSON, and JSON back) that devdep answers:
 * github.actions.results.api.v1.CacheService and ArtifactService. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/limits.h"

struct buf;
struct err;
struct services;

#define TWIRP_PREFIX "/twirp/"

/* Does the request give something a name that stays? Whether the job masks it is asked before it is called. */
#define TWIRP_MAX_NAME STORE_MAX_KEY
bool twirp_names(const char *path, const uint8_t *data, size_t len, char ret[TWIRP_MAX_NAME + 1]);
/* A refusal of a request that was not called. */
int twirp_refuse(unsigned status, const char *code, const char *message, struct buf *ret, unsigned *ret_status,
                 struct err *e);
/* path: of the request, with TWIRP_PREFIX. *ret is the body of the answer, *ret_status its HTTP status; what the caller
 * did wrong, and what the host lacks, are answers too. Negative: no memory. */
int twirp_call(struct services *s, const char *path, const uint8_t *data, size_t len, struct buf *ret,
               unsigned *ret_status, struct err *e);
