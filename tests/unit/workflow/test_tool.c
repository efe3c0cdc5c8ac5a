/* Tools of the setup actions: wishes, version files, what a guest says it has, and the choice. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "workflow/tool.h"

static void expect_range(enum tool t, const char *wish, const char *wanted)
{
        char range[SEMVER_MAX_RANGE + 1];
        const char *why;
        if (!tool_range(t, wish, range, &why))
                fail_msg("'%s': %s", wish, why);
        assert_string_equal(range, wanted);
}

static void a_wish_becomes_a_range(void **state)
{
        (void)state;
        expect_range(TOOL_NODE, "20", "20");
        expect_range(TOOL_NODE, ">=18 <21 || 22.x", ">=18 <21 || 22.x");
        expect_range(TOOL_NODE, "lts/*", "*");
        expect_range(TOOL_NODE, "latest", "*");
        expect_range(TOOL_NODE, "lts/Iron", "20");
        expect_range(TOOL_PYTHON, "3.11", "3.11");
        expect_range(TOOL_PYTHON, "3.13-dev", "~3.13.0-0");
        expect_range(TOOL_PYTHON, "3.13.0rc1", "3.13.0-rc1");
        expect_range(TOOL_PYTHON, ">=3.9,<4", ">=3.9 <4");
        expect_range(TOOL_PYTHON, "3.13.0-rc.1", "3.13.0-rc.1");
        expect_range(TOOL_GO, "stable", "*");
        expect_range(TOOL_GO, "^1.19.1", "^1.19.1");
        expect_range(TOOL_JAVA, "1.8", "8");
        expect_range(TOOL_JAVA, "17.0.9+9", "17.0.9+9");
        expect_range(TOOL_JAVA, "11.0", "11.0");
}

static void what_is_no_wish_is_refused(void **state)
{
        static const struct {
                enum tool t;
                const char *wish;
        } bad[] = {{TOOL_NODE, "lts/unknown"}, {TOOL_NODE, "nightly"}, {TOOL_NODE, "20;rm"}, {TOOL_PYTHON, "pypy3.9"},
                   {TOOL_PYTHON, "3.13t"},     {TOOL_PYTHON, "!=3.9"}, {TOOL_GO, "go1.21"},  {TOOL_JAVA, "21-ea"}};
        char range[SEMVER_MAX_RANGE + 1], wish[TOOL_MAX_WISH + 2];
        const char *why = NULL;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (tool_range(bad[i].t, bad[i].wish, range, &why))
                        fail_msg("'%s' was taken for a version: %s", bad[i].wish, range);
        assert_string_equal(why, "expected a version or a range of versions");
        memset(wish, ' ', sizeof(wish));
        wish[0] = '1';
        wish[TOOL_MAX_WISH] = '\0';
        assert_true(tool_range(TOOL_NODE, wish, range, &why));
        wish[TOOL_MAX_WISH] = ' ';
        wish[TOOL_MAX_WISH + 1] = '\0';
        assert_false(tool_range(TOOL_NODE, wish, range, &why));
}

static void expect_file(enum tool t, const char *name, const char *text, const char *wanted)
{
        AUTO(auto_free) char *wish = NULL;
        struct err e = ERR_INIT;
        int r = tool_read_file(t, name, text, strlen(text), &wish, &e);
        assert_int_equal(r, wanted ? 0 : TOOL_E_NONE);
        if (wanted)
                assert_string_equal(wish, wanted);
}

static void version_files_are_read_as_the_actions_read_them(void **state)
{
        (void)state;
        expect_file(TOOL_NODE, ".nvmrc", "v20.1.0\n", "v20.1.0");
        expect_file(TOOL_NODE, ".nvmrc", "# ours\n\nlts/iron # x\n", "lts/iron");
        expect_file(TOOL_NODE, ".tool-versions", "ruby 3\nnodejs 18.2.0\n", "18.2.0");
        expect_file(TOOL_NODE, "package.json", "{\"engines\":{\"node\":\">=18\"}}", ">=18");
        expect_file(TOOL_NODE, "package.json", "{\"volta\":{\"node\":\"20.1.1\"},\"engines\":{\"node\":\">=18\"}}",
                    "20.1.1");
        expect_file(TOOL_NODE, "package.json",
                    "{\"devEngines\":{\"runtime\":[{\"name\":\"bun\"},{\"name\":\"node\",\"version\":\"22\"}]}}", "22");
        expect_file(TOOL_NODE, "package.json", "{\"name\":\"x\"}", NULL);
        expect_file(TOOL_NODE, ".nvmrc", "", NULL);
        expect_file(TOOL_PYTHON, ".python-version", "# x\n3.11.2\n", "3.11.2");
        expect_file(TOOL_PYTHON, ".tool-versions", "python 3.9.1\n", "3.9.1");
        expect_file(TOOL_PYTHON, "pyproject.toml",
                    "[build]\nrequires-python = \"1\"\n[project]\nname = \"x\"\nrequires-python = \">=3.8,<4\"\n",
                    ">=3.8,<4");
        expect_file(TOOL_PYTHON, "pyproject.toml", "[tool.poetry.dependencies]\r\npython = '^3.9'\r\n", "^3.9");
        expect_file(TOOL_PYTHON, "pyproject.toml", "[project]\nname = \"x\"\n", NULL);
        expect_file(TOOL_PYTHON, "Pipfile", "[requires]\npython_version = \"3.10\"\n", "3.10");
        expect_file(TOOL_GO, "go.mod", "module x\n\ngo 1.19\n", "1.19");
        expect_file(TOOL_GO, "go.mod", "module x\ngo 1.20 // here\ntoolchain go1.21.3\n", "1.21.3");
        expect_file(TOOL_GO, "go.work", "go 1.22.0\n", "1.22.0");
        expect_file(TOOL_GO, ".go-version", "1.19.8\n", "1.19.8");
        expect_file(TOOL_GO, ".tool-versions", "golang 1.20\n", "1.20");
        expect_file(TOOL_GO, "go.mod", "module x\n", NULL);
        expect_file(TOOL_JAVA, ".java-version", "17\n", "17");
        expect_file(TOOL_JAVA, ".java-version", "temurin64-17.0.9\n", "17.0.9");
        expect_file(TOOL_JAVA, ".tool-versions", "java temurin-17.0.9+9\n", "17.0.9+9");
        expect_file(TOOL_JAVA, ".sdkmanrc", "# x\njava=17.0.9-tem\n", "17.0.9");
        expect_file(TOOL_JAVA, ".java-version", "temurin\n", NULL);
}

static void expect_list(enum tool t, const char *text, const char *wanted)
{
        struct tool_list l;
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(tool_list_parse(t, text, strlen(text), &l, &e), 0);
        for (size_t i = 0; i < l.n; i++)
                buf_printf(&b, NULL, "%s %s %s;", l.v[i].kind, l.v[i].path, l.v[i].text);
        assert_string_equal(b.len ? buf_cstr(&b) : "", wanted);
        tool_list_done(&l);
        buf_done(&b);
}

static void a_guest_says_what_it_has(void **state)
{
        (void)state;
        expect_list(TOOL_NODE, "path\t/usr/bin/node\tv18.19.0\n", "path /usr/bin/node 18.19.0;");
        expect_list(TOOL_PYTHON, "path\t/usr/bin/python3\t3.11.2\nother\t/usr/bin/python3.13\t3.13.0rc1\n",
                    "path /usr/bin/python3 3.11.2;other /usr/bin/python3.13 3.13.0-rc1;");
        expect_list(TOOL_GO, "path\t/usr/bin/go\t1.21\nother\t/x/go\t1.22rc2\n",
                    "path /usr/bin/go 1.21.0;other /x/go 1.22.0-rc.2;");
        expect_list(TOOL_JAVA,
                    "jdk\t/a\t17.0.9+9-Debian-1deb12u1\njre\t/b\t1.8.0_392-b08\njdk\t/c\t21\njdk\t/d\t11.0.21.1\n",
                    "jdk /a 17.0.9+9;jre /b 8.0.392;jdk /c 21.0.0;jdk /d 11.0.21;");
}

static void what_makes_no_sense_is_left_out(void **state)
{
        (void)state;
        expect_list(
                TOOL_NODE,
                "\n\t\t\npath\tnode\tv18.0.0\npath\t/n\tnightly\npath\t/n\tv1\n/n\tv18.0.0\npath\t/\x1b[31m\tv18.0.0\n"
                "path\t/n\tv18.0.0\tx\npath\t/last\tv18.0.0",
                "path /last 18.0.0;");
        expect_list(TOOL_GO, "path\t/n\t99999999999.1\npath\t/n\tdevel\n", "");
}

static void installations_are_bounded(void **state)
{
        struct buf text = BUF_INIT;
        struct tool_list l;
        struct err e = ERR_INIT;
        char path[TOOL_MAX_PATH + 2];
        (void)state;
        for (unsigned i = 0; i < TOOL_MAX_FOUND + 1; i++)
                buf_printf(&text, NULL, "path\t/n%u\tv1.0.%u\n", i, i);
        assert_int_equal(tool_list_parse(TOOL_NODE, text.data, text.len, &l, &e), 0);
        assert_int_equal(l.n, TOOL_MAX_FOUND);
        tool_list_done(&l);
        for (size_t n = TOOL_MAX_PATH; n <= TOOL_MAX_PATH + 1; n++) {
                memset(path, 'a', sizeof(path));
                path[0] = '/';
                path[n] = '\0';
                buf_clear(&text);
                buf_printf(&text, NULL, "path\t%s\tv1.0.0\n", path);
                assert_int_equal(tool_list_parse(TOOL_NODE, text.data, text.len, &l, &e), 0);
                assert_int_equal(l.n, n == TOOL_MAX_PATH);
                tool_list_done(&l);
        }
        buf_done(&text);
}

static const char *chosen(enum tool t, const char *text, const char *kind, const char *range)
{
        static char path[100];
        struct tool_list l;
        struct err e = ERR_INIT;
        assert_int_equal(tool_list_parse(t, text, strlen(text), &l, &e), 0);
        const struct tool_found *x = tool_choose(t, &l, kind, range);
        snprintf(path, sizeof(path), "%s", x ? x->path : "none");
        tool_list_done(&l);
        return path;
}

static void the_highest_version_that_fits_is_chosen(void **state)
{
        static const char node[] =
                "path\t/a\tv18.19.0\nother\t/b\tv20.1.0\nother\t/c\tv20.1.0\nother\t/d\tv22.0.0-rc.1\n";
        static const char java[] = "jdk\t/a\t17.0.9+9\njre\t/b\t21.0.1+12\n";
        (void)state;
        assert_string_equal(chosen(TOOL_NODE, node, NULL, "*"), "/b");
        assert_string_equal(chosen(TOOL_NODE, node, NULL, "18"), "/a");
        assert_string_equal(chosen(TOOL_NODE, node, NULL, "22"), "none");
        assert_string_equal(chosen(TOOL_JAVA, java, "jdk", "*"), "/a");
        assert_string_equal(chosen(TOOL_JAVA, java, "jdk", "21"), "none");
        assert_string_equal(chosen(TOOL_JAVA, java, NULL, "21"), "/b");
        assert_string_equal(chosen(TOOL_JAVA, java, NULL, "17.0.9+9"), "/a");
        assert_string_equal(chosen(TOOL_JAVA, java, NULL, "17.0.9+8"), "none");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_wish_becomes_a_range),
                cmocka_unit_test(what_is_no_wish_is_refused),
                cmocka_unit_test(version_files_are_read_as_the_actions_read_them),
                cmocka_unit_test(a_guest_says_what_it_has),
                cmocka_unit_test(what_makes_no_sense_is_left_out),
                cmocka_unit_test(installations_are_bounded),
                cmocka_unit_test(the_highest_version_that_fits_is_chosen),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
