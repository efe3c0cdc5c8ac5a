/* The network as a job sees it (docs/protocol-guest.md, "The outside as a job sees it"). There is no network card:
 *
 *   a stub resolver gives every name that is looked up an address, after it asked the host which kind (lookup.c);
 *   TCP to the address of a name that may be reached, or to a listed address, becomes a `connect` stream (outgoing.c);
 *   every other packet comes out of a TUN device, is refused at once, and is told to the host (tun.c).
 *
 * The host decides; what happens here is help for programs and for whoever reads the record. */
#pragma once

#include <stddef.h>

struct err;
struct guest;
struct network;

#define NETWORK_MAX_CONNECTIONS 128u /* `connect` streams at once; further connections wait to be accepted */
#define NETWORK_MAX_LOOKUPS 32u      /* names that the host is being asked about */
#define NETWORK_MAX_WAITING 8u       /* questions for one of them */
#define NETWORK_MAX_EVENTS 32u       /* of packets, on their way to the host */
#define NETWORK_EVENT_RATE 20u       /* of packets and of processes, a second in the long run */
#define NETWORK_EVENT_BURST 100u     /* and at once after a silence; more are only counted */
#define NETWORK_MAX_ROUTES 1024u     /* listed addresses */

/* Begin to make it, in a process of its own: it takes tens of milliseconds when emulated, in which the guest does other
 * things. g is borrowed. The door is open from the first packet on. */
int network_start(struct guest *g, struct network **ret, struct err *e);
/* Before the first program of the job: it is there when this returns. */
int network_wait(struct network *n, struct err *e);
/* TCP to this prefix and port (0: to every port) is carried to the host. "ADDRESS/PREFIX". ERR_USAGE: it is none. */
int network_route(struct network *n, const char *prefix, unsigned port, struct err *e);
