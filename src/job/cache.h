/* What actions/cache, actions/cache/restore and actions/cache/save have in common: the key, what the paths are, saving.
 */
#pragma once

#include "base/str.h"
#include "codec/hash.h"

struct err;
struct step;
struct cache_save;

/* Read from `key` and `path`. */
struct cache_key {
        char *key;
        struct strv paths;           /* lines of the input */
        char version[HASH_HEX_SIZE]; /* over the paths: a cache is found only where they are the same */
};
int cache_key_read(struct step *s, struct cache_key *ret, struct err *e);
void cache_key_done(struct cache_key *k);
/* GitHub's rules, and no masked value. what: the input, for the message. */
int cache_key_check(struct step *s, const char *key, const char *what, struct err *e);

/* Save what the patterns of `path` name, under the key, and finish the step: it succeeds whatever became of it; why
 * nothing was saved is a warning, as at GitHub. */
int cache_save_start(struct step *s, const struct cache_key *k, struct cache_save **ret, struct err *e);
void cache_save_interrupt(struct cache_save *c);
struct cache_save *cache_save_free(struct cache_save *c); /* NULL is fine; always NULL */
