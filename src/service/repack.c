#include "service/repack.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/limits.h"
#include "blob/names.h"
#include "codec/tar.h"
#include "service/limits.h"

#define SHOWN 256

CLEANUP_DEFINE(struct zip_reader, zip_reader_free)
CLEANUP_DEFINE(struct tar_to_zip, tar_to_zip_free)

static const uint8_t zeros[SERVICE_CHUNK];

/* ---- a zip becomes a tar ---- */

static int give_header(const char *name, uint64_t size, uint64_t now_ms, repack_sink_fn *fn, void *user, struct err *e)
{
        const struct tar_entry entry = {.type = TAR_FILE,
                                        .name = name,
                                        .link = "",
                                        .mode = 0644,
                                        .size = size,
                                        .mtime = (int64_t)(now_ms / 1000)};
        AUTO(buf_done) struct buf head = BUF_INIT;
        int r = tar_write_entry(&entry, &head, e);
        return r < 0 ? r : fn(head.data, head.len, user, e);
}

static int give_end(repack_sink_fn *fn, void *user, struct err *e)
{
        AUTO(buf_done) struct buf tail = BUF_INIT;
        int r = tar_write_end(&tail, e);
        return r < 0 ? r : fn(tail.data, tail.len, user, e);
}

static int give_padding(uint64_t size, repack_sink_fn *fn, void *user, struct err *e)
{
        size_t n = tar_padding(size);
        return n ? fn(zeros, n, user, e) : 0;
}

static int check_path(const char *name, struct err *e)
{
        const char *problem = artifact_path_problem(name);
        char shown[SHOWN];
        if (!problem)
                return 0;
        str_escape(shown, sizeof(shown), name, strlen(name));
        return err_set(e, ERR_USAGE, "the artifact: '%s' %s", shown, problem);
}

static int give_entry(struct zip_reader *z, const struct zip_entry *x, uint64_t now_ms, repack_sink_fn *fn, void *user,
                      struct err *e)
{
        uint8_t chunk[SERVICE_CHUNK];
        size_t n = 0;
        int r = check_path(x->name, e);
        if (r == 0)
                r = give_header(x->name, x->size, now_ms, fn, user, e);
        while (r == 0) {
                r = zip_reader_data(z, chunk, sizeof(chunk), &n, e);
                if (r == 0 && n == 0)
                        return give_padding(x->size, fn, user, e);
                if (r == 0)
                        r = fn(chunk, n, user, e);
        }
        return r;
}

int zip_to_tar(zip_read_fn *read, void *archive, uint64_t size, uint64_t now_ms, repack_sink_fn *fn, void *user,
               struct err *e)
{
        static const struct zip_limits limits = {.max_name = ZIP_MAX_NAME,
                                                 .max_names = SERVICE_MAX_NAMES,
                                                 .max_entries = ARTIFACT_MAX_FILES,
                                                 .max_size = ARTIFACT_MAX_BYTES,
                                                 .max_total = ARTIFACT_MAX_BYTES};
        AUTO(zip_reader_freep) struct zip_reader *z = NULL;
        int r = zip_reader_new(read, archive, size, &limits, "the artifact", &z, e);
        while (r == 0) {
                struct zip_entry x = {0};
                r = zip_reader_next(z, &x, e);
                if (r == 0)
                        r = give_entry(z, &x, now_ms, fn, user, e);
        }
        return r == ZIP_E_END ? give_end(fn, user, e) : r;
}

int file_to_tar(zip_read_fn *read, void *file, uint64_t size, const char *name, uint64_t now_ms, repack_sink_fn *fn,
                void *user, struct err *e)
{
        uint8_t chunk[SERVICE_CHUNK];
        int r = check_path(name, e);
        if (r == 0)
                r = give_header(name, size, now_ms, fn, user, e);
        for (uint64_t at = 0; r == 0 && at < size;) {
                size_t n = (size_t)MIN((uint64_t)sizeof(chunk), size - at);
                r = read(file, at, chunk, n, e);
                if (r == 0)
                        r = fn(chunk, n, user, e);
                at += n;
        }
        if (r == 0)
                r = give_padding(size, fn, user, e);
        return r < 0 ? r : give_end(fn, user, e);
}

