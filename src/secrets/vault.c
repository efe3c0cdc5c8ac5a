/* Secrets of Vault and OpenBao: documents of KV version 2 and dynamic credentials, each path asked once for all of its
 * keys. */
#include "secrets/vault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "codec/json.h"
#include "http/http.h"
#include "secrets/order.h"

/* ---- paths ---- */

/* "mount/WORD/path", or "mount/path" without a word. */
static int make_path(const struct secret_ref *r, const char *word, uint32_t version, char **ret, struct err *e)
{
        struct buf b = BUF_INIT;
        int x = vault_append_path(&b, r->mount, e);
        if (x == 0)
                x = buf_printf(&b, e, "/%s%s", word, *word ? "/" : "");
        if (x == 0)
                x = vault_append_path(&b, r->path, e);
        if (x == 0 && version)
                x = buf_printf(&b, e, "?version=%" PRIu32, version);
        *ret = x == 0 ? buf_take_str(&b) : NULL;
        buf_done(&b);
        return x == 0 && !*ret ? err_nomem(e) : x;
}

static int document_of(struct provider *p, const struct secret_ref *r, uint32_t version, struct vault_document **ret,
                       struct err *e)
{
        AUTO(auto_free) char *path = NULL;
        int x = make_path(r, r->dynamic ? "" : "data", version, &path, e);
        for (size_t i = 0; x == 0 && i < p->n_documents; i++) {
                if (str_eq(p->documents[i].path, path)) {
                        *ret = &p->documents[i];
                        return 0;
                }
        }
        struct vault_document *more = x == 0 ? reallocarray(p->documents, p->n_documents + 1, sizeof(*more)) : NULL;
        if (x < 0 || !more)
                return x < 0 ? x : err_nomem(e);
        p->documents = more;
        more[p->n_documents] = (struct vault_document){.path = TAKE_PTR(path)};
        *ret = &more[p->n_documents++];
        return 0;
}

/* ---- reading ---- */

static void forget(struct vault_document *d)
{
        json_decref(d->data);
        d->data = NULL;
        d->looked_at = false;
}

/* Deleted and destroyed versions are 404 with their metadata; what never was is 404 without. */
static int explain_missing(const struct vault_document *d, const json_t *answer, struct err *e)
{
        const json_t *metadata = json_object_get(json_object_get(answer, "data"), "metadata");
        const char *when = json_string_value(json_object_get(metadata, "deletion_time"));
        const char *warning = json_string_value(json_array_get(json_object_get(answer, "warnings"), 0));
        int64_t version = json_integer_value(json_object_get(metadata, "version"));
        char shown[64];
        if (json_is_true(json_object_get(metadata, "destroyed")))
                return err_set(e, ERR_VAULT_MISMATCH, "version %" PRId64 " of it was destroyed", version);
        if (metadata) {
                str_copy_plain(shown, sizeof(shown), when ? when : "");
                return err_set(e, ERR_VAULT_MISMATCH, "version %" PRId64 " of it was deleted at %s", version, shown);
        }
        if (warning && strstr(warning, "versioned K/V"))
                return err_set(e, ERR_VAULT_MISMATCH, "%s: that mount is no KV version 2", d->path);
        return err_set(e, ERR_VAULT_MISMATCH, "%s: no such secret or version", d->path);
}

static int take_kv(struct vault_document *d, const json_t *answer, struct err *e)
{
        const json_t *data = json_object_get(answer, "data");
        json_t *values = json_object_get(data, "data");
        int64_t version = json_integer_value(json_object_get(json_object_get(data, "metadata"), "version"));
        if (!json_is_object(values) || version < 1)
                return err_set(e, ERR_VAULT_MISMATCH, "%s: expected data.data and data.metadata.version in the answer",
                               d->path);
        d->data = json_incref(values);
        d->version = d->newest = (uint64_t)version;
        return 0;
}

static int take_dynamic(struct provider *p, struct vault_document *d, const json_t *answer, struct err *e)
{
        json_t *values = json_object_get(answer, "data");
        if (!json_is_object(values))
                return err_set(e, ERR_VAULT_MISMATCH, "%s: expected data in the answer", d->path);
        int r = vault_lease_add(p, answer, d->lease, e);
        if (r == 0)
                d->data = json_incref(values);
        if (r == 0)
                d->version++;
        return r;
}

static int read_document(struct provider *p, struct vault_document *d, bool dynamic, struct err *e)
{
        AUTO(json_decrefp) json_t *answer = NULL;
        const struct vault_request q = {.method = "GET", .path = d->path, .token = p->token, .once = dynamic};
        int status = 0, r = vault_ask(p, &q, &status, &answer, e);
        if (r == VAULT_E_STATUS)
                return status == 404 ? explain_missing(d, answer, e) : -1;
        if (r < 0)
                return r;
        return dynamic ? take_dynamic(p, d, answer, e) : take_kv(d, answer, e);
}

