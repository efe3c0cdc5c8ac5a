/* A running step: one process of the job with its streams, from the request to EXIT. Used by exec.c and exec_io.c.
 *
 *   STARTING   forked; waiting whether the program could be executed. The request is not answered yet
 *   RUNNING    answered; bytes flow
 *   ENDING     the main process ended (or the opener gave up): its group is being killed, output drained
 *   SINK       EXIT was sent or nobody listens; survivors=keep: output of what survives is thrown away, or it would die
 * of SIGPIPE
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "guest/exec_child.h"
#include "wire/guest.h"

#include <stdbool.h>
#include <stdint.h>

struct door_stream;
struct guest;
struct loop_io;
struct loop_timer;
struct err;

#define EXEC_BATCH_MS 5          /* a small write waits at most this long for more */
#define EXEC_PIPE_SIZE (1 << 20) /* of a pipe between a step and the agent */
#define EXEC_DRAIN_MS 2000       /* for the end of output once the main process ended and its group is empty */
#define EXEC_KILL_MS 20          /* between looks at a group that is being killed */
#define EXEC_FRAMES_PER_TURN 16  /* of one pipe; then other events have their turn */

struct exec;

/* One direction of output. */
struct exec_pipe {
        struct exec *x;
        int fd; /* -1: ended */
        struct loop_io *io;
        struct loop_timer *batch;
        enum guest_frame type;
        bool blocked; /* the stream takes no more now */
        bool empty;   /* the last read found nothing */
};

enum exec_state { EXEC_STARTING, EXEC_RUNNING, EXEC_ENDING, EXEC_SINK };

struct exec {
        struct list list;
        struct guest *g;
        struct door_stream *s; /* NULL: the opener is gone */
        enum exec_state state;
        char step[33];
        int group;
        uint64_t oom_before;
        bool keep, pty;
        pid_t pid; /* 0: it ended */
        int exit_code, term_signal;
        int terminal; /* pty: its master; the last descriptor to close, or the kernel sends SIGHUP to a leader that is
                         just ending */
        int report;
        struct loop_io *report_io;
        struct exec_pipe out, err;
        int in; /* -1: closed or none */
        struct loop_io *in_io;
        struct buf in_queue; /* at most a window */
        bool in_end;         /* STDIN_EOF came */
        struct frame_reader *frames;
        struct loop_timer *timer; /* ENDING: look at the group again */
        uint64_t drain_deadline;  /* ENDING: 0 until the group is empty */
};

/* exec_io.c */
int exec_io_start(struct exec *x, struct err *e); /* begin to move bytes */
void exec_io_done(struct exec *x);
int exec_output(struct exec_pipe *p, struct err *e); /* pump what is there; closes at the end of file */
int exec_output_resume(struct exec *x, struct err *e);
void exec_pipe_close(struct exec_pipe *p);
int exec_input(struct exec *x, const uint8_t *data, size_t len, struct err *e); /* bytes of the stream */
bool exec_output_ended(const struct exec *x);
/* exec.c */
int exec_output_progress(struct exec *x, struct err *e); /* a pipe ended or was emptied */
