#include "test.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void children_see_zeros(void **state)
{
        (void)state;
        void *p = NULL;
        struct err e = ERR_INIT;
        if (secret_alloc(32, &p, &e) < 0) {
                print_message("skipped: %s\n", e.msg);
                skip();
        }
        memcpy(p, "the secret", 11);
        pid_t pid = fork();
        if (pid == 0)
                _exit(*(char *)p);
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_string_equal(p, "the secret");
        secret_free(p, 32);
        secret_free(NULL, 32);
}

static void memory_that_cannot_be_locked_is_refused(void **state)
{
        (void)state;
        pid_t pid = fork();
        if (pid == 0) {
                const struct rlimit none = {0, 0};
                void *p = NULL;
                struct err e = ERR_INIT;
                /* Root may lock whatever the limit says, so it stops being root. */
                if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (getuid() == 0 && setuid(65534) < 0))
                        _exit(2);
                _exit(secret_alloc(32, &p, &e) == -1 && e.code == ERR_RESOURCES && !p ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void processes_give_up_core_dumps(void **state)
{
        (void)state;
        pid_t pid = fork();
        if (pid == 0) {
                struct rlimit limit;
                int ok = secret_no_dumps(NULL) == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
                         getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0;
                _exit(ok ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void comparison_looks_at_every_byte(void **state)
{
        (void)state;
        assert_int_equal(secret_equal("abc", "abc", 3), 1);
        assert_int_equal(secret_equal("abc", "abd", 3), 0);
        assert_int_equal(secret_equal("xbc", "abc", 3), 0);
        assert_int_equal(secret_equal("a", "b", 0), 1);
}

static void wiping_leaves_zeros_and_random_bytes_differ(void **state)
{
        (void)state;
        char a[32], b[32];
        static const char zeros[32];
        secret_random(a, sizeof(a));
        secret_random(b, sizeof(b));
        assert_memory_not_equal(a, b, sizeof(a));
        secret_wipe(a, sizeof(a));
        assert_memory_equal(a, zeros, sizeof(a));
}

/* An area of one page, or the test is skipped where nothing can be locked. */
static struct secret_area area_of_test(void)
{
        struct secret_area a = SECRET_AREA_INIT;
        struct err e = ERR_INIT;
        if (secret_area_new("test", 4096, &a, &e) < 0) {
                print_message("skipped: %s\n", e.msg);
                skip();
        }
        return a;
}

static void an_area_is_written_by_its_maker_and_read_by_others(void **state)
{
        (void)state;
        struct secret_area a = area_of_test();
        struct secret_view v;
        struct err e = ERR_INIT;
        memcpy(a.data, "the secret", 11);
        assert_int_equal(secret_view_open(a.fd, 4096, &v, &e), 0);
        assert_int_equal(v.size, 4096);
        assert_string_equal(v.data, "the secret");
        /* No second writable mapping, no write, no other size, and no seal that comes off. */
        assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0), MAP_FAILED);
        assert_int_equal(mprotect((void *)(uintptr_t)v.data, 4096, PROT_READ | PROT_WRITE), -1);
        assert_int_equal(pwrite(a.fd, "x", 1, 0), -1);
        assert_int_equal(ftruncate(a.fd, 8192), -1);
        assert_int_equal(ftruncate(a.fd, 0), -1);
        assert_int_equal(fallocate(a.fd, 0, 0, 8192), -1);
        /* What its maker writes later is seen, and so is its end: zeros. */
        memcpy(a.data, "another one", 12);
        assert_string_equal(v.data, "another one");
        secret_area_done(&a);
        for (size_t i = 0; i < v.size; i++)
                assert_int_equal(((const char *)v.data)[i], 0);
        secret_view_done(&v);
        secret_area_done(&a);
}

static void an_area_is_not_inherited(void **state)
{
        (void)state;
        struct secret_area a = area_of_test();
        pid_t pid = fork();
        if (pid == 0) {
                unsigned char there;
                _exit(mincore(a.data, 4096, &there) < 0 && errno == ENOMEM ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        secret_area_done(&a);
}

static void only_a_sealed_file_is_read_and_only_an_unsealed_one_is_taken(void **state)
{
        (void)state;
        struct secret_area a = area_of_test(), again = SECRET_AREA_INIT;
        struct secret_view v = {0};
        struct err e = ERR_INIT;
        int plain = -1, empty = -1, bounded = -1;
        assert_int_equal(fd_memfd("plain", &plain, &e), 0);
        assert_int_equal(ftruncate(plain, 4096), 0);
        assert_int_equal(secret_view_open(plain, 4096, &v, &e), -1);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_int_equal(secret_view_open(a.fd, 4095, &v, &e), -1);
        assert_int_equal(secret_view_open(STDIN_FILENO, 4096, &v, &e), -1);
        assert_null(v.data);
        secret_view_done(&v);
        assert_int_equal(fd_memfd("empty", &empty, &e), 0);
        assert_int_equal(fd_memfd_bounded("bounded", 4096, &bounded, &e), 0);
        assert_int_equal(secret_area_take(empty, &again, &e), -1);
        assert_int_equal(secret_area_take(bounded, &again, &e), -1);
        assert_int_equal(secret_area_take(a.fd, &again, &e), -1);
        assert_int_equal(secret_area_take(plain, &again, &e), 0);
        secret_area_done(&again);
        secret_area_done(&a);
        close(empty);
        close(bounded);
}

static void an_area_that_cannot_be_locked_is_refused(void **state)
{
        (void)state;
        pid_t pid = fork();
        if (pid == 0) {
                const struct rlimit none = {0, 0};
                struct secret_area a = SECRET_AREA_INIT;
                struct err e = ERR_INIT;
                if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (getuid() == 0 && setuid(65534) < 0))
                        _exit(2);
                _exit(secret_area_new("test", 4096, &a, &e) == -1 && e.code == ERR_RESOURCES && !a.data ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* What is at an address that may be used no more. The head of a free piece is the allocator's. */
static void assert_nothing_left(uintptr_t at, const char *what, size_t len)
{
        char found[64];
        int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0 && len < sizeof(found));
        assert_int_equal(pread(fd, found, len, (off_t)at), len);
        assert_memory_not_equal(found + 16, what + 16, len - 16);
        close(fd);
}

static void memory_of_libraries_is_zeroed_when_it_is_freed_or_moved(void **state)
{
        (void)state;
        static const char text[] = "................ the secret of a library";
        char *p = secret_heap_dup(text), *other = secret_heap_calloc(4, 8);
        assert_non_null(p);
        assert_memory_equal(other, (char[32]){0}, 32);
        assert_ptr_equal(secret_heap_realloc(p, 8), p);
        uintptr_t was = (uintptr_t)p;
        p = secret_heap_realloc(p, 4096);
        assert_string_equal(p, text);
        assert_int_not_equal((uintptr_t)p, was);
        assert_nothing_left(was, text, sizeof(text));
        was = (uintptr_t)p;
        secret_heap_free(p);
        assert_nothing_left(was, text, sizeof(text));
        secret_heap_free(other);
        secret_heap_free(NULL);
        other = secret_heap_realloc(NULL, 8);
        assert_non_null(other);
        secret_heap_free(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(children_see_zeros),
                cmocka_unit_test(memory_that_cannot_be_locked_is_refused),
                cmocka_unit_test(processes_give_up_core_dumps),
                cmocka_unit_test(an_area_is_written_by_its_maker_and_read_by_others),
                cmocka_unit_test(an_area_is_not_inherited),
                cmocka_unit_test(only_a_sealed_file_is_read_and_only_an_unsealed_one_is_taken),
                cmocka_unit_test(an_area_that_cannot_be_locked_is_refused),
                cmocka_unit_test(memory_of_libraries_is_zeroed_when_it_is_freed_or_moved),
                cmocka_unit_test(comparison_looks_at_every_byte),
                cmocka_unit_test(wiping_leaves_zeros_and_random_bytes_differ),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
