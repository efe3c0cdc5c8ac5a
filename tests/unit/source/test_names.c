#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/num.h"
#include "source/gitfile.h"
#include "source/limits.h"
#include "source/names.h"

#define HEX40 "0123456789abcdef0123456789abcdef01234567"

static void an_object_id_is_lower_case_hexadecimal_of_the_right_length(void **state)
{
        (void)state;
        assert_true(oid_is_valid(HEX40, 40));
        assert_false(oid_is_valid(HEX40, 64));
        assert_false(oid_is_valid("0123456789ABCDEF0123456789abcdef01234567", 40));
        assert_false(oid_is_valid(HEX40 "0", 40));
        assert_false(oid_is_valid("-123456789abcdef0123456789abcdef01234567", 40));
        assert_true(oid_is_prefix("0123", 40));
        assert_false(oid_is_prefix("012", 40));
        assert_false(oid_is_prefix("0123\n", 40));
        assert_false(oid_is_prefix("", 40));
}

static void ref_names_follow_the_rules_of_git(void **state)
{
        static const char *const good[] = {"refs/heads/main",  "refs/tags/v1.0",  "refs/heads/a/b", "refs/heads/-x",
                                           "refs/heads/$(id)", "refs/heads/\xff", "refs/x@y"};
        static const char *const bad[] = {"",
                                          "HEAD",
                                          "main",
                                          "refs/",
                                          "refs/heads/",
                                          "refs//x",
                                          "refs/heads/..",
                                          "refs/heads/a..b",
                                          "refs/heads/.a",
                                          "refs/heads/a.",
                                          "refs/heads/a.lock",
                                          "refs/heads/a.lock/b",
                                          "refs/heads/a b",
                                          "refs/heads/a\nb",
                                          "refs/heads/a\x7f",
                                          "refs/heads/a~1",
                                          "refs/heads/a^",
                                          "refs/heads/a:b",
                                          "refs/heads/a?",
                                          "refs/heads/*",
                                          "refs/heads/[a",
                                          "refs/heads/a\\b",
                                          "refs/heads/@{1}",
                                          "-refs/heads/x"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(ref_name_is_valid(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(ref_name_is_valid(bad[i]));
}

static void a_ref_name_has_a_longest_length(void **state)
{
        char name[SOURCE_MAX_REF_NAME + 2] = "refs/";
        (void)state;
        memset(name + 5, 'x', sizeof(name) - 6);
        assert_false(ref_name_is_valid(name));
        name[SOURCE_MAX_REF_NAME] = '\0';
        assert_true(ref_name_is_valid(name));
}

static void a_tree_path_never_leaves_the_tree_or_enters_git(void **state)
{
        static const char *const good[] = {"a",           "a/b", "...", "a b\n", ".gitignore",
                                           "x/.github/y", "-rf", "git", ".gi/t"};
        static const char *const bad[] = {"",    "/a",   "a/",     "a//b",   "..",       "a/../b", ".",
                                          "./a", ".git", "a/.git", ".GIT/x", "a/.Git/b", "a/./b"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(tree_path_is_valid(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(tree_path_is_valid(bad[i]));
}

static void tidy(const char *base, const char *path, const char *expected)
{
        char *got = path_tidy(base, path);
        assert_string_equal(got, expected);
        free(got);
}

static void paths_are_tidied_by_text_alone(void **state)
{
        (void)state;
        tidy("/a/b", "../c", "/a/c");
        tidy("/a/b", "/x/./y//z/", "/x/y/z");
        tidy("/a", "../../../..", "/");
        tidy("/a", ".", "/a");
        tidy("/", "b", "/b");
        tidy("/a/b", "../../c/../d", "/d");
}

static void beneath_means_beneath_and_not_beside(void **state)
{
        (void)state;
        assert_string_equal(path_beneath("/a", "/a/b/c"), "b/c");
        assert_string_equal(path_beneath("/a", "/a"), "");
        assert_null(path_beneath("/a", "/ab"));
        assert_null(path_beneath("/a/b", "/a"));
        assert_string_equal(path_beneath("/", "/a"), "a");
        assert_null(path_beneath("d", ""));
}

static void url(const char *from, const char *expected)
{
        char *got;
        assert_int_equal(url_public(from, &got, NULL), 0);
        if (expected)
                assert_string_equal(got, expected);
        else
                assert_null(got);
        free(got);
}

static void a_public_url_holds_no_credentials_and_no_helper(void **state)
{
        (void)state;
        url("https://example.org/a/b.git", "https://example.org/a/b.git");
        url("https://user:secret@example.org/a", "https://example.org/a");
        url("https://token@example.org/a?x=secret#y", "https://example.org/a");
        url("https://a@b:c@example.org/a", "https://example.org/a");
        url("ssh://git:secret@example.org:22/a", "ssh://git@example.org:22/a");
        url("git@example.org:a/b.git", "git@example.org:a/b.git");
        url("ext::sh -c id", NULL);
        url("ext::id", NULL);
        url("x@ext::id", NULL);
        url("/srv/git/a", NULL);
        url("file:///srv/git/a", NULL);
        url("https://", NULL);
        url("https://-x/", NULL);
        url("-x@y:z", NULL);
        url("https://example.org/a\nb", NULL);
        url("https://example.org/\"", NULL);
        url("example.org:a", NULL);
}

static void foreign_text_becomes_one_line_of_utf8(void **state)
{
        static const char text[] = "a\n\x1b[0m\xff caf\xc3\xa9";
        (void)state;
        char *line = text_line(text, sizeof(text) - 1, 100);
        assert_string_equal(line, "a??[0m? caf\xc3\xa9");
        free(line);
        line = text_line(text, sizeof(text) - 1, sizeof(text) - 2); /* in the middle of the last character */
        assert_string_equal(line, "a??[0m? caf?");
        free(line);
}

static void a_git_file_holds_one_path(void **state)
{
        char *path = NULL;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(gitfile_parse("gitdir: ../x y\n", 15, ".git", &path, &e), 0);
        assert_string_equal(path, "../x y");
        free(path);
        assert_true(gitfile_parse("gitdir:../x\n", 12, ".git", &path, &e) < 0);
        assert_true(gitfile_parse("gitdir: \n", 9, ".git", &path, &e) < 0);
        assert_true(gitfile_parse("gitdir: a\nb\n", 12, ".git", &path, &e) < 0);
        assert_true(gitfile_parse("gitdir: a\0b\n", 12, ".git", &path, &e) < 0);
        assert_true(gitfile_parse("", 0, ".git", &path, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_object_id_is_lower_case_hexadecimal_of_the_right_length),
                cmocka_unit_test(ref_names_follow_the_rules_of_git),
                cmocka_unit_test(a_ref_name_has_a_longest_length),
                cmocka_unit_test(a_tree_path_never_leaves_the_tree_or_enters_git),
                cmocka_unit_test(paths_are_tidied_by_text_alone),
                cmocka_unit_test(beneath_means_beneath_and_not_beside),
                cmocka_unit_test(a_public_url_holds_no_credentials_and_no_helper),
                cmocka_unit_test(foreign_text_becomes_one_line_of_utf8),
                cmocka_unit_test(a_git_file_holds_one_path),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
