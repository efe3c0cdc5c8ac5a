#include "blob/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/folder.h"
#include "blob/store_priv.h"

#define MANIFEST_NAME_SIZE 32 /* "ID.json" */

/* ---- opening ---- */

struct store *store_free(struct store *s)
{
        if (!s)
                return NULL;
        fd_close(s->dir);
        fd_close(s->objects);
        fd_close(s->entries);
        fd_close(s->incoming);
        fd_close(s->lock);
        free(s);
        return NULL;
}

static int open_folders(struct store *s, struct err *e)
{
        const struct {
                const char *name;
                int *fd;
        } folders[] = {{"objects", &s->objects}, {"entries", &s->entries}, {"incoming", &s->incoming}};
        int r = folder_open_lock(s->dir, s->writer, &s->lock, e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
                r = folder_open(s->dir, folders[i].name, s->writer, folders[i].fd, e);
        return r == FOLDER_E_MISSING ? STORE_E_MISSING : r;
}

int store_open(const struct store_config *c, struct store **ret, struct err *e)
{
        AUTO(store_freep) struct store *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        *s = (struct store){.kind = c->kind,
                            .limits = c->limits,
                            .writer = c->writer,
                            .objects = -1,
                            .entries = -1,
                            .incoming = -1,
                            .lock = -1};
        s->dir = open(c->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (s->dir < 0)
                return errno == ENOENT ? STORE_E_MISSING
                                       : err_errno(e, ERR_RESOURCES, errno, "open the store's folder %s", c->folder);
        int r = open_folders(s, e);
        if (r == 0 && s->writer)
                r = store_clean(s, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

int store_lock(struct store *s, struct err *e)
{
        int r = folder_lock(s->lock, e);
        return r == FOLDER_E_LOCKED
                       ? err_set(e, ERR_RESOURCES, "another process has kept the store locked for %u seconds",
                                 FOLDER_LOCK_MS / 1000)
                       : r;
}

void store_unlock(struct store *s)
{
        folder_unlock(s->lock);
}

/* ---- manifests ---- */

static void name_manifest(uint64_t id, char ret[MANIFEST_NAME_SIZE])
{
        snprintf(ret, MANIFEST_NAME_SIZE, "%" PRIu64 ".json", id);
}

/* The id that a manifest's file name stands for, or 0. */
static uint64_t parse_name(const char *name)
{
        char digits[MANIFEST_NAME_SIZE];
        uint64_t id = 0;
        size_t len = strlen(name);
        if (!str_ends(name, ".json") || len - 5 >= sizeof(digits) || name[0] == '0')
                return 0;
        memcpy(digits, name, len - 5);
        digits[len - 5] = '\0';
        return num_u64(digits, 1, STORE_MAX_ID, "id", &id, NULL) == 0 ? id : 0;
}

/* STORE_E_MISSING also for a manifest that is none. */
static int load_one(struct store *s, uint64_t id, struct store_entry *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(auto_close) int fd = -1;
        char name[MANIFEST_NAME_SIZE];
        struct stat st;
        uint64_t size;
        name_manifest(id, name);
        int r = folder_open_file(s->entries, name, &fd, &size, e);
        if (r == FOLDER_E_MISSING)
                return STORE_E_MISSING;
        if (r == 0 && fstat(fd, &st) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "look at the manifest %s", name);
        if (r == 0 && size > STORE_MAX_MANIFEST)
                return STORE_E_MISSING;
        if (r == 0)
                r = fd_read_all(fd, STORE_MAX_MANIFEST, name, &text, e);
        if (r < 0)
                return r;
        struct err why = ERR_INIT;
        if (manifest_parse(s->kind, text.data, text.len, ret, &why) < 0)
                return why.code == ERR_USAGE ? STORE_E_MISSING : err_set(e, why.code, "%s", why.msg);
        ret->used_ms = (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000;
        return ret->id == id ? 0 : STORE_E_MISSING;
}

static int newest_first(const void *a, const void *b)
{
        const struct store_entry *x = a, *y = b;
        return x->id > y->id ? -1 : x->id < y->id;
}

/* How many names a folder may have: entries that are being replaced count twice. */
static size_t most_names(const struct store *s)
{
        return (size_t)(2 * s->limits.max_entries + 64);
}

int store_load(struct store *s, struct store_list *ret, struct err *e)
{
        AUTO(strv_done) struct strv names = STRV_INIT;
        *ret = (struct store_list){0};
        int r = folder_names(s->entries, most_names(s), &names, e);
        if (r < 0)
                return r;
        ret->v = calloc(names.n ? names.n : 1, sizeof(*ret->v));
        if (!ret->v)
                return err_nomem(e);
        for (size_t i = 0; i < names.n; i++) {
                uint64_t id = parse_name(names.v[i]);
                r = id ? load_one(s, id, &ret->v[ret->n], e) : STORE_E_MISSING;
                if (r < 0)
                        break;
                ret->n += r == 0;
        }
        if (r < 0)
                store_list_done(ret);
        else if (ret->n)
                qsort(ret->v, ret->n, sizeof(*ret->v), newest_first);
        return r < 0 ? r : 0;
}

void store_list_done(struct store_list *l)
{
        free(l->v);
        *l = (struct store_list){0};
}

/* ---- looking ---- */

bool store_is_past(const struct store *s, const struct store_entry *x, uint64_t now_ms)
{
        if (s->kind == STORE_ARTIFACTS)
                return x->expires_ms <= now_ms;
        return s->limits.max_unused_ms && x->used_ms + s->limits.max_unused_ms <= now_ms;
}

/* The archive, if it has the size that the manifest says. */
static int open_archive(struct store *s, const struct store_entry *x, int *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint64_t size = 0;
        int r = folder_open_file(s->objects, x->digest, &fd, &size, e);
        if (r == FOLDER_E_MISSING || (r == 0 && size != x->bytes))
                return STORE_E_MISSING;
        if (r == 0)
                *ret = TAKE_FD(fd);
        return r;
}

/* 0: it can be read now. */
static int check_entry(struct store *s, const struct store_entry *x, uint64_t now_ms, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        return store_is_past(s, x, now_ms) ? STORE_E_MISSING : open_archive(s, x, &fd, e);
}

/* Was this name, of an older artifact, given anew? Its maker was cut off before it removed the old one. */
static bool is_replaced(const struct store *s, const struct store_list *l, size_t i)
{
        for (size_t k = 0; s->kind == STORE_ARTIFACTS && k < i; k++)
                if (l->v[k].id && str_eq(l->v[k].name, l->v[i].name))
                        return true;
        return false;
}

int store_list(struct store *s, struct store_list *ret, struct err *e)
{
        uint64_t now = clock_real_ms();
        size_t n = 0;
        int r = store_load(s, ret, e);
        for (size_t i = 0; r == 0 && i < ret->n; i++) {
                bool replaced = is_replaced(s, ret, i);
                int check = replaced ? STORE_E_MISSING : check_entry(s, &ret->v[i], now, e);
                if (check < 0)
                        r = check;
                else if (check == 0)
                        ret->v[n++] = ret->v[i];
        }
        if (r < 0)
                store_list_done(ret);
        else
                ret->n = n;
        return r;
}

int store_read(struct store *s, uint64_t id, struct store_entry *ret, int *ret_fd, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct store_entry x;
        char name[MANIFEST_NAME_SIZE];
        int r = load_one(s, id, &x, e);
        if (r == 0 && store_is_past(s, &x, clock_real_ms()))
                return STORE_E_MISSING;
        if (r == 0)
                r = open_archive(s, &x, &fd, e);
        if (r != 0)
                return r;
        name_manifest(id, name);
        /* It may have been evicted in this moment: that is no failure. */
        if (s->writer && s->kind == STORE_CACHES)
                utimensat(s->entries, name, NULL, AT_SYMLINK_NOFOLLOW);
        if (ret)
                *ret = x;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Of one scope and one key: exactly it, else the newest that begins with it; NULL: none. */
static const struct store_entry *match(const struct store_list *all, const char *scope, const char *key,
                                       const char *version)
{
        const struct store_entry *longer = NULL;
        for (size_t i = 0; i < all->n; i++) {
                const struct store_entry *x = &all->v[i];
                if (!str_eq(x->scope, scope) || !str_eq(x->version, version))
                        continue;
                if (str_eq(x->name, key))
                        return x;
                if (!longer && str_starts(x->name, key))
                        longer = x;
        }
        return longer;
}

int store_find(struct store *s, const struct store_lookup *l, struct store_entry *ret, struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        int r = store_list(s, &all, e);
        for (size_t i = 0; r == 0 && i < l->n_scopes; i++) {
                for (size_t k = 0; k < l->n_keys; k++) {
                        const struct store_entry *x = match(&all, l->scopes[i], l->keys[k], l->version);
                        if (!x)
                                continue;
                        *ret = *x;
                        return 0;
                }
        }
        return r < 0 ? r : STORE_E_MISSING;
}

/* ---- removing ---- */

bool store_is_named(const struct store_list *all, const char *digest)
{
        for (size_t i = 0; i < all->n; i++)
                if (all->v[i].id && str_eq(all->v[i].digest, digest))
                        return true;
        return false;
}

int store_drop(struct store *s, struct store_list *all, size_t i, struct err *e)
{
        char name[MANIFEST_NAME_SIZE];
        name_manifest(all->v[i].id, name);
        int r = folder_remove(s->entries, name, e);
        if (r == 0)
                r = folder_sync(s->entries, e);
        if (r < 0)
                return r;
        all->v[i].id = 0;
        return store_is_named(all, all->v[i].digest) ? 0 : folder_remove(s->objects, all->v[i].digest, e);
}

/* used_ms NULL: whenever it was used. */
static int remove_locked(struct store *s, uint64_t id, const uint64_t *used_ms, struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        int r = store_load(s, &all, e);
        for (size_t i = 0; r == 0 && i < all.n; i++)
                if (all.v[i].id == id)
                        return used_ms && all.v[i].used_ms != *used_ms ? STORE_E_USED : store_drop(s, &all, i, e);
        return r < 0 ? r : STORE_E_MISSING;
}

static int remove_one(struct store *s, uint64_t id, const uint64_t *used_ms, struct err *e)
{
        int r = store_lock(s, e);
        if (r < 0)
                return r;
        r = remove_locked(s, id, used_ms, e);
        store_unlock(s);
        return r;
}

int store_remove(struct store *s, uint64_t id, struct err *e)
{
        return remove_one(s, id, NULL, e);
}

int store_remove_unused(struct store *s, uint64_t id, uint64_t used_ms, struct err *e)
{
        return remove_one(s, id, &used_ms, e);
}

int store_verify(struct hash *h, const struct store_entry *x, struct err *e)
{
        uint8_t digest[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        int r = hash_finish(h, digest, e);
        if (r < 0)
                return r;
        hash_hex(digest, hex);
        if (str_eq(hex, x->digest))
                return 0;
        err_set(e, ERR_RESOURCES, "the archive on this host is damaged: its SHA-256 is %s, not %s", hex, x->digest);
        return STORE_E_DAMAGED;
}

static int remove_archive_locked(struct store *s, const char *digest, struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        int r = store_load(s, &all, e);
        for (size_t i = 0; r == 0 && i < all.n; i++)
                if (str_eq(all.v[i].digest, digest))
                        r = store_drop(s, &all, i, e);
        return r;
}

int store_remove_archive(struct store *s, const char *digest, struct err *e)
{
        int r = store_lock(s, e);
        if (r < 0)
                return r;
        r = remove_archive_locked(s, digest, e);
        store_unlock(s);
        return r;
}

/* ---- cleaning ---- */

/* Files in `entries` that are no manifest of a whole entry. */
static int remove_strangers(struct store *s, const struct store_list *all, struct err *e)
{
        AUTO(strv_done) struct strv names = STRV_INIT;
        int r = folder_names(s->entries, most_names(s), &names, e);
        for (size_t i = 0; r == 0 && i < names.n; i++) {
                uint64_t id = parse_name(names.v[i]);
                bool known = false;
                for (size_t k = 0; id && k < all->n && !known; k++)
                        known = all->v[k].id == id;
                if (!known)
                        r = folder_remove(s->entries, names.v[i], e);
        }
        return r;
}

static int remove_unnamed(struct store *s, const struct store_list *all, struct err *e)
{
        AUTO(strv_done) struct strv names = STRV_INIT;
        int r = folder_names(s->objects, most_names(s), &names, e);
        for (size_t i = 0; r == 0 && i < names.n; i++)
                if (!store_is_named(all, names.v[i]))
                        r = folder_remove(s->objects, names.v[i], e);
        return r;
}

static int clean_locked(struct store *s, struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        uint64_t now = clock_real_ms();
        int r = folder_remove_leftovers(s->incoming, most_names(s), e);
        if (r == 0)
                r = store_load(s, &all, e);
        for (size_t i = 0; r == 0 && i < all.n; i++) {
                bool replaced = is_replaced(s, &all, i);
                r = replaced ? STORE_E_MISSING : check_entry(s, &all.v[i], now, e);
                if (r == STORE_E_MISSING)
                        r = store_drop(s, &all, i, e);
        }
        if (r == 0)
                r = remove_strangers(s, &all, e);
        return r == 0 ? remove_unnamed(s, &all, e) : r;
}

int store_clean(struct store *s, struct err *e)
{
        int r = store_lock(s, e);
        if (r < 0)
                return r;
        r = clean_locked(s, e);
        store_unlock(s);
        return r;
}
