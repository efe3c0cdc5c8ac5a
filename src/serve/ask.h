/* Asking a helper process over a socket: the client's side of the protocols of devdep-source and devdep-store.
 *
 * One connected stream socket, one request at a time (a second one while one runs is a bug: assert). A request and each
 * answer are field lists (wire/guest.h); a stream of bytes is cut into chunks, each a u32 length and as many bytes, and
 * ended by an empty one, behind which stands another list. The peer greets with a list.
 *
 *   GREETING -> IDLE -> LIST -> IDLE                       a question
 *                       LIST -> CHUNKS -> LIST -> IDLE     the peer streams
 *                       LIST -> LIST -> IDLE               we stream between the two; a failure may come early
 *
 * Everything is asynchronous on the loop; a callback may free the ask. A request that is made before the greeting came
 * waits in the socket. The peer is trusted more than the caller, so a broken answer is ERR_PROTOCOL and ends the
 * connection, nothing more. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ask;
struct buf;
struct err;
struct fields;
struct loop;

#define ASK_E_BROKEN 1 /* a list was not what the protocol says: *broken tells how */

struct ask_fns {
        /* A list with status=ok. It calls ask_expect() when the request goes on, else ask_end() before it tells the
         * request's owner, who may begin the next one. f is valid during the call. */
        int (*list)(struct ask *a, const struct fields *f, struct err *broken, void *user, struct err *e);
        /* Bytes of the peer's stream. May be NULL where no request has one. */
        int (*data)(struct ask *a, const uint8_t *data, size_t len, void *user, struct err *e);
        /* The request has failed and is over; the code is ERR_USAGE, ERR_RESOURCES or ERR_PROTOCOL. */
        int (*failed)(struct ask *a, const struct err *why, void *user, struct err *e);
        /* What was too much has gone out. May be NULL where we never stream. */
        int (*drained)(struct ask *a, void *user, struct err *e);
};

/* peer names the helper in messages; fd is taken over on success. */
int ask_new(struct loop *l, int fd, const char *peer, const struct ask_fns *fns, void *user, struct ask **ret,
            struct err *e);
struct ask *ask_free(struct ask *a); /* always NULL; ends a running request */

/* A request: begin, add fields to the buffer that is given, send. What is known to fail is told from the loop, never
 * from inside ask_send(). */
int ask_begin(struct ask *a, const char *op, struct buf **ret, struct err *e);
int ask_send(struct ask *a, struct err *e);

enum ask_next { ASK_LIST, ASK_CHUNKS };
void ask_expect(struct ask *a, enum ask_next next);
void ask_end(struct ask *a);

/* The peer's stream: no reading from the socket, so that the other side stops as well. */
void ask_pause(struct ask *a);
void ask_resume(struct ask *a);

/* Our stream, after the answer to the request: bytes, then the end; `whole` false: throw it away. All are taken. */
int ask_stream(struct ask *a, const void *data, size_t len, struct err *e);
int ask_stream_end(struct ask *a, bool whole, struct err *e);
bool ask_is_full(const struct ask *a); /* more than SERVE_MAX_UNSENT wait: stop giving until `drained` */

/* The i-th field as text, when it has that key. The text is owned by `keep`. */
struct strv;
bool ask_text_at(const struct fields *f, size_t i, const char *key, const char **ret, struct strv *keep);
