/* Talking to a pool, for commands: blocking, with deadlines. */
#pragma once

#include "wire/pool.h"

struct err;

#define CLIENT_DEADLINE_MS 3000u /* for a connection and for each answer */

/* Where the pool of a state folder listens; malloc'd, NULL: no memory. */
char *client_path(const char *state);

/* CLIENT_E_NONE: no pool listens there. A socket of somebody who is neither us nor root is refused. */
#define CLIENT_E_NONE 1
int client_connect(const char *state, int *ret, struct err *e);
/* One request and its answer. fds[POOL_FD_COUNT] gets the descriptors that came, -1 where none did; NULL: none may
 * come. An answer of POOL_ERROR is our error, with the pool's code and words. *ret: pool_answer_done() in any case. */
int client_ask(int fd, const struct pool_request *q, struct pool_answer *ret, int *fds, struct err *e);
