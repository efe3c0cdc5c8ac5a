/* Bytes between a stream and a descriptor, both ways, with half-closes: `dial`, and every operation that a worker does.
 *
 * With a worker (pid not 0) the descriptor first brings a struct report, which becomes the answer of the request; the
 * end of the worker decides how its stream ends: status 0 a half-close, anything else a reset. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct buf;
struct door_stream;
struct err;
struct guest;

/* Accept the request and take over fd, a non-blocking stream socket (also on failure). Without a worker (0) the socket
 * is connecting: its outcome becomes the answer. */
int relay_start(struct guest *g, struct door_stream *s, int fd, pid_t worker, struct err *e);

/* Open a stream with this header for a connected, non-blocking socket, which is taken over. Its bytes go at once,
 * behind the header. When the host refuses the request or resets the stream, so is the socket, and `ended` is told
 * lost, while the socket is still there; it is called once in every case. */
typedef int relay_ended_fn(bool lost, void *user, struct err *e);
int relay_connect(struct guest *g, const struct buf *header, int fd, relay_ended_fn *ended, void *user, struct err *e);
/* Close a socket so that its peer gets a reset. */
void relay_cut(int fd);
