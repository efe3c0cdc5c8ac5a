/* `uses: actions/cache` and `uses: actions/cache/restore`, built in: the job's turn with the store -> which cache fits
 * the key, else the restore keys -> its archive goes into the guest's file system, each file where it stood (unstow.h).
 *
 * actions/cache has a post part, which saves (cache_save.c) unless the key itself was found, and only when the job has
 * succeeded so far. What goes wrong between store and guest is a warning and a miss, as at GitHub. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/client.h"
#include "blob/limits.h"
#include "job/builtin.h"
#include "job/cache.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/output.h"
#include "job/step.h"
#include "job/store_step.h"
#include "job/store_turn.h"
#include "job/unstow.h"

struct restore {
        struct step *step; /* of the main part */
        struct store_turn turn;
        struct cache_key key;
        struct strv keys; /* the key, then the restore keys */
        bool lookup_only, fail_on_miss, interrupted;
        char *matched; /* NULL: none */
        struct unstow *unstow;
        struct cache_save *save; /* of the post part */
};

static void restore_free(void *private)
{
        struct restore *c = private;
        unstow_free(c->unstow);
        cache_save_free(c->save);
        cache_key_done(&c->key);
        strv_done(&c->keys);
        free(c->matched);
        free(c);
}

static void restore_interrupt(struct step *s)
{
        struct restore *c = s->private;
        c->interrupted = true;
        if (c->unstow)
                unstow_interrupt(c->unstow);
        if (c->save)
                cache_save_interrupt(c->save);
}

static bool has_post(const struct step *s)
{
        return s->builtin->post != NULL;
}

/* ---- inputs ---- */

static const char *const known_inputs[] = {"path",        "key", "restore-keys", "fail-on-cache-miss", "lookup-only",
                                           "save-always", NULL};
static const char *const ignored_inputs[] = {"upload-chunk-size", "enableCrossOsArchive", NULL};

static int read_keys(struct restore *c, struct err *e)
{
        int r = cache_key_read(c->step, &c->key, e);
        if (r == 0)
                r = strv_add(&c->keys, c->key.key, e);
        if (r == 0)
                r = store_step_lines(c->step, "restore-keys", false, &c->keys, e);
        for (size_t i = 1; r == 0 && i < c->keys.n; i++)
                r = cache_key_check(c->step, c->keys.v[i], "restore-keys", e);
        if (r == 0 && c->keys.n > STORE_MAX_KEYS)
                r = err_set(e, ERR_RUN_FAILED, "Key Validation Error: Keys are limited to a maximum of %u.",
                            STORE_MAX_KEYS);
        return r;
}

static int read_inputs(struct restore *c, struct err *e)
{
        static const struct inputs_lists lists = {.known = known_inputs, .ignored = ignored_inputs};
        struct step *s = c->step;
        int r = inputs_check(s, &lists, e);
        if (r == 0)
                r = read_keys(c, e);
        if (r == 0)
                r = inputs_bool(s, "fail-on-cache-miss", false, &c->fail_on_miss, e);
        if (r == 0)
                r = inputs_bool(s, "lookup-only", false, &c->lookup_only, e);
        if (r == 0 && inputs_given(s, "save-always"))
                r = output_annotate(s->output, "warning", NULL,
                                    "save-always does not work as it was meant to, at GitHub either, and is ignored: "
                                    "use actions/cache/save in a step with if: always()",
                                    e);
        return r;
}

/* ---- the end ---- */

/* cache-hit stays unset on a miss, as at GitHub. */
static int set_outputs(struct restore *c, struct err *e)
{
        struct step *s = c->step;
        int r = 0;
        if (c->matched)
                r = step_set_output(s, "cache-hit", str_ieq(c->matched, c->key.key) ? "true" : "false", e);
        if (r == 0 && !has_post(s))
                r = step_set_output(s, "cache-primary-key", c->key.key, e);
        return r == 0 && !has_post(s) && c->matched ? step_set_output(s, "cache-matched-key", c->matched, e) : r;
}

static int list_keys(const struct restore *c, struct buf *ret, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < c->keys.n; i++)
                r = buf_printf(ret, e, "%s%s", i ? ", " : "", c->keys.v[i]);
        return r;
}

static int missed(struct restore *c, struct err *e)
{
        AUTO(buf_done) struct buf keys = BUF_INIT;
        if (c->fail_on_miss)
                return err_set(e, ERR_RUN_FAILED,
                               "Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: %s",
                               c->key.key);
        int r = list_keys(c, &keys, e);
        const char *text = r == 0 ? buf_cstr(&keys) : NULL;
        return text ? output_note(c->step->output, e, "Cache not found for input keys: %s", text) : err_nomem(e);
}

