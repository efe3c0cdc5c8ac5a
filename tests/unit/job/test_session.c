/* The deadlines of a session, with short ones, and what a guest can make it hold. */
#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "job/seed.h"
#include "job/session.h"
#include "loop/loop.h"
#include "wire/guest.h"

#define LONG 60000u

static struct err err;
static struct loop *loop;
static struct session *session;
static int ends[2]; /* ours, the guest's */
static struct err failure;
static int seeded;
static struct door *guest;
static const char *rootfs;

static int on_ready(struct session *s, void *user, struct err *e)
{
        const struct seed_wish wish = {.hostname = "host", .rootfs = rootfs};
        (void)user;
        return session_seed(s, &wish, e);
}

static int on_seeded(struct session *s, const struct fields *answer, void *user, struct err *e)
{
        (void)s;
        (void)answer;
        (void)user;
        (void)e;
        seeded++;
        return 0;
}

static int on_failed(struct session *s, const struct err *why, void *user, struct err *e)
{
        (void)s;
        (void)user;
        (void)e;
        failure = *why;
        loop_quit(loop);
        return 0;
}

static void begin_as(enum vm_origin origin, const struct session_times *times)
{
        static const struct session_callbacks callbacks = {.ready = on_ready, .seeded = on_seeded, .failed = on_failed};
        failure = (struct err)ERR_INIT;
        seeded = 0;
        guest = NULL;
        rootfs = "overlay";
        assert_int_equal(fd_socketpair(SOCK_STREAM, ends, &err), 0);
        assert_int_equal(loop_new(&loop, &err), 0);
        assert_int_equal(session_new(loop, ends[0], origin, times, &callbacks, NULL, &session, &err), 0);
}

static void begin(const struct session_times *times)
{
        begin_as(VM_BOOTED, times);
}

static void end(enum err_code code)
{
        assert_int_equal(loop_run(loop, &err), 0);
        if (failure.code != code)
                fail_msg("%d: %s", failure.code, failure.msg);
        session_free(session);
        loop_free(loop);
        door_free(guest);
        close(ends[0]);
        close(ends[1]);
}

static void guest_sends(const void *data, size_t len)
{
        assert_int_equal(write(ends[1], data, len), (ssize_t)len);
}

static void guest_is_ready(void)
{
        uint8_t ready[GUEST_READY_SIZE];
        guest_ready_write(ready);
        guest_sends(ready, sizeof(ready));
}

/* A guest that answers its seed and then does what the test does. */
static int on_guest(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        uint8_t data[4096];
        struct buf b = BUF_INIT;
        size_t mark;
        (void)user;
        (void)events;
        ssize_t n = read(fd, data, sizeof(data));
        assert_true(n > 0);
        assert_int_equal(fields_begin(&b, &mark, e), 0);
        assert_int_equal(fields_add_str(&b, "status", "ok", e), 0);
        assert_int_equal(fields_end(&b, mark, e), 0);
        guest_sends(b.data, b.len);
        buf_done(&b);
        loop_io_free(io);
        return 0;
}

static void seed_answered(void)
{
        struct loop_io *io;
        guest_is_ready();
        assert_int_equal(loop_io_new(loop, ends[1], LOOP_READ, on_guest, NULL, &io, &err), 0);
}

static void no_ready_record_in_time_is_a_failed_boot(void **state)
{
        (void)state;
        begin(&(struct session_times){20, LONG, LONG, LONG, LONG});
        end(ERR_VM_BOOT_FAILED);
}

static void no_answer_to_the_seed_in_time_is_a_failed_boot(void **state)
{
        (void)state;
        begin(&(struct session_times){50, LONG, LONG, LONG, LONG});
        guest_is_ready();
        end(ERR_VM_BOOT_FAILED);
}

static int dribble(struct loop_timer *t, void *user, struct err *e)
{
        static const uint8_t header[] = {0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0x40, 0};
        size_t *at = user;
        (void)e;
        if (seeded && *at < sizeof(header))
                guest_sends(&header[(*at)++], 1);
        loop_timer_in(t, 5);
        return 0;
}

