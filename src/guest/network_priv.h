/* What the files of the network share. */
#pragma once

#include "base/list.h"
#include "guest/guest.h"
#include "guest/hosts.h"
#include "guest/network.h"
#include "guest/packet.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct loop_io;

#define NETWORK_MTU 16000u

struct network {
        struct guest *g;
        struct hosts *hosts;
        int maker; /* the process that makes it; -1: it is made */
        struct loop_io *maker_io;
        int routing; /* netlink */
        int tun, resolver, steering;
        int listeners[2]; /* of version 4 and 6 */
        struct loop_io *tun_io, *resolver_io, *listener_io[2];
        struct list lookups;
        unsigned n_lookups, n_connections, n_events;
        uint64_t next_connection;
        uint64_t credit_ms; /* of events, as if each took its share of a second */
        uint64_t missed;    /* attempts that were not told */
        unsigned n_routes;
};

/* Each has a part that makes (open) and one that begins to serve (start). tun.c */
int tun_open(struct network *n, unsigned *ret_device, struct err *e);
int tun_start(struct network *n, struct err *e);
/* lookup.c */
int lookup_open(struct network *n, struct err *e);
int lookup_start(struct network *n, struct err *e);
/* outgoing.c */
int outgoing_open(struct network *n, struct err *e);
int outgoing_start(struct network *n, struct err *e);

/* event.c: what the host is told. */
/* May something be told now that costs a look at every process? */
bool event_is_due(struct network *n);
int event_packet(struct network *n, const struct packet *p, struct err *e);
/* A `connect` stream ended without success: whose it was. */
int event_process(struct network *n, uint64_t connection, const struct packet *p, struct err *e);
