/* The life of a step's main process; the states are in exec.h. */
#include "guest/exec.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/cgroup.h"
#include "guest/child.h"
#include "guest/guest.h"
#include "guest/network.h"
#include "guest/ops.h"
#include "guest/reap.h"
#include "loop/loop.h"
#include "wire/door.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct exec *exec_free(struct exec *x)
{
        if (x->pid)
                reaper_forget(x->g->reaper, x->pid);
        exec_io_done(x);
        loop_io_free(x->report_io);
        loop_timer_free(x->timer);
        fd_close(x->report);
        fd_close(x->terminal);
        fd_close(x->group);
        list_remove(&x->list);
        free(x);
        return NULL;
}

/* Is a step of this name being executed? Its group would be killed by the one that ends first. */
static bool is_live(const struct guest *g, const char *step)
{
        list_for (pos, &g->execs) {
                const struct exec *x = list_entry(pos, struct exec, list);
                if (x->state != EXEC_SINK && strcmp(x->step, step) == 0)
                        return true;
        }
        return false;
}

static int send_exit(struct exec *x, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        size_t mark;
        bool exited = x->exit_code >= 0;
        bool oom = cgroup_oom_kills(x->group) > x->oom_before;
        int r = fields_begin(&b, &mark, e);
        r = r < 0 ? r : fields_add(&b, "nonce", x->g->nonce, sizeof(x->g->nonce), e);
        r = r < 0 ? r : fields_add_str(&b, "kind", exited ? "exited" : "signaled", e);
        r = r < 0 ? r : fields_add_u64(&b, "code", (uint64_t)(exited ? x->exit_code : x->term_signal), e);
        r = r < 0 ? r : fields_add_str(&b, "oom", oom ? "1" : "0", e);
        r = r < 0 ? r : fields_end(&b, mark, e);
        return r < 0 ? r : door_frame(x->s, GUEST_FRAME_EXIT, b.data, b.len, e);
}

/* EXIT is out, or nobody wants it. What survives on purpose keeps its pipes. */
static int finish(struct exec *x, struct err *e)
{
        if (x->s) {
                int r = send_exit(x, e);
                if (r == DOOR_E_FULL)
                        return 0; /* `writable` brings us back here */
                struct door_stream *s = x->s;
                r = r < 0 ? r : door_close(s, e);
                if (r < 0)
                        return r;
        }
        x->state = EXEC_SINK;
        loop_timer_off(x->timer);
        x->terminal = fd_close(x->terminal);
        if (!x->keep) {
                exec_pipe_close(&x->out);
                exec_pipe_close(&x->err);
                cgroup_step_remove(x->step);
        }
        if (!x->s && exec_output_ended(x))
                exec_free(x);
        return 0;
}

static bool is_blocked(const struct exec *x)
{
        return x->s && ((x->out.fd >= 0 && x->out.blocked) || (x->err.fd >= 0 && x->err.blocked));
}

static bool is_drained(const struct exec *x)
{
        return (x->out.fd < 0 || x->out.empty) && (x->err.fd < 0 || x->err.empty);
}

/* May the step end, with its group empty (or kept) and its pipes pumped? What was written before the end is always
 * taken; what an escaped process goes on writing only for a time. The time does not count while the host is the slow
 * one. */
static int end_when_drained(struct exec *x, struct err *e)
{
        uint64_t now = clock_mono_ms();
        if (is_blocked(x)) {
                x->drain_deadline = 0;
                return 0; /* `writable` brings us back */
        }
        if (!x->drain_deadline)
                x->drain_deadline = now + EXEC_DRAIN_MS;
        if (exec_output_ended(x) || now >= x->drain_deadline || (x->keep && is_drained(x)))
                return finish(x, e);
        loop_timer_at(x->timer, is_drained(x) ? x->drain_deadline : now);
        return 0;
}

/* ENDING: kill what is left of the group, take what output there is, and finish when nothing more can come. */
static int end_step(struct exec *x, struct err *e)
{
        struct exec_pipe *pipes[] = {&x->out, &x->err};
        for (size_t i = 0; i < ARRAY_SIZE(pipes); i++) {
                int r = pipes[i]->fd < 0 ? 0 : exec_output(pipes[i], e);
                if (r < 0)
                        return r;
        }
        if (x->keep || !cgroup_is_populated(x->group))
                return end_when_drained(x, e);
        loop_timer_in(x->timer, EXEC_KILL_MS);
        return cgroup_kill(x->group, e);
}

