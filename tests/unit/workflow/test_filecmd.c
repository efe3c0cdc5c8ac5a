/* GITHUB_OUTPUT, GITHUB_ENV, GITHUB_STATE and GITHUB_PATH files. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "workflow/filecmd.h"

static struct filecmd_pairs parse(enum filecmd_kind kind, const char *text)
{
        struct filecmd_pairs p;
        struct err e = ERR_INIT;
        if (filecmd_parse(kind, text, strlen(text), &p, &e) < 0)
                fail_msg("%s", e.msg);
        return p;
}

static void expect(const char *text, size_t n, const char *name, const char *value)
{
        struct filecmd_pairs p = parse(FILECMD_OUTPUT, text);
        assert_int_equal(p.n, n);
        assert_string_equal(p.v[n - 1].name, name);
        assert_string_equal(p.v[n - 1].value, value);
        assert_int_equal(p.v[n - 1].len, strlen(value));
        filecmd_pairs_done(&p);
}

static void refused(enum filecmd_kind kind, const char *text, const char *message)
{
        struct filecmd_pairs p;
        struct err e = ERR_INIT;
        assert_int_equal(filecmd_parse(kind, text, strlen(text), &p, &e), -1);
        assert_int_equal(e.code, ERR_RUN_FAILED);
        assert_string_equal(e.msg, message);
        assert_int_equal(p.n, 0);
        assert_null(p.v);
}

static void plain_pairs_are_read(void **state)
{
        (void)state;
        expect("a=b", 1, "a", "b");
        expect("a=b\n\n\nc=d=e\n", 2, "c", "d=e");
        expect("a=\n", 1, "a", "");
        expect(" a b = c \n", 1, " a b ", " c ");
        expect("a=x<<EOF\n", 1, "a", "x<<EOF");
        expect("a=b\r\n", 1, "a", "b\r"); /* as on GitHub's Linux runners */
        expect("\xef\xbb\xbf"
               "a=b\n",
               1, "a", "b");
}

static void blocks_are_read(void **state)
{
        (void)state;
        expect("a<<EOF\nline 1\nb=c\nEOF\n", 1, "a", "line 1\nb=c");
        expect("a<<EOF\nEOF\n", 1, "a", "");
        expect("a<<EOF\n\nEOF", 1, "a", "");
        expect("a<<EOF\n\n\nEOF\nz=1", 2, "z", "1");
        expect("a<<x=y\nv\nx=y\n", 1, "a", "v");
        expect("a<< EOF\nEOF\n EOF\n", 1, "a", "EOF");
        expect("a<<<EOF\nv\n<EOF\n", 1, "a", "v");
}

static void errors_have_githubs_wording(void **state)
{
        (void)state;
        refused(FILECMD_OUTPUT, "a=1\nnonsense\n", "GITHUB_OUTPUT: Invalid format 'nonsense' (line 2)");
        refused(FILECMD_ENV, "=x\n", "GITHUB_ENV: Invalid format '=x'. Name must not be empty (line 1)");
        refused(FILECMD_STATE, "<<EOF\nx\nEOF\n",
                "GITHUB_STATE: Invalid format '<<EOF'. Name must not be empty and delimiter must not be empty (line "
                "1)");
        refused(FILECMD_OUTPUT, "a<<\nx\n",
                "GITHUB_OUTPUT: Invalid format 'a<<'. Name must not be empty and delimiter must not be empty (line 1)");
        refused(FILECMD_OUTPUT, "a<<EOF\nx\nEOF \n",
                "GITHUB_OUTPUT: Invalid value. Matching delimiter not found 'EOF' (line 1)");
}

static void a_path_file_has_one_folder_a_line(void **state)
{
        (void)state;
        struct filecmd_pairs p = parse(FILECMD_PATH, "/a b\n\n/c=d\r\n/e<<f");
        assert_int_equal(p.n, 3);
        assert_null(p.v[0].name);
        assert_string_equal(p.v[0].value, "/a b");
        assert_string_equal(p.v[1].value, "/c=d");
        assert_string_equal(p.v[2].value, "/e<<f");
        filecmd_pairs_done(&p);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
        (void)state;
        struct filecmd_pairs p;
        assert_int_equal(filecmd_parse(FILECMD_OUTPUT, "a\0=\xff\xc3\xa4\0x", 8, &p, NULL), 0);
        assert_string_equal(p.v[0].name, "a\xef\xbf\xbd");
        assert_string_equal(p.v[0].value, "\xef\xbf\xbd\xc3\xa4\xef\xbf\xbdx");
        filecmd_pairs_done(&p);
}

