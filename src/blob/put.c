/* A new entry. The bytes go into a temporary file of `incoming`, whose lock tells others that it is being written;
 * beside them run the archive's digest and its check.
 *
 *   store_put_new()     is the name free?                                        under the lock
 *   store_put_write()   bytes; the free space of the host every STORE_CHECK_BYTES
 *   store_put_commit()  still free? room by eviction, archive, manifest          under the lock */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/folder.h"
#include "blob/store_priv.h"
#include "codec/hash.h"
#include "codec/tar.h"

struct store_put {
        struct store *store;
        struct store_entry entry;
        bool overwrite;
        uint32_t days;
        int fd;
        char temporary[FOLDER_MAX_TEMPORARY];
        struct hash *hash;
        struct tar_reader *tar;
        uint64_t unchecked; /* bytes since the last look at the free space */
};

struct store_put *store_put_free(struct store_put *p)
{
        if (!p)
                return NULL;
        /* Removed while its lock is still ours. */
        if (*p->temporary)
                folder_remove(p->store->incoming, p->temporary, NULL);
        fd_close(p->fd);
        hash_free(p->hash);
        tar_reader_free(p->tar);
        free(p);
        return NULL;
}

/* ---- the archive ---- */

static int on_entry(const struct tar_entry *t, void *user, struct err *e)
{
        struct store_put *p = user;
        (void)e;
        p->entry.files += t->type == TAR_FILE;
        p->entry.content += t->size;
        return 0;
}

static int start_reader(struct store_put *p, struct err *e)
{
        static const struct tar_sink sink = {.entry = on_entry};
        const struct store_limits *l = &p->store->limits;
        const struct tar_limits limits = {
                .types = p->store->kind == STORE_ARTIFACTS ? TAR_FILE : TAR_FILE | TAR_FOLDER | TAR_SYMLINK,
                .max_name = TAR_MAX_NAME,
                .max_entries = l->max_files,
                .max_size = l->max_bytes,
                .max_total = l->max_bytes,
        };
        return tar_reader_new(&limits, &sink, p, "archive", &p->tar, e);
}

/* ---- is there room? ---- */

