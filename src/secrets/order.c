#include "secrets/order.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "secrets/limits.h"
#include "secrets/ref.h"
#include "wire/guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *const order_auth_names[ORDER_AUTHS] = {
        [ORDER_AUTH_TOKEN] = "token", [ORDER_AUTH_JWT] = "jwt", [ORDER_AUTH_APPROLE] = "approle"};

/* The six fields of a secret, in this order. */
static const char *const secret_keys[] = {"name", "provider", "reference", "version", "where", "rotate"};
#define SECRET_KEYS ARRAY_SIZE(secret_keys)

/* ---- writing ---- */

static int write_vault(const struct order_vault *v, struct buf *b, struct err *e)
{
        int r = fields_add_str(b, "vault.address", v->address, e);
        if (r == 0)
                r = fields_add_str(b, "vault.namespace", v->namespace, e);
        if (r == 0)
                r = fields_add_str(b, "vault.ca", v->ca, e);
        if (r == 0)
                r = fields_add_str(b, "vault.auth", order_auth_names[v->auth], e);
        if (r == 0)
                r = fields_add_str(b, "vault.mount", v->mount, e);
        if (r == 0)
                r = fields_add_str(b, "vault.role", v->role, e);
        for (size_t i = 0; r == 0 && i < v->n_networks; i++)
                r = fields_add_str(b, "vault.network", v->networks[i], e);
        return r;
}

static int write_secret(const struct order_secret *s, struct buf *b, struct err *e)
{
        char version[16];
        const char *const values[SECRET_KEYS] = {s->name, s->provider, s->reference,
                                                 version, s->where,    s->rotate ? "1" : "0"};
        int r = 0;
        snprintf(version, sizeof(version), "%" PRIu32, s->version);
        for (size_t i = 0; r == 0 && i < SECRET_KEYS; i++)
                r = fields_add_str(b, secret_keys[i], values[i], e);
        return r;
}

int order_write(const struct order *o, struct buf *ret, struct err *e)
{
        size_t mark;
        int r = fields_begin(ret, &mark, e);
        if (r == 0)
                r = fields_add_u64(ret, "order", ORDER_VERSION, e);
        if (r == 0 && *o->vault.address)
                r = write_vault(&o->vault, ret, e);
        for (size_t i = 0; r == 0 && i < o->n; i++)
                r = write_secret(&o->secrets[i], ret, e);
        return r < 0 ? r : fields_end(ret, mark, e);
}

/* ---- reading ---- */

/* What a field list says that is wrong is our starter's mistake, or a stranger's in its place. */
static int wrong(struct err *e, const char *key, const char *expected)
{
        return err_set(e, ERR_USAGE, "order: field '%s': expected %s", key, expected);
}

static int take_auth(const struct fields *f, enum order_auth *ret, struct err *e)
{
        const char *text;
        int r = fields_str(f, "vault.auth", &text, e);
        for (size_t i = 0; r == 0 && i < ORDER_AUTHS; i++) {
                if (str_eq(text, order_auth_names[i])) {
                        *ret = (enum order_auth)i;
                        return 0;
                }
        }
        return r < 0 ? r : wrong(e, "vault.auth", "'token', 'jwt' or 'approle'");
}

/* The values are the list's own; a NUL in them would hide what stands behind it. */
static int text_at(const struct fields *f, size_t i, const char *key, const char **ret, struct err *e)
{
        const struct field *x = i < fields_count(f) ? fields_at(f, i) : NULL;
        if (!x || !str_eq(x->key, key) || memchr(x->value, 0, x->len))
                return wrong(e, key, "a text, here");
        *ret = (const char *)x->value;
        return 0;
}

static int take_networks(struct order *o, struct err *e)
{
        o->vault.networks = calloc(fields_count(o->fields) + 1, sizeof(*o->vault.networks));
        if (!o->vault.networks)
                return err_nomem(e);
        int r = 0;
        for (size_t i = 0; r == 0 && i < fields_count(o->fields); i++)
                if (str_eq(fields_at(o->fields, i)->key, "vault.network"))
                        r = text_at(o->fields, i, "vault.network", &o->vault.networks[o->vault.n_networks++], e);
        return r;
}

