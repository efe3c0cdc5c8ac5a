/* Saving a cache, and `uses: actions/cache/save`, built in.
 *
 *   what do the patterns of `path` name? without a wildcard that is the paths themselves, else find says (fileset.h)
 *   -> the job's turn with the store -> each of them is a part of the archive, placed where it stands in the guest's
 * file system (stow.h) -> the store has it, or somebody else was first
 *
 * Whatever goes wrong is a warning: a cache is a help, as at GitHub. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/client.h"
#include "blob/limits.h"
#include "blob/names.h"
#include "codec/tar.h"
#include "job/builtin.h"
#include "job/cache.h"
#include "job/fileset.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/output.h"
#include "job/pack.h"
#include "job/step.h"
#include "job/store_step.h"
#include "job/store_turn.h"
#include "job/stow.h"
#include "workflow/fileglob.h"

/* ---- key and paths ---- */

void cache_key_done(struct cache_key *k)
{
        free(k->key);
        strv_done(&k->paths);
}

int cache_key_check(struct step *s, const char *key, const char *what, struct err *e)
{
        bool masked = false;
        int r = store_step_is_masked(s, key, &masked, e);
        if (r < 0)
                return r;
        if (masked)
                return err_set(e, ERR_RUN_FAILED, "with.%s: it holds a masked value", what);
        const char *problem = cache_key_problem(key);
        return problem ? err_set(e, ERR_RUN_FAILED, "with.%s: Key Validation Error: it %s", what, problem) : 0;
}

/* As @actions/cache has it: the lines, the compression, and a salt, between bars. */
static int hash_paths(const struct strv *paths, char ret[HASH_HEX_SIZE], struct err *e)
{
        static const char rest[] = "none|1.0";
        uint8_t digest[HASH_SIZE];
        struct hash *h = NULL;
        int r = hash_new(&h, e);
        for (size_t i = 0; r == 0 && i < paths->n; i++) {
                r = hash_add(h, paths->v[i], strlen(paths->v[i]), e);
                if (r == 0)
                        r = hash_add(h, "|", 1, e);
        }
        if (r == 0)
                r = hash_add(h, rest, sizeof(rest) - 1, e);
        if (r == 0)
                r = hash_finish(h, digest, e);
        if (r == 0)
                hash_hex(digest, ret);
        hash_free(h);
        return r;
}

int cache_key_read(struct step *s, struct cache_key *ret, struct err *e)
{
        int r = inputs_text(s, "key", &ret->key, e);
        if (r == 0 && !ret->key)
                r = err_set(e, ERR_RUN_FAILED, "with.key: expected a key");
        if (r == 0)
                r = cache_key_check(s, ret->key, "key", e);
        if (r == 0)
                r = store_step_lines(s, "path", true, &ret->paths, e);
        return r < 0 ? r : hash_paths(&ret->paths, ret->version, e);
}

/* ---- saving ---- */

struct cache_save {
        struct step *step;
        struct store_turn turn;
        char *key;
        char version[HASH_HEX_SIZE];
        struct fileglob *patterns;
        struct fileset *set;
        struct strv roots; /* absolute; none lies below another one */
        size_t at;
        bool interrupted;
        struct stow *stow;
        char group[32];
};

struct cache_save *cache_save_free(struct cache_save *c)
{
        if (!c)
                return NULL;
        fileset_free(c->set);
        stow_free(c->stow);
        fileglob_free(c->patterns);
        strv_done(&c->roots);
        free(c->key);
        free(c);
        return NULL;
}

static int finish(struct cache_save *c, struct err *e)
{
        struct step *s = c->step;
        return step_finish(s, s->cancelled ? STEP_CANCELLED : s->timed_out ? STEP_FAILURE : STEP_SUCCESS, e);
}

/* Nothing was saved. */
static int warn(struct cache_save *c, const char *why, struct err *e)
{
        AUTO(auto_free) char *text = str_printf("Failed to save: %s", why);
        int r = text ? output_annotate(c->step->output, "warning", NULL, text, e) : err_nomem(e);
        return r < 0 ? r : finish(c, e);
}

/* The step's own mistakes are warnings, too. */
static int attempt(struct cache_save *c, int r, struct err *e)
{
        if (r >= 0 || e->code != ERR_RUN_FAILED)
                return r;
        struct err why = *e;
        r = store_turn_end(c->step->job, &c->turn, e);
        return r < 0 || !c->step->is_open ? r : warn(c, why.msg, e);
}

static int saved(struct cache_save *c, const struct store_item *item, struct err *e)
{
        char size[STORE_STEP_SIZE];
        store_step_size(item->bytes, size);
        int r = store_step_event(c->step, "cache", "saved", item, e);
        if (r == 0)
                r = output_note(c->step->output, e, "Cache saved with key: %s (%s)", c->key, size);
        return r < 0 ? r : finish(c, e);
}

static int on_stowed(struct stow *stow, const struct store_item *item, const struct err *failure, void *user,
                     struct err *e)
{
        struct cache_save *c = user;
        (void)stow;
        int r = store_turn_end(c->step->job, &c->turn, e);
        if (r < 0 || !c->step->is_open)
                return r;
        if (failure)
                return failure->code == ERR_PROTOCOL ? store_step_refuse(c->step, failure, e)
                                                     : warn(c, failure->msg, e);
        if (item)
                return saved(c, item, e);
        r = output_note(c->step->output, e,
                        "Failed to save: there is a cache with key %s already, another job has made it", c->key);
        return r < 0 ? r : finish(c, e);
}

