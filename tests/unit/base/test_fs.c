#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
        (void)state;
        str_copy(folder, sizeof(folder), "/tmp/devdep-fs.XXXXXX");
        return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
        (void)state;
        return chdir("/") == 0 ? fs_remove_tree(folder, NULL) : -1;
}

static void files_are_replaced_as_a_whole(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct stat st;
        assert_int_equal(fs_read("a", 10, &b, NULL), FS_E_MISSING);
        assert_int_equal(fs_write_atomic("a", "one", 3, 0640, NULL), 0);
        assert_int_equal(fs_write_atomic("a", "two!", 4, 0600, NULL), 0);
        assert_int_equal(fs_read("a", 4, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), "two!");
        assert_int_equal(stat("a", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        struct err e = ERR_INIT;
        assert_int_equal(fs_read("a", 3, &b, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_int_equal(fs_write_atomic("missing/a", "x", 1, 0600, &e), -1);
        assert_int_equal(e.errnum, ENOENT);
}

static int collect(const char *name, void *user, struct err *e)
{
        return str_eq(name, "stop") ? 7 : strv_add(user, name, e);
}

static void failed_write_leaves_nothing_behind(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        assert_int_equal(fs_mkdirs("taken/inside", 0755, NULL), 0);
        assert_int_equal(fs_write_atomic("taken", "x", 1, 0600, &e), -1);
        AUTO(strv_done) struct strv names = STRV_INIT;
        assert_int_equal(fs_list(".", collect, &names, NULL), 0);
        for (size_t i = 0; i < names.n; i++)
                assert_false(str_starts(names.v[i], "taken."));
}

static void what_a_killed_writer_left_is_removed_and_nothing_else(void **state)
{
        (void)state;
        static const char *const files[] = {
                ".new-abc123", "a", "a.new-", "a.new-abc12", "a.new-abc123", "a.new-abc1234", "b.spec.json.new-Zz09aB"};
        assert_int_equal(fs_remove_temporary("nowhere", NULL), FS_E_MISSING);
        assert_int_equal(fs_mkdirs("killed", 0755, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                AUTO(auto_free) char *path = fs_join("killed", files[i]);
                int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                assert_true(fd >= 0);
                close(fd);
        }
        assert_int_equal(fs_remove_temporary("killed", NULL), 0);
        AUTO(strv_done) struct strv names = STRV_INIT;
        assert_int_equal(fs_list("killed", collect, &names, NULL), 0);
        static const char *const left[] = {".new-abc123", "a", "a.new-", "a.new-abc12", "a.new-abc1234"};
        assert_int_equal(names.n, ARRAY_SIZE(left));
        for (size_t i = 0; i < names.n; i++)
                assert_string_equal(names.v[i], left[i]);
}

static void only_regular_files_are_read(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(mkfifo("fifo", 0600), 0);
        assert_int_equal(fs_read("fifo", 10, &b, &e), -1);
        assert_contains(e.msg, "regular file");
        assert_int_equal(fs_read("/dev/null", 10, &b, &e), -1);
        assert_int_equal(fs_read(".", 10, &b, &e), -1);
}

static void folders_are_made_with_their_parents(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        assert_int_equal(fs_mkdirs("p/q//r/", 0755, &e), 0);
        assert_int_equal(fs_mkdirs("p/q/r", 0755, &e), 0);
        assert_true(fs_exists("p/q/r"));
        assert_int_equal(fs_write_atomic("p/file", "", 0, 0600, NULL), 0);
        assert_int_equal(fs_mkdirs("p/file/x", 0755, &e), -1);
        assert_int_equal(e.errnum, ENOTDIR);
        assert_int_equal(fs_mkdirs("/", 0755, &e), 0);
}

static void trees_are_removed_without_following_links(void **state)
{
        (void)state;
        assert_int_equal(fs_mkdirs("outside", 0755, NULL), 0);
        assert_int_equal(fs_write_atomic("outside/kept", "", 0, 0600, NULL), 0);
        assert_int_equal(fs_mkdirs("tree/a/b", 0755, NULL), 0);
        assert_int_equal(symlink("../../outside", "tree/a/link"), 0);
        assert_int_equal(fs_remove_tree("tree", NULL), 0);
        assert_false(fs_exists("tree"));
        assert_true(fs_exists("outside/kept"));
        assert_int_equal(symlink("outside", "link"), 0);
        assert_int_equal(fs_remove_tree("link", NULL), 0);
        assert_true(fs_exists("outside/kept"));
        assert_int_equal(fs_remove_tree("never", NULL), 0);
}

/* Deeper than descriptors are open at once, and deeper than a path can name. */
static void very_deep_trees_are_removed(void **state)
{
        (void)state;
        assert_int_equal(mkdir("deep", 0700), 0);
        AUTO(auto_close) int fd = open("deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < 3000; i++) {
                assert_int_equal(mkdirat(fd, "d", 0700), 0);
                int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                fd_close(fd);
                fd = next;
        }
        assert_int_equal(fs_remove_tree("deep", NULL), 0);
        assert_false(fs_exists("deep"));
}

static void opening_beneath_cannot_leave(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        assert_int_equal(fs_mkdirs("in/sub", 0755, NULL), 0);
        assert_int_equal(fs_write_atomic("in/file", "x", 1, 0600, NULL), 0);
        assert_int_equal(fs_write_atomic("secret", "x", 1, 0600, NULL), 0);
        assert_int_equal(symlink("/etc/passwd", "in/absolute"), 0);
        assert_int_equal(symlink("../secret", "in/up"), 0);
        assert_int_equal(symlink("file", "in/inside"), 0);
        AUTO(auto_close) int dir = open("in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        static const char *const bad[] = {"../secret", "/etc/passwd", "absolute", "up", "sub/../../secret"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                int fd = -1;
                assert_int_equal(fs_open_beneath(dir, bad[i], O_RDONLY, 0, true, &fd, &e), -1);
                assert_int_equal(fd, -1);
        }
        AUTO(auto_close) int a = -1;
        AUTO(auto_close) int b = -1;
        AUTO(auto_close) int c = -1;
        AUTO(auto_close) int made = -1;
        assert_int_equal(fs_open_beneath(dir, "file", O_RDONLY, 0, false, &a, &e), 0);
        assert_true(fcntl(a, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fs_open_beneath(dir, "inside", O_RDONLY, 0, true, &b, &e), 0);
        assert_int_equal(fs_open_beneath(dir, "inside", O_RDONLY, 0, false, &c, &e), -1);
        assert_int_equal(e.errnum, ELOOP);
        assert_int_equal(fs_open_beneath(dir, "none", O_RDONLY, 0, true, &c, &e), FS_E_MISSING);
        assert_int_equal(fs_open_beneath(dir, "sub/new", O_WRONLY | O_CREAT, 0600, false, &made, &e), 0);
}

static void one_holds_a_lock(void **state)
{
        (void)state;
        int first = -1, second = -1;
        assert_int_equal(fs_lock("lock", false, &first, NULL), 0);
        assert_int_equal(fs_lock("lock", false, &second, NULL), FS_E_LOCKED);
        /* Its holder removed the file: the next one gets the lock of the new file. */
        assert_int_equal(unlink("lock"), 0);
        assert_int_equal(fs_lock("lock", true, &second, NULL), 0);
        fd_close(first);
        fd_close(second);
        struct err e = ERR_INIT;
        assert_int_equal(symlink("lock", "lock-link"), 0);
        assert_int_equal(fs_lock("lock-link", false, &first, &e), -1);
}

static void lists_names_in_byte_order(void **state)
{
        (void)state;
        assert_int_equal(fs_mkdirs("names", 0755, NULL), 0);
        static const char *const all[] = {"names/b", "names/a", "names/Z", "names/.h"};
        for (int i = 0; i < 4; i++)
                assert_int_equal(fs_write_atomic(all[i], "", 0, 0600, NULL), 0);
        AUTO(strv_done) struct strv names = STRV_INIT;
        assert_int_equal(fs_list("names", collect, &names, NULL), 0);
        assert_int_equal(names.n, 4);
        assert_string_equal(names.v[0], ".h");
        assert_string_equal(names.v[1], "Z");
        assert_string_equal(names.v[3], "b");
        assert_int_equal(fs_list("nowhere", collect, &names, NULL), FS_E_MISSING);
        assert_int_equal(fs_mkdirs("names/stop", 0755, NULL), 0);
        assert_int_equal(fs_list("names", collect, &names, NULL), 7);
        struct err e = ERR_INIT;
        assert_int_equal(fs_list("names/a", collect, &names, &e), -1);
}

static void paths_join_with_one_slash(void **state)
{
        (void)state;
        AUTO(auto_free) char *a = fs_join("a", "b");
        AUTO(auto_free) char *b = fs_join("/", "b");
        AUTO(auto_free) char *c = fs_join("", "b");
        assert_string_equal(a, "a/b");
        assert_string_equal(b, "/b");
        assert_string_equal(c, "b");
}

static void free_space_is_known(void **state)
{
        (void)state;
        uint64_t free_bytes = 0;
        struct err e = ERR_INIT;
        assert_int_equal(fs_free_space(".", &free_bytes, &e), 0);
        assert_true(free_bytes > 0);
        assert_int_equal(fs_free_space("nowhere", &free_bytes, &e), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(files_are_replaced_as_a_whole),
                cmocka_unit_test(failed_write_leaves_nothing_behind),
                cmocka_unit_test(what_a_killed_writer_left_is_removed_and_nothing_else),
                cmocka_unit_test(only_regular_files_are_read),
                cmocka_unit_test(folders_are_made_with_their_parents),
                cmocka_unit_test(trees_are_removed_without_following_links),
                cmocka_unit_test(very_deep_trees_are_removed),
                cmocka_unit_test(opening_beneath_cannot_leave),
                cmocka_unit_test(one_holds_a_lock),
                cmocka_unit_test(lists_names_in_byte_order),
                cmocka_unit_test(paths_join_with_one_slash),
                cmocka_unit_test(free_space_is_known),
        };
        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
