#include "job/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "job/seed.h"
#include "loop/loop.h"
#include "vm/vsock.h"

struct session {
        struct loop *loop;
        enum vm_origin origin;
        int fd;
        struct session_times times;
        struct session_callbacks callbacks;
        void *user;
        struct door *door;
        struct loop_io *io;
        struct loop_timer *boot, *midway, *stall, *ping, *pong, *turn;
        unsigned watched; /* events asked of the loop */
        bool ready_owed;  /* the ready record was read by the owner before us */
        bool over, told;
        struct err why;
        uint64_t in, out, midway_in;
        uint32_t ping_value;
        uint8_t nonce[GUEST_NONCE_SIZE];
        uint8_t read_buf[SESSION_READ];
};

void session_fail(struct session *s, const struct err *why)
{
        if (s->over)
                return;
        s->over = true;
        s->why = *why;
        loop_timer_off(s->boot);
        loop_timer_off(s->midway);
        loop_timer_off(s->stall);
        loop_timer_off(s->ping);
        loop_timer_off(s->pong);
        s->io = loop_io_free(s->io);
        loop_timer_in(s->turn, 0);
}

static void fail_with(struct session *s, enum err_code code, const char *message)
{
        struct err why = ERR_INIT;
        err_set(&why, code, "%s", message);
        session_fail(s, &why);
}

void session_unseeded(struct session *s)
{
        loop_timer_off(s->boot);
}

bool session_is_over(const struct session *s)
{
        return s->over;
}

struct door *session_door(struct session *s)
{
        return s->door;
}

uint64_t session_bytes_in(const struct session *s)
{
        return s->in;
}

uint64_t session_bytes_out(const struct session *s)
{
        return s->out;
}

bool session_nonce_is(const struct session *s, const void *nonce, size_t len)
{
        return len == sizeof(s->nonce) && secret_equal(s->nonce, nonce, len);
}

/* ---- bytes ---- */

/* Hand what the door has to the channel until that is full. A guest that does not read has stall_ms to take something.
 */
static int write_out(struct session *s, struct err *e)
{
        const uint8_t *data;
        size_t len;
        while (!s->over && (len = door_output(s->door, &data)) > 0) {
                ssize_t n = write(s->fd, data, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        fail_with(s, ERR_GUEST_LOST, "the channel to the guest is closed");
                        return 0;
                }
                s->out += (uint64_t)n;
                loop_timer_off(s->stall);
                int r = door_output_done(s->door, (size_t)n, e);
                if (r < 0)
                        return r;
        }
        if (s->over)
                return 0;
        bool blocked = door_output(s->door, &data) > 0;
        unsigned watch = LOOP_READ | (blocked ? LOOP_WRITE : 0);
        if (blocked && !loop_timer_is_armed(s->stall))
                loop_timer_in(s->stall, s->times.stall_ms);
        if (watch == s->watched)
                return 0;
        s->watched = watch;
        return loop_io_set(s->io, watch, e);
}

/* Is something of the guest incomplete, and since when? */
static void watch_midway(struct session *s)
{
        if (!door_is_midway(s->door)) {
                loop_timer_off(s->midway);
        } else if (!loop_timer_is_armed(s->midway)) {
                s->midway_in = s->in;
                loop_timer_in(s->midway, s->times.midway_ms);
        }
}

static int on_midway(struct loop_timer *t, void *user, struct err *e)
{
        struct session *s = user;
        (void)t;
        (void)e;
        if (s->in - s->midway_in < SESSION_MIDWAY_MIN)
                fail_with(s, ERR_PROTOCOL, "the guest stopped in the middle of a message");
        else
                watch_midway(s);
        return 0;
}

static int on_stall(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        (void)e;
        fail_with(user, ERR_PROTOCOL, "the guest does not read what it is sent");
        return 0;
}

static int on_boot(struct loop_timer *t, void *user, struct err *e)
{
        struct session *s = user;
        struct err why = ERR_INIT;
        (void)t;
        (void)e;
        err_set(&why, ERR_VM_BOOT_FAILED, "the guest %s within %llu ms",
                s->origin == VM_BOOTED ? "was not ready" : "did not answer its seed",
                (unsigned long long)s->times.boot_ms);
        session_fail(s, &why);
        return 0;
}

/* A failure inside the door is the guest's: everything of ours is checked before it goes in. */
static void take_in(struct session *s, size_t len)
{
        struct err why = ERR_INIT;
        s->in += len;
        if (door_input(s->door, s->read_buf, len, &why) < 0)
                session_fail(s, &why);
        secret_wipe(s->read_buf, len); /* output and files of a step may hold its secrets */
}

