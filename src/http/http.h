/* The one HTTP client: requests to a server that somebody else's configuration names, one at a time, blocking.
 *
 * https and nothing else, TLS 1.2 at least, the server's certificate checked against the authorities given or those of
 * this host; no redirect is followed, no proxy is used, nothing is read from the environment or from files once it was
 * made. A name is resolved for every connection (net/resolve.h), the addresses are looked at before one of them is
 * dialled, and the one that is dialled is looked at again (libcurl's open-socket callback): addresses that nobody on
 * the internet has (net/address.h) only where a network allows them, link-local and metadata addresses never.
 *
 * Time and sizes are bounded. What a server sends and what is sent to it passes through memory that is zeroed when it
 * is freed (base/secret.h), libcurl's and OpenSSL's included: http_init(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/address.h"

struct err;
struct http;

#define HTTP_CONNECT_MS 5000u                  /* to resolve, and again to connect */
#define HTTP_TOTAL_MS 15000u                   /* of one request, from its first byte to the answer's last */
#define HTTP_MAX_ANSWER ((size_t)4 << 20)      /* bytes of an answer's body */
#define HTTP_MAX_HEADERS ((size_t)64 << 10)    /* bytes of an answer's head */
#define HTTP_MAX_AUTHORITIES ((size_t)4 << 20) /* bytes of certificates (PEM) */
#define HTTP_MAX_ADDRESS 512u                  /* bytes of a server's address */
#define HTTP_MAX_NETWORKS 64u

/* Before anything else uses libcurl or OpenSSL in this process. */
int http_init(struct err *e);

/* A server: its address, who its certificate must come from, and which special networks it may be in. */
struct http_server {
        const char *address;     /* "https://NAME[:PORT][/PATH]"; NAME may be a numeric address */
        const char *authorities; /* PEM; "": those of this host */
        const char *const *networks;
        size_t n_networks;
};
/* Reads what this host trusts and how it resolves names: before the process gives up its files. */
int http_new(struct http **ret, struct err *e);
/* ERR_USAGE says what is wrong with the address or a network. Once. */
int http_set_server(struct http *h, const struct http_server *s, struct err *e);
struct http *http_free(struct http *h); /* NULL is fine; always NULL */

struct http_request {
        const char *method; /* "GET" */
        const char *path;   /* behind the address: "/v1/kv/data/ci?version=3", percent-encoded where it must be */
        const char *const *headers; /* "Name: value", n of them; no control characters */
        size_t n_headers;
        const void *body; /* NULL: none */
        size_t len;
};

/* What kept a request from an answer. */
enum http_failure {
        HTTP_REFUSED,     /* an address that must not be dialled */
        HTTP_UNRESOLVED,  /* the name has none */
        HTTP_UNREACHABLE, /* nobody answers, or the connection broke before anything was sent */
        HTTP_UNTRUSTED,   /* TLS: a certificate of somebody else, another name, a time */
        HTTP_BROKEN,      /* the connection broke in the middle, or what came is no HTTP */
        HTTP_SLOW,
        HTTP_LARGE,
};

struct http_answer {
        int status;
        struct buf body;
};
#define HTTP_ANSWER_INIT                                                                                               \
        {                                                                                                              \
                .status = 0                                                                                            \
        }
void http_answer_done(struct http_answer *a); /* zeroes */

#define HTTP_E_FAILED 1 /* no answer: *ret_why, and *e has a sentence (ERR_VAULT_MISMATCH) all the same */
int http_send(struct http *h, const struct http_request *q, struct http_answer *ret, enum http_failure *ret_why,
              struct err *e);
