#include "service/caches.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"
#include "blob/store.h"
#include "codec/hash.h"
#include "codec/tar.h"
#include "service/limits.h"
#include "service/upload.h"
#include "service/uploads.h"

#define FILE_NAME "archive" /* in the shelf's tar */
#define VERSION_SALT "@actions/cache\n"

struct caches {
        struct caches_config config;
        uint64_t told[SERVICE_MAX_DOWNLOADS]; /* ids; a ring */
        size_t n_told;
};

int caches_new(const struct caches_config *config, struct caches **ret, struct err *e)
{
        struct caches *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        c->config = *config;
        *ret = c;
        return 0;
}

struct caches *caches_free(struct caches *c)
{
        free(c);
        return NULL;
}

/* ---- names ---- */

static int check_key(const char *key, struct err *e)
{
        const char *problem = cache_key_problem(key);
        return problem ? err_set(e, ERR_USAGE, "the key of a cache %s", problem) : 0;
}

/* The version in the shelf. */
static int own_version(const char *version, char ret[HASH_HEX_SIZE], struct err *e)
{
        char text[sizeof(VERSION_SALT) + HASH_HEX_SIZE] = VERSION_SALT;
        uint8_t digest[HASH_SIZE];
        if (!digest_is_valid(version))
                return err_set(e, ERR_USAGE, "the version of a cache is none");
        memcpy(text + sizeof(VERSION_SALT) - 1, version, HASH_HEX_SIZE);
        int r = hash_bytes(text, strlen(text), digest, e);
        if (r == 0)
                hash_hex(digest, ret);
        return r;
}

/* ---- saving ---- */

static int is_taken(struct caches *c, const char *key, const char *version, struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        int r = store_list(c->config.store, &all, e);
        for (size_t i = 0; r == 0 && i < all.n; i++)
                if (str_eq(all.v[i].name, key) && str_eq(all.v[i].version, version) &&
                    str_eq(all.v[i].scope, c->config.scopes[0]))
                        return CACHES_E_EXISTS;
        return r;
}

int caches_create(struct caches *c, const char *key, const char *version, char ret_token[UPLOADS_TOKEN_SIZE],
                  struct err *e)
{
        struct upload_what what = {.kind = UPLOAD_CACHE};
        int r = check_key(key, e);
        if (r == 0)
                r = own_version(version, what.version, e);
        if (r < 0)
                return r;
        if (uploads_named(c->config.uploads, UPLOAD_CACHE, key, what.version, NULL))
                return CACHES_E_EXISTS;
        r = is_taken(c, key, what.version, e);
        if (r != 0)
                return r;
        str_copy(what.name, sizeof(what.name), key);
        return uploads_begin(c->config.uploads, &what, CACHE_MAX_BYTES, ret_token, e);
}

static int put_bytes(const void *data, size_t len, void *user, struct err *e)
{
        return store_put_write(user, data, len, e);
}

static int put_all(struct store_put *put, struct upload *u, struct err *e)
{
        static const uint8_t zeros[TAR_BLOCK];
        const struct tar_entry entry = {
                .type = TAR_FILE, .name = FILE_NAME, .link = "", .mode = 0644, .size = upload_size(u)};
        AUTO(buf_done) struct buf head = BUF_INIT;
        AUTO(buf_done) struct buf tail = BUF_INIT;
        int r = tar_write_entry(&entry, &head, e);
        if (r == 0)
                r = buf_append(&tail, zeros, tar_padding(entry.size), e);
        if (r == 0)
                r = tar_write_end(&tail, e);
        if (r == 0)
                r = store_put_write(put, head.data, head.len, e);
        if (r == 0)
                r = upload_read(u, put_bytes, put, e);
        return r < 0 ? r : store_put_write(put, tail.data, tail.len, e);
}

