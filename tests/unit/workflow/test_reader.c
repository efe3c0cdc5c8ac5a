/* The built-in readers on what real programs wrote (tests/data/matchers/record.sh), and on what others write. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/junit.h"
#include "workflow/reader.h"

#define WORKSPACE "/tmp/ws/demo"

static struct err err;
static struct buf told;

/* One line per problem: level file:line:column [title] {code} message, newlines as "/". */
static int on_issue(const struct issue *i, void *user, struct err *e)
{
        static const char *const levels[] = {"error", "warning", "notice"};
        (void)user;
        size_t mark;
        int r = buf_printf(&told, e, "%s %s:%u:%u [%s] {%s} ", levels[i->level], i->file ? i->file : "-", i->line,
                           i->column, i->title ? i->title : "", i->code ? i->code : "");
        mark = told.len;
        if (r == 0)
                r = buf_printf(&told, e, "%s", i->message);
        for (; mark < told.len; mark++)
                if (told.data[mark] == '\n')
                        told.data[mark] = '/';
        return r < 0 ? r : buf_append_byte(&told, '\n', e);
}

static char *load(const char *name, size_t *ret_len)
{
        static char text[1 << 18];
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", getenv("MATCHER_DATA"), name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        *ret_len = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[*ret_len] = '\0';
        return text;
}

static struct readers *start(const char *folder, unsigned which)
{
        struct readers *r = NULL;
        const struct readers_config config = {WORKSPACE, folder, which, on_issue, NULL};
        buf_clear(&told);
        assert_int_equal(readers_new(&config, &r, &err), 0);
        return r;
}

static void feed(struct readers *r, unsigned stream, const char *text)
{
        struct buf line = BUF_INIT;
        while (*text) {
                size_t n = strcspn(text, "\n");
                assert_int_equal(issue_clean(text, n, &line, &err), 0);
                assert_int_equal(readers_line(r, stream, (const char *)line.data, &err), 0);
                text += n + (text[n] == '\n');
        }
        buf_done(&line);
}

static void expect(const char *wanted)
{
        assert_string_equal(buf_cstr(&told), wanted);
}

static void read_text(const char *folder, const char *text, const char *wanted)
{
        struct readers *r = start(folder, READER_ALL);
        feed(r, 0, text);
        if (readers_want_go_mod(r))
                assert_int_equal(readers_go_mod(r, "\nmodule example.com/demo\n\ngo 1.19\n", 34, &err), 0);
        assert_int_equal(readers_finish(r, &err), 0);
        readers_free(r);
        expect(wanted);
}

static void read_file(const char *folder, const char *name, const char *wanted)
{
        size_t len;
        read_text(folder, load(name, &len), wanted);
}

static void gcc_and_clang_are_read(void **state)
{
        (void)state;
        read_file(
                WORKSPACE, "gcc.txt",
                "error src/main.c:6:20 [] {} ‘c’ undeclared (first use in this function)\n"
                "warning src/main.c:5:13 [] {-Wunused-variable} unused variable ‘unused’ [-Wunused-variable]\n"
                "warning src/main.c:3:27 [] {-Wunused-parameter} unused parameter ‘b’ [-Wunused-parameter]\n"
                "warning src/main.c:10:18 [] {-Wformat=} format ‘%s’ expects argument of type ‘char *’, but argument 2 "
                "has type ‘int’ [-Wformat=]\n"
                "error src/main.c:11:16 [] {} too few arguments to function ‘add’\n"
                "warning src/main.c:7:1 [] {-Wreturn-type} control reaches end of non-void function [-Wreturn-type]\n");
        read_file(WORKSPACE, "clang.txt",
                  "error src/main.c:6:20 [] {} use of undeclared identifier 'c'\n"
                  "warning src/main.c:3:27 [] {-Wunused-parameter} unused parameter 'b' [-Wunused-parameter]\n"
                  "warning src/main.c:10:24 [] {-Wformat} format specifies type 'char *' but the argument has type "
                  "'int' [-Wformat]\n"
                  "error src/main.c:11:21 [] {} too few arguments to function call, expected 2, have 1\n");
        read_file(WORKSPACE, "gcc-fatal.txt", "error src/fatal.c:1:10 [] {} not-there.h: No such file or directory\n");
        read_file(WORKSPACE, "clang-fatal.txt", "error src/fatal.c:1:10 [] {} 'not-there.h' file not found\n");
        read_file(WORKSPACE, "gcc-link.txt", "");
        read_file(WORKSPACE, "clang-link.txt", "");
}