static char *pairs_text(size_t n)
{
        char *text = malloc(n * 4 + 1);
        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
                memcpy(text + i * 4, "a=b\n", 4);
        text[n * 4] = '\0';
        return text;
}

static void the_number_of_pairs_is_bounded(void **state)
{
        (void)state;
        char *at = pairs_text(FILECMD_MAX_PAIRS), *past = pairs_text(FILECMD_MAX_PAIRS + 1);
        struct filecmd_pairs p = parse(FILECMD_OUTPUT, at);
        assert_int_equal(p.n, FILECMD_MAX_PAIRS);
        filecmd_pairs_done(&p);
        refused(FILECMD_OUTPUT, past, "GITHUB_OUTPUT: more than 10000 entries (FILECMD_MAX_PAIRS)");
        free(at);
        free(past);
}

static void size_and_names_are_bounded(void **state)
{
        (void)state;
        char *text = malloc(FILECMD_MAX_SIZE + 2);
        assert_non_null(text);
        memset(text, 'x', FILECMD_MAX_SIZE + 1);
        text[FILECMD_MAX_SIZE + 1] = '\0';
        memcpy(text, "a=", 2);
        struct filecmd_pairs p;
        struct err e = ERR_INIT;
        assert_int_equal(filecmd_parse(FILECMD_OUTPUT, text, FILECMD_MAX_SIZE, &p, &e), 0);
        assert_int_equal(p.v[0].len, FILECMD_MAX_SIZE - 2);
        filecmd_pairs_done(&p);
        assert_int_equal(filecmd_parse(FILECMD_OUTPUT, text, FILECMD_MAX_SIZE + 1, &p, &e), -1);
        assert_contains(e.msg, "FILECMD_MAX_SIZE");
        memcpy(text, "xx", 2);
        text[FILECMD_MAX_NAME] = '=';
        assert_int_equal(filecmd_parse(FILECMD_OUTPUT, text, 2000, &p, &e), 0);
        filecmd_pairs_done(&p);
        text[FILECMD_MAX_NAME] = 'x';
        text[FILECMD_MAX_NAME + 1] = '=';
        assert_int_equal(filecmd_parse(FILECMD_OUTPUT, text, 2000, &p, &e), -1);
        assert_contains(e.msg, "FILECMD_MAX_NAME");
        free(text);
}

static void variables_of_the_runner_cannot_be_set(void **state)
{
        (void)state;
        static const char *const refused_names[] = {"NODE_OPTIONS", "node_options", "GITHUB_SHA",
                                                    "github_x",     "RUNNER_TEMP",  "Runner_x"};
        static const char *const allowed[] = {"PATH", "NODE_OPTIONS2", "MY_GITHUB_X", "GITHUB", "RUNNER"};
        struct err e = ERR_INIT;
        for (size_t i = 0; i < sizeof(refused_names) / sizeof(refused_names[0]); i++)
                assert_int_equal(filecmd_env_allowed(refused_names[i], &e), -1);
        assert_string_equal(e.msg, "Can't store Runner_x output parameter using '$GITHUB_ENV' command.");
        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
                assert_int_equal(filecmd_env_allowed(allowed[i], &e), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain_pairs_are_read),
                cmocka_unit_test(blocks_are_read),
                cmocka_unit_test(errors_have_githubs_wording),
                cmocka_unit_test(a_path_file_has_one_folder_a_line),
                cmocka_unit_test(bytes_that_are_no_text_are_replaced),
                cmocka_unit_test(the_number_of_pairs_is_bounded),
                cmocka_unit_test(size_and_names_are_bounded),
                cmocka_unit_test(variables_of_the_runner_cannot_be_set),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
