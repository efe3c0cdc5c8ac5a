/* Shared by template*.c. */
#pragma once

#include <jansson.h>

#include "vm/template.h"

#define TEMPLATE_FORMAT 1
#define TEMPLATE_PAGE 4096u /* what is zero in whole pages is a hole */

/* STATE/templates/KEY. */
struct template_folder {
        char *path, *lock_path;
        char key[HASH_HEX_SIZE];
        json_t *ingredients;
        int fd, lock_fd;
};
#define TEMPLATE_FOLDER_INIT                                                                                           \
        {                                                                                                              \
                .fd = -1, .lock_fd = -1                                                                                \
        }
void template_folder_done(struct template_folder *f);
/* The names only; nothing is opened. */
int template_folder_init(struct template_folder *f, const struct template_want *w, struct err *e);
/* Open the folder, which must be ours alone. TEMPLATE_E_MISSING with *why. */
int template_folder_open(struct template_folder *f, struct err *why, struct err *e);

/* The same, made when missing; one that others can write to is replaced. */
int template_folder_make(struct template_folder *f, struct err *e);
/* Make it and lock it for us alone. Whoever holds the lock is waited for, at most wait_ms: it may stand still. tick is
 * called meanwhile. */
int template_folder_lock(struct template_folder *f, uint64_t wait_ms, template_tick_fn *tick, void *user,
                         struct err *e);
/* Remove the other templates of the store that were not asked for in TEMPLATE_UNUSED_DAYS, or are none, and the longest
 * unused one when there are TEMPLATE_MOST_KEPT others; not those that somebody holds locked. */
int template_collect(const struct template_folder *f, struct err *e);

/* Read what the folder holds, as template_begin(); it is locked. TEMPLATE_E_MISSING with *why. */
int template_read(const struct template_folder *f, const struct template_want *w, struct template *ret, struct err *why,
                  struct err *e);
/* Write a template into the folder, which is locked for us alone: the manifest last. After a failure the folder holds
 * none. */
int template_write(const struct template_folder *f, const struct template_want *w, const struct template *t,
                   struct err *e);

/* Boot the image and keep what it is then: *ret has both memory files, sealed. */
int template_boot(const struct template_want *w, template_tick_fn *tick, void *user, struct template *ret,
                  struct err *e);

/* Copy the data of a sparse file of `size` bytes; *ret_data is how many bytes of data that was. Both copies need 1 MiB
 * of memory, and fail with the errno ESTALE when the file becomes shorter within its data. */
int template_copy_data(int from, int to, uint64_t size, uint64_t *ret_data, struct err *e);
/* How many bytes of data that would be. */
uint64_t template_count_data(int fd, uint64_t size);
/* The same, leaving out what is zero in whole pages; `size` is a multiple of TEMPLATE_PAGE. */
int template_copy_pages(int from, int to, uint64_t size, uint64_t *ret_data, struct err *e);
