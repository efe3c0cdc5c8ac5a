/* Small archives and a folder for the tests of the store. */
#pragma once

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "blob/store.h"
#include "codec/tar.h"

static inline void archive_add(struct buf *b, enum tar_type type, const char *name, const char *text)
{
        static const uint8_t zeros[TAR_BLOCK];
        struct err e = ERR_INIT;
        struct tar_entry t = {.type = type, .name = name, .link = type == TAR_SYMLINK ? text : "", .mode = 0644};
        t.size = type == TAR_FILE ? strlen(text) : 0;
        if (tar_write_entry(&t, b, &e) < 0)
                fail_msg("%s", e.msg);
        if (t.size) {
                assert_int_equal(buf_append(b, text, t.size, NULL), 0);
                assert_int_equal(buf_append(b, zeros, tar_padding(t.size), NULL), 0);
        }
}

/* One file, whole. */
static inline struct buf archive_of(const char *name, const char *text)
{
        struct buf b = BUF_INIT;
        archive_add(&b, TAR_FILE, name, text);
        assert_int_equal(tar_write_end(&b, NULL), 0);
        return b;
}

static const struct store_limits small_limits = {
        .max_bytes = 4096, .max_files = 4, .max_entries = 3, .max_total = 6 * 2048, .max_unused_ms = 0};

/* A folder that is made and removed by the test. */
static inline char *folder_new(void)
{
        char path[] = "/tmp/devdep-blob.XXXXXX";
        assert_non_null(mkdtemp(path));
        return strdup(path);
}

static inline void folder_free(char *path)
{
        assert_int_equal(fs_remove_tree(path, NULL), 0);
        free(path);
}

static inline struct store *must_open(const char *folder, enum store_kind kind, const struct store_limits *l)
{
        struct store *s = NULL;
        struct err e = ERR_INIT;
        const struct store_config c = {.folder = folder, .kind = kind, .limits = *l, .writer = true};
        int r = store_open(&c, &s, &e);
        if (r != 0)
                fail_msg("open: %d %s", r, e.msg);
        return s;
}

/* Put one file; what the steps return. */
static inline int put_archive(struct store *s, const struct store_what *w, const struct buf *b, struct store_entry *ret,
                              struct err *e)
{
        struct store_put *p = NULL;
        int r = store_put_new(s, w, &p, e);
        if (r == 0)
                r = store_put_write(p, b->data, b->len, e);
        if (r == 0)
                r = store_put_commit(p, ret, e);
        store_put_free(p);
        return r;
}

static inline int put_text(struct store *s, const struct store_what *w, const char *text, struct store_entry *ret,
                           struct err *e)
{
        struct buf b = archive_of("file", text);
        int r = put_archive(s, w, &b, ret, e);
        buf_done(&b);
        return r;
}

#define VERSION_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define VERSION_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ARTIFACT(n) ((struct store_what){.name = (n), .run = "7", .job = "build", .days = 1})
#define CACHE(s, k) ((struct store_what){.name = (k), .scope = (s), .version = VERSION_A, .run = "7", .job = "build"})
