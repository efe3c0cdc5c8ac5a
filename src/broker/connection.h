/* What connection.c (up to the answer) and flow.c (from it on) share. */
#pragma once

#include "broker/priv.h"
#include "loop/loop.h"
#include "net/hello.h"
#include "net/policy.h"
#include "wire/door.h"

struct dial;
struct mirror;
struct secure;
struct ssl_st;

/* What is looked for in the bytes of the guest. */
enum look {
        LOOK_FIRST,  /* the first bytes: they should be a ClientHello that asks for the name */
        LOOK_ANSWER, /* a second one, which the server has not asked for yet: it waits */
        LOOK_SECOND, /* a second one, which the server has asked for */
        LOOK_NO,     /* nothing any more */
};

struct connection {
        struct list list;
        struct broker *broker;
        struct door_stream *s; /* NULL: it is the door's, or gone */
        uint64_t id;
        char name[NAME_TEXT];        /* "": an address was asked for */
        const struct mirror *mirror; /* the operator's, that the name means; NULL: none */
        bool has_address, weak;
        struct address address;
        uint16_t port;
        uint64_t started_ms;
        struct resolve *resolve;
        struct dial *dial;
        struct secure *secure; /* the handshake with a mirror */

        int fd;             /* -1: not connected */
        struct ssl_st *tls; /* with a mirror; NULL: in clear */
        struct loop_io *io;
        struct buf queue; /* of the guest, not sent yet: at most a window */
        enum look look;
        size_t clear; /* bytes from its head on that may go out, of those that are to come as well; SIZE_MAX: all */
        uint8_t answer[HELLO_ANSWER_SIZE]; /* the server's first bytes */
        size_t answer_len;
        struct loop_timer *hello_timer;
        bool stream_eof, fd_eof, blocked;
        bool is_shut;  /* the server was told of the guest's end */
        bool in_order; /* both sides ended it */
        uint64_t sent, received;
        char reason[320], entry[POLICY_TEXT];
};

extern const struct door_handler connection_handler;
/* Everything may go out. */
void connection_clear(struct connection *c);
/* Are first bytes there already, and not what they should be? The reason is in c. */
bool connection_is_unfit(struct connection *c);
/* Connected and answered: bytes flow. */
int connection_flow(struct connection *c, struct err *e);
/* Record it, reset its stream where it has one, and free it. */
int connection_end(struct connection *c, enum broker_verdict verdict, struct err *e);
