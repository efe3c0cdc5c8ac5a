#include "test.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "loop/spawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

CLEANUP_DEFINE(struct loop, loop_free)

static struct loop *new_loop(void)
{
        struct loop *l = NULL;
        assert_int_equal(loop_new(&l, NULL), 0);
        return l;
}

static void nothing_to_wait_for_ends_it(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct loop_timer *t;
        assert_int_equal(loop_timer_new(l, NULL, NULL, &t, NULL), 0);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_null(loop_free(NULL));
}

struct order {
        struct loop_timer *timers[4];
        char text[64];
};

static int note(struct loop_timer *t, void *user, struct err *e)
{
        (void)e;
        struct order *o = user;
        for (int i = 0; i < 4; i++) {
                if (o->timers[i] == t) {
                        size_t n = strlen(o->text);
                        o->text[n] = (char)('0' + i);
                        o->text[n + 1] = 0;
                }
        }
        assert_false(loop_timer_is_armed(t));
        return 0;
}

static void timers_fire_by_deadline_then_by_arming(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct order o = {0};
        for (int i = 0; i < 4; i++)
                assert_int_equal(loop_timer_new(l, note, &o, &o.timers[i], NULL), 0);
        uint64_t now = clock_mono_ms();
        loop_timer_at(o.timers[2], now + 3);
        loop_timer_at(o.timers[1], now + 1);
        loop_timer_at(o.timers[3], now + 1);
        loop_timer_at(o.timers[0], now);
        loop_timer_at(o.timers[2], now + 2);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_string_equal(o.text, "0132");
        loop_timer_in(o.timers[0], UINT64_MAX);
        assert_true(loop_timer_is_armed(o.timers[0]));
        loop_timer_off(o.timers[0]);
        loop_timer_off(o.timers[0]);
        assert_int_equal(loop_run(l, NULL), 0);
}

static int expect_order(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        unsigned *last = user;
        (void)e;
        ++*last;
        return 0;
}

/* The heap against a plain model: random arming, disarming and freeing; each armed timer fires once. */
static void many_timers_fire_once_each(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct loop_timer *timers[200];
        unsigned fired[200] = {0}, seed = 1;
        for (int i = 0; i < 200; i++)
                assert_int_equal(loop_timer_new(l, expect_order, &fired[i], &timers[i], NULL), 0);
        for (int i = 0; i < 2000; i++) {
                seed = seed * 1103515245u + 12345u;
                unsigned k = (seed >> 16) % 200;
                if ((seed >> 8) % 3)
                        loop_timer_in(timers[k], (seed >> 20) % 8);
                else
                        loop_timer_off(timers[k]);
        }
        bool armed[200];
        for (int i = 0; i < 200; i++) {
                armed[i] = loop_timer_is_armed(timers[i]);
                if (i % 7 == 0) {
                        timers[i] = loop_timer_free(timers[i]);
                        armed[i] = false;
                }
        }
        assert_int_equal(loop_run(l, NULL), 0);
        for (int i = 0; i < 200; i++)
                assert_int_equal(fired[i], armed[i]);
}

static int rearm(struct loop_timer *t, void *user, struct err *e)
{
        (void)e;
        int *left = user;
        if (--*left > 0)
                loop_timer_in(t, 0);
        else
                loop_timer_free(t);
        return 0;
}

static int quit_when_readable(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io, (void)fd, (void)events, (void)e;
        loop_quit(user);
        return 0;
}

static void timer_that_rearms_itself_does_not_starve_others(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct loop_timer *t;
        struct loop_io *io;
        int left = 1 << 30, p[2];
        assert_int_equal(fd_pipe(p, NULL), 0);
        assert_int_equal(fd_write_all(p[1], "x", 1, "x", NULL), 0);
        assert_int_equal(loop_timer_new(l, rearm, &left, &t, NULL), 0);
        assert_int_equal(loop_io_new(l, p[0], LOOP_READ, quit_when_readable, l, &io, NULL), 0);
        loop_timer_in(t, 0);
        assert_int_equal(loop_run(l, NULL), 0);
        left = 3;
        io = loop_io_free(io);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_int_equal(left, 0);
        fd_close(p[0]);
        fd_close(p[1]);
}

