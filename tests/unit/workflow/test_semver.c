/* Versions and ranges of versions; tests/e2e/test_semver.py holds them beside npm's. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "workflow/semver.h"

static struct semver parse(const char *text)
{
        struct semver v;
        if (!semver_parse(text, &v))
                fail_msg("'%s' is no version", text);
        return v;
}

static void a_version_has_three_numbers_and_perhaps_a_prerelease(void **state)
{
        static const char *const bad[] = {"",        "1",      "1.2",      "1.2.3.4",    "1.2.x",
                                          "01.2.3",  "1.2.3-", "1.2.3-01", "1.2.3-a..b", "=1.2.3",
                                          "1.2.3 x", "a.b.c",  "1.2.3+",   "1.2.3+a_b",  "1.2.9007199254740992"};
        (void)state;
        struct semver v = parse(" v18.20.3-rc.1+build.5 ");
        assert_int_equal(v.number[0], 18);
        assert_int_equal(v.number[1], 20);
        assert_int_equal(v.number[2], 3);
        assert_int_equal(v.pre_len, strlen("rc.1"));
        assert_memory_equal(v.build, "build.5", v.build_len);
        assert_int_equal(parse("1.2.9007199254740991").number[2], SEMVER_MAX_NUMBER);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (semver_parse(bad[i], &v))
                        fail_msg("'%s' was taken for a version", bad[i]);
}

static void versions_are_ordered_as_the_specification_says(void **state)
{
        static const char *const rising[] = {
                "0.0.1",      "0.1.0",        "1.0.0-alpha",   "1.0.0-alpha.1", "1.0.0-alpha.beta",
                "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",    "1.0.0",
                "1.0.10",     "1.1.0",        "10.0.0"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rising); i++)
                for (size_t k = 0; k < ARRAY_SIZE(rising); k++) {
                        struct semver a = parse(rising[i]), b = parse(rising[k]);
                        int r = semver_compare(&a, &b);
                        assert_int_equal((r > 0) - (r < 0), (i > k) - (i < k));
                }
        struct semver a = parse("1.0.0+a"), b = parse("1.0.0+b");
        assert_int_equal(semver_compare(&a, &b), 0);
}

static void a_range_holds_what_it_says(void **state)
{
        static const struct {
                const char *range, *yes, *no; /* divided by blanks */
        } cases[] = {
                {"", "0.0.0 1.2.3", "1.2.3-a"},
                {"*", "1.2.3", "1.2.3-a"},
                {"18", "18.0.0 18.20.3", "17.9.9 19.0.0 18.0.0-rc.1"},
                {"18.x", "18.0.0 18.20.3", "19.0.0"},
                {"18.1", "18.1.0 18.1.9", "18.2.0"},
                {"18.1.2", "18.1.2 18.1.2+x", "18.1.3"},
                {"=18.1.2", "18.1.2", "18.1.1"},
                {"v18", "18.1.2", "19.0.0"},
                {">=18 <20", "18.0.0 19.9.9", "17.0.0 20.0.0"},
                {">18", "19.0.0", "18.9.9"},
                {">18.1", "18.2.0", "18.1.9"},
                {"<=18", "18.9.9 1.0.0", "19.0.0"},
                {"<18", "17.9.9", "18.0.0 18.0.0-a"},
                {"> 18 < 20", "19.0.0", "20.0.0"},
                {"> =18.1.0", "18.1.0", "18.0.9"},
                {"^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0"},
                {"^0.2.3", "0.2.3 0.2.9", "0.3.0"},
                {"^0.0.3", "0.0.3", "0.0.4"},
                {"^0", "0.9.9", "1.0.0"},
                {"^0.0", "0.0.9", "0.1.0"},
                {"^1.2", "1.2.0 1.9.0", "2.0.0"},
                {"~1.2.3", "1.2.3 1.2.9", "1.3.0"},
                {"~>1.2", "1.2.0", "1.3.0"},
                {"~1", "1.9.9", "2.0.0"},
                {"1.2 - 1.4", "1.2.0 1.4.9", "1.1.9 1.5.0"},
                {"1.2.3 - 2.0.0", "1.2.3 2.0.0", "2.0.1"},
                {"16 || 18 || >=20.1", "16.1.1 18.2.2 20.1.0", "17.0.0 20.0.9"},
                {">=1.2.3-beta.2", "1.2.3-beta.2 1.2.3-rc 1.2.3 2.0.0", "1.2.3-beta.1 1.2.4-a"},
                {"~3.12.0-0", "3.12.0-alpha.1 3.12.1", "3.13.0"},
                {">*", "", "1.2.3"},
                {"* || >=1.0.0-a", "1.0.0", "1.0.0-b"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                for (int wanted = 0; wanted < 2; wanted++) {
                        char versions[200];
                        snprintf(versions, sizeof(versions), "%s", wanted ? cases[i].yes : cases[i].no);
                        for (char *rest = versions, *word; (word = strsep(&rest, " ")) && *word;) {
                                struct semver v = parse(word);
                                if (semver_satisfies(&v, cases[i].range) != wanted)
                                        fail_msg("'%s' and %s", cases[i].range, word);
                        }
                }
}

static void a_range_that_is_none_holds_nothing(void **state)
{
        static const char *const bad[] = {"latest",
                                          "lts/*",
                                          "1.",
                                          "1.2.3.4",
                                          "1|2",
                                          "x.1",
                                          "1.x.2",
                                          ">",
                                          "~",
                                          "^",
                                          "> >1",
                                          "1.2.3foo",
                                          "01",
                                          "1 -2",
                                          "v 1",
                                          "1.2.3-",
                                          "9007199254740992",
                                          "1.2.3 - "};
        struct semver v = parse("1.2.3");
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (semver_range_is_valid(bad[i]) || semver_satisfies(&v, bad[i]))
                        fail_msg("'%s' was taken for a range", bad[i]);
}

static void lengths_are_bounded(void **state)
{
        char version[SEMVER_MAX_LENGTH + 2], range[SEMVER_MAX_RANGE + 2];
        struct semver v;
        (void)state;
        memset(version, 'a', sizeof(version));
        memcpy(version, "1.2.3-", strlen("1.2.3-"));
        version[SEMVER_MAX_LENGTH + 1] = '\0';
        assert_false(semver_parse(version, &v));
        version[SEMVER_MAX_LENGTH] = '\0';
        assert_true(semver_parse(version, &v));
        memset(range, ' ', sizeof(range));
        range[0] = '1';
        range[SEMVER_MAX_RANGE + 1] = '\0';
        assert_false(semver_range_is_valid(range));
        range[SEMVER_MAX_RANGE] = '\0';
        assert_true(semver_range_is_valid(range));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_version_has_three_numbers_and_perhaps_a_prerelease),
                cmocka_unit_test(versions_are_ordered_as_the_specification_says),
                cmocka_unit_test(a_range_holds_what_it_says),
                cmocka_unit_test(a_range_that_is_none_holds_nothing),
                cmocka_unit_test(lengths_are_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
