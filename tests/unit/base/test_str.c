#include "test.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

static void strings_compare_with_null(void **state)
{
        (void)state;
        assert_true(str_eq(NULL, NULL) && str_eq("a", "a"));
        assert_false(str_eq(NULL, "") || str_eq("a", NULL) || str_eq("a", "A"));
        assert_true(str_ieq("CI.yml", "ci.YML") && str_ieq(NULL, NULL));
        assert_false(str_ieq("a", "ab") || str_ieq("[", "{") || str_ieq(NULL, "a"));
        assert_true(str_iin("B", (const char *const[]){"a", "b"}, 2));
        assert_false(str_iin("b", (const char *const[]){"a", "b"}, 1) || str_iin("a", NULL, 0));
        assert_true(str_starts("abc", "ab") && str_ends("abc", "bc") && str_ends("a", ""));
        assert_false(str_starts("a", "ab") || str_ends("c", "bc"));
}

static void copying_is_bounded(void **state)
{
        (void)state;
        char small[4];
        assert_true(str_copy(small, sizeof(small), "abc"));
        assert_false(str_copy(small, sizeof(small), "abcd"));
        assert_string_equal(small, "abc");
        assert_false(str_copy(small, 0, ""));
        AUTO(auto_free) char *part = str_ndup("abcdef", 3);
        assert_string_equal(part, "abc");
        AUTO(auto_free) char *whole = str_ndup("ab", 30);
        assert_string_equal(whole, "ab");
        assert_null(str_dup(NULL));
}

static void utf8_is_strict(void **state)
{
        (void)state;
        static const char *const good[] = {"",
                                           "plain",
                                           "\xc3\xa9",
                                           "\xe2\x82\xac",
                                           "\xf0\x9f\x98\x80",
                                           "\xf4\x8f\xbf\xbf",
                                           "\xed\x9f\xbf",
                                           "\xee\x80\x80"};
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(str_is_utf8(good[i], strlen(good[i])));
        static const char *const bad[] = {"\x80",
                                          "\xc3",
                                          "\xc3(",
                                          "\xc0\xaf",
                                          "\xe0\x80\xaf",
                                          "\xed\xa0\x80",
                                          "\xed\xbf\xbf",
                                          "\xf4\x90\x80\x80",
                                          "\xf0\x80\x80\x80",
                                          "\xf8\x88\x80\x80\x80",
                                          "\xff"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(str_is_utf8(bad[i], strlen(bad[i])));
        assert_true(str_is_utf8("a\0b", 3));
}

static void escaping_shows_what_a_terminal_acts_on(void **state)
{
        (void)state;
        static const struct {
                const char *in, *out;
        } rows[] = {{"plain \xc3\xa9 \xf0\x9f\x98\x80", "plain \xc3\xa9 \xf0\x9f\x98\x80"},
                    {"a\tb\nc\rd", "a\\tb\\nc\\rd"},
                    {"\x1b[31m", "\\x1b[31m"},
                    {"\x7f", "\\x7f"},
                    {"\xc2\x9b"
                     "31m",
                     "\\x9b31m"},
                    {"\x9b", "\\x9b"},
                    {"\xe2\x80\xae", "\\u{202e}"},
                    {"\xe2\x81\xa6", "\\u{2066}"},
                    {"\xd8\x9c", "\\u{61c}"},
                    {"\xe2\x80\x8e", "\\u{200e}"}};
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[100];
                assert_int_equal(str_escape(text, sizeof(text), rows[i].in, strlen(rows[i].in)), 0);
                assert_string_equal(text, rows[i].out);
        }
}

static void escaping_stops_at_whole_characters(void **state)
{
        (void)state;
        char text[8];
        assert_int_equal(str_escape(text, sizeof(text), "abcd\x1b", 5), 1);
        assert_string_equal(text, "abcd");
        assert_int_equal(str_escape(text, sizeof(text), "abc\x1b", 4), 0);
        assert_string_equal(text, "abc\\x1b");
        assert_int_equal(str_escape(text, 1, "a", 1), 1);
        assert_string_equal(text, "");
}

static void names_are_safe_for_files(void **state)
{
        (void)state;
        assert_true(str_is_name("build-1.2_x", 20) && str_is_name("a", 1));
        static const char *const bad[] = {"", ".", "..", ".x", "-x", "a/b", "a b", "a\n", "\xc3\xa9", "toolong"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(str_is_name(bad[i], 6));
}

static void distance_counts_edits(void **state)
{
        (void)state;
        assert_int_equal(str_distance("kitten", "sitting", 9), 3);
        assert_int_equal(str_distance("", "abc", 9), 3);
        assert_int_equal(str_distance("abc", "xyz", 2), 3);
        char longer[300];
        memset(longer, 'a', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = 0;
        assert_int_equal(str_distance(longer, longer, 5), 6);
}

static void nearest_is_close_enough_or_none(void **state)
{
        (void)state;
        static const char *const keys[] = {"runs-on", "needs", "steps"};
        assert_string_equal(str_nearest("run-on", keys, 3), "runs-on");
        assert_string_equal(str_nearest("step", keys, 3), "steps");
        assert_null(str_nearest("container", keys, 3));
        assert_null(str_nearest("x", NULL, 0));
}

static void lists_of_strings_end_with_null(void **state)
{
        (void)state;
        AUTO(strv_done) struct strv v = STRV_INIT;
        for (int i = 0; i < 100; i++)
                assert_int_equal(strv_addf(&v, NULL, "%d", i), 0);
        assert_int_equal(strv_add(&v, "last", NULL), 0);
        assert_int_equal(v.n, 101);
        assert_null(v.v[101]);
        assert_true(strv_has(&v, "99") && strv_has(&v, "last"));
        assert_false(strv_has(&v, "100"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(strings_compare_with_null),
                cmocka_unit_test(copying_is_bounded),
                cmocka_unit_test(utf8_is_strict),
                cmocka_unit_test(escaping_shows_what_a_terminal_acts_on),
                cmocka_unit_test(escaping_stops_at_whole_characters),
                cmocka_unit_test(names_are_safe_for_files),
                cmocka_unit_test(distance_counts_edits),
                cmocka_unit_test(nearest_is_close_enough_or_none),
                cmocka_unit_test(lists_of_strings_end_with_null),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