int store_check_space(struct store *s, struct err *e)
{
        struct statvfs st;
        uint64_t bytes = UINT64_MAX;
        if (fstatvfs(s->incoming, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "ask for the free space of the store");
        if (!num_mul((uint64_t)st.f_bavail, (uint64_t)st.f_frsize, &bytes))
                bytes = UINT64_MAX;
        if (bytes >= s->limits.min_free)
                return 0;
        return err_set(e, ERR_RESOURCES,
                       "the host has %" PRIu64 " MiB left for artifacts and caches, which keep %" PRIu64
                       " MiB free; 'devdep-cli cache prune --max-size SIZE' and 'devdep-cli rm RUN' make room",
                       bytes >> 20, s->limits.min_free >> 20);
}

static const char *thing(const struct store *s)
{
        return s->kind == STORE_ARTIFACTS ? "artifact" : "cache";
}

static bool is_same(const struct store_put *p, const struct store_entry *x)
{
        const struct store_entry *own = &p->entry;
        if (p->store->kind == STORE_ARTIFACTS)
                return str_eq(x->name, own->name);
        return str_eq(x->name, own->name) && str_eq(x->scope, own->scope) && str_eq(x->version, own->version);
}

/* What is past its end, or not whole, is in nobody's way. */
static int check_free(struct store_put *p, const struct store_list *now, struct err *e)
{
        size_t others = 0;
        for (size_t i = 0; i < now->n; i++) {
                if (!is_same(p, &now->v[i]))
                        others++;
                else if (!p->overwrite)
                        return STORE_E_EXISTS;
        }
        if (p->store->kind == STORE_ARTIFACTS && others >= p->store->limits.max_entries)
                return err_set(e, ERR_USAGE, "the run has %zu artifacts, which is the most", others);
        return 0;
}

/* Bytes of the archives that manifests name, each once. */
static uint64_t total_of(const struct store_list *all)
{
        uint64_t total = 0;
        for (size_t i = 0; i < all->n; i++) {
                bool counted = !all->v[i].id;
                for (size_t k = 0; k < i && !counted; k++)
                        counted = all->v[k].id && str_eq(all->v[k].digest, all->v[i].digest);
                if (!counted)
                        total += all->v[i].bytes;
        }
        return total;
}

static int drop_least_used(struct store *s, struct store_list *all, struct err *e)
{
        size_t oldest = all->n;
        for (size_t i = 0; i < all->n; i++)
                if (all->v[i].id && (oldest == all->n || all->v[i].used_ms < all->v[oldest].used_ms))
                        oldest = i;
        return oldest < all->n ? store_drop(s, all, oldest, e) : 0;
}

static size_t count_of(const struct store_list *all)
{
        size_t n = 0;
        for (size_t i = 0; i < all->n; i++)
                n += all->v[i].id != 0;
        return n;
}

/* Caches give way to a new one; artifacts are kept for as long as was promised. */
static int make_room(struct store_put *p, struct store_list *all, struct err *e)
{
        const struct store_limits *l = &p->store->limits;
        for (;;) {
                uint64_t total = total_of(all);
                bool fits = total <= l->max_total && p->entry.bytes <= l->max_total - total;
                size_t n = count_of(all);
                if (fits && (p->store->kind == STORE_ARTIFACTS || n < l->max_entries))
                        return 0;
                if (p->store->kind == STORE_ARTIFACTS || n == 0)
                        return err_set(e, ERR_USAGE,
                                       "the artifacts of the run would have more than %" PRIu64 " MiB together",
                                       l->max_total >> 20);
                int r = drop_least_used(p->store, all, e);
                if (r < 0)
                        return r;
        }
}

/* ---- beginning ---- */

int store_scratch(struct store *s, int *ret_fd, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        char name[FOLDER_MAX_TEMPORARY] = "";
        int r = store_lock(s, e);
        if (r < 0)
                return r;
        r = folder_make_temporary(s->incoming, "scratch", name, &fd, e);
        if (r == 0)
                r = folder_remove(s->incoming, name, e);
        store_unlock(s);
        if (r == 0)
                *ret_fd = TAKE_FD(fd);
        return r;
}

static int is_free(struct store_put *p, struct err *e)
{
        AUTO(store_list_done) struct store_list now = {0};
        int r = store_list(p->store, &now, e);
        return r < 0 ? r : check_free(p, &now, e);
}

/* Under the lock, so that no cleaner takes a file for left over before its maker holds it. */
static int begin_locked(struct store_put *p, struct err *e)
{
        int r = is_free(p, e);
        return r == 0 ? folder_make_temporary(p->store->incoming, "archive", p->temporary, &p->fd, e) : r;
}

int store_put_new(struct store *s, const struct store_what *w, struct store_put **ret, struct err *e)
{
        AUTO(store_put_freep) struct store_put *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        p->store = s;
        p->fd = -1;
        p->days = w->days;
        p->overwrite = w->overwrite;
        str_copy(p->entry.name, sizeof(p->entry.name), w->name);
        str_copy(p->entry.scope, sizeof(p->entry.scope), w->scope ? w->scope : "");
        str_copy(p->entry.version, sizeof(p->entry.version), w->version ? w->version : "");
        str_copy(p->entry.type, sizeof(p->entry.type), w->type ? w->type : "");
        str_copy(p->entry.run, sizeof(p->entry.run), w->run);
        str_copy(p->entry.job, sizeof(p->entry.job), w->job);
        int r = store_lock(s, e);
        if (r < 0)
                return r;
        r = begin_locked(p, e);
        store_unlock(s);
        if (r == 0)
                r = store_check_space(p->store, e);
        if (r == 0)
                r = hash_new(&p->hash, e);
        if (r == 0)
                r = start_reader(p, e);
        if (r == 0)
                *ret = TAKE_PTR(p);
        return r;
}

int store_put_write(struct store_put *p, const void *data, size_t len, struct err *e)
{
        if (len > p->store->limits.max_bytes - p->entry.bytes)
                return err_set(e, ERR_USAGE, "the %s is larger than %" PRIu64 " MiB", thing(p->store),
                               p->store->limits.max_bytes >> 20);
        p->entry.bytes += len;
        p->unchecked += len;
        int r = 0;
        if (p->unchecked >= STORE_CHECK_BYTES) {
                p->unchecked = 0;
                r = store_check_space(p->store, e);
        }
        if (r == 0)
                r = tar_reader_feed(p->tar, data, len, e);
        if (r == 0)
                r = hash_add(p->hash, data, len, e);
        return r < 0 ? r : fd_write_all(p->fd, data, len, "an archive of the store", e);
}

/* ---- the end ---- */

static int place_archive(struct store_put *p, struct err *e)
{
        AUTO(auto_close) int there = -1;
        uint64_t size = 0;
        int r = folder_open_file(p->store->objects, p->entry.digest, &there, &size, e);
        if (r < 0)
                return r;
        /* The same bytes are there: our copy goes when p does. */
        if (r == 0 && size == p->entry.bytes)
                return 0;
        r = folder_move(p->fd, p->store->incoming, p->temporary, p->store->objects, p->entry.digest, e);
        if (r == 0)
                *p->temporary = '\0';
        return r;
}

static int place_manifest(struct store_put *p, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT_MAX(STORE_MAX_MANIFEST);
        AUTO(auto_close) int fd = -1;
        char temporary[FOLDER_MAX_TEMPORARY] = "", name[32];
        snprintf(name, sizeof(name), "%" PRIu64 ".json", p->entry.id);
        int r = manifest_write(p->store->kind, &p->entry, &text, e);
        if (r == 0)
                r = folder_make_temporary(p->store->incoming, "manifest", temporary, &fd, e);
        if (r < 0)
                return r;
        r = fd_write_all(fd, text.data, text.len, "a manifest of the store", e);
        if (r == 0)
                r = folder_move(fd, p->store->incoming, temporary, p->store->entries, name, e);
        if (r < 0)
                folder_remove(p->store->incoming, temporary, NULL);
        return r;
}

static int drop_replaced(struct store_put *p, struct store_list *all, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < all->n; i++)
                if (all->v[i].id && all->v[i].id != p->entry.id && is_same(p, &all->v[i]))
                        r = store_drop(p->store, all, i, e);
        return r;
}