/* Returns how many bytes came; 0 also when the session is over. */
static size_t read_some(struct session *s)
{
        ssize_t n = read(s->fd, s->read_buf, sizeof(s->read_buf));
        if (n > 0)
                take_in(s, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                fail_with(s, loop_timer_is_armed(s->boot) ? ERR_VM_BOOT_FAILED : ERR_GUEST_LOST,
                          "the channel to the guest is closed: the virtual machine has ended");
        return n > 0 && !s->over ? (size_t)n : 0;
}

int session_drain(struct session *s, struct err *e)
{
        uint64_t before = s->in;
        while (!s->over && read_some(s) > 0)
                if (s->in - before > SESSION_MAX_DRAIN)
                        fail_with(s, ERR_PROTOCOL, "a guest that stands goes on sending");
        return s->over ? 0 : write_out(s, e);
}

bool session_is_idle(const struct session *s)
{
        return !s->over && door_is_idle(s->door);
}

/* The end of every turn. */
static int turn_over(struct session *s, struct err *e)
{
        int r = write_out(s, e);
        return r == 0 && s->callbacks.idle && session_is_idle(s) ? s->callbacks.idle(s, s->user, e) : r;
}

static int on_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct session *s = user;
        (void)io;
        (void)fd;
        if (events & (LOOP_READ | LOOP_HANGUP))
                read_some(s);
        if (s->over)
                return 0;
        watch_midway(s);
        return turn_over(s, e);
}

/* vsock: the guest's connection takes the listener's place. A flood of strangers costs the boot deadline, no more. */
static int on_connection(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct session *s = user;
        struct err why = ERR_INIT;
        (void)io;
        (void)events;
        s->io = loop_io_free(s->io);
        int r = vsock_take(fd, &why);
        if (r < 0) {
                session_fail(s, &why);
                return 0;
        }
        return loop_io_new(s->loop, fd, LOOP_READ, r == VSOCK_E_WAIT ? on_connection : on_io, s, &s->io, e);
}

static int tell_ready(struct session *s, struct err *e)
{
        bool owed = s->ready_owed;
        s->ready_owed = false;
        return owed ? s->callbacks.ready(s, s->user, e) : 0;
}

/* From the loop: what session_wake() asked for, or the end that the owner is told of. */
static int on_turn(struct loop_timer *t, void *user, struct err *e)
{
        struct session *s = user;
        (void)t;
        if (!s->over) {
                struct err why = ERR_INIT;
                if (tell_ready(s, &why) < 0 || turn_over(s, &why) < 0)
                        session_fail(s, &why);
                return 0;
        }
        if (s->told)
                return 0;
        s->told = true;
        return s->callbacks.failed(s, &s->why, s->user, e);
}

void session_wake(struct session *s)
{
        if (!s->over)
                loop_timer_in(s->turn, 0);
}

/* ---- the door's word ---- */

static int on_ready(struct door *d, void *user, struct err *e)
{
        struct session *s = user;
        (void)d;
        return s->callbacks.ready(s, s->user, e);
}

static void ping_later(struct session *s)
{
        if (s->times.ping_ms)
                loop_timer_in(s->ping, s->times.ping_ms);
}

static int on_seeded(struct door *d, const struct fields *answer, void *user, struct err *e)
{
        struct session *s = user;
        (void)d;
        loop_timer_off(s->boot);
        ping_later(s);
        return s->callbacks.seeded(s, answer, s->user, e);
}

static int on_ping(struct loop_timer *t, void *user, struct err *e)
{
        struct session *s = user;
        (void)t;
        int r = door_ping(s->door, ++s->ping_value, e);
        if (r < 0)
                return r;
        loop_timer_in(s->pong, s->times.pong_ms);
        session_wake(s);
        return 0;
}

static int on_pong(struct door *d, uint32_t value, void *user, struct err *e)
{
        struct session *s = user;
        (void)d;
        if (value != s->ping_value || !loop_timer_is_armed(s->pong))
                return err_set(e, ERR_PROTOCOL, "the guest answered a ping that was not sent");
        loop_timer_off(s->pong);
        ping_later(s);
        return 0;
}

static int on_no_pong(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        (void)e;
        fail_with(user, ERR_GUEST_LOST, "the guest does not answer any more");
        return 0;
}

static int on_request(struct door_stream *stream, const char *op, const struct fields *header, void *user,
                      struct err *e)
{
        struct session *s = user;
        return s->callbacks.request ? s->callbacks.request(stream, op, header, s->user, e) : 0;
}

static int on_goaway(struct door *d, uint32_t reason, void *user, struct err *e)
{
        (void)d;
        (void)user;
        return err_set(e, ERR_PROTOCOL, "the guest ended the session (reason %u)", reason);
}

