/* devdep-store's main part: one request at a time, until its client closes (docs/protocol-store.md). The client is
 * devdep-job. devdep-service may be a second one: it reads the artifacts by itself, and asks here for what changes
 * them. While one of them streams, the other waits. */
#pragma once

#include <stddef.h>

struct err;
struct store;

/* What the client can reach was decided by who started us; nothing of it is in a request. */
struct store_server {
        int fd;                    /* the client's socket */
        int service_fd;            /* devdep-service's, or -1; closed when it is over */
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
void store_server_refuse(const struct store_server *s, const struct err *why);
