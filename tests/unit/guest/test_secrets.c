/* The files of secrets, in a folder of this machine: who reads one meanwhile, and what is left of it. */
#include "test.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/secrets.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct scene {
        char path[32];
        int folder;
};

static int set_up(void **state)
{
        static struct scene s;
        s = (struct scene){.path = "/tmp/devdep-secrets-XXXXXX"};
        *state = &s;
        if (!mkdtemp(s.path))
                return -1;
        s.folder = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return s.folder < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
        const struct scene *s = *state;
        unlinkat(s->folder, "TOKEN", 0);
        unlinkat(s->folder, ".new", 0);
        unlinkat(s->folder, "PLACE", AT_REMOVEDIR);
        close(s->folder);
        return rmdir(s->path);
}

static int write_text(const struct scene *s, const char *name, const char *text, struct err *e)
{
        return secrets_write(s->folder, name, text, strlen(text), e);
}

/* From its beginning. */
static void assert_text(int fd, const char *expected)
{
        char text[64] = "";
        assert_true(pread(fd, text, sizeof(text) - 1, 0) >= 0);
        assert_string_equal(text, expected);
}

static unsigned count_files(const struct scene *s)
{
        DIR *d = opendir(s->path);
        unsigned n = 0;
        assert_non_null(d);
        for (const struct dirent *entry; (entry = readdir(d));)
                n += !str_eq(entry->d_name, ".") && !str_eq(entry->d_name, "..");
        closedir(d);
        return n;
}

/* A reader that opened the old file before the new value came has the old value to its end. */
static void a_value_is_replaced_whole(void **state)
{
        const struct scene *s = *state;
        struct stat st;
        assert_int_equal(write_text(s, "TOKEN", "the-first-value", NULL), 0);
        AUTO(auto_close) int old = openat(s->folder, "TOKEN", O_RDONLY | O_CLOEXEC);
        assert_true(old >= 0);
        assert_int_equal(write_text(s, "TOKEN", "the-2nd", NULL), 0);
        AUTO(auto_close) int new = openat(s->folder, "TOKEN", O_RDONLY | O_CLOEXEC);
        assert_true(new >= 0);
        assert_text(old, "the-first-value");
        assert_text(new, "the-2nd");
        assert_int_equal(fstat(new, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0400);
        assert_int_equal(count_files(s), 1);
}

static void a_value_that_cannot_be_put_in_its_place_leaves_nothing(void **state)
{
        const struct scene *s = *state;
        struct err e = ERR_INIT;
        assert_int_equal(mkdirat(s->folder, "PLACE", 0700), 0);
        assert_int_equal(write_text(s, "PLACE", "value", &e), -1);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_int_equal(count_files(s), 1);
}

static void names_are_those_of_variables(void **state)
{
        const struct scene *s = *state;
        static const char *const bad[] = {"", ".new", "..", "../TOKEN", "a/b", "1A", "A-B", "A B", "A\n", "\xc3\xa4"};
        char longest[SECRETS_MAX_NAME + 2] = "";
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct err e = ERR_INIT;
                assert_int_equal(write_text(s, bad[i], "value", &e), -1);
                assert_int_equal(e.code, ERR_USAGE);
        }
        memset(longest, 'A', SECRETS_MAX_NAME + 1);
        assert_int_equal(write_text(s, longest, "value", NULL), -1);
        assert_int_equal(count_files(s), 0);
        longest[SECRETS_MAX_NAME] = '\0';
        assert_int_equal(write_text(s, longest, "value", NULL), 0);
        assert_int_equal(unlinkat(s->folder, longest, 0), 0);
}

/* Files of the mode 0400 are written to: what process 1, and root alone, may. */
static void who_has_a_file_open_reads_zeros_after_the_wipe(void **state)
{
        const struct scene *s = *state;
        char text[16] = "";
        if (geteuid() != 0)
                skip();
        assert_int_equal(write_text(s, "TOKEN", "the-first-value", NULL), 0);
        AUTO(auto_close) int fd = openat(s->folder, "TOKEN", O_RDONLY | O_CLOEXEC);
        assert_int_equal(secrets_wipe(s->folder, NULL), 0);
        assert_int_equal(count_files(s), 0);
        assert_int_equal(pread(fd, text, 15, 0), 15);
        for (size_t i = 0; i < 15; i++)
                assert_int_equal(text[i], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_value_is_replaced_whole),
                TEST(a_value_that_cannot_be_put_in_its_place_leaves_nothing),
                TEST(names_are_those_of_variables),
                TEST(who_has_a_file_open_reads_zeros_after_the_wipe),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
