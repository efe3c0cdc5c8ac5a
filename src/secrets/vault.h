/* Vault and OpenBao, as docs/secrets.md describes what is asked of them. What the files of the provider share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "secrets/provider.h"
#include "secrets/ref.h"

struct err;
struct http;
struct json_t;

#define VAULT_TRIES 4u             /* of a request that may succeed later */
#define VAULT_PAUSE_MS 250u        /* before the second try; twice as long before each further one */
#define VAULT_DEADLINE_MS 60000u   /* of all requests for the values of a job together, retries included */
#define VAULT_RENEW_AGAIN_MS 5000u /* between two tries to renew what still lives */
#define VAULT_MAX_TOKEN 8192u      /* bytes of a token, an identity token, a secret id */
#define VAULT_MAX_LEASE 256u       /* bytes of the name of a lease */
#define VAULT_MAX_REASON 300u      /* bytes of what the server gives as a reason, as it is shown */
#define VAULT_FOREVER UINT64_MAX   /* an end that does not come */

/* Something that ends at a time unless it is renewed: the token, a lease. */
struct vault_life {
        uint64_t span_ms; /* that it was given at first */
        uint64_t end_ms;  /* on clock_mono_ms(); VAULT_FOREVER */
        uint64_t due_ms;  /* when to renew it; VAULT_FOREVER */
        bool renewable;
        bool noted; /* its end was told */
};

struct vault_lease {
        char id[VAULT_MAX_LEASE];
        struct vault_life life;
};

/* What a path gave: one request serves every secret of it. */
struct vault_document {
        char *path;                  /* as in the request: "kv/data/ci/db?version=3" */
        struct json_t *data;         /* an object: key to value; NULL: not held any more */
        uint64_t version;            /* of a KV secret; of a dynamic one how often it was made */
        char lease[VAULT_MAX_LEASE]; /* of a dynamic one; "" */
        bool looked_at;              /* its newest version was asked for in this look */
        uint64_t newest;
        bool metadata_denied; /* the token reads no metadata there: the version comes with the data */
};

struct provider {
        struct provider_config config;
        struct http *http;
        char *token;       /* locked memory, VAULT_MAX_TOKEN + 1 bytes; "" before the login */
        bool token_is_own; /* this login made it: it is revoked at the end, and with it what it was lent */
        struct vault_life token_life;
        struct vault_lease *leases;
        size_t n_leases;
        struct vault_document *documents;
        size_t n_documents;
        uint64_t *fetched; /* per secret of the order: the version that it has */
        uint64_t deadline_ms;
};

/* ---- vault_request.c ---- */

struct vault_request {
        const char *method;
        const char *path;          /* below /v1/, percent-encoded */
        const struct json_t *body; /* NULL: none */
        const char *token;         /* NULL: no header */
        bool once; /* the server may have done it although no answer came: a second try is another request */
};
/* The answer's document, or NULL where it has none (204). 0: the status is 2xx. VAULT_E_STATUS: it is *ret_status, and
 * *e has the sentence for it (ERR_VAULT_MISMATCH). Negative: no answer. Retries are done. */
#define VAULT_E_STATUS 1
int vault_ask(struct provider *p, const struct vault_request *q, int *ret_status, struct json_t **ret, struct err *e);
/* "a/b c" to "a/b%20c", behind what is there. */
int vault_append_path(struct buf *b, const char *path, struct err *e);

/* ---- vault_auth.c ---- */

/* Get a token, by the method of the order. */
int vault_login(struct provider *p, struct err *e);

/* ---- vault_lease.c ---- */

/* What an answer says of how long it lives. */
void vault_life_begin(struct vault_life *l, const struct json_t *object, const char *duration_key);
/* Remember what was lent. */
int vault_lease_add(struct provider *p, const struct json_t *answer, char ret[VAULT_MAX_LEASE], struct err *e);
struct vault_lease *vault_lease_find(struct provider *p, const char *id);
/* It ends before it could be renewed again: somebody must get another one. */
bool vault_lease_is_ending(const struct vault_lease *l);
/* Renew what is due; see provider_kind.tend. */
int vault_tend(struct provider *p, uint64_t *ret_due_ms, bool *ret_look, struct err *e);
/* See provider_kind.close. */
unsigned vault_revoke_all(struct provider *p, uint64_t deadline_ms);
