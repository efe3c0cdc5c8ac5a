#include "secrets/server.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "secrets/limits.h"
#include "secrets/message.h"
#include "secrets/order.h"
#include "secrets/provider.h"
#include "secrets/values.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PROVIDERS 2u

enum state { FRESH, HELD, RELEASED };

/* What is known of one secret of the order. */
struct held {
        size_t at, len;
        char version[PROVIDER_MAX_VERSION];
};

struct opened {
        const struct provider_kind *kind;
        struct provider *provider;
        uint64_t due_ms; /* of its tend(); UINT64_MAX: never */
};

struct server {
        const struct server_config *config;
        enum state state;
        bool gone; /* nobody reads any more */
        struct opened opened[MAX_PROVIDERS];
        unsigned n_opened;
        struct held *held; /* one per secret of the order */
        /* A look at the versions: from the first secret to the last, and it stands while a change waits to be taken. */
        bool looking, changing;
        size_t look_at;
        size_t replaced; /* where the value is that the change takes the place of */
        uint64_t n_changed;
        bool asked;       /* the look answers a verb */
        uint64_t look_ms; /* when the next one begins by itself; UINT64_MAX: never */
};

/* ---- what is said ---- */

static int say(struct server *s, const struct secrets_message *m, struct err *e)
{
        struct buf b = BUF_INIT;
        int r = secrets_message_write(m, &b, e);
        if (r == 0 && !s->gone && fd_write_all(s->config->fd, b.data, b.len, "the answer", NULL) < 0)
                s->gone = true;
        buf_done(&b);
        return r;
}

static int say_text(struct server *s, enum secrets_word word, const char *text, struct err *e)
{
        return say(s, &(struct secrets_message){.word = word, .message = text}, e);
}

static int say_count(struct server *s, enum secrets_word word, uint64_t count, struct err *e)
{
        return say(s, &(struct secrets_message){.word = word, .count = count}, e);
}

/* A provider's sentence for the job's log. When nobody reads there any more it goes to ours. */
static void on_note(const char *text, void *user)
{
        struct server *s = user;
        if (say_text(s, SECRETS_NOTE, text, NULL) < 0 || s->gone)
                log_warning("%s", text);
}

/* ---- providers ---- */

static int provider_of(struct server *s, const struct order_secret *secret, struct opened **ret, struct err *e)
{
        const struct server_config *c = s->config;
        const struct provider_kind *kind = provider_find(secret->provider);
        for (unsigned i = 0; i < s->n_opened; i++) {
                if (s->opened[i].kind == kind) {
                        *ret = &s->opened[i];
                        return 0;
                }
        }
        struct opened *o = &s->opened[s->n_opened];
        const struct provider_config config = {.order = c->order,
                                               .credentials = c->credentials,
                                               .credentials_size = c->credentials_size,
                                               .http = c->http,
                                               .note = on_note,
                                               .user = s};
        *o = (struct opened){.kind = kind, .due_ms = kind->tend ? 0 : UINT64_MAX};
        int r = kind->open(&config, &o->provider, e);
        if (r < 0)
                return r;
        s->n_opened++;
        *ret = o;
        return 0;
}

/* No value is needed for a while. */
static void rest(struct server *s)
{
        for (unsigned i = 0; i < s->n_opened; i++)
                if (s->opened[i].kind->rest)
                        s->opened[i].kind->rest(s->opened[i].provider);
}

/* "devdep.yaml:12:9: secret NAME: why". */
static int name_secret(const struct order_secret *secret, int r, struct err *e)
{
        if (r < 0 && e->code != ERR_VAULT_MISMATCH)
                e->code = ERR_VAULT_MISMATCH;
        return err_wrap(e, r, "%s: secret %s", secret->where, secret->name);
}

/* Fetch one and write it down; where the old value was is the caller's to remember. */
static int hold(struct server *s, size_t i, struct err *e)
{
        AUTO(provider_value_done) struct provider_value value = PROVIDER_VALUE_INIT;
        const struct order_secret *secret = &s->config->order->secrets[i];
        struct held *h = &s->held[i];
        struct opened *o;
        int r = provider_of(s, secret, &o, e);
        if (r == 0)
                r = o->kind->fetch(o->provider, secret, &value, e);
        if (r == 0)
                r = values_put(s->config->values, value.data, value.len, &h->at, e);
        if (r < 0)
                return name_secret(secret, r, e);
        h->len = value.len;
        memcpy(h->version, value.version, sizeof(h->version));
        return 0;
}

