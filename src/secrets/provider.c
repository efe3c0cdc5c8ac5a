#include "secrets/provider.h"

#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "secrets/limits.h"

#include <string.h>

static const struct provider_kind *const kinds[] = {&provider_local, &provider_vault};

const struct provider_kind *provider_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (str_eq(kinds[i]->name, name))
                        return kinds[i];
        return NULL;
}

int provider_value_set(struct provider_value *v, const void *data, size_t len, struct err *e)
{
        void *copy = NULL;
        if (len > SECRETS_MAX_VALUE)
                return err_set(e, ERR_VAULT_MISMATCH, "its value has %zu bytes: the limit is %zu", len,
                               SECRETS_MAX_VALUE);
        if (memchr(data, 0, len))
                return err_set(e, ERR_VAULT_MISMATCH, "its value holds a NUL byte: expected text");
        int r = secret_alloc(len + 1, &copy, e);
        if (r < 0)
                return r;
        memcpy(copy, data, len);
        v->data = copy;
        v->len = len;
        return 0;
}

void provider_value_done(struct provider_value *v)
{
        secret_free(v->data, v->len + 1);
        *v = (struct provider_value)PROVIDER_VALUE_INIT;
}
