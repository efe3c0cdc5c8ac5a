#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/num.h"
#include "workflow/fileglob.h"

static struct fileglob *parse(const char *text, bool descendants)
{
        const struct fileglob_options o = {.home = "/home/runner", .workdir = "/w", .descendants = descendants};
        struct fileglob *g = NULL;
        struct err e = ERR_INIT;
        if (fileglob_new(text, &o, &g, &e) < 0)
                fail_msg("%s: %s", text, e.msg);
        return g;
}

/* What @actions/glob 0.5 answers (patterns made absolute at /home/runner and /w): 1 folder, 2 file, 3 both. */
static void it_answers_as_github_does(void **state)
{
        static const struct {
                const char *text;
                bool descendants;
                const char *path;
                unsigned match;
                bool may_hold;
                const char *searches;
        } rows[] = {
                {"/**a/\n/w/*b/\n~/[!a]/**/b/**a", true, "/[a/ab/a", 3, true, "/"},
                {"~/.a/a/*/\n/w/?\n/w/ab", true, "/w/é", 3, true, "/home/runner/.a/a|/w"},
                {"/w/**/**/.a/b\n~/**/*b", true, "/home/runner/ab/é/b", 3, true, "/w|/home/runner"},
                {"/**\n/*/ab/**\n!~/[!a]/[!a]/a?/**a", true, "/w/a]/abc", 3, true, "/"},
                {"~/*/**a/*b/\\*/", false, "/home/runner/abc", 0, true, "/home/runner"},
                {"/[!a]/a?/.a/a*\n~/*", true, "/home/runner/*/ba", 3, true, "/"},
                {"~/\\*/é\n/**/\n!/w/a?/\\*/*/\\*", true, "/ab/a]/.a", 3, true, "/"},
                {"/**/[a-c]b/[]a]\n/w/*/.a/*.a", true, "/w/a]/é", 0, true, "/"},
                {"/w/a*/a-b/\\*/a]\n!/[!a]/**", true, "/w/a]", 0, true, "/w"},
                {"/*.a\n/a?/[]a]/é\n/**/a]", false, "/abc", 0, true, "/"},
                {"~/**/é\n/w/*.a\n!~/[!a]/é/\\*/a*", false, "/home/runner/bb", 0, true, "/home/runner|/w"},
                {"/**/", false, "/home/runner/ba", 1, true, "/"},
                {"~/[]a]\n!~/b\n!~/a?", false, "/home/runner/a", 3, true, "/home/runner/[]a]"},
                {"/a/\n!~/*\n!/[]a]", false, "/a", 0, true, "/a"},
                {"/é/[!a]\n~/[ab]", false, "/é/[a/ab/ab", 0, false, "/é|/home/runner"},
                {"~/a]/b/*b/é\n!~/a-b/a", true, "/b.a/.a/abc/a", 0, false, "/home/runner/a]/b"},
                {"~/\\*/é/*b\n!/w/*.a", false, "/home/runner/é/.a/a/ab", 0, false, "/home/runner/*/é"},
                {"/w/a*/\\*/ab/a]/\n/\\*/a]\n!/?", false, "/home/runner/a]/ba", 0, false, "/w|/*/a]"},
                {"/w/b\n/w/**\n!/w/*.a/", true, "/home/runner/bb/ab", 0, false, "/w"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct fileglob *g = parse(rows[i].text, rows[i].descendants);
                char searches[512] = "";
                for (size_t k = 0; k < fileglob_searches(g); k++) {
                        strcat(searches, k ? "|" : "");
                        strcat(searches, fileglob_search_at(g, k));
                }
                if (fileglob_match(g, rows[i].path) != rows[i].match ||
                    fileglob_may_hold(g, rows[i].path) != rows[i].may_hold || strcmp(searches, rows[i].searches) != 0)
                        fail_msg("row %zu: %u %d %s", i, fileglob_match(g, rows[i].path),
                                 fileglob_may_hold(g, rows[i].path), searches);
                fileglob_free(g);
        }
}

static void matches(const char *text, bool descendants, const char *path, unsigned want)
{
        struct fileglob *g = parse(text, descendants);
        if (fileglob_match(g, path) != want)
                fail_msg("%s against %s: %u", text, path, fileglob_match(g, path));
        fileglob_free(g);
}

static void paths_begin_at_the_working_folder_or_at_home(void **state)
{
        (void)state;
        matches("dist", false, "/w/dist", 3);
        matches("./dist", false, "/w/dist", 3);
        matches(".", true, "/w/a", 3);
        matches("~/.npm", true, "/home/runner/.npm/x", 3);
        matches("~", false, "/home/runner", 3);
        matches("  dist  \r", false, "/w/dist", 3);
        matches("# no\n\n  dist", false, "/w/dist", 3);
        matches("/abs", false, "/abs", 3);
        matches("a//b", false, "/w/a/b", 3);
}

static void a_folder_names_what_is_in_it_only_where_that_is_asked_for(void **state)
{
        (void)state;
        matches("dist", true, "/w/dist/a/b", 3);
        matches("dist", false, "/w/dist/a", 0);
        matches("dist/", true, "/w/dist", 3);
        matches("dist/", false, "/w/dist", 1);
        matches("dist/*", true, "/w/dist/a/b", 3);
        matches("dist/**/*.txt", true, "/w/dist/x.txt", 3);
        matches("dist/**/*.txt", true, "/w/dist/a/b/.x.txt", 3);
        matches("dist/**/*.txt", true, "/w/dist/a/b/x.log", 0);
}

static void an_exclusion_takes_out_what_was_named_before_it(void **state)
{
        (void)state;
        matches("dist\n!dist/**/*.md", true, "/w/dist/a/README.md", 0);
        matches("dist\n!dist/**/*.md", true, "/w/dist/a/README", 3);
        matches("!dist/**/*.md\ndist", true, "/w/dist/README.md", 3);
        matches("dist\n!dist/sub", true, "/w/dist/sub/x", 0);
        matches("dist\n! !dist/sub", true, "/w/dist/sub/x", 3);
        matches("dist\n!dist/sub/", true, "/w/dist/sub", 0);
}

static void common_is(const char *text, const char *want)
{
        struct fileglob *g = parse(text, true);
        char *common = fileglob_common(g);
        if (want)
                assert_string_equal(common, want);
        else
                assert_null(common);
        free(common);
        fileglob_free(g);
}

static void the_common_folder_is_one_of_whole_parts(void **state)
{
        (void)state;
        common_is("dist", "/w/dist");
        common_is("a/x/**\na/y.txt", "/w/a");
        common_is("ab\nac", "/w");
        common_is("/ab\n/ac", "/");
        common_is("/foo\n/foobar", "/");
        common_is("~/foo/bar/*\n~/foo/voo/two/*\n~/foo/mo/", "/home/runner/foo");
        common_is("a\na/b", "/w/a");
        common_is("!a", NULL);
        common_is("", NULL);
}

static void literal_is(const char *text, bool want)
{
        struct fileglob *g = parse(text, false);
        assert_int_equal(fileglob_is_literal(g), want);
        fileglob_free(g);
}

static void patterns_without_a_wildcard_are_known(void **state)
{
        (void)state;
        literal_is("a\n~/.npm\n./b/c", true);
        literal_is("a\\*b", true);
        literal_is("a\n!b*", false);
        literal_is("**/x", false);
        literal_is("a?", false);
}

static void refused(const char *text, const char *message)
{
        const struct fileglob_options o = {.home = "/home/runner", .workdir = "/w"};
        struct fileglob *g = NULL;
        struct err e = ERR_INIT;
        assert_true(fileglob_new(text, &o, &g, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, message);
}

static void what_is_no_pattern_is_refused(void **state)
{
        (void)state;
        refused("../x", "'..' is not allowed");
        refused("a/../b", "'..' is not allowed");
        refused("a/./b", "not allowed");
        refused("a\n!..", "not allowed");
        refused("!", "empty");
}

static char *repeat(const char *s, size_t n)
{
        char *out = malloc(strlen(s) * n + 1);
        out[0] = '\0';
        for (size_t i = 0; i < n; i++)
                strcat(out + (i ? (i - 1) * strlen(s) : 0), s);
        return out;
}

static void patterns_are_bounded(void **state)
{
        const struct fileglob_options o = {.home = "/h", .workdir = "/w"};
        struct fileglob *g = NULL;
        struct err e = ERR_INIT;
        char *lines = repeat("x\n", FILEGLOB_MAX_PATTERNS), *more = repeat("x\n", FILEGLOB_MAX_PATTERNS + 1);
        char *text = repeat("\n", FILEGLOB_MAX_TEXT), *longer = repeat("\n", FILEGLOB_MAX_TEXT + 1);
        char *path = repeat("p", FILEGLOB_MAX_PATH - 3), *far = repeat("p", FILEGLOB_MAX_PATH - 2);
        (void)state;
        assert_int_equal(fileglob_new(lines, &o, &g, &e), 0);
        fileglob_free(g);
        assert_true(fileglob_new(more, &o, &g, &e) < 0);
        assert_contains(e.msg, "1000 patterns");
        assert_int_equal(fileglob_new(text, &o, &g, &e), 0);
        fileglob_free(g);
        assert_true(fileglob_new(longer, &o, &g, &e) < 0);
        assert_contains(e.msg, "64 KiB");
        assert_int_equal(fileglob_new(path, &o, &g, &e), 0); /* "/w/" and 4,093 */
        fileglob_free(g);
        assert_true(fileglob_new(far, &o, &g, &e) < 0);
        assert_contains(e.msg, "4096");
        char *const all[] = {lines, more, text, longer, path, far};
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                free(all[i]);
}

/* Each would take longer than the age of the world in a matcher that tries every way. */
static void no_pattern_is_slow(void **state)
{
        char *stars = repeat("*a", 500), *as = repeat("a", 2000), *any = repeat("**/a/", 100),
             *parts = repeat("/a", 1000);
        char *path = malloc(5000);
        (void)state;
        snprintf(path, 5000, "/w/%sb", as);
        matches(stars, false, path, 0);
        snprintf(path, 5000, "/w%s/b", parts);
        any[strlen(any) - 1] = '\0';
        matches(any, false, path, 0);
        free(stars);
        free(as);
        free(any);
        free(parts);
        free(path);
}

static void names_of_artifacts_are_matched_alone(void **state)
{
        (void)state;
        assert_true(fileglob_name("*", "dist"));
        assert_true(fileglob_name("linux-*", "linux-x64"));
        assert_false(fileglob_name("linux-*", "macos"));
        assert_false(fileglob_name("*", ".hidden"));
        assert_true(fileglob_name(".*", ".hidden"));
        assert_true(fileglob_name("[ab]?", "a1"));
        assert_false(fileglob_name("*", ".."));
        assert_false(fileglob_name("*", ""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_answers_as_github_does),
                cmocka_unit_test(paths_begin_at_the_working_folder_or_at_home),
                cmocka_unit_test(a_folder_names_what_is_in_it_only_where_that_is_asked_for),
                cmocka_unit_test(an_exclusion_takes_out_what_was_named_before_it),
                cmocka_unit_test(the_common_folder_is_one_of_whole_parts),
                cmocka_unit_test(patterns_without_a_wildcard_are_known),
                cmocka_unit_test(what_is_no_pattern_is_refused),
                cmocka_unit_test(patterns_are_bounded),
                cmocka_unit_test(no_pattern_is_slow),
                cmocka_unit_test(names_of_artifacts_are_matched_alone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