int exec_output_progress(struct exec *x, struct err *e)
{
        if (!exec_output_ended(x))
                return 0;
        if (x->state == EXEC_ENDING)
                return end_step(x, e);
        if (x->state == EXEC_SINK && !x->s)
                exec_free(x);
        return 0;
}

static int on_timer(struct loop_timer *t, void *user, struct err *e)
{
        struct exec *x = user;
        struct guest *g = x->g;
        (void)t;
        int r = x->state == EXEC_ENDING ? end_step(x, e) : 0;
        return r < 0 ? r : guest_flush(g, e);
}

static int begin_end(struct exec *x, struct err *e)
{
        x->state = EXEC_ENDING;
        return end_step(x, e);
}

static int on_main_exit(int exit_code, int term_signal, void *user, struct err *e)
{
        struct exec *x = user;
        struct guest *g = x->g;
        x->pid = 0;
        x->exit_code = exit_code;
        x->term_signal = term_signal;
        /* While STARTING the report decides what comes next. */
        int r = x->state == EXEC_RUNNING ? begin_end(x, e) : 0;
        return r < 0 ? r : guest_flush(g, e);
}

static int on_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        (void)s;
        return exec_input(user, data, len, e);
}

static int on_eof(struct door_stream *s, void *user, struct err *e)
{
        (void)s;
        (void)user;
        (void)e;
        return 0; /* no more frames; input ends with STDIN_EOF only */
}

static int on_writable(struct door_stream *s, void *user, struct err *e)
{
        struct exec *x = user;
        (void)s;
        int r = exec_output_resume(x, e);
        return r < 0 || x->state != EXEC_ENDING ? r : end_step(x, e);
}

/* The stream is over: the opener took EXIT, or gave the step up. */
static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct exec *x = user;
        (void)s;
        (void)why;
        (void)refusal;
        x->s = NULL;
        if (x->state == EXEC_SINK && exec_output_ended(x)) {
                exec_free(x);
                return;
        }
        if (x->state == EXEC_SINK)
                return;
        x->keep = false;
        if (cgroup_kill(x->group, NULL) == 0 && x->state != EXEC_STARTING)
                begin_end(x, NULL);
}

static const struct door_handler handler = {
        .data = on_data,
        .eof = on_eof,
        .writable = on_writable,
        .end = on_end,
};

static int answer_started(struct exec *x, struct err *e)
{
        x->state = EXEC_RUNNING;
        int r = x->s ? door_answer(x->s, NULL, e) : 0;
        r = r < 0 ? r : exec_io_start(x, e);
        if (r < 0)
                return r;
        return x->pid && x->s ? 0 : begin_end(x, e);
}

static int answer_failed(struct exec *x, const struct report *why, struct err *e)
{
        int r = x->s ? door_refuse(x->s, why->code, why->message, e) : 0;
        cgroup_step_remove(x->step);
        exec_free(x);
        return r;
}

/* The child said why it failed, or became the program. */
static int on_report(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct exec *x = user;
        struct guest *g = x->g;
        struct report why;
        (void)io;
        (void)events;
        ssize_t n = read(fd, &why, sizeof(why));
        if (n < 0)
                return 0;
        x->report_io = loop_io_free(x->report_io);
        x->report = fd_close(x->report);
        why.code[sizeof(why.code) - 1] = why.message[sizeof(why.message) - 1] = 0;
        int r = n == (ssize_t)sizeof(why) ? answer_failed(x, &why, e) : answer_started(x, e);
        return r < 0 ? r : guest_flush(g, e);
}

static int make_pipe(int *ret_ours, int *ret_theirs, bool we_read, struct err *e)
{
        int ends[2];
        int r = fd_pipe(ends, e);
        if (r < 0)
                return r;
        *ret_ours = ends[we_read ? 0 : 1];
        *ret_theirs = ends[we_read ? 1 : 0];
        fcntl(ends[0], F_SETPIPE_SZ, EXEC_PIPE_SIZE); /* smaller is slower, not wrong */
        return fd_set_nonblock(*ret_ours, true, e);
}