static void colours_and_links_of_compilers_are_no_part_of_a_problem(void **state)
{
        (void)state;
        read_file(
                WORKSPACE, "gcc-color.txt",
                "error src/main.c:6:20 [] {} ‘c’ undeclared (first use in this function)\n"
                "warning src/main.c:5:13 [] {-Wunused-variable} unused variable ‘unused’ [-Wunused-variable]\n"
                "warning src/main.c:10:18 [] {-Wformat=} format ‘%s’ expects argument of type ‘char *’, but argument 2 "
                "has type ‘int’ [-Wformat=]\n"
                "error src/main.c:11:16 [] {} too few arguments to function ‘add’\n"
                "warning src/main.c:7:1 [] {-Wreturn-type} control reaches end of non-void function [-Wreturn-type]\n");
        read_file(WORKSPACE, "clang-color.txt",
                  "error src/main.c:6:20 [] {} use of undeclared identifier 'c'\n"
                  "warning src/main.c:10:24 [] {-Wformat} format specifies type 'char *' but the argument has type "
                  "'int' [-Wformat]\n"
                  "error src/main.c:11:21 [] {} too few arguments to function call, expected 2, have 1\n");
        read_file(WORKSPACE "/rs", "cargo-color-1.63.0.txt",
                  "warning rs/src/lib.rs:2:9 [] {} unused variable: `unused`\n");
        read_file(WORKSPACE "/rs", "cargo-color-1.95.0.txt",
                  "warning rs/src/lib.rs:2:9 [] {} unused variable: `unused`\n");
}

static void folders_that_make_enters_are_followed(void **state)
{
        (void)state;
        read_file(WORKSPACE, "gcc-make.txt",
                  "error sub/part.c:1:22 [] {} ‘h’ undeclared (first use in this function)\n"
                  "warning sub/part.c:1:25 [] {-Wreturn-type} control reaches end of non-void function "
                  "[-Wreturn-type]\n");
        read_file(WORKSPACE, "clang-make.txt", "error sub/part.c:1:22 [] {} use of undeclared identifier 'h'\n");
}

static void cargo_build_and_clippy_are_read(void **state)
{
        (void)state;
        read_file(WORKSPACE "/rs", "cargo-build-1.63.0.txt",
                  "error rs/src/lib.rs:7:5 [E0308] {E0308} mismatched types\n");
        read_file(WORKSPACE "/rs", "cargo-build-1.95.0.txt",
                  "error rs/src/lib.rs:7:5 [E0308] {E0308} mismatched types\n"
                  "warning rs/src/lib.rs:2:9 [] {} unused variable: `unused`\n");
        read_file(WORKSPACE "/rs", "cargo-clippy-1.63.0.txt",
                  "error rs/src/lib.rs:2:9 [] {} unused variable: `unused`\n"
                  "error rs/src/lib.rs:3:5 [] {} unneeded `return` statement\n");
        read_file(WORKSPACE "/rs", "cargo-clippy-1.95.0.txt",
                  "error rs/src/lib.rs:2:9 [] {} unused variable: `unused`\n"
                  "error rs/src/lib.rs:3:5 [] {} unneeded `return` statement\n"
                  "error rs/src/lib.rs:3:12 [] {} binary comparison to literal `Option::None`\n");
}

static void a_failed_test_of_cargo_is_its_panic(void **state)
{
        (void)state;
        read_file(WORKSPACE "/rs", "cargo-test-1.63.0.txt",
                  "error rs/src/lib.rs:12:9 [tests::adds] {} assertion failed: `(left == right)`/  left: `4`,/ right: "
                  "`5`\n"
                  "error rs/src/lib.rs:17:9 [tests::panics] {} one line/and another\n");
        read_file(WORKSPACE "/rs", "cargo-test-1.95.0.txt",
                  "error rs/src/lib.rs:12:9 [tests::adds] {} assertion `left == right` failed/  left: 4/ right: 5\n"
                  "error rs/src/lib.rs:17:9 [tests::panics] {} one line/and another\n");
}