static int next_part(struct cache_save *c, struct stow *stow, struct err *e)
{
        struct err why = ERR_INIT;
        if (c->at < c->roots.n) {
                const char *path = c->roots.v[c->at++];
                return stow_get(stow, path, path + 1, e);
        }
        if (stow_entries(stow) > 0)
                return stow_end(stow, e);
        err_set(&why, ERR_RUN_FAILED,
                "Path Validation Error: Path(s) specified in the action for caching do(es) not exist, hence no cache "
                "is being saved.");
        return stow_give_up(stow, &why, e);
}

static int on_begin(struct stow *stow, void *user, struct err *e)
{
        struct cache_save *c = user;
        c->at = 0;
        return next_part(c, stow, e);
}

/* A path that is not there is left out; one that was cut off makes the archive worthless. */
static int on_part(struct stow *stow, const char *refusal, void *user, struct err *e)
{
        struct cache_save *c = user;
        struct err why = ERR_INIT;
        if (refusal && stow_part_is_empty(stow) &&
            output_note(c->step->output, e, "%s is left out: %s", c->roots.v[c->at - 1], refusal) < 0)
                return -1;
        if (!refusal || stow_part_is_empty(stow))
                return next_part(c, stow, e);
        err_set(&why, ERR_RUN_FAILED, "%s: %s", c->roots.v[c->at - 1], refusal);
        return stow_give_up(stow, &why, e);
}

static int on_turn(void *user, struct err *e)
{
        static const struct stow_fns fns = {.begin = on_begin, .part = on_part, .done = on_stowed};
        static const struct pack_rules rules = {.types = TAR_FILE | TAR_FOLDER | TAR_SYMLINK,
                                                .max_entries = CACHE_MAX_FILES,
                                                .max_bytes = CACHE_MAX_BYTES};
        struct cache_save *c = user;
        int r = c->interrupted ? err_set(e, ERR_RUN_FAILED, "the step was interrupted") : 0;
        if (r == 0)
                r = stow_cache(c->step, c->key, c->version, &rules, &fns, c, &c->stow, e);
        return attempt(c, r, e);
}

static bool is_below(const char *path, const char *folder)
{
        size_t n = str_eq(folder, "/") ? 0 : strlen(folder);
        return strncmp(path, folder, n) == 0 && path[n] == '/';
}

static int add_root(struct cache_save *c, const char *path, struct err *e)
{
        return c->roots.n && is_below(path, c->roots.v[c->roots.n - 1]) ? 0 : strv_add(&c->roots, path, e);
}

static int on_files(const char *const *paths, size_t n, const struct err *failure, void *user, struct err *e)
{
        struct cache_save *c = user;
        int r = 0;
        if (failure)
                return warn(c, failure->msg, e);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = add_root(c, paths[i], e);
        c->set = fileset_free(c->set);
        return r < 0 ? r : store_turn_take(c->step->job, &c->turn, e);
}

/* Without a wildcard: the paths, but those that a later line takes out. */
static int use_literals(struct cache_save *c, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < fileglob_searches(c->patterns); i++) {
                const char *path = fileglob_search_at(c->patterns, i);
                if (fileglob_match(c->patterns, path))
                        r = strv_add(&c->roots, path, e);
        }
        return r < 0 ? r : store_turn_take(c->step->job, &c->turn, e);
}

static int begin(struct cache_save *c, struct err *e)
{
        int r = store_step_patterns(c->step, false, &c->patterns, NULL, e);
        if (r < 0)
                return r;
        if (fileglob_is_literal(c->patterns) || fileglob_searches(c->patterns) == 0)
                return use_literals(c, e);
        snprintf(c->group, sizeof(c->group), "cache-%d", c->step->index);
        const struct fileset_want want = {
                .patterns = c->patterns, .kinds = FILEGLOB_FILE | FILEGLOB_FOLDER, .hidden = true, .group = c->group};
        return fileset_find(c->step->job, &want, on_files, c, &c->set, e);
}

int cache_save_start(struct step *s, const struct cache_key *k, struct cache_save **ret, struct err *e)
{
        struct cache_save *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        *ret = c;
        c->step = s;
        c->turn = (struct store_turn){.begin = on_turn, .user = c};
        str_copy(c->version, sizeof(c->version), k->version);
        c->key = str_dup(k->key);
        if (!c->key)
                return err_nomem(e);
        return attempt(c, begin(c, e), e);
}

void cache_save_interrupt(struct cache_save *c)
{
        struct err why = ERR_INIT, e = ERR_INIT;
        int r = 0;
        c->interrupted = true;
        err_set(&why, ERR_RUN_FAILED, "the step was interrupted");
        if (c->stow) {
                r = stow_give_up(c->stow, &why, &e);
        } else if (c->set) {
                fileset_cancel(c->set);
                c->set = fileset_free(c->set);
                r = warn(c, why.msg, &e);
        }
        if (r < 0)
                job_fail(c->step->job, &e);
}

/* ---- actions/cache/save ---- */

static const char *const known_inputs[] = {"path", "key", NULL};
static const char *const ignored_inputs[] = {"upload-chunk-size", "enableCrossOsArchive", NULL};

static int save_start(struct step *s, struct err *e)
{
        static const struct inputs_lists lists = {.known = known_inputs, .ignored = ignored_inputs};
        AUTO(cache_key_done) struct cache_key k = {0};
        struct cache_save *c = NULL;
        int r = store_step_check(s, e);
        if (r == 0)
                r = inputs_check(s, &lists, e);
        if (r == 0)
                r = cache_key_read(s, &k, e);
        if (r == 0)
                r = cache_save_start(s, &k, &c, e);
        s->private = c;
        return r;
}

static void save_interrupt(struct step *s)
{
        cache_save_interrupt(s->private);
}

static void save_free(void *private)
{
        cache_save_free(private);
}

const struct builtin builtin_cache_save = {
        .name = "actions/cache/save", .start = save_start, .interrupt = save_interrupt, .free = save_free};
