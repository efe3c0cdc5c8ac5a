/* The door: what devdep-job (host) and devdep-guest (guest) share above yamux. No I/O: bytes in, callbacks, bytes out.
 *
 * It walks the byte stream's life (ready record, seed, answer, yamux; docs/protocol-guest.md), reads the opener's
 * header and the answerer's status of every stream, and hands what follows to the operation as bytes. Anything the peer
 * may not do is ERR_PROTOCOL from door_input(): the session is over, and the owner frees it (no stream callback
 * follows).
 *
 *      owner reads bytes   -> door_input()
 *      after every turn    -> door_output(), write, door_output_done(), until nothing is left or the descriptor is full
 *
 * Callbacks run inside door_input() and door_output_done() only. They may open, write, close and reset any stream,
 * their own included; they must not free the door. A negative return ends the call with that error.
 *
 * Back-pressure: bytes told by `data` count against the stream's window (256 KiB) until door_consumed(). An operation
 * that cannot pass its bytes on keeps them (at most a window) and consumes them later; only this stream waits.
 * Memory that a peer can cause: per stream a window (held by the operation), and limits.max_headers for all headers
 * that are not complete yet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/guest.h"
#include "wire/yamux.h"

struct buf;
struct door;
struct door_stream;
struct err;

enum door_role { DOOR_HOST, DOOR_GUEST };

struct door_limits {
        struct yamux_limits yamux;
        size_t max_header;  /* one header or answer of the peer */
        size_t max_headers; /* all headers and answers of the peer that are not complete yet */
};
#define DOOR_LIMITS_HOST                                                                                               \
        {                                                                                                              \
                .yamux = YAMUX_LIMITS_DEFAULT, .max_header = 64u * 1024u, .max_headers = 1024u * 1024u                 \
        }
#define DOOR_LIMITS_GUEST                                                                                              \
        {                                                                                                              \
                .yamux = YAMUX_LIMITS_DEFAULT, .max_header = GUEST_MAX_HEADER + 4u, .max_headers = 8u * 1024u * 1024u  \
        }

/* What a session tells its owner. `fields` are valid during the call. */
struct door_callbacks {
        /* Host: the ready record was right. Call door_seed(), now or later. */
        int (*ready)(struct door *d, void *user, struct err *e);
        /* Guest: the seed arrived. Apply it and call door_seeded(), now or later. */
        int (*seed)(struct door *d, const struct fields *seed, void *user, struct err *e);
        /* Host: the guest applied the seed; streams may be opened. */
        int (*seeded)(struct door *d, const struct fields *answer, void *user, struct err *e);
        /* The peer opened a stream and its header is complete. Before returning, call door_accept() or door_refuse(); a
         * stream that got neither is refused as unsupported. NULL refuses everything. */
        int (*request)(struct door_stream *s, const char *op, const struct fields *header, void *user, struct err *e);
        int (*pong)(struct door *d, uint32_t value, void *user, struct err *e);    /* may be NULL */
        int (*goaway)(struct door *d, uint32_t reason, void *user, struct err *e); /* may be NULL */
};

enum door_end {
        DOOR_CLOSED,  /* both directions ended in order */
        DOOR_RESET,   /* the peer gave the stream up */
        DOOR_REFUSED, /* the answer was status=error: `refusal` has `message` and perhaps `code` */
};

/* What a stream tells its operation; each may be NULL. */
struct door_handler {
        /* Opener: the answer was status=ok. */
        int (*answer)(struct door_stream *s, const struct fields *answer, void *user, struct err *e);
        /* Bytes of the operation. NULL: the operation has none in this direction, and any byte is ERR_PROTOCOL. */
        int (*data)(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e);
        int (*eof)(struct door_stream *s, void *user, struct err *e);      /* the peer half-closed */
        int (*writable)(struct door_stream *s, void *user, struct err *e); /* a write was cut short and may go on */
        /* The last call of this stream, which is invalid after it; never after door_reset(). */
        void (*end)(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user);
};