static void cargo_fmt_names_each_place(void **state)
{
        (void)state;
        read_file(WORKSPACE "/rs", "cargo-fmt-1.63.0.txt",
                  "error rs/src/lib.rs:1:0 [] {} not formatted as `cargo fmt` would\n");
        read_file(WORKSPACE "/rs", "cargo-fmt-1.95.0.txt",
                  "error rs/src/lib.rs:1:0 [] {} not formatted as `cargo fmt` would\n");
}

static void pytest_is_read_in_every_style(void **state)
{
        (void)state;
        read_file(WORKSPACE, "pytest-long.txt",
                  "error tests/test_sums.py:19:0 [ERROR at setup of test_fixture] {} OSError: no fixture today\n"
                  "error tests/test_sums.py:10:0 [test_sum] {} AssertionError: one and one/assert 2 == 3\n"
                  "error tests/test_sums.py:5:0 [test_raises] {} ValueError: bad 4\n"
                  "error tests/test_sums.py:29:0 [test_outside] {} json.decoder.JSONDecodeError: Expecting property "
                  "name enclosed in double quotes: line 1 column 2 (char 1)\n");
        read_file(WORKSPACE, "pytest-short.txt",
                  "error tests/test_sums.py:19:0 [ERROR at setup of test_fixture] {} OSError: no fixture today\n"
                  "error tests/test_sums.py:10:0 [test_sum] {} AssertionError: one and one/assert 2 == 3\n"
                  "error tests/test_sums.py:5:0 [test_raises] {} ValueError: bad 4\n"
                  "error tests/test_sums.py:29:0 [test_outside] {} json.decoder.JSONDecodeError: Expecting property "
                  "name enclosed in double quotes: line 1 column 2 (char 1)\n");
        read_file(WORKSPACE, "pytest-line.txt",
                  "error -:0:0 [ERROR at setup of test_fixture] {} OSError: no fixture today\n"
                  "error tests/test_sums.py:10:0 [] {} AssertionError: one and one\n"
                  "error tests/test_sums.py:5:0 [] {} ValueError: bad 4\n"
                  "error -:0:0 [] {} /usr/lib/python3.11/json/decoder.py:353: json.decoder.JSONDecodeError: Expecting "
                  "property name enclosed in double quotes: line 1 column 2 (char 1)\n");
        read_file(WORKSPACE, "pytest-native.txt",
                  "error tests/test_sums.py:19:0 [ERROR at setup of test_fixture] {} OSError: no fixture today\n"
                  "error tests/test_sums.py:10:0 [test_sum] {} AssertionError: one and one/assert 2 == 3\n"
                  "error tests/test_sums.py:5:0 [test_raises] {} ValueError: bad 4\n"
                  "error tests/test_sums.py:29:0 [test_outside] {} json.decoder.JSONDecodeError: Expecting property "
                  "name enclosed in double quotes: line 1 column 2 (char 1)\n");
        read_file(WORKSPACE, "pytest-q.txt",
                  "error tests/test_sums.py:19:0 [ERROR at setup of test_fixture] {} OSError: no fixture today\n"
                  "error tests/test_sums.py:10:0 [test_sum] {} AssertionError: one and one/assert 2 == 3\n"
                  "error tests/test_sums.py:5:0 [test_raises] {} ValueError: bad 4\n"
                  "error tests/test_sums.py:29:0 [test_outside] {} json.decoder.JSONDecodeError: Expecting property "
                  "name enclosed in double quotes: line 1 column 2 (char 1)\n");
        read_file(WORKSPACE, "pytest-color.txt",
                  "error tests/test_sums.py:19:0 [ERROR at setup of test_fixture] {} OSError: no fixture today\n"
                  "error tests/test_sums.py:10:0 [test_sum] {} AssertionError: one and one/assert 2 == 3\n"
                  "error tests/test_sums.py:5:0 [test_raises] {} ValueError: bad 4\n"
                  "error tests/test_sums.py:29:0 [test_outside] {} json.decoder.JSONDecodeError: Expecting property "
                  "name enclosed in double quotes: line 1 column 2 (char 1)\n");
        read_file(WORKSPACE, "pytest-collect.txt",
                  "error tests/test_import.py:1:0 [ERROR collecting tests/test_import.py] {} ModuleNotFoundError: No "
                  "module named 'not_a_module'\n"
                  "error tests/test_syntax.py:1:0 [ERROR collecting tests/test_syntax.py] {} def broken(:/           "
                  "^/SyntaxError: invalid syntax\n");
}

