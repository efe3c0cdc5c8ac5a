/* The stores as a whole: list, remove, verify. */
#include "vm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "codec/hash.h"
#include "vm/image_file.h"

CLEANUP_DEFINE(struct image, image_free)
CLEANUP_DEFINE(struct hash, hash_free)

struct listing {
        const struct image_store *store;
        const char *folder;
        struct strv seen;
        int (*fn)(const struct image_entry *entry, void *user, struct err *e);
        void *user;
        bool names_only;
};

static void listing_done(struct listing *l)
{
        strv_done(&l->seen);
}

static int list_one(const char *name, void *user, struct err *e)
{
        struct listing *l = user;
        AUTO(image_freep) struct image *im = NULL;
        struct err why = ERR_INIT;
        if (!str_is_name(name, IMAGE_MAX_NAME) || strv_has(&l->seen, name))
                return 0;
        AUTO(auto_free) char *path = fs_join(l->folder, name);
        int r = path ? strv_add(&l->seen, name, e) : err_nomem(e);
        if (r < 0)
                return r;
        if (!l->names_only && image_open(l->store, name, &im, &why) < 0)
                im = NULL;
        struct image_entry entry = {.name = name, .path = path, .image = im, .refused = im ? NULL : why.msg};
        return l->fn(&entry, l->user, e);
}

static int list_stores(struct listing *l, struct err *e)
{
        l->folder = l->store->images;
        int r = fs_list(l->folder, list_one, l, e);
        if (r < 0 || str_eq(l->folder, IMAGE_SYSTEM_STORE))
                return r < 0 ? r : 0;
        l->folder = IMAGE_SYSTEM_STORE;
        r = fs_list(l->folder, list_one, l, e);
        return r < 0 ? r : 0;
}

int image_list(const struct image_store *s, int (*fn)(const struct image_entry *entry, void *user, struct err *e),
               void *user, struct err *e)
{
        AUTO(listing_done) struct listing l = {.store = s, .fn = fn, .user = user};

        return list_stores(&l, e);
}

int image_names(const struct image_store *s, int (*fn)(const struct image_entry *entry, void *user, struct err *e),
                void *user, struct err *e)
{
        AUTO(listing_done) struct listing l = {.store = s, .fn = fn, .user = user, .names_only = true};

        return list_stores(&l, e);
}

int image_remove(const struct image_store *s, const char *name, struct err *e)
{
        if (!str_is_name(name, IMAGE_MAX_NAME))
                return err_set(e, ERR_USAGE, "image '%.80s': expected a name of 1 to 64 of [A-Za-z0-9._-]", name);
        AUTO(auto_free) char *path = fs_join(s->images, name);
        /* A name that builds remove if we are killed half-way. */
        AUTO(auto_free) char *gone = str_printf("%s/.tmp-%s-removed-%ld", s->images, name, (long)getpid());
        if (!path || !gone)
                return err_nomem(e);
        if (rename(path, gone) < 0) {
                if (errno != ENOENT)
                        return err_errno(e, ERR_RESOURCES, errno, "remove %s", path);
                AUTO(auto_free) char *shared = fs_join(IMAGE_SYSTEM_STORE, name);
                if (shared && fs_exists(shared))
                        return err_set(e, ERR_USAGE, "image '%s' is the system's (%s); only root can remove it", name,
                                       shared);
                return err_set(e, ERR_USAGE, "there is no image '%s' in %s", name, s->images);
        }
        return fs_remove_tree(gone, e);
}

/* Where the lowest level of the hash tree begins: the levels above it come first. */
static uint64_t leaves_begin(uint64_t data_blocks)
{
        uint64_t leaves = (data_blocks * IMAGE_SHA256 + IMAGE_BLOCK - 1) / IMAGE_BLOCK;
        return data_blocks + image_tree_blocks(data_blocks) - leaves;
}

static int block_is_good(const struct image *im, uint64_t block, bool *ret, struct err *e)
{
        const struct image_manifest *m = &im->manifest;
        uint8_t data[IMAGE_BLOCK], want[IMAGE_SHA256], found[IMAGE_SHA256];
        off_t at = (off_t)(leaves_begin(m->data_blocks) * IMAGE_BLOCK + block * IMAGE_SHA256);
        if (pread(im->root_fd, data, sizeof(data), (off_t)(block * IMAGE_BLOCK)) != (ssize_t)sizeof(data) ||
            pread(im->root_fd, want, sizeof(want), at) != (ssize_t)sizeof(want))
                return err_errno(e, ERR_RESOURCES, errno, "read %s/root.img", im->path);
        AUTO(hash_freep) struct hash *h = NULL;
        int r = hash_new(&h, e);
        if (r >= 0)
                r = hash_add(h, m->verity_salt, IMAGE_SHA256, e);
        if (r >= 0)
                r = hash_add(h, data, sizeof(data), e);
        if (r >= 0)
                r = hash_finish(h, found, e);
        *ret = r >= 0 && secret_equal(want, found, IMAGE_SHA256);
        return r;
}

/* root.img is not what was signed: where? */
static int name_damage(const struct image *im, image_tick_fn *tick, void *user, struct err *e)
{
        for (uint64_t block = 0; block < im->manifest.data_blocks; block++) {
                bool good = true;
                int r = block_is_good(im, block, &good, e);
                if (r >= 0 && tick && block % 16384 == 0)
                        r = tick("root.img", block * IMAGE_BLOCK, im->manifest.root_size, user, e);
                if (r < 0)
                        return r;
                if (!good)
                        return err_set(
                                e, ERR_IMAGE_REFUSED,
                                "%s/root.img is damaged: block %llu (from byte %llu) is not what was signed; make "
                                "the image again",
                                im->path, (unsigned long long)block, (unsigned long long)(block * IMAGE_BLOCK));
        }
        return err_set(e, ERR_IMAGE_REFUSED, "%s/root.img is damaged in its hash tree; make the image again", im->path);
}

int image_verify(const struct image_store *s, const char *ref, image_tick_fn *tick, void *user, struct err *e)
{
        AUTO(image_freep) struct image *im = NULL;
        uint8_t found[IMAGE_SHA256];
        int r = image_open(s, ref, &im, e);
        if (r >= 0)
                r = image_file_hash(im->root_fd, im->manifest.root_size, "root.img", tick, user, found, e);
        if (r < 0)
                return r;
        return secret_equal(found, im->manifest.root_sha256, IMAGE_SHA256) ? 0 : name_damage(im, tick, user, e);
}
