#include "job/secrets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "job/context.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/ops.h"
#include "job/passed.h"
#include "job/spec.h"
#include "loop/loop.h"
#include "secrets/client.h"
#include "secrets/limits.h"
#include "secrets/ref.h"
#include "workflow/value.h"

_Static_assert(SECRETS_MAX_VALUE <= MASK_MAX_VALUE && SECRETS_MAX_TOTAL <= MASK_MAX_TOTAL &&
                       SECRETS_MAX_COUNT <= MASK_MAX_VALUES,
               "no secret is past the limits of a mask itself; MASK_MAX_FORMS bounds all of them together");

/* MiB that run through the door before a wipe: a virtio port over mmio has 1,024 buffers of a page, used in turn. */
#define RINSES 6u
/* devdep-secrets keeps its own deadline; this one is for a devdep-secrets that does not. */
#define RELEASE_MS (SECRETS_RELEASE_MS + 5000u)

enum state { NONE, ASKED, THERE, SHOWN, RELEASING, RELEASED };

struct job_secrets {
        struct job *job;
        enum state state;
        struct secrets *client;
        struct loop_timer *timer; /* for the values, then for the release */
        struct strv names;
        struct secret *v;      /* by the same index, what devdep-secrets gave; values lie in the memory file */
        struct secret *passed; /* what calls around the job make of them, our own copies; NULL: there is no such call */
        size_t n_passed;
        struct strv tainted;  /* files in the guest */
        unsigned waiting;     /* requests to the guest under way */
        unsigned rinses;      /* of them, those before a wipe */
        bool asked_to_show;   /* `done` waits for the values */
        bool wiping;          /* the guest zeroes its memory */
        bool lost;            /* devdep-secrets is gone */
        job_secrets_fn *done; /* of show or release */
};

static void forget_passed(struct job_secrets *s)
{
        for (size_t i = 0; i < s->n_passed; i++) {
                secret_heap_free((void *)(uintptr_t)s->passed[i].name);
                secret_heap_free((void *)(uintptr_t)s->passed[i].value);
        }
        free(s->passed);
        s->passed = NULL;
        s->n_passed = 0;
}

static void forget_values(struct job_secrets *s)
{
        forget_passed(s);
        strv_done(&s->names);
        free(s->v);
        s->v = NULL;
}

struct job_secrets *job_secrets_free(struct job_secrets *s)
{
        if (!s)
                return NULL;
        forget_values(s);
        secrets_free(s->client);
        if (s->timer)
                loop_timer_free(s->timer);
        strv_done(&s->tainted);
        free(s);
        return NULL;
}

static int call_done(struct job_secrets *s, struct err *e)
{
        job_secrets_fn *done = s->done;
        s->done = NULL;
        return done ? done(s->job, e) : 0;
}

/* ---- the values arrive ---- */

static int mask(struct job_secrets *s, const struct secret *v, struct err *e)
{
        int r = masks_add(s->job->config.masks, v->value, v->len, e);
        return r == MASK_E_FULL ? err_set(e, ERR_VAULT_MISMATCH, "secret %s: more values than can be masked", v->name)
                                : r;
}

/* Copies of what the job has by its calls, masked. */
static int keep_passed(struct job_secrets *s, const struct value *passed, struct err *e)
{
        int r = 0;
        forget_passed(s);
        s->passed = calloc(value_count(passed) + 1, sizeof(*s->passed));
        if (!s->passed)
                return err_nomem(e);
        for (size_t i = 0; r == 0 && i < value_count(passed); i++) {
                struct secret *p = &s->passed[s->n_passed++];
                p->name = secret_heap_dup(value_key_at(passed, i));
                p->value = secret_heap_dup(value_text(value_at(passed, i), &p->len));
                r = p->name && p->value ? mask(s, p, e) : err_nomem(e);
        }
        return r;
}