static int fail_with_protocol(struct loop_timer *t, void *user, struct err *e)
{
        (void)t, (void)user;
        return err_set(e, ERR_PROTOCOL, "broken");
}

static void error_of_a_callback_ends_the_loop(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct loop_timer *t;
        struct err e = ERR_INIT;
        assert_int_equal(loop_timer_new(l, fail_with_protocol, NULL, &t, NULL), 0);
        loop_timer_in(t, 0);
        assert_int_equal(loop_run(l, &e), -1);
        assert_int_equal(e.code, ERR_PROTOCOL);
}

struct pair {
        struct loop_io *io[2];
        int calls;
};

static int free_both(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io, (void)fd, (void)events, (void)e;
        struct pair *p = user;
        p->calls++;
        for (int i = 0; i < 2; i++)
                p->io[i] = loop_io_free(p->io[i]);
        return 0;
}

static void freed_source_is_not_called_in_the_same_turn(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct pair pair = {0};
        int s[2];
        assert_int_equal(fd_socketpair(SOCK_STREAM, s, NULL), 0);
        for (int i = 0; i < 2; i++)
                assert_int_equal(loop_io_new(l, s[i], LOOP_WRITE, free_both, &pair, &pair.io[i], NULL), 0);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_int_equal(pair.calls, 1);
        fd_close(s[0]);
        fd_close(s[1]);
}

struct reader {
        char got[16];
        size_t n;
        bool ended;
};

static int read_some(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)e;
        struct reader *r = user;
        assert_true(events & LOOP_READ);
        ssize_t n = read(fd, r->got + r->n, sizeof(r->got) - r->n);
        assert_true(n >= 0);
        r->n += (size_t)n;
        if (n == 0) {
                r->ended = true;
                assert_true(events & LOOP_HANGUP);
                loop_io_free(io);
        }
        return 0;
}

static void reader_sees_data_then_the_end(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct reader r = {0};
        struct loop_io *io;
        int p[2];
        assert_int_equal(fd_pipe(p, NULL), 0);
        assert_int_equal(fd_write_all(p[1], "hello", 5, "x", NULL), 0);
        fd_close(p[1]);
        assert_int_equal(loop_io_new(l, p[0], LOOP_READ, read_some, &r, &io, NULL), 0);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_true(r.ended);
        assert_string_equal(r.got, "hello");
        fd_close(p[0]);
}

static int count_hangup(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io, (void)fd, (void)e;
        assert_int_equal(events, LOOP_HANGUP);
        ++*(int *)user;
        return 0;
}

static int quit_later(struct loop_timer *t, void *user, struct err *e)
{
        (void)t, (void)e;
        loop_quit(user);
        return 0;
}

static void paused_source_reports_a_hangup_once(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct loop_io *io;
        struct loop_timer *t;
        int p[2], calls = 0;
        assert_int_equal(fd_pipe(p, NULL), 0);
        assert_int_equal(loop_io_new(l, p[0], LOOP_READ, count_hangup, &calls, &io, NULL), 0);
        assert_int_equal(loop_io_set(io, 0, NULL), 0);
        assert_int_equal(loop_io_set(io, 0, NULL), 0);
        fd_close(p[1]);
        assert_int_equal(loop_timer_new(l, quit_later, l, &t, NULL), 0);
        loop_timer_in(t, 20);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_int_equal(calls, 1);
        loop_io_free(io);
        fd_close(p[0]);
}

