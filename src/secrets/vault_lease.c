/* What ends: the token and what it was lent. Renewed when two thirds of its time are over, revoked at the end of the
 * job. What counts is when something ends, not what the server answered last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "codec/json.h"
#include "secrets/vault.h"

#define MAX_SPAN_S 31536000 /* a year: longer ones are cut to it */

static uint64_t span_of(const json_t *object, const char *key)
{
        int64_t seconds = json_integer_value(json_object_get(object, key));
        return (uint64_t)MAX(MIN(seconds, (int64_t)MAX_SPAN_S), (int64_t)0) * 1000;
}

static void set_end(struct vault_life *l, uint64_t span_ms)
{
        uint64_t now = clock_mono_ms();
        l->end_ms = span_ms ? now + span_ms : VAULT_FOREVER;
        l->due_ms = span_ms && l->renewable ? now + span_ms / 3 * 2 : VAULT_FOREVER;
}

void vault_life_begin(struct vault_life *l, const json_t *object, const char *duration_key)
{
        *l = (struct vault_life){.span_ms = span_of(object, duration_key),
                                 .renewable = json_is_true(json_object_get(object, "renewable"))};
        set_end(l, l->span_ms);
}

int vault_lease_add(struct provider *p, const json_t *answer, char ret[VAULT_MAX_LEASE], struct err *e)
{
        const char *id = json_string_value(json_object_get(answer, "lease_id"));
        if (!id || !*id || strlen(id) >= VAULT_MAX_LEASE)
                return err_set(e, ERR_VAULT_MISMATCH, "the server lends it without a lease");
        struct vault_lease *more = reallocarray(p->leases, p->n_leases + 1, sizeof(*more));
        if (!more)
                return err_nomem(e);
        p->leases = more;
        struct vault_lease *l = &more[p->n_leases++];
        *l = (struct vault_lease){0};
        str_copy(l->id, sizeof(l->id), id);
        str_copy(ret, VAULT_MAX_LEASE, id);
        vault_life_begin(&l->life, answer, "lease_duration");
        return 0;
}

struct vault_lease *vault_lease_find(struct provider *p, const char *id)
{
        for (size_t i = 0; i < p->n_leases; i++)
                if (str_eq(p->leases[i].id, id))
                        return &p->leases[i];
        return NULL;
}

/* When another one is to be had for what is not renewed any more: a third of its time before its end. */
static uint64_t replace_at(const struct vault_life *l)
{
        return l->end_ms == VAULT_FOREVER || l->due_ms != VAULT_FOREVER ? VAULT_FOREVER : l->end_ms - l->span_ms / 3;
}

bool vault_lease_is_ending(const struct vault_lease *l)
{
        return replace_at(&l->life) <= clock_mono_ms();
}

/* ---- renewing ---- */

static int ask_to_renew(struct provider *p, const struct vault_lease *lease, const struct vault_life *l,
                        int *ret_status, json_t **ret, struct err *e)
{
        char increment[24];
        AUTO(json_decrefp) json_t *body = NULL;
        snprintf(increment, sizeof(increment), "%llus", (unsigned long long)(l->span_ms / 1000));
        body = lease ? json_pack("{s:s,s:I}", "lease_id", lease->id, "increment", (json_int_t)(l->span_ms / 1000))
                     : json_pack("{s:s}", "increment", increment);
        if (!body)
                return err_nomem(e);
        const struct vault_request q = {.method = lease ? "PUT" : "POST",
                                        .path = lease ? "sys/leases/renew" : "auth/token/renew-self",
                                        .body = body,
                                        .token = p->token};
        return vault_ask(p, &q, ret_status, ret, e);
}

static void note_end(struct provider *p, struct vault_life *l, const char *what, const char *why)
{
        char text[ERR_MAX_MESSAGE];
        uint64_t now = clock_mono_ms();
        if (l->noted)
                return;
        l->noted = true;
        snprintf(text, sizeof(text), "%s ends in %llu s and is not renewed: %.400s", what,
                 (unsigned long long)(l->end_ms > now ? (l->end_ms - now) / 1000 : 0), why);
        p->config.note(text, p->config.user);
}

/* The server said for how long now: less than what was asked for means that its last end is near, and then the rest of
 * its life is spent without asking again. */
static void take_renewal(struct provider *p, struct vault_life *l, const json_t *object, const char *what)
{
        uint64_t span = span_of(object, "lease_duration");
        l->renewable = json_is_true(json_object_get(object, "renewable"));
        set_end(l, span);
        if (span < l->span_ms / 2 || !l->renewable) {
                l->due_ms = VAULT_FOREVER;
                note_end(p, l, what, "the server lends it no longer");
        }
}