static int take_vault(struct order *o, struct err *e)
{
        const struct fields *f = o->fields;
        struct order_vault *v = &o->vault;
        int r = fields_str_opt(f, "vault.address", "", &v->address, e);
        if (r < 0 || !*v->address)
                return r;
        r = fields_str(f, "vault.namespace", &v->namespace, e);
        if (r == 0)
                r = fields_str(f, "vault.ca", &v->ca, e);
        if (r == 0)
                r = take_auth(f, &v->auth, e);
        if (r == 0)
                r = fields_str(f, "vault.mount", &v->mount, e);
        if (r == 0)
                r = fields_str(f, "vault.role", &v->role, e);
        return r < 0 ? r : take_networks(o, e);
}

static int check_secret(const struct order *o, const struct order_secret *s, struct err *e)
{
        if (!secret_name_is_valid(s->name))
                return wrong(e, "name", "a name of a secret");
        if (!str_eq(s->provider, "local") && !(str_eq(s->provider, "vault") && *o->vault.address))
                return wrong(e, "provider", "'local', or 'vault' with its address");
        if (strlen(s->where) > SECRETS_MAX_WHERE)
                return wrong(e, "where", "at most 512 bytes");
        for (const struct order_secret *other = o->secrets; other < s; other++)
                if (strcasecmp(other->name, s->name) == 0)
                        return err_set(e, ERR_USAGE, "order: two secrets have the name %s", s->name);
        return 0;
}

static int take_secret(struct order *o, size_t at, struct err *e)
{
        struct order_secret *s = &o->secrets[o->n++];
        const char *rotate = NULL, *version = NULL;
        const char **const into[SECRET_KEYS] = {&s->name, &s->provider, &s->reference, &version, &s->where, &rotate};
        uint64_t number = 0;
        int r = 0;
        for (size_t i = 0; r == 0 && i < SECRET_KEYS; i++)
                r = text_at(o->fields, at + i, secret_keys[i], into[i], e);
        if (r == 0 && !str_eq(rotate, "0") && !str_eq(rotate, "1"))
                r = wrong(e, "rotate", "0 or 1");
        if (r == 0)
                r = num_u64(version, 0, UINT32_MAX, "order: field 'version'", &number, e);
        if (r < 0)
                return r;
        s->version = (uint32_t)number;
        s->rotate = *rotate == '1';
        return check_secret(o, s, e);
}

static int take_secrets(struct order *o, struct err *e)
{
        size_t first = 0, count = fields_count(o->fields);
        while (first < count && !str_eq(fields_at(o->fields, first)->key, secret_keys[0]))
                first++;
        if ((count - first) / SECRET_KEYS > SECRETS_MAX_COUNT)
                return err_set(e, ERR_USAGE, "more than %u secrets", SECRETS_MAX_COUNT);
        o->secrets = calloc((count - first) / SECRET_KEYS + 1, sizeof(*o->secrets));
        if (!o->secrets)
                return err_nomem(e);
        int r = 0;
        for (size_t at = first; r == 0 && at < count; at += SECRET_KEYS)
                r = take_secret(o, at, e);
        return r;
}

int order_parse(const void *data, size_t len, struct order **ret, struct err *e)
{
        AUTO(order_freep) struct order *o = calloc(1, sizeof(*o));
        uint64_t version = 0;
        if (!o)
                return err_nomem(e);
        int r = fields_parse(data, len, &o->fields, e);
        if (r == 0)
                r = fields_u64(o->fields, "order", ORDER_VERSION, &version, e);
        if (r == 0 && version != ORDER_VERSION)
                r = wrong(e, "order", "1");
        if (r == 0)
                r = take_vault(o, e);
        if (r == 0)
                r = take_secrets(o, e);
        if (r == 0)
                *ret = TAKE_PTR(o);
        return r;
}

struct order *order_free(struct order *o)
{
        if (!o)
                return NULL;
        free(o->secrets);
        free(o->vault.networks);
        fields_free(o->fields);
        free(o);
        return NULL;
}
