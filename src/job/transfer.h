/* A tar stream of devdep-source on its way into a folder of the guest: it goes unread through the door, as fast as the
 * slower end takes it, and at most one chunk is held in between. One at a time for each of both ends. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct job;
struct op;
struct source;
struct source_stream;
struct source_totals;

struct transfer_fns {
        /* Ask the source for the stream; `stream` is its user. */
        int (*request)(struct source *s, const struct source_stream *fns, void *stream, void *user, struct err *e);
        /* The stream was whole; what it says of itself is valid during the call. The guest may still write. */
        int (*streamed)(const struct source_totals *t, void *user, struct err *e);
        /* Once, last: both ends are at their end. failure NULL: the folder holds all of it; else it is to be thrown
         * away, and why. The transfer may be started again in it. */
        int (*done)(const struct err *failure, void *user, struct err *e);
};

/* Embedded by who needs one; it must live until `done` was called or the operations of the guest are freed. */
struct transfer {
        struct job *job;
        const struct transfer_fns *fns;
        void *user;
        struct op *put;
        struct buf held; /* of the stream, not yet taken by the guest */
        bool stream_done;
        unsigned waiting; /* ends that are not at their end */
        struct err failure;
};
#define TRANSFER_INIT                                                                                                  \
        {                                                                                                              \
                .held = BUF_INIT                                                                                       \
        }

/* target: a folder in the guest, made where it is not there; wipe: and emptied. */
int transfer_start(struct transfer *t, struct job *j, const char *target, bool wipe, const struct transfer_fns *fns,
                   void *user, struct err *e);
void transfer_done(struct transfer *t);
