/* What the guest sends becomes one archive in the store: an artifact or a cache.
 *
 *   stow_artifact(), stow_cache()   the store is asked whether it wants one
 *   begin                           it does: the first part is begun, stow_get() or stow_exec()
 *   part                            that one has ended; the next one, or stow_end()
 *   done                            once, last: what became of it
 *
 * The job's turn with the store is the caller's. One part at a time; while the store does not take more, the guest
 * waits. Whatever fails on either side ends both, and `done` comes when both have ended. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;
struct pack_rules;
struct step;
struct store_item;
struct stow;
struct strv;

struct stow_fns {
        int (*begin)(struct stow *s, void *user, struct err *e);
        /* refusal: why the guest did not send this part, or not to its end; what came of it is in the archive. NULL: it
         * is whole. */
        int (*part)(struct stow *s, const char *refusal, void *user, struct err *e);
        /* item: what was stored; NULL without a failure: somebody else has the name or key. */
        int (*done)(struct stow *s, const struct store_item *item, const struct err *failure, void *user,
                    struct err *e);
};

int stow_artifact(struct step *step, const char *name, unsigned days, bool overwrite, const struct pack_rules *rules,
                  const struct stow_fns *fns, void *user, struct stow **ret, struct err *e);
int stow_cache(struct step *step, const char *key, const char *version, const struct pack_rules *rules,
               const struct stow_fns *fns, void *user, struct stow **ret, struct err *e);
/* After done, or when nothing is running any more. NULL is fine; always NULL. */
struct stow *stow_free(struct stow *s);

/* A part: a file or folder of the guest, which is placed (pack.h). */
int stow_get(struct stow *s, const char *path, const char *place, struct err *e);
/* A part: the archive that a command writes to its standard output. What it says on standard error is the step's. Its
 * exit status is in refusal, but for those that `fine` has the bit of. */
int stow_exec(struct stow *s, const struct strv *argv, const char *group, unsigned fine, struct err *e);
uint64_t stow_entries(const struct stow *s);   /* of the archive so far */
bool stow_part_is_empty(const struct stow *s); /* nothing came of the part under way, or the last one */
/* No more parts: the archive is whole. */
int stow_end(struct stow *s, struct err *e);
/* End both sides; done follows with this failure, unless there was one before. From anywhere. */
int stow_give_up(struct stow *s, const struct err *why, struct err *e);