static int set_context(struct job_secrets *s, struct err *e)
{
        const struct spec *spec = s->job->spec;
        AUTO(value_unrefp) struct value *passed = NULL;
        AUTO(value_unrefp) struct value *o = NULL;
        int r = value_object(&o, e);
        for (size_t i = 0; r == 0 && i < s->names.n; i++) {
                AUTO(value_unrefp) struct value *text = NULL;
                r = value_string(s->v[i].value, s->v[i].len, &text, e);
                if (r == 0)
                        r = value_set(o, s->v[i].name, text, e);
        }
        if (r == 0 && spec->n_calls)
                r = passed_secrets(spec, s->job->context, o, &passed, e);
        if (r == 0 && passed)
                r = keep_passed(s, passed, e);
        return r < 0 ? r : context_set_secrets(s->job->context, passed ? passed : o, e);
}

static int write_event(struct job_secrets *s, const char *type, const struct secret *v, size_t n, struct err *e)
{
        struct journal *journal = s->job->journal;
        journal_begin(journal, type);
        journal_open(journal, "versions");
        for (size_t i = 0; i < n; i++)
                journal_member(journal, v[i].name, v[i].version);
        journal_close(journal);
        return journal_end(journal, e);
}

static int take_values(struct job_secrets *s, const struct secret *v, size_t n, struct err *e)
{
        int r = 0;
        s->v = calloc(n + 1, sizeof(*s->v));
        if (!s->v)
                return err_nomem(e);
        for (size_t i = 0; r == 0 && i < n; i++) {
                r = strv_add(&s->names, v[i].name, e);
                if (r == 0)
                        r = mask(s, &v[i], e);
        }
        for (size_t i = 0; r == 0 && i < n; i++)
                s->v[i] = (struct secret){.name = s->names.v[i], .value = v[i].value, .len = v[i].len};
        if (r == 0)
                r = set_context(s, e);
        return r < 0 ? r : write_event(s, "secrets", v, n, e);
}

static int show_all(struct job_secrets *s, struct err *e);

static int on_values(const struct secret *v, size_t n, void *user, struct err *e)
{
        struct job_secrets *s = user;
        struct err why = ERR_INIT;
        if (s->state != ASKED)
                return 0;
        loop_timer_off(s->timer);
        if (take_values(s, v, n, &why) < 0) {
                job_refuse(s->job, &why);
                return 0;
        }
        s->state = THERE;
        return s->asked_to_show ? show_all(s, e) : 0;
}

/* ---- into the guest ---- */

/* A name that calls gave may be none of a file: it is in expressions alone. Then nothing fits. */
static size_t fits(const struct secret *v, size_t n)
{
        size_t valid = 0;
        while (valid < n && secret_name_is_valid(v[valid].name))
                valid++;
        return valid ? op_secret_fits(v, valid) : 0;
}

static int put_all(struct job_secrets *s, op_done_fn *done, struct err *e)
{
        const struct secret *v = s->passed ? s->passed : s->v;
        size_t n = s->passed ? s->n_passed : s->names.n;
        int r = 0;
        for (size_t i = 0; r == 0 && i < n;) {
                size_t k = fits(v + i, n - i);
                s->waiting += k > 0;
                r = k > 0 ? op_secret(s->job->ops, v + i, k, done, s, e) : 0;
                i += k > 0 ? k : 1;
        }
        return r;
}

static int on_shown(const char *refusal, void *user, struct err *e)
{
        struct job_secrets *s = user;
        struct err why = ERR_INIT;
        if (refusal) {
                err_set(&why, ERR_VAULT_MISMATCH, "the guest does not take its secrets: %s", refusal);
                job_refuse(s->job, &why);
                return 0;
        }
        if (--s->waiting || s->state != THERE)
                return 0;
        s->state = SHOWN;
        return call_done(s, e);
}

static int show_all(struct job_secrets *s, struct err *e)
{
        s->waiting = 1;
        int r = put_all(s, on_shown, e);
        return r < 0 ? r : on_shown(NULL, s, e);
}

