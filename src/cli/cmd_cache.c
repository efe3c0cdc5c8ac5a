/* devdep-cli cache: what actions/cache keeps, by repository. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"
#include "blob/shelves.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/render.h"
#include "cli/state.h"
#include "source/start.h"

/* ---- which repositories ---- */

struct repositories {
        char *state;
        struct shelf_repository *v;
        size_t n;
        char only[SHELF_ID_SIZE]; /* "": all */
};

static void repositories_done(struct repositories *r)
{
        free(r->state);
        shelf_repositories_free(r->v, r->n);
        *r = (struct repositories){0};
}

/* What `cache ls` shows, also of a repository that is gone from this host; else a folder of one. */
static int choose(struct repositories *all, const char *dir, struct err *e)
{
        struct source_place place = {0};
        for (size_t i = 0; i < all->n; i++) {
                if (!str_eq(all->v[i].path, dir))
                        continue;
                str_copy(all->only, sizeof(all->only), all->v[i].id);
                return 0;
        }
        int r = source_place_find(dir, &place, e);
        if (r == 0)
                r = shelf_repository_id(place.common, all->only, e);
        source_place_done(&place);
        return r;
}

/* dir NULL: all of them. */
static int repositories_open(const char *dir, struct repositories *ret, struct err *e)
{
        *ret = (struct repositories){0};
        int r = state_path(&ret->state, e);
        if (r == 0)
                r = shelf_repositories(ret->state, &ret->v, &ret->n, e);
        return r < 0 || !dir ? r : choose(ret, dir, e);
}

typedef int each_fn(struct store *store, const struct store_list *list, const struct shelf_repository *of, void *user,
                    struct err *e);

/* Those of the chosen repositories that have caches. */
static int each_repository(const struct repositories *all, each_fn *fn, void *user, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < all->n; i++) {
                AUTO(store_freep) struct store *s = NULL;
                AUTO(store_list_done) struct store_list list = {0};
                if (*all->only && !str_eq(all->only, all->v[i].id))
                        continue;
                r = shelf_open_caches(all->state, all->v[i].id, &s, e);
                if (r == 0)
                        r = store_list(s, &list, e);
                if (r == 0 && list.n)
                        r = fn(s, &list, &all->v[i], user, e);
                r = r < 0 ? r : 0;
        }
        return r;
}

/* ---- cache ls ---- */

struct listing {
        json_t *rows; /* NULL: text */
        size_t n;
};

static json_t *row_json(const struct store_entry *x, const struct shelf_repository *of)
{
        AUTO(auto_free) char *digest = str_printf("sha256:%s", x->digest);
        uint64_t now = clock_real_ms();
        return !digest ? NULL
                       : json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:s,s:s,s:I,s:I,s:I}", "repository", of->path,
                                   "key", x->name, "scope", x->scope, "version", x->version, "id", (json_int_t)x->id,
                                   "digest", digest, "bytes", (json_int_t)x->bytes, "files", (json_int_t)x->files,
                                   "content", (json_int_t)x->content, "run", x->run, "job", x->job, "created_ms",
                                   (json_int_t)x->created_ms, "age_ms", (json_int_t)(now - MIN(now, x->created_ms)),
                                   "used_ms", (json_int_t)x->used_ms);
}

static int print_row(const struct store_entry *x, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        char size[OUTPUT_SIZE_TEXT], age[CLOCK_DURATION_SIZE], used[CLOCK_DURATION_SIZE];
        uint64_t now = clock_real_ms();
        output_size(x->bytes, size);
        clock_duration(now - MIN(now, x->created_ms), age);
        clock_duration(now - MIN(now, x->used_ms), used);
        int r = render_plain(*x->scope ? x->scope : "(no branch)", &text, e);
        if (r == 0)
                r = buf_append_str(&text, "  ", e);
        if (r == 0)
                r = render_plain(x->name, &text, e);
        const char *shown = r == 0 ? buf_cstr(&text) : NULL;
        if (shown)
                printf("  %10s  %9s  %9s  %s\n", size, age, used, shown);
        return r < 0 || shown ? r : err_nomem(e);
}

static int print_head(const struct shelf_repository *of, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = render_plain(*of->path ? of->path : of->id, &text, e);
        const char *shown = r == 0 ? buf_cstr(&text) : NULL;
        if (shown)
                printf("%s\n  %10s  %9s  %9s  %s\n", shown, "size", "age", "last used", "scope and key");
        return r < 0 || shown ? r : err_nomem(e);
}

