/* The pool's socket: who may talk, how much, how fast; bytes to verbs and answers to bytes.
 *
 * A client is its user (SO_PEERCRED, taken by the kernel when it connected): the pool's own, root, or one that was
 * allowed. What a client may cost is bounded by src/pool/limits.h; whoever breaks the protocol gets one answer that
 * says so and is cut off, whoever is silent or does not read is cut off without. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct err;
struct loop;
struct pool;
struct server;

struct server_options {
        const char *path; /* of the socket */
        uid_t self;
        const uid_t *allowed; /* beside self and root */
        size_t n_allowed;
};
/* Listens; a socket that is there already is replaced (the caller holds the pool's lock). ERR_USAGE: the path is too
 * long for a socket. */
int server_new(struct loop *l, struct pool *p, const struct server_options *o, struct server **ret, struct err *e);
struct server *server_free(struct server *s); /* closes everything, removes the socket; always NULL */
