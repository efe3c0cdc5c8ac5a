#include "cli/vault.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "cli/private_file.h"
#include "cli/profile_file.h"
#include "net/address.h"
#include "secrets/credentials.h"
#include "secrets/order.h"

static const char *const credential_names[] = {"token", "jwt", "role_id", "secret_id", "wrapped_secret_id"};
#define CREDENTIALS ARRAY_SIZE(credential_names)

struct vault_account {
        char *path, *address, *mount;
        struct strv networks;
        struct credential {
                char *value; /* locked memory of len + 1 bytes; NULL: none */
                size_t len;
        } credentials[CREDENTIALS];
};

struct vault_account *vault_account_free(struct vault_account *a)
{
        if (!a)
                return NULL;
        for (size_t i = 0; i < CREDENTIALS; i++)
                secret_free(a->credentials[i].value, a->credentials[i].len + 1);
        strv_done(&a->networks);
        free(a->path);
        free(a->address);
        free(a->mount);
        free(a);
        return NULL;
}

/* ---- the file ---- */

static int take_text(char **into, const struct filecmd_pair *p, struct err *e)
{
        free(*into);
        *into = str_dup(p->value);
        return *into ? 0 : err_nomem(e);
}

static int take_credential(struct credential *c, const struct filecmd_pair *p, struct err *e)
{
        void *room = NULL;

        secret_free(c->value, c->len + 1);
        *c = (struct credential){NULL, 0};
        int r = secret_alloc(p->len + 1, &room, e);
        if (r < 0)
                return r;
        memcpy(room, p->value, p->len);
        *c = (struct credential){room, p->len};
        return 0;
}

static int take_pair(struct vault_account *a, const struct filecmd_pair *p, struct err *e)
{
        if (str_eq(p->name, "address"))
                return take_text(&a->address, p, e);
        if (str_eq(p->name, "mount"))
                return take_text(&a->mount, p, e);
        if (str_eq(p->name, "network"))
                return strv_add(&a->networks, p->value, e);
        for (size_t i = 0; i < CREDENTIALS; i++)
                if (str_eq(p->name, credential_names[i]))
                        return take_credential(&a->credentials[i], p, e);
        return err_set(e, ERR_USAGE,
                       "%s: unknown name '%.40s'; known are address, mount, network, token, jwt, role_id, secret_id "
                       "and wrapped_secret_id",
                       a->path, p->name);
}

/* What could never be used, before anything starts. */
static int check_account(const struct vault_account *a, struct err *e)
{
        struct prefix network;
        struct err why = ERR_INIT;

        if (!a->address)
                return err_set(e, ERR_USAGE, "%s: 'address' is missing: the server that its credentials are for",
                               a->path);
        if (!str_starts(a->address, "https://"))
                return err_set(e, ERR_USAGE, "%s: address: expected https://NAME[:PORT], credentials go over TLS alone",
                               a->path);
        for (size_t i = 0; i < a->networks.n; i++)
                if (prefix_parse(a->networks.v[i], &network, &why) < 0)
                        return err_set(e, ERR_USAGE, "%s: network '%.60s': %s", a->path, a->networks.v[i], why.msg);
        return 0;
}

int vault_account_load(const char *state, const char *file, struct vault_account **ret, struct err *e)
{
        AUTO(vault_account_freep) struct vault_account *a = calloc(1, sizeof(*a));
        AUTO(private_pairs_done) struct filecmd_pairs pairs = {0};

        *ret = NULL;
        if (!a)
                return err_nomem(e);
        a->path = file ? str_dup(file) : fs_join(state, VAULT_ACCOUNT_FILE);
        if (!a->path)
                return err_nomem(e);
        if (!file && !fs_exists(a->path))
                return 0;
        int r = private_file_read(a->path, VAULT_MAX_ACCOUNT, &pairs, e);
        for (size_t i = 0; r == 0 && i < pairs.n; i++)
                r = take_pair(a, &pairs.v[i], e);
        if (r == 0)
                r = check_account(a, e);
        if (r == 0)
                *ret = TAKE_PTR(a);
        return r;
}

/* ---- what devdep-secrets gets ---- */

size_t vault_account_size(const struct vault_account *a)
{
        size_t size = 0;

        for (size_t i = 0; i < CREDENTIALS; i++)
                if (a->credentials[i].value)
                        size += credentials_size(credential_names[i], a->credentials[i].len);
        return size;
}

int vault_account_add(const struct vault_account *a, void *area, size_t size, size_t *used, struct err *e)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < CREDENTIALS; i++)
                if (a->credentials[i].value)
                        r = credentials_add(area, size, used, credential_names[i], a->credentials[i].value,
                                            a->credentials[i].len, e);
        return r;
}

/* But for slashes at the end. Another spelling of a name is another server: there is nothing to gain by guessing. */
static bool is_same_server(const char *a, const char *b)
{
        size_t n = strlen(a), m = strlen(b);

        while (n && a[n - 1] == '/')
                n--;
        while (m && b[m - 1] == '/')
                m--;
        return n == m && strncmp(a, b, n) == 0;
}

int vault_server(const struct vault_account *a, const struct profile_file *f, const char *ca, struct order_vault *ret,
                 struct err *e)
{
        static const enum order_auth auths[] = {[PROFILE_AUTH_JWT] = ORDER_AUTH_JWT,
                                                [PROFILE_AUTH_APPROLE] = ORDER_AUTH_APPROLE,
                                                [PROFILE_AUTH_TOKEN] = ORDER_AUTH_TOKEN};
        const struct profile_vault *v = &f->profile->vault;

        if (!v->pos.line)
                return err_set(e, ERR_VAULT_MISMATCH, "%s names no `vault` that it could come from", f->path);
        if (!a)
                return err_set(e, ERR_VAULT_MISMATCH,
                               "nothing says how this host signs in to %s: write STATE/" VAULT_ACCOUNT_FILE
                               ", or give --vault FILE",
                               v->endpoint.text);
        if (!is_same_server(a->address, v->endpoint.text))
                return err_set(e, ERR_VAULT_MISMATCH,
                               "it is in %s, and the credentials of %s are for %s: they go nowhere else",
                               v->endpoint.text, a->path, a->address);
        *ret = (struct order_vault){.address = v->endpoint.text,
                                    .namespace = v->namespace.text ? v->namespace.text : "",
                                    .ca = ca,
                                    .auth = auths[v->auth.value],
                                    .role = v->role.text ? v->role.text : ""};
        ret->mount = a->mount ? a->mount : order_auth_names[ret->auth];
        ret->networks = calloc(a->networks.n + 1, sizeof(*ret->networks));
        if (!ret->networks)
                return err_nomem(e);
        for (; ret->n_networks < a->networks.n; ret->n_networks++)
                ret->networks[ret->n_networks] = a->networks.v[ret->n_networks];
        return 0;
}