static void one_byte_at_a_time_is_cut_off(void **state)
{
        struct loop_timer *t;
        size_t at = 0;
        (void)state;
        begin(&(struct session_times){LONG, 40, LONG, LONG, LONG});
        seed_answered();
        assert_int_equal(loop_timer_new(loop, dribble, &at, &t, &err), 0);
        loop_timer_in(t, 1);
        end(ERR_PROTOCOL);
        assert_true(at > 1 && at < 13);
        assert_contains(failure.msg, "in the middle of a message");
}

static void an_unanswered_ping_is_a_lost_guest(void **state)
{
        (void)state;
        begin(&(struct session_times){LONG, LONG, LONG, 1, 30});
        seed_answered();
        end(ERR_GUEST_LOST);
}

static int write_much(struct loop_timer *t, void *user, struct err *e)
{
        (void)user;
        if (!seeded) {
                loop_timer_in(t, 1);
                return 0;
        }
        static const uint8_t data[60000];
        static const struct door_handler handler = {0};
        for (int i = 0; i < 40; i++) {
                struct door_stream *stream;
                struct buf b = BUF_INIT;
                size_t mark;
                assert_int_equal(fields_begin(&b, &mark, e), 0);
                assert_int_equal(fields_add(&b, "op", data, sizeof(data), e), 0);
                assert_int_equal(fields_end(&b, mark, e), 0);
                assert_int_equal(door_open(session_door(session), &b, &handler, NULL, &stream, e), 0);
                buf_done(&b);
        }
        session_wake(session);
        return 0;
}

static void a_guest_that_never_reads_is_cut_off(void **state)
{
        struct loop_timer *t;
        (void)state;
        begin(&(struct session_times){LONG, LONG, 30, LONG, LONG});
        seed_answered();
        int size = 4096;
        assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        assert_int_equal(loop_timer_new(loop, write_much, NULL, &t, &err), 0);
        loop_timer_in(t, 1);
        end(ERR_PROTOCOL);
        assert_contains(failure.msg, "does not read");
}

static void a_closed_channel_is_a_failed_boot_before_the_seed_and_a_lost_guest_after(void **state)
{
        (void)state;
        begin(&(struct session_times){LONG, LONG, LONG, LONG, LONG});
        shutdown(ends[1], SHUT_RDWR);
        end(ERR_VM_BOOT_FAILED);
}

static void each_seed_has_its_own_nonce(void **state)
{
        static const uint8_t zero[GUEST_NONCE_SIZE];
        (void)state;
        begin(&(struct session_times){100, LONG, LONG, LONG, LONG});
        guest_is_ready();
        assert_true(session_nonce_is(session, zero, sizeof(zero))); /* none yet */
        assert_int_equal(loop_run(loop, &err), 0);
        assert_false(session_nonce_is(session, zero, sizeof(zero)));
        assert_false(session_nonce_is(session, zero, 0));
        session_free(session);
        loop_free(loop);
        close(ends[0]);
        close(ends[1]);
}

/* --- a VM that somebody else owned before --- */

static const char *seed_answer; /* the status of the guest's answer; NULL: it resets the stream */
static bool seeded_with_rootfs; /* by the last seed */

static int answer_seed(struct buf *b, const char *status, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);
        r = r < 0 ? r : fields_add_str(b, "status", status, e);
        r = r < 0 ? r : fields_add_str(b, "message", "no\x1b luck", e);
        return r < 0 ? r : fields_end(b, mark, e);
}

static int on_guest_seed(struct door *d, const struct fields *seed, void *user, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        (void)user;
        seeded_with_rootfs = fields_get(seed, "rootfs");
        int r = answer_seed(&b, "ok", e);
        return r < 0 ? r : door_seeded(d, &b, e);
}

