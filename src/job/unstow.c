#include "job/unstow.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/step.h"
#include "wire/guest.h"

struct unstow {
        struct step *step;
        struct op *put;
        struct buf held;  /* of the store's stream, not yet taken by the guest */
        bool ended;       /* the store's stream */
        bool finished;    /* the guest was told */
        unsigned waiting; /* sides that have not ended */
        unstow_done_fn *done;
        void *user;
        struct err failure; /* the first */
};

struct unstow *unstow_free(struct unstow *u)
{
        if (!u)
                return NULL;
        buf_done(&u->held);
        free(u);
        return NULL;
}

static void fail(struct unstow *u, const struct err *why)
{
        if (u->failure.code == ERR_SUCCESS)
                u->failure = *why;
}

static int side_ended(struct unstow *u, struct err *e)
{
        if (--u->waiting)
                return 0;
        struct err failure = u->failure;
        return u->done(u, failure.code ? &failure : NULL, u->user, e);
}

/* What is held goes out before the store is asked for more. A stream that failed is cut short: `put` refuses it. */
static int drain(struct unstow *u, struct err *e)
{
        while (u->put && u->held.len && u->failure.code == ERR_SUCCESS) {
                size_t n = op_put_write(u->put, u->held.data, u->held.len, e);
                if (!n)
                        return 0;
                buf_consume(&u->held, n);
        }
        if (!u->ended) {
                store_resume(u->step->job->store);
                return 0;
        }
        bool tell = u->put && !u->finished;
        u->finished = true;
        return tell ? op_put_finish(u->put, e) : 0;
}

static int on_writable(void *user, struct err *e)
{
        return drain(user, e);
}

static int on_data(struct store_client *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct unstow *u = user;
        if (!u->put || u->failure.code != ERR_SUCCESS)
                return 0;
        size_t n = u->held.len ? 0 : op_put_write(u->put, data, len, e);
        if (n == len)
                return 0;
        store_pause(s);
        return buf_append(&u->held, data + n, len - n, e);
}

static int on_stored(struct store_client *s, const struct err *failure, void *user, struct err *e)
{
        struct unstow *u = user;
        (void)s;
        u->ended = true;
        if (failure)
                fail(u, failure);
        int r = drain(u, e);
        return r < 0 ? r : side_ended(u, e);
}

static int on_list(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct unstow *u = user;
        struct err why = ERR_INIT;
        const char *status, *message;
        char text[OPS_MAX_REFUSAL];
        (void)i;
        int r = fields_str(list, "status", &status, e);
        if (r == 0)
                r = fields_str_opt(list, "message", "no reason given", &message, e);
        if (r < 0 || str_eq(status, "ok"))
                return r;
        str_copy_plain(text, sizeof(text), message);
        err_set(&why, ERR_RUN_FAILED, "write the files in the guest: %s", text);
        fail(u, &why);
        return 0;
}

static int on_put(const char *refusal, void *user, struct err *e)
{
        struct unstow *u = user;
        struct err why = ERR_INIT;
        u->put = NULL;
        if (refusal)
                err_set(&why, ERR_RUN_FAILED, "write the files in the guest: %s", refusal);
        if (refusal)
                fail(u, &why);
        buf_clear(&u->held);
        if (!u->ended)
                store_resume(u->step->job->store);
        return side_ended(u, e);
}

void unstow_interrupt(struct unstow *u)
{
        struct err why = ERR_INIT, e = ERR_INIT;
        err_set(&why, ERR_RUN_FAILED, "the step was interrupted");
        fail(u, &why);
        if (drain(u, &e) < 0)
                job_fail(u->step->job, &e);
}

int unstow_start(struct step *step, enum store_what_kind kind, uint64_t id, const char *path, unstow_done_fn *done,
                 void *user, struct unstow **ret, struct err *e)
{
        static const struct store_download fns = {.data = on_data, .done = on_stored};
        struct unstow *u = calloc(1, sizeof(*u));
        if (!u)
                return err_nomem(e);
        *ret = u;
        u->step = step;
        u->done = done;
        u->user = user;
        u->waiting = 2;
        int r = op_put(step->job->ops, path, false, on_writable, on_list, on_put, u, &u->put, e);
        return r < 0 ? r : store_get(step->job->store, kind, id, &fns, u, e);
}
