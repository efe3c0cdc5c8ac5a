#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *no_env[] = {NULL};

/* Run a shell script; what it wrote to standard output. */
static const char *script(struct spawn *s, const char *text, struct buf *out, int *ret_status)
{
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)text, NULL};
        struct err e = ERR_INIT;
        s->path = "/bin/sh";
        s->argv = argv;
        if (!s->envp)
                s->envp = no_env;
        buf_clear(out);
        if (spawn_wait(s, out, NULL, 1 << 16, 60000, ret_status, &e) < 0)
                fail_msg("%s", e.msg);
        return buf_cstr(out);
}

static void child_has_exactly_what_it_was_given(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf out = BUF_INIT;
        AUTO(auto_close) int leaked = open("/dev/null", O_RDONLY); /* not close-on-exec on purpose */
        int status, p[2];
        assert_true(leaked >= 0);
        assert_int_equal(fd_pipe(p, NULL), 0);
        char *envp[] = {(char[]){"ONLY=this"}, NULL};
        struct spawn_fd fds[] = {{p[1], 7}};
        struct spawn s = SPAWN_INIT;
        s.envp = envp;
        s.fds = fds;
        s.n_fds = 1;
        script(&s, "ls /proc/$$/fd; pwd; cat /proc/$$/environ | tr '\\0' ' '; readlink /proc/$$/fd/0", &out, &status);
        assert_int_equal(status, 0);
        assert_string_equal(buf_cstr(&out), "0\n1\n2\n7\n/\nONLY=this /dev/null\n");
        fd_close(p[0]);
        fd_close(p[1]);
}

static void descriptors_may_trade_places(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf out = BUF_INIT;
        int status, a[2], b[2];
        assert_int_equal(fd_pipe(a, NULL), 0);
        assert_int_equal(fd_pipe(b, NULL), 0);
        assert_int_equal(fd_write_all(a[1], "A\n", 2, "x", NULL), 0);
        assert_int_equal(fd_write_all(b[1], "B\n", 2, "x", NULL), 0);
        struct spawn_fd fds[] = {{a[0], b[0]}, {b[0], a[0]}};
        struct spawn s = SPAWN_INIT;
        s.fds = fds;
        s.n_fds = 2;
        AUTO(buf_done) struct buf text = BUF_INIT;
        assert_int_equal(buf_printf(&text, NULL, "read x <&%d; read y <&%d; echo $x $y", a[0], b[0]), 0);
        assert_string_equal(script(&s, buf_cstr(&text), &out, &status), "B A\n");
        const int all[] = {a[0], a[1], b[0], b[1]};
        for (int i = 0; i < 4; i++)
                fd_close(all[i]);
}

