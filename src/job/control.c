#include "job/control.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "job/context.h"
#include "job/job_priv.h"
#include "job/mask.h"
#include "job/ops.h"
#include "job/secrets.h"
#include "job/spec.h"
#include "loop/loop.h"
#include "wire/door.h"

#define READ_SIZE ((size_t)16 << 10)
#define PTY_QUIET_MS 30u /* after which held bytes of a terminal are shown: they were the end of something typed */
#define MAX_MESSAGE 512u

struct control {
        struct loop *loop;
        int fd;
        struct loop_io *io;
        struct job *job;
        struct list clients;
        unsigned n_clients, n_shells;
};

struct client {
        struct control *control;
        struct list link;
        int fd;
        struct loop_io *io;
        struct loop_timer *timer; /* for the request; later for the quiet of a terminal */
        struct buf in;            /* the request line, then bytes for the guest */
        struct buf out;           /* bytes for the client */
        struct control_request request;
        bool asked;            /* the request was read */
        bool answered, ending; /* ending: close once `out` is written */
        bool input_ended;
        struct door_stream *stream;
        size_t owed; /* bytes of the guest in `out` that were not yet consumed */
        struct frame_reader *frames;
        struct mask_stream *mask;
};

/* ---- requests ---- */

static int parse_fields(const json_t *root, struct control_request *ret, struct err *e)
{
        static const char *const plain[] = {"op"}, *const pty[] = {"op", "rows", "columns"},
                                 *const dial[] = {"op", "port"};
        int64_t rows = 24, columns = 80, port = 0;
        int r;
        if (ret->op == CONTROL_PTY) {
                r = json_check_keys(root, "", pty, ARRAY_SIZE(pty), e);
                if (r == 0)
                        r = json_opt_int(root, "", "rows", 1, 1000, &rows, e);
                if (r == 0)
                        r = json_opt_int(root, "", "columns", 1, 1000, &columns, e);
        } else if (ret->op == CONTROL_DIAL) {
                r = json_check_keys(root, "", dial, ARRAY_SIZE(dial), e);
                if (r == 0)
                        r = json_get_int(root, "", "port", 1, 65535, &port, e);
        } else {
                r = json_check_keys(root, "", plain, ARRAY_SIZE(plain), e);
        }
        ret->rows = (unsigned)rows;
        ret->columns = (unsigned)columns;
        ret->port = (unsigned)port;
        return r;
}

int control_parse(const void *line, size_t len, struct control_request *ret, struct err *e)
{
        static const char *const names[] = {"cancel", "kill", "release", "rotate", "pty", "dial"};
        json_t *root = NULL;
        const char *op = NULL;
        *ret = (struct control_request){0};
        int r = json_parse(line, len, CONTROL_MAX_REQUEST, "request", &root, e);
        if (r == 0)
                r = json_get_string(root, "", "op", 32, &op, e);
        if (r == 0) {
                size_t i = 0;
                while (i < ARRAY_SIZE(names) && strcmp(names[i], op) != 0)
                        i++;
                ret->op = (enum control_op)i;
                r = i < ARRAY_SIZE(names)
                            ? parse_fields(root, ret, e)
                            : err_set(e, ERR_USAGE, "op: expected cancel, kill, release, rotate, pty or dial");
        }
        json_decref(root);
        return r;
}

/* ---- clients ---- */

static void client_free(struct client *c)
{
        struct session *s = job_session(c->control->job);
        if (c->stream && s && !session_is_over(s)) {
                struct err ignored = ERR_INIT;
                door_reset(c->stream, &ignored);
                session_wake(s);
        }
        list_remove(&c->link);
        c->control->n_clients--;
        if (c->io)
                loop_io_free(c->io);
        if (c->timer)
                loop_timer_free(c->timer);
        frame_reader_free(c->frames);
        mask_stream_free(c->mask);
        buf_wipe(&c->in);
        buf_wipe(&c->out);
        close(c->fd);
        free(c);
}

/* Nothing of a client may end the loop: what goes wrong ends the client, or is the job's end. */
static int fail(struct client *c, const struct err *why)
{
        if (why->code == ERR_RESOURCES || why->code == ERR_PROTOCOL)
                job_fail(c->control->job, why);
        client_free(c);
        return 0;
}

static bool session_is_there(const struct client *c)
{
        struct session *s = job_session(c->control->job);
        return s && !session_is_over(s);
}

