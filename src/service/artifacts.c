#include "service/artifacts.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/direct.h"
#include "blob/names.h"
#include "blob/store.h"
#include "service/limits.h"
#include "service/repack.h"
#include "service/upload.h"

/* What is known of an archive that was read; archives do not change. */
struct weight {
        uint64_t id; /* 0: free */
        uint64_t bytes, at;
        char digest[HASH_HEX_SIZE];
        bool damaged;
};

struct artifacts {
        struct artifacts_config config;
        struct weight weights[ARTIFACT_MAX_ENTRIES]; /* a ring */
        size_t n_weights;
};

CLEANUP_DEFINE(struct hash, hash_free)
CLEANUP_DEFINE(struct tar_to_zip, tar_to_zip_free)

int artifacts_new(const struct artifacts_config *config, struct artifacts **ret, struct err *e)
{
        struct artifacts *a = calloc(1, sizeof(*a));
        if (!a)
                return err_nomem(e);
        a->config = *config;
        *ret = a;
        return 0;
}

struct artifacts *artifacts_free(struct artifacts *a)
{
        free(a);
        return NULL;
}

static int check_name(const char *name, struct err *e)
{
        const char *problem = artifact_name_problem(name);
        return problem ? err_set(e, ERR_USAGE, "the artifact name is not valid: it %s", problem) : 0;
}

/* ---- the shelf ---- */

/* STORE_E_MISSING: nothing was ever put there. */
static int open_shelf(const struct artifacts *a, struct store **ret, struct err *e)
{
        const struct store_config c = {
                .folder = a->config.folder, .kind = STORE_ARTIFACTS, .limits = STORE_LIMITS_ARTIFACTS};
        return store_open(&c, ret, e);
}

static int list_shelf(const struct artifacts *a, struct store_list *ret, struct err *e)
{
        AUTO(store_freep) struct store *shelf = NULL;
        int r = open_shelf(a, &shelf, e);
        *ret = (struct store_list){0};
        if (r == STORE_E_MISSING)
                return 0;
        return r < 0 ? r : store_list(shelf, ret, e);
}

/* ARTIFACTS_E_MISSING. */
static int find(const struct artifacts *a, const char *name, struct store_entry *ret, struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        int r = list_shelf(a, &all, e);
        for (size_t i = 0; r == 0 && i < all.n; i++) {
                if (!str_eq(all.v[i].name, name))
                        continue;
                *ret = all.v[i];
                return 0;
        }
        return r < 0 ? r : ARTIFACTS_E_MISSING;
}

/* ---- uploads ---- */

int artifacts_create(struct artifacts *a, const char *name, const char *type, uint32_t days,
                     char ret_token[UPLOADS_TOKEN_SIZE], struct err *e)
{
        struct upload_what what = {.kind = UPLOAD_ARTIFACT, .days = days};
        struct store_entry there;
        int r = check_name(name, e);
        if (r == 0 && *type && !artifact_type_is_valid(type))
                r = err_set(e, ERR_USAGE, "mime_type: expected a MIME type");
        if (r == 0)
                r = find(a, name, &there, e);
        if (r != ARTIFACTS_E_MISSING)
                return r < 0 ? r : ARTIFACTS_E_EXISTS;
        uploads_end(a->config.uploads, uploads_named(a->config.uploads, UPLOAD_ARTIFACT, name, "", NULL));
        str_copy(what.name, sizeof(what.name), name);
        str_copy(what.type, sizeof(what.type), type);
        return uploads_begin(a->config.uploads, &what, ARTIFACT_MAX_BYTES, ret_token, e);
}

static int add_to_hash(const void *data, size_t len, void *user, struct err *e)
{
        return hash_add(user, data, len, e);
}