/* ---- walking through a tar of ours ---- */

/* What the tar reader is told of data it never sees: it counts bytes, and reads headers alone. */
struct walk {
        int fd;
        struct tar_reader *reader;
        uint64_t at, end; /* of the next block, of the archive */
        bool found;
        char name[TAR_MAX_NAME + 1];
        uint64_t size;
        int64_t mtime;
};

static int on_entry(const struct tar_entry *t, void *user, struct err *e)
{
        struct walk *w = user;
        (void)e;
        w->found = true;
        str_copy(w->name, sizeof(w->name), t->name);
        w->size = t->size;
        w->mtime = t->mtime;
        return 0;
}

static int walk_begin(struct walk *w, int fd, uint64_t bytes, struct err *e)
{
        static const struct tar_sink sink = {.entry = on_entry};
        static const struct tar_limits limits = {.types = TAR_FILE,
                                                 .max_name = TAR_MAX_NAME,
                                                 .max_entries = ARTIFACT_MAX_FILES,
                                                 .max_size = ARTIFACT_MAX_BYTES,
                                                 .max_total = ARTIFACT_MAX_BYTES};
        tar_reader_free(w->reader);
        *w = (struct walk){.fd = fd, .end = bytes};
        return tar_reader_new(&limits, &sink, w, "artifact", &w->reader, e);
}

#define WHAT "an artifact of the store"

/* To the next file: *ret says whether there is one. Its data are w->size bytes from w->at on. */
static int walk_next(struct walk *w, bool *ret, struct err *e)
{
        uint8_t block[TAR_BLOCK];
        uint64_t skip = w->found ? w->size + tar_padding(w->size) : 0;
        int r = 0;
        w->at += skip;
        for (w->found = false; r == 0 && skip; skip -= MIN(skip, (uint64_t)sizeof(zeros)))
                r = tar_reader_feed(w->reader, zeros, (size_t)MIN(skip, (uint64_t)sizeof(zeros)), e);
        while (r == 0 && !w->found) {
                size_t n = (size_t)MIN(w->end - MIN(w->at, w->end), (uint64_t)sizeof(block));
                if (n == 0)
                        break;
                r = fd_read_at(w->fd, w->at, block, n, WHAT, e);
                if (r == 0)
                        r = tar_reader_feed(w->reader, block, n, e);
                w->at += n;
        }
        *ret = w->found;
        return r;
}

static void walk_done(struct walk *w)
{
        w->reader = tar_reader_free(w->reader);
}

int tar_only_file(int fd, uint64_t bytes, uint64_t *ret_at, uint64_t *ret_size, struct err *e)
{
        AUTO(walk_done) struct walk w = {0};
        bool found = false;
        int r = walk_begin(&w, fd, bytes, e);
        if (r == 0)
                r = walk_next(&w, &found, e);
        if (r == 0 && !found)
                r = err_set(e, ERR_RESOURCES, "an artifact of the store has no file");
        *ret_at = w.at;
        *ret_size = w.size;
        return r;
}

/* ---- a tar becomes a zip ---- */

enum phase { PHASE_FILES, PHASE_DIRECTORY, PHASE_OVER };

struct tar_to_zip {
        struct walk walk;
        int fd;
        enum phase phase;
        uint32_t *crcs; /* of the files, in their order */
        uint64_t n, max;
        uint64_t i;           /* the next one of the directory */
        uint64_t given;       /* bytes of the zip */
        uint64_t at;          /* of the local header of the next one of the directory */
        uint64_t directory;   /* where it begins */
        uint64_t left, place; /* of the data under way */
};

