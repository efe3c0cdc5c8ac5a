/* What the files of the egress share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "job/egress.h"
#include "net/address.h"
#include "net/mirror.h"
#include "net/policy.h"

struct link;
struct loop_timer;

#define EGRESS_TEXT 320u /* bytes of foreign text in a record: a reason, a protocol, a process */

/* One event of docs/events.md, `egress`. */
struct egress_record {
        int step;
        const char *kind; /* "connect", "packet", "lookup" */
        char verdict[16];
        char name[NAME_TEXT];       /* "": none */
        char address[ADDRESS_TEXT]; /* "": none */
        char protocol[16], process[EGRESS_TEXT], reason[EGRESS_TEXT];
        char entry[POLICY_TEXT];         /* that would allow it; "": none would */
        char mirror[MIRROR_SERVER_TEXT]; /* the operator's, that the name means; "": none */
        uint64_t pid;                    /* 0: not known */
        uint16_t port;
        bool weak;
        uint64_t sent, received, ms;
};

/* A destination as a header names it. */
struct egress_target {
        char name[NAME_TEXT]; /* normalised; "": an address */
        struct address address;
        uint16_t port;
};
int egress_target_read(const struct fields *header, struct egress_target *ret, struct err *e);

struct egress_connection {
        struct list list;
        struct egress *egress;
        struct door_stream *guest, *broker; /* NULL: over */
        struct buf to_guest, to_broker;     /* what the other side does not take yet: at most a window */
        bool guest_eof, broker_eof;
        bool internal; /* the host's own, and no mirror: `broker` is a stream of devdep-service */
        bool mirrored; /* a mirror of the operator */
        bool answered;
        uint64_t id;       /* ours, for the broker */
        uint64_t guest_id; /* the guest's own, for its words about the connection */
        struct egress_record record;
        bool is_recorded; /* `record` is complete but for the process */
        bool is_attributed;
        struct loop_timer *timer; /* for the process */
        uint64_t started_ms;
};

/* A row of the summary. */
struct egress_row {
        int step;
        char text[NAME_TEXT + ADDRESS_TEXT + 16], process[EGRESS_TEXT], wanted[POLICY_TEXT];
};

/* A destination that could not be had, and that was told. */
struct egress_notice {
        int step;
        char text[NAME_TEXT + ADDRESS_TEXT + 16];
};

struct egress {
        struct job *job;
        const struct policy *policy;
        int broker_fd, service_fd;
        struct link *link, *service; /* to devdep-broker, devdep-service; NULL: there is none */
        struct door_stream *records;
        struct fields_reader *reader; /* of records */
        struct list connections;
        unsigned n_connections;
        uint64_t next_id;
        unsigned n_connects, n_records, n_violations, n_rows, n_notices;
        uint64_t n_unrecorded, n_untold; /* past EGRESS_MAX_RECORDS; that the guest only counted */
        int last_step;                   /* the last one that was seen open */
        struct egress_row rows[EGRESS_MAX_ANNOTATIONS];
        struct egress_notice notices[EGRESS_MAX_ANNOTATIONS];
};

/* egress.c */
int egress_step(struct egress *g);  /* index of the innermost open step; of the last one; -1 */
void egress_wake(struct egress *g); /* after writing to a stream of the guest or the broker */
/* egress_record.c: write the event, and what it comes to. */
int egress_record_add(struct egress *g, const struct egress_record *r, struct err *e);
int egress_summary(struct egress *g, struct err *e);
/* egress_relay.c */
int egress_connect(struct egress *g, struct door_stream *s, const struct fields *header, struct err *e);
void egress_connection_free(struct egress_connection *c);
/* Whatever is known of it by now is all that will be: complete its record, but for the process. */
void egress_connection_conclude(struct egress_connection *c);
/* Write its record when everything is known, and free it when nothing is left. */
int egress_connection_settle(struct egress_connection *c, struct err *e);
struct egress_connection *egress_connection_of(struct list *pos);
/* egress_event.c */
int egress_event(struct egress *g, struct door_stream *s, const struct fields *header, struct err *e);
/* Fields of foreign text, printable and cut; absent: "". */
int egress_text(const struct fields *f, const char *key, char *ret, size_t size, struct err *e);