static int check_digest(struct upload *u, const char *digest, struct err *e)
{
        AUTO(hash_freep) struct hash *h = NULL;
        uint8_t sum[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        int r = hash_new(&h, e);
        if (r == 0)
                r = upload_read(u, add_to_hash, h, e);
        if (r == 0)
                r = hash_finish(h, sum, e);
        if (r < 0)
                return r;
        hash_hex(sum, hex);
        return str_eq(hex, digest)
                       ? 0
                       : err_set(e, ERR_USAGE, "the upload is not what was announced: its SHA-256 is %s", hex);
}

static int read_upload(void *user, uint64_t at, void *data, size_t len, struct err *e)
{
        return upload_read_at(user, at, data, len, e);
}

static int give(const void *data, size_t len, void *user, struct err *e)
{
        return store_direct_write(user, data, len, e);
}

static int repack(struct upload *u, const struct upload_what *w, struct store_direct *store, struct err *e)
{
        uint64_t size = upload_size(u), now = clock_real_ms();
        return *w->type ? file_to_tar(read_upload, u, size, w->name, now, give, store, e)
                        : zip_to_tar(read_upload, u, size, now, give, store, e);
}

static int save(struct artifacts *a, struct upload *u, const struct upload_what *w, uint64_t *ret_id, struct err *e)
{
        const struct direct_what what = {.name = w->name, .type = w->type, .days = w->days};
        int r = store_direct_begin(a->config.store, &what, e);
        if (r != 0)
                return r == DIRECT_E_EXISTS ? ARTIFACTS_E_EXISTS : r;
        r = repack(u, w, a->config.store, e);
        if (r < 0) {
                store_direct_end(a->config.store, false, NULL, NULL);
                return r;
        }
        r = store_direct_end(a->config.store, true, ret_id, e);
        return r == DIRECT_E_EXISTS ? ARTIFACTS_E_EXISTS : r;
}

int artifacts_finalize(struct artifacts *a, const char *name, uint64_t size, const char *digest, uint64_t *ret_id,
                       struct err *e)
{
        const struct upload_what *what = NULL;
        struct upload *u = uploads_named(a->config.uploads, UPLOAD_ARTIFACT, name, "", &what);
        if (!u)
                return ARTIFACTS_E_MISSING;
        int r = upload_check(u, size, e);
        if (r == 0 && digest)
                r = check_digest(u, digest, e);
        if (r == 0)
                r = save(a, u, what, ret_id, e);
        uploads_end(a->config.uploads, u);
        return r;
}

/* ---- what is there ---- */

static int weigh_zip(int fd, const struct store_entry *x, struct hash *h, uint64_t *ret_bytes, struct err *e)
{
        AUTO(tar_to_zip_freep) struct tar_to_zip *z = NULL;
        AUTO(buf_done) struct buf piece = BUF_INIT;
        int r = tar_to_zip_new(fd, x->bytes, x->files, &z, e);
        for (*ret_bytes = 0; r == 0; *ret_bytes += piece.len) {
                buf_clear(&piece);
                r = tar_to_zip_next(z, &piece, e);
                if (r == 0 && piece.len == 0)
                        return 0;
                if (r == 0)
                        r = hash_add(h, piece.data, piece.len, e);
        }
        return r;
}

static int hash_part(int fd, uint64_t at, uint64_t size, struct hash *h, struct err *e)
{
        int r = 0;
        for (uint64_t done = 0; r == 0 && done < size;) {
                uint8_t chunk[SERVICE_CHUNK];
                size_t n = (size_t)MIN((uint64_t)sizeof(chunk), size - done);
                r = fd_read_at(fd, at + done, chunk, n, "an artifact of the store", e);
                if (r == 0)
                        r = hash_add(h, chunk, n, e);
                done += n;
        }
        return r;
}

static int weigh_form(int fd, const struct store_entry *x, struct weight *w, struct err *e)
{
        AUTO(hash_freep) struct hash *h = NULL;
        uint8_t sum[HASH_SIZE];
        int r = hash_new(&h, e);
        if (r == 0 && *x->type)
                r = tar_only_file(fd, x->bytes, &w->at, &w->bytes, e);
        if (r == 0)
                r = *x->type ? hash_part(fd, w->at, w->bytes, h, e) : weigh_zip(fd, x, h, &w->bytes, e);
        if (r == 0)
                r = hash_finish(h, sum, e);
        if (r == 0)
                hash_hex(sum, w->digest);
        return r;
}

/* Bytes that rotted are not given as what they were. */
static int weigh(struct store *shelf, uint64_t id, struct weight *w, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint8_t sum[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        struct store_entry x;
        int r = store_read(shelf, id, &x, &fd, e);
        if (r != 0)
                return r == STORE_E_MISSING ? ARTIFACTS_E_MISSING : r;
        r = hash_fd(fd, "an artifact of the store", sum, NULL, e);
        if (r < 0)
                return r;
        *w = (struct weight){.id = id};
        hash_hex(sum, hex);
        w->damaged = !str_eq(hex, x.digest);
        if (w->damaged)
                log_warning("the artifact %llu is damaged", (unsigned long long)id);
        return w->damaged ? 0 : weigh_form(fd, &x, w, e);
}

static const struct weight *known(const struct artifacts *a, uint64_t id)
{
        for (size_t i = 0; i < MIN(a->n_weights, (size_t)ARTIFACT_MAX_ENTRIES); i++)
                if (a->weights[i].id == id)
                        return &a->weights[i];
        return NULL;
}

static void take_weight(struct artifact *x, const struct weight *w)
{
        x->bytes = w->bytes;
        x->at = w->at;
        str_copy(x->digest, sizeof(x->digest), w->digest);
}

/* ARTIFACTS_E_MISSING: damaged, or removed meanwhile. */
static int weigh_known(struct artifacts *a, struct store *shelf, struct artifact *x, struct err *e)
{
        const struct weight *w = known(a, x->entry.id);
        struct weight fresh;
        if (!w) {
                int r = weigh(shelf, x->entry.id, &fresh, e);
                if (r != 0)
                        return r;
                a->weights[a->n_weights++ % ARTIFACT_MAX_ENTRIES] = fresh;
                w = &fresh;
        }
        take_weight(x, w);
        return w->damaged ? ARTIFACTS_E_MISSING : 0;
}

void artifact_list_done(struct artifact_list *l)
{
        free(l->v);
        *l = (struct artifact_list){0};
}

static int fill(struct artifacts *a, struct store *shelf, const char *name, uint64_t id, struct artifact_list *ret,
                struct err *e)
{
        AUTO(store_list_done) struct store_list all = {0};
        int r = store_list(shelf, &all, e);
        ret->v = r == 0 ? calloc(all.n + 1, sizeof(*ret->v)) : NULL;
        if (r == 0 && !ret->v)
                r = err_nomem(e);
        for (size_t i = 0; r == 0 && i < all.n; i++) {
                struct artifact *x = &ret->v[ret->n];
                x->entry = all.v[i];
                if ((name && !str_eq(name, x->entry.name)) || (id && id != x->entry.id))
                        continue;
                r = weigh_known(a, shelf, x, e);
                ret->n += r == 0;
                if (r == ARTIFACTS_E_MISSING)
                        r = 0;
        }
        return r;
}

int artifacts_list(struct artifacts *a, const char *name, uint64_t id, struct artifact_list *ret, struct err *e)
{
        AUTO(store_freep) struct store *shelf = NULL;
        *ret = (struct artifact_list){0};
        int r = open_shelf(a, &shelf, e);
        if (r == STORE_E_MISSING)
                return 0;
        if (r == 0)
                r = fill(a, shelf, name, id, ret, e);
        if (r < 0)
                artifact_list_done(ret);
        return r;
}

int artifacts_open(struct artifacts *a, uint64_t id, struct artifact *ret, int *ret_fd, struct err *e)
{
        AUTO(store_freep) struct store *shelf = NULL;
        const struct weight *w = known(a, id);
        if (!w || w->damaged)
                return ARTIFACTS_E_MISSING;
        int r = open_shelf(a, &shelf, e);
        if (r == 0)
                r = store_read(shelf, id, &ret->entry, ret_fd, e);
        if (r == 0)
                take_weight(ret, w);
        return r == STORE_E_MISSING ? ARTIFACTS_E_MISSING : r;
}

int artifacts_remove(struct artifacts *a, const char *name, uint64_t *ret_id, struct err *e)
{
        struct store_entry x;
        int r = find(a, name, &x, e);
        if (r != 0)
                return r;
        *ret_id = x.id;
        return store_direct_remove(a->config.store, x.id, e);
}
