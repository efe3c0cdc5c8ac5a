/* Variables of the command line and of a file. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "cli/vars.h"
#include "workflow/plan.h"
#include "workflow/value.h"

#define NAME "vars"

static void see(const struct vars *v, const char *environment, const char *name, const char *expected)
{
        AUTO(value_unrefp) struct value *all = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(vars_of(v, environment, &all, &e), 0);
        const char *found = value_get_str(all, name);
        if (!expected)
                assert_null(found);
        else if (!found || strcmp(found, expected) != 0)
                fail_msg("%s: expected '%s', found '%s'", name, expected, found ? found : "nothing");
}

static void a_file_has_variables_of_all_jobs_and_of_environments(void **state)
{
        static const char text[] =
                "# of all\nONE=1\n\nTWO = 2 \r\nempty=\nSIGN=a=b\n[staging]\nONE=s\n[Production]\nONE=p\n"
                "OWN=x\n[staging]\nOWN=y";
        struct vars v;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(vars_init(&v, &e), 0);
        assert_int_equal(vars_parse(&v, NAME, text, strlen(text), &e), -1);
        assert_string_equal(e.msg, NAME ":4: the name of a variable: expected letters, digits and '_', not beginning "
                                        "with a digit or GITHUB_, found 'TWO '");
        vars_done(&v);
        assert_int_equal(vars_init(&v, &e), 0);
        AUTO(auto_free) char *good = strdup(text);
        memcpy(strstr(good, "TWO = 2 "), "TWO=  2 ", 8);
        assert_int_equal(vars_parse(&v, NAME, good, strlen(good), &e), 0);
        see(&v, NULL, "one", "1");
        see(&v, NULL, "TWO", "  2 ");
        see(&v, NULL, "EMPTY", "");
        see(&v, NULL, "SIGN", "a=b");
        see(&v, NULL, "OWN", NULL);
        see(&v, "staging", "ONE", "s");
        see(&v, "staging", "OWN", "y");
        see(&v, "PRODUCTION", "ONE", "p");
        see(&v, "production", "TWO", "  2 ");
        see(&v, "other", "ONE", "1");
        vars_done(&v);
}

static void a_later_one_counts(void **state)
{
        struct vars v;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(vars_init(&v, &e), 0);
        assert_int_equal(vars_parse(&v, NAME, "A=1\n", 4, &e), 0);
        assert_int_equal(vars_add(&v, "a=2", &e), 0);
        assert_int_equal(vars_add(&v, "a/b/A=3", &e), 0);
        assert_int_equal(vars_add(&v, "URL=https://x/", &e), 0);
        see(&v, NULL, "A", "2");
        see(&v, "a/b", "A", "3");
        see(&v, NULL, "URL", "https://x/");
        vars_done(&v);
}

static void refused(const char *pair, size_t len, const char *why)
{
        struct vars v;
        struct err e = ERR_INIT;
        assert_int_equal(vars_init(&v, &e), 0);
        assert_int_equal(vars_parse(&v, NAME, pair, len, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, why);
        vars_done(&v);
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
        static const struct {
                const char *text, *why;
        } bad[] = {
                {"A=1\nB\n", NAME ":2: expected NAME=VALUE, found 'B'"},
                {"=x", NAME ":1: the name of a variable"},
                {"1A=x", "not beginning with a digit or GITHUB_, found '1A'"},
                {"a-b=x", "found 'a-b'"},
                {"github_x=1", "found 'github_x'"},
                {"A=\xff\n", NAME ":1: the variable A is not UTF-8"},
                {"[]\nA=1", NAME ":1: expected [ENVIRONMENT]"},
                {"[a\n", NAME ":1: expected [ENVIRONMENT]"},
                {"[\xff]\n", NAME ":1: expected [ENVIRONMENT]"},
        };
        struct vars v;
        struct err e = ERR_INIT;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                refused(bad[i].text, strlen(bad[i].text), bad[i].why);
        refused("A=\0x", 4, NAME ":1: a NUL byte");
        assert_int_equal(vars_init(&v, &e), 0);
        assert_int_equal(vars_add(&v, "/A=1", &e), -1);
        assert_contains(e.msg, "expected ENVIRONMENT/NAME=VALUE, found '/A=1'");
        assert_int_equal(vars_add(&v, "A", &e), -1);
        vars_done(&v);
}

static int add(struct vars *v, const char *environment, const char *name, size_t value, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(buf_printf(&b, NULL, "%s%s=", environment, name), 0);
        for (size_t i = 0; i < value; i++)
                assert_int_equal(buf_append_byte(&b, 'x', NULL), 0);
        return vars_add(v, buf_cstr(&b), e);
}

static void their_sizes_and_numbers_are_bounded(void **state)
{
        char name[32], environment[PLAN_MAX_ENVIRONMENT + 3];
        struct vars v;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(vars_init(&v, &e), 0);
        assert_int_equal(add(&v, "", "A0", VARS_MAX_VALUE, &e), 0);
        assert_int_equal(add(&v, "", "A0", VARS_MAX_VALUE + 1, &e), -1);
        assert_contains(e.msg, "longer than 49152 bytes");
        for (size_t i = 0; i < VARS_MAX_COUNT; i++) {
                snprintf(name, sizeof(name), "A%zu", i);
                assert_int_equal(add(&v, "", name, 1, &e), 0);
        }
        assert_int_equal(add(&v, "", "ONE_MORE", 1, &e), -1);
        assert_contains(e.msg, "more than 1000 variables");
        assert_int_equal(add(&v, "e/", "ONE_MORE", 1, &e), 0);
        memset(environment, 'n', sizeof(environment));
        memcpy(environment + PLAN_MAX_ENVIRONMENT, "/", 2);
        assert_int_equal(add(&v, environment, "A", 1, &e), 0);
        memcpy(environment + PLAN_MAX_ENVIRONMENT, "n/", 3);
        assert_int_equal(add(&v, environment, "A", 1, &e), -1);
        assert_contains(e.msg, "longer than 255 bytes");
        for (size_t i = 2; i < VARS_MAX_ENVIRONMENTS; i++) {
                snprintf(name, sizeof(name), "e%zu/", i);
                assert_int_equal(add(&v, name, "A", 1, &e), 0);
        }
        assert_int_equal(add(&v, "one more/", "A", 1, &e), -1);
        assert_contains(e.msg, "more than 100 environments");
        assert_int_equal(add(&v, "E/", "A", 1, &e), 0);
        vars_done(&v);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_has_variables_of_all_jobs_and_of_environments),
                cmocka_unit_test(a_later_one_counts),
                cmocka_unit_test(what_is_wrong_is_said_with_its_line),
                cmocka_unit_test(their_sizes_and_numbers_are_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