static int open_pipes(struct exec *x, const struct exec_request *q, struct exec_stdio *io, struct err *e)
{
        int r = make_pipe(&x->out.fd, &io->out, true, e);
        r = r < 0 ? r : make_pipe(&x->err.fd, &io->err, true, e);
        if (r == 0 && q->has_stdin)
                r = make_pipe(&x->in, &io->in, false, e);
        else if (r == 0)
                io->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return r == 0 && io->in < 0 ? err_errno(e, ERR_RESOURCES, errno, "open /dev/null") : r;
}

static int open_terminal(struct exec *x, const struct exec_request *q, struct exec_stdio *io, struct err *e)
{
        struct winsize size = {.ws_row = q->rows, .ws_col = q->columns};
        int unlock = 0;
        x->out.fd = openat(x->g->job.pts, "ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (x->out.fd < 0 || ioctl(x->out.fd, TIOCSPTLCK, &unlock) < 0 || ioctl(x->out.fd, TIOCSWINSZ, &size) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open a terminal");
        io->in = ioctl(x->out.fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        x->in = fcntl(x->out.fd, F_DUPFD_CLOEXEC, 3);
        x->terminal = fcntl(x->out.fd, F_DUPFD_CLOEXEC, 3);
        if (io->in < 0 || x->in < 0 || x->terminal < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open a terminal");
        io->out = fcntl(io->in, F_DUPFD_CLOEXEC, 3);
        io->err = fcntl(io->in, F_DUPFD_CLOEXEC, 3);
        return io->out < 0 || io->err < 0 ? err_errno(e, ERR_RESOURCES, errno, "open a terminal") : 0;
}

static void stdio_done(struct exec_stdio *io)
{
        fd_close(io->in);
        fd_close(io->out);
        fd_close(io->err);
        fd_close(io->report);
}

static int start(struct exec *x, const struct exec_request *q, struct err *e)
{
        AUTO(stdio_done) struct exec_stdio io = {-1, -1, -1, -1};
        int r = cgroup_step_open(q->step, &x->group, e);
        r = r < 0 ? r : q->pty ? open_terminal(x, q, &io, e) : open_pipes(x, q, &io, e);
        r = r < 0 ? r : make_pipe(&x->report, &io.report, true, e);
        r = r < 0 ? r : frame_reader_new(GUEST_MAX_FRAME_DATA, &x->frames, e);
        r = r < 0 ? r : loop_timer_new(x->g->loop, on_timer, x, &x->timer, e);
        r = r < 0 ? r : loop_io_new(x->g->loop, x->report, LOOP_READ, on_report, x, &x->report_io, e);
        if (r < 0)
                return r;
        x->oom_before = cgroup_oom_kills(x->group);
        r = exec_child_start(q, &x->g->job, x->group, &io, &x->pid, e);
        return r < 0 ? r : reaper_watch(x->g->reaper, x->pid, on_main_exit, x, e);
}

static int exec_new(struct guest *g, struct door_stream *s, const struct exec_request *q, struct err *e)
{
        struct err why = ERR_INIT;
        struct exec *x = calloc(1, sizeof(*x));
        if (!x)
                return err_nomem(e);
        *x = (struct exec){.g = g,
                           .s = s,
                           .keep = q->keep,
                           .pty = q->pty,
                           .group = -1,
                           .report = -1,
                           .terminal = -1,
                           .in = -1,
                           .out.fd = -1,
                           .err.fd = -1};
        str_copy(x->step, sizeof(x->step), q->step);
        list_append(&g->execs, &x->list);
        if (start(x, q, &why) < 0) {
                x->s = NULL;
                exec_free(x);
                return door_refuse(s, "resources", why.msg, e);
        }
        door_accept(s, &handler, x);
        if (q->pty)
                door_set_urgent(s);
        return 0;
}

static int request(struct guest *g, struct door_stream *s, const struct fields *header, bool pty, struct err *e)
{
        AUTO(exec_request_done) struct exec_request q = {0};
        struct err why = ERR_INIT;
        if (exec_request_parse(header, pty, &q, &why) < 0)
                return op_refuse_invalid(s, &why, e);
        if (is_live(g, q.step))
                return door_refuse(s, "busy", "a process of this step is running", e);
        int r = network_wait(g->network, e);
        return r < 0 ? r : exec_new(g, s, &q, e);
}

int op_exec(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return request(g, s, header, false, e);
}

int op_pty(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return request(g, s, header, true, e);
}
