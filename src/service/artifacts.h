/* The artifacts of a run as GitHub's own client (npm @actions/artifact) has them: a zip, or one file as it is. In the
 * shelf (docs/store-format.md) each is a tar; service/repack.h makes one of the other.
 *
 * The shelf is only read here. What changes it is asked of devdep-store (blob/direct.h), which checks it as if it came
 * from the guest. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "blob/manifest.h"
#include "service/uploads.h"

struct artifacts;
struct err;
struct store_direct;

#define ARTIFACTS_E_MISSING 1
#define ARTIFACTS_E_EXISTS 2

struct artifacts_config {
        const char *folder;         /* the run's shelf */
        struct store_direct *store; /* the same */
        struct uploads *uploads;
};
/* Everything is borrowed. */
int artifacts_new(const struct artifacts_config *config, struct artifacts **ret, struct err *e);
struct artifacts *artifacts_free(struct artifacts *a); /* always NULL */

/* ERR_USAGE: a name or type that is none. type "": a zip. ARTIFACTS_E_EXISTS: the run has one of that name. An upload
 * of that name which was not finished is given up. */
int artifacts_create(struct artifacts *a, const char *name, const char *type, uint32_t days,
                     char ret_token[UPLOADS_TOKEN_SIZE], struct err *e);
/* The upload becomes an artifact, on disk before this returns, and is over in any case. digest: what SHA-256 its bytes
 * have to have, NULL: none was said. ARTIFACTS_E_MISSING, ARTIFACTS_E_EXISTS. */
int artifacts_finalize(struct artifacts *a, const char *name, uint64_t size, const char *digest, uint64_t *ret_id,
                       struct err *e);

/* An artifact as it is downloaded. */
struct artifact {
        struct store_entry entry;
        uint64_t bytes;             /* of the zip or the file */
        char digest[HASH_HEX_SIZE]; /* its SHA-256 */
        uint64_t at;                /* of the file in the archive; a zip: 0 */
};
struct artifact_list {
        struct artifact *v;
        size_t n;
};
/* Newest first. name NULL: all; id 0: all. Each archive is read the first time that it is told; one that is damaged is
 * left out. */
int artifacts_list(struct artifacts *a, const char *name, uint64_t id, struct artifact_list *ret, struct err *e);
void artifact_list_done(struct artifact_list *l);
/* One that a list has told. ARTIFACTS_E_MISSING. */
int artifacts_open(struct artifacts *a, uint64_t id, struct artifact *ret, int *ret_fd, struct err *e);
int artifacts_remove(struct artifacts *a, const char *name, uint64_t *ret_id, struct err *e);
