/* The channel and the door: bytes in, bytes out, and which operation a stream is for. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "guest/cgroup.h"
#include "guest/guest.h"
#include "guest/identity.h"
#include "guest/modprobe.h"
#include "guest/network.h"
#include "guest/ops.h"
#include "guest/reap.h"
#include "guest/seed.h"
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE (64u * 1024u)
#define WRITES_PER_TURN 32 /* then other events have their turn */
#define READS_PER_TURN 16  /* the same */

static const struct {
        const char *name;
        op_fn *fn;
} operations[] = {
        {"exec", op_exec}, {"pty", op_pty},           {"put", op_put},       {"get", op_get},
        {"read", op_read}, {"which", op_which},       {"mkdir", op_mkdir},   {"write", op_write},
        {"dial", op_dial}, {"route", op_route},       {"signal", op_signal}, {"seed", op_seed},
        {"park", op_park}, {"shutdown", op_shutdown}, {"secret", op_secret},
};

int op_refuse_invalid(struct door_stream *s, const struct err *why, struct err *e)
{
        return door_refuse(s, "invalid", why->msg, e);
}

static int on_request(struct door_stream *s, const char *op, const struct fields *header, void *user, struct err *e)
{
        struct guest *g = user;
        if (g->parked && !str_eq(op, "seed"))
                return door_refuse(s, "denied", "this guest is parked: it waits for its next seed", e);
        for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
                if (str_eq(op, operations[i].name))
                        return operations[i].fn(g, s, header, e);
        return 0; /* the door refuses as unsupported */
}

static int flush_some(struct guest *g, bool *ret_full, struct err *e)
{
        const uint8_t *data;
        size_t len = 0;
        for (unsigned i = 0; i < WRITES_PER_TURN && (len = door_output(g->door, &data)) > 0; i++) {
                ssize_t n = write(g->channel, data, len);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                if (n < 0)
                        return err_errno(e, ERR_GUEST_LOST, errno, "write to the host");
                int r = door_output_done(g->door, (size_t)n, e);
                if (r < 0)
                        return r;
        }
        *ret_full = len > 0;
        return 0;
}

int guest_flush(struct guest *g, struct err *e)
{
        if (g->busy)
                return 0;
        bool full = false;
        g->busy = true;
        int r = flush_some(g, &full, e);
        g->busy = false;
        return r < 0 ? r : loop_io_set(g->channel_io, LOOP_READ | (full ? LOOP_WRITE : 0), e);
}

/* The virtio port gives a page at a time, whatever is asked for. */
static int take_in(struct guest *g, int fd, struct err *e)
{
        static uint8_t data[READ_SIZE];
        int r = 0;
        for (unsigned i = 0; i < READS_PER_TURN && r == 0; i++) {
                ssize_t n = read(fd, data, sizeof(data));
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                if (n <= 0)
                        return err_set(e, ERR_GUEST_LOST, "the host closed the door");
                g->busy = true;
                r = door_input(g->door, data, (size_t)n, e);
                g->busy = false;
                /* It may have been a seed, or a secret of a step. */
                secret_wipe(data, (size_t)n);
        }
        return r;
}

static int on_channel(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct guest *g = user;
        (void)io;
        int r = events & LOOP_READ ? take_in(g, fd, e) : 0;
        return r < 0 ? r : guest_flush(g, e);
}

static int seed_refusal(struct buf *b, const struct err *why, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);
        r = r < 0 ? r : fields_add_str(b, "status", "error", e);
        r = r < 0 ? r : fields_add_str(b, "message", why->msg, e);
        return r < 0 ? r : fields_end(b, mark, e);
}

static int apply_first(struct guest *g, const struct fields *list, struct err *e)
{
        AUTO(seed_wipe) struct seed seed = {0};
        int r = seed_parse(list, true, &seed, e);
        r = r < 0 ? r : identity_apply(&seed, e);
        r = r < 0 ? r : network_start(g, &g->network, e);
        r = r < 0 ? r : scratch_mount(&g->scratch, GUEST_SCRATCH, e);
        r = r < 0 ? r : jobroot_make(GUEST_IMAGE, GUEST_SCRATCH, &seed, &g->job, e);
        r = r < 0 ? r : modprobe_serve(&g->job, e);
        r = r < 0 ? r : cgroup_limit_job(e);
        r = r < 0 ? r : cgroup_limit_pids(seed.pids, e);
        if (r == 0)
                memcpy(g->nonce, seed.nonce, sizeof(g->nonce));
        return r;
}

static int on_seed(struct door *d, const struct fields *list, void *user, struct err *e)
{
        AUTO(buf_wipe) struct buf answer = BUF_INIT;
        struct err why = ERR_INIT;
        bool failed = apply_first(user, list, &why) < 0;
        int r = failed ? seed_refusal(&answer, &why, e) : op_seed_answer(&answer, e);
        return r < 0 ? r : door_seeded(d, &answer, e);
}

int guest_run(struct guest *g, struct err *e)
{
        struct door_limits limits = DOOR_LIMITS_GUEST;
        const struct door_callbacks callbacks = {.seed = on_seed, .request = on_request};
        limits.yamux.max_send_queue = GUEST_SEND_QUEUE;
        limits.yamux.max_streams = GUEST_MAX_STREAMS;
        list_init(&g->execs);
        int r = loop_new(&g->loop, e);
        r = r < 0 ? r : reaper_new(g->loop, &g->reaper, e);
        r = r < 0 ? r : door_new(DOOR_GUEST, &limits, &callbacks, g, &g->door, e);
        r = r < 0 ? r : loop_io_new(g->loop, g->channel, LOOP_READ, on_channel, g, &g->channel_io, e);
        r = r < 0 ? r : guest_flush(g, e);
        r = r < 0 ? r : loop_run(g->loop, e);
        return r < 0 ? r : err_set(e, ERR_GUEST_LOST, "the event loop ended");
}
