/* The bytes of a running step: its output into frames, frames into its input.
 *
 * Output is read into whole frames. After a read that did not fill one, the pipe rests for EXEC_BATCH_MS: a program
 * that writes a hundred bytes at a time then fills the pipe while the agent sleeps, and pays for one wake-up instead of
 * hundreds; the first bytes after a silence are sent at once. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/secret.h"
#include "guest/cgroup.h"
#include "guest/exec.h"
#include "guest/guest.h"
#include "loop/loop.h"
#include "wire/door.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint8_t frame[GUEST_MAX_FRAME_DATA];

void exec_pipe_close(struct exec_pipe *p)
{
        p->io = loop_io_free(p->io);
        p->batch = loop_timer_free(p->batch);
        p->fd = fd_close(p->fd);
}

bool exec_output_ended(const struct exec *x)
{
        return x->out.fd < 0 && x->err.fd < 0;
}

/* Who gets the output: nobody after EXIT. */
static struct door_stream *listener(const struct exec_pipe *p)
{
        return p->x->state == EXEC_SINK ? NULL : p->x->s;
}

/* Room for a whole frame; if not, the stream says when. Without a listener there is always room. */
static int has_room(struct exec_pipe *p, bool *ret, struct err *e)
{
        struct door_stream *s = listener(p);
        *ret = !s || door_write_space(s) >= GUEST_FRAME_HEADER + GUEST_MAX_FRAME_DATA;
        p->blocked = !*ret;
        if (*ret)
                return 0;
        int r = door_frame(s, p->type, frame, sizeof(frame), e); /* DOOR_E_FULL: asks for `writable` */
        return r < 0 ? r : loop_io_set(p->io, 0, e);
}

static int rest(struct exec_pipe *p, struct err *e)
{
        loop_timer_in(p->batch, EXEC_BATCH_MS);
        return loop_io_set(p->io, 0, e);
}

int exec_output(struct exec_pipe *p, struct err *e)
{
        for (unsigned i = 0; i < EXEC_FRAMES_PER_TURN && p->fd >= 0; i++) {
                bool room;
                int r = has_room(p, &room, e);
                if (r < 0 || !room)
                        return r;
                ssize_t n = read(p->fd, frame, sizeof(frame));
                p->empty = n < 0 && (errno == EAGAIN || errno == EINTR);
                if (p->empty)
                        return loop_io_set(p->io, LOOP_READ, e);
                if (n <= 0) { /* a terminal whose last holder closed it gives EIO */
                        exec_pipe_close(p);
                        return 0;
                }
                if (listener(p))
                        r = door_frame(listener(p), p->type, frame, (size_t)n, e);
                secret_wipe(frame, (size_t)n);
                if (r < 0)
                        return r;
                if (n < (ssize_t)sizeof(frame) && p->x->state == EXEC_RUNNING)
                        return rest(p, e);
        }
        return p->fd < 0 ? 0 : loop_io_set(p->io, LOOP_READ, e);
}

static int on_output(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct exec_pipe *p = user;
        struct exec *x = p->x;
        struct guest *g = x->g;
        (void)io;
        (void)fd;
        (void)events;
        int r = exec_output(p, e);
        r = r < 0 ? r : exec_output_progress(x, e);
        return r < 0 ? r : guest_flush(g, e);
}

static int on_batch(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        return on_output(NULL, -1, 0, user, e);
}

int exec_output_resume(struct exec *x, struct err *e)
{
        struct exec_pipe *pipes[] = {&x->out, &x->err};
        for (size_t i = 0; i < ARRAY_SIZE(pipes); i++) {
                if (pipes[i]->fd < 0 || !pipes[i]->blocked)
                        continue;
                int r = exec_output(pipes[i], e);
                if (r < 0)
                        return r;
        }
        return exec_output_progress(x, e);
}

static void close_input(struct exec *x)
{
        x->in_io = loop_io_free(x->in_io);
        x->in = fd_close(x->in);
        if (x->s && x->in_queue.len)
                door_consumed(x->s, x->in_queue.len);
        buf_wipe(&x->in_queue);
}

static int write_input(struct exec *x, struct err *e)
{
        while (x->in >= 0 && x->in_queue.len) {
                ssize_t n = write(x->in, x->in_queue.data, x->in_queue.len);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                if (n < 0) { /* nobody reads any more: what comes is thrown away */
                        close_input(x);
                        return 0;
                }
                if (x->s)
                        door_consumed(x->s, (size_t)n);
                buf_consume(&x->in_queue, (size_t)n);
        }
        if (x->in >= 0 && x->in_end && !x->pty && !x->in_queue.len)
                close_input(x);
        return x->in < 0 ? 0 : loop_io_set(x->in_io, x->in_queue.len ? LOOP_WRITE : 0, e);
}

