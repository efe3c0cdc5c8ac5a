/* Operations on the machine as a whole: signal, seed, shutdown. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "guest/cgroup.h"
#include "guest/guest.h"
#include "guest/identity.h"
#include "guest/ops.h"
#include "guest/seed.h"
#include "loop/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SHUTDOWN_KILL_MS 5000 /* for the job's processes to be gone */
#define SHUTDOWN_POLL_MS 20
#define SHUTDOWN_ANSWER_MS 1000 /* for the host to take the answer */

static const struct door_handler no_bytes = {.data = NULL};

int op_done(struct door_stream *s, const struct buf *answer, struct err *e)
{
        door_accept(s, &no_bytes, NULL);
        int r = door_answer(s, answer, e);
        return r < 0 ? r : door_close(s, e);
}

int op_signal(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct err why = ERR_INIT;
        const char *step;
        uint64_t signo;
        AUTO(auto_close) int group = -1;
        (void)g;
        int r = fields_str(header, "step", &step, &why);
        r = r < 0 ? r : fields_u64(header, "signo", _NSIG - 1, &signo, &why);
        r = r < 0 ? r : cgroup_step_find(step, &group, &why);
        if (r == CGROUP_E_UNKNOWN)
                return door_refuse(s, "not-found", "no process of such a step", e);
        r = r < 0 ? r : cgroup_signal(group, (int)signo, &why);
        return r < 0 ? op_refuse_invalid(s, &why, e) : op_done(s, NULL, e);
}

int op_seed_answer(struct buf *ret, struct err *e)
{
        struct utsname u;
        struct sysinfo info;
        size_t mark;
        uname(&u);
        sysinfo(&info);
        int r = fields_begin(ret, &mark, e);
        r = r < 0 ? r : fields_add_str(ret, "status", "ok", e);
        r = r < 0 ? r : fields_add_str(ret, "kernel", u.release, e);
        r = r < 0 ? r : fields_add_u64(ret, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN), e);
        r = r < 0 ? r : fields_add_u64(ret, "memory", (uint64_t)info.totalram * info.mem_unit, e);
        r = r < 0 ? r : fields_add_u64(ret, "pids", cgroup_job_pids(), e);
        r = r < 0 ? r : fields_add_str(ret, "agent", DEVDEP_VERSION, e);
        return r < 0 ? r : fields_end(ret, mark, e);
}

int op_seed(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct err why = ERR_INIT;
        AUTO(seed_wipe) struct seed seed = {0};
        int r = seed_parse(header, false, &seed, &why);
        r = r < 0 ? r : identity_apply(&seed, &why);
        r = r < 0 ? r : identity_write_etc(g->job.etc, &seed, &why);
        r = r < 0 ? r : cgroup_limit_pids(seed.pids, &why);
        if (r < 0)
                return op_refuse_invalid(s, &why, e);
        memcpy(g->nonce, seed.nonce, sizeof(g->nonce));
        g->parked = false;
        AUTO(buf_done) struct buf answer = BUF_INIT;
        r = op_seed_answer(&answer, e);
        return r < 0 ? r : op_done(s, &answer, e);
}

/* Nothing of this session may be left in the guest: no other stream, no process of the job. */
int op_park(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        (void)header;
        if (door_count(g->door) > 1 || !list_is_empty(&g->execs) || cgroup_job_is_populated())
                return door_refuse(s, "busy", "something runs in this guest", e);
        g->parked = true;
        return op_done(s, NULL, e);
}

/* A shutdown under way. Only one: it never ends but with the machine. */
struct shutdown {
        struct guest *g;
        struct door_stream *s;
        struct loop_timer *timer;
        uint64_t deadline;
        bool answered;
};

static __attribute__((noreturn)) void power_off(void)
{
        reboot(RB_POWER_OFF);
        for (;;)
                pause();
}

static void on_shutdown_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct shutdown *d = user;
        (void)s;
        (void)why;
        (void)refusal;
        d->s = NULL;
        if (d->answered)
                power_off();
}

static const struct door_handler shutdown_handler = {.end = on_shutdown_end};

static int shutdown_answer(struct shutdown *d, struct err *e)
{
        jobroot_done(&d->g->job);
        umount2(GUEST_SCRATCH, MNT_DETACH);
        umount2(GUEST_IMAGE, MNT_DETACH);
        d->answered = true;
        if (!d->s)
                power_off();
        int r = door_answer(d->s, NULL, e);
        r = r < 0 ? r : door_close(d->s, e);
        loop_timer_in(d->timer, SHUTDOWN_ANSWER_MS);
        return r < 0 ? r : guest_flush(d->g, e);
}

static int on_shutdown_timer(struct loop_timer *t, void *user, struct err *e)
{
        struct shutdown *d = user;
        bool left = false;
        if (d->answered)
                power_off();
        int r = cgroup_kill_job(&left, e);
        if (r < 0)
                return r;
        if (!left || clock_mono_ms() >= d->deadline)
                return shutdown_answer(d, e);
        loop_timer_in(t, SHUTDOWN_POLL_MS);
        return 0;
}

int op_shutdown(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        static struct shutdown d;
        (void)header;
        if (d.g)
                return door_refuse(s, "busy", "the guest is shutting down", e);
        d = (struct shutdown){.g = g, .s = s, .deadline = clock_mono_ms() + SHUTDOWN_KILL_MS};
        int r = loop_timer_new(g->loop, on_shutdown_timer, &d, &d.timer, e);
        if (r < 0)
                return r;
        door_accept(s, &shutdown_handler, &d);
        loop_timer_in(d.timer, 0);
        return 0;
}
