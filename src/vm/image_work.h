/* The temporary folder in which an image is made, and its end: manifest, signature, rename. Internal to src/vm/image*.
 */
#pragma once

#include <stdbool.h>

#include "vm/image.h"
#include "vm/image_progress.h"

struct image_work {
        const struct image_store *store;
        struct image_progress *progress;
        char *path;    /* STATE/images/.tmp-NAME-XXXXXX: becomes the image */
        char *scratch; /* what is thrown away: as root in path, else in /var/tmp, where a user namespace can reach it */
        int lock;
        int dir;
};
#define IMAGE_WORK_INIT                                                                                                \
        {                                                                                                              \
                .lock = -1, .dir = -1                                                                                  \
        }

/* Takes the store's lock (waiting for another build), removes what killed builds left, makes the folders. */
int image_work_begin(struct image_work *w, const struct image_store *s, const char *name, struct err *e);
/* Removes whatever was not finished. */
void image_work_done(struct image_work *w);
/* A path in the folder (malloc'd); NULL when out of memory. */
char *image_work_path(const struct image_work *w, const char *file);

/* The last file of root.img: append the dm-verity tree to the ext4 file; fills data_blocks, root_size, verity_*. */
int image_work_verity(struct image_work *w, struct image_manifest *m, struct err *e);
/* initramfs = modules archive (the first modules_size bytes of from_fd) and the agent; fills sizes and digests of both.
 */
int image_work_initramfs(struct image_work *w, int modules_fd, uint64_t modules_size, const char *agent,
                         struct image_manifest *m, struct err *e);
/* The archive of the modules in a folder of *.ko and order. */
int image_work_modules(struct image_work *w, const char *folder, const char *archive, struct err *e);
/* Hash kernel and (unless known) root, seal, sign, sync, rename over an older image of the name. */
int image_work_publish(struct image_work *w, struct image_manifest *m, bool root_is_hashed, struct err *e);