static void go_test_build_and_vet_are_read(void **state)
{
        (void)state;
        read_file(WORKSPACE "/go", "go-test.txt",
                  "error go/sub/sub_test.go:7:0 [TestPanic] {} panic: runtime error: invalid memory address or nil "
                  "pointer dereference [recovered]\n"
                  "error go/add_test.go:7:0 [TestAdd] {} got -1, want 3\n"
                  "error go/add_test.go:10:0 [TestAdd/inner] {} several/lines\n");
        read_file(WORKSPACE "/go", "go-test-v.txt",
                  "error go/add_test.go:7:0 [TestAdd] {} got -1, want 3\n"
                  "error go/add_test.go:10:0 [TestAdd/inner] {} several/lines\n");
        read_file(WORKSPACE "/go", "go-build.txt", "error go/add.go:4:13 [] {} undefined: c\n");
        read_file(WORKSPACE "/go", "go-vet.txt",
                  "error go/sub/sub.go:5:12 [] {} fmt.Printf format %d has arg \"x\" of wrong type string\n");
}

static void tap_is_read_from_test_more_prove_and_node(void **state)
{
        (void)state;
        read_file(
                WORKSPACE, "tap-perl.txt",
                "error t/sums.t:4:0 [adds wrongly] {} got: '2'/expected: '3'\n"
                "error t/sums.t:5:0 [] {} failed\n"
                "error t/sums.t:7:0 [lists] {} Structures begin differing at:/$got->[1] = '2'/$expected->[1] = '3'\n");
        read_file(
                WORKSPACE, "tap-prove.txt",
                "error t/sums.t:4:0 [adds wrongly] {} got: '2'/expected: '3'\n"
                "error t/sums.t:5:0 [] {} failed\n"
                "error t/sums.t:7:0 [lists] {} Structures begin differing at:/$got->[1] = '2'/$expected->[1] = '3'\n");
        read_file(
                WORKSPACE, "tap-prove-v.txt",
                "error t/sums.t:4:0 [adds wrongly] {} got: '2'/expected: '3'\n"
                "error t/sums.t:5:0 [] {} failed\n"
                "error t/sums.t:7:0 [lists] {} Structures begin differing at:/$got->[1] = '2'/$expected->[1] = '3'\n");
        read_file(WORKSPACE, "tap-node.txt",
                  "error t/sums.test.js:4:1 [adds] {} Expected values to be strictly equal:/2 !== 3\n");
}

static void a_traceback_of_a_program_is_nobodys(void **state)
{
        (void)state;
        read_file(WORKSPACE, "other-traceback.txt", "");
}

