#include "job/stow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/client.h"
#include "blob/limits.h"
#include "job/fileset.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/pack.h"
#include "job/step.h"

struct stow {
        struct step *step;
        struct pack *pack;
        struct stow_fns fns;
        void *user;
        struct op *op; /* of the part under way */
        unsigned fine; /* exit statuses, as bits */
        bool giving;   /* the store takes bytes */
        bool asking;   /* the store owes an answer */
        struct err failure;
};

CLEANUP_DEFINE(struct stow, stow_free)

struct stow *stow_free(struct stow *s)
{
        if (!s)
                return NULL;
        pack_free(s->pack);
        free(s);
        return NULL;
}

uint64_t stow_entries(const struct stow *s)
{
        return pack_entries(s->pack);
}

bool stow_part_is_empty(const struct stow *s)
{
        return pack_part_is_empty(s->pack);
}

static struct store_client *store_of(const struct stow *s)
{
        return s->step->job->store;
}

int stow_give_up(struct stow *s, const struct err *why, struct err *e)
{
        struct op *op = s->op;
        bool giving = s->giving;
        if (s->failure.code == ERR_SUCCESS)
                s->failure = *why;
        s->op = NULL;
        s->giving = false;
        int r = op ? op_cancel(op, e) : 0;
        if (giving && store_give_end(store_of(s), false, e) < 0)
                return -1;
        return r;
}

/* ---- from the guest ---- */

static int on_packed(const void *data, size_t len, void *user, struct err *e)
{
        struct stow *s = user;
        return s->giving ? store_give(store_of(s), data, len, e) : 0;
}

/* A failure here is kept: returned, it would be the session's. */
static int on_bytes(const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct stow *s = user;
        struct err why = ERR_INIT;
        if (!s->op)
                return 0;
        if (pack_feed(s->pack, data, len, &why) < 0)
                return stow_give_up(s, &why, e);
        if (store_is_full(store_of(s)))
                op_pause(s->op);
        return 0;
}

static int part_ended(struct stow *s, const char *refusal, struct err *e)
{
        struct err why = ERR_INIT;
        s->op = NULL;
        if (!refusal && pack_part_end(s->pack, &why) < 0)
                return stow_give_up(s, &why, e);
        return s->fns.part(s, refusal, s->user, e);
}

static int on_got(const char *refusal, void *user, struct err *e)
{
        return part_ended(user, refusal, e);
}

static int on_output(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct stow *s = user;
        return is_err ? step_on_output(s->step, true, data, len, e) : on_bytes(data, len, s, e);
}

static int on_exited(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct stow *s = user;
        char text[64];
        if (refusal || (x->kind == EXEC_EXITED && (x->code == 0 || (x->code < 32 && s->fine & (1u << x->code)))))
                return part_ended(s, refusal, e);
        if (x->kind == EXEC_LOST)
                return err_set(e, ERR_GUEST_LOST, "the guest lost the process of the step");
        snprintf(text, sizeof(text), "it ended with %s %u", x->kind == EXEC_EXITED ? "exit code" : "signal", x->code);
        return part_ended(s, text, e);
}

int stow_get(struct stow *s, const char *path, const char *place, struct err *e)
{
        int r = pack_part(s->pack, place, e);
        return r < 0 ? r : op_get(s->step->job->ops, path, CACHE_MAX_BYTES, on_bytes, on_got, s, &s->op, e);
}

int stow_exec(struct stow *s, const struct strv *argv, const char *group, unsigned fine, struct err *e)
{
        static const struct exec_fns fns = {.output = on_output, .done = on_exited};
        AUTO(strv_done) struct strv env = STRV_INIT;
        s->fine = fine;
        int r = pack_part(s->pack, "", e);
        if (r == 0)
                r = fileset_environment(&env, e);
        return r < 0 ? r
                     : op_exec(s->step->job->ops, &(struct exec){.argv = argv, .env = &env, .cwd = "/", .step = group},
                               &fns, s, &s->op, e);
}

int stow_end(struct stow *s, struct err *e)
{
        int r = pack_end(s->pack, e);
        s->giving = false;
        return r < 0 ? r : store_give_end(store_of(s), true, e);
}

/* ---- from the store ---- */

static int conclude(struct stow *s, const struct store_item *item, struct err *e)
{
        struct err failure = s->failure;
        return s->fns.done(s, failure.code ? NULL : item, failure.code ? &failure : NULL, s->user, e);
}

static int on_ready(struct store_client *c, bool exists, void *user, struct err *e)
{
        struct stow *s = user;
        (void)c;
        s->giving = !exists;
        s->asking = !exists;
        if (exists)
                return conclude(s, NULL, e);
        if (s->failure.code != ERR_SUCCESS)
                return stow_give_up(s, &s->failure, e);
        struct err why = ERR_INIT;
        return s->fns.begin(s, s->user, &why) < 0 ? stow_give_up(s, &why, e) : 0;
}

static int on_drained(struct store_client *c, void *user, struct err *e)
{
        struct stow *s = user;
        (void)c;
        return s->op ? op_resume(s->op, e) : 0;
}

static int on_put(struct store_client *c, const struct store_item *item, const struct err *failure, void *user,
                  struct err *e)
{
        struct stow *s = user;
        (void)c;
        s->giving = s->asking = false;
        if (failure && stow_give_up(s, failure, e) < 0)
                return -1;
        return conclude(s, item, e);
}

static const struct store_upload upload = {.ready = on_ready, .drained = on_drained, .done = on_put};

/* ---- beginning ---- */

static int stow_new(struct step *step, const struct pack_rules *rules, const struct stow_fns *fns, void *user,
                    struct stow **ret, struct err *e)
{
        AUTO(stow_freep) struct stow *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->step = step;
        s->fns = *fns;
        s->user = user;
        s->asking = true;
        int r = pack_new(rules, on_packed, s, &s->pack, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

int stow_artifact(struct step *step, const char *name, unsigned days, bool overwrite, const struct pack_rules *rules,
                  const struct stow_fns *fns, void *user, struct stow **ret, struct err *e)
{
        int r = stow_new(step, rules, fns, user, ret, e);
        return r < 0 ? r : store_put_artifact(step->job->store, name, days, overwrite, &upload, *ret, e);
}

int stow_cache(struct step *step, const char *key, const char *version, const struct pack_rules *rules,
               const struct stow_fns *fns, void *user, struct stow **ret, struct err *e)
{
        int r = stow_new(step, rules, fns, user, ret, e);
        return r < 0 ? r : store_put_cache(step->job->store, key, version, &upload, *ret, e);
}