/* Later than everything there, and nearly never one that was there before. */
static void date_entry(struct store_put *p, const struct store_list *all)
{
        uint64_t now = clock_real_ms();
        p->entry.created_ms = now;
        p->entry.expires_ms = p->store->kind == STORE_ARTIFACTS ? now + p->days * STORE_DAY_MS : 0;
        p->entry.used_ms = now;
        p->entry.id = all->n && all->v[0].id >= now ? all->v[0].id + 1 : now;
}

static int commit_locked(struct store_put *p, struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        int r = is_free(p, e);
        if (r == 0)
                r = store_load(p->store, &all, e);
        if (r != 0)
                return r;
        date_entry(p, &all);
        r = make_room(p, &all, e);
        if (r == 0)
                r = place_archive(p, e);
        if (r < 0)
                return r;
        r = place_manifest(p, e);
        if (r < 0) {
                if (!store_is_named(&all, p->entry.digest))
                        folder_remove(p->store->objects, p->entry.digest, NULL);
                return r;
        }
        /* What stands in `all` does not name the new archive. */
        struct store_list with = {0};
        r = store_load(p->store, &with, e);
        if (r == 0)
                r = drop_replaced(p, &with, e);
        store_list_done(&with);
        return r;
}

int store_put_commit(struct store_put *p, struct store_entry *ret, struct err *e)
{
        uint8_t digest[HASH_SIZE];
        int r = tar_reader_finish(p->tar, e);
        if (r == 0 && p->store->kind == STORE_ARTIFACTS && p->entry.files == 0)
                r = err_set(e, ERR_USAGE, "an artifact without a file");
        if (r == 0 && *p->entry.type && p->entry.files != 1)
                r = err_set(e, ERR_USAGE, "an artifact that is one file, and has several");
        if (r == 0)
                r = hash_finish(p->hash, digest, e);
        if (r == 0)
                hash_hex(digest, p->entry.digest);
        if (r == 0)
                r = store_lock(p->store, e);
        if (r < 0)
                return r;
        r = commit_locked(p, e);
        store_unlock(p->store);
        if (r == 0)
                *ret = p->entry;
        return r;
}
