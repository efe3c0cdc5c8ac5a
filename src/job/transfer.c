#include "job/transfer.h"

#include <string.h>

#include "job/job_priv.h"
#include "job/ops.h"
#include "source/client.h"
#include "wire/guest.h"

void transfer_done(struct transfer *t)
{
        buf_done(&t->held);
}

/* One of the two ends is at its end. */
static int ended(struct transfer *t, struct err *e)
{
        if (--t->waiting)
                return 0;
        buf_done(&t->held);
        const struct err failure = t->failure;
        return t->fns->done(failure.code == ERR_SUCCESS ? NULL : &failure, t->user, e);
}

/* What is held goes out before the source is asked for more. */
static int drain(struct transfer *t, struct err *e)
{
        if (!t->put)
                return 0;
        while (t->held.len) {
                size_t n = op_put_write(t->put, t->held.data, t->held.len, e);
                if (!n)
                        return 0;
                buf_consume(&t->held, n);
        }
        if (t->stream_done)
                return op_put_finish(t->put, e);
        source_resume(t->job->source);
        return 0;
}

static int on_writable(void *user, struct err *e)
{
        return drain(user, e);
}

static int on_data(struct source *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct transfer *t = user;
        if (!t->put)
                return 0;
        size_t n = t->held.len ? 0 : op_put_write(t->put, data, len, e);
        if (n == len)
                return 0;
        source_pause(s);
        return buf_append(&t->held, data + n, len - n, e);
}

/* A stream that failed must not be finished in the guest: cutting it short makes `put` refuse it. */
static int on_stream_done(struct source *s, const struct source_totals *totals, const struct err *failure, void *user,
                          struct err *e)
{
        struct transfer *t = user;
        int r = 0;
        (void)s;
        t->stream_done = true;
        if (failure && t->failure.code == ERR_SUCCESS)
                t->failure = *failure;
        if (!failure)
                r = t->fns->streamed(totals, t->user, e);
        if (r == 0)
                r = drain(t, e);
        return r < 0 ? r : ended(t, e);
}

static int on_list(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct transfer *t = user;
        const char *status, *message;
        (void)i;
        int r = fields_str(list, "status", &status, e);
        if (r == 0)
                r = fields_str_opt(list, "message", "no reason given", &message, e);
        if (r == 0 && strcmp(status, "ok") != 0 && t->failure.code == ERR_SUCCESS)
                err_set(&t->failure, ERR_RUN_FAILED, "write files in the guest: %.256s", message);
        return r;
}

static int on_put_done(const char *refusal, void *user, struct err *e)
{
        struct transfer *t = user;
        t->put = NULL;
        if (refusal && t->failure.code == ERR_SUCCESS)
                err_set(&t->failure, ERR_RUN_FAILED, "write files in the guest: %s", refusal);
        if (!t->stream_done)
                source_resume(t->job->source);
        return ended(t, e);
}

int transfer_start(struct transfer *t, struct job *j, const char *target, bool wipe, const struct transfer_fns *fns,
                   void *user, struct err *e)
{
        static const struct source_stream stream = {.data = on_data, .done = on_stream_done};
        *t = (struct transfer){.job = j, .fns = fns, .user = user, .held = BUF_INIT, .waiting = 2};
        int r = op_put(j->ops, target, wipe, on_writable, on_list, on_put_done, t, &t->put, e);
        return r < 0 ? r : fns->request(j->source, &stream, t, user, e);
}