static struct secrets_value value_of(const struct server *s, size_t i)
{
        const struct held *h = &s->held[i];
        return (struct secrets_value){
                .name = s->config->order->secrets[i].name, .version = h->version, .at = h->at, .len = h->len};
}

/* ---- what was lent ---- */

/* Everything goes back; what cannot be revoked is noted. Once. */
static unsigned release(struct server *s)
{
        unsigned all = 0;
        uint64_t deadline = clock_mono_ms() + SECRETS_RELEASE_MS;
        if (s->config->values)
                for (size_t i = 0; s->state == HELD && i < s->config->order->n; i++)
                        values_drop(s->config->values, s->held[i].at);
        if (s->changing)
                values_drop(s->config->values, s->replaced);
        s->changing = s->looking = false;
        for (unsigned i = 0; i < s->n_opened; i++) {
                unsigned revoked = 0;
                s->opened[i].kind->close(s->opened[i].provider, deadline, &revoked);
                all += revoked;
        }
        s->n_opened = 0;
        s->state = RELEASED;
        return all;
}

/* A verb that could not be done. Nothing is kept: whoever asked ends its job. */
static int give_up(struct server *s, const struct err *why, struct err *e)
{
        release(s);
        return say_text(s, SECRETS_FAILED, why->msg, e);
}

/* ---- looks at the versions ---- */

static void look_later(struct server *s)
{
        bool any = false;
        for (size_t i = 0; i < s->config->order->n; i++)
                any |= s->config->order->secrets[i].rotate;
        s->look_ms = any ? clock_mono_ms() + SECRETS_ROTATE_MS : UINT64_MAX;
}

/* Is there a newer one? A provider that cannot say so now is asked again the next time. */
static bool is_changed(struct server *s, size_t i)
{
        const struct order_secret *secret = &s->config->order->secrets[i];
        struct opened *o = NULL;
        struct err why = ERR_INIT;
        bool changed = false;
        int r = secret->rotate ? provider_of(s, secret, &o, &why) : 0;
        if (r == 0 && o && o->kind->changed)
                r = o->kind->changed(o->provider, secret, &changed, &why);
        if (r < 0) {
                name_secret(secret, r, &why);
                on_note(why.msg, s);
        }
        return r == 0 && changed;
}

/* The new value beside the old one, which its reader still has. */
static int change(struct server *s, size_t i, struct err *e)
{
        struct err why = ERR_INIT;
        struct secrets_value v;
        size_t old = s->held[i].at;
        if (hold(s, i, &why) < 0) {
                on_note(why.msg, s);
                return 0;
        }
        s->replaced = old;
        s->changing = true;
        s->n_changed++;
        v = value_of(s, i);
        return say(s, &(struct secrets_message){.word = SECRETS_CHANGED, .values = &v, .n_values = 1}, e);
}

static int look_on(struct server *s, struct err *e)
{
        int r = 0;
        while (r == 0 && s->looking && !s->changing && s->look_at < s->config->order->n) {
                size_t i = s->look_at++;
                if (is_changed(s, i))
                        r = change(s, i, e);
        }
        if (r < 0 || !s->looking || s->changing)
                return r;
        s->looking = false;
        rest(s);
        look_later(s);
        bool asked = s->asked;
        s->asked = false;
        return asked ? say_count(s, SECRETS_ROTATED, s->n_changed, e) : 0;
}

static int look(struct server *s, struct err *e)
{
        if (s->looking)
                return 0;
        s->looking = true;
        s->look_at = 0;
        s->n_changed = 0;
        return look_on(s, e);
}

/* ---- verbs ---- */

static int do_ask(struct server *s, struct err *e)
{
        const struct order *order = s->config->order;
        AUTO(auto_free) struct secrets_value *v = calloc(order->n + 1, sizeof(*v));
        struct err why = ERR_INIT;
        size_t n = 0;
        if (!v)
                return err_nomem(e);
        while (n < order->n && hold(s, n, &why) == 0) {
                v[n] = value_of(s, n);
                n++;
        }
        if (n < order->n) {
                while (n > 0)
                        values_drop(s->config->values, s->held[--n].at);
                return give_up(s, &why, e);
        }
        s->state = HELD;
        rest(s);
        look_later(s);
        return say(s, &(struct secrets_message){.word = SECRETS_VALUES, .values = v, .n_values = n}, e);
}

static int do_took(struct server *s, struct err *e)
{
        values_drop(s->config->values, s->replaced);
        s->changing = false;
        return look_on(s, e);
}

