/* Secrets that the person who started the run gave: with --secret, or in a file. They came as credentials. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "secrets/credentials.h"
#include "secrets/order.h"
#include "secrets/provider.h"

#include <stdlib.h>

struct provider {
        const void *credentials;
        size_t size;
};

static int local_open(const struct provider_config *c, struct provider **ret, struct err *e)
{
        struct provider *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        p->credentials = c->credentials;
        p->size = c->credentials_size;
        *ret = p;
        return 0;
}

static int find(const struct provider *p, const struct order_secret *s, const uint8_t **ret, size_t *ret_len,
                struct err *e)
{
        AUTO(auto_free) char *name = str_printf(CREDENTIALS_LOCAL "%s", s->name);
        int r = name ? credentials_find(p->credentials, p->size, name, ret, ret_len, e) : err_nomem(e);
        return r == CREDENTIALS_E_NONE ? err_set(e, ERR_VAULT_MISMATCH, "no value was given for it") : r;
}

static int local_fetch(struct provider *p, const struct order_secret *s, struct provider_value *ret, struct err *e)
{
        const uint8_t *value = NULL;
        size_t len = 0;
        int r = find(p, s, &value, &len, e);
        return r < 0 ? r : provider_value_set(ret, value, len, e);
}

static int local_check(struct provider *p, const struct order_secret *s, struct err *e)
{
        const uint8_t *value;
        size_t len;
        return find(p, s, &value, &len, e);
}

static void local_close(struct provider *p, uint64_t deadline_ms, unsigned *ret)
{
        (void)deadline_ms;
        *ret = 0;
        free(p);
}

const struct provider_kind provider_local = {
        .name = "local", .open = local_open, .fetch = local_fetch, .check = local_check, .close = local_close};
