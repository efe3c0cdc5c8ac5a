#include "job/ops.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/list.h"
#include "base/num.h"
#include "base/str.h"
#include "job/session.h"
#include "loop/loop.h"
#include "secrets/client.h"
#include "wire/door.h"

struct ops {
        struct loop *loop;
        struct session *session;
        struct list all;
};

struct op {
        struct ops *ops;
        struct list link;
        struct door_stream *stream;
        struct loop_timer *deadline;
        const char *name; /* static: for messages */
        void *user;
        op_done_fn *done;
        op_list_fn *list;
        int (*writable)(void *user, struct err *e);
        struct fields_reader *reader;
        unsigned lists, lists_expected;
        struct frame_reader *frames; /* exec */
        struct exec_fns exec;
        struct exec_exit exit;
        bool exited;
        op_bytes_fn *bytes; /* get */
        uint64_t left;      /* bytes that it may still send */
        struct buf held;    /* of its stream, not consumed: at most a window */
        bool paused, busy, cancelled;
        bool eof, ended; /* came while something was held */
        enum door_end end;
};

int ops_new(struct loop *l, struct session *s, struct ops **ret, struct err *e)
{
        struct ops *o = calloc(1, sizeof(*o));
        if (!o)
                return err_nomem(e);
        o->loop = l;
        o->session = s;
        list_init(&o->all);
        *ret = o;
        return 0;
}

static struct op *op_free(struct op *p)
{
        if (!p)
                return NULL;
        list_remove(&p->link);
        if (p->deadline)
                loop_timer_free(p->deadline);
        fields_reader_free(p->reader);
        frame_reader_free(p->frames);
        buf_done(&p->held);
        free(p);
        return NULL;
}
CLEANUP_DEFINE(struct fields, fields_free)

struct ops *ops_free(struct ops *o)
{
        if (!o)
                return NULL;
        list_for_safe (pos, tmp, &o->all)
                op_free(list_entry(pos, struct op, link));
        free(o);
        return NULL;
}

static int broke(const struct op *p, struct err *e, const char *what)
{
        return err_set(e, ERR_PROTOCOL, "the guest's answer to `%s`: %s", p->name, what);
}

static int on_deadline(struct loop_timer *t, void *user, struct err *e)
{
        struct op *p = user;
        struct err why = ERR_INIT;
        (void)t;
        (void)e;
        err_set(&why, ERR_GUEST_LOST, "the guest did not finish `%s` within %u seconds", p->name,
                OPS_DEADLINE_MS / 1000);
        session_fail(p->ops->session, &why);
        return 0;
}

static void progress(struct op *p)
{
        loop_timer_in(p->deadline, OPS_DEADLINE_MS);
}

/* ---- what the stream tells ---- */

static int on_list_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct op *p = user;
        size_t total = len;
        int r = 0;
        while (r == 0 && len) {
                size_t used = 0;
                struct fields *list = NULL;
                if (p->lists == p->lists_expected)
                        return broke(p, e, "more than was asked for");
                r = fields_reader_feed(p->reader, data, len, &used, &list, e);
                if (r == 0 && list)
                        r = p->list(p->lists++, list, p->user, e);
                fields_free(list);
                data += used;
                len -= used;
        }
        progress(p);
        door_consumed(s, total);
        return r;
}

static int on_frame(struct op *p, enum guest_frame type, const uint8_t *data, size_t len, struct err *e);

