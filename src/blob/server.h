/* devdep-store's main part: one client, one request at a time, until the client closes (docs/protocol-store.md). */
#pragma once

#include <stddef.h>

struct err;
struct store;

/* What the client can reach was decided by who started us; nothing of it is in a request. */
struct store_server {
        int fd;                    /* the client's socket */
        struct store *artifacts;   /* of this run */
        struct store *caches;      /* of this repository; NULL: there are none */
        const char *const *scopes; /* of caches that may be read, the first is the one that is written */
        size_t n_scopes;
        const char *run, *job;
};
/* 0 when the client closed between requests; ERR_CANCELLED when it went away in the middle of one; ERR_PROTOCOL when it
 * broke the protocol. */
int store_server_run(const struct store_server *s, struct err *e);
/* Instead of it: greet with a failure. */
void store_server_refuse(int fd, const struct err *why);
