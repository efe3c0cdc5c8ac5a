/* hashFiles() in the expressions of a step: the digest of the digests of the files in the workspace that the patterns
 * name, as actions/runner makes it (its script hashFiles, on @actions/glob): folders depth first, names in the order of
 * their bytes.
 *
 * An evaluation that needs a digest that is not known yet fails, and the patterns are remembered: whoever evaluates
 * asks hash_files_wanted() before it believes the failure, and has hash_files_resolve() called back once the guest has
 * answered. The guest lists the files (find) and digests them (sha256sum); the patterns are matched here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct hash_files;
struct step;
struct value;

/* Bytes of the names of all files below the folders that are searched. */
#define HASH_FILES_MAX_LIST ((size_t)16 << 20)
/* Of matching them with the patterns; devdep-job hears nobody meanwhile. */
#define HASH_FILES_MAX_STEPS 500000000u

struct hash_files *hash_files_free(struct hash_files *h); /* NULL is fine; always NULL */

/* For view_set_hash(); user is the step. */
int hash_files_get(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e);
/* Did an evaluation of the step miss a digest? */
bool hash_files_wanted(const struct step *s);
/* Find it out; then `again`, which evaluates anew. */
int hash_files_resolve(struct step *s, int (*again)(struct step *s, struct err *e), struct err *e);
/* What is known counts no longer: files may have changed. */
void hash_files_forget(struct step *s);
/* It is not to be found out any more: `again` comes soon, and its evaluation fails. */
void hash_files_interrupt(struct step *s);
