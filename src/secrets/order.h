/* The order of one devdep-secrets: which secrets, from whom, on whose authority. A field list in a sealed memory file
 * (docs/protocol-secrets.md); it holds no secret. Pure.
 *
 * Its texts come from a repository's profile in part, and were checked by who wrote it; they are checked again here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct buf;
struct err;
struct fields;

#define ORDER_VERSION 1

enum order_auth { ORDER_AUTH_TOKEN, ORDER_AUTH_JWT, ORDER_AUTH_APPROLE };
#define ORDER_AUTHS 3u
extern const char *const order_auth_names[ORDER_AUTHS]; /* "token", "jwt", "approle" */

/* Vault or OpenBao. Texts are "" where there is nothing to say. */
struct order_vault {
        const char *address; /* "https://vault.example:8200" */
        const char *namespace;
        const char *ca; /* PEM of the only authorities that are trusted; "": the host's */
        enum order_auth auth;
        const char *mount; /* of the auth method: "jwt" */
        const char *role;
        const char **networks; /* prefixes of private addresses that it may have: "10.1.0.0/16" */
        size_t n_networks;
};

struct order_secret {
        const char *name;
        const char *provider;  /* "local", "vault" */
        const char *reference; /* of the provider; local: "" */
        uint32_t version;      /* this one and no other; 0: the newest */
        const char *where;     /* the place that names it, for messages: "devdep.yaml:12:9" */
        bool rotate;           /* key_rotation: automatic */
};

struct order {
        struct order_secret *secrets;
        size_t n;
        struct order_vault vault; /* address "": none */
        struct fields *fields;    /* owns the texts of one that was parsed; NULL in one that is built */
};

int order_write(const struct order *o, struct buf *ret, struct err *e);
/* ERR_USAGE names the field. Names are valid and differ in more than case; providers are known. */
int order_parse(const void *data, size_t len, struct order **ret, struct err *e);
struct order *order_free(struct order *o); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct order, order_free)
