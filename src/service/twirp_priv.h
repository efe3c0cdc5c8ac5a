/* What the calls of both services share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "codec/json.h"
#include "service/services.h"

struct buf;

/* o: the request. What it returns as ERR_USAGE is answered as a bad request, what the host lacks as that; every other
 * status is its own. */
typedef int twirp_fn(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e);
struct twirp_call {
        const char *path;
        twirp_fn *fn;
        const char *named; /* the member that gives something its name; NULL: none */
};
extern const struct twirp_call twirp_artifact_calls[]; /* twirp_artifacts.c */
extern const size_t twirp_n_artifact_calls;

/* Takes the document over; NULL: no memory. */
int twirp_answer(json_t *document, struct buf *ret, struct err *e);
/* proto3's JSON has 64-bit numbers as texts, and leaves out a 0. */
int twirp_take_u64(const json_t *o, const char *name, uint64_t *ret, struct err *e);