static void descriptor_that_cannot_be_watched_is_an_error(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct loop_io *io;
        struct err e = ERR_INIT;
        AUTO(auto_close) int fd = -1;
        assert_int_equal(fd_memfd("regular", &fd, NULL), 0);
        assert_int_equal(loop_io_new(l, fd, LOOP_READ, read_some, NULL, &io, &e), -1);
        assert_int_equal(e.errnum, EPERM);
        assert_int_equal(loop_run(l, NULL), 0);
}

static int note_signal(int signo, void *user, struct err *e)
{
        (void)e;
        *(int *)user = signo;
        return 0;
}

static int raise_and_wait(struct loop_timer *t, void *user, struct err *e)
{
        (void)e;
        raise(SIGUSR1);
        if (*(int *)user)
                loop_timer_free(t);
        else
                loop_timer_in(t, 1);
        return 0;
}

static void signals_arrive_in_the_loop(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct loop_signal *s;
        struct loop_timer *t;
        int seen = 0;
        sigset_t set;
        assert_int_equal(loop_signal_new(l, SIGUSR1, note_signal, &seen, &s, NULL), 0);
        assert_int_equal(loop_timer_new(l, raise_and_wait, &seen, &t, NULL), 0);
        loop_timer_in(t, 0);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_int_equal(seen, SIGUSR1);
        sigprocmask(SIG_BLOCK, NULL, &set);
        assert_true(sigismember(&set, SIGUSR1));
        /* One may still be pending; freeing the source must not let it kill us. */
        signal(SIGUSR1, SIG_IGN);
        assert_null(loop_signal_free(s));
        sigprocmask(SIG_BLOCK, NULL, &set);
        assert_false(sigismember(&set, SIGUSR1));
        signal(SIGUSR1, SIG_DFL);
}

struct ended {
        int code, signo, calls;
};

static int note_child(struct loop_child *c, int code, int signo, void *user, struct err *e)
{
        (void)e;
        struct ended *ended = user;
        ended->code = code;
        ended->signo = signo;
        ended->calls++;
        assert_int_equal(loop_child_kill(c, SIGKILL), 0);
        loop_child_free(c);
        return 0;
}

static struct loop_child *start_shell(struct loop *l, const char *script, struct ended *ended)
{
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};
        char *envp[] = {NULL};
        struct spawn s = SPAWN_INIT;
        s.path = "/bin/sh";
        s.argv = argv;
        s.envp = envp;
        pid_t pid;
        int pidfd;
        struct loop_child *c;
        assert_int_equal(spawn(&s, &pid, &pidfd, NULL), 0);
        assert_int_equal(loop_child_new(l, pid, pidfd, note_child, ended, &c, NULL), 0);
        return c;
}

static void children_report_code_or_signal(void **state)
{
        (void)state;
        AUTO(loop_freep) struct loop *l = new_loop();
        struct ended a = {0}, b = {0};
        start_shell(l, "exit 7", &a);
        struct loop_child *sleeper = start_shell(l, "exec sleep 1000", &b);
        assert_int_equal(loop_child_kill(sleeper, SIGTERM), 0);
        assert_int_equal(loop_run(l, NULL), 0);
        assert_int_equal(a.code, 7);
        assert_int_equal(a.signo, -1);
        assert_int_equal(a.calls, 1);
        assert_int_equal(b.code, -1);
        assert_int_equal(b.signo, SIGTERM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_to_wait_for_ends_it),
                cmocka_unit_test(timers_fire_by_deadline_then_by_arming),
                cmocka_unit_test(many_timers_fire_once_each),
                cmocka_unit_test(timer_that_rearms_itself_does_not_starve_others),
                cmocka_unit_test(error_of_a_callback_ends_the_loop),
                cmocka_unit_test(freed_source_is_not_called_in_the_same_turn),
                cmocka_unit_test(reader_sees_data_then_the_end),
                cmocka_unit_test(paused_source_reports_a_hangup_once),
                cmocka_unit_test(descriptor_that_cannot_be_watched_is_an_error),
                cmocka_unit_test(signals_arrive_in_the_loop),
                cmocka_unit_test(children_report_code_or_signal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