static int show(struct store *store, const struct store_list *list, const struct shelf_repository *of, void *user,
                struct err *e)
{
        struct listing *l = user;
        int r = l->rows ? 0 : print_head(of, e);
        (void)store;
        for (size_t i = 0; r == 0 && i < list->n; i++, l->n++) {
                if (!l->rows)
                        r = print_row(&list->v[i], e);
                else if (json_array_append_new(l->rows, row_json(&list->v[i], of)) < 0)
                        r = err_nomem(e);
        }
        return r;
}

static int run_ls(const struct args *a, struct err *e)
{
        AUTO(repositories_done) struct repositories all = {0};
        struct listing l = {.rows = args_has(a, "json") ? json_array() : NULL};
        int r = repositories_open(args_get(a, "dir"), &all, e);
        if (r == 0)
                r = each_repository(&all, show, &l, e);
        if (r == 0 && l.rows)
                return output_json(l.rows, e);
        json_decref(l.rows);
        if (r == 0 && l.n == 0)
                printf("there are no caches\n");
        return r;
}

static const struct command_option ls_options[] = {
        {"dir", 0, "DIR", "of this repository alone: a folder of it, or its path as the list has it", false},
        {"json", 0, NULL, "print JSON", false},
};

static const struct command command_ls = {
        .name = "ls",
        .summary = "List the caches of all repositories, or of one",
        .options = ls_options,
        .n_options = ARRAY_SIZE(ls_options),
        .examples = "  devdep-cli cache ls\n  devdep-cli cache ls --dir . --json | jq -r '.[].key'\n",
        .run = run_ls,
};

/* ---- cache rm ---- */

struct removal {
        const struct args *args;
        const char *scope; /* NULL: any */
        bool found[64];
        size_t n;
        uint64_t bytes;
};

static bool is_meant(struct removal *m, const struct store_entry *x)
{
        bool meant = args_has(m->args, "all");
        if (m->scope && !str_eq(m->scope, x->scope))
                return false;
        for (size_t i = 0; i < m->args->n_positional; i++) {
                if (!str_eq(m->args->positional[i], x->name))
                        continue;
                m->found[i] = meant = true;
        }
        return meant;
}

static int remove_meant(struct store *store, const struct store_list *list, const struct shelf_repository *of,
                        void *user, struct err *e)
{
        struct removal *m = user;
        (void)of;
        for (size_t i = 0; i < list->n; i++) {
                if (!is_meant(m, &list->v[i]))
                        continue;
                int r = store_remove(store, list->v[i].id, e);
                if (r < 0)
                        return r;
                m->n += r == 0;
                m->bytes += r == 0 ? list->v[i].bytes : 0;
        }
        return 0;
}

static void print_removed(size_t n, uint64_t bytes)
{
        char size[OUTPUT_SIZE_TEXT];
        output_size(bytes, size);
        printf("%zu cache%s removed, %s\n", n, n == 1 ? "" : "s", size);
}

static int check_found(const struct removal *m, struct err *e)
{
        for (size_t i = 0; i < m->args->n_positional; i++) {
                const char *key = m->args->positional[i];
                char shown[STORE_MAX_KEY * 4 + 1];
                if (m->found[i])
                        continue;
                str_escape(shown, sizeof(shown), key, strlen(key));
                return err_set(e, ERR_USAGE, "the repository has no cache '%s'%s; 'devdep-cli cache ls' lists them",
                               shown, m->scope ? " in this scope" : "");
        }
        return 0;
}

static int run_rm(const struct args *a, struct err *e)
{
        AUTO(repositories_done) struct repositories all = {0};
        struct removal m = {.args = a, .scope = args_get(a, "scope")};
        const char *dir = args_get(a, "dir");
        if (args_has(a, "all") == (a->n_positional > 0))
                return err_set(e, ERR_USAGE, "%s: name the keys of the caches to remove, or --all; see '%s --help'",
                               a->path, a->path);
        if (m.scope && !cache_scope_is_valid(m.scope))
                return err_set(e, ERR_USAGE,
                               "--scope: expected a full ref name such as refs/heads/main, found '%.200s'", m.scope);
        int r = repositories_open(dir ? dir : ".", &all, e);
        if (r == 0)
                r = each_repository(&all, remove_meant, &m, e);
        if (r < 0)
                return r;
        print_removed(m.n, m.bytes);
        return check_found(&m, e);
}

