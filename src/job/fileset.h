/* Which files of the guest do patterns name? `find` in the guest lists what is below the search paths, following links
 * as @actions/glob does; the list is a stranger's bytes, and is matched here.
 *
 * The list is bounded in entries and bytes, only what matches is kept. A folder that may hold something and cannot be
 * read is an error, as at GitHub. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct fileglob;
struct fileset;
struct job;

#define FILESET_MAX_LISTED 4000000u          /* entries that the guest may list */
#define FILESET_MAX_FILES 500000u            /* that match */
#define FILESET_MAX_BYTES ((size_t)64 << 20) /* of their names */

struct fileset_want {
        const struct fileglob *patterns; /* borrowed until the end */
        unsigned kinds;                  /* FILEGLOB_FOLDER, FILEGLOB_FILE: what is kept */
        bool hidden;                     /* also what begins with a dot, and what is below it */
        const char *group;               /* name of the step's control group for `find` */
};

/* The end: paths in the order of a walk (a folder before what is in it, else by bytes), absolute, each once. Or
 * failure. */
typedef int fileset_done_fn(const char *const *paths, size_t n, const struct err *failure, void *user, struct err *e);

/* There is at least one search path. done is called once, later; the set is the caller's to free, from within it too.
 */
int fileset_find(struct job *j, const struct fileset_want *w, fileset_done_fn *done, void *user, struct fileset **ret,
                 struct err *e);
/* End the search: done is not called. */
void fileset_cancel(struct fileset *f);
struct fileset *fileset_free(struct fileset *f); /* of one that has ended; NULL is fine; always NULL */
/* What our own programs in the guest get: nothing that a step set decides what is run, or in which language it speaks.
 */
struct strv;
int fileset_environment(struct strv *env, struct err *e);

/* For tests and the fuzz target: feed the bytes of a list. */
struct fileset_list;
int fileset_list_new(const struct fileset_want *w, struct fileset_list **ret, struct err *e);
int fileset_list_feed(struct fileset_list *l, const void *data, size_t len, struct err *e);
/* No more come. The paths belong to the list. */
int fileset_list_end(struct fileset_list *l, const char *const **ret, size_t *ret_n, struct err *e);
struct fileset_list *fileset_list_free(struct fileset_list *l); /* always NULL */
