/* The shelves of a STATE (docs/store-format.md): made for a run, listed, bounded over all, removed. For devdep-cli
 * (later devdep-runner), which hands them to devdep-store.
 *
 * The folders above the shelves are the caller's alone, so that nobody below can change what a path leads to. A shelf
 * belongs to `uid`, or to the caller when that is (uid_t)-1; one that belongs to somebody else was made for another
 * place and is made anew. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "blob/store.h"

struct err;
struct strv;

#define SHELF_ID_SIZE 33 /* of a repository, with its NUL */

/* The run's artifacts: the path of a shelf, malloc'd. */
int shelf_make_artifacts(const char *state, const char *run, uid_t uid, char **ret, struct err *e);
/* The caches of a repository, named by an absolute path. While *ret_lock is open nobody removes the shelf. */
int shelf_make_caches(const char *state, const char *repository, uid_t uid, char **ret, int *ret_lock, struct err *e);

/* Open for looking and removing. STORE_E_MISSING. */
int shelf_open_artifacts(const char *state, const char *run, struct store **ret, struct err *e);
int shelf_open_caches(const char *state, const char *id, struct store **ret, struct err *e);
int shelf_remove_artifacts(const char *state, const char *run, struct err *e); /* missing is success */
/* The numbers of the runs that have a shelf, newest first. */
int shelf_runs(const char *state, struct strv *ret, struct err *e);
/* What a repository's shelf is called. */
int shelf_repository_id(const char *repository, char ret[SHELF_ID_SIZE], struct err *e);
/* Which repositories have caches, in order of their ids; *ret is malloc'd. */
struct shelf_repository {
        char id[SHELF_ID_SIZE];
        char *path; /* "" when it cannot be read */
};
int shelf_repositories(const char *state, struct shelf_repository **ret, size_t *ret_n, struct err *e);
void shelf_repositories_free(struct shelf_repository *v, size_t n);

/* Hold the bounds over all shelves, and clean each. keep: is there such a run? `protected` is never touched (may be
 * NULL): the run that is under way. Counts are of what was removed. */
struct shelves_limits {
        uint64_t all_artifacts, all_caches; /* bytes */
        size_t max_repositories;
};
#define SHELVES_LIMITS                                                                                                 \
        {                                                                                                              \
                .all_artifacts = STORE_ALL_ARTIFACTS, .all_caches = STORE_ALL_CACHES,                                  \
                .max_repositories = STORE_MAX_REPOSITORIES                                                             \
        }
struct shelves_pruned {
        unsigned runs, caches, repositories;
        uint64_t bytes;
};
int shelves_prune(const char *state, const struct shelves_limits *l, bool (*keep)(const char *run, void *user),
                  void *user, const char *protected, struct shelves_pruned *ret, struct err *e);

/* Caches that a person wants gone, beside runs that use them: of one repository, or of all. Those unused for
 * max_unused_ms go, and of the others the least recently used ones until at most max_bytes are left (UINT64_MAX:
 * whatever it is). One that is used in this moment stays. */
struct caches_prune {
        const char *id; /* of the repository; NULL: all */
        uint64_t max_unused_ms, max_bytes;
};
struct caches_left {
        unsigned caches;
        uint64_t bytes;
};
int shelves_prune_caches(const char *state, const struct caches_prune *what, struct shelves_pruned *ret,
                         struct caches_left *ret_left, struct err *e);
