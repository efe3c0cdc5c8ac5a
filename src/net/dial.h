/* A TCP connection to the first of some addresses that takes it. The addresses were checked by the caller, and exactly
 * these are dialled: no name is looked at here. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

struct dial;
struct err;
struct loop;

#define DIAL_TIMEOUT_MS 5000u /* for one address to answer */

/* fd: connected, non-blocking, the callee's; `at` is the address. Or fd is -1 and `why` says what the last one met. */
typedef int dial_fn(int fd, const struct address *at, const char *why, void *user, struct err *e);
/* v is copied, n at least 1. `done` is called once, never before this returns, unless the dial is freed. */
int dial_start(struct loop *l, const struct address *v, size_t n, uint16_t port, dial_fn *done, void *user,
               struct dial **ret, struct err *e);
struct dial *dial_free(struct dial *d); /* gives up; always NULL; also from within `done`, where it is a must */
