#include "cli/shell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "loop/loop.h"
#include "wire/guest.h"

#define MAX_ANSWER 4096u
#define MAX_QUEUE ((size_t)1 << 20) /* typed and not yet sent; past it the terminal is not read */

struct shell {
        struct loop *loop;
        int fd;
        struct loop_io *input, *peer;
        struct loop_signal *resize;
        struct frame_reader *reader;
        struct termios saved;
        int is_raw;
        int answered; /* the answer line was read */
        struct buf answer, queue;
        shell_end_fn *fn;
        void *user;
};

struct shell *shell_free(struct shell *s)
{
        if (!s)
                return NULL;
        if (s->is_raw)
                tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->saved);
        loop_io_free(s->input);
        loop_io_free(s->peer);
        loop_signal_free(s->resize);
        frame_reader_free(s->reader);
        buf_done(&s->answer);
        buf_done(&s->queue);
        fd_close(s->fd);
        free(s);
        return NULL;
}
CLEANUP_DEFINE(struct shell, shell_free)

static int make_raw(struct shell *s, struct err *e)
{
        if (tcgetattr(STDIN_FILENO, &s->saved) < 0)
                return err_errno(e, ERR_USAGE, errno, "--shell-on-failure needs a terminal as standard input");
        struct termios raw = s->saved;
        cfmakeraw(&raw);
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the terminal up");
        s->is_raw = 1;
        return 0;
}

#define SHELL_E_GONE 1 /* the connection ended */

/* Write what the socket takes, and ask for more events while something is left. SHELL_E_GONE. */
static int flush_queue(struct shell *s, struct err *e)
{
        while (s->queue.len > 0) {
                ssize_t n = write(s->fd, s->queue.data, s->queue.len);
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return SHELL_E_GONE;
                buf_consume(&s->queue, (size_t)n);
        }
        int r = loop_io_set(s->peer, LOOP_READ | (s->queue.len > 0 ? LOOP_WRITE : 0), e);
        return r == 0 ? loop_io_set(s->input, s->queue.len < MAX_QUEUE ? LOOP_READ : 0, e) : r;
}

/* The end of a callback: the last thing that touches the shell. */
static int end_if_gone(struct shell *s, int r, struct err *e)
{
        return r == SHELL_E_GONE ? s->fn(s->user, e) : r;
}

static int send_size(struct shell *s, struct err *e)
{
        struct winsize w = {.ws_row = 24, .ws_col = 80};

        ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
        const uint8_t size[4] = {(uint8_t)(w.ws_row >> 8), (uint8_t)w.ws_row, (uint8_t)(w.ws_col >> 8),
                                 (uint8_t)w.ws_col};
        int r = frame_write(&s->queue, GUEST_FRAME_RESIZE, size, sizeof(size), e);
        return r == 0 ? flush_queue(s, e) : r;
}

static int on_resize(int signo, void *user, struct err *e)
{
        (void)signo;
        return end_if_gone(user, send_size(user, e), e);
}

static int on_typed(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct shell *s = user;
        char typed[4096];

        (void)io;
        (void)events;
        ssize_t n = read(fd, typed, sizeof(typed));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n <= 0)
                return s->fn(s->user, e);
        int r = frame_write(&s->queue, GUEST_FRAME_STDIN, typed, (size_t)n, e);
        return end_if_gone(s, r == 0 ? flush_queue(s, e) : r, e);
}

/* Frames of the guest's terminal. *ended: the shell ended, or it broke the format. */
static int take_frames(struct shell *s, const uint8_t *data, size_t len, int *ended, struct err *e)
{
        while (len > 0 && !*ended) {
                enum guest_frame type;
                const uint8_t *payload;
                size_t used, n;
                bool complete;

                if (frame_reader_feed(s->reader, data, len, &used, &complete, &type, &payload, &n, NULL) < 0) {
                        *ended = 1;
                        return 0;
                }
                data += used;
                len -= used;
                if (complete && type == GUEST_FRAME_STDOUT &&
                    fd_write_all(STDOUT_FILENO, payload, n, "the terminal", e) < 0)
                        return -1;
                *ended = *ended || (complete && type == GUEST_FRAME_EXIT);
        }
        return 0;
}

/* The answer line comes first; what stands behind it are frames. */
static int take_bytes(struct shell *s, const uint8_t *data, size_t len, int *ended, struct err *e)
{
        if (s->answered)
                return take_frames(s, data, len, ended, e);
        const uint8_t *newline = memchr(data, '\n', len);
        size_t n = newline ? (size_t)(newline - data) : len;

        if (buf_append(&s->answer, data, n, NULL) < 0 || s->answer.len > MAX_ANSWER) {
                *ended = 1;
                return 0;
        }
        if (!newline)
                return 0;
        s->answered = 1;
        const char *answer = buf_cstr(&s->answer);
        if (!answer || !strstr(answer, "\"ok\":true")) {
                *ended = 1;
                return 0;
        }
        return take_frames(s, newline + 1, len - n - 1, ended, e);
}

static int on_peer(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct shell *s = user;
        uint8_t data[16384];
        int ended = 0, r;

        (void)io;
        if (events & LOOP_WRITE)
                return end_if_gone(s, flush_queue(s, e), e);
        ssize_t n = read(fd, data, sizeof(data));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return s->fn(s->user, e);
        r = take_bytes(s, data, (size_t)n, &ended, e);
        return r == 0 && ended ? s->fn(s->user, e) : r;
}

static int ask_for_terminal(struct shell *s, struct err *e)
{
        struct winsize w = {.ws_row = 24, .ws_col = 80};

        ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
        int r = buf_printf(&s->queue, e, "{\"op\":\"pty\",\"rows\":%u,\"columns\":%u}\n", w.ws_row ? w.ws_row : 24u,
                           w.ws_col ? w.ws_col : 80u);
        return r == 0 ? flush_queue(s, e) : r;
}

int shell_start(struct loop *l, int fd, shell_end_fn *fn, void *user, struct shell **ret, struct err *e)
{
        AUTO(auto_close) int owned = fd;
        AUTO(shell_freep) struct shell *s = calloc(1, sizeof(*s));

        if (!s)
                return err_nomem(e);
        s->loop = l;
        s->fd = TAKE_FD(owned);
        s->fn = fn;
        s->user = user;
        int r = fd_set_nonblock(s->fd, true, e);
        if (r == 0)
                r = frame_reader_new(GUEST_MAX_FRAME_DATA, &s->reader, e);
        if (r == 0)
                r = make_raw(s, e);
        if (r == 0)
                r = loop_io_new(l, STDIN_FILENO, LOOP_READ, on_typed, s, &s->input, e);
        if (r == 0)
                r = loop_io_new(l, s->fd, LOOP_READ, on_peer, s, &s->peer, e);
        if (r == 0)
                r = loop_signal_new(l, SIGWINCH, on_resize, s, &s->resize, e);
        if (r == 0)
                r = ask_for_terminal(s, e);
        if (r == SHELL_E_GONE)
                r = err_set(e, ERR_GUEST_LOST, "devdep-job went away before the shell began");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