/* A server that is away now is asked again while the thing lives; one that refuses is not. */
static void renew(struct provider *p, struct vault_lease *lease, struct vault_life *l, const char *what)
{
        AUTO(json_decrefp) json_t *answer = NULL;
        struct err why = ERR_INIT;
        int status = 0, r = ask_to_renew(p, lease, l, &status, &answer, &why);
        if (r == 0) {
                take_renewal(p, l, lease ? answer : json_object_get(answer, "auth"), what);
                return;
        }
        uint64_t next = clock_mono_ms() + VAULT_RENEW_AGAIN_MS;
        bool refused = r == VAULT_E_STATUS && status < 500 && status != 429;
        l->due_ms = refused || next >= l->end_ms ? VAULT_FOREVER : next;
        if (l->due_ms == VAULT_FOREVER)
                note_end(p, l, what, why.msg);
}

int vault_tend(struct provider *p, uint64_t *ret_due_ms, bool *ret_look, struct err *e)
{
        uint64_t now = clock_mono_ms();
        (void)e;
        p->deadline_ms = now + VAULT_DEADLINE_MS;
        if (p->token_life.due_ms <= now)
                renew(p, NULL, &p->token_life, "the token");
        *ret_due_ms = p->token_life.due_ms;
        for (size_t i = 0; i < p->n_leases; i++) {
                struct vault_lease *l = &p->leases[i];
                char what[VAULT_MAX_LEASE + 8];
                snprintf(what, sizeof(what), "lease %s", l->id);
                if (l->life.due_ms <= now)
                        renew(p, l, &l->life, what);
                *ret_due_ms = MIN(*ret_due_ms, l->life.due_ms);
                *ret_look |= vault_lease_is_ending(l);
                if (!vault_lease_is_ending(l))
                        *ret_due_ms = MIN(*ret_due_ms, replace_at(&l->life));
        }
        return 0;
}

/* ---- the end ---- */

static int revoke(struct provider *p, const struct vault_lease *lease, int *ret_status, struct err *e)
{
        AUTO(json_decrefp) json_t *body = lease ? json_pack("{s:s}", "lease_id", lease->id) : NULL, *answer = NULL;
        if (lease && !body)
                return err_nomem(e);
        const struct vault_request q = {.method = lease ? "PUT" : "POST",
                                        .path = lease ? "sys/leases/revoke" : "auth/token/revoke-self",
                                        .body = body,
                                        .token = p->token};
        return vault_ask(p, &q, ret_status, &answer, e);
}

static void note_left(struct provider *p, const char *what, const struct vault_life *l, const char *why)
{
        char text[ERR_MAX_MESSAGE], when[64] = "lives on";
        uint64_t now = clock_mono_ms();
        if (l->end_ms != VAULT_FOREVER)
                snprintf(when, sizeof(when), "ends by itself in %llu s",
                         (unsigned long long)(l->end_ms > now ? (l->end_ms - now) / 1000 : 0));
        snprintf(text, sizeof(text), "%s could not be revoked and %s: %.400s", what, when, why);
        p->config.note(text, p->config.user);
}

/* A token of ours takes what it was lent with it, so that a lease which may not be revoked by itself is no loss then.
 */
unsigned vault_revoke_all(struct provider *p, uint64_t deadline_ms)
{
        struct err why[2] = {ERR_INIT, ERR_INIT};
        unsigned revoked = 0;
        int status = 0;
        size_t left = 0;
        p->deadline_ms = deadline_ms;
        for (size_t i = 0; i < p->n_leases; i++) {
                if (revoke(p, &p->leases[i], &status, &why[0]) == 0)
                        revoked++;
                else
                        p->leases[left++] = p->leases[i];
        }
        bool gone = *p->token && p->token_is_own && revoke(p, NULL, &status, &why[1]) == 0;
        if (gone)
                return revoked + 1 + (unsigned)left;
        for (size_t i = 0; i < left; i++) {
                char what[VAULT_MAX_LEASE + 8];
                snprintf(what, sizeof(what), "lease %s", p->leases[i].id);
                note_left(p, what, &p->leases[i].life, why[0].msg);
        }
        if (*p->token && p->token_is_own)
                note_left(p, "the token", &p->token_life, why[1].msg);
        return revoked;
}
