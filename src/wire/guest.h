/* The guest protocol above and below yamux: field lists, the ready and seed records, frames of exec and pty. No I/O.
 * The bytes are described in docs/protocol-guest.md; both sides (devdep-guest, devdep-job) build and read them here
 * only.
 *
 * A *field list* is how every record and every stream header is written:
 *     u32 total   bytes after this word, at most GUEST_MAX_HEADER
 *     repeated    u16 key length (1..64), key ([a-z0-9_.-]), u32 value length, value (any bytes)
 * Big-endian. Keys may repeat where the operation says so (`arg`, `env`). Unknown keys are ignored, a missing required
 * key, a key that repeats where it must not, or trailing bytes are ERR_PROTOCOL.
 *
 * Life of the byte stream:
 *   1. guest -> host  ready record: GUEST_READY_SIZE fixed bytes
 *   2. host -> guest  seed: a field list (op=seed; entropy, nonce, time_ns, machine_id, boot_id, hostname, ...)
 *   3. guest -> host  a field list (status=ok) after all of it was applied
 *   4. yamux, the host is the client. Each stream: opener's field list with `op`, the answerer's field list with
 * `status` (ok | error, `message`), then bytes that belong to the operation. A further `seed` operation on a stream
 * re-seeds a clone at its claim and replaces the nonce. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;

#define GUEST_PROTOCOL 1
#define GUEST_READY_SIZE 32
#define GUEST_NONCE_SIZE 16
#define GUEST_ENTROPY_SIZE 64
#define GUEST_MAX_HEADER ((1024u + 64u) * 1024u) /* so that 1 MiB of data fits with the other fields */
#define GUEST_MAX_KEY 64u
#define GUEST_MAX_FIELDS 8192u
#define GUEST_FRAME_HEADER 5u
#define GUEST_MAX_FRAME_DATA (16u * 1024u - YAMUX_SLACK_)
#define YAMUX_SLACK_ 64u              /* so that one frame with its header fits one yamux frame */
#define GUEST_PORT_NAME "devdep.door" /* virtio-serial port */

/* The ready record: "DEVDEP-GUEST\0" padded to 16, u16 protocol, u16 flags, u32 agent build, 8 reserved zero bytes. */
void guest_ready_write(uint8_t ret[GUEST_READY_SIZE]);
int guest_ready_check(const uint8_t rec[GUEST_READY_SIZE], struct err *e);

struct field {
        const char *key;      /* NUL-terminated, owned by the list */
        const uint8_t *value; /* owned by the list */
        size_t len;
};
struct fields; /* a parsed list */

/* Building: start, add, finish patch the length word at the place where start was called. */
int fields_begin(struct buf *b, size_t *ret_mark, struct err *e);
int fields_add(struct buf *b, const char *key, const void *value, size_t len, struct err *e);
int fields_add_str(struct buf *b, const char *key, const char *value, struct err *e);
int fields_add_u64(struct buf *b, const char *key, uint64_t value, struct err *e); /* decimal text */
int fields_end(struct buf *b, size_t mark, struct err *e);

/* How many bytes the list at data needs in all (length word included): FIELDS_E_MORE when not even that is known yet.
 */
#define FIELDS_E_MORE 1
int fields_size(const uint8_t *data, size_t len, size_t *ret, struct err *e);
/* Parse one complete list (length word included). The input is copied. */
int fields_parse(const uint8_t *data, size_t len, struct fields **ret, struct err *e);
struct fields *fields_free(struct fields *f); /* wipes; always NULL */
size_t fields_count(const struct fields *f);
const struct field *fields_at(const struct fields *f, size_t i);
/* The one value of this key; NULL when absent or repeated. */
const struct field *fields_get(const struct fields *f, const char *key);
/* As text: refuses NUL bytes. *ret is owned by the list. Missing is ERR_PROTOCOL naming the key. */
int fields_str(const struct fields *f, const char *key, const char **ret, struct err *e);
int fields_str_opt(const struct fields *f, const char *key, const char *fallback, const char **ret, struct err *e);
int fields_u64(const struct fields *f, const char *key, uint64_t max, uint64_t *ret, struct err *e);
int fields_u64_opt(const struct fields *f, const char *key, uint64_t fallback, uint64_t max, uint64_t *ret,
                   struct err *e);

/* A streaming reader of one field list after another: feed bytes, take lists. `max` bounds one list, length word
 * included; memory is taken for the bytes that came, not for the length that was announced. */
struct fields_reader;
int fields_reader_new(size_t max, struct fields_reader **ret, struct err *e);
struct fields_reader *fields_reader_free(struct fields_reader *r); /* wipes; always NULL */
/* Take bytes until one list is complete: *ret_used says how many were used, *ret is the list (caller frees) or NULL. */
int fields_reader_feed(struct fields_reader *r, const uint8_t *data, size_t len, size_t *ret_used, struct fields **ret,
                       struct err *e);
size_t fields_reader_held(const struct fields_reader *r); /* bytes of the list that is not yet complete */

/* Frames on an `exec` or `pty` stream after the headers: u8 type, u32 length, payload. */
enum guest_frame {
        GUEST_FRAME_STDIN = 0,  /* host -> guest; also the input of a pty */
        GUEST_FRAME_STDOUT = 1, /* guest -> host; also the output of a pty */
        GUEST_FRAME_STDERR = 2, /* guest -> host */
        GUEST_FRAME_EXIT =
                3, /* guest -> host, last: a field list: nonce, kind (exited|signaled|killed|lost), code, oom */
        GUEST_FRAME_STDIN_EOF = 4, /* host -> guest, empty */
        GUEST_FRAME_RESIZE = 5,    /* host -> guest, pty: u16 rows, u16 columns */
        GUEST_FRAME_SIGNAL = 6,    /* host -> guest: u8 signal number, to every process of the step */
};

/* A streaming reader of frames: feed bytes, take frames. One frame in memory at most. */
struct frame_reader;
int frame_reader_new(uint32_t max_payload, struct frame_reader **ret, struct err *e);
struct frame_reader *frame_reader_free(struct frame_reader *r);
/* Take bytes until one frame is complete: *ret_used says how many were used; *ret_complete whether a frame is there.
 * The payload stays valid until the next call. */
int frame_reader_feed(struct frame_reader *r, const uint8_t *data, size_t len, size_t *ret_used, bool *ret_complete,
                      enum guest_frame *ret_type, const uint8_t **ret_payload, size_t *ret_len, struct err *e);
int frame_write(struct buf *b, enum guest_frame type, const void *payload, size_t len, struct err *e);