static const struct command_option rm_options[] = {
        {"all", 0, NULL, "every cache of the repository", false},
        {"scope", 0, "REF", "only of this branch or pull request: its full ref name", false},
        {"dir", 0, "DIR", "the repository (default: the current folder's), or its path as the list has it", false},
};

static const struct command command_rm_cache = {
        .name = "rm",
        .summary = "Remove caches of a repository by their keys",
        .positional = "[KEY...]",
        .max_args = 64,
        .options = rm_options,
        .n_options = ARRAY_SIZE(rm_options),
        .details = "A key goes in every scope and version. A job that is restoring one reads it to its end.",
        .examples = "  devdep-cli cache rm Linux-npm-1\n"
                    "  devdep-cli cache rm --all --scope refs/heads/topic\n",
        .run = run_rm,
};

/* ---- cache prune ---- */

static int prune_bounds(const struct args *a, struct caches_prune *ret, struct err *e)
{
        const char *age = args_get(a, "older-than"), *size = args_get(a, "max-size");
        int r = 0;
        *ret = (struct caches_prune){.max_unused_ms = UINT64_MAX, .max_bytes = UINT64_MAX};
        if (!age && !size)
                return err_set(e, ERR_USAGE, "%s: say what goes: --older-than TIME, --max-size SIZE, or both", a->path);
        if (age)
                r = num_duration(age, STORE_MAX_TIME_MS, "--older-than", &ret->max_unused_ms, e);
        if (r == 0 && size)
                r = num_size(size, INT64_MAX, "--max-size", &ret->max_bytes, e);
        return r;
}

static int print_pruned(const struct shelves_pruned *p, const struct caches_left *left, bool json, struct err *e)
{
        char size[OUTPUT_SIZE_TEXT];
        if (json)
                return output_json(json_pack("{s:{s:i,s:I},s:{s:i,s:I}}", "removed", "caches", (int)p->caches, "bytes",
                                             (json_int_t)p->bytes, "left", "caches", (int)left->caches, "bytes",
                                             (json_int_t)left->bytes),
                                   e);
        print_removed(p->caches, p->bytes);
        output_size(left->bytes, size);
        printf("%u stay%s, %s\n", left->caches, left->caches == 1 ? "s" : "", size);
        return 0;
}

static int run_prune(const struct args *a, struct err *e)
{
        AUTO(repositories_done) struct repositories all = {0};
        struct shelves_pruned pruned;
        struct caches_left left;
        struct caches_prune what;
        int r = prune_bounds(a, &what, e);
        if (r == 0)
                r = repositories_open(args_get(a, "dir"), &all, e);
        what.id = *all.only ? all.only : NULL;
        if (r == 0)
                r = shelves_prune_caches(all.state, &what, &pruned, &left, e);
        return r < 0 ? r : print_pruned(&pruned, &left, args_has(a, "json"), e);
}

static const struct command_option prune_options[] = {
        {"older-than", 0, "TIME", "those that were not used for so long: 90s, 30m, 12h, 7d, 2w", false},
        {"max-size", 0, "SIZE", "the least recently used ones, until the others fit in SIZE together", false},
        {"dir", 0, "DIR", "of this repository alone: a folder of it, or its path as the list has it", false},
        {"json", 0, NULL, "print JSON", false},
};

static const struct command command_prune = {
        .name = "prune",
        .summary = "Remove caches that were not used for long, or the least used ones past a size",
        .options = prune_options,
        .n_options = ARRAY_SIZE(prune_options),
        .details = "Of all repositories, unless --dir names one. A cache that a job uses in this moment stays.",
        .examples = "  devdep-cli cache prune --older-than 2d\n"
                    "  devdep-cli cache prune --max-size 5G --dir .\n"
                    "  devdep-cli cache prune --max-size 0\n",
        .run = run_prune,
};

static const struct command *const cache_commands[] = {&command_ls, &command_rm_cache, &command_prune, NULL};

const struct command command_cache = {
        .name = "cache",
        .summary = "List and remove what actions/cache keeps",
        .sub = cache_commands,
        .examples = "  devdep-cli cache ls\n  devdep-cli cache prune --older-than 3d\n",
};