/* Where the byte stream stands when a host takes it over (docs/decisions/clones.md). */
enum door_entry {
        DOOR_AT_READY,   /* the ready record is to come */
        DOOR_AT_SEED,    /* another process read it: door_seed() may be called at once, `ready` is not told */
        DOOR_IN_SESSION, /* another process seeded the guest and left a session without live streams: it is open,
                            `seeded` is not told, and our streams are numbered from DOOR_NEXT_STREAM */
        DOOR_AT_ONCE,    /* either role: two programs of one host, which need neither ready record nor seed */
};
#define DOOR_NEXT_STREAM 65537u

/* callbacks are copied. A guest's door has its ready record to send at once. */
int door_new(enum door_role role, const struct door_limits *limits, const struct door_callbacks *callbacks, void *user,
             struct door **ret, struct err *e);
struct door *door_free(struct door *d);              /* wipes, calls nobody back; always NULL */
void door_enter(struct door *d, enum door_entry at); /* directly after door_new(); DOOR_AT_READY by default */

/* Feed bytes; all are taken. */
int door_input(struct door *d, const uint8_t *data, size_t len, struct err *e);
/* Bytes to send, 0 when there are none. After a failed door_input() a go-away may be left to send. */
size_t door_output(struct door *d, const uint8_t **ret);
int door_output_done(struct door *d, size_t n, struct err *e); /* n bytes were written; calls writable and end */
/* Is something of the peer incomplete: a record, a frame, a header, an answer to the seed? A host gives that a
 * deadline, so that a peer that dribbles or stalls in the middle is found. */
bool door_is_midway(const struct door *d);
bool door_is_open(const struct door *d); /* seeded, and not ended */
/* An open session that another process can go on with: no live stream, no unanswered ping of ours, nothing to send,
 * nothing of the peer incomplete. */
bool door_is_idle(const struct door *d);
uint32_t door_count(const struct door *d); /* live streams */

/* The seed and its answer: complete field lists. The answer must have status=ok for the session to begin. */
int door_seed(struct door *d, const struct buf *list, struct err *e);
int door_seeded(struct door *d, const struct buf *list, struct err *e);

int door_ping(struct door *d, uint32_t value, struct err *e); /* YAMUX_E_AGAIN as yamux_ping() */

/* Open a stream with this header (a complete field list with `op`). handler must outlive the stream. Writing may begin
 * at once. YAMUX_E_AGAIN, YAMUX_E_GOAWAY as yamux_open(). */
int door_open(struct door *d, const struct buf *header, const struct door_handler *handler, void *user,
              struct door_stream **ret, struct err *e);
/* Take a request; door_answer() follows, now or later. */
void door_accept(struct door_stream *s, const struct door_handler *handler, void *user);
/* Answer an accepted request: a complete field list with status=ok; NULL: a list of just that. */
int door_answer(struct door_stream *s, const struct buf *list, struct err *e);
/* Answer status=error with a message and perhaps a code (NULL: none), half-close, ignore what still comes. Allowed in
 * place of door_accept() and in place of door_answer(); the stream is the door's from then on and tells nothing more.
 */
int door_refuse(struct door_stream *s, const char *code, const char *message, struct err *e);

/* As yamux_write(): how many bytes were taken. Fewer than asked: `writable` follows. 0 before the answer of an
 * answerer. */
size_t door_write(struct door_stream *s, const void *data, size_t len, struct err *e);
size_t door_write_space(const struct door_stream *s);
/* One frame of an exec or pty stream, whole or not at all: DOOR_E_FULL, and `writable` follows. */
#define DOOR_E_FULL 1
int door_frame(struct door_stream *s, enum guest_frame type, const void *payload, size_t len, struct err *e);
void door_consumed(struct door_stream *s, size_t n);
int door_close(struct door_stream *s, struct err *e); /* half-close behind what was written */
/* Give the stream up in both directions: no further callback, s is invalid. The cancellation of an operation. */
int door_reset(struct door_stream *s, struct err *e);
/* Its bytes go before those of streams that are not urgent: a terminal's. */
void door_set_urgent(struct door_stream *s);
size_t door_unsent(const struct door_stream *s); /* bytes written and not yet handed to door_output() */