/* Texts as they are; a number or a truth value as JSON writes it. */
static int take_value(const struct vault_document *d, const char *key, struct provider_value *ret, struct err *e)
{
        const json_t *v = json_object_get(d->data, key);
        char number[32];
        if (json_is_string(v))
                return provider_value_set(ret, json_string_value(v), json_string_length(v), e);
        if (json_is_integer(v)) {
                snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
                int r = provider_value_set(ret, number, strlen(number), e);
                secret_wipe(number, sizeof(number));
                return r;
        }
        if (json_is_boolean(v))
                return provider_value_set(ret, json_is_true(v) ? "true" : "false", json_is_true(v) ? 4 : 5, e);
        return err_set(e, ERR_VAULT_MISMATCH, v ? "%s: its key %s is no text" : "%s: it has no key %s", d->path, key);
}

/* ---- the provider ---- */

static size_t index_of(const struct provider *p, const struct order_secret *s)
{
        return (size_t)(s - p->config.order->secrets);
}

static int parse_reference(const struct order_secret *s, struct secret_ref *ret, struct err *e)
{
        int r = secret_ref_parse(s->reference, ret, e);
        if (r == 0 && ret->dynamic && s->version) {
                secret_ref_done(ret);
                return err_set(e, ERR_VAULT_MISMATCH, "credentials that are made for the job have no versions");
        }
        return r;
}

static int vault_fetch(struct provider *p, const struct order_secret *s, struct provider_value *ret, struct err *e)
{
        AUTO(secret_ref_done) struct secret_ref ref = {0};
        struct vault_document *d = NULL;
        int r = parse_reference(s, &ref, e);
        if (r == 0)
                r = document_of(p, &ref, s->version, &d, e);
        if (r == 0 && !d->data)
                r = read_document(p, d, ref.dynamic, e);
        if (r == 0)
                r = take_value(d, ref.key, ret, e);
        if (r < 0)
                return r;
        p->fetched[index_of(p, s)] = d->version;
        if (!ref.dynamic)
                snprintf(ret->version, sizeof(ret->version), "%" PRIu64, d->version);
        return 0;
}

/* ---- versions ---- */

/* One of the versions that the metadata lists, or the newest. */
static int check_version(const json_t *metadata, uint32_t wanted, struct err *e)
{
        int64_t newest = json_integer_value(json_object_get(metadata, "current_version"));
        int64_t version = wanted ? wanted : newest;
        char key[24];
        snprintf(key, sizeof(key), "%" PRId64, version);
        const json_t *v = json_object_get(json_object_get(metadata, "versions"), key);
        const char *deleted = json_string_value(json_object_get(v, "deletion_time"));
        if (!v)
                return err_set(e, ERR_VAULT_MISMATCH, wanted ? "it has no version %s" : "it has no version", key);
        if (json_is_true(json_object_get(v, "destroyed")))
                return err_set(e, ERR_VAULT_MISMATCH, "version %s of it was destroyed", key);
        if (deleted && *deleted)
                return err_set(e, ERR_VAULT_MISMATCH, "version %s of it was deleted", key);
        return 0;
}

/* VAULT_E_STATUS as vault_ask(). */
static int read_metadata(struct provider *p, const struct secret_ref *ref, int *ret_status, json_t **ret, struct err *e)
{
        AUTO(auto_free) char *path = NULL;
        int r = make_path(ref, "metadata", 0, &path, e);
        const struct vault_request q = {.method = "GET", .path = path, .token = p->token};
        return r < 0 ? r : vault_ask(p, &q, ret_status, ret, e);
}

/* May the token ask for such credentials? To ask is to make them. */
static int check_dynamic(struct provider *p, const struct secret_ref *ref, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/%s", ref->mount, ref->path);
        AUTO(json_decrefp) json_t *body = path ? json_pack("{s:[s]}", "paths", path) : NULL, *answer = NULL;
        int status = 0;
        if (!body)
                return err_nomem(e);
        const struct vault_request q = {
                .method = "POST", .path = "sys/capabilities-self", .body = body, .token = p->token};
        if (vault_ask(p, &q, &status, &answer, e) != 0)
                return -1;
        const json_t *can = json_object_get(json_object_get(answer, "data"), path);
        for (size_t i = 0; i < json_array_size(can); i++) {
                const char *word = json_string_value(json_array_get(can, i));
                if (word && (str_eq(word, "read") || str_eq(word, "root")))
                        return 0;
        }
        return err_set(e, ERR_VAULT_MISMATCH, "%s: permission denied", path);
}

