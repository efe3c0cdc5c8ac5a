/* A door on a connected stream socket of the loop, between two programs of this host: no ready record and no seed, the
 * session is there at once (docs/protocol-broker.md). Reads, writes and back-pressure; what the streams mean is its
 * owner's. */
#pragma once

#include "wire/door.h"

struct err;
struct link;
struct loop;

#define LINK_READ ((size_t)64 << 10) /* bytes read at once */
#define LINK_WRITES_PER_TURN 32u     /* then other sources have their turn */

struct link_config {
        struct loop *loop;
        int fd;              /* stays the caller's; is made non-blocking */
        enum door_role role; /* whoever opens most streams is the host */
        const struct door_limits *limits;
        const struct door_callbacks *callbacks; /* `ready`, `seed` and `seeded` are not told */
        /* The peer closed, or broke a rule (ERR_PROTOCOL): called once, from the loop. The link may be freed in it. */
        int (*ended)(struct link *k, const struct err *why, void *user, struct err *e);
        void *user; /* of the callbacks, too */
};
/* What a server's `ended` does: a peer that broke a rule is an error, one that closed ends the loop. */
int link_end_loop(struct loop *l, const struct err *why, struct err *e);
int link_new(const struct link_config *c, struct link **ret, struct err *e);
struct link *link_free(struct link *k); /* calls nobody back; always NULL; not from within a callback of the door */
/* For opening streams. After any call on it or on one of its streams from outside a door callback: link_wake(). */
struct door *link_door(struct link *k);
void link_wake(struct link *k);
