/* TLS from here to a mirror whose server is https (docs/mirrors.md). The guest speaks HTTP in clear on its own stream;
 * what goes over the network is encrypted, to a server that proved its name (or its address) by a certificate of one of
 * the authorities that the operator chose. TLS 1.2 at least, no renegotiation, no resumption, no certificate of ours.
 *
 * The last bytes of a server count only with TLS's own goodbye: a connection that is cut off is an error. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct loop;
struct mirror;
struct policy;
struct secure;
struct secure_roots;
struct ssl_st; /* OpenSSL's */

/* The certificates of the policy's authorities. ERR_USAGE: a text without one, or one that is none. */
int secure_roots_new(const struct policy *p, struct secure_roots **ret, struct err *e);
struct secure_roots *secure_roots_free(struct secure_roots *r); /* NULL is fine; always NULL */

/* The end of a handshake: the connection and its TLS, both the callee's; or fd -1 and why, one phrase. The struct
 * secure may be freed in it. */
typedef int secure_fn(int fd, struct ssl_st *tls, const char *why, void *user, struct err *e);
/* Begin one on a connected socket, which is taken over. `done` is called from the loop. */
int secure_start(struct loop *l, const struct secure_roots *roots, const struct mirror *m, int fd, secure_fn *done,
                 void *user, struct secure **ret, struct err *e);
struct secure *secure_free(struct secure *s); /* gives it up; NULL is fine; always NULL */

/* As read(2) and send(2) of a socket that does not block. EPROTO: the TLS is broken. Nothing is left inside but what
 * secure_has_more() tells. */
ssize_t secure_read(struct ssl_st *tls, void *into, size_t n);
ssize_t secure_write(struct ssl_st *tls, const void *data, size_t n);
bool secure_has_more(const struct ssl_st *tls);     /* bytes that no event of the socket tells */
void secure_close(struct ssl_st *tls);              /* nothing more is written; once or more often */
struct ssl_st *secure_tls_free(struct ssl_st *tls); /* NULL is fine; always NULL */
