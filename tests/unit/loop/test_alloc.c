/* Every allocation of loop fails once. */
#include "test.h"

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "loop/spawn.h"

#include <signal.h>
#include <unistd.h>

CLEANUP_DEFINE(struct loop, loop_free)

static int do_nothing_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)fd, (void)events, (void)user, (void)e;
        loop_io_free(io);
        return 0;
}

static int do_nothing_timer(struct loop_timer *t, void *user, struct err *e)
{
        (void)t, (void)user, (void)e;
        return 0;
}

static int do_nothing_signal(int signo, void *user, struct err *e)
{
        (void)signo, (void)user, (void)e;
        return 0;
}

static int use_loop(void *user, struct err *e)
{
        const int *p = user;
        AUTO(loop_freep) struct loop *l = NULL;
        struct loop_io *io;
        struct loop_signal *s;
        struct loop_timer *t;
        int r = loop_new(&l, e);
        if (r == 0)
                r = loop_io_new(l, p[1], LOOP_WRITE, do_nothing_io, NULL, &io, e);
        if (r == 0)
                r = loop_signal_new(l, SIGUSR2, do_nothing_signal, NULL, &s, e);
        for (int i = 0; r == 0 && i < 20; i++) {
                r = loop_timer_new(l, do_nothing_timer, NULL, &t, e);
                if (r == 0)
                        loop_timer_in(t, 0);
        }
        return r == 0 ? loop_run(l, e) : r;
}

static int use_spawn(void *user, struct err *e)
{
        (void)user;
        AUTO(buf_done) struct buf out = BUF_INIT;
        char *argv[] = {(char[]){"echo"}, (char[]){"x"}, NULL};
        char *envp[] = {NULL};
        struct spawn s = SPAWN_INIT;
        int status;
        s.path = "/bin/echo";
        s.argv = argv;
        s.envp = envp;
        return spawn_wait(&s, &out, NULL, 100, 60000, &status, e);
}

static void every_allocation_may_fail(void **state)
{
        (void)state;
        int p[2];
        assert_int_equal(fd_pipe(p, NULL), 0);
        assert_true(alloc_fail_each(use_loop, p) >= 20);
        assert_true(alloc_fail_each(use_spawn, NULL) >= 1);
        /* No descriptor was lost on the way: the next one is the lowest free number. */
        int next = dup(p[0]);
        assert_int_equal(next, p[1] + 1);
        fd_close(next);
        fd_close(p[0]);
        fd_close(p[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