/* 1: the client is gone. */
static int client_flush(struct client *c)
{
        struct err e = ERR_INIT;
        while (c->out.len) {
                ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0)
                        return 1;
                buf_consume(&c->out, (size_t)n);
        }
        if (!c->out.len && c->owed && c->stream && session_is_there(c)) {
                door_consumed(c->stream, c->owed);
                session_wake(job_session(c->control->job));
                c->owed = 0;
        }
        if (!c->out.len && c->ending)
                return 1;
        bool read = !c->input_ended && c->in.len < READ_SIZE;
        return loop_io_set(c->io, (read ? LOOP_READ : 0u) | (c->out.len ? LOOP_WRITE : 0u), &e) < 0;
}

static int answer(struct client *c, const char *problem, struct err *e)
{
        c->answered = true;
        if (!problem)
                return buf_append_str(&c->out, "{\"ok\":true}\n", e);
        c->ending = true;
        AUTO(json_decrefp) json_t *o = json_pack("{s:b,s:s}", "ok", 0, "message", problem);
        AUTO(auto_free) char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
        return text ? buf_printf(&c->out, e, "%s\n", text) : err_nomem(e);
}

/* ---- streams: what the guest tells ---- */

static int on_answer(struct door_stream *s, const struct fields *fields, void *user, struct err *e)
{
        struct client *c = user;
        (void)s;
        (void)fields;
        int r = answer(c, NULL, e);
        if (r == 0)
                loop_io_set(c->io, LOOP_READ | LOOP_WRITE, e);
        return r;
}

static int pass_exit(struct client *c, const uint8_t *data, size_t len, struct err *e)
{
        struct fields *f = NULL;
        struct buf b = BUF_INIT;
        const char *kind = NULL;
        uint64_t code = 0;
        size_t mark;
        int r = fields_parse(data, len, &f, e);
        if (r == 0)
                r = fields_str(f, "kind", &kind, e);
        if (r == 0)
                r = fields_u64(f, "code", 255, &code, e);
        if (r == 0)
                r = fields_begin(&b, &mark, e);
        if (r == 0)
                r = fields_add_str(&b, "kind", strcmp(kind, "exited") == 0 ? "exited" : "signaled", e);
        if (r == 0)
                r = fields_add_u64(&b, "code", code, e);
        if (r == 0)
                r = fields_end(&b, mark, e);
        if (r == 0)
                r = frame_write(&c->out, GUEST_FRAME_EXIT, b.data, b.len, e);
        fields_free(f);
        buf_done(&b);
        return r;
}

/* Masked bytes of the terminal, in frames of a size that readers accept. */
static int frame_text(struct client *c, struct buf *text, struct err *e)
{
        int r = 0;
        for (size_t at = 0; r == 0 && at < text->len;) {
                size_t n = MIN(text->len - at, GUEST_MAX_FRAME_DATA);
                r = frame_write(&c->out, GUEST_FRAME_STDOUT, text->data + at, n, e);
                at += n;
        }
        buf_wipe(text);
        return r;
}

static int pass_frame(struct client *c, enum guest_frame type, const uint8_t *data, size_t len, struct err *e)
{
        struct buf text = BUF_INIT;
        int r;
        if (type == GUEST_FRAME_STDOUT || type == GUEST_FRAME_STDERR) {
                r = mask_stream_feed(c->mask, data, len, &text, e);
                loop_timer_in(c->timer, PTY_QUIET_MS);
                return r < 0 ? r : frame_text(c, &text, e);
        }
        if (type != GUEST_FRAME_EXIT)
                return err_set(e, ERR_PROTOCOL, "a terminal in the guest sent a frame that only the host sends");
        r = mask_stream_flush(c->mask, &text, e);
        if (r == 0)
                r = frame_text(c, &text, e);
        return r < 0 ? r : pass_exit(c, data, len, e);
}

static int on_pty_data(struct client *c, const uint8_t *data, size_t len, struct err *e)
{
        while (len) {
                size_t used = 0, payload_len = 0;
                const uint8_t *payload = NULL;
                enum guest_frame type;
                bool complete = false;
                int r = frame_reader_feed(c->frames, data, len, &used, &complete, &type, &payload, &payload_len, e);
                if (r == 0 && complete)
                        r = pass_frame(c, type, payload, payload_len, e);
                if (r < 0)
                        return r;
                data += used;
                len -= used;
        }
        return 0;
}

static int on_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct client *c = user;
        (void)s;
        c->owed += len;
        int r = c->frames ? on_pty_data(c, data, len, e) : buf_append(&c->out, data, len, e);
        return r < 0 ? r : loop_io_set(c->io, (c->input_ended ? 0u : LOOP_READ) | LOOP_WRITE, e);
}

static int on_eof(struct door_stream *s, void *user, struct err *e)
{
        struct client *c = user;
        if (!c->frames && c->input_ended)
                return 0;
        if (c->frames)
                return door_close(s, e);
        return 0;
}

