#include "cli/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/shelves.h"
#include "codec/json.h"

struct rundir {
        uint64_t number;
        char *path;
        int lock_fd;
};

struct rundir *rundir_free(struct rundir *d)
{
        if (!d)
                return NULL;
        fd_close(d->lock_fd);
        free(d->path);
        free(d);
        return NULL;
}

struct rundir *rundir_discard(struct rundir *d)
{
        struct err e = ERR_INIT;

        if (d && fs_remove_tree(d->path, &e) < 0)
                log_warning("%s", e.msg);
        return rundir_free(d);
}

uint64_t rundir_number(const struct rundir *d)
{
        return d->number;
}

/* The number that a folder name stands for, or 0. */
static uint64_t parse_number(const char *name)
{
        uint64_t n = 0;

        if (name[0] == '0' || strlen(name) > 15 || strspn(name, "0123456789") != strlen(name))
                return 0;
        return num_u64(name, 1, UINT64_MAX, "run", &n, NULL) == 0 ? n : 0;
}

static int find_largest(const char *name, void *user, struct err *e)
{
        uint64_t *largest = user, n = parse_number(name);

        (void)e;
        if (n > *largest)
                *largest = n;
        return 0;
}

/* STATE/runs/last: the largest number among the runs that were removed. 0: there is none. */
static int read_last(const char *runs, uint64_t *ret, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(runs, "last");
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = path ? fs_read(path, 32, &text, e) : err_nomem(e);

        *ret = 0;
        if (r != 0)
                return r == FS_E_MISSING ? 0 : r;
        const char *digits = buf_cstr(&text);
        return digits ? num_u64(digits, 1, UINT64_MAX, path, ret, e) : err_nomem(e);
}

/* Two removals at a time do it one after the other. */
static int write_last(const char *runs, uint64_t number, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(runs, "last");
        AUTO(auto_free) char *lock_path = fs_join(runs, ".lock");
        AUTO(auto_free) char *text = str_printf("%llu", (unsigned long long)number);
        AUTO(auto_close) int lock = -1;
        uint64_t last;

        if (!path || !lock_path || !text)
                return err_nomem(e);
        int r = fs_lock(lock_path, true, &lock, e);
        if (r == 0)
                r = read_last(runs, &last, e);
        return r < 0 || last >= number ? r : fs_write_atomic(path, text, strlen(text), 0600, e);
}

/* Make the folder; a name that is taken by a run that began in the same moment is passed over. */
static int make_folder(const char *runs, struct rundir *d, struct err *e)
{
        int r = read_last(runs, &d->number, e);

        if (r == 0)
                r = fs_list(runs, find_largest, &d->number, e);
        if (r < 0)
                return r;
        for (;;) {
                free(d->path);
                d->path = str_printf("%s/%llu", runs, (unsigned long long)++d->number);
                if (!d->path)
                        return err_nomem(e);
                if (mkdir(d->path, 0700) == 0)
                        return 0;
                if (errno != EEXIST)
                        return err_errno(e, ERR_RESOURCES, errno, "make the run's folder %s", d->path);
        }
}