/* What other programs write, with colons, numbers and words that readers look for. */
static void output_of_other_programs_gives_nothing(void **state)
{
        static const char text[] =
                "2026-01-02 12:30:45: error: connection lost\n"
                "12:30:45: error: connection lost\n"
                "[12:30:45] warning: low on memory\n"
                "see https://example.com/a.c:80: error: not a file\n"
                "http://example.com:8080/x.c:1:2: error: no\n"
                "127.0.0.1:80: error: refused\n"
                "worker.pool:12: warning: slow\n"
                "my file.c:3:4: error: a name with a blank\n"
                "main.c:0:1: error: no line\n"
                "main.c:03: error: no line\n"
                "main.c:99999999999: error: no line\n"
                "main.c: error: no line\n"
                "main.c:3: note: only a note\n"
                "error: something failed\n"
                "  --> not/a/place\n"
                "warning: 2 things\n\n --> src/lib.rs:1:2\n"
                "note: a note\n --> src/lib.rs:1:2\n"
                "make: *** [Makefile:2: all] Error 1\n"
                "thread pool 'x' panicked at the disco\n"
                "running 3 tests\nthread 'a' panicked at src/lib.rs:3:4:\nmeant to\n\n"
                "test result: ok. 3 passed\n"
                "FAILED tests/test_a.py::test_b - assert 1\n"
                "tests/test_a.py:4: AssertionError\n"
                "E   assert 1 == 2\n"
                "  File \"tests/test_a.py\", line 4, in f\n"
                "=== RUN   TestA\n    a_test.go:3: a log\n--- PASS: TestA (0.00s)\nok  \texample.com/demo\t0.1s\n"
                "    a_test.go:3: nobody's\n"
                "panic: of a program\n\t/tmp/ws/demo/go/a.go:3 +0x1\n"
                "# a heading\na.go:3:4: below it\n"
                "not ok 3 without a plan\n"
                "# Failed test of patience\n#   at the end line 3.\n"
                "Diff in a.txt:3:\nDiff in 3 places\n";
        (void)state;
        read_text(WORKSPACE, text, "");
}

static void a_test_of_tap_that_is_skipped_or_to_do_is_no_problem(void **state)
{
        (void)state;
        read_text(WORKSPACE, "1..4\nnot ok 1 - a # TODO later\nnot ok 2 - b # skip no net\nok 3 - c\nnot ok 4 - d\n",
                  "error -:0:0 [d] {} d\n");
        read_text(WORKSPACE, "not ok 1 - d\n", "");
}

static void a_place_outside_the_workspace_is_said_in_words(void **state)
{
        (void)state;
        read_text(WORKSPACE "/sub",
                  "../../../etc/x.c:3:4: error: up\n/usr/include/x.h:5:6: warning: abroad\n"
                  "../a.c:1:2: error: here\n/tmp/ws/demo2/a.c:1:2: error: a neighbour\n",
                  "error -:0:0 [] {} ../../../etc/x.c:3: up\n"
                  "warning -:0:0 [] {} /usr/include/x.h:5: abroad\n"
                  "error a.c:1:2 [] {} here\n"
                  "error -:0:0 [] {} /tmp/ws/demo2/a.c:1: a neighbour\n");
}

static void streams_do_not_cut_each_others_problems(void **state)
{
        struct readers *r = start(WORKSPACE, READER_ALL);
        (void)state;
        feed(r, 1, "error[E0308]: mismatched types");
        feed(r, 0, "something else\n");
        feed(r, 1, " --> src/lib.rs:7:5");
        readers_free(r);
        expect("error src/lib.rs:7:5 [E0308] {E0308} mismatched types\n");
}

static void a_reader_that_is_off_finds_nothing(void **state)
{
        struct readers *r = start(WORKSPACE, READER_ALL & ~(unsigned)READER_CC);
        (void)state;
        feed(r, 0, "a.c:1:2: error: x\n");
        readers_free(r);
        expect("");
        assert_int_equal(reader_of("GCC"), READER_CC);
        assert_int_equal(reader_of("gc"), 0);
}

static void without_go_mod_a_problem_of_a_go_test_has_no_file(void **state)
{
        struct readers *r = start(WORKSPACE "/go", READER_ALL);
        (void)state;
        feed(r, 0, "--- FAIL: TestA (0.00s)\n    a_test.go:3: wrong\nFAIL\texample.com/demo\t0.1s\n");
        assert_true(readers_want_go_mod(r));
        assert_int_equal(readers_go_mod(r, "// module x\nmodule example.com/other\n", 37, &err), 0);
        assert_int_equal(readers_finish(r, &err), 0);
        readers_free(r);
        expect("error -:0:0 [TestA] {} a_test.go:3: wrong\n");
}

