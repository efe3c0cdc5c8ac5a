#include "test.h"

#include <stdlib.h>

#include "base/num.h"
#include "blob/limits.h"
#include "blob/names.h"

static char *repeat(char c, size_t n)
{
        char *s = malloc(n + 1);
        memset(s, c, n);
        s[n] = '\0';
        return s;
}

static void the_characters_that_github_forbids_are_named(void **state)
{
        static const char *const names[] = {"a\"b", "a:b",  "a<b",  "a>b",  "a|b", "a*b",
                                            "a?b",  "a\rb", "a\nb", "a\\b", "a/b"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_contains(artifact_name_problem(names[i]), "contains");
        assert_contains(artifact_name_problem("a:b"), "colon");
        assert_null(artifact_name_problem("test results (1).xml"));
        assert_null(artifact_name_problem("bericht-für-übung"));
        assert_null(artifact_name_problem(".hidden"));
}

static void a_name_is_never_a_folder_itself_empty_or_a_control_character(void **state)
{
        (void)state;
        assert_non_null(artifact_name_problem(""));
        assert_non_null(artifact_name_problem("."));
        assert_non_null(artifact_name_problem(".."));
        assert_null(artifact_name_problem("..."));
        assert_non_null(artifact_name_problem("a\x1b[31mb"));
        assert_non_null(artifact_name_problem("a\xe2\x80\xae"
                                              "b"));
        assert_non_null(artifact_name_problem("a\xff"));
        assert_non_null(cache_key_problem("a\tb"));
}

static void names_and_keys_have_a_length(void **state)
{
        char *name = repeat('a', STORE_MAX_NAME), *longer = repeat('a', STORE_MAX_NAME + 1);
        char *key = repeat('k', STORE_MAX_KEY), *longer_key = repeat('k', STORE_MAX_KEY + 1);
        (void)state;
        assert_null(artifact_name_problem(name));
        assert_contains(artifact_name_problem(longer), "255");
        assert_null(cache_key_problem(key));
        assert_contains(cache_key_problem(longer_key), "512");
        free(name);
        free(longer);
        free(key);
        free(longer_key);
}

static void the_path_of_a_file_is_any_name_but_for_control_characters_and_depth(void **state)
{
        char deep[200] = "";
        (void)state;
        assert_null(artifact_path_problem("a: b/*?\\/.hidden"));
        assert_null(artifact_path_problem("latin-\xe4\xff"));
        assert_non_null(artifact_path_problem("."));
        assert_contains(artifact_path_problem("a/\x7f"), "control");
        assert_contains(artifact_path_problem("\xff\x1b"), "control");
        assert_contains(artifact_path_problem("a\xc2\x9b"), "control");
        for (unsigned i = 0; i < ARTIFACT_MAX_DEPTH; i++)
                strcat(deep, "d/");
        strcat(deep, "f");
        assert_null(artifact_path_problem(deep));
        strcat(deep, "/f");
        assert_contains(artifact_path_problem(deep), "64 folders");
}

static void a_key_has_no_comma(void **state)
{
        (void)state;
        assert_contains(cache_key_problem("a,b"), "comma");
        assert_non_null(cache_key_problem(""));
        assert_null(cache_key_problem("Linux-npm-/x:*?"));
}

static void a_scope_is_a_full_ref_name_or_nothing(void **state)
{
        char *scope = repeat('s', STORE_MAX_SCOPE + 1);
        memcpy(scope, "refs/", 5);
        (void)state;
        assert_true(cache_scope_is_valid(""));
        assert_true(cache_scope_is_valid("refs/heads/main"));
        assert_false(cache_scope_is_valid("main"));
        assert_false(cache_scope_is_valid("--scope"));
        assert_false(cache_scope_is_valid("refs/heads/a\nb"));
        assert_false(cache_scope_is_valid(scope));
        scope[STORE_MAX_SCOPE] = '\0';
        assert_true(cache_scope_is_valid(scope));
        free(scope);
}

static void a_digest_is_64_lower_case_digits(void **state)
{
        char *digest = repeat('f', 65);
        (void)state;
        assert_false(digest_is_valid(digest));
        digest[64] = '\0';
        assert_true(digest_is_valid(digest));
        digest[10] = 'F';
        assert_false(digest_is_valid(digest));
        digest[10] = '/';
        assert_false(digest_is_valid(digest));
        free(digest);
}

static void a_type_is_two_tokens(void **state)
{
        static const char *const wrong[] = {"",      "text",     "/",       "text/", "/html",
                                            "a/b/c", "a/b; c=d", "a/b\r\n", "a /b",  "\xc3\xa4/b"};
        char type[STORE_MAX_TYPE + 2] = "a/";
        (void)state;
        assert_true(artifact_type_is_valid("application/vnd.openxmlformats-officedocument.wordprocessingml.document"));
        assert_true(artifact_type_is_valid("image/svg+xml"));
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                assert_false(artifact_type_is_valid(wrong[i]));
        memset(type + 2, 'b', STORE_MAX_TYPE - 2);
        assert_true(artifact_type_is_valid(type));
        type[STORE_MAX_TYPE] = 'b';
        assert_false(artifact_type_is_valid(type));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_characters_that_github_forbids_are_named),
                cmocka_unit_test(a_name_is_never_a_folder_itself_empty_or_a_control_character),
                cmocka_unit_test(names_and_keys_have_a_length),
                cmocka_unit_test(the_path_of_a_file_is_any_name_but_for_control_characters_and_depth),
                cmocka_unit_test(a_key_has_no_comma),
                cmocka_unit_test(a_scope_is_a_full_ref_name_or_nothing),
                cmocka_unit_test(a_digest_is_64_lower_case_digits),
                cmocka_unit_test(a_type_is_two_tokens),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