/* Bytes of the client that wait for the guest. */
static int pump(struct client *c, struct err *e)
{
        while (c->stream && c->in.len) {
                size_t n = door_write(c->stream, c->in.data, c->in.len, e);
                if (!n)
                        break;
                buf_consume(&c->in, n);
        }
        if (c->stream && c->input_ended && !c->in.len)
                return door_close(c->stream, e);
        return 0;
}

static int on_writable(struct door_stream *s, void *user, struct err *e)
{
        struct client *c = user;
        (void)s;
        int r = pump(c, e);
        return r < 0 ? r : loop_io_set(c->io, (c->input_ended ? 0u : LOOP_READ) | (c->out.len ? LOOP_WRITE : 0u), e);
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct client *c = user;
        struct err e = ERR_INIT;
        const char *message = "the guest ended it";
        (void)s;
        c->stream = NULL;
        c->ending = true;
        if (refusal)
                fields_str_opt(refusal, "message", message, &message, &e);
        if (!c->answered) {
                char text[MAX_MESSAGE];
                snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1,
                         why == DOOR_RESET ? "the guest gave it up" : message);
                if (answer(c, text, &e) < 0)
                        buf_done(&c->out);
        }
        loop_io_set(c->io, LOOP_READ | LOOP_WRITE, &e);
}

static const struct door_handler stream_handler = {
        .answer = on_answer, .data = on_data, .eof = on_eof, .writable = on_writable, .end = on_end};

/* ---- streams: opening ---- */

static int pty_header(struct client *c, struct buf *b, struct err *e)
{
        struct job *j = c->control->job;
        struct strv env = STRV_INIT;
        char step[32];
        const char *shell = j->programs.bash ? j->programs.bash : j->programs.sh;
        if (!shell)
                return err_set(e, ERR_USAGE, "the image has no shell");
        snprintf(step, sizeof(step), "shell-%u", ++c->control->n_shells);
        int r = fields_add_str(b, "op", "pty", e);
        if (r == 0)
                r = fields_add_str(b, "arg", shell, e);
        if (r == 0)
                r = steps_environment(j, &env, e);
        if (r == 0)
                r = strv_add(&env, "TERM=xterm-256color", e);
        for (size_t i = 0; r == 0 && i < env.n; i++)
                r = fields_add_str(b, "env", env.v[i], e);
        if (r == 0)
                r = fields_add_str(b, "cwd", context_workspace(job_context(j)), e);
        if (r == 0)
                r = fields_add_str(b, "user", OPS_USER, e);
        if (r == 0)
                r = fields_add_str(b, "step", step, e);
        if (r == 0)
                r = fields_add_u64(b, "rows", c->request.rows, e);
        if (r == 0)
                r = fields_add_u64(b, "columns", c->request.columns, e);
        strv_done(&env);
        return r;
}

static int make_header(struct client *c, struct buf *b, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);
        if (r == 0 && c->request.op == CONTROL_PTY) {
                r = pty_header(c, b, e);
        } else if (r == 0) {
                r = fields_add_str(b, "op", "dial", e);
                if (r == 0)
                        r = fields_add_u64(b, "port", c->request.port, e);
        }
        return r < 0 ? r : fields_end(b, mark, e);
}

static int open_stream(struct client *c, struct err *e)
{
        struct session *s = job_session(c->control->job);
        struct buf header = BUF_INIT;
        int r = 0;
        if (!s || session_is_over(s))
                return err_set(e, ERR_USAGE, "the guest is not there");
        if (c->request.op == CONTROL_PTY) {
                r = frame_reader_new(YAMUX_MAX_FRAME, &c->frames, e);
                if (r == 0)
                        r = mask_stream_new(c->control->job->config.masks, &c->mask, e);
        }
        if (r == 0)
                r = make_header(c, &header, e);
        if (r == 0)
                r = door_open(session_door(s), &header, &stream_handler, c, &c->stream, e);
        if (r > 0)
                r = err_set(e, ERR_USAGE, "the guest takes no more operations");
        if (r == 0 && c->request.op == CONTROL_PTY)
                door_set_urgent(c->stream); /* what a person types does not wait for what others have queued */
        buf_wipe(&header);
        session_wake(s);
        return r;
}

/* ---- the connection ---- */

static int act(struct client *c, struct err *e)
{
        struct job *j = c->control->job;
        switch (c->request.op) {
        case CONTROL_CANCEL:
                job_cancel(j);
                return 0;
        case CONTROL_KILL:
                job_kill(j);
                return 0;
        case CONTROL_RELEASE:
                return job_release(j, e);
        case CONTROL_ROTATE:
                return job_rotate(j, e);
        case CONTROL_PTY:
        case CONTROL_DIAL:
                return open_stream(c, e);
        }
        return 0;
}