static void failed_exec_is_reported_to_the_caller(void **state)
{
        (void)state;
        char *argv[] = {(char[]){"x"}, NULL};
        struct spawn s = SPAWN_INIT;
        struct err e = ERR_INIT;
        pid_t pid = -1;
        int pidfd = -1;
        s.path = "/nonexistent/program";
        s.argv = argv;
        s.envp = no_env;
        assert_int_equal(spawn(&s, &pid, &pidfd, &e), -1);
        assert_int_equal(e.errnum, ENOENT);
        assert_contains(e.msg, "start /nonexistent/program");
        s.path = "/etc/passwd";
        assert_int_equal(spawn(&s, &pid, &pidfd, &e), -1);
        assert_int_equal(e.errnum, EACCES);
        assert_int_equal(pidfd, -1);
        /* Nothing is left to reap. */
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static void bad_requests_are_refused(void **state)
{
        (void)state;
        char *argv[] = {(char[]){"true"}, NULL};
        struct spawn s = SPAWN_INIT;
        struct err e = ERR_INIT;
        pid_t pid;
        int pidfd;
        s.path = "/bin/true";
        s.argv = argv;
        s.envp = no_env;
        struct spawn_fd twice[] = {{0, 5}, {1, 5}};
        s.fds = twice;
        s.n_fds = 2;
        assert_int_equal(spawn(&s, &pid, &pidfd, &e), -1);
        assert_contains(e.msg, "named twice");
        struct spawn_fd closed[] = {{250, 5}};
        s.fds = closed;
        s.n_fds = 1;
        assert_int_equal(spawn(&s, &pid, &pidfd, &e), -1);
        assert_int_equal(e.errnum, EBADF);
        s.n_fds = SPAWN_MAX_FDS + 1;
        assert_int_equal(spawn(&s, &pid, &pidfd, &e), -1);
        s.n_fds = 0;
        s.cwd_fd = 250;
        assert_int_equal(spawn(&s, &pid, &pidfd, &e), -1);
        assert_contains(e.msg, "enter its folder");
}

static void signals_are_the_defaults(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf out = BUF_INIT;
        int status;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        /* One of those that the C library keeps for itself, so by the kernel's call; SIG_IGN is 1. */
        const unsigned long ignored[8] = {1}, as_default[8] = {0};
        syscall(SYS_rt_sigaction, 32, ignored, NULL, (size_t)8);
        struct spawn s = SPAWN_INIT;
        script(&s, "grep -E 'Sig(Blk|Ign)' /proc/self/status", &out, &status);
        syscall(SYS_rt_sigaction, 32, as_default, NULL, (size_t)8);
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        assert_string_equal(buf_cstr(&out), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void status_says_code_or_signal(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf out = BUF_INIT;
        int status;
        struct spawn s = SPAWN_INIT;
        script(&s, "exit 3", &out, &status);
        assert_int_equal(status, 3);
        script(&s, "kill -9 $$", &out, &status);
        assert_int_equal(status, 128 + 9);
}

static void outputs_are_kept_apart_and_bounded(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf out = BUF_INIT;
        AUTO(buf_done) struct buf err_out = BUF_INIT;
        struct err e = ERR_INIT;
        int status = -1;
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo out; echo err >&2"}, NULL};
        struct spawn s = SPAWN_INIT;
        s.path = "/bin/sh";
        s.argv = argv;
        s.envp = no_env;
        assert_int_equal(spawn_wait(&s, &out, &err_out, 4, 60000, &status, &e), 0);
        assert_string_equal(buf_cstr(&out), "out\n");
        assert_string_equal(buf_cstr(&err_out), "err\n");
        buf_clear(&out);
        buf_clear(&err_out);
        assert_int_equal(spawn_wait(&s, &out, &err_out, 3, 60000, &status, &e), -1);
        assert_contains(e.msg, "more than 3 bytes");
}

static void deadline_kills(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        int status = -1;
        char *argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
        struct spawn s = SPAWN_INIT;
        s.path = "/bin/sleep";
        s.argv = argv;
        s.envp = no_env;
        assert_int_equal(spawn_wait(&s, NULL, NULL, 0, 20, &status, &e), -1);
        assert_contains(e.msg, "did not end in time");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void user_and_groups_are_changed_for_good(void **state)
{
        (void)state;
        if (getuid() != 0)
                skip();
        AUTO(buf_done) struct buf out = BUF_INIT;
        int status;
        struct spawn s = SPAWN_INIT;
        s.uid = 65534;
        s.gid = 65533;
        script(&s, "grep -E '^(Uid|Gid|Groups)' /proc/self/status", &out, &status);
        assert_contains(buf_cstr(&out), "Uid:\t65534\t65534\t65534\t65534\n");
        assert_contains(buf_cstr(&out), "Gid:\t65533\t65533\t65533\t65533\n");
        assert_contains(buf_cstr(&out), "Groups:\t \n");
}

/* A process between us and the child dies; the child must go with it. */
static void child_dies_with_its_parent(void **state)
{
        (void)state;
        int p[2];
        assert_int_equal(fd_pipe(p, NULL), 0);
        pid_t middle = fork();
        if (middle == 0) {
                char *argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
                struct spawn_fd fds[] = {{p[1], 5}};
                struct spawn s = SPAWN_INIT;
                s.path = "/bin/sleep";
                s.argv = argv;
                s.envp = no_env;
                s.fds = fds;
                s.n_fds = 1;
                s.die_with_parent = 1;
                s.new_session = 1;
                pid_t pid;
                int pidfd;
                _exit(spawn(&s, &pid, &pidfd, NULL) == 0 ? 0 : 1);
        }
        fd_close(p[1]);
        int status = -1;
        assert_int_equal(waitpid(middle, &status, 0), middle);
        assert_int_equal(status, 0);
        /* The end of the pipe says that the last holder of its other end is gone. */
        struct pollfd wait = {.fd = p[0], .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 60000), 1);
        assert_true(wait.revents & POLLHUP);
        fd_close(p[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(child_has_exactly_what_it_was_given),
                cmocka_unit_test(descriptors_may_trade_places),
                cmocka_unit_test(failed_exec_is_reported_to_the_caller),
                cmocka_unit_test(bad_requests_are_refused),
                cmocka_unit_test(signals_are_the_defaults),
                cmocka_unit_test(status_says_code_or_signal),
                cmocka_unit_test(outputs_are_kept_apart_and_bounded),
                cmocka_unit_test(deadline_kills),
                cmocka_unit_test(user_and_groups_are_changed_for_good),
                cmocka_unit_test(child_dies_with_its_parent),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