int rundir_new(const char *state, struct rundir **ret, struct err *e)
{
        AUTO(auto_free) char *runs = fs_join(state, "runs");
        AUTO(rundir_freep) struct rundir *d = calloc(1, sizeof(*d));

        if (!runs || !d)
                return err_nomem(e);
        d->lock_fd = -1;
        int r = fs_mkdirs(runs, 0700, e);
        if (r == 0)
                r = make_folder(runs, d, e);
        if (r < 0)
                return r;
        AUTO(auto_free) char *lock = fs_join(d->path, "lock");
        if (!lock)
                return err_nomem(e);
        r = fs_lock(lock, true, &d->lock_fd, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

int rundir_adopt(const char *state, uint64_t number, struct rundir **ret, struct err *e)
{
        AUTO(rundir_freep) struct rundir *d = calloc(1, sizeof(*d));

        if (!d)
                return err_nomem(e);
        d->lock_fd = -1;
        d->number = number;
        d->path = str_printf("%s/runs/%llu", state, (unsigned long long)number);
        AUTO(auto_free) char *lock = d->path ? fs_join(d->path, "lock") : NULL;
        if (!lock)
                return err_nomem(e);
        if (!fs_exists(lock))
                return RUNDIR_E_MISSING;
        int r = fs_lock(lock, false, &d->lock_fd, e);
        if (r != 0)
                return r == FS_E_LOCKED ? RUNDIR_E_ALIVE : r;
        r = fs_remove_temporary(d->path, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

int rundir_mark(const struct rundir *d, const char *hash, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(d->path, "record");
        AUTO(auto_free) char *line = str_printf("%s\n", hash);

        return path && line ? fs_write_atomic(path, line, strlen(line), 0600, e) : err_nomem(e);
}

struct unmarked {
        const char *runs;
        int (*fn)(uint64_t number, void *user, struct err *e);
        void *user;
};

static int look_for_mark(const char *name, void *user, struct err *e)
{
        const struct unmarked *u = user;
        AUTO(auto_free) char *mark = str_printf("%s/%s/record", u->runs, name);
        uint64_t number = parse_number(name);

        if (!mark)
                return err_nomem(e);
        return number && !fs_exists(mark) ? u->fn(number, u->user, e) : 0;
}

int rundir_unmarked(const char *state, int (*fn)(uint64_t number, void *user, struct err *e), void *user, struct err *e)
{
        AUTO(auto_free) char *runs = fs_join(state, "runs");
        struct unmarked u = {runs, fn, user};
        int r = runs ? fs_list(runs, look_for_mark, &u, e) : err_nomem(e);

        return r == FS_E_MISSING ? 0 : r;
}

struct marked {
        const char *runs;
        int (*fn)(uint64_t number, const char *hash, void *user, struct err *e);
        void *user;
};

static int read_mark(const char *name, void *user, struct err *e)
{
        const struct marked *m = user;
        AUTO(auto_free) char *path = str_printf("%s/%s/record", m->runs, name);
        AUTO(buf_done) struct buf text = BUF_INIT;
        uint64_t number = parse_number(name);

        if (!path)
                return err_nomem(e);
        int r = number ? fs_read(path, 256, &text, e) : FS_E_MISSING;
        if (r != 0)
                return r == FS_E_MISSING ? 0 : r;
        char *hash = (char *)(uintptr_t)buf_cstr(&text);
        if (!hash)
                return err_nomem(e);
        hash[strcspn(hash, "\n")] = '\0';
        return m->fn(number, hash, m->user, e);
}

int rundir_marked(const char *state, int (*fn)(uint64_t number, const char *hash, void *user, struct err *e),
                  void *user, struct err *e)
{
        AUTO(auto_free) char *runs = fs_join(state, "runs");
        struct marked m = {runs, fn, user};
        int r = runs ? fs_list(runs, read_mark, &m, e) : err_nomem(e);

        return r == FS_E_MISSING ? 0 : r;
}

int rundir_write(const struct rundir *d, const struct json_t *record, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(d->path, "run.json");
        struct buf text = BUF_INIT_MAX(RUNDIR_MAX_RECORD);

        if (!path)
                return err_nomem(e);
        int r = json_write(record, JSON_WRITE_PRETTY, &text, e);
        if (r == 0)
                r = fs_write_atomic(path, text.data, text.len, 0600, e);
        buf_done(&text);
        return r;
}

int rundir_open_journal(const struct rundir *d, const char *key, int *ret_fd, char **ret_path, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/%s.journal", d->path, key);

        if (!path)
                return err_nomem(e);
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the journal %s", path);
        *ret_fd = fd;
        *ret_path = TAKE_PTR(path);
        return 0;
}

int rundir_write_spec(const struct rundir *d, const char *key, const void *text, size_t len, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/%s.spec.json", d->path, key);

        return path ? fs_write_atomic(path, text, len, 0600, e) : err_nomem(e);
}

void rundir_entry_done(struct rundir_entry *x)
{
        free(x->path);
        json_decref(x->record);
        *x = (struct rundir_entry){0};
}

/* A lock that cannot be taken is held by the run's own process. */
static bool is_alive(const char *path)
{
        AUTO(auto_free) char *lock = fs_join(path, "lock");
        AUTO(auto_close) int fd = -1;

        return lock && fs_exists(lock) && fs_lock(lock, false, &fd, NULL) == FS_E_LOCKED;
}

static int read_entry(const char *runs, uint64_t number, struct rundir_entry *ret, struct err *e)
{
        struct buf text = BUF_INIT_MAX(RUNDIR_MAX_RECORD);

        *ret = (struct rundir_entry){.number = number, .path = str_printf("%s/%llu", runs, (unsigned long long)number)};
        AUTO(auto_free) char *record = ret->path ? fs_join(ret->path, "run.json") : NULL;
        if (!record)
                return err_nomem(e);
        if (!fs_exists(ret->path))
                return RUNDIR_E_MISSING;
        ret->alive = is_alive(ret->path);
        if (fs_read(record, RUNDIR_MAX_RECORD, &text, NULL) == 0)
                json_parse(text.data, text.len, RUNDIR_MAX_RECORD, record, &ret->record, NULL);
        buf_done(&text);
        return 0;
}

int rundir_get(const char *state, uint64_t number, struct rundir_entry *ret, struct err *e)
{
        AUTO(auto_free) char *runs = fs_join(state, "runs");

        if (!runs)
                return err_nomem(e);
        int r = read_entry(runs, number, ret, e);
        if (r != 0)
                rundir_entry_done(ret);
        return r;
}

struct listing {
        const char *runs;
        struct rundir_entry *v;
        size_t n, cap;
};

static int add_entry(const char *name, void *user, struct err *e)
{
        struct listing *l = user;
        uint64_t number = parse_number(name);

        if (number == 0)
                return 0;
        if (l->n == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 32;
                struct rundir_entry *v = reallocarray(l->v, cap, sizeof(*v));
                if (!v)
                        return err_nomem(e);
                l->v = v;
                l->cap = cap;
        }
        int r = read_entry(l->runs, number, &l->v[l->n], e);
        if (r == 0)
                l->n++;
        else
                rundir_entry_done(&l->v[l->n]);
        return r < 0 ? r : 0; /* removed in this moment: not there */
}

static int newest_first(const void *a, const void *b)
{
        const struct rundir_entry *x = a, *y = b;

        return x->number > y->number ? -1 : x->number < y->number;
}

int rundir_list(const char *state, struct rundir_entry **ret, size_t *ret_n, struct err *e)
{
        AUTO(auto_free) char *runs = fs_join(state, "runs");
        struct listing l = {.runs = runs};

        if (!runs)
                return err_nomem(e);
        int r = fs_list(runs, add_entry, &l, e);
        if (r < 0) {
                while (l.n > 0)
                        rundir_entry_done(&l.v[--l.n]);
                free(l.v);
                return r;
        }
        if (l.n > 1)
                qsort(l.v, l.n, sizeof(*l.v), newest_first);
        *ret = l.v;
        *ret_n = l.n;
        return 0;
}

/* Renamed first, so that a removal that is cut off leaves no half of a run under its number. */
static int remove_folder(const char *state, const char *runs, const struct rundir_entry *x, struct err *e)
{
        AUTO(auto_free) char *doomed = str_printf("%s/.removed-%llu", runs, (unsigned long long)x->number);
        AUTO(auto_free) char *run = str_printf("%llu", (unsigned long long)x->number);

        if (!doomed || !run)
                return err_nomem(e);
        int r = fs_remove_tree(doomed, e);
        if (r == 0)
                r = write_last(runs, x->number, e);
        if (r == 0 && rename(x->path, doomed) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "remove %s", x->path);
        if (r == 0)
                r = fs_remove_tree(doomed, e);
        return r == 0 ? shelf_remove_artifacts(state, run, e) : r;
}

int rundir_remove(const char *state, uint64_t number, struct err *e)
{
        AUTO(auto_free) char *runs = fs_join(state, "runs");
        struct rundir_entry x;

        if (!runs)
                return err_nomem(e);
        int r = rundir_get(state, number, &x, e);
        if (r != 0)
                return r;
        if (x.alive)
                r = err_set(e, ERR_USAGE, "run %llu is still running; cancel it first", (unsigned long long)number);
        else
                r = remove_folder(state, runs, &x, e);
        rundir_entry_done(&x);
        return r;
}

/* Bytes on disk of the files of one run (a flat folder). */
static uint64_t folder_bytes(const char *path)
{
        DIR *dir = opendir(path);
        uint64_t total = 0;

        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                struct stat st;
                if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
                        total += (uint64_t)st.st_blocks * 512;
        }
        if (dir)
                closedir(dir);
        return total;
}

int rundir_prune(const char *state, struct err *e)
{
        AUTO(auto_free) char *runs = fs_join(state, "runs");
        struct rundir_entry *v = NULL;
        size_t n = 0;
        uint64_t bytes = 0;
        int removed = 0;

        if (!runs)
                return err_nomem(e);
        int r = rundir_list(state, &v, &n, e);
        for (size_t i = 0; i < n; i++) {
                bytes += folder_bytes(v[i].path);
                if (r == 0 && !v[i].alive && (i >= RUNDIR_MAX_RUNS || bytes > RUNDIR_MAX_BYTES)) {
                        r = remove_folder(state, runs, &v[i], e);
                        removed += r == 0;
                }
                rundir_entry_done(&v[i]);
        }
        free(v);
        return r < 0 ? r : removed;
}
