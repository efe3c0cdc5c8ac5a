#include "job/hash_files.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/hash.h"
#include "job/context.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/step.h"
#include "job/texts.h"
#include "workflow/fileglob.h"
#include "workflow/value.h"

#define HOME "/home/runner"
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define FOLLOW "--follow-symbolic-links"
#define BATCH_FILES 2000u               /* digested by one process */
#define BATCH_BYTES ((size_t)256 << 10) /* of their names */
#define FAILED '!'                      /* begins what is known of patterns that have no digest */

/* A file that is named; the path is in the list. */
struct file {
        const char *path;
        size_t search; /* which search path it was found by */
};

struct hash_files {
        struct step *step;
        struct map *known; /* patterns to digest, "" or FAILED and why */
        char *wanted;      /* patterns, each on a line */
        int (*again)(struct step *s, struct err *e);
        struct fileglob *glob;
        struct buf list; /* NUL-terminated paths */
        struct file *files;
        size_t n_files, at, batch; /* batch: how many of them are being digested, from `at` on */
        struct buf sums;           /* what sha256sum says */
        struct hash *hash;
        struct op *exec;
        bool too_long;
};

struct hash_files *hash_files_free(struct hash_files *h)
{
        if (!h)
                return NULL;
        map_free(h->known);
        free(h->wanted);
        fileglob_free(h->glob);
        hash_free(h->hash);
        free(h->files);
        buf_done(&h->list);
        buf_done(&h->sums);
        free(h);
        return NULL;
}

void hash_files_forget(struct step *s)
{
        s->hashes = hash_files_free(s->hashes);
}

bool hash_files_wanted(const struct step *s)
{
        return s->hashes && s->hashes->wanted;
}

void hash_files_interrupt(struct step *s)
{
        struct err e = ERR_INIT;
        if (s->hashes && s->hashes->exec && op_signal(s->hashes->exec, SIGTERM, &e) < 0)
                job_fail(s->job, &e);
}

/* ---- what an evaluation asks ---- */

static int make(struct step *s, struct err *e)
{
        if (s->hashes)
                return 0;
        s->hashes = calloc(1, sizeof(*s->hashes));
        if (!s->hashes)
                return err_nomem(e);
        s->hashes->step = s;
        return texts_new(&s->hashes->known, e);
}

static char *join(const char *const *patterns, size_t n)
{
        struct buf b = BUF_INIT;
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = buf_printf(&b, NULL, "%s%s", i ? "\n" : "", patterns[i]);
        char *text = r == 0 ? buf_take_str(&b) : NULL;
        buf_done(&b);
        return text;
}

int hash_files_get(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e)
{
        struct step *s = user;
        AUTO(auto_free) char *text = join(patterns, n);
        int r = text ? make(s, e) : err_nomem(e);
        if (r < 0)
                return r;
        const char *known = map_get(s->hashes->known, text);
        if (known && *known != FAILED)
                return value_str(known, ret, e);
        if (known)
                return err_set(e, ERR_USAGE, "hashFiles: %s", known + 1);
        if (!s->hashes->wanted)
                s->hashes->wanted = TAKE_PTR(text);
        return err_set(e, ERR_USAGE, "hashFiles: the files are not known yet");
}

/* ---- the end ---- */

static int settle(struct hash_files *h, const char *result, struct err *e)
{
        struct step *s = h->step;
        AUTO(auto_free) char *wanted = TAKE_PTR(h->wanted);
        int r = texts_set(h->known, wanted, result, e);
        h->glob = fileglob_free(h->glob);
        h->hash = hash_free(h->hash);
        free(h->files);
        h->files = NULL;
        h->n_files = h->at = h->batch = 0;
        h->too_long = false;
        buf_done(&h->list);
        buf_done(&h->sums);
        return r < 0 ? r : h->again(s, e);
}

static int fail(struct hash_files *h, const char *why, struct err *e)
{
        AUTO(auto_free) char *text = str_printf("%c%s", FAILED, why);
        return text ? settle(h, text, e) : err_nomem(e);
}

static int finish(struct hash_files *h, struct err *e)
{
        uint8_t digest[HASH_SIZE];
        char hex[HASH_HEX_SIZE] = "";
        int r = h->n_files ? hash_finish(h->hash, digest, e) : 0;
        if (r < 0)
                return r;
        if (h->n_files)
                hash_hex(digest, hex);
        return settle(h, hex, e);
}

/* ---- processes ---- */

static int start(struct hash_files *h, const struct strv *argv, const struct exec_fns *fns, struct err *e)
{
        struct strv env = STRV_INIT;
        char group[32];
        snprintf(group, sizeof(group), "hash-%d", h->step->index);
        int r = strv_add(&env, PATH, e);
        if (r == 0)
                r = op_exec(h->step->job->ops, &(struct exec){.argv = argv, .env = &env, .cwd = "/", .step = group},
                            fns, h, &h->exec, e);
        strv_done(&env);
        return r;
}

