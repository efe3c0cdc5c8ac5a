/* Every call that changes the disk is once the one that fails, and once the last one of its process (kill -9 before
 * it). Whatever the moment, the next start finds a whole store: the old entry or the new one, and nothing else. */
#include "archive.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/str.h"

enum mode { MODE_NONE, MODE_FAIL, MODE_KILL };

static enum mode mode;
static unsigned calls, nth;

static bool is_now(void)
{
        if (mode == MODE_NONE || ++calls != nth)
                return false;
        if (mode == MODE_KILL)
                raise(SIGKILL);
        errno = ENOSPC;
        return true;
}

ssize_t __real_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __real_renameat(int from, const char *a, int to, const char *b);
int __real_unlinkat(int fd, const char *name, int flags);
int __real_openat(int fd, const char *name, int flags, ...);
int __real_mkdirat(int fd, const char *name, mode_t m);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_openat(int fd, const char *name, int flags, ...);
int __wrap_mkdirat(int fd, const char *name, mode_t m);

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
        return is_now() ? -1 : __real_write(fd, data, len);
}

int __wrap_fsync(int fd)
{
        return is_now() ? -1 : __real_fsync(fd);
}

int __wrap_renameat(int from, const char *a, int to, const char *b)
{
        return is_now() ? -1 : __real_renameat(from, a, to, b);
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
        return is_now() ? -1 : __real_unlinkat(fd, name, flags);
}

int __wrap_mkdirat(int fd, const char *name, mode_t m)
{
        return is_now() ? -1 : __real_mkdirat(fd, name, m);
}

int __wrap_openat(int fd, const char *name, int flags, ...)
{
        va_list ap;
        va_start(ap, flags);
        mode_t m = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
        va_end(ap);
        return (flags & O_CREAT) && is_now() ? -1 : __real_openat(fd, name, flags, m);
}

static size_t count(const char *folder, const char *sub)
{
        char *path = fs_join(folder, sub);
        size_t n = 0;
        DIR *d = opendir(path);
        assert_non_null(d);
        for (struct dirent *x; (x = readdir(d));)
                n += x->d_name[0] != '.';
        closedir(d);
        free(path);
        return n;
}

/* Exactly one entry `dist`, whole, old or new; no file but its archive and its manifest. */
static bool check(const char *folder)
{
        struct buf old = archive_of("file", "old"), new = archive_of("file", "new"), got = BUF_INIT;
        struct store *s = must_open(folder, STORE_ARTIFACTS, &small_limits);
        struct store_list l;
        int fd = -1;
        assert_int_equal(store_list(s, &l, NULL), 0);
        assert_int_equal(l.n, 1);
        assert_string_equal(l.v[0].name, "dist");
        assert_int_equal(store_read(s, l.v[0].id, NULL, &fd, NULL), 0);
        assert_int_equal(fd_read_all(fd, 1 << 20, "archive", &got, NULL), 0);
        assert_int_equal(got.len, new.len);
        bool is_new = memcmp(got.data, new.data, new.len) == 0;
        assert_true(is_new || memcmp(got.data, old.data, old.len) == 0);
        assert_int_equal(count(folder, "objects"), 1);
        assert_int_equal(count(folder, "entries"), 1);
        assert_int_equal(count(folder, "incoming"), 0);
        fd_close(fd);
        store_list_done(&l);
        store_free(s);
        buf_done(&old);
        buf_done(&new);
        buf_done(&got);
        return is_new;
}

/* Open, replace the artifact, close: 0 or negative. */
static int replace(const char *folder, struct err *e)
{
        struct store *s = NULL;
        struct store_what w = ARTIFACT("dist");
        struct store_entry x;
        const struct store_config c = {
                .folder = folder, .kind = STORE_ARTIFACTS, .limits = small_limits, .writer = true};
        w.overwrite = true;
        int r = store_open(&c, &s, e);
        if (r == 0)
                r = put_text(s, &w, "new", &x, e);
        store_free(s);
        return r;
}

static char *prepare(void)
{
        char *folder = folder_new();
        struct store *s = must_open(folder, STORE_ARTIFACTS, &small_limits);
        struct store_entry x;
        assert_int_equal(put_text(s, &ARTIFACT("dist"), "old", &x, NULL), 0);
        store_free(s);
        return folder;
}

static void a_call_that_fails_leaves_the_old_or_the_new_entry(void **state)
{
        bool failed = true;
        unsigned n = 0;
        (void)state;
        while (failed) {
                char *folder = prepare();
                struct err e = ERR_INIT;
                mode = MODE_FAIL;
                calls = 0;
                nth = ++n;
                int r = replace(folder, &e);
                failed = calls >= nth;
                mode = MODE_NONE;
                if (r < 0)
                        assert_int_equal(e.code, ERR_RESOURCES);
                bool is_new = check(folder);
                if (r == 0)
                        assert_true(is_new);
                folder_free(folder);
        }
        assert_true(n > 10);
}

static void a_process_that_is_killed_leaves_the_old_or_the_new_entry(void **state)
{
        int status = 0;
        unsigned n = 0, seen_old = 0, seen_new = 0;
        (void)state;
        do {
                char *folder = prepare();
                n++;
                pid_t pid = fork();
                if (pid == 0) {
                        mode = MODE_KILL;
                        calls = 0;
                        nth = n;
                        _exit(replace(folder, NULL) == 0 ? 0 : 1);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
                if (check(folder))
                        seen_new++;
                else
                        seen_old++;
                folder_free(folder);
        } while (WIFSIGNALED(status));
        assert_true(seen_old > 5);
        assert_true(seen_new > 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_call_that_fails_leaves_the_old_or_the_new_entry),
                cmocka_unit_test(a_process_that_is_killed_leaves_the_old_or_the_new_entry),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