int tar_to_zip_new(int fd, uint64_t bytes, uint64_t files, struct tar_to_zip **ret, struct err *e)
{
        AUTO(tar_to_zip_freep) struct tar_to_zip *z = calloc(1, sizeof(*z));
        if (!z || files > ARTIFACT_MAX_FILES)
                return err_nomem(e);
        z->fd = fd;
        z->max = files;
        z->crcs = calloc((size_t)files + 1, sizeof(*z->crcs));
        int r = z->crcs ? walk_begin(&z->walk, fd, bytes, e) : err_nomem(e);
        if (r == 0)
                *ret = TAKE_PTR(z);
        return r;
}

struct tar_to_zip *tar_to_zip_free(struct tar_to_zip *z)
{
        if (!z)
                return NULL;
        walk_done(&z->walk);
        free(z->crcs);
        free(z);
        return NULL;
}

static int sum_file(const struct walk *w, uint32_t *ret, struct err *e)
{
        uint8_t chunk[SERVICE_CHUNK];
        *ret = 0;
        for (uint64_t done = 0; done < w->size;) {
                size_t n = (size_t)MIN((uint64_t)sizeof(chunk), w->size - done);
                int r = fd_read_at(w->fd, w->at + done, chunk, n, WHAT, e);
                if (r < 0)
                        return r;
                *ret = zip_crc(*ret, chunk, n);
                done += n;
        }
        return 0;
}

static int next_data(struct tar_to_zip *z, struct buf *ret, struct err *e)
{
        size_t n = (size_t)MIN(z->left, (uint64_t)SERVICE_CHUNK);
        int r = buf_reserve(ret, n, e);
        if (r == 0)
                r = fd_read_at(z->fd, z->place, ret->data + ret->len, n, WHAT, e);
        if (r < 0)
                return r;
        ret->len += n;
        z->place += n;
        z->left -= n;
        return 0;
}

static struct zip_item item_of(const struct tar_to_zip *z, uint32_t crc)
{
        return (struct zip_item){
                .name = z->walk.name, .size = z->walk.size, .crc = crc, .mtime = z->walk.mtime, .at = z->at};
}

static int next_file(struct tar_to_zip *z, struct buf *ret, struct err *e)
{
        bool found = false;
        int r = walk_next(&z->walk, &found, e);
        if (r < 0)
                return r;
        if (!found) {
                z->phase = PHASE_DIRECTORY;
                z->directory = z->given;
                return walk_begin(&z->walk, z->fd, z->walk.end, e);
        }
        if (z->n == z->max)
                return err_set(e, ERR_RESOURCES, "an artifact of the store has more files than it should have");
        r = sum_file(&z->walk, &z->crcs[z->n], e);
        const struct zip_item item = item_of(z, z->crcs[z->n]);
        z->n++;
        z->place = z->walk.at;
        z->left = z->walk.size;
        return r < 0 ? r : zip_write_local(&item, ret, e);
}

/* The local header's length tells where the next one is. */
static int next_central(struct tar_to_zip *z, struct buf *ret, struct err *e)
{
        AUTO(buf_done) struct buf local = BUF_INIT;
        bool found = false;
        int r = walk_next(&z->walk, &found, e);
        if (r == 0 && found && z->i == z->n)
                r = err_set(e, ERR_RESOURCES, "an artifact of the store has changed");
        if (r < 0)
                return r;
        if (!found) {
                z->phase = PHASE_OVER;
                return zip_write_end(z->n, z->directory, z->given - z->directory, ret, e);
        }
        const struct zip_item item = item_of(z, z->crcs[z->i++]);
        r = zip_write_local(&item, &local, e);
        z->at += local.len + item.size;
        return r < 0 ? r : zip_write_central(&item, ret, e);
}

int tar_to_zip_next(struct tar_to_zip *z, struct buf *ret, struct err *e)
{
        size_t before = ret->len;
        int r = 0;
        while (r == 0 && z->phase != PHASE_OVER && ret->len - before < SERVICE_CHUNK) {
                size_t len = ret->len;
                r = z->left                   ? next_data(z, ret, e)
                    : z->phase == PHASE_FILES ? next_file(z, ret, e)
                                              : next_central(z, ret, e);
                z->given += ret->len - len;
        }
        return r;
}