static int on_guest_request(struct door_stream *s, const char *op, const struct fields *header, void *user,
                            struct err *e)
{
        static const struct door_handler none = {0};
        AUTO(buf_done) struct buf b = BUF_INIT;
        (void)user;
        assert_string_equal(op, "seed");
        seeded_with_rootfs = fields_get(header, "rootfs");
        if (!seed_answer)
                return door_reset(s, e);
        if (strcmp(seed_answer, "ok") != 0)
                return door_refuse(s, "invalid", "no\x1b luck", e);
        door_accept(s, &none, NULL);
        int r = answer_seed(&b, "ok", e);
        r = r < 0 ? r : door_answer(s, &b, e);
        return r < 0 ? r : door_close(s, e);
}

static void guest_flush(void)
{
        const uint8_t *out;
        for (size_t n; (n = door_output(guest, &out)) > 0;) {
                guest_sends(out, n);
                assert_int_equal(door_output_done(guest, n, &err), 0);
        }
}

static int on_guest_bytes(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        uint8_t data[4096];
        (void)events;
        (void)user;
        ssize_t n = read(fd, data, sizeof(data));
        if (n <= 0) {
                loop_io_free(io);
                return 0;
        }
        assert_int_equal(door_input(guest, data, (size_t)n, e), 0);
        guest_flush();
        return 0;
}

/* A guest whose ready record was read by somebody else; parked: it was seeded by somebody else, too. */
static void guest_of_another(bool parked)
{
        static const struct door_callbacks callbacks = {.seed = on_guest_seed, .request = on_guest_request};
        static const struct door_limits limits = DOOR_LIMITS_GUEST;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct loop_io *io;
        const uint8_t *out;
        size_t mark, n;
        seed_answer = "ok";
        assert_int_equal(door_new(DOOR_GUEST, &limits, &callbacks, NULL, &guest, &err), 0);
        if (parked) {
                assert_int_equal(fields_begin(&b, &mark, &err), 0);
                assert_int_equal(fields_add_str(&b, "op", "seed", &err), 0);
                assert_int_equal(fields_end(&b, mark, &err), 0);
                assert_int_equal(door_input(guest, b.data, b.len, &err), 0);
        }
        while ((n = door_output(guest, &out)) > 0)
                assert_int_equal(door_output_done(guest, n, &err), 0);
        assert_int_equal(loop_io_new(loop, ends[1], LOOP_READ, on_guest_bytes, NULL, &io, &err), 0);
}

static int on_tick(struct loop_timer *t, void *user, struct err *e)
{
        (void)user;
        (void)e;
        if (seeded)
                loop_quit(loop);
        loop_timer_in(t, 1);
        return 0;
}

static void until_seeded(void)
{
        struct loop_timer *net;
        assert_int_equal(loop_timer_new(loop, on_tick, NULL, &net, &err), 0);
        loop_timer_in(net, 1);
        assert_int_equal(loop_run(loop, &err), 0);
        loop_timer_free(net);
        if (failure.code)
                fail_msg("%s", failure.msg);
        assert_int_equal(seeded, 1);
}

