/* What the files of the yamux library share; nobody else includes it but its own tests.
 *
 * yamux.c         what an owner calls: sessions, streams, writing, closing
 * yamux_stream.c  the table of streams, the state machine, pending events
 * yamux_input.c   bytes -> frames -> transitions
 * yamux_output.c  queues -> frames -> bytes
 *
 * A stream is in exactly one state; transitions are made by stream_step() alone, from one table. What is not an order
 * of the protocol but of memory (data waiting, FIN wanted) are plain fields. */
#pragma once

#include "base/list.h"
#include "wire/ring.h"
#include "wire/yamux.h"

enum frame_type { FRAME_DATA = 0, FRAME_WINDOW = 1, FRAME_PING = 2, FRAME_GOAWAY = 3 };
enum frame_flag { FLAG_SYN = 1, FLAG_ACK = 2, FLAG_FIN = 4, FLAG_RST = 8, FLAG_ALL = 15 };
enum goaway_reason { GOAWAY_NORMAL = 0, GOAWAY_PROTOCOL = 1, GOAWAY_INTERNAL = 2 };

enum stream_state {
        STREAM_OPENING,        /* opened here, not acknowledged: the peer may only acknowledge, widen or reset it */
        STREAM_OPENING_CLOSED, /* the same, and our FIN is on its way */
        STREAM_OPEN,           /* both directions carry data */
        STREAM_LOCAL_CLOSED,   /* our FIN is on its way; the peer's data still arrives */
        STREAM_REMOTE_CLOSED,  /* the peer's FIN arrived; ours may still send */
        STREAM_CLOSED,         /* both FINs: gone as soon as its owner was told */
        STREAM_RESET,          /* RST arrived: gone as soon as its owner was told */
        STREAM_N_STATES
};
enum stream_step {
        STEP_ACK,    /* the peer's flags and frames */
        STEP_DATA,   /* a payload of at least one byte */
        STEP_WINDOW, /* a window update without flags */
        STEP_FIN,
        STEP_RST,
        STEP_FIN_SENT, /* our FIN went to the wire */
        STEP_N
};

/* Events that wait to be told, one bit each; told from the lowest bit up. */
enum stream_event {
        EVENT_OPENED = 1,
        EVENT_ACKED = 2,
        EVENT_DATA = 4,
        EVENT_WRITABLE = 8,
        EVENT_EOF = 16,
        EVENT_RESET = 32,
        EVENT_CLOSED = 64,
};

struct stream {
        struct list hash;   /* in yamux.table */
        struct list events; /* in yamux.events while event_bits is not 0 */
        struct list ready;  /* in yamux.ready or .ready_urgent while it has something to send and may */
        uint32_t id;
        enum stream_state state;
        unsigned event_bits;
        bool foreign; /* opened by the peer: counts against max_streams */
        bool urgent;
        bool closing; /* FIN follows when the queue is empty */
        bool fin_sent;
        bool blocked;         /* a write was cut short: tell when there is room */
        uint32_t recv_window; /* bytes that the peer may still send */
        uint32_t unread;      /* bytes told and not yet yamux_consumed() */
        uint32_t credit;      /* bytes consumed and not yet announced */
        uint32_t send_window; /* bytes that we may still send */
        struct ring queue;
        void *user;
};

#define YAMUX_BUCKETS 128u
#define YAMUX_MAX_PINGS 16u           /* of ours, unanswered */
#define YAMUX_MAX_IDLE_FRAMES 1024u   /* frames that carry nothing at all, per session */
#define YAMUX_OUT_BATCH (32u * 1024u) /* start no further data frame when this much is waiting for the wire */
#define YAMUX_OUT_SIZE (YAMUX_OUT_BATCH + YAMUX_HEADER + YAMUX_MAX_FRAME)

struct yamux {
        struct yamux_limits limits;
        bool client;
        uint32_t next_id;    /* the next stream opened here; 0: ids are used up */
        uint32_t last_peer;  /* highest id that the peer opened, 0: none */
        uint32_t gone_below; /* streams with lower ids lived under another owner of this session */
        uint32_t n_streams, n_foreign, n_opening;
        bool dead;
        bool goaway_sent, goaway_received;

        struct list table[YAMUX_BUCKETS];
        struct list events;
        struct list ready, ready_urgent;

        /* Session events that wait to be told. */
        bool pong_waits, goaway_waits;
        uint32_t pong_value, goaway_value;
        uint32_t pings[YAMUX_MAX_PINGS];
        uint32_t n_pings;
        uint32_t n_idle_frames;

        /* The frame that is being read. */
        uint8_t header[YAMUX_HEADER];
        size_t header_len;
        uint32_t payload_left;
        uint32_t payload_stream;
        uint16_t payload_flags;
        uint8_t stage[YAMUX_MAX_FRAME]; /* the bytes that EVENT_DATA tells */
        size_t stage_len;
        size_t stage_told; /* of them; stage_wipe() when they were dealt with, because they may be secrets */

        struct ring control; /* whole control frames */
        uint8_t out[YAMUX_OUT_SIZE];
        size_t out_start, out_end;
};

/* yamux.c */
void stage_wipe(struct yamux *y);
/* yamux_stream.c */
struct stream *stream_find(const struct yamux *y, uint32_t id); /* NULL also when it is only waiting to be told away */
struct stream *stream_find_any(const struct yamux *y, uint32_t id);
int stream_new(struct yamux *y, uint32_t id, bool foreign, struct stream **ret, struct err *e);
void stream_drop(struct yamux *y, struct stream *s); /* out of every list, wiped, freed */
/* Make one transition and queue its event. Negative: the peer may not do that in this state (ERR_PROTOCOL). */
int stream_step(struct yamux *y, struct stream *s, enum stream_step step, struct err *e);
void stream_tell(struct yamux *y, struct stream *s, enum stream_event event);

/* yamux_output.c */
/* Queue one control frame. Negative when the peer makes us owe more than limits.max_control (ERR_PROTOCOL) or for no
 * memory. */
int control_put(struct yamux *y, enum frame_type type, unsigned flags, uint32_t stream, uint32_t value, struct err *e);
void stream_schedule(struct yamux *y,
                     struct stream *s); /* put into the ready list if it has something to send and may */
/* The session accepts nothing more; a go-away is queued behind what is on the wire. */
void yamux_die(struct yamux *y, enum goaway_reason reason);
