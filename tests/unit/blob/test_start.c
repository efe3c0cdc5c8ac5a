/* devdep-store and devdep-service in their jails, from start to end. Of a build with sanitizers the end is the leak
 * checker's work: its own process traces the program there, and what keeps it from that is told on standard error.
 * Arguments: the path of devdep-store, that of devdep-service. */
#include "archive.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "blob/start.h"

#define TEST_UID 1879400003u

static const char *programs[2];

/* A folder that the program can write: as root it runs as another user. */
static char *shelf_new(struct store_start *s)
{
        char *folder = folder_new();
        if (geteuid() == 0) {
                s->uid = s->gid = TEST_UID;
                assert_int_equal(chown(folder, TEST_UID, TEST_UID), 0);
        }
        return folder;
}

static void expect_silence(int log)
{
        struct buf said = BUF_INIT;
        assert_int_equal(lseek(log, 0, SEEK_SET), 0);
        assert_int_equal(fd_read_all(log, 1 << 20, "log", &said, NULL), 0);
        if (said.len)
                fail_msg("it said: %.*s", (int)said.len, (const char *)said.data);
        buf_done(&said);
}

static void run(bool service)
{
        static const char *const scopes[] = {"refs/heads/main"};
        struct store_start s = STORE_START_INIT;
        struct sandbox_child child;
        struct err e = ERR_INIT;
        int pair[2];
        char *artifacts = shelf_new(&s), *caches = shelf_new(&s);
        s.service = service;
        s.program = programs[service];
        s.artifacts = artifacts;
        s.caches = caches;
        s.scopes = scopes;
        s.n_scopes = 1;
        s.run = "7";
        s.job = "build";
        assert_int_equal(fd_socketpair(SOCK_STREAM, pair, NULL), 0);
        assert_int_equal(fd_memfd("log", &s.log_fd, NULL), 0);
        s.peer_fd = pair[1];
        if (store_start(&s, &child, &e) < 0)
                fail_msg("%s", e.msg);
        fd_close(pair[0]);
        fd_close(pair[1]);
        sandbox_child_end(&child);
        expect_silence(s.log_fd);
        assert_int_equal(child.status, 0);
        fd_close(s.log_fd);
        folder_free(artifacts);
        folder_free(caches);
}

static void devdep_store_ends_without_a_word_and_without_a_leak(void **state)
{
        (void)state;
        run(false);
}

static void devdep_service_ends_without_a_word_and_without_a_leak(void **state)
{
        (void)state;
        run(true);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(devdep_store_ends_without_a_word_and_without_a_leak),
                cmocka_unit_test(devdep_service_ends_without_a_word_and_without_a_leak),
        };
        if (argc != 3)
                return 2;
        programs[0] = argv[1];
        programs[1] = argv[2];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
