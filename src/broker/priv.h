/* What the files of src/broker share. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "broker/broker.h"
#include "net/address.h"
#include "net/name.h"
#include "net/resolve.h"

struct connection;
struct door_stream;
struct fields;
struct link;
struct secure_roots;

struct broker {
        struct loop *loop;
        const struct policy *policy;
        struct resolver *resolver;
        struct secure_roots *roots; /* for mirrors with TLS */
        struct link *link;
        struct list connections;
        unsigned n_connections;
        uint64_t credit_ms;          /* when the next connection may begin, as if each took 1000 / BROKER_RATE ms */
        struct door_stream *records; /* NULL: nobody asked for them yet */
        struct buf waiting;          /* records that the stream has not taken */
        unsigned n_waiting;          /* an upper bound: 0 when `waiting` is empty */
};

/* What a record is about. */
struct record {
        uint64_t id; /* devdep-job's */
        enum broker_verdict verdict;
        const char *reason;            /* one phrase, "" when there is nothing to say */
        const char *entry;             /* that would have allowed it; "": none would */
        const char *name;              /* NULL: an address was asked for */
        const struct address *address; /* that was dialled or asked for, or was refused; NULL: none */
        uint16_t port;
        bool weak;
        uint64_t sent, received, ms; /* bytes of the guest, bytes for it */
};
int record_add(struct broker *b, const struct record *r, struct err *e); /* records.c */
int records_open(struct broker *b, struct door_stream *s, struct err *e);

/* connection.c: an operation `connect`. Takes the stream, or refuses it. */
int connection_open(struct broker *b, struct door_stream *s, const struct fields *header, struct err *e);
struct connection *connection_of(struct list *pos); /* of broker.connections */
void connection_free(struct connection *c);
