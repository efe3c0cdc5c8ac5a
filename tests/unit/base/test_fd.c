#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int count_open(void)
{
        int n = 0;
        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void descriptors_are_born_close_on_exec(void **state)
{
        (void)state;
        int fds[5];
        assert_int_equal(fd_pipe(fds, NULL), 0);
        assert_int_equal(fd_socketpair(SOCK_STREAM, fds + 2, NULL), 0);
        assert_int_equal(fd_memfd("x", &fds[4], NULL), 0);
        for (int i = 0; i < 5; i++)
                assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fd_set_cloexec(fds[0], false, NULL), 0);
        assert_false(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fd_set_nonblock(fds[0], true, NULL), 0);
        assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
        for (int i = 0; i < 5; i++)
                assert_int_equal(fd_close(fds[i]), -1);
        struct err e = ERR_INIT;
        assert_int_equal(fd_set_nonblock(fds[0], true, &e), -1);
        assert_int_equal(e.errnum, EBADF);
}

static void closing_keeps_errno(void **state)
{
        (void)state;
        errno = E2BIG;
        assert_int_equal(fd_close(-1), -1);
        assert_int_equal(fd_close(9999), -1);
        assert_int_equal(errno, E2BIG);
}

static void reading_all_holds_its_limit_at_the_byte(void **state)
{
        (void)state;
        AUTO(auto_close) int fd = -1;
        assert_int_equal(fd_memfd("x", &fd, NULL), 0);
        static char data[100000];
        assert_int_equal(fd_write_all(fd, data, sizeof(data), "x", NULL), 0);
        AUTO(buf_done) struct buf b = BUF_INIT_MAX(sizeof(data));
        lseek(fd, 0, SEEK_SET);
        assert_int_equal(fd_read_all(fd, sizeof(data), "x", &b, NULL), 0);
        assert_int_equal(b.len, sizeof(data));
        struct err e = ERR_INIT;
        buf_clear(&b);
        lseek(fd, 0, SEEK_SET);
        assert_int_equal(fd_read_all(fd, sizeof(data) - 1, "spec", &b, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_string_equal(e.msg, "spec: expected at most 99999 bytes, found more");
}

static void reading_exactly_reports_an_early_end(void **state)
{
        (void)state;
        int p[2];
        assert_int_equal(fd_pipe(p, NULL), 0);
        assert_int_equal(fd_write_all(p[1], "abc", 3, "x", NULL), 0);
        fd_close(p[1]);
        char data[4];
        struct err e = ERR_INIT;
        assert_int_equal(fd_read_exact(p[0], data, 2, "x", &e), 0);
        assert_int_equal(fd_read_exact(p[0], data, 2, "header", &e), -1);
        assert_string_equal(e.msg, "header: expected 2 bytes, it ended after 1");
        fd_close(p[0]);
}

static void sealed_memory_cannot_be_changed(void **state)
{
        (void)state;
        AUTO(auto_close) int fd = -1;
        assert_int_equal(fd_memfd("x", &fd, NULL), 0);
        assert_int_equal(fd_write_all(fd, "abc", 3, "x", NULL), 0);
        assert_int_equal(fd_seal(fd, NULL), 0);
        struct err e = ERR_INIT;
        assert_int_equal(fd_write_all(fd, "d", 1, "x", &e), -1);
        assert_int_equal(e.errnum, EPERM);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(fd_seal(fd, &e), -1);
}

static void sealed_memory_is_born_with_its_bytes_and_at_its_beginning(void **state)
{
        (void)state;
        AUTO(auto_close) int fd = -1;
        char text[8] = "";

        assert_int_equal(fd_memfd_sealed("x", "words", 5, &fd, NULL), 0);
        assert_int_equal(read(fd, text, sizeof(text)), 5);
        assert_string_equal(text, "words");
        assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static void descriptors_travel_with_a_message(void **state)
{
        (void)state;
        int s[2], p[2], got[2];
        char data[16];
        size_t len, n;
        assert_int_equal(fd_socketpair(SOCK_SEQPACKET, s, NULL), 0);
        assert_int_equal(fd_pipe(p, NULL), 0);
        assert_int_equal(fd_send(s[0], "hello", 5, p, 2, NULL), 0);
        assert_int_equal(fd_recv(s[1], data, sizeof(data), got, 2, &len, &n, NULL), 0);
        assert_int_equal(len, 5);
        assert_int_equal(n, 2);
        assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fd_write_all(got[1], "x", 1, "x", NULL), 0);
        assert_int_equal(fd_read_exact(p[0], data, 1, "x", NULL), 0);
        fd_close(s[0]);
        assert_int_equal(fd_recv(s[1], data, sizeof(data), got + 0, 0, &len, &n, NULL), 0);
        assert_int_equal(len, 0);
        const int all[] = {s[1], p[0], p[1], got[0], got[1]};
        for (int i = 0; i < 5; i++)
                fd_close(all[i]);
}

static void unwanted_descriptors_are_refused_and_closed(void **state)
{
        (void)state;
        int s[2], got[FD_MAX_PASSED];
        char data[4];
        size_t len, n;
        struct err e = ERR_INIT;
        assert_int_equal(fd_socketpair(SOCK_SEQPACKET, s, NULL), 0);
        int before = count_open();
        const int two[2] = {s[0], s[1]};
        assert_int_equal(fd_send(s[0], "x", 1, two, 2, NULL), 0);
        assert_int_equal(fd_recv(s[1], data, sizeof(data), got, 1, &len, &n, &e), -1);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_int_equal(count_open(), before);
        assert_int_equal(fd_send(s[0], "too long", 8, two, 1, NULL), 0);
        assert_int_equal(fd_recv(s[1], data, sizeof(data), got, 2, &len, &n, &e), -1);
        assert_int_equal(count_open(), before);
        int many[FD_MAX_PASSED + 1] = {0};
        assert_int_equal(fd_send(s[0], "x", 1, many, FD_MAX_PASSED + 1, &e), -1);
        fd_close(s[0]);
        fd_close(s[1]);
}

static void non_blocking_sockets_say_again(void **state)
{
        (void)state;
        int s[2], r;
        char data[4];
        size_t len, n;
        assert_int_equal(fd_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK, s, NULL), 0);
        assert_int_equal(fd_recv(s[1], data, sizeof(data), NULL, 0, &len, &n, NULL), FD_E_AGAIN);
        do
                r = fd_send(s[0], "x", 1, NULL, 0, NULL);
        while (r == 0);
        assert_int_equal(r, FD_E_AGAIN);
        fd_close(s[0]);
        fd_close(s[1]);
}

static void closing_from_keeps_what_is_named(void **state)
{
        (void)state;
        pid_t pid = fork();
        if (pid == 0) {
                /* Only numbers that nobody owns: a sanitizer keeps none open. */
                for (int fd = 100; fd < 110; fd++)
                        dup2(0, fd);
                const int keep[] = {50, 102, 103, 109};
                int r = fd_close_from(100, keep, 4, NULL);
                int open = 0;
                for (int fd = 100; fd < 120; fd++)
                        open = open * 2 + (fcntl(fd, F_GETFD) >= 0);
                _exit(r == 0 && fcntl(0, F_GETFD) >= 0 && open == ((1 << 17) | (1 << 16) | (1 << 10)) ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(descriptors_are_born_close_on_exec),
                cmocka_unit_test(closing_keeps_errno),
                cmocka_unit_test(reading_all_holds_its_limit_at_the_byte),
                cmocka_unit_test(reading_exactly_reports_an_early_end),
                cmocka_unit_test(sealed_memory_cannot_be_changed),
                cmocka_unit_test(sealed_memory_is_born_with_its_bytes_and_at_its_beginning),
                cmocka_unit_test(descriptors_travel_with_a_message),
                cmocka_unit_test(unwanted_descriptors_are_refused_and_closed),
                cmocka_unit_test(non_blocking_sockets_say_again),
                cmocka_unit_test(closing_from_keeps_what_is_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
