/* Workflow commands in lines of output. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "workflow/command.h"

static struct command_parser parser;

static struct command parse(const char *line)
{
        struct command c;
        struct err e = ERR_INIT;
        assert_int_equal(command_parse(&parser, line, strlen(line), &c, &e), 0);
        return c;
}

static int set_up(void **state)
{
        (void)state;
        command_parser_init(&parser);
        return 0;
}

static void expect_kind(const char *line, enum command_kind kind)
{
        struct command c = parse(line);
        if (c.kind != kind)
                fail_msg("'%s' is of kind %d, not %d", line, c.kind, kind);
        command_done(&c);
}

static void an_annotation_has_its_place_and_text(void **state)
{
        (void)state;
        struct command c = parse("::error file=src/a.c,line=3,endLine=3,col=5,endColumn=9,title=Oh%2C no%3A "
                                 "x::bad%0Athing 100%25 a:b,c");
        assert_int_equal(c.kind, COMMAND_ERROR);
        assert_string_equal(c.file, "src/a.c");
        assert_string_equal(c.title, "Oh, no: x");
        assert_string_equal(c.data, "bad\nthing 100% a:b,c");
        assert_int_equal(c.line, 3);
        assert_int_equal(c.end_line, 3);
        assert_int_equal(c.column, 5);
        assert_int_equal(c.end_column, 9);
        assert_false(c.echo);
        command_done(&c);
}

static void escapes_are_undone_once(void **state)
{
        (void)state;
        struct command c = parse("::notice::%250A %0d %0D%2C%zz%");
        assert_string_equal(c.data, "%0A %0d \r%2C%zz%");
        command_done(&c);
}

static void only_blanks_may_come_before_the_colons(void **state)
{
        (void)state;
        expect_kind("  \t::warning::x", COMMAND_WARNING);
        expect_kind("a ::warning::x", COMMAND_NONE);
        expect_kind("\x1b[31m::warning::x", COMMAND_NONE);
        expect_kind(":warning::x", COMMAND_NONE);
        expect_kind("::warning:x", COMMAND_NONE);
        expect_kind("::warning", COMMAND_NONE);
        expect_kind("::warning::", COMMAND_WARNING);
        expect_kind("::", COMMAND_NONE);
        expect_kind("::::", COMMAND_NONE);
        expect_kind("", COMMAND_NONE);
}

static void names_are_known_ones_without_regard_to_case(void **state)
{
        (void)state;
        expect_kind("::ERROR::x", COMMAND_ERROR);
        expect_kind("::Group::x", COMMAND_GROUP);
        expect_kind("::endgroup::", COMMAND_ENDGROUP);
        expect_kind("::std::vector::x", COMMAND_NONE);
        expect_kind("::errors::x", COMMAND_NONE);
        expect_kind(":: error::x", COMMAND_NONE);
        expect_kind("::debug::x", COMMAND_DEBUG);
        expect_kind("::add-matcher::m.json", COMMAND_ADD_MATCHER);
        expect_kind("::remove-matcher owner=gcc::", COMMAND_REMOVE_MATCHER);
}

static void the_older_form_may_stand_anywhere(void **state)
{
        (void)state;
        struct command c = parse("make: ##[error file=a;line=2]text%3B%5D%0A");
        assert_int_equal(c.kind, COMMAND_ERROR);
        assert_string_equal(c.file, "a");
        assert_int_equal(c.line, 2);
        assert_string_equal(c.data, "text;]\n");
        command_done(&c);
        expect_kind("##[group]x", COMMAND_GROUP);
        expect_kind("##[nothing]x", COMMAND_NONE);
        expect_kind("##[error", COMMAND_NONE);
        expect_kind("::foo::##[warning]x", COMMAND_WARNING);
}

static void a_token_stops_and_resumes_commands(void **state)
{
        (void)state;
        struct command c = parse("::stop-commands::pAuSe-1");
        assert_int_equal(c.kind, COMMAND_STOP);
        assert_int_equal(c.problem, COMMAND_PROBLEM_NONE);
        assert_true(c.echo);
        command_done(&c);
        expect_kind("::error::x", COMMAND_NONE);
        expect_kind("::stop-commands::other", COMMAND_NONE);
        expect_kind("::other::", COMMAND_NONE);
        expect_kind("##[error]x", COMMAND_NONE);
        expect_kind("::PAUSE-1::", COMMAND_RESUME);
        expect_kind("::error::x", COMMAND_ERROR);
        expect_kind("::pause-1::", COMMAND_NONE);
}

static void a_token_that_is_no_secret_is_refused(void **state)
{
        (void)state;
        static const char *const lines[] = {"::stop-commands::", "::stop-commands::pause-logging",
                                            "::stop-commands::ERROR"};
        for (size_t i = 0; i < 3; i++) {
                struct command c = parse(lines[i]);
                assert_int_equal(c.problem, COMMAND_PROBLEM_ERROR);
                command_done(&c);
                expect_kind("::error::still processed", COMMAND_ERROR);
        }
        char line[COMMAND_MAX_TOKEN + 64] = "::stop-commands::";
        memset(line + strlen(line), 'x', COMMAND_MAX_TOKEN);
        struct command c = parse(line);
        assert_int_equal(c.problem, COMMAND_PROBLEM_ERROR);
        command_done(&c);
        expect_kind("::error::x", COMMAND_ERROR);
}

static void commands_that_github_disabled_are_refused(void **state)
{
        (void)state;
        struct command c = parse("::set-env name=A::b");
        assert_int_equal(c.problem, COMMAND_PROBLEM_ERROR);
        assert_contains(c.message, "`set-env` command is disabled");
        command_done(&c);
        c = parse("::add-path::/x");
        assert_int_equal(c.problem, COMMAND_PROBLEM_ERROR);
        command_done(&c);
}

static void deprecated_commands_work_with_a_warning(void **state)
{
        (void)state;
        struct command c = parse("::set-output name=v::1%0A2");
        assert_int_equal(c.kind, COMMAND_SET_OUTPUT);
        assert_int_equal(c.problem, COMMAND_PROBLEM_WARNING);
        assert_string_equal(c.name, "v");
        assert_string_equal(c.data, "1\n2");
        command_done(&c);
        c = parse("::set-output::1");
        assert_int_equal(c.problem, COMMAND_PROBLEM_ERROR);
        assert_string_equal(c.message, "Required field 'name' is missing in ##[set-output] command.");
        command_done(&c);
        c = parse("::save-state name=a::b");
        assert_int_equal(c.problem, COMMAND_PROBLEM_WARNING);
        command_done(&c);
}

static bool is_echoed(const char *line)
{
        struct command c = parse(line);
        bool echo = c.echo;
        command_done(&c);
        return echo;
}

static void echo_shows_commands(void **state)
{
        (void)state;
        assert_false(is_echoed("::save-state name=a::b"));
        expect_kind("::echo:: ON ", COMMAND_ECHO);
        assert_true(is_echoed("::save-state name=a::b"));
        assert_false(is_echoed("::error::x"));
        assert_false(is_echoed("::add-mask::secret"));
        expect_kind("::echo::off", COMMAND_ECHO);
        assert_false(is_echoed("::save-state name=a::b"));
        struct command c = parse("::echo::maybe");
        assert_int_equal(c.problem, COMMAND_PROBLEM_ERROR);
        command_done(&c);
}

static void an_empty_mask_is_a_warning(void **state)
{
        (void)state;
        struct command c = parse("::add-mask:: ");
        assert_int_equal(c.problem, COMMAND_PROBLEM_WARNING);
        command_done(&c);
        c = parse("::add-mask::a b");
        assert_int_equal(c.problem, COMMAND_PROBLEM_NONE);
        assert_string_equal(c.data, "a b");
        command_done(&c);
}

static void places_that_make_no_sense_are_mended(void **state)
{
        static const struct {
                const char *line;
                unsigned expected[4]; /* line, end line, column, end column */
        } cases[] = {
                {"::error endLine=5::x", {5, 5, 0, 0}},
                {"::error col=3::x", {0, 0, 0, 0}},
                {"::error line=1,endColumn=3::x", {1, 0, 3, 3}},
                {"::error line=5,endLine=3::x", {0, 0, 0, 0}},
                {"::error line=1,endLine=2,col=3::x", {1, 2, 0, 0}},
                {"::error line=1,col=9,endColumn=3::x", {1, 0, 0, 0}},
                {"::error line=-1,col=x::x", {0, 0, 0, 0}},
                {"::error line=99999999999::x", {0, 0, 0, 0}},
        };
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct command c = parse(cases[i].line);
                const unsigned got[4] = {c.line, c.end_line, c.column, c.end_column};
                if (memcmp(got, cases[i].expected, sizeof(got)) != 0)
                        fail_msg("%s: %u %u %u %u", cases[i].line, got[0], got[1], got[2], got[3]);
                command_done(&c);
        }
}