/* Did it end by itself? Else the reason is told, and *ret is the result. */
static bool ended(struct hash_files *h, const char *what, const struct exec_exit *x, const char *refusal, unsigned most,
                  int *ret, struct err *e)
{
        char why[256];
        h->exec = NULL;
        *ret = 0;
        if (!refusal && x->kind == EXEC_EXITED && x->code <= most)
                return true;
        if (refusal)
                snprintf(why, sizeof(why), "%s could not be started: %.150s", what, refusal);
        else
                snprintf(why, sizeof(why), "%s ended with %s %u", what, x->kind == EXEC_EXITED ? "exit code" : "signal",
                         x->code);
        *ret = x && x->kind == EXEC_LOST ? err_set(e, ERR_GUEST_LOST, "the guest lost a process") : fail(h, why, e);
        return false;
}

/* ---- digests ---- */

static int next_batch(struct hash_files *h, struct err *e);

static int on_sum(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct hash_files *h = user;
        if (is_err || h->sums.len > BATCH_BYTES + BATCH_FILES * 128)
                return 0;
        return buf_append(&h->sums, data, len, e);
}

/* "HEX  PATH": of exactly the files of the batch, in their order. false: it is something else. */
static int take_sums(struct hash_files *h, bool *ret_right, struct err *e)
{
        const char *p = (const char *)h->sums.data, *end = p + h->sums.len;
        int r = 0;
        *ret_right = true;
        for (size_t i = 0; r == 0 && *ret_right && i < h->batch; i++) {
                const char *path = h->files[h->at + i].path, *nul = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;
                uint8_t digest[HASH_SIZE];
                char hex[HASH_HEX_SIZE];
                *ret_right = nul && (size_t)(nul - p) == 2 * HASH_SIZE + 2 + strlen(path) &&
                             strcmp(p + 2 * HASH_SIZE + 2, path) == 0;
                if (!*ret_right)
                        break;
                memcpy(hex, p, 2 * HASH_SIZE);
                hex[2 * HASH_SIZE] = 0;
                *ret_right = num_hex(hex, digest, HASH_SIZE, "digest", NULL) == 0;
                r = *ret_right ? hash_add(h->hash, digest, HASH_SIZE, e) : 0;
                p = nul + 1;
        }
        return r;
}

static int on_summed(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct hash_files *h = user;
        bool right = false;
        int r;
        if (!ended(h, "sha256sum", x, refusal, 0, &r, e))
                return r;
        r = take_sums(h, &right, e);
        if (r == 0 && !right)
                return fail(h, "sha256sum said something else than was asked for", e);
        h->at += h->batch;
        buf_clear(&h->sums);
        return r < 0 ? r : next_batch(h, e);
}

static int next_batch(struct hash_files *h, struct err *e)
{
        static const struct exec_fns fns = {.output = on_sum, .done = on_summed};
        static const char *const command[] = {"/usr/bin/env", "sha256sum", "-z", "--"};
        struct strv argv = STRV_INIT;
        size_t bytes = 0;
        int r = 0;
        if (h->at == h->n_files)
                return finish(h, e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(command); i++)
                r = strv_add(&argv, command[i], e);
        for (h->batch = 0; r == 0 && h->at + h->batch < h->n_files && h->batch < BATCH_FILES && bytes < BATCH_BYTES;) {
                const char *path = h->files[h->at + h->batch++].path;
                bytes += strlen(path) + 1;
                r = strv_add(&argv, path, e);
        }
        if (r == 0)
                r = start(h, &argv, &fns, e);
        strv_done(&argv);
        return r;
}

/* ---- the files ---- */

/* In a walk through folders, depth first: '/' comes before every byte of a name. */
static int compare_paths(const char *a, const char *b)
{
        while (*a && *a == *b) {
                a++;
                b++;
        }
        unsigned x = *a == '/' ? 1 : *a ? (unsigned)(uint8_t)*a + 1 : 0;
        unsigned y = *b == '/' ? 1 : *b ? (unsigned)(uint8_t)*b + 1 : 0;
        return x < y ? -1 : x > y;
}

static int compare_files(const void *a, const void *b)
{
        const struct file *x = a, *y = b;
        if (x->search != y->search)
                return x->search < y->search ? -1 : 1;
        return compare_paths(x->path, y->path);
}

static bool is_below(const char *path, const char *folder)
{
        size_t n = strlen(folder);
        return str_starts(path, folder) && (path[n] == '/' || path[n] == 0);
}

