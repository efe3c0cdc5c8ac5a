/* devdep-service's main part: connections of the guest to http://results.devdep.internal, each a stream `connect` of
 * devdep-job (docs/protocol-service.md). Which job this is, and what it may read and write, was decided by who started
 * us; nothing of it is in a request. */
#pragma once

struct services;
struct err;
struct loop;
struct server;

/* fd: connected to devdep-job; stays the caller's. The loop ends when devdep-job goes. */
int server_new(struct loop *l, int fd, struct services *services, struct server **ret, struct err *e);
struct server *server_free(struct server *s); /* always NULL */