static int take_frames(struct op *p, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        for (*ret_used = 0; *ret_used < len && !p->paused && !p->cancelled;) {
                size_t used = 0, payload_len = 0;
                const uint8_t *payload = NULL;
                enum guest_frame type;
                bool complete = false;
                int r = frame_reader_feed(p->frames, data + *ret_used, len - *ret_used, &used, &complete, &type,
                                          &payload, &payload_len, e);
                if (r == 0 && p->exited)
                        r = broke(p, e, "bytes behind EXIT");
                *ret_used += used;
                if (r == 0 && complete)
                        r = on_frame(p, type, payload, payload_len, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_bytes(struct op *p, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        *ret_used = len;
        if (len > p->left)
                return broke(p, e, "more bytes than were asked for");
        p->left -= len;
        progress(p);
        return p->bytes(data, len, p->user, e);
}

/* What can be taken now is; a callback may pause or cancel the operation. */
static int take(struct op *p, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
        p->busy = true;
        int r = p->frames ? take_frames(p, data, len, ret_used, e) : take_bytes(p, data, len, ret_used, e);
        p->busy = false;
        return r;
}

/* The stream of `exec` or `get`. What is held is not consumed, so that the guest stops when its window is full. */
static int on_stream_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct op *p = user;
        size_t used = 0;
        int r = p->paused ? 0 : take(p, data, len, &used, e);
        if (p->cancelled) {
                op_free(p);
                return r;
        }
        if (r < 0)
                return r;
        door_consumed(s, used);
        return used < len ? buf_append(&p->held, data + used, len - used, e) : 0;
}

static int parse_exit(struct op *p, const uint8_t *data, size_t len, struct err *e)
{
        AUTO(fields_freep) struct fields *f = NULL;
        const char *kind = NULL;
        uint64_t code = 0, oom = 0;
        int r = fields_parse(data, len, &f, e);
        if (r < 0)
                return r;
        const struct field *nonce = fields_get(f, "nonce");
        if (!nonce || !session_nonce_is(p->ops->session, nonce->value, nonce->len))
                return broke(p, e, "an EXIT without the nonce of this job");
        r = fields_str(f, "kind", &kind, e);
        if (r == 0)
                r = fields_u64(f, "code", 255, &code, e);
        if (r == 0)
                r = fields_u64_opt(f, "oom", 0, 1, &oom, e);
        if (r < 0)
                return r;
        p->exit.kind = strcmp(kind, "exited") == 0                                    ? EXEC_EXITED
                       : strcmp(kind, "signaled") == 0 || strcmp(kind, "killed") == 0 ? EXEC_SIGNALED
                                                                                      : EXEC_LOST;
        if (p->exit.kind == EXEC_LOST && strcmp(kind, "lost") != 0)
                return broke(p, e, "an EXIT of an unknown kind");
        p->exit.code = (unsigned)code;
        p->exit.oom = oom;
        p->exited = true;
        return 0;
}

static int on_frame(struct op *p, enum guest_frame type, const uint8_t *data, size_t len, struct err *e)
{
        switch (type) {
        case GUEST_FRAME_STDOUT:
        case GUEST_FRAME_STDERR:
                return p->exec.output(type == GUEST_FRAME_STDERR, data, len, p->user, e);
        case GUEST_FRAME_EXIT:
                progress(p);
                return parse_exit(p, data, len, e);
        default:
                return broke(p, e, "a frame that only the host sends");
        }
}

/* The guest has said everything: our direction ends too, and with it the stream. */
static int on_eof(struct door_stream *s, void *user, struct err *e)
{
        struct op *p = user;
        p->eof = true;
        return p->frames && !p->held.len ? door_close(s, e) : 0;
}

static int on_writable(struct door_stream *s, void *user, struct err *e)
{
        struct op *p = user;
        (void)s;
        if (!p->writable)
                return 0;
        progress(p);
        return p->writable(p->user, e);
}

/* The operation's one report. The op is freed first, so that `done` may start the next. */
static int report(struct op *p, enum door_end why, const struct fields *refusal, struct err *e)
{
        char text[OPS_MAX_REFUSAL];
        const char *message = "no reason given";
        struct op copy = *p;
        if (why == DOOR_RESET && !p->bytes)
                return broke(p, e, "the stream was given up");
        if (why == DOOR_CLOSED && (p->frames ? !p->exited : p->lists != p->lists_expected))
                return broke(p, e, p->frames ? "it ended without EXIT" : "it ended before it was complete");
        if (why == DOOR_RESET)
                message = "it could not be read to its end";
        if (refusal && fields_str_opt(refusal, "message", message, &message, e) < 0)
                return -1;
        str_copy_plain(text, sizeof(text), message);
        op_free(p);
        const char *said = why == DOOR_CLOSED ? NULL : text;
        return copy.frames ? copy.exec.done(said ? NULL : &copy.exit, said, copy.user, e)
                           : copy.done(said, copy.user, e);
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct op *p = user;
        struct session *session = p->ops->session;
        struct err e = ERR_INIT;
        (void)s;
        p->stream = NULL;
        if (session_is_over(session))
                return;
        if (p->held.len && why == DOOR_CLOSED) {
                p->ended = true;
                p->end = why;
                return;
        }
        if (report(p, why, refusal, &e) < 0)
                session_fail(session, &e);
}

static const struct door_handler list_handler = {.data = on_list_data, .writable = on_writable, .end = on_end};
static const struct door_handler frame_handler = {
        .data = on_stream_data, .eof = on_eof, .writable = on_writable, .end = on_end};

/* ---- starting ---- */

static int op_new(struct ops *o, const char *name, void *user, struct op **ret, struct err *e)
{
        struct op *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        p->ops = o;
        p->name = name;
        p->user = user;
        list_append(&o->all, &p->link);
        *ret = p;
        return 0;
}

/* Open the stream; what was prepared in p belongs to it from here on. */
static int op_open(struct op *p, struct buf *header, bool half_close, struct err *e)
{
        struct ops *o = p->ops;
        int r = loop_timer_new(o->loop, on_deadline, p, &p->deadline, e);
        if (r == 0)
                r = door_open(session_door(o->session), header, p->frames || p->bytes ? &frame_handler : &list_handler,
                              p, &p->stream, e);
        if (r > 0)
                r = err_set(e, ERR_PROTOCOL, "the guest takes no more operations (`%s`)", p->name);
        if (r == 0 && half_close)
                r = door_close(p->stream, e);
        if (r < 0) {
                op_free(p);
                return r;
        }
        if (!p->frames)
                progress(p);
        session_wake(o->session);
        return 0;
}

static int begin(struct buf *b, const char *op, size_t *ret_mark, struct err *e)
{
        int r = fields_begin(b, ret_mark, e);
        return r < 0 ? r : fields_add_str(b, "op", op, e);
}

static int add_all(struct buf *b, const char *key, const char *const *values, size_t n, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = fields_add_str(b, key, values[i], e);
        return r;
}

static int add_mode(struct buf *b, unsigned mode, struct err *e)
{
        char octal[16];
        snprintf(octal, sizeof(octal), "%o", mode);
        return fields_add_str(b, "mode", octal, e);
}

/* What every request that is answered with lists has in common. */
struct request {
        const char *name;
        unsigned lists;
        op_list_fn *list;
        op_done_fn *done;
        void *user;
        bool keep_open;
};

static int request_open(struct ops *o, const struct request *q, struct buf *header, struct op **ret, struct err *e)
{
        struct op *p = NULL;
        int r = op_new(o, q->name, q->user, &p, e);
        if (r < 0)
                return r;
        p->list = q->list;
        p->done = q->done;
        p->lists_expected = q->lists;
        r = fields_reader_new(OPS_MAX_LIST + 4, &p->reader, e);
        if (r < 0) {
                op_free(p);
                return r;
        }
        r = op_open(p, header, !q->keep_open, e);
        if (r == 0 && ret)
                *ret = p;
        return r;
}

static int request_send(struct ops *o, const struct request *q, struct buf *b, size_t mark, int r, struct op **ret,
                        struct err *e)
{
        if (r == 0)
                r = fields_end(b, mark, e);
        if (r == 0)
                r = request_open(o, q, b, ret, e);
        buf_wipe(b);
        return r;
}

int op_mkdir(struct ops *o, const char *const *paths, size_t n, unsigned mode, op_done_fn *done, void *user,
             struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        int r = begin(&b, "mkdir", &mark, e);
        if (r == 0)
                r = add_all(&b, "path", paths, n, e);
        if (r == 0)
                r = fields_add_str(&b, "user", OPS_USER, e);
        if (r == 0)
                r = add_mode(&b, mode, e);
        return request_send(o, &(struct request){.name = "mkdir", .done = done, .user = user}, &b, mark, r, NULL, e);
}

int op_write(struct ops *o, const char *path, unsigned mode, const void *data, size_t len, op_done_fn *done, void *user,
             struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        int r = begin(&b, "write", &mark, e);
        if (r == 0)
                r = fields_add_str(&b, "path", path, e);
        if (r == 0)
                r = fields_add_str(&b, "user", OPS_USER, e);
        if (r == 0)
                r = add_mode(&b, mode, e);
        if (r == 0)
                r = fields_add(&b, "data", data, len, e);
        return request_send(o, &(struct request){.name = "write", .done = done, .user = user}, &b, mark, r, NULL, e);
}

int op_clear(struct ops *o, const char *path, op_done_fn *done, void *user, struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        int r = begin(&b, "write", &mark, e);
        if (r == 0)
                r = fields_add_str(&b, "path", path, e);
        if (r == 0)
                r = fields_add_str(&b, "user", OPS_USER, e);
        if (r == 0)
                r = fields_add_str(&b, "replace", "1", e);
        if (r == 0)
                r = fields_add(&b, "data", "", 0, e);
        return request_send(o, &(struct request){.name = "write", .done = done, .user = user}, &b, mark, r, NULL, e);
}

#define SECRET_FIELDS 32u /* bytes of the keys and length words of one secret, and of `op` */

size_t op_secret_fits(const struct secret *v, size_t n)
{
        size_t total = SECRET_FIELDS, i = 0;
        for (; i < n && i < GUEST_MAX_FIELDS / 2 - 1; i++) {
                total += strlen(v[i].name) + v[i].len + SECRET_FIELDS;
                if (i > 0 && total > GUEST_MAX_HEADER)
                        break;
        }
        return i;
}

int op_secret(struct ops *o, const struct secret *v, size_t n, op_done_fn *done, void *user, struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        int r = begin(&b, "secret", &mark, e);
        for (size_t i = 0; r == 0 && i < n; i++) {
                r = fields_add_str(&b, "name", v[i].name, e);
                if (r == 0)
                        r = fields_add(&b, "data", v[i].value, v[i].len, e);
        }
        return request_send(o, &(struct request){.name = "secret", .done = done, .user = user}, &b, mark, r, NULL, e);
}

#define RINSE ((size_t)1 << 20)

int op_secret_rinse(struct ops *o, op_done_fn *done, void *user, struct err *e)
{
        AUTO(auto_free) char *zeros = calloc(1, RINSE);
        const struct secret nothing = {.name = "_", .value = zeros, .len = RINSE};
        return zeros ? op_secret(o, &nothing, 1, done, user, e) : err_nomem(e);
}

int op_secret_wipe(struct ops *o, op_done_fn *done, void *user, struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark = 0;
        int r = begin(&b, "secret", &mark, e);
        if (r == 0)
                r = fields_add_str(&b, "wipe", "1", e);
        return request_send(o, &(struct request){.name = "secret", .done = done, .user = user}, &b, mark, r, NULL, e);
}

int op_read(struct ops *o, const char *const *paths, size_t n, op_list_fn *list, op_done_fn *done, void *user,
            struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        int r = begin(&b, "read", &mark, e);
        if (r == 0)
                r = add_all(&b, "path", paths, n, e);
        if (r == 0)
                r = fields_add_u64(&b, "max", OPS_MAX_READ, e);
        const struct request q = {.name = "read", .lists = (unsigned)n, .list = list, .done = done, .user = user};
        return request_send(o, &q, &b, mark, r, NULL, e);
}

int op_which(struct ops *o, const char *const *names, size_t n, op_list_fn *list, op_done_fn *done, void *user,
             struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        int r = begin(&b, "which", &mark, e);
        if (r == 0)
                r = add_all(&b, "name", names, n, e);
        const struct request q = {.name = "which", .lists = 1, .list = list, .done = done, .user = user};
        return request_send(o, &q, &b, mark, r, NULL, e);
}

int op_route(struct ops *o, const char *const *to, size_t n, op_done_fn *done, void *user, struct err *e)
{
        const struct request q = {.name = "route", .done = done, .user = user};
        struct buf b = BUF_INIT;
        size_t mark = 0;
        int r = begin(&b, q.name, &mark, e);
        if (r == 0)
                r = add_all(&b, "to", to, n, e);
        return request_send(o, &q, &b, mark, r, NULL, e);
}

int op_park(struct ops *o, op_done_fn *done, void *user, struct err *e)
{
        const struct request q = {.name = "park", .done = done, .user = user};
        struct buf b = BUF_INIT;
        size_t mark = 0;
        int r = begin(&b, q.name, &mark, e);
        return request_send(o, &q, &b, mark, r, NULL, e);
}

int op_get(struct ops *o, const char *path, uint64_t max, op_bytes_fn *bytes, op_done_fn *done, void *user,
           struct op **ret, struct err *e)
{
        struct buf b = BUF_INIT;
        struct op *p = NULL;
        size_t mark;
        int r = begin(&b, "get", &mark, e);
        if (r == 0)
                r = fields_add_str(&b, "path", path, e);
        if (r == 0)
                r = fields_add_str(&b, "user", OPS_USER, e);
        if (r == 0)
                r = fields_add_u64(&b, "max", max, e);
        if (r == 0)
                r = fields_end(&b, mark, e);
        if (r == 0)
                r = op_new(o, "get", user, &p, e);
        if (r == 0) {
                p->bytes = bytes;
                p->done = done;
                p->left = max;
                r = op_open(p, &b, true, e);
        }
        buf_done(&b);
        if (r == 0)
                *ret = p;
        return r;
}

void op_pause(struct op *p)
{
        p->paused = true;
        loop_timer_off(p->deadline);
}

/* What was held, and what came behind it. The op may be gone afterwards. */
static int go_on(struct op *p, struct err *e)
{
        size_t used = 0;
        int r = p->held.len ? take(p, p->held.data, p->held.len, &used, e) : 0;
        if (p->cancelled) {
                op_free(p);
                return r;
        }
        if (r < 0)
                return r;
        if (p->stream)
                door_consumed(p->stream, used);
        buf_consume(&p->held, used);
        if (p->held.len)
                return 0;
        if (p->stream && p->eof && p->frames)
                return door_close(p->stream, e);
        return p->ended ? report(p, p->end, NULL, e) : 0;
}

int op_resume(struct op *p, struct err *e)
{
        struct session *session = p->ops->session;
        if (!p->paused)
                return 0;
        p->paused = false;
        if (!p->frames)
                progress(p);
        int r = go_on(p, e);
        session_wake(session);
        return r;
}

int op_cancel(struct op *p, struct err *e)
{
        struct session *session = p->ops->session;
        int r = p->stream ? door_reset(p->stream, e) : 0;
        p->stream = NULL;
        p->cancelled = true;
        if (!p->busy)
                op_free(p);
        session_wake(session);
        return r;
}

int op_put(struct ops *o, const char *path, bool wipe, int (*writable)(void *user, struct err *e), op_list_fn *list,
           op_done_fn *done, void *user, struct op **ret, struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        int r = begin(&b, "put", &mark, e);
        if (r == 0)
                r = fields_add_str(&b, "path", path, e);
        if (r == 0)
                r = fields_add_str(&b, "user", OPS_USER, e);
        if (r == 0)
                r = fields_add_str(&b, "wipe", wipe ? "1" : "0", e);
        const struct request q = {
                .name = "put", .lists = 1, .list = list, .done = done, .user = user, .keep_open = true};
        r = request_send(o, &q, &b, mark, r, ret, e);
        if (r == 0)
                (*ret)->writable = writable;
        return r;
}

size_t op_put_write(struct op *p, const void *data, size_t len, struct err *e)
{
        size_t n = p->stream ? door_write(p->stream, data, len, e) : 0;
        if (n)
                progress(p);
        session_wake(p->ops->session);
        return n;
}

int op_put_finish(struct op *p, struct err *e)
{
        session_wake(p->ops->session);
        return door_close(p->stream, e);
}

static int add_exec(struct buf *b, const struct exec *x, struct err *e)
{
        int r = add_all(b, "arg", (const char *const *)x->argv->v, x->argv->n, e);
        if (r == 0)
                r = add_all(b, "env", (const char *const *)x->env->v, x->env->n, e);
        if (r == 0)
                r = fields_add_str(b, "cwd", x->cwd, e);
        if (r == 0)
                r = fields_add_str(b, "user", OPS_USER, e);
        if (r == 0)
                r = fields_add_str(b, "step", x->step, e);
        return r < 0 ? r : fields_add_str(b, "stdin", "0", e);
}

int op_exec(struct ops *o, const struct exec *x, const struct exec_fns *fns, void *user, struct op **ret, struct err *e)
{
        struct buf b = BUF_INIT;
        struct op *p = NULL;
        size_t mark;
        int r = begin(&b, "exec", &mark, e);
        if (r == 0)
                r = add_exec(&b, x, e);
        if (r == 0)
                r = fields_end(&b, mark, e);
        if (r == 0)
                r = op_new(o, "exec", user, &p, e);
        if (r == 0) {
                p->exec = *fns;
                r = frame_reader_new(GUEST_MAX_FRAME_DATA, &p->frames, e);
                if (r < 0)
                        op_free(p);
                else
                        r = op_open(p, &b, false, e);
        }
        buf_wipe(&b);
        if (r == 0)
                *ret = p;
        return r;
}

int op_signal(struct op *x, int signo, struct err *e)
{
        const uint8_t number = (uint8_t)signo;
        if (!x->stream)
                return 0;
        int r = door_frame(x->stream, GUEST_FRAME_SIGNAL, &number, 1, e);
        session_wake(x->ops->session);
        return r < 0 ? r : 0;
}