static void only_so_many_problems_wait_for_the_end_of_a_step(void **state)
{
        struct readers *r = start(WORKSPACE, READER_ALL);
        (void)state;
        for (unsigned i = 0; i < READER_MAX_HELD + 1; i++)
                feed(r, 0, "not ok 1 - x\n--- FAIL: T (0.00s)\n    a_test.go:1: x\n");
        feed(r, 0, "1..101\n");
        assert_int_equal(readers_finish(r, &err), 0);
        readers_free(r);
        size_t lines = 0;
        for (size_t i = 0; i < told.len; i++)
                lines += told.data[i] == '\n';
        assert_int_equal(lines, 2 * READER_MAX_HELD);
}

static void a_line_is_cleaned_and_cut(void **state)
{
        static const char text[] = "\x1b[01m\x1b[Ka\x1b]8;;http://x\x1b\\b\x1b]0;t\ac\x1b(Bd\xff\0e\x1b[1\r";
        struct buf line = BUF_INIT;
        char *big = malloc(2 * ISSUE_MAX_LINE);
        (void)state;
        assert_int_equal(issue_clean(text, sizeof(text) - 1, &line, &err), 0);
        assert_string_equal((char *)line.data, "abcd\xef\xbf\xbd\xef\xbf\xbd"
                                               "e");
        memset(big, 'x', 2 * ISSUE_MAX_LINE);
        assert_int_equal(issue_clean(big, ISSUE_MAX_LINE, &line, &err), 0);
        assert_int_equal(line.len, ISSUE_MAX_LINE);
        assert_int_equal(issue_clean(big, ISSUE_MAX_LINE + 1, &line, &err), 0);
        assert_int_equal(line.len, ISSUE_MAX_LINE);
        free(big);
        buf_done(&line);
}

static void paths_become_relative_to_the_workspace(void **state)
{
        static const struct {
                const char *folder, *path, *want;
        } cases[] = {{"/w/s", "a.c", "s/a.c"},  {"/w/s", "./a//b/../c.c", "s/a/c.c"},
                     {"/w/s", "../x", "x"},     {"/w/s", "../../x", NULL},
                     {"/w", "/w/x", "x"},       {"/w", "/wx/x", NULL},
                     {"/w", "/w", NULL},        {"/w", "", NULL},
                     {"/w", "/../../w/x", "x"}, {"/elsewhere", "../w/x", "x"}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                char *got = issue_path("/w/", cases[i].folder, cases[i].path);
                if (cases[i].want)
                        assert_string_equal(got, cases[i].want);
                else
                        assert_null(got);
                free(got);
        }
}

/* ---- JUnit ---- */

static int junit(const void *data, size_t len)
{
        const struct junit_config config = {WORKSPACE, WORKSPACE, on_issue, NULL};
        buf_clear(&told);
        err = (struct err)ERR_INIT;
        return junit_read(&config, data, len, &err);
}

static void junit_files_of_pytest_are_read(void **state)
{
        static const char wanted[] =
                "error tests/test_sums.py:10:0 [test_sum] {} AssertionError: one and one/assert 2 == 3\n"
                "error tests/test_sums.py:5:0 [test_raises] {} ValueError: bad 4\n"
                "error tests/test_sums.py:19:0 [test_fixture] {} failed on setup with \"OSError: no fixture today\"\n"
                "error tests/test_sums.py:29:0 [test_outside] {} json.decoder.JSONDecodeError: Expecting property name "
                "enclosed in double quotes: line 1 column 2 (char 1)\n";
        static const char *const names[] = {"junit-pytest.xml", "junit-pytest-xunit1.xml"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                size_t len;
                const char *text = load(names[i], &len);
                assert_int_equal(junit(text, len), 0);
                expect(wanted);
        }
}

static void junit_attributes_are_the_place_when_the_text_has_none(void **state)
{
        static const char text[] =
                "<testsuite><testcase name='a' file='src/a.rb' line='7'><failure>b:x\n/etc/x:3: y</failure>"
                "</testcase><testcase name='b' file='/etc/b' line='7'><error message='m'/></testcase>"
                "<failure message='of no test'/><testcase name='c'><skipped/></testcase></testsuite>";
        (void)state;
        assert_int_equal(junit(text, sizeof(text) - 1), 0);
        expect("error src/a.rb:7:0 [a] {} b:x//etc/x:3: y\nerror -:0:0 [b] {} m\n");
}