static int save(struct caches *c, const char *key, const char *version, struct upload *u, uint64_t *ret_id,
                struct err *e)
{
        const struct store_what what = {.name = key,
                                        .scope = c->config.scopes[0],
                                        .version = version,
                                        .run = c->config.run,
                                        .job = c->config.job};
        AUTO(store_put_freep) struct store_put *put = NULL;
        struct store_entry x;
        int r = store_put_new(c->config.store, &what, &put, e);
        if (r == 0)
                r = put_all(put, u, e);
        if (r == 0)
                r = store_put_commit(put, &x, e);
        if (r == 0)
                *ret_id = x.id;
        return r == STORE_E_EXISTS ? CACHES_E_EXISTS : r;
}

int caches_finalize(struct caches *c, const char *key, const char *version, uint64_t size, uint64_t *ret_id,
                    struct err *e)
{
        char own[HASH_HEX_SIZE];
        int r = own_version(version, own, e);
        struct upload *u = r == 0 ? uploads_named(c->config.uploads, UPLOAD_CACHE, key, own, NULL) : NULL;
        if (r < 0)
                return r;
        if (!u)
                return CACHES_E_MISSING;
        r = upload_check(u, size, e);
        if (r == 0)
                r = save(c, key, own, u, ret_id, e);
        uploads_end(c->config.uploads, u);
        return r;
}

/* ---- looking ---- */

/* Where the client's archive lies in the shelf's. false: the entry is none of ours. */
static bool place_of(const struct store_entry *x, uint64_t *ret_at)
{
        uint64_t tail = 2 * TAR_BLOCK + tar_padding(x->content);
        if (x->files != 1 || x->content > x->bytes || x->bytes - x->content < tail + TAR_BLOCK)
                return false;
        *ret_at = x->bytes - x->content - tail;
        return true;
}

static bool was_told(const struct caches *c, uint64_t id)
{
        for (size_t i = 0; i < MIN(c->n_told, SERVICE_MAX_DOWNLOADS); i++)
                if (c->told[i] == id)
                        return true;
        return false;
}

int caches_open(struct caches *c, uint64_t id, int *ret_fd, uint64_t *ret_at, uint64_t *ret_size, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct store_entry x;
        if (!was_told(c, id))
                return CACHES_E_MISSING;
        int r = store_read(c->config.store, id, &x, &fd, e);
        if (r == STORE_E_MISSING || (r == 0 && !place_of(&x, ret_at)))
                return CACHES_E_MISSING;
        if (r < 0)
                return r;
        *ret_size = x.content;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Bytes that rotted are not given as what they were. */
static int check_archive(struct caches *c, const struct store_entry *x, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint8_t digest[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        struct store_entry same;
        int r = store_read(c->config.store, x->id, &same, &fd, e);
        if (r != 0)
                return r == STORE_E_MISSING ? CACHES_E_MISSING : r;
        r = hash_fd(fd, "an archive of the store", digest, NULL, e);
        if (r < 0)
                return r;
        hash_hex(digest, hex);
        if (str_eq(hex, same.digest))
                return 0;
        store_remove_archive(c->config.store, same.digest, NULL);
        return CACHES_E_MISSING;
}

int caches_lookup(struct caches *c, const char *const *keys, size_t n, const char *version, uint64_t *ret_id,
                  char ret_key[STORE_MAX_KEY + 1], struct err *e)
{
        char own[HASH_HEX_SIZE];
        struct store_entry x;
        int r = own_version(version, own, e);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = check_key(keys[i], e);
        const struct store_lookup l = {
                .keys = keys, .n_keys = n, .scopes = c->config.scopes, .n_scopes = c->config.n_scopes, .version = own};
        if (r == 0)
                r = store_find(c->config.store, &l, &x, e);
        if (r == STORE_E_MISSING)
                return CACHES_E_MISSING;
        if (r == 0)
                r = check_archive(c, &x, e);
        if (r != 0)
                return r;
        c->told[c->n_told++ % SERVICE_MAX_DOWNLOADS] = x.id;
        *ret_id = x.id;
        str_copy(ret_key, STORE_MAX_KEY + 1, x.name);
        return 0;
}
