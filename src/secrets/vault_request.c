/* Requests to Vault: headers, retries, and what its answers mean for a person. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "codec/json.h"
#include "http/http.h"
#include "secrets/order.h"
#include "secrets/vault.h"

#define MAX_HEADERS 3u
#define MAX_HEADER (VAULT_MAX_TOKEN + 64u)

int vault_append_path(struct buf *b, const char *path, struct err *e)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
        int r = 0;
        for (const char *p = path; r == 0 && *p; p++)
                r = strchr(plain, *p) ? buf_append_byte(b, (uint8_t)*p, e)
                                      : buf_printf(b, e, "%%%02X", (unsigned char)*p);
        return r;
}

/* ---- sending ---- */

struct prepared {
        struct buf path, body;
        char *header[MAX_HEADERS];
        size_t n_headers;
};

static void prepared_done(struct prepared *x)
{
        buf_done(&x->path);
        buf_wipe(&x->body);
        for (size_t i = 0; i < x->n_headers; i++) {
                secret_wipe(x->header[i], strlen(x->header[i]));
                free(x->header[i]);
        }
}

static int add_header(struct prepared *x, const char *name, const char *value, struct err *e)
{
        for (const char *p = value; *p; p++)
                if ((unsigned char)*p < 0x21 || (unsigned char)*p > 0x7e)
                        return err_set(e, ERR_VAULT_MISMATCH, "%s: a character that no header may have", name);
        char *text = str_printf("%s: %s", name, value);
        if (!text)
                return err_nomem(e);
        x->header[x->n_headers++] = text;
        return 0;
}

static int prepare(const struct provider *p, const struct vault_request *q, struct prepared *x, struct err *e)
{
        const char *namespace = p->config.order->vault.namespace;
        int r = buf_printf(&x->path, e, "/v1/%s", q->path);
        if (r == 0 && q->token)
                r = add_header(x, "X-Vault-Token", q->token, e);
        if (r == 0 && *namespace)
                r = add_header(x, "X-Vault-Namespace", namespace, e);
        if (r == 0 && q->body)
                r = add_header(x, "Content-Type", "application/json", e);
        if (r == 0 && q->body)
                r = json_write(q->body, 0, &x->body, e);
        return r;
}

/* ---- answers ---- */

/* What a server repeats of the credentials it was sent would stand in logs. */
static bool quotes(const char *text, const struct vault_request *q)
{
        static const char *const credentials[] = {"jwt", "secret_id", "token"};

        if (q->token && strstr(text, q->token))
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(credentials); i++) {
                const char *sent = json_string_value(json_object_get(q->body, credentials[i]));
                if (sent && *sent && strstr(text, sent))
                        return true;
        }
        return false;
}

/* The first of its reasons, on one line. */
static void reason_of(const json_t *document, const struct vault_request *q, char *ret, size_t size)
{
        const char *text = json_string_value(json_array_get(json_object_get(document, "errors"), 0));
        if (text && quotes(text, q))
                text = "its reason repeats what it was sent, and is left out";
        str_copy_plain(ret, size, text ? text : "");
        for (char *p = ret; *p; p++)
                if (*p == '\n' || *p == '\t')
                        *p = ' ';
}

static bool is_sealed(int status, const char *reason)
{
        return status == 503 && strstr(reason, "sealed");
}

static int explain(const struct vault_request *q, int status, const char *reason, struct err *e)
{
        const char *colon = *reason ? ": " : "";
        if (is_sealed(status, reason))
                return err_set(e, ERR_VAULT_MISMATCH, "the server is sealed");
        if (status >= 300 && status < 400)
                return err_set(e, ERR_VAULT_MISMATCH, "%s: the server redirects (%d), which is not followed", q->path,
                               status);
        if (status == 403)
                return err_set(e, ERR_VAULT_MISMATCH, "%s: permission denied", q->path);
        if (status == 404)
                return err_set(e, ERR_VAULT_MISMATCH, "%s: nothing is there", q->path);
        return err_set(e, ERR_VAULT_MISMATCH, "%s: the server answers %d%s%s", q->path, status, colon, reason);
}

/* May the same request succeed later? */
static bool is_worth_another(const struct vault_request *q, int status, const char *reason)
{
        bool untouched = status == 412 || status == 429 || status == 472 || status == 473 ||
                         (status == 503 && !is_sealed(status, reason));
        return untouched || (!q->once && status >= 500 && status != 501 && !is_sealed(status, reason));
}

static bool may_pass(const struct vault_request *q, enum http_failure why)
{
        if (why == HTTP_SLOW || why == HTTP_BROKEN)
                return !q->once;
        return why == HTTP_UNREACHABLE || why == HTTP_UNRESOLVED;
}

static int read_document(const struct http_answer *a, json_t **ret, struct err *e)
{
        *ret = NULL;
        return a->body.len ? json_parse(a->body.data, a->body.len, HTTP_MAX_ANSWER, "the answer", ret, e) : 0;
}

/* One try. *ret_again: it failed, and may not fail again. */
static int try_once(struct provider *p, const struct vault_request *q, const struct prepared *x, int *ret_status,
                    json_t **ret, bool *ret_again, struct err *e)
{
        AUTO(http_answer_done) struct http_answer answer = HTTP_ANSWER_INIT;
        const struct http_request request = {.method = q->method,
                                             .path = (const char *)x->path.data,
                                             .headers = (const char *const *)x->header,
                                             .n_headers = x->n_headers,
                                             .body = q->body ? x->body.data : NULL,
                                             .len = x->body.len};
        enum http_failure why = HTTP_BROKEN;
        char reason[VAULT_MAX_REASON];
        *ret_again = false;
        int r = http_send(p->http, &request, &answer, &why, e);
        if (r == HTTP_E_FAILED)
                *ret_again = may_pass(q, why);
        if (r != 0)
                return -1;
        struct err broken = ERR_INIT;
        *ret_status = answer.status;
        r = read_document(&answer, ret, &broken);
        if (r < 0 && answer.status < 300)
                return err_set(e, ERR_VAULT_MISMATCH, "%s: %s", q->path, broken.msg);
        if (answer.status >= 200 && answer.status < 300)
                return 0;
        reason_of(*ret, q, reason, sizeof(reason));
        *ret_again = is_worth_another(q, answer.status, reason);
        explain(q, answer.status, reason, e);
        return VAULT_E_STATUS;
}

static void pause_for(uint64_t ms)
{
        const struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
        nanosleep(&t, NULL);
}

int vault_ask(struct provider *p, const struct vault_request *q, int *ret_status, json_t **ret, struct err *e)
{
        AUTO(prepared_done) struct prepared x = {0};
        struct err why = ERR_INIT;
        uint64_t wait = VAULT_PAUSE_MS;
        bool again = false;
        unsigned tries = 0;
        *ret_status = 0;
        int r = prepare(p, q, &x, e);
        if (r == 0 && !buf_cstr(&x.path))
                r = err_nomem(e);
        if (r < 0)
                return r;
        for (;;) {
                r = try_once(p, q, &x, ret_status, ret, &again, &why);
                if (!again || ++tries == VAULT_TRIES || clock_mono_ms() + wait > p->deadline_ms)
                        break;
                json_decref(*ret);
                *ret = NULL;
                pause_for(wait);
                wait *= 2;
        }
        if (r == 0)
                return 0;
        *e = why;
        return again && tries > 1 ? err_wrap(e, r, "at the last try") : r;
}