static void junit_with_a_document_type_is_refused(void **state)
{
        static const char text[] = "<!DOCTYPE x [<!ENTITY a 'b'>]><testsuite>&a;</testsuite>";
        (void)state;
        assert_true(junit(text, sizeof(text) - 1) < 0);
        assert_int_equal(err.code, ERR_RUN_FAILED);
        assert_non_null(strstr(err.msg, "document type"));
}

static void junit_that_is_no_xml_is_refused_with_its_line(void **state)
{
        (void)state;
        assert_true(junit("<a>\n<b></a>", 11) < 0);
        assert_non_null(strstr(err.msg, "line 2"));
        assert_true(junit("", 0) < 0);
}

static void junit_has_limits_of_depth_failures_and_size(void **state)
{
        struct buf b = BUF_INIT;
        (void)state;
        for (unsigned extra = 0; extra < 2; extra++) {
                buf_clear(&b);
                for (unsigned i = 0; i < JUNIT_MAX_DEPTH + extra; i++)
                        assert_int_equal(buf_append_str(&b, "<a>", &err), 0);
                for (unsigned i = 0; i < JUNIT_MAX_DEPTH + extra; i++)
                        assert_int_equal(buf_append_str(&b, "</a>", &err), 0);
                assert_int_equal(junit(b.data, b.len), extra ? -1 : 0);
                buf_clear(&b);
                assert_int_equal(buf_append_str(&b, "<s><testcase name='a'>", &err), 0);
                for (unsigned i = 0; i < JUNIT_MAX_PROBLEMS + extra; i++)
                        assert_int_equal(buf_append_str(&b, "<error/>", &err), 0);
                assert_int_equal(buf_append_str(&b, "</testcase></s>", &err), 0);
                assert_int_equal(junit(b.data, b.len), extra ? -1 : 0);
                buf_clear(&b);
                assert_int_equal(buf_append_str(&b, "<s></s>", &err), 0);
                while (b.len < JUNIT_MAX_SIZE + extra)
                        assert_int_equal(buf_append_byte(&b, ' ', &err), 0);
                assert_int_equal(junit(b.data, b.len), extra ? -1 : 0);
        }
        buf_done(&b);
}

static int tear_down(void **state)
{
        (void)state;
        buf_done(&told);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gcc_and_clang_are_read),
                cmocka_unit_test(colours_and_links_of_compilers_are_no_part_of_a_problem),
                cmocka_unit_test(folders_that_make_enters_are_followed),
                cmocka_unit_test(cargo_build_and_clippy_are_read),
                cmocka_unit_test(a_failed_test_of_cargo_is_its_panic),
                cmocka_unit_test(cargo_fmt_names_each_place),
                cmocka_unit_test(pytest_is_read_in_every_style),
                cmocka_unit_test(go_test_build_and_vet_are_read),
                cmocka_unit_test(tap_is_read_from_test_more_prove_and_node),
                cmocka_unit_test(a_traceback_of_a_program_is_nobodys),
                cmocka_unit_test(output_of_other_programs_gives_nothing),
                cmocka_unit_test(a_test_of_tap_that_is_skipped_or_to_do_is_no_problem),
                cmocka_unit_test(a_place_outside_the_workspace_is_said_in_words),
                cmocka_unit_test(streams_do_not_cut_each_others_problems),
                cmocka_unit_test(a_reader_that_is_off_finds_nothing),
                cmocka_unit_test(without_go_mod_a_problem_of_a_go_test_has_no_file),
                cmocka_unit_test(only_so_many_problems_wait_for_the_end_of_a_step),
                cmocka_unit_test(a_line_is_cleaned_and_cut),
                cmocka_unit_test(paths_become_relative_to_the_workspace),
                cmocka_unit_test(junit_files_of_pytest_are_read),
                cmocka_unit_test(junit_attributes_are_the_place_when_the_text_has_none),
                cmocka_unit_test(junit_with_a_document_type_is_refused),
                cmocka_unit_test(junit_that_is_no_xml_is_refused_with_its_line),
                cmocka_unit_test(junit_has_limits_of_depth_failures_and_size),
        };
        return cmocka_run_group_tests(tests, NULL, tear_down);
}
