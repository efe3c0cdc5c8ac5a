#include "blob/shelves.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/hash.h"

#define MAX_PATH_TEXT 4096u /* bytes of the file `repository` */

static const struct store_limits artifact_limits = STORE_LIMITS_ARTIFACTS;
static const struct store_limits cache_limits = STORE_LIMITS_CACHES;

static char *kind_path(const char *state, const char *kind)
{
        return str_printf("%s/store/%s", state, kind);
}

static bool is_run(const char *name)
{
        return *name >= '1' && *name <= '9' && strlen(name) <= STORE_MAX_RUN &&
               strspn(name, "0123456789") == strlen(name);
}

static bool is_id(const char *name)
{
        return strlen(name) == SHELF_ID_SIZE - 1 && strspn(name, "0123456789abcdef") == SHELF_ID_SIZE - 1;
}

/* ---- making ---- */

static int make_shelf(const char *path, uid_t uid, struct err *e)
{
        struct stat st;
        uid_t owner = uid == (uid_t)-1 ? geteuid() : uid;
        int r = 0;
        if (lstat(path, &st) == 0 && (!S_ISDIR(st.st_mode) || st.st_uid != owner))
                r = fs_remove_tree(path, e);
        if (r == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
                r = err_errno(e, ERR_RESOURCES, errno, "make the folder %s", path);
        if (r == 0 && uid != (uid_t)-1 && lchown(path, uid, uid) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "give %s to user %u", path, (unsigned)uid);
        return r;
}

int shelf_make_artifacts(const char *state, const char *run, uid_t uid, char **ret, struct err *e)
{
        AUTO(auto_free) char *above = kind_path(state, "artifacts");
        AUTO(auto_free) char *path = above ? fs_join(above, run) : NULL;
        if (!path)
                return err_nomem(e);
        int r = fs_mkdirs(above, 0700, e);
        if (r == 0)
                r = make_shelf(path, uid, e);
        if (r == 0)
                *ret = TAKE_PTR(path);
        return r;
}

int shelf_repository_id(const char *repository, char ret[SHELF_ID_SIZE], struct err *e)
{
        uint8_t digest[HASH_SIZE];
        int r = hash_bytes(repository, strlen(repository), digest, e);
        if (r == 0)
                num_to_hex(digest, (SHELF_ID_SIZE - 1) / 2, ret);
        return r;
}

/* The folder of one repository, locked against removal. One that is removed in this moment is made again. */
static int make_repository(const char *path, const char *repository, int *ret_lock, struct err *e)
{
        AUTO(auto_free) char *lock = fs_join(path, "lock");
        AUTO(auto_free) char *text = fs_join(path, "repository");
        if (!lock || !text)
                return err_nomem(e);
        int r = fs_mkdirs(path, 0700, e);
        if (r == 0)
                r = fs_lock_shared(lock, ret_lock, e);
        if (r == FS_E_LOCKED)
                return err_set(e, ERR_RESOURCES, "the caches of this repository are being removed");
        if (r == 0 && !fs_exists(text))
                r = fs_write_atomic(text, repository, strlen(repository), 0600, e);
        return r;
}

int shelf_make_caches(const char *state, const char *repository, uid_t uid, char **ret, int *ret_lock, struct err *e)
{
        char id[SHELF_ID_SIZE];
        AUTO(auto_close) int lock = -1;
        int r = shelf_repository_id(repository, id, e);
        if (r < 0)
                return r;
        AUTO(auto_free) char *path = str_printf("%s/store/caches/%s", state, id);
        AUTO(auto_free) char *shelf = path ? fs_join(path, "data") : NULL;
        if (!shelf)
                return err_nomem(e);
        r = make_repository(path, repository, &lock, e);
        if (r == 0)
                r = make_shelf(shelf, uid, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(shelf);
        *ret_lock = TAKE_FD(lock);
        return 0;
}

/* ---- looking ---- */

int shelf_open_artifacts(const char *state, const char *run, struct store **ret, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/store/artifacts/%s", state, run);
        const struct store_config c = {.folder = path, .kind = STORE_ARTIFACTS, .limits = artifact_limits};
        return path ? store_open(&c, ret, e) : err_nomem(e);
}

int shelf_open_caches(const char *state, const char *id, struct store **ret, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/store/caches/%s/data", state, id);
        const struct store_config c = {.folder = path, .kind = STORE_CACHES, .limits = cache_limits};
        return path ? store_open(&c, ret, e) : err_nomem(e);
}

int shelf_remove_artifacts(const char *state, const char *run, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/store/artifacts/%s", state, run);
        return path ? fs_remove_tree(path, e) : err_nomem(e);
}

static int newest_run_first(const void *a, const void *b)
{
        const char *x = *(char *const *)a, *y = *(char *const *)b;
        size_t n = strlen(x), m = strlen(y);
        return n == m ? -strcmp(x, y) : n < m ? 1 : -1;
}

static int collect_run(const char *name, void *user, struct err *e)
{
        return is_run(name) ? strv_add(user, name, e) : 0;
}

int shelf_runs(const char *state, struct strv *ret, struct err *e)
{
        AUTO(auto_free) char *above = kind_path(state, "artifacts");
        int r = above ? fs_list(above, collect_run, ret, e) : err_nomem(e);
        if (r >= 0 && ret->n)
                qsort(ret->v, ret->n, sizeof(*ret->v), newest_run_first);
        return r < 0 ? r : 0;
}

void shelf_repositories_free(struct shelf_repository *v, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(v[i].path);
        free(v);
}

struct listing {
        const char *above;
        struct shelf_repository *v;
        size_t n;
};

static int add_repository(const char *name, void *user, struct err *e)
{
        struct listing *l = user;
        AUTO(buf_done) struct buf text = BUF_INIT;
        if (!is_id(name))
                return 0;
        struct shelf_repository *v = reallocarray(l->v, l->n + 1, sizeof(*v));
        AUTO(auto_free) char *file = str_printf("%s/%s/repository", l->above, name);
        if (v)
                l->v = v;
        if (!v || !file)
                return err_nomem(e);
        const char *path = fs_read(file, MAX_PATH_TEXT, &text, NULL) == 0 ? buf_cstr(&text) : "";
        v[l->n] = (struct shelf_repository){.path = path ? str_dup(path) : NULL};
        str_copy(v[l->n].id, sizeof(v[l->n].id), name);
        return v[l->n++].path ? 0 : err_nomem(e);
}

int shelf_repositories(const char *state, struct shelf_repository **ret, size_t *ret_n, struct err *e)
{
        AUTO(auto_free) char *above = kind_path(state, "caches");
        struct listing l = {.above = above};
        int r = above ? fs_list(above, add_repository, &l, e) : err_nomem(e);
        if (r < 0) {
                shelf_repositories_free(l.v, l.n);
                return r;
        }
        *ret = l.v;
        *ret_n = l.n;
        return 0;
}

/* ---- bounds over all: artifacts ---- */

struct prune {
        const char *state;
        const struct shelves_limits *limits;
        bool (*keep)(const char *run, void *user);
        void *user;
        const char *protected;
        struct shelves_pruned *ret;
};

static uint64_t bytes_of(const struct store_list *l)
{
        uint64_t bytes = 0;
        for (size_t i = 0; i < l->n; i++)
                bytes += l->v[i].bytes;
        return bytes;
}

static int remove_run(struct prune *p, const char *run, uint64_t bytes, struct err *e)
{
        int r = shelf_remove_artifacts(p->state, run, e);
        p->ret->runs += r == 0;
        p->ret->bytes += r == 0 ? bytes : 0;
        return r;
}

/* Bytes of one run's artifacts, once what is past its end is gone. */
static int weigh_run(struct prune *p, const char *run, uint64_t *ret, struct err *e)
{
        AUTO(store_freep) struct store *s = NULL;
        AUTO(store_list_done) struct store_list l = {0};
        *ret = 0;
        int r = shelf_open_artifacts(p->state, run, &s, e);
        if (r == 0)
                r = store_clean(s, e);
        if (r == 0)
                r = store_list(s, &l, e);
        *ret = bytes_of(&l);
        return r < 0 ? r : 0;
}

static int prune_artifacts(struct prune *p, struct err *e)
{
        AUTO(strv_done) struct strv runs = STRV_INIT;
        uint64_t total = 0;
        int r = shelf_runs(p->state, &runs, e);
        for (size_t i = 0; r == 0 && i < runs.n; i++) {
                uint64_t bytes = 0;
                if (str_eq(runs.v[i], p->protected))
                        continue;
                if (!p->keep(runs.v[i], p->user)) {
                        r = remove_run(p, runs.v[i], 0, e);
                        continue;
                }
                r = weigh_run(p, runs.v[i], &bytes, e);
                if (r == 0 && bytes > p->limits->all_artifacts - total)
                        r = remove_run(p, runs.v[i], bytes, e);
                else
                        total += bytes;
        }
        return r;
}

/* ---- bounds over all: caches ---- */

/* One cache of any repository. */
struct cache {
        size_t repository; /* index */
        uint64_t id, bytes, used_ms;
};

struct caches {
        struct cache *v;
        size_t n;
        uint64_t bytes;
};

static int add_caches(struct caches *all, size_t repository, const struct store_list *l, struct err *e)
{
        struct cache *v = reallocarray(all->v, all->n + l->n + 1, sizeof(*v));
        if (!v)
                return err_nomem(e);
        all->v = v;
        for (size_t i = 0; i < l->n; i++)
                v[all->n++] = (struct cache){repository, l->v[i].id, l->v[i].bytes, l->v[i].used_ms};
        all->bytes += bytes_of(l);
        return 0;
}

static int weigh_repository(const struct prune *p, const struct shelf_repository *x, size_t i, struct caches *all,
                            struct err *e)
{
        AUTO(store_freep) struct store *s = NULL;
        AUTO(store_list_done) struct store_list l = {0};
        int r = shelf_open_caches(p->state, x->id, &s, e);
        if (r == 0)
                r = store_clean(s, e);
        if (r == 0)
                r = store_list(s, &l, e);
        return r == 0 ? add_caches(all, i, &l, e) : r < 0 ? r : 0;
}

static int least_used_first(const void *a, const void *b)
{
        const struct cache *x = a, *y = b;
        return x->used_ms < y->used_ms ? -1 : x->used_ms > y->used_ms;
}

static int evict(const struct prune *p, const struct shelf_repository *x, const struct cache *c, struct err *e)
{
        AUTO(store_freep) struct store *s = NULL;
        int r = shelf_open_caches(p->state, x->id, &s, e);
        if (r == 0)
                r = store_remove_unused(s, c->id, c->used_ms, e);
        p->ret->caches += r == 0;
        p->ret->bytes += r == 0 ? c->bytes : 0;
        return r;
}

/* What is unused for too long, and then the least recently used ones until the others fit. One that a run uses now
 * stays. */
static int evict_these(const struct prune *p, const struct shelf_repository *v, struct caches *all,
                       const struct caches_prune *what, struct err *e)
{
        uint64_t now = clock_real_ms();
        if (all->n)
                qsort(all->v, all->n, sizeof(*all->v), least_used_first);
        for (size_t i = 0; i < all->n; i++) {
                struct cache *c = &all->v[i];
                bool unused = c->used_ms <= now && now - c->used_ms >= what->max_unused_ms;
                if (!unused && all->bytes <= what->max_bytes)
                        break;
                int r = evict(p, &v[c->repository], c, e);
                if (r < 0)
                        return r;
                if (r == STORE_E_USED)
                        continue;
                all->bytes -= c->bytes;
                c->id = 0;
        }
        return 0;
}

/* A repository without a cache, or past the number that is kept: all of it, unless a run holds it. */
static int remove_repository(struct prune *p, const struct shelf_repository *x, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/store/caches/%s", p->state, x->id);
        AUTO(auto_free) char *lock = path ? fs_join(path, "lock") : NULL;
        AUTO(auto_close) int fd = -1;
        int r = lock ? fs_lock(lock, false, &fd, e) : err_nomem(e);
        if (r == FS_E_LOCKED)
                return 0;
        if (r == 0)
                r = fs_remove_tree(path, e);
        p->ret->repositories += r == 0;
        return r;
}

/* When something in it was last used; 0: nothing is in it. */
static uint64_t last_use(const struct caches *all, size_t repository)
{
        uint64_t last = 0;
        for (size_t i = 0; i < all->n; i++)
                if (all->v[i].id && all->v[i].repository == repository)
                        last = MAX(last, all->v[i].used_ms);
        return last;
}

static int prune_repositories(struct prune *p, const struct shelf_repository *v, size_t n, const struct caches *all,
                              struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++) {
                uint64_t own = last_use(all, i);
                size_t newer = 0;
                for (size_t k = 0; k < n; k++)
                        newer += k != i && last_use(all, k) > own;
                if (own == 0 || newer >= p->limits->max_repositories)
                        r = remove_repository(p, &v[i], e);
        }
        return r;
}

/* Every cache of these repositories, once what is past its end is gone; all->v is malloc'd. */
static int weigh(const struct prune *p, const struct shelf_repository *v, size_t n, const char *only,
                 struct caches *all, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                if (!only || str_eq(only, v[i].id))
                        r = weigh_repository(p, &v[i], i, all, e);
        return r;
}

static int prune_these(struct prune *p, const struct shelf_repository *v, size_t n, struct err *e)
{
        const struct caches_prune what = {.max_unused_ms = UINT64_MAX, .max_bytes = p->limits->all_caches};
        struct caches all = {0};
        int r = weigh(p, v, n, NULL, &all, e);
        if (r == 0)
                r = evict_these(p, v, &all, &what, e);
        if (r == 0)
                r = prune_repositories(p, v, n, &all, e);
        free(all.v);
        return r;
}

static int prune_caches(struct prune *p, struct err *e)
{
        struct shelf_repository *v = NULL;
        size_t n = 0;
        int r = shelf_repositories(p->state, &v, &n, e);
        if (r == 0)
                r = prune_these(p, v, n, e);
        shelf_repositories_free(v, n);
        return r;
}

static void count_left(const struct caches *all, struct caches_left *ret)
{
        *ret = (struct caches_left){.bytes = all->bytes};
        for (size_t i = 0; i < all->n; i++)
                ret->caches += all->v[i].id != 0;
}

int shelves_prune_caches(const char *state, const struct caches_prune *what, struct shelves_pruned *ret,
                         struct caches_left *ret_left, struct err *e)
{
        const struct prune p = {.state = state, .ret = ret};
        struct shelf_repository *v = NULL;
        struct caches all = {0};
        size_t n = 0;
        *ret = (struct shelves_pruned){0};
        int r = shelf_repositories(state, &v, &n, e);
        if (r == 0)
                r = weigh(&p, v, n, what->id, &all, e);
        if (r == 0)
                r = evict_these(&p, v, &all, what, e);
        count_left(&all, ret_left);
        shelf_repositories_free(v, n);
        free(all.v);
        return r;
}

int shelves_prune(const char *state, const struct shelves_limits *l, bool (*keep)(const char *run, void *user),
                  void *user, const char *protected, struct shelves_pruned *ret, struct err *e)
{
        struct shelves_pruned unused, *count = ret ? ret : &unused;
        struct prune p = {
                .state = state, .limits = l, .keep = keep, .user = user, .protected = protected, .ret = count};
        *count = (struct shelves_pruned){0};
        int r = prune_artifacts(&p, e);
        return r < 0 ? r : prune_caches(&p, e);
}
