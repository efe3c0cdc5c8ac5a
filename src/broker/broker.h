/* devdep-broker: the outgoing connections of one job's guest (docs/protocol-broker.md).
 *
 * Theory of operation. devdep-job, which faces the guest and is not trusted, asks over one door for connections by name
 * or address and port. The policy was read before and never changes. A request goes through
 *
 *     policy    the name (or address) and port are listed, or the profile is `audit`     else denied
 *     resolve   by this host's resolvers                                                 else unreachable
 *     check     every address that must not be dialled is left out; none is left:        denied
 *     dial      exactly these addresses                                                  else unreachable
 *     answer    `ok` with the address; bytes flow both ways
 *     hello     of a connection by name, the first bytes of the guest: TLS must ask for that name, and port 443
 *               must be TLS. Until that is clear nothing of the guest goes out. A second hello, where the server
 *               asks for one, the same.                                                  else denied, reset
 *
 * A name below devdep.internal is a mirror of the operator, at port 80: its server is resolved, checked
 * (mirror_address_refusal()) and dialled in the same way, and no byte is looked at. What cannot be had is unreachable,
 * never denied: whose server it is, and where, is no fault of the guest.
 *
 * A connection ends in exactly one record. Back-pressure is the door's windows and the sockets: nothing is queued past
 * a window. Memory: connections times two windows, bounded headers and records. */
#pragma once

#include <stdint.h>

struct broker;
struct err;
struct loop;
struct policy;
struct resolver;

/* What a record says; the numbers are ours alone. */
enum broker_verdict {
        BROKER_ALLOWED,     /* was connected */
        BROKER_DENIED,      /* the policy: a violation */
        BROKER_UNREACHABLE, /* allowed, and nobody is there */
        BROKER_LIMITED,     /* a limit of ours */
        BROKER_ABANDONED,   /* devdep-job gave it up before it was connected */
};
const char *broker_verdict_name(enum broker_verdict v); /* "allowed", ... */

/* Everything is borrowed; fd is the socket to devdep-job. The loop ends when that closes (success), or with what it did
 * wrong. */
int broker_new(struct loop *l, int fd, const struct policy *policy, struct resolver *resolver, struct broker **ret,
               struct err *e);
struct broker *broker_free(struct broker *b); /* always NULL */