/* ---- life ---- */

static int make_timers(struct session *s, struct loop *l, struct err *e)
{
        const struct {
                struct loop_timer **timer;
                loop_timer_fn *fn;
        } all[] = {{&s->boot, on_boot}, {&s->midway, on_midway}, {&s->stall, on_stall},
                   {&s->ping, on_ping}, {&s->pong, on_no_pong},  {&s->turn, on_turn}};
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                int r = loop_timer_new(l, all[i].fn, s, all[i].timer, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

CLEANUP_DEFINE(struct session, session_free)

static const enum door_entry entries[] = {
        [VM_BOOTED] = DOOR_AT_READY, [VM_CLONED] = DOOR_AT_SEED, [VM_PARKED] = DOOR_IN_SESSION};

int session_new(struct loop *l, int fd, enum vm_origin origin, const struct session_times *times,
                const struct session_callbacks *callbacks, void *user, struct session **ret, struct err *e)
{
        static const struct door_callbacks door = {
                .ready = on_ready, .seeded = on_seeded, .request = on_request, .pong = on_pong, .goaway = on_goaway};
        static const struct door_limits limits = DOOR_LIMITS_HOST;
        AUTO(session_freep) struct session *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->loop = l;
        s->fd = fd;
        s->origin = origin;
        s->ready_owed = origin != VM_BOOTED;
        s->times = *times;
        s->callbacks = *callbacks;
        s->user = user;
        s->watched = LOOP_READ;
        int r = fd_set_nonblock(fd, true, e);
        if (r == 0)
                r = door_new(DOOR_HOST, &limits, &door, s, &s->door, e);
        if (r == 0)
                r = make_timers(s, l, e);
        if (r == 0)
                r = loop_io_new(l, fd, LOOP_READ, vsock_is_listener(fd) ? on_connection : on_io, s, &s->io, e);
        if (r < 0)
                return r;
        door_enter(s->door, entries[origin]);
        loop_timer_in(s->boot, times->boot_ms);
        loop_timer_in(s->turn, 0);
        *ret = TAKE_PTR(s);
        return 0;
}

struct session *session_free(struct session *s)
{
        if (!s)
                return NULL;
        struct loop_timer *timers[] = {s->boot, s->midway, s->stall, s->ping, s->pong, s->turn};
        for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
                if (timers[i])
                        loop_timer_free(timers[i]);
        if (s->io)
                loop_io_free(s->io);
        door_free(s->door);
        secret_wipe(s, sizeof(*s));
        free(s);
        return NULL;
}

/* ---- the seed ---- */

static int on_seed_answer(struct door_stream *stream, const struct fields *answer, void *user, struct err *e)
{
        struct session *s = user;
        (void)stream;
        return on_seeded(s->door, answer, s, e);
}

/* The seed of a guest that had one, as an operation. Anything but an answer and its end is a failed claim. */
static void on_seed_end(struct door_stream *stream, enum door_end why, const struct fields *refusal, void *user)
{
        struct session *s = user;
        const char *message = "no reason given";
        char text[256];
        struct err e = ERR_INIT;
        (void)stream;
        if (s->over || why == DOOR_CLOSED)
                return;
        if (refusal && fields_str_opt(refusal, "message", message, &message, &e) < 0)
                message = "its reason is no text";
        str_copy_plain(text, sizeof(text), message);
        err_set(&e, ERR_VM_BOOT_FAILED, "the guest could not apply its seed: %s", text);
        session_fail(s, &e);
}

static const struct door_handler seed_handler = {.answer = on_seed_answer, .end = on_seed_end};

static int send_again(struct session *s, const struct buf *list, struct err *e)
{
        struct door_stream *stream;
        int r = door_open(s->door, list, &seed_handler, s, &stream, e);
        return r == 0 ? door_close(stream, e) : r > 0 ? err_set(e, ERR_PROTOCOL, "the guest takes no operations") : r;
}

int session_seed(struct session *s, const struct seed_wish *w, struct err *e)
{
        bool again = door_is_open(s->door);
        const struct seed_wish wish = {w->hostname, again ? NULL : w->rootfs, w->pids};
        struct buf b = BUF_INIT;
        int r = 0;
        if (again && strcmp(w->rootfs, "overlay") != 0)
                return err_set(e, ERR_USAGE,
                               "a parked virtual machine has a root that can be written, the job wants rootfs '%s'",
                               w->rootfs);
        r = seed_build(&wish, s->nonce, &b, e);
        if (r == 0)
                r = again ? send_again(s, &b, e) : door_seed(s->door, &b, e);
        buf_wipe(&b);
        session_wake(s);
        return r;
}