/* The request line is complete. What follows it belongs to the operation. */
static int take_request(struct client *c, size_t line, struct err *e)
{
        struct err why = ERR_INIT;
        c->asked = true;
        loop_timer_off(c->timer);
        int r = control_parse(c->in.data, line, &c->request, &why);
        buf_consume(&c->in, line + 1);
        if (r == 0)
                r = act(c, &why);
        if (r < 0)
                return answer(c, why.msg, e);
        if (c->stream)
                return pump(c, e);
        c->ending = true;
        return answer(c, NULL, e);
}

static int take_bytes(struct client *c, struct err *e)
{
        if (!c->asked) {
                const uint8_t *nl = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
                if (nl)
                        return take_request(c, (size_t)(nl - c->in.data), e);
                if (c->in.len >= CONTROL_MAX_REQUEST || c->input_ended) {
                        c->asked = true;
                        return answer(c, "expected one line of JSON, at most 4 KiB", e);
                }
                return 0;
        }
        int r = pump(c, e);
        if (c->stream && session_is_there(c))
                session_wake(job_session(c->control->job));
        return r;
}

/* Returns 1 when the client is gone. */
static int read_client(struct client *c, struct err *e)
{
        uint8_t data[READ_SIZE];
        size_t room = c->asked ? READ_SIZE - MIN(c->in.len, READ_SIZE) : CONTROL_MAX_REQUEST - c->in.len;
        if (!room || c->input_ended)
                return 0;
        ssize_t n = recv(c->fd, data, room, MSG_DONTWAIT);
        if (n < 0)
                return errno != EAGAIN && errno != EINTR;
        if (n == 0) {
                c->input_ended = true;
                if (c->frames) /* a terminal without its user ends */
                        return 1;
        }
        int r = buf_append(&c->in, data, (size_t)n, e);
        return r < 0 ? r : take_bytes(c, e);
}

static int on_client(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct client *c = user;
        struct err why = ERR_INIT;
        int r = 0;
        (void)io;
        (void)fd;
        (void)e;
        if (events & (LOOP_READ | LOOP_HANGUP))
                r = read_client(c, &why);
        if (r < 0)
                return fail(c, &why);
        bool hung_up = (events & LOOP_HANGUP) && c->input_ended;
        if (r > 0 || client_flush(c) || hung_up)
                client_free(c);
        return 0;
}

static int on_timer(struct loop_timer *t, void *user, struct err *e)
{
        struct client *c = user;
        struct err why = ERR_INIT;
        struct buf text = BUF_INIT;
        (void)t;
        (void)e;
        if (!c->asked) {
                client_free(c);
                return 0;
        }
        int r = mask_stream_flush(c->mask, &text, &why);
        if (r == 0)
                r = frame_text(c, &text, &why);
        if (r < 0)
                return fail(c, &why);
        if (client_flush(c))
                client_free(c);
        return 0;
}

static int client_new(struct control *o, int fd, struct err *e)
{
        struct client *c = calloc(1, sizeof(*c));
        if (!c) {
                close(fd);
                return err_nomem(e);
        }
        c->control = o;
        c->fd = fd;
        list_append(&o->clients, &c->link);
        o->n_clients++;
        int r = loop_io_new(o->loop, fd, LOOP_READ, on_client, c, &c->io, e);
        if (r == 0)
                r = loop_timer_new(o->loop, on_timer, c, &c->timer, e);
        if (r < 0)
                client_free(c);
        else
                loop_timer_in(c->timer, CONTROL_REQUEST_MS);
        return r;
}

static int on_connect(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct control *o = user;
        struct err why = ERR_INIT;
        (void)io;
        (void)events;
        (void)e;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0)
                return 0;
        if (o->n_clients >= CONTROL_MAX_CLIENTS) {
                close(client);
                return 0;
        }
        if (client_new(o, client, &why) < 0)
                job_fail(o->job, &why);
        return 0;
}

int control_new(struct loop *l, int fd, struct job *job, struct control **ret, struct err *e)
{
        struct control *o = calloc(1, sizeof(*o));
        if (!o)
                return err_nomem(e);
        o->loop = l;
        o->fd = fd;
        o->job = job;
        list_init(&o->clients);
        int r = fd_set_nonblock(fd, true, e);
        if (r == 0)
                r = loop_io_new(l, fd, LOOP_READ, on_connect, o, &o->io, e);
        if (r < 0) {
                free(o);
                return r;
        }
        *ret = o;
        return 0;
}

struct control *control_free(struct control *o)
{
        if (!o)
                return NULL;
        list_for_safe (pos, tmp, &o->clients)
                client_free(list_entry(pos, struct client, link));
        loop_io_free(o->io);
        free(o);
        return NULL;
}