/* Nothing was asked for; but what a call passes may be made of nothing that is. */
static int show_own(struct job_secrets *s, struct err *e)
{
        struct err why = ERR_INIT;
        if (set_context(s, &why) < 0) {
                job_refuse(s->job, &why);
                return 0;
        }
        if (!s->n_passed)
                return call_done(s, e);
        s->state = THERE;
        return show_all(s, e);
}

int job_secrets_show(struct job_secrets *s, job_secrets_fn *done, struct err *e)
{
        s->done = done;
        if (s->state == NONE)
                return show_own(s, e);
        s->asked_to_show = true;
        return s->state == THERE ? show_all(s, e) : 0;
}

bool job_secrets_are_awaited(const struct job_secrets *s)
{
        return s->state == ASKED || s->state == THERE;
}

/* ---- a rotation ---- */

static int on_replaced(const char *refusal, void *user, struct err *e)
{
        struct job_secrets *s = user;
        if (s->state != SHOWN)
                return 0;
        if (refusal &&
            journal_note(s->job->journal, -1, e, "the guest does not take a rotated secret: %s", refusal) < 0)
                return -1;
        return --s->waiting ? 0 : secrets_took(s->client, e);
}

/* Masked first, as ever; the old value stays masked, too. */
static int replace(struct job_secrets *s, struct secret *old, const struct secret *v, struct err *e)
{
        int r = mask(s, v, e);
        if (r < 0)
                return r;
        old->value = v->value;
        old->len = v->len;
        r = set_context(s, e);
        if (r == 0)
                r = write_event(s, "secret_rotated", v, 1, e);
        s->waiting = 1;
        if (r == 0 && s->passed && (r = put_all(s, on_replaced, e)) == 0)
                return on_replaced(NULL, s, e);
        return r < 0 ? r : op_secret(s->job->ops, old, 1, on_replaced, s, e);
}

static int on_changed(const struct secret *v, void *user, struct err *e)
{
        struct job_secrets *s = user;
        if (s->state != SHOWN)
                return secrets_took(s->client, e);
        for (size_t i = 0; i < s->names.n; i++)
                if (str_eq(s->names.v[i], v->name))
                        return replace(s, &s->v[i], v, e);
        return err_set(e, ERR_RESOURCES, "devdep-secrets rotated a secret that the job does not have");
}

static int on_rotated(uint64_t n, void *user, struct err *e)
{
        struct job_secrets *s = user;
        journal_begin(s->job->journal, "secrets_looked_at");
        journal_i64(s->job->journal, "rotated", (int64_t)n);
        return journal_end(s->job->journal, e);
}

int job_secrets_rotate(struct job_secrets *s, struct err *e)
{
        if (s->state != SHOWN || !s->client)
                return err_set(e, ERR_USAGE, "the job has no secrets now");
        return secrets_rotate(s->client, e);
}

/* ---- the end ---- */

static int finish(struct job_secrets *s, struct err *e)
{
        s->state = RELEASED;
        if (s->timer)
                loop_timer_off(s->timer);
        return call_done(s, e);
}

static int on_released(uint64_t n_revoked, void *user, struct err *e)
{
        struct job_secrets *s = user;
        journal_begin(s->job->journal, "secrets_released");
        journal_i64(s->job->journal, "revoked", (int64_t)n_revoked);
        int r = journal_end(s->job->journal, e);
        return r < 0 ? r : finish(s, e);
}

static int on_failed(const struct err *why, void *user, struct err *e)
{
        struct job_secrets *s = user;
        s->lost = true;
        if (s->state < SHOWN) {
                job_refuse(s->job, why);
                return 0;
        }
        int r = journal_note(s->job->journal, -1, e, "secrets: %s", why->msg);
        return r < 0 || s->state != RELEASING || s->wiping ? r : finish(s, e);
}

static int on_note(const char *text, void *user, struct err *e)
{
        struct job_secrets *s = user;
        return journal_note(s->job->journal, -1, e, "secrets: %s", text);
}

static int on_time(struct loop_timer *t, void *user, struct err *e)
{
        struct job_secrets *s = user;
        struct err why = ERR_INIT;
        (void)t;
        err_set(&why, ERR_VAULT_MISMATCH, "devdep-secrets did not answer in time");
        return on_failed(&why, s, e);
}

