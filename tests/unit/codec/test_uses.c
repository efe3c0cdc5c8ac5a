/* What a `uses:` names. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/num.h"
#include "codec/uses.h"

static void expect_remote(const char *text, const char *repository, const char *path, const char *ref)
{
        struct uses u;
        struct err e = ERR_INIT;
        if (uses_parse(text, &u, &e) < 0)
                fail_msg("%s", e.msg);
        assert_int_equal(u.kind, USES_REMOTE);
        assert_string_equal(u.repository, repository);
        assert_string_equal(u.path, path);
        assert_string_equal(u.ref, ref);
        uses_done(&u);
}

static void an_action_of_another_repository_has_owner_name_path_and_ref(void **state)
{
        (void)state;
        expect_remote("actions/setup-node@v4", "actions/setup-node", "", "v4");
        expect_remote("Actions/Setup-Node@V4", "actions/setup-node", "", "V4");
        expect_remote("o/r/a/b@feature/x", "o/r", "a/b", "feature/x");
        expect_remote("o//r/a/@v1", "o/r", "a", "v1");
        expect_remote("o/.github/Some Folder@v1.0+2", "o/.github", "Some Folder", "v1.0+2");
        expect_remote("o/r@0123456789abcdef0123456789abcdef01234567", "o/r", "",
                      "0123456789abcdef0123456789abcdef01234567");
}

static void what_is_not_of_that_form_is_refused_in_the_words_of_the_service(void **state)
{
        static const char *const bad[] = {"",           "x",         "o/r",         "@v1",
                                          "o@v1",       "/@v1",      "o/r@",        "o/r@a@b",
                                          "../x",       "..//r@v1",  "o/..@v1",     "o/r/..@v1",
                                          "o/r/./x@v1", "o/r@..",    "o/r@a/../b",  "o/r@/a",
                                          "o/r@a/",     "o/r@a//b",  "o/r@-x",      "o/r@a b",
                                          "o/r@$(x)",   "o/r@a..b",  "o/r@.a",      "o/r@a/.b",
                                          "o r/x@v1",   "o/r*@v1",   "-o/r@v1",     "o/r\\x@v1",
                                          "o/r\n@v1",   "o/r@v\xff", "o/r/\x1b@v1", "\xff/r@v1",
                                          "o/r@a^",     "o/r@a~1",   "o/r@a.",      "http://x/y@v1"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct uses u;
                struct err e = ERR_INIT;
                if (uses_parse(bad[i], &u, &e) == 0)
                        fail_msg("'%s' was accepted", bad[i]);
                assert_int_equal(e.code, ERR_USAGE);
                assert_contains(e.msg, "Expected format {org}/{repo}[/path]@ref. Actual '");
                assert_null(u.repository);
        }
}

static void local_and_docker_are_told_apart(void **state)
{
        struct uses u;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(uses_parse("./.github/actions/x", &u, &e), 0);
        assert_int_equal(u.kind, USES_LOCAL);
        assert_string_equal(u.path, ".github/actions/x");
        uses_done(&u);
        assert_int_equal(uses_parse("./", &u, &e), 0);
        assert_string_equal(u.path, "");
        uses_done(&u);
        assert_int_equal(uses_parse("docker://alpine:3.8", &u, &e), 0);
        assert_int_equal(u.kind, USES_DOCKER);
        assert_int_equal(uses_parse("./a\nb", &u, &e), -1);
}

static void lengths_are_bounded(void **state)
{
        char text[USES_MAX + 2], name[USES_MAX_NAME + 2], ref[USES_MAX_REF + 2];
        struct uses u;
        struct err e = ERR_INIT;
        (void)state;
        memset(text, 'a', sizeof(text));
        memcpy(text, "./", 2);
        text[USES_MAX] = '\0';
        assert_int_equal(uses_parse(text, &u, &e), 0);
        uses_done(&u);
        text[USES_MAX] = 'a';
        text[USES_MAX + 1] = '\0';
        assert_int_equal(uses_parse(text, &u, &e), -1);
        assert_contains(e.msg, "at most 1024 bytes, found 1025 (USES_MAX)");
        memset(name, 'a', sizeof(name));
        name[USES_MAX_NAME + 1] = '\0';
        snprintf(text, sizeof(text), "o/%s@v", name + 1);
        assert_int_equal(uses_parse(text, &u, &e), 0);
        uses_done(&u);
        snprintf(text, sizeof(text), "o/%s@v", name);
        assert_int_equal(uses_parse(text, &u, &e), -1);
        memset(ref, 'a', sizeof(ref));
        ref[USES_MAX_REF + 1] = '\0';
        assert_true(uses_is_ref(ref + 1));
        assert_false(uses_is_ref(ref));
}

static void a_repository_is_owner_and_name_in_lower_case(void **state)
{
        (void)state;
        assert_true(uses_is_repository("o/r"));
        assert_true(uses_is_repository("a_b.c-d/..x"));
        assert_false(uses_is_repository("o/R"));
        assert_false(uses_is_repository("o/r/x"));
        assert_false(uses_is_repository("o/"));
        assert_false(uses_is_repository("/r"));
        assert_false(uses_is_repository("../r"));
        assert_false(uses_is_repository("o/-r"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_action_of_another_repository_has_owner_name_path_and_ref),
                cmocka_unit_test(what_is_not_of_that_form_is_refused_in_the_words_of_the_service),
                cmocka_unit_test(local_and_docker_are_told_apart),
                cmocka_unit_test(lengths_are_bounded),
                cmocka_unit_test(a_repository_is_owner_and_name_in_lower_case),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
