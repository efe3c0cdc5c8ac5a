/* How a run proves to Vault who it is: a token that was given, an identity token (JWT), or AppRole, whose secret id may
 * come wrapped. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "codec/json.h"
#include "secrets/credentials.h"
#include "secrets/order.h"
#include "secrets/vault.h"

/* A credential as text, in locked memory of VAULT_MAX_TOKEN + 1 bytes. CREDENTIALS_E_NONE. */
static int credential(const struct provider *p, const char *name, char **ret, struct err *e)
{
        const uint8_t *value = NULL;
        size_t len = 0;
        void *copy = NULL;
        int r = credentials_find(p->config.credentials, p->config.credentials_size, name, &value, &len, e);
        if (r != 0)
                return r;
        if (!len || len > VAULT_MAX_TOKEN || memchr(value, 0, len))
                return err_set(e, ERR_VAULT_MISMATCH, "the credential '%s': expected text of 1 to %u bytes", name,
                               VAULT_MAX_TOKEN);
        r = secret_alloc(VAULT_MAX_TOKEN + 1, &copy, e);
        if (r < 0)
                return r;
        memcpy(copy, value, len);
        *ret = copy;
        return 0;
}

static void free_credential(char **p)
{
        secret_free(*p, VAULT_MAX_TOKEN + 1);
}

static int need(const struct provider *p, const char *name, char **ret, struct err *e)
{
        int r = credential(p, name, ret, e);
        return r == CREDENTIALS_E_NONE ? err_set(e, ERR_VAULT_MISMATCH,
                                                 "the file that says how this host signs in to Vault has no '%s'", name)
                                       : r;
}

static int take_token(struct provider *p, const char *token, struct err *e)
{
        size_t len = token ? strlen(token) : 0;
        if (!len || len > VAULT_MAX_TOKEN)
                return err_set(e, ERR_VAULT_MISMATCH, "the server gives no token of 1 to %u bytes", VAULT_MAX_TOKEN);
        memcpy(p->token, token, len + 1);
        return 0;
}

/* ---- a token that was given ---- */

/* How long it lives. One that may not look at itself is used as long as it works. */
static int login_token(struct provider *p, struct err *e)
{
        AUTO(free_credential) char *token = NULL;
        AUTO(json_decrefp) json_t *answer = NULL;
        int status = 0, r = need(p, "token", &token, e);
        if (r == 0)
                r = take_token(p, token, e);
        if (r < 0)
                return r;
        const struct vault_request q = {.method = "GET", .path = "auth/token/lookup-self", .token = p->token};
        r = vault_ask(p, &q, &status, &answer, e);
        if (r == 0)
                vault_life_begin(&p->token_life, json_object_get(answer, "data"), "ttl");
        return r == VAULT_E_STATUS && status == 403 ? 0 : r < 0 || r == 0 ? r : -1;
}

/* ---- a login ---- */

static int login_with(struct provider *p, const json_t *body, bool once, struct err *e)
{
        AUTO(buf_done) struct buf path = BUF_INIT;
        AUTO(json_decrefp) json_t *answer = NULL;
        int status = 0, r = buf_append_str(&path, "auth/", e);
        if (r == 0)
                r = vault_append_path(&path, p->config.order->vault.mount, e);
        if (r == 0)
                r = buf_append_str(&path, "/login", e);
        if (r == 0 && !buf_cstr(&path))
                r = err_nomem(e);
        const struct vault_request q = {.method = "POST", .path = (const char *)path.data, .body = body, .once = once};
        if (r == 0)
                r = vault_ask(p, &q, &status, &answer, e);
        if (r != 0)
                return -1;
        const json_t *auth = json_object_get(answer, "auth");
        r = take_token(p, json_string_value(json_object_get(auth, "client_token")), e);
        if (r < 0)
                return r;
        p->token_is_own = true;
        vault_life_begin(&p->token_life, auth, "lease_duration");
        return 0;
}

static int login_jwt(struct provider *p, struct err *e)
{
        AUTO(free_credential) char *jwt = NULL;
        AUTO(json_decrefp) json_t *body = NULL;
        int r = need(p, "jwt", &jwt, e);
        if (r == 0 && !(body = json_pack("{s:s,s:s}", "role", p->config.order->vault.role, "jwt", jwt)))
                r = err_set(e, ERR_VAULT_MISMATCH, "the identity token or the role is no UTF-8 text");
        return r < 0 ? r : login_with(p, body, false, e);
}