static int vault_check(struct provider *p, const struct order_secret *s, struct err *e)
{
        AUTO(secret_ref_done) struct secret_ref ref = {0};
        AUTO(json_decrefp) json_t *answer = NULL;
        int status = 0, r = parse_reference(s, &ref, e);
        p->deadline_ms = clock_mono_ms() + VAULT_DEADLINE_MS;
        if (r == 0 && ref.dynamic)
                return check_dynamic(p, &ref, e);
        if (r == 0)
                r = read_metadata(p, &ref, &status, &answer, e);
        if (r == VAULT_E_STATUS && status == 404)
                return err_set(e, ERR_VAULT_MISMATCH, "%s/%s: no such secret", ref.mount, ref.path);
        if (r != 0)
                return -1;
        return check_version(json_object_get(answer, "data"), s->version, e);
}

/* By metadata, where the token may read it; else by the data itself. */
static int look_at(struct provider *p, struct vault_document *d, const struct secret_ref *ref, struct err *e)
{
        AUTO(json_decrefp) json_t *answer = NULL;
        int status = 0, r = VAULT_E_STATUS;
        if (!d->metadata_denied)
                r = read_metadata(p, ref, &status, &answer, e);
        if (r == 0)
                d->newest = (uint64_t)json_integer_value(
                        json_object_get(json_object_get(answer, "data"), "current_version"));
        if (r == VAULT_E_STATUS && (d->metadata_denied || status == 403)) {
                d->metadata_denied = true;
                r = read_document(p, d, false, e);
        }
        d->looked_at = r == 0;
        return r == VAULT_E_STATUS ? -1 : r;
}

static int vault_changed(struct provider *p, const struct order_secret *s, bool *ret, struct err *e)
{
        AUTO(secret_ref_done) struct secret_ref ref = {0};
        struct vault_document *d = NULL;
        uint64_t *fetched = &p->fetched[index_of(p, s)];
        *ret = false;
        if (s->version)
                return 0;
        p->deadline_ms = clock_mono_ms() + VAULT_DEADLINE_MS;
        int r = parse_reference(s, &ref, e);
        if (r == 0)
                r = document_of(p, &ref, 0, &d, e);
        if (r < 0)
                return r;
        if (ref.dynamic) {
                const struct vault_lease *l = vault_lease_find(p, d->lease);
                *ret = *fetched != d->version || !l || vault_lease_is_ending(l);
                return 0;
        }
        if (!d->looked_at)
                r = look_at(p, d, &ref, e);
        *ret = r == 0 && d->newest > *fetched;
        return r;
}

/* ---- life ---- */

static void vault_rest(struct provider *p)
{
        for (size_t i = 0; i < p->n_documents; i++)
                forget(&p->documents[i]);
}

static void provider_free(struct provider *p)
{
        vault_rest(p);
        for (size_t i = 0; i < p->n_documents; i++)
                free(p->documents[i].path);
        free(p->documents);
        free(p->leases);
        free(p->fetched);
        secret_free(p->token, VAULT_MAX_TOKEN + 1);
        free(p);
}

static void auto_provider(struct provider **p)
{
        if (*p)
                provider_free(*p);
}

static int vault_open(const struct provider_config *c, struct provider **ret, struct err *e)
{
        AUTO(auto_provider) struct provider *p = calloc(1, sizeof(*p));
        const struct order_vault *v = &c->order->vault;
        const struct http_server server = {
                .address = v->address, .authorities = v->ca, .networks = v->networks, .n_networks = v->n_networks};
        void *token = NULL;
        if (!c->http)
                return err_set(e, ERR_VAULT_MISMATCH, "there is no network to ask Vault over");
        if (!p || !(p->fetched = calloc(c->order->n + 1, sizeof(*p->fetched))))
                return err_nomem(e);
        p->config = *c;
        p->http = c->http;
        p->token_life.end_ms = p->token_life.due_ms = VAULT_FOREVER;
        p->deadline_ms = clock_mono_ms() + VAULT_DEADLINE_MS;
        int r = secret_alloc(VAULT_MAX_TOKEN + 1, &token, e);
        p->token = token;
        if (r == 0 && http_set_server(p->http, &server, e) < 0)
                r = err_wrap(e, -1, "the server's address");
        if (r == 0)
                r = vault_login(p, e);
        if (r == 0)
                *ret = TAKE_PTR(p);
        return r;
}

static void vault_close(struct provider *p, uint64_t deadline_ms, unsigned *ret)
{
        *ret = vault_revoke_all(p, deadline_ms);
        provider_free(p);
}

const struct provider_kind provider_vault = {.name = "vault",
                                             .open = vault_open,
                                             .fetch = vault_fetch,
                                             .check = vault_check,
                                             .changed = vault_changed,
                                             .rest = vault_rest,
                                             .tend = vault_tend,
                                             .close = vault_close};
