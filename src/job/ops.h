/* Operations in the guest (docs/protocol-guest.md), each on a stream of its own: `exec`, and requests that are answered
 * with field lists (`write`, `mkdir`, `read`, `which`, `put`) or with a stream (`get`).
 *
 * Every operation ends with exactly one call of its `done`, after its stream has ended in order; a guest that answers
 * out of form, too much, too little or not within OPS_DEADLINE_MS ends the session (session_fail), and then no callback
 * follows. A refusal of the guest (status=error) is no failure of the session: it reaches `done` as text, printable and
 * cut. The callbacks may start operations; they must not free the ops. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct fields;
struct loop;
struct op;
struct ops;
struct session;
struct strv;

#define OPS_DEADLINE_MS 120000u                 /* an answer, or progress of a transfer; not the run time of `exec` */
#define OPS_MAX_LIST ((size_t)GUEST_MAX_HEADER) /* bytes of one field list of an answer */
#define OPS_MAX_READ ((size_t)1 << 20)          /* bytes of one file that `read` may give */
#define OPS_MAX_REFUSAL 512u
#define OPS_USER "runner"

/* session and loop are borrowed. */
int ops_new(struct loop *l, struct session *s, struct ops **ret, struct err *e);
struct ops *ops_free(struct ops *o); /* ends every operation without a callback; always NULL */

/* refusal: NULL when the guest did it. */
typedef int op_done_fn(const char *refusal, void *user, struct err *e);
/* The i-th field list behind the answer. */
typedef int op_list_fn(unsigned i, const struct fields *list, void *user, struct err *e);

/* Parents need not exist. */
int op_mkdir(struct ops *o, const char *const *paths, size_t n, unsigned mode, op_done_fn *done, void *user,
             struct err *e);
/* A new regular file of OPS_USER. */
int op_write(struct ops *o, const char *path, unsigned mode, const void *data, size_t len, op_done_fn *done, void *user,
             struct err *e);
/* One list per path, in order: path, kind, data. */
int op_read(struct ops *o, const char *const *paths, size_t n, op_list_fn *list, op_done_fn *done, void *user,
            struct err *e);
/* One list: `path` per name. */
int op_which(struct ops *o, const char *const *names, size_t n, op_list_fn *list, op_done_fn *done, void *user,
             struct err *e);

/* Replace a file of OPS_USER by an empty one. */
int op_clear(struct ops *o, const char *path, op_done_fn *done, void *user, struct err *e);

/* The files of secrets: written, or replaced. */
struct secret;
int op_secret(struct ops *o, const struct secret *v, size_t n, op_done_fn *done, void *user, struct err *e);
/* How many of them, from the first on, go in one request; at least 1. */
size_t op_secret_fits(const struct secret *v, size_t n);
/* Bytes that push out of the port's buffers what came through them: a secret of zeros, `_`, which the wipe removes. */
int op_secret_rinse(struct ops *o, op_done_fn *done, void *user, struct err *e);
/* The guest removes them, ends what runs, and zeroes its free memory. */
int op_secret_wipe(struct ops *o, op_done_fn *done, void *user, struct err *e);

/* The guest confirms that nothing runs in it, and takes nothing but a seed from here on. */
int op_park(struct ops *o, op_done_fn *done, void *user, struct err *e);

/* TCP to these prefixes and ports ("ADDRESS/LEN PORT") is carried to the host. */
int op_route(struct ops *o, const char *const *to, size_t n, op_done_fn *done, void *user, struct err *e);
/* Bytes of a stream; take all of them. */
typedef int op_bytes_fn(const uint8_t *data, size_t len, void *user, struct err *e);
/* A file or folder as a tar stream of at most max bytes (docs/protocol-guest.md says what is in it). A stream that was
 * cut off is told to `done` as a refusal. */
int op_get(struct ops *o, const char *path, uint64_t max, op_bytes_fn *bytes, op_done_fn *done, void *user,
           struct op **ret, struct err *e);
/* Of `get` and `exec`: what comes is held, unconsumed, so that the guest stops when a window is full. From within a
 * callback of the operation, too. */
void op_pause(struct op *p);
/* Not from within its callbacks. They may be called from within this, `done` included: the op may be gone. */
int op_resume(struct op *p, struct err *e);
/* Give it up: no callback follows, the op is gone. From within its callbacks, too, except `done`. */
int op_cancel(struct op *p, struct err *e);

/* A tar stream into a folder. `writable` is called when op_put_write() took less than it was given and may take more.
 */
int op_put(struct ops *o, const char *path, bool wipe, int (*writable)(void *user, struct err *e), op_list_fn *list,
           op_done_fn *done, void *user, struct op **ret, struct err *e);
size_t op_put_write(struct op *p, const void *data, size_t len, struct err *e);
int op_put_finish(struct op *p, struct err *e); /* the stream is whole: `list` and `done` follow */

enum exec_kind { EXEC_EXITED, EXEC_SIGNALED, EXEC_LOST };
struct exec_exit {
        enum exec_kind kind;
        unsigned code; /* exit status, or signal number */
        bool oom;      /* the kernel killed a process of the step for memory */
};

struct exec_fns {
        int (*output)(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e);
        int (*done)(const struct exec_exit *x, const char *refusal, void *user, struct err *e); /* x NULL: refused */
};
struct exec {
        const struct strv *argv, *env; /* env: NAME=VALUE, everything the process gets */
        const char *cwd, *step;        /* step: name of its control group */
};
int op_exec(struct ops *o, const struct exec *x, const struct exec_fns *fns, void *user, struct op **ret,
            struct err *e);
/* To every process of the step; lost silently when the step has ended. */
int op_signal(struct op *x, int signo, struct err *e);
