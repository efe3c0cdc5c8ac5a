/* A complete image of a few bytes in a store of its own: two data blocks, one block of hash tree. */
#pragma once

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/hash.h"
#include "trust/signature.h"
#include "vm/image.h"

#define FIXTURE_BLOCKS 2

struct fixture {
        char state[64];
        struct image_store store;
        struct image_manifest m;
};

static void fixture_put(struct fixture *f, const char *name, const char *file, const void *data, size_t len)
{
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", f->store.images, name);
        assert_int_equal(fs_mkdirs(path, 0755, NULL), 0);
        snprintf(path, sizeof(path), "%s/%s/%s", f->store.images, name, file);
        assert_int_equal(fs_write_atomic(path, data, len, 0644, NULL), 0);
}

static void fixture_salted(const struct image_manifest *m, const void *block, uint8_t ret[IMAGE_SHA256])
{
        struct hash *h = NULL;
        assert_int_equal(hash_new(&h, NULL), 0);
        assert_int_equal(hash_add(h, m->verity_salt, IMAGE_SHA256, NULL), 0);
        assert_int_equal(hash_add(h, block, IMAGE_BLOCK, NULL), 0);
        assert_int_equal(hash_finish(h, ret, NULL), 0);
        hash_free(h);
}

static void fixture_root(struct fixture *f, const char *name)
{
        static uint8_t root[(FIXTURE_BLOCKS + 1) * IMAGE_BLOCK];
        struct image_manifest *m = &f->m;
        memset(root, 0, sizeof(root));
        memset(root, 'a', IMAGE_BLOCK);
        memset(root + IMAGE_BLOCK, 'b', IMAGE_BLOCK);
        memset(m->verity_salt, 7, IMAGE_SHA256);
        uint8_t *tree = root + FIXTURE_BLOCKS * IMAGE_BLOCK;
        for (size_t i = 0; i < FIXTURE_BLOCKS; i++)
                fixture_salted(m, root + i * IMAGE_BLOCK, tree + i * IMAGE_SHA256);
        fixture_salted(m, tree, m->verity_root);
        m->data_blocks = FIXTURE_BLOCKS;
        m->root_size = sizeof(root);
        hash_bytes(root, sizeof(root), m->root_sha256, NULL);
        fixture_put(f, name, "root.img", root, sizeof(root));
}

/* Write and sign the manifest as it is in f->m into the folder `name`. */
static void fixture_sign(struct fixture *f, const char *name)
{
        struct key *k = NULL;
        struct buf json = BUF_INIT, sig = BUF_INIT;
        assert_int_equal(image_manifest_write(&f->m, &json, NULL), 0);
        assert_int_equal(trust_own_key(f->store.keys, &k, NULL), 0);
        assert_int_equal(signature_make(k, KEY_DOMAIN_MANIFEST, json.data, json.len, &sig, NULL), 0);
        fixture_put(f, name, "manifest.json", json.data, json.len);
        fixture_put(f, name, "manifest.sig", sig.data, sig.len);
        key_free(k);
        buf_done(&json);
        buf_done(&sig);
}

static void fixture_image(struct fixture *f, const char *name)
{
        struct image_manifest *m = &f->m;
        image_manifest_done(m);
        str_copy(m->name, sizeof(m->name), name);
        str_copy(m->created, sizeof(m->created), "2026-11-22T05:39:40.123Z");
        str_copy(m->source, sizeof(m->source), "build");
        str_copy(m->suite, sizeof(m->suite), "bookworm");
        str_copy(m->kernel_version, sizeof(m->kernel_version), "6.1.0-1-cloud-amd64");
        assert_int_equal(strv_add(&m->packages, "bash", NULL), 0);
        fixture_put(f, name, "kernel", "kernel", 6);
        fixture_put(f, name, "initramfs", "initramfs", 9);
        m->kernel_size = 6;
        m->initramfs_size = 9;
        m->modules_size = 4;
        hash_bytes("kernel", 6, m->kernel_sha256, NULL);
        hash_bytes("initramfs", 9, m->initramfs_sha256, NULL);
        fixture_root(f, name);
        assert_int_equal(image_manifest_seal(m, NULL), 0);
        fixture_sign(f, name);
}

static int fixture_setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        str_copy(f->state, sizeof(f->state), "/tmp/devdep-image.XXXXXX");
        if (!mkdtemp(f->state) || image_store_init(&f->store, f->state, NULL) < 0)
                return -1;
        fixture_image(f, "one");
        *state = f;
        return 0;
}

static int fixture_teardown(void **state)
{
        struct fixture *f = *state;
        int r = fs_remove_tree(f->state, NULL);
        image_manifest_done(&f->m);
        image_store_done(&f->store);
        free(f);
        return r;
}

#define WITH_IMAGE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