static int do_rotate(struct server *s, struct err *e)
{
        s->asked = true;
        return look(s, e);
}

static int do_release(struct server *s, struct err *e)
{
        return say_count(s, SECRETS_RELEASED, release(s), e);
}

static int do_check(struct server *s, struct err *e)
{
        const struct order *order = s->config->order;
        uint64_t missing = 0;
        int r = 0;
        for (size_t i = 0; r == 0 && i < order->n; i++) {
                const struct order_secret *secret = &order->secrets[i];
                struct opened *o;
                struct err why = ERR_INIT;
                if (provider_of(s, secret, &o, &why) == 0 && o->kind->check(o->provider, secret, &why) == 0)
                        continue;
                missing++;
                name_secret(secret, -1, &why);
                r = say(s, &(struct secrets_message){.word = SECRETS_MISSING, .name = secret->name, .message = why.msg},
                        e);
        }
        release(s);
        return r < 0 ? r : say_count(s, SECRETS_CHECKED, missing, e);
}

static const struct {
        enum secrets_verb verb;
        unsigned states; /* 1 << state in which it may come */
        bool values;     /* it needs a place for values */
        int (*fn)(struct server *s, struct err *e);
} verbs[] = {
        {SECRETS_ASK, 1 << FRESH, true, do_ask},
        {SECRETS_CHECK, 1 << FRESH, false, do_check},
        {SECRETS_TOOK, 1 << HELD, true, do_took},
        {SECRETS_ROTATE, 1 << HELD, true, do_rotate},
        {SECRETS_RELEASE, 1 << FRESH | 1 << HELD, false, do_release},
};

static int take_verb(struct server *s, uint8_t verb, struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                if (verbs[i].verb != verb)
                        continue;
                if (!(verbs[i].states & 1u << s->state) || (verbs[i].values && !s->config->values) ||
                    (verb == SECRETS_TOOK && !s->changing))
                        break;
                return verbs[i].fn(s, e);
        }
        return err_set(e, ERR_PROTOCOL, "a verb 0x%02x that has no place here", verb);
}

/* ---- the loop ---- */

static uint64_t next_due(const struct server *s)
{
        uint64_t due = s->state == HELD && !s->looking ? s->look_ms : UINT64_MAX;
        for (unsigned i = 0; i < s->n_opened; i++)
                due = MIN(due, s->opened[i].due_ms);
        return due;
}

/* What is due by itself. A lease that cannot be renewed is the job's to hear of, not its end. */
static int tend(struct server *s, struct err *e)
{
        uint64_t now = clock_mono_ms();
        bool wanted = false;
        for (unsigned i = 0; i < s->n_opened; i++) {
                struct opened *o = &s->opened[i];
                struct err why = ERR_INIT;
                if (o->due_ms <= now && o->kind->tend(o->provider, &o->due_ms, &wanted, &why) < 0)
                        on_note(why.msg, s);
        }
        return s->state == HELD && !s->looking && (wanted || s->look_ms <= now) ? look(s, e) : 0;
}

static int wait_for_verb(const struct server *s)
{
        struct pollfd p = {.fd = s->config->fd, .events = POLLIN};
        uint64_t due = next_due(s), now = clock_mono_ms();
        int timeout = due == UINT64_MAX ? -1 : (int)MIN(due > now ? due - now : 0, (uint64_t)INT_MAX);
        return poll(&p, 1, timeout);
}

static int serve(struct server *s, struct err *e)
{
        int r = 0;
        while (r == 0 && s->state != RELEASED) {
                uint8_t verb;
                int ready = wait_for_verb(s);
                if (ready < 0 && errno != EINTR)
                        return err_errno(e, ERR_RESOURCES, errno, "wait for a verb");
                if (ready <= 0) {
                        r = ready == 0 ? tend(s, e) : 0;
                        continue;
                }
                ssize_t n = read(s->config->fd, &verb, 1);
                if (n == 0 || (n < 0 && errno != EINTR))
                        return 0;
                if (n == 1)
                        r = take_verb(s, verb, e);
        }
        return r;
}

int server_run(const struct server_config *c, struct err *e)
{
        AUTO(auto_free) struct held *held = calloc(c->order->n + 1, sizeof(*held));
        struct server s = {.config = c, .held = held, .look_ms = UINT64_MAX};
        if (!held)
                return err_nomem(e);
        int r = serve(&s, e);
        s.gone = true;
        if (s.state != RELEASED)
                release(&s);
        return r;
}