static int report(struct restore *c, struct err *e)
{
        int r = c->matched ? output_note(c->step->output, e,
                                         c->lookup_only ? "Cache found and can be restored from key: %s"
                                                        : "Cache restored from key: %s",
                                         c->matched)
                           : missed(c, e);
        if (r == 0)
                r = set_outputs(c, e);
        return r < 0 ? r : step_finish(c->step, STEP_SUCCESS, e);
}

static int finish(struct restore *c, struct err *e)
{
        int r = store_turn_end(c->step->job, &c->turn, e);
        return r < 0 || !c->step->is_open ? r : step_try(c->step, report(c, e), e);
}

/* What kept a cache that is there from being restored: a miss. */
static int fail(struct restore *c, const struct err *why, struct err *e)
{
        struct step *s = c->step;
        if (why->code == ERR_PROTOCOL || c->interrupted) {
                struct err copy = *why;
                int r = store_turn_end(s->job, &c->turn, e);
                return r < 0 || !s->is_open ? r : store_step_refuse(s, &copy, e);
        }
        AUTO(auto_free) char *text = str_printf("Failed to restore: %s", why->msg);
        free(c->matched);
        c->matched = NULL;
        int r = text && s->is_open ? output_annotate(s->output, "warning", NULL, text, e) : text ? 0 : err_nomem(e);
        return r < 0 ? r : finish(c, e);
}

/* ---- restoring ---- */

static int on_unstowed(struct unstow *u, const struct err *failure, void *user, struct err *e)
{
        struct restore *c = user;
        struct err why = failure ? *failure : (struct err)ERR_INIT;
        c->unstow = unstow_free(u);
        return failure ? fail(c, &why, e) : finish(c, e);
}

static int restore(struct restore *c, const struct store_item *item, struct err *e)
{
        char size[STORE_STEP_SIZE];
        c->matched = str_dup(item->name);
        if (!c->matched)
                return err_nomem(e);
        int r = store_step_event(c->step, "cache", c->lookup_only ? "found" : "restored", item, e);
        if (r < 0 || c->lookup_only)
                return r < 0 ? r : finish(c, e);
        store_step_size(item->bytes, size);
        r = output_note(c->step->output, e, "Cache Size: %s", size);
        return r < 0 ? r : unstow_start(c->step, STORE_ITEM_CACHE, item->id, "/", on_unstowed, c, &c->unstow, e);
}

static int on_found(struct store_client *s, const struct store_item *v, size_t n, const struct err *failure, void *user,
                    struct err *e)
{
        struct restore *c = user;
        struct err why = ERR_INIT;
        (void)s;
        if (failure)
                return fail(c, failure, e);
        if (c->interrupted)
                err_set(&why, ERR_RUN_FAILED, "the step was interrupted");
        if (c->interrupted)
                return fail(c, &why, e);
        return n ? restore(c, &v[0], e) : finish(c, e);
}

static int on_turn(void *user, struct err *e)
{
        struct restore *c = user;
        return store_ask_cache(c->step->job->store, (const char *const *)c->keys.v, c->keys.n, c->key.version, on_found,
                               c, e);
}

static int restore_start(struct step *s, struct err *e)
{
        struct restore *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        c->step = s;
        c->turn = (struct store_turn){.begin = on_turn, .user = c};
        s->private = c;
        int r = store_step_check(s, e);
        if (r == 0)
                r = read_inputs(c, e);
        if (r < 0)
                return r;
        if (has_post(s))
                builtin_want_post(s);
        return store_turn_take(s->job, &c->turn, e);
}

/* ---- the post part of actions/cache ---- */

static int cache_post(struct step *s, struct err *e)
{
        struct restore *c = s->private;
        AUTO(cache_key_done) struct cache_key now = {0};
        if (c->matched && str_ieq(c->matched, c->key.key)) {
                int r = output_note(s->output, e, "Cache hit occurred on the primary key %s, not saving cache.",
                                    c->key.key);
                return r < 0 ? r : step_finish(s, STEP_SUCCESS, e);
        }
        /* The key is that of the main part: what it was made of may have changed since. */
        int r = cache_key_read(s, &now, e);
        if (r < 0)
                return r;
        free(now.key);
        now.key = str_dup(c->key.key);
        return now.key ? cache_save_start(s, &now, &c->save, e) : err_nomem(e);
}

const struct builtin builtin_cache = {.name = "actions/cache",
                                      .start = restore_start,
                                      .interrupt = restore_interrupt,
                                      .free = restore_free,
                                      .post = cache_post,
                                      .post_if = "success()"};
const struct builtin builtin_cache_restore = {
        .name = "actions/cache/restore", .start = restore_start, .interrupt = restore_interrupt, .free = restore_free};
