/* yamux, version 0 (HashiCorp's specification), as a library without I/O: bytes in, events out, bytes out.
 *
 * The owner feeds what it read to yamux_input(), drains yamux_next(), and writes what yamux_output() shows. Nothing
 * here blocks, reads a clock or allocates beyond the limits below. Both roles are symmetrical; the client's stream ids
 * are odd.
 *
 * Bounds (ARCHITECTURE.md "The one door"): a frame's payload is at most YAMUX_MAX_FRAME in both directions; a stream
 * may hold at most its receive window of unread data; data past the window, a frame for a stream that never existed, a
 * bad version, type or flag is a protocol error (ERR_PROTOCOL), after which the session is dead and a go-away is
 * queued. Received bytes are charged to the stream's window before they are stored.
 *
 * Order of output: control frames (ping, go-away, window updates, SYN/ACK/FIN/RST) first, then streams marked
 * urgent (terminals), then the others in turn, one frame each, so that no stream starves another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct yamux;

#define YAMUX_HEADER 12
#define YAMUX_INITIAL_WINDOW (256u * 1024u) /* fixed by the specification */
#define YAMUX_MAX_FRAME (16u * 1024u)       /* payload bytes of one data frame, sent or accepted */

enum yamux_role { YAMUX_CLIENT, YAMUX_SERVER };

struct yamux_limits {
        uint32_t max_streams;      /* live streams opened by the peer; one more is answered with RST */
        uint32_t max_send_queue;   /* bytes that yamux_write() accepts ahead of the wire, per stream */
        uint32_t max_pending_acks; /* streams opened here and not yet acknowledged */
        uint32_t max_control;      /* bytes of queued control frames; a peer that makes us owe more is cut off */
        uint32_t max_frame_in; /* accepted payload of one data frame; 0: YAMUX_MAX_FRAME. Foreign peers (tests) may need
                                  more */
};
#define YAMUX_LIMITS_DEFAULT                                                                                           \
        {                                                                                                              \
                .max_streams = 256, .max_send_queue = 64 * 1024, .max_pending_acks = 256, .max_control = 64 * 1024     \
        }

enum yamux_event_type {
        YAMUX_NONE,     /* nothing more to tell */
        YAMUX_OPENED,   /* the peer opened `stream` (already acknowledged by the library) */
        YAMUX_ACKED,    /* the peer acknowledged a stream opened here */
        YAMUX_DATA,     /* data, len: valid until the next yamux_input(), yamux_next() or a reset of this stream; counts
                         * against the     window until yamux_consumed() */
        YAMUX_WRITABLE, /* yamux_write() took less than asked before; it will take more now */
        YAMUX_EOF,      /* the peer closed its direction; ours may go on */
        YAMUX_RESET,    /* the stream is gone in both directions; its id is invalid after this event */
        YAMUX_CLOSED,   /* both directions ended in order; its id is invalid after this event */
        YAMUX_PONG,     /* answer to yamux_ping(): value */
        YAMUX_GOAWAY,   /* the peer opens and accepts no more streams: value = reason */
};

struct yamux_event {
        enum yamux_event_type type;
        uint32_t stream;
        uint32_t value;
        const uint8_t *data;
        size_t len;
        void *user; /* what yamux_set_user() attached, or NULL */
};

int yamux_new(enum yamux_role role, const struct yamux_limits *limits, struct yamux **ret, struct err *e);
struct yamux *yamux_free(struct yamux *y); /* wipes buffered data; always NULL */
/* Directly after yamux_new(): another process led this session up to here and left no live stream, no frame that is not
 * whole and no ping without its answer. Our streams go on at `first` (of our parity); a frame for a lower number, of
 * either side, is read over unless it opens a stream of the peer. */
void yamux_continue(struct yamux *y, uint32_t first);

/* Feed bytes. All are taken, unless events must be drained first: *ret_taken says how many. A caller loops: input,
 * drain events, input the rest. Negative: protocol error or no memory; the session accepts nothing more, output
 * (go-away) may remain. */
int yamux_input(struct yamux *y, const uint8_t *data, size_t len, size_t *ret_taken, struct err *e);
/* The next event; YAMUX_NONE when drained. yamux_output() makes events too (WRITABLE, CLOSED): drain after it as well.
 */
void yamux_next(struct yamux *y, struct yamux_event *ret);

/* Open a stream; the id is valid at once and data may be written before the acknowledgement.
 * YAMUX_E_AGAIN: too many streams wait for their acknowledgement. YAMUX_E_GOAWAY: the peer accepts no more. */
#define YAMUX_E_AGAIN 1
#define YAMUX_E_GOAWAY 2
int yamux_open(struct yamux *y, uint32_t *ret_stream, struct err *e);
void yamux_set_user(struct yamux *y, uint32_t stream, void *user);
void yamux_set_urgent(struct yamux *y, uint32_t stream);
/* Queue up to len bytes; returns how many were taken (0..len), limited by the send queue, never by allocation of
 * foreign size. 0 is also the answer for a stream that is closed for writing. */
size_t yamux_write(struct yamux *y, uint32_t stream, const void *data, size_t len, struct err *e);
size_t yamux_write_space(const struct yamux *y, uint32_t stream); /* what yamux_write() would take now */
/* Ask for WRITABLE as if a write had been cut short: it comes when half of the send queue is free (perhaps at once). */
void yamux_want_write(struct yamux *y, uint32_t stream);
size_t yamux_unsent(const struct yamux *y, uint32_t stream); /* queued and not yet handed out by yamux_output() */
/* The receiver processed n bytes of DATA: the window opens again (updates are batched at half a window). The session
 * dies when the update cannot be queued because the peer does not read: yamux_is_dead(). */
void yamux_consumed(struct yamux *y, uint32_t stream, size_t n);
int yamux_close(struct yamux *y, uint32_t stream, struct err *e); /* half-close: FIN after what is queued */
/* Both directions now; queued data is dropped, the id is invalid at once and no further event names it. */
int yamux_reset(struct yamux *y, uint32_t stream, struct err *e);
int yamux_ping(struct yamux *y, uint32_t value, struct err *e); /* YAMUX_E_AGAIN: 16 wait for their answer */
int yamux_goaway(struct yamux *y, uint32_t reason, struct err *e);

/* Bytes to send, 0 when there are none; they stay in place until yamux_output_done(). */
size_t yamux_output(struct yamux *y, const uint8_t **ret);
void yamux_output_done(struct yamux *y, size_t n); /* n bytes were written */

/* End the session as after a protocol error: nothing more is accepted or told, a go-away is left to send. */
void yamux_end(struct yamux *y);
bool yamux_is_dead(const struct yamux *y);
bool yamux_is_midway(const struct yamux *y); /* a frame was begun and is not complete */
uint32_t yamux_count(const struct yamux *y); /* live streams */
bool yamux_is_idle(const struct yamux *y);   /* no stream, no unanswered ping, nothing to send, no frame begun */