/* ---- AppRole ---- */

/* Who wrapped the secret id, and of which role it is, stands in the wrapping: looked at before it is unwrapped. A
 * server says the path with its namespace in front, or without. */
static int check_wrapping(struct provider *p, const char *wrapped, struct err *e)
{
        AUTO(json_decrefp) json_t *body = json_pack("{s:s}", "token", wrapped), *answer = NULL;
        const struct order_vault *v = &p->config.order->vault;
        AUTO(auto_free) char *expected = str_printf("auth/%s/role/%s/secret-id", v->mount, v->role);
        int status = 0;
        if (!body || !expected)
                return err_nomem(e);
        const struct vault_request q = {.method = "POST", .path = "sys/wrapping/lookup", .body = body};
        if (vault_ask(p, &q, &status, &answer, e) != 0)
                return err_wrap(e, -1, "the wrapped secret id is no longer good, or somebody else has unwrapped it");
        const char *path = json_string_value(json_object_get(json_object_get(answer, "data"), "creation_path"));
        size_t len = path ? strlen(path) : 0, tail = strlen(expected);
        bool same = len >= tail && strcmp(path + len - tail, expected) == 0;
        if (same && (len == tail || (*v->namespace && path[len - tail - 1] == '/')))
                return 0;
        return err_set(e, ERR_VAULT_MISMATCH, "the wrapped secret id was not made at %s: it may be a stranger's",
                       expected);
}

static int unwrap(struct provider *p, const char *wrapped, char *ret, struct err *e)
{
        AUTO(json_decrefp) json_t *answer = NULL;
        int status = 0;
        const struct vault_request q = {
                .method = "POST", .path = "sys/wrapping/unwrap", .token = wrapped, .once = true};
        int r = check_wrapping(p, wrapped, e);
        if (r < 0)
                return r;
        if (vault_ask(p, &q, &status, &answer, e) != 0)
                return err_wrap(e, -1, "the wrapped secret id is no longer good, or somebody else has unwrapped it");
        const char *id = json_string_value(json_object_get(json_object_get(answer, "data"), "secret_id"));
        if (!id || !*id || strlen(id) > VAULT_MAX_TOKEN)
                return err_set(e, ERR_VAULT_MISMATCH, "the wrapping holds no secret id");
        memcpy(ret, id, strlen(id) + 1);
        return 0;
}

/* The secret id as it was given, or out of its wrapping. */
static int secret_id(struct provider *p, char **ret, struct err *e)
{
        AUTO(free_credential) char *wrapped = NULL;
        void *id = NULL;
        int r = credential(p, "wrapped_secret_id", &wrapped, e);
        if (r == CREDENTIALS_E_NONE)
                return need(p, "secret_id", ret, e);
        if (r == 0)
                r = secret_alloc(VAULT_MAX_TOKEN + 1, &id, e);
        *ret = id;
        return r < 0 ? r : unwrap(p, wrapped, id, e);
}

static int login_approle(struct provider *p, struct err *e)
{
        AUTO(free_credential) char *role_id = NULL, *id = NULL;
        AUTO(json_decrefp) json_t *body = NULL;
        int r = need(p, "role_id", &role_id, e);
        if (r == 0)
                r = secret_id(p, &id, e);
        if (r == 0 && !(body = json_pack("{s:s,s:s}", "role_id", role_id, "secret_id", id)))
                r = err_set(e, ERR_VAULT_MISMATCH, "the role id or the secret id is no UTF-8 text");
        return r < 0 ? r : login_with(p, body, true, e);
}

int vault_login(struct provider *p, struct err *e)
{
        static int (*const methods[ORDER_AUTHS])(struct provider * p, struct err * e) = {
                [ORDER_AUTH_TOKEN] = login_token,
                [ORDER_AUTH_JWT] = login_jwt,
                [ORDER_AUTH_APPROLE] = login_approle,
        };
        return methods[p->config.order->vault.auth](p, e);
}
