#include "test.h"

#include "base/err.h"
#include "base/num.h"
#include "net/name.h"

static int normalise(const char *name, char ret[NAME_TEXT], struct err *e)
{
        return name_normalise(name, strlen(name), ret, e);
}

static void names_are_lower_case_without_the_final_dot(void **state)
{
        char ret[NAME_TEXT];
        (void)state;
        assert_int_equal(normalise("Example.ORG.", ret, NULL), 0);
        assert_string_equal(ret, "example.org");
        assert_int_equal(normalise("xn--bcher-kva.example", ret, NULL), 0);
        assert_int_equal(normalise("_x._tcp.a-b.c1", ret, NULL), 0);
        assert_int_equal(normalise("1.2.3.4a", ret, NULL), 0);
        assert_int_equal(normalise("localhost", ret, NULL), 0);
}

static void what_is_no_name_is_refused_with_why(void **state)
{
        static const char *const rows[][2] = {
                {"", "1 to 253"},
                {".", "1 to 253"},
                {"a..b", "empty label"},
                {".a", "empty label"},
                {"a..", "empty label"},
                {"-a.b", "'-'"},
                {"a-.b", "'-'"},
                {"a b", "a character"},
                {"a/b", "a character"},
                {"a%2eb.c", "a character"},
                {"a@b.c", "a character"},
                {"*.a", "a character"},
                {"a:1", "a character"},
                {"b\xc3\xbc.de", "xn--"},
                {"a\xef\xbc\x8e"
                 "b",
                 "xn--"},
                {"1.2.3.4", "a number"},
                {"127.1", "a number"},
                {"2130706433", "a number"},
                {"0x7f000001", "a number"},
                {"a.0x1", "a number"},
                {"a.0x", "a number"},
                {"a.1.", "a number"},
        };
        char ret[NAME_TEXT];
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err e = ERR_INIT;
                if (normalise(rows[i][0], ret, &e) == 0)
                        fail_msg("'%s' is taken for a name", rows[i][0]);
                assert_contains(e.msg, rows[i][1]);
                assert_int_equal(e.code, ERR_USAGE);
        }
        assert_int_equal(name_normalise("a\0b.c", 5, ret, NULL), -1);
}

static void lengths_are_limited(void **state)
{
        char text[300], ret[NAME_TEXT];
        (void)state;
        memset(text, 'a', sizeof(text));
        assert_int_equal(name_normalise(text, NAME_MAX_LABEL, ret, NULL), 0);
        assert_int_equal(name_normalise(text, NAME_MAX_LABEL + 1, ret, NULL), -1);
        for (size_t i = 50; i < sizeof(text); i += 51)
                text[i] = '.';
        assert_int_equal(name_normalise(text, NAME_MAX_LENGTH, ret, NULL), 0);
        assert_int_equal(name_normalise(text, NAME_MAX_LENGTH + 1, ret, NULL), -1);
        text[NAME_MAX_LENGTH] = '.';
        assert_int_equal(name_normalise(text, NAME_MAX_LENGTH + 1, ret, NULL), 0);
        assert_int_equal(strlen(ret), NAME_MAX_LENGTH);
}

static void the_hosts_own_names_are_those_below_its_domain(void **state)
{
        (void)state;
        assert_true(name_is_internal("results.devdep.internal"));
        assert_true(name_is_internal("a.b.devdep.internal"));
        assert_false(name_is_internal("devdep.internal"));
        assert_false(name_is_internal("notdevdep.internal"));
        assert_false(name_is_internal("results.devdep.internal.example.org"));
        assert_false(name_is_internal(""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_hosts_own_names_are_those_below_its_domain),
                cmocka_unit_test(names_are_lower_case_without_the_final_dot),
                cmocka_unit_test(what_is_no_name_is_refused_with_why),
                cmocka_unit_test(lengths_are_limited),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