static void a_clone_is_seeded_without_a_ready_record(void **state)
{
        (void)state;
        begin_as(VM_CLONED, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
        guest_of_another(false);
        until_seeded();
        assert_true(seeded_with_rootfs);
        shutdown(ends[1], SHUT_RDWR);
        end(ERR_GUEST_LOST);
}

static void a_parked_guest_is_seeded_inside_its_session(void **state)
{
        (void)state;
        begin_as(VM_PARKED, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
        guest_of_another(true);
        until_seeded();
        assert_false(seeded_with_rootfs);
        shutdown(ends[1], SHUT_RDWR);
        end(ERR_GUEST_LOST);
}

static void a_clone_or_parked_guest_that_does_not_answer_its_seed_is_a_failed_boot(void **state)
{
        (void)state;
        for (enum vm_origin o = VM_CLONED; o <= VM_PARKED; o++) {
                begin_as(o, &(struct session_times){30, LONG, LONG, LONG, LONG});
                end(ERR_VM_BOOT_FAILED);
                assert_contains(failure.msg, "did not answer its seed");
        }
}

static void a_ready_record_of_a_clone_or_parked_guest_breaks_the_protocol(void **state)
{
        (void)state;
        for (enum vm_origin o = VM_CLONED; o <= VM_PARKED; o++) {
                begin_as(o, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
                guest_is_ready();
                end(ERR_PROTOCOL);
        }
}

static void a_refused_or_reset_second_seed_is_a_failed_boot_in_printable_words(void **state)
{
        (void)state;
        begin_as(VM_PARKED, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
        guest_of_another(true);
        seed_answer = "error";
        end(ERR_VM_BOOT_FAILED);
        assert_contains(failure.msg, "no? luck");
        begin_as(VM_PARKED, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
        guest_of_another(true);
        seed_answer = NULL;
        end(ERR_VM_BOOT_FAILED);
}

static void a_parked_guest_cannot_get_another_root(void **state)
{
        (void)state;
        begin_as(VM_PARKED, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
        guest_of_another(true);
        rootfs = "read-only";
        end(ERR_USAGE);
}

static void a_closed_channel_is_a_failed_boot_until_the_seed_is_answered(void **state)
{
        (void)state;
        for (enum vm_origin o = VM_CLONED; o <= VM_PARKED; o++) {
                begin_as(o, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
                shutdown(ends[1], SHUT_RDWR);
                end(ERR_VM_BOOT_FAILED);
        }
}

static void what_a_guest_sent_before_it_was_stopped_is_taken_in_and_checked(void **state)
{
        static const uint8_t ping[] = {0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9};
        (void)state;
        begin_as(VM_PARKED, &(struct session_times){LONG, LONG, LONG, LONG, LONG});
        assert_true(session_is_idle(session));
        guest_sends(ping, 5);
        assert_int_equal(session_drain(session, NULL), 0);
        assert_false(session_is_idle(session));
        guest_sends(ping + 5, sizeof(ping) - 5);
        assert_int_equal(session_drain(session, NULL), 0);
        assert_false(session_is_over(session));
        assert_true(session_is_idle(session)); /* the answer to the ping was written */
        guest_sends(ping, sizeof(ping));
        guest_sends("\1", 1);
        guest_sends(ping, sizeof(ping));
        assert_int_equal(session_drain(session, NULL), 0);
        assert_true(session_is_over(session));
        end(ERR_PROTOCOL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_ready_record_in_time_is_a_failed_boot),
                cmocka_unit_test(no_answer_to_the_seed_in_time_is_a_failed_boot),
                cmocka_unit_test(one_byte_at_a_time_is_cut_off),
                cmocka_unit_test(an_unanswered_ping_is_a_lost_guest),
                cmocka_unit_test(a_guest_that_never_reads_is_cut_off),
                cmocka_unit_test(a_closed_channel_is_a_failed_boot_before_the_seed_and_a_lost_guest_after),
                cmocka_unit_test(each_seed_has_its_own_nonce),
                cmocka_unit_test(a_clone_is_seeded_without_a_ready_record),
                cmocka_unit_test(a_parked_guest_is_seeded_inside_its_session),
                cmocka_unit_test(a_clone_or_parked_guest_that_does_not_answer_its_seed_is_a_failed_boot),
                cmocka_unit_test(a_ready_record_of_a_clone_or_parked_guest_breaks_the_protocol),
                cmocka_unit_test(a_refused_or_reset_second_seed_is_a_failed_boot_in_printable_words),
                cmocka_unit_test(a_parked_guest_cannot_get_another_root),
                cmocka_unit_test(a_closed_channel_is_a_failed_boot_until_the_seed_is_answered),
                cmocka_unit_test(what_a_guest_sent_before_it_was_stopped_is_taken_in_and_checked),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
