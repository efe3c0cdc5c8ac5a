/* What door.c (the session) and door_stream.c (one stream) share. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "wire/door.h"

enum door_state {
        DOOR_WAIT_READY,  /* host: collecting the ready record */
        DOOR_READY,       /* host: nothing may come before the seed was sent */
        DOOR_WAIT_ANSWER, /* host: collecting the answer to the seed */
        DOOR_WAIT_SEED,   /* guest: collecting the seed */
        DOOR_SEEDING,     /* guest: nothing may come before it was answered */
        DOOR_OPEN,        /* yamux */
        DOOR_DEAD,
};

struct door {
        enum door_role role;
        enum door_state state;
        struct door_limits limits;
        struct door_callbacks callbacks;
        void *user;
        struct yamux *yamux;
        uint8_t ready[GUEST_READY_SIZE];
        size_t ready_len;
        struct fields_reader *preamble;
        struct buf out; /* records that are sent before yamux */
        size_t headers_held;
        struct list streams;
        struct door_stream *current; /* whose callback runs; NULL when that one reset it */
};

enum door_stream_state {
        DOOR_STREAM_HEADER,  /* answerer: collecting the header */
        DOOR_STREAM_REQUEST, /* answerer: told to the owner, not answered */
        DOOR_STREAM_ASKED,   /* opener: collecting the answer */
        DOOR_STREAM_FLOWS,   /* header and answer are done */
        DOOR_STREAM_REFUSED, /* answerer: refused; what comes is read over */
};

struct door_stream {
        struct list list;
        struct door *door;
        uint32_t id;
        enum door_stream_state state;
        const struct door_handler *handler;
        void *user;
        struct fields_reader *reader; /* of the header or answer; NULL afterwards */
        struct buf pending;           /* header or answer that the send queue did not take yet */
        bool closing;                 /* half-close behind `pending` */
};

int door_stream_new(struct door *d, uint32_t id, enum door_stream_state state, struct door_stream **ret, struct err *e);
void door_stream_free(struct door_stream *s);
/* One yamux event of a stream; the stream may be gone afterwards. */
int door_stream_event(struct door_stream *s, const struct yamux_event *event, struct err *e);