/* Nothing of ours refers to the values any more when devdep-secrets zeroes them. */
static int give_up(struct job_secrets *s, struct err *e)
{
        struct err why = ERR_INIT;
        forget_values(s);
        context_forget_secrets(s->job->context, s->job->config.masks);
        if (s->lost || !s->client)
                return finish(s, e);
        loop_timer_in(s->timer, RELEASE_MS);
        return secrets_release(s->client, &why) < 0 ? on_failed(&why, s, e) : 0;
}

/* A guest that may still have them is not kept. */
static void take_refusal(struct job_secrets *s, const char *refusal)
{
        struct err why = ERR_INIT;
        if (!refusal)
                return;
        err_set(&why, ERR_RESOURCES, "the guest does not give its secrets up: %s", refusal);
        job_fail(s->job, &why);
}

static int on_wiped(const char *refusal, void *user, struct err *e)
{
        struct job_secrets *s = user;
        take_refusal(s, refusal);
        if (--s->waiting || !s->wiping)
                return 0;
        s->wiping = false;
        return give_up(s, e);
}

static int on_rinsed(const char *refusal, void *user, struct err *e)
{
        struct job_secrets *s = user;
        take_refusal(s, refusal);
        return --s->rinses || !s->wiping ? 0 : op_secret_wipe(s->job->ops, on_wiped, s, e);
}

static int wipe(struct job_secrets *s, struct err *e)
{
        int r = 0;
        s->wiping = true;
        s->waiting = 1;
        for (size_t i = 0; r == 0 && i < s->tainted.n; i++) {
                s->waiting++;
                r = op_clear(s->job->ops, s->tainted.v[i], on_wiped, s, e);
        }
        for (s->rinses = 0; r == 0 && s->rinses < RINSES; s->rinses++)
                r = op_secret_rinse(s->job->ops, on_rinsed, s, e);
        return r;
}

int job_secrets_release(struct job_secrets *s, bool wipe_guest, job_secrets_fn *done, struct err *e)
{
        if (done || s->state < RELEASING)
                s->done = done;
        if (s->state == NONE || s->state == RELEASED)
                return call_done(s, e);
        if (s->state == RELEASING) {
                /* The guest is gone: what it was asked for does not come. */
                bool waits = s->wiping && !wipe_guest;
                s->wiping = s->wiping && wipe_guest;
                return waits ? give_up(s, e) : 0;
        }
        s->state = RELEASING;
        return wipe_guest ? wipe(s, e) : give_up(s, e);
}

int job_secrets_taint(struct job_secrets *s, const char *path, const char *text, struct err *e)
{
        bool found = false;
        int r = s->state == NONE ? 0 : masks_found(s->job->config.masks, text, strlen(text), &found, e);
        return r < 0 || !found ? r : strv_add(&s->tainted, path, e);
}

/* ---- life ---- */

static const struct secrets_callbacks callbacks = {.values = on_values,
                                                   .changed = on_changed,
                                                   .note = on_note,
                                                   .rotated = on_rotated,
                                                   .released = on_released,
                                                   .failed = on_failed};

static int ask(struct job_secrets *s, int socket_fd, int values_fd, struct err *e)
{
        int r = loop_timer_new(s->job->config.loop, on_time, s, &s->timer, e);
        if (r == 0)
                r = secrets_new(s->job->config.loop, socket_fd, values_fd, &callbacks, s, &s->client, e);
        if (r == 0)
                r = secrets_ask(s->client, e);
        if (r < 0)
                return r;
        s->state = ASKED;
        loop_timer_in(s->timer, SECRETS_ANSWER_MS);
        return 0;
}

int job_secrets_new(struct job *j, int socket_fd, int values_fd, struct job_secrets **ret, struct err *e)
{
        AUTO(job_secrets_freep) struct job_secrets *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->job = j;
        int r = socket_fd < 0 ? 0 : ask(s, socket_fd, values_fd, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
