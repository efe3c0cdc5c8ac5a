#include "test.h"

#include "base/err.h"
#include "base/options.h"
#include "base/str.h"

#include <string.h>

struct taken {
        const char *file;
        int flags;
};

static int take(int option, const char *value, void *user, struct err *e)
{
        struct taken *t = user;

        if (option == 'x')
                t->flags++;
        else if (*value)
                t->file = value;
        else
                return err_set(e, ERR_RESOURCES, "an empty file");
        return 0;
}

static const struct option known[] = {{"file", required_argument, NULL, 'f'}, {"x", no_argument, NULL, 'x'}, {0}};
static const struct options_of program = {"prog", "usage: prog\n", known, take};

/* line: words with one space between them. */
static int read_line(const char *line, struct taken *ret, struct err *e)
{
        char words[128], *argv[8] = {words}, *at = words;
        int argc = 1;

        *ret = (struct taken){0};
        *e = (struct err)ERR_INIT;
        str_copy(words, sizeof(words), line);
        while ((at = strchr(at, ' '))) {
                *at++ = '\0';
                argv[argc++] = at;
        }
        optind = 0; /* glibc: begin anew */
        return options_read(&program, argc, argv, ret, e);
}

static void options_are_taken_one_by_one(void **state)
{
        (void)state;
        struct taken t;
        struct err e;

        assert_int_equal(read_line("prog --x --file a --x", &t, &e), 0);
        assert_non_null(t.file);
        assert_int_equal(t.flags, 2);
        assert_int_equal(read_line("prog", &t, &e), 0);
        assert_int_equal(t.flags, 0);
}

static void what_is_unknown_incomplete_or_unexpected_is_named(void **state)
{
        (void)state;
        static const struct {
                const char *line, *message;
        } cases[] = {{"prog --nope", "'--nope'"}, {"prog --file", "'--file'"}, {"prog --x word", "'word'"}};
        struct taken t;
        struct err e;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(read_line(cases[i].line, &t, &e), -1);
                assert_int_equal(e.code, ERR_USAGE);
                assert_non_null(strstr(e.msg, cases[i].message));
        }
}

static void what_the_program_refuses_ends_the_reading(void **state)
{
        (void)state;
        struct taken t;
        struct err e;

        assert_int_equal(read_line("prog --file= --x", &t, &e), -1);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_int_equal(t.flags, 0);
}

static void help_and_version_leave_nothing_to_do(void **state)
{
        (void)state;
        static const char *const lines[] = {"prog --help", "prog -h", "prog --version", "prog --x --help --nope"};
        struct taken t;
        struct err e;

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                assert_int_equal(read_line(lines[i], &t, &e), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(options_are_taken_one_by_one),
                cmocka_unit_test(what_is_unknown_incomplete_or_unexpected_is_named),
                cmocka_unit_test(what_the_program_refuses_ends_the_reading),
                cmocka_unit_test(help_and_version_leave_nothing_to_do),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
