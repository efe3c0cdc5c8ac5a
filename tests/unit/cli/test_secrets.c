/* What the person who starts a run gives, and what of it one job gets. */
#include "test.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "cli/secrets.h"
#include "secrets/credentials.h"
#include "secrets/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor that gives these bytes. */
static int memory(const void *data, size_t len)
{
        int fd = -1;
        assert_int_equal(fd_memfd("value", &fd, NULL), 0);
        assert_int_equal(fd_write_all(fd, data, len, "value", NULL), 0);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

/* --secret NAME@N with these bytes behind the descriptor. */
static int give(const char *name, const void *data, size_t len, struct secret_store **ret, struct err *e)
{
        char text[256];
        int fd = memory(data, len);
        snprintf(text, sizeof(text), "%s@%d", name, fd);
        const char *const named[] = {text};
        const struct secret_options o = {.named = named, .n_named = 1};
        *ret = NULL;
        int r = secret_store_new(&o, ret, e);
        close(fd);
        return r;
}

static void expect_given(const struct job_order *o, const char *name, const char *value)
{
        const uint8_t *found;
        size_t len;
        assert_int_equal(credentials_find(o->credentials.data, o->credentials.size, name, &found, &len, NULL), 0);
        assert_int_equal(len, strlen(value));
        assert_memory_equal(found, value, len);
}

static void one_newline_at_the_end_is_left_out(void **state)
{
        static const char *const cases[][2] = {
                {"plain", "plain"}, {"one\n", "one"}, {"two\n\n", "two\n"}, {"\n", ""}, {"", ""}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct secret_store *s;
                struct job_order o = JOB_ORDER_INIT;
                const struct strv none = STRV_INIT;
                assert_int_equal(give("TOKEN", cases[i][0], strlen(cases[i][0]), &s, NULL), 0);
                assert_int_equal(secret_store_order(s, &none, true, &o, NULL), 0);
                assert_string_equal(o.order.secrets[0].where, "--secret TOKEN");
                expect_given(&o, "value.TOKEN", cases[i][1]);
                job_order_done(&o);
                secret_store_free(s);
        }
}

static void refuse(const char *text, const char *why)
{
        const char *const named[] = {text, "B"};
        const struct secret_options o = {.named = named, .n_named = strcmp(text, "A") == 0 ? 2 : 1};
        struct secret_store *s = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(secret_store_new(&o, &s, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, why);
        assert_null(s);
}

static void a_value_on_the_command_line_is_refused_and_not_repeated(void **state)
{
        (void)state;
        const char *const named[] = {"TOKEN=hunter2"};
        const struct secret_options o = {.named = named, .n_named = 1};
        struct secret_store *s = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(secret_store_new(&o, &s, &e), -1);
        assert_contains(e.msg, "never comes from the command line");
        assert_null(strstr(e.msg, "hunter2"));
}

static void names_and_descriptors_are_checked(void **state)
{
        (void)state;
        int null = open("/dev/null", O_RDONLY), saved = dup(STDIN_FILENO);
        assert_true(dup2(null, STDIN_FILENO) >= 0);
        refuse("../x", "the name of a secret");
        refuse("GITHUB_TOKEN", "the name of a secret");
        refuse("", "the name of a secret");
        refuse("A@x", "--secret NAME@DESCRIPTOR");
        refuse("A@1023", "read its value");
        refuse("A", "standard input has one value");
        dup2(saved, STDIN_FILENO);
        close(saved);
        close(null);
}

static void values_are_text_and_bounded(void **state)
{
        struct secret_store *s;
        struct err e = ERR_INIT;
        char *large = malloc(SECRETS_MAX_VALUE + 2);
        (void)state;
        memset(large, 'x', SECRETS_MAX_VALUE + 2);
        assert_int_equal(give("A", large, SECRETS_MAX_VALUE, &s, &e), 0);
        secret_store_free(s);
        large[SECRETS_MAX_VALUE] = '\n';
        assert_int_equal(give("A", large, SECRETS_MAX_VALUE + 1, &s, &e), 0);
        secret_store_free(s);
        assert_int_equal(give("A", large, SECRETS_MAX_VALUE + 2, &s, &e), -1);
        assert_contains(e.msg, "more than 1048576 bytes");
        assert_int_equal(give("A", "a\0b", 3, &s, &e), -1);
        assert_contains(e.msg, "NUL");
        free(large);
}

/* ---- files ---- */

static int read_file(const char *text, mode_t mode, struct secret_store **ret, struct err *e)
{
        char path[] = "/tmp/secrets.XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text), path, NULL), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        close(fd);
        const struct secret_options o = {.file = path};
        *ret = NULL;
        int r = secret_store_new(&o, ret, e);
        unlink(path);
        return r;
}

static void a_file_has_lines_and_blocks_and_a_job_gets_what_it_names(void **state)
{
        struct secret_store *s;
        struct job_order o = JOB_ORDER_INIT;
        struct strv names = STRV_INIT;
        (void)state;
        assert_int_equal(read_file("A=one=1\nKEY<<END\nline 1\nline 2\nEND\nB=two\n", 0600, &s, NULL), 0);
        assert_int_equal(strv_add(&names, "key", NULL), 0);
        assert_int_equal(strv_add(&names, "nobody_gave_it", NULL), 0);
        assert_int_equal(secret_store_order(s, &names, false, &o, NULL), 0);
        assert_int_equal(o.order.n, 1);
        assert_string_equal(o.order.secrets[0].name, "KEY");
        expect_given(&o, "value.KEY", "line 1\nline 2");
        const uint8_t *found;
        size_t len;
        assert_int_equal(credentials_find(o.credentials.data, o.credentials.size, "value.A", &found, &len, NULL),
                         CREDENTIALS_E_NONE);
        job_order_done(&o);
        strv_done(&names);
        assert_int_equal(secret_store_order(s, &names, false, &o, NULL), 0);
        assert_int_equal(o.order.n, 0);
        assert_null(o.credentials.data);
        job_order_done(&o);
        assert_int_equal(secret_store_order(s, &names, true, &o, NULL), 0);
        assert_int_equal(o.order.n, 3);
        expect_given(&o, "value.A", "one=1");
        job_order_done(&o);
        secret_store_free(s);
}

static void a_file_that_others_can_read_is_refused(void **state)
{
        struct secret_store *s;
        struct err e = ERR_INIT;
        static const mode_t modes[] = {0640, 0604, 0620, 0601};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                assert_int_equal(read_file("A=1\n", modes[i], &s, &e), -1);
                assert_contains(e.msg, "chmod 600");
        }
        assert_int_equal(read_file("A=1\n", 0400, &s, &e), 0);
        secret_store_free(s);
}

static void a_file_that_is_none_is_refused_without_its_text(void **state)
{
        struct secret_store *s;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(read_file("hunter2\n", 0600, &s, &e), -1);
        assert_contains(e.msg, ":1: expected lines NAME=VALUE");
        assert_null(strstr(e.msg, "hunter2"));
        assert_int_equal(read_file("A=1\n\nB<<END\nhunter2\n", 0600, &s, &e), -1);
        assert_contains(e.msg, ":3: expected lines NAME=VALUE");
        assert_null(strstr(e.msg, "hunter2"));
        assert_int_equal(read_file("A=\xffhunter2\n", 0600, &s, &e), -1);
        assert_contains(e.msg, "expected UTF-8 text");
        assert_int_equal(read_file("A=1\na=2\n", 0600, &s, &e), -1);
        assert_contains(e.msg, "given before");
        assert_int_equal(read_file("2A=1\n", 0600, &s, &e), -1);
        assert_contains(e.msg, "the name of a secret");
        const struct secret_options folder = {.file = "/tmp"}, missing = {.file = "/nonexistent"};
        assert_int_equal(secret_store_new(&folder, &s, &e), -1);
        assert_contains(e.msg, "expected a file");
        assert_int_equal(secret_store_new(&missing, &s, &e), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_newline_at_the_end_is_left_out),
                cmocka_unit_test(a_value_on_the_command_line_is_refused_and_not_repeated),
                cmocka_unit_test(names_and_descriptors_are_checked),
                cmocka_unit_test(values_are_text_and_bounded),
                cmocka_unit_test(a_file_has_lines_and_blocks_and_a_job_gets_what_it_names),
                cmocka_unit_test(a_file_that_others_can_read_is_refused),
                cmocka_unit_test(a_file_that_is_none_is_refused_without_its_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
