/* The helper's side of the socket (serve/ask.h): requests in, answers out, one after another, blocking. */
#pragma once

#include <stddef.h>

#include "base/buf.h"

struct err;
struct out;

#define SERVE_E_CLOSED 1 /* the client closed between two lists */

/* One field list of at most max bytes, its length word included in *ret. ERR_PROTOCOL: it is longer, or it
 * ended early. */
int serve_read(int fd, size_t max, struct buf *ret, struct err *e);

/* What an answer's fields are built in: begun with status=ok, ended and sent by answer_send(). */
struct answer {
        struct buf buf;
        size_t mark;
};
int answer_begin(struct answer *a, struct err *e);
int answer_send(struct answer *a, struct out *o, struct err *e);
void answer_done(struct answer *a);
/* status=error with code and message. */
int answer_failure(struct out *o, const struct err *failure, struct err *e);
/* After a stream that went well (r 0) or not: the chunk that ends it. The result is r; negative, and not ERR_CANCELLED:
 * what failed is to be told as the last list. */
int answer_end_stream(struct out *o, int r, struct err *e);
/* The first list of a connection. */
int answer_greet(struct out *o, unsigned protocol, struct err *e);