static void properties_are_cut_as_github_cuts_them(void **state)
{
        (void)state;
        struct command c = parse("::error  file=a=b,,title=,FILE=c d , line=2::x");
        assert_string_equal(c.file, "c d ");
        assert_null(c.title);
        assert_int_equal(c.line, 0); /* " line" is another name */
        command_done(&c);
}

static void bytes_that_are_no_text_are_no_command(void **state)
{
        (void)state;
        struct command c;
        assert_int_equal(command_parse(&parser, "::error::a\0b", 12, &c, NULL), 0);
        assert_int_equal(c.kind, COMMAND_NONE);
        size_t len = COMMAND_MAX_LINE + 1;
        char *line = malloc(len);
        memset(line, 'x', len);
        memcpy(line, "::error::", 9);
        assert_int_equal(command_parse(&parser, line, len, &c, NULL), 0);
        assert_int_equal(c.kind, COMMAND_NONE);
        assert_int_equal(command_parse(&parser, line, len - 1, &c, NULL), 0);
        assert_int_equal(c.kind, COMMAND_ERROR);
        command_done(&c);
        free(line);
}

static void a_carriage_return_at_the_end_is_no_text(void **state)
{
        (void)state;
        struct command c = parse("::error::x\r");
        assert_string_equal(c.data, "x");
        command_done(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(an_annotation_has_its_place_and_text, set_up),
                cmocka_unit_test_setup(escapes_are_undone_once, set_up),
                cmocka_unit_test_setup(only_blanks_may_come_before_the_colons, set_up),
                cmocka_unit_test_setup(names_are_known_ones_without_regard_to_case, set_up),
                cmocka_unit_test_setup(the_older_form_may_stand_anywhere, set_up),
                cmocka_unit_test_setup(a_token_stops_and_resumes_commands, set_up),
                cmocka_unit_test_setup(a_token_that_is_no_secret_is_refused, set_up),
                cmocka_unit_test_setup(commands_that_github_disabled_are_refused, set_up),
                cmocka_unit_test_setup(deprecated_commands_work_with_a_warning, set_up),
                cmocka_unit_test_setup(echo_shows_commands, set_up),
                cmocka_unit_test_setup(an_empty_mask_is_a_warning, set_up),
                cmocka_unit_test_setup(places_that_make_no_sense_are_mended, set_up),
                cmocka_unit_test_setup(properties_are_cut_as_github_cuts_them, set_up),
                cmocka_unit_test_setup(bytes_that_are_no_text_are_no_command, set_up),
                cmocka_unit_test_setup(a_carriage_return_at_the_end_is_no_text, set_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
