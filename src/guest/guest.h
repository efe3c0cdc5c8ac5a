/* The agent: what its operations share. Process 1 does nothing that can block on the job's files: that is for child
 * processes (exec_child, worker), so that it answers whatever the job does. */
#pragma once

#include "base/list.h"
#include "guest/jobroot.h"
#include "guest/scratch.h"
#include "wire/door.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct network;
struct loop_io;
struct reaper;
struct err;

#define GUEST_IMAGE "/image"
#define GUEST_SCRATCH "/scratch"
#define GUEST_SEND_QUEUE (256u * 1024u) /* bytes of one stream waiting for the wire */
#define GUEST_MAX_STREAMS 256u

struct guest {
        struct loop *loop;
        struct reaper *reaper;
        struct door *door;
        int channel;
        struct loop_io *channel_io;
        bool busy;   /* inside door_input() or door_output_done() */
        bool parked; /* the machine was left to whoever claims it: nothing but `seed` until that came */
        struct scratch scratch;
        struct jobroot job;
        uint8_t nonce[GUEST_NONCE_SIZE]; /* of the last seed */
        struct network *network;         /* from the first seed on */
        struct list execs;               /* struct exec */
};

/* Send what the door has, as far as the channel takes it. Every callback of the loop that may have written ends with
 * it. */
int guest_flush(struct guest *g, struct err *e);
/* From the ready record to the end of the machine: returns only with an error. */
int guest_run(struct guest *g, struct err *e);
