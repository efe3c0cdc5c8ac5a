/* The skeleton is a file system that its own checker finds whole, whatever was on the disk before. */
#include "test.h"

#include "base/err.h"
#include "guest/skeleton.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_SIZE (64u << 20)

/* A file of 64 MiB that holds anything but zeros, as an encrypted disk does before it is written. */
static int dirty_disk(char path[32])
{
        static uint8_t junk[1u << 20];
        strcpy(path, "/tmp/skeleton-XXXXXX");
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        memset(junk, 0x5c, sizeof(junk));
        for (size_t done = 0; done < DISK_SIZE; done += sizeof(junk))
                assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
        return fd;
}

static void a_skeleton_on_a_dirty_disk_is_a_clean_file_system(void **state)
{
        char path[32];
        struct err e = ERR_INIT;
        int fd = dirty_disk(path);
        const uint8_t hash_seed[SKELETON_HASH_SEED] = "sixteen letters";
        assert_int_equal(skeleton_write(fd, hash_seed, &e), 0);
        uint8_t super[1024];
        assert_int_equal(pread(fd, super, sizeof(super), 1024), sizeof(super));
        assert_memory_equal(super + 0xec, hash_seed, sizeof(hash_seed));
        close(fd);
        pid_t pid = fork();
        if (pid == 0) {
                execl("/sbin/e2fsck", "e2fsck", "-fn", path, (char *)NULL);
                _exit(127);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        unlink(path);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        (void)state;
}

static void a_disk_that_cannot_be_written_is_an_error(void **state)
{
        struct err e = ERR_INIT;
        const uint8_t hash_seed[SKELETON_HASH_SEED] = {0};
        assert_int_equal(skeleton_write(-1, hash_seed, &e), -1);
        assert_int_equal(e.code, ERR_RESOURCES);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_skeleton_on_a_dirty_disk_is_a_clean_file_system),
                cmocka_unit_test(a_disk_that_cannot_be_written_is_an_error),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
