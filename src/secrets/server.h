/* The service of devdep-secrets: verbs of one byte on a socket, messages back (message.h, docs/protocol-secrets.md).
 *
 *   FRESH -> HELD      'a': every value was fetched and written
 *   HELD  -> HELD      a due time or 'r': versions are asked for, leases renewed; one change at a time is told and
 *                      waits for its 't'
 *   any   -> RELEASED  'f', or the other end is gone: values zeroed, leases revoked
 *
 * One call after another; a provider that is slow delays the next verb by its own deadlines and no more. */
#pragma once

#include <stddef.h>

struct err;
struct http;
struct order;
struct values;

struct server_config {
        int fd;                /* a connected stream socket; blocking */
        struct values *values; /* NULL: none can be asked for, only checked */
        const struct order *order;
        const void *credentials;
        size_t credentials_size;
        struct http *http; /* for providers that are asked over the network; NULL: none is */
};
/* Until the other end is gone and everything is released. ERR_PROTOCOL: it broke the protocol. */
int server_run(const struct server_config *c, struct err *e);