static size_t search_of(const struct hash_files *h, const char *path)
{
        size_t i = 0;
        while (i < fileglob_searches(h->glob) && !is_below(path, fileglob_search_at(h->glob, i)))
                i++;
        return i;
}

/* *ret_tired: the patterns take too long. */
static int choose_files(struct hash_files *h, bool *ret_tired, struct err *e)
{
        const char *workspace = context_workspace(h->step->job->context);
        const char *p = (const char *)h->list.data, *end = p + h->list.len;
        uint64_t steps = 0;
        size_t n = 0;
        for (const char *at = p; at < end; at += strlen(at) + 1)
                n++;
        h->files = calloc(n + 1, sizeof(*h->files));
        if (!h->files)
                return err_nomem(e);
        for (; p < end && steps <= HASH_FILES_MAX_STEPS; p += strlen(p) + 1)
                if (is_below(p, workspace) && (fileglob_match_counted(h->glob, p, &steps) & FILEGLOB_FILE))
                        h->files[h->n_files++] = (struct file){p, search_of(h, p)};
        *ret_tired = steps > HASH_FILES_MAX_STEPS;
        qsort(h->files, h->n_files, sizeof(*h->files), compare_files);
        return hash_new(&h->hash, e);
}

static int on_list(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct hash_files *h = user;
        if (is_err || h->too_long)
                return 0;
        if (h->list.len + len <= HASH_FILES_MAX_LIST)
                return buf_append(&h->list, data, len, e);
        h->too_long = true;
        return op_signal(h->exec, SIGTERM, e);
}

/* find's exit code 1: something could not be looked into, or is not there. */
static int on_listed(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct hash_files *h = user;
        bool tired = false;
        int r;
        if (h->too_long) {
                h->exec = NULL;
                return fail(h, "the names of the files in the folders are longer than 16 MiB", e);
        }
        if (!ended(h, "find", x, refusal, 1, &r, e))
                return r;
        if (h->list.len && h->list.data[h->list.len - 1])
                return fail(h, "find did not end its list", e);
        r = choose_files(h, &tired, e);
        if (r == 0 && tired)
                return fail(h, "so many patterns for so many files take too long to compare", e);
        return r < 0 ? r : next_batch(h, e);
}

/* Only what lies in the workspace is looked at. */
static int add_searches(struct hash_files *h, struct strv *argv, struct err *e)
{
        const char *workspace = context_workspace(h->step->job->context);
        for (size_t i = 0; i < fileglob_searches(h->glob); i++) {
                const char *search = fileglob_search_at(h->glob, i);
                if (is_below(workspace, search) || str_eq(search, "/"))
                        search = workspace;
                int r = is_below(search, workspace) ? strv_add(argv, search, e) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int list_files(struct hash_files *h, bool follow, struct err *e)
{
        static const struct exec_fns fns = {.output = on_list, .done = on_listed};
        struct strv argv = STRV_INIT;
        int r = strv_add(&argv, "/usr/bin/env", e);
        if (r == 0)
                r = strv_add(&argv, "find", e);
        if (r == 0 && follow)
                r = strv_add(&argv, "-L", e);
        size_t before = argv.n;
        if (r == 0)
                r = add_searches(h, &argv, e);
        if (r == 0 && argv.n == before) {
                strv_done(&argv);
                return settle(h, "", e);
        }
        if (r == 0)
                r = strv_add(&argv, follow ? "-type" : "-xtype", e); /* links to files count either way */
        if (r == 0)
                r = strv_add(&argv, "f", e);
        if (r == 0)
                r = strv_add(&argv, "-print0", e);
        if (r == 0)
                r = start(h, &argv, &fns, e);
        strv_done(&argv);
        return r;
}

/* ---- beginning ---- */

int hash_files_resolve(struct step *s, int (*again)(struct step *s, struct err *e), struct err *e)
{
        struct hash_files *h = s->hashes;
        const struct fileglob_options options = {
                .home = HOME, .workdir = context_workspace(s->job->context), .descendants = true};
        const char *patterns = h->wanted;
        bool follow = str_starts(patterns, FOLLOW "\n");
        struct err why = ERR_INIT;
        h->again = again;
        if (s->cancelled || s->timed_out)
                return fail(h, "the step was interrupted", e);
        if (!follow && str_starts(patterns, "--"))
                return fail(h, "the one option is " FOLLOW, e);
        int r = fileglob_new(patterns + (follow ? strlen(FOLLOW "\n") : 0), &options, &h->glob, &why);
        if (r < 0 && why.code == ERR_USAGE)
                return fail(h, why.msg, e);
        if (r < 0) {
                *e = why;
                return r;
        }
        return list_files(h, follow, e);
}