static int on_input(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct exec *x = user;
        struct guest *g = x->g;
        (void)io;
        (void)fd;
        if (!(events & LOOP_WRITE) && (events & LOOP_HANGUP)) {
                close_input(x);
                return guest_flush(g, e);
        }
        int r = write_input(x, e);
        return r < 0 ? r : guest_flush(g, e);
}

static int violation(struct err *e)
{
        return err_set(e, ERR_PROTOCOL, "a frame that the host may not send here");
}

static int input_bytes(struct exec *x, const uint8_t *data, size_t len, struct err *e)
{
        if (x->in_end)
                return violation(e);
        if (x->in < 0) {
                if (len)
                        door_consumed(x->s, len);
                return 0;
        }
        return buf_append(&x->in_queue, data, len, e);
}

static int input_end(struct exec *x, struct err *e)
{
        /* A terminal has no end of file of its own; its line discipline takes this for one. */
        const uint8_t end_of_transmission = 4;
        x->in_end = true;
        return !x->pty || x->in < 0 ? 0 : buf_append(&x->in_queue, &end_of_transmission, 1, e);
}

static int resize(struct exec *x, const uint8_t *payload, struct err *e)
{
        struct winsize size = {.ws_row = num_be16(payload), .ws_col = num_be16(payload + 2)};
        if (!x->pty || !size.ws_row || !size.ws_col)
                return violation(e);
        if (x->terminal >= 0)
                ioctl(x->terminal, TIOCSWINSZ, &size);
        return 0;
}

/* docs/protocol-guest.md, section 8. */
static int take_frame(struct exec *x, enum guest_frame type, const uint8_t *payload, size_t len, struct err *e)
{
        if (type == GUEST_FRAME_STDIN)
                return input_bytes(x, payload, len, e);
        if (len)
                door_consumed(x->s, len);
        if (type == GUEST_FRAME_STDIN_EOF && len == 0)
                return input_end(x, e);
        if (type == GUEST_FRAME_RESIZE && len == 4)
                return resize(x, payload, e);
        if (type == GUEST_FRAME_SIGNAL && len == 1 && payload[0] >= 1 && payload[0] <= 64)
                return x->state == EXEC_SINK ? 0 : cgroup_signal(x->group, payload[0], e);
        return violation(e);
}

int exec_input(struct exec *x, const uint8_t *data, size_t len, struct err *e)
{
        while (len) {
                size_t used, payload_len = 0;
                bool complete;
                enum guest_frame type;
                const uint8_t *payload;
                int r = frame_reader_feed(x->frames, data, len, &used, &complete, &type, &payload, &payload_len, e);
                if (r < 0)
                        return r;
                data += used;
                len -= used;
                if (!complete)
                        continue;
                /* The byte that stands for the end of a terminal's input is paid for when it was written. */
                bool queues_byte = type == GUEST_FRAME_STDIN_EOF && x->pty && x->in >= 0;
                door_consumed(x->s, GUEST_FRAME_HEADER - queues_byte);
                r = take_frame(x, type, payload, payload_len, e);
                if (r < 0)
                        return r;
        }
        return x->state == EXEC_STARTING ? 0 : write_input(x, e);
}

static int start_pipe(struct exec *x, struct exec_pipe *p, enum guest_frame type, struct err *e)
{
        p->x = x;
        p->type = type;
        if (p->fd < 0)
                return 0;
        int r = loop_timer_new(x->g->loop, on_batch, p, &p->batch, e);
        return r < 0 ? r : loop_io_new(x->g->loop, p->fd, LOOP_READ, on_output, p, &p->io, e);
}

int exec_io_start(struct exec *x, struct err *e)
{
        int r = start_pipe(x, &x->out, GUEST_FRAME_STDOUT, e);
        r = r < 0 ? r : start_pipe(x, &x->err, GUEST_FRAME_STDERR, e);
        if (r == 0 && x->in >= 0)
                r = loop_io_new(x->g->loop, x->in, 0, on_input, x, &x->in_io, e);
        return r < 0 ? r : write_input(x, e);
}

void exec_io_done(struct exec *x)
{
        exec_pipe_close(&x->out);
        exec_pipe_close(&x->err);
        close_input(x);
        x->frames = frame_reader_free(x->frames);
}
