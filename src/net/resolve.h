/* Names to addresses, asynchronously, by the resolvers of this host (c-ares): DNS alone, no hosts file.
 *
 * Every answer is a new question: nothing is kept. The addresses are the resolver's word and are not looked at here. */
#pragma once

#include <stddef.h>

#include "net/address.h"

struct err;
struct loop;
struct resolve;
struct resolver;

#define RESOLVE_MAX_ADDRESSES 32u /* of a name; further ones are left out */
#define RESOLVE_TIMEOUT_MS 2500   /* of one question to one server */
#define RESOLVE_TRIES 2           /* of each server */

/* Reads the host's resolver configuration: before the process gives up its files, and before it has a loop. */
int resolver_new(struct resolver **ret, struct err *e);
/* Directly afterwards; the loop outlives the resolver. */
int resolver_attach(struct resolver *r, struct loop *l, struct err *e);
struct resolver *resolver_free(struct resolver *r); /* no callback any more; always NULL; not from a callback */

/* n is 0 and `why` is set when the name has no address or no server answered. Addresses of version 4 come first. */
typedef int resolve_fn(const struct address *v, size_t n, const char *why, void *user, struct err *e);
/* `done` is called once, never before this returns, unless the resolve is cancelled. */
int resolve_start(struct resolver *r, const char *name, resolve_fn *done, void *user, struct resolve **ret,
                  struct err *e);
void resolve_cancel(struct resolve *q);
