/* The pins of a mirror: what is read, what is refused and where, and how one is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "source/pins.h"

#define A "0123456789abcdef0123456789abcdef01234567"
#define B "89abcdef0123456789abcdef0123456789abcdef"

static struct pins *parse(const char *text)
{
        struct pins *p = NULL;
        struct err e = ERR_INIT;
        if (pins_parse(text, strlen(text), "pins", &p, &e) < 0)
                fail_msg("%s", e.msg);
        return p;
}

static void refused(const char *text, size_t len, const char *why)
{
        struct pins *p = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(pins_parse(text, len, "pins", &p, &e), -1);
        assert_null(p);
        assert_int_equal(e.code, ERR_USAGE);
        if (!strstr(e.msg, why))
                fail_msg("expected '%s' in '%s'", why, e.msg);
}

static void a_pin_says_which_commit_a_ref_means(void **state)
{
        (void)state;
        AUTO(pins_freep)
        struct pins *p = parse("# ours\n\n  # indented\nActions/Setup-Node@v4 " A "\no/r@feature/x\t " B);
        assert_int_equal(pins_count(p), 2);
        assert_string_equal(pins_get(p, "actions/setup-node", "v4"), A);
        assert_string_equal(pins_get(p, "o/r", "feature/x"), B);
        assert_null(pins_get(p, "o/r", "v4"));
        assert_null(pins_get(p, "o/r", "V4"));
        assert_null(pins_get(p, "actions/setup-node", "V4"));
        assert_string_equal(pins_at(p, 0)->repository, "actions/setup-node");
        assert_string_equal(pins_at(p, 0)->ref, "v4");
        assert_string_equal(pins_at(p, 1)->commit, B);
        AUTO(pins_freep) struct pins *none = parse("");
        assert_int_equal(pins_count(none), 0);
}

static void anything_else_names_its_line(void **state)
{
        static const struct {
                const char *text, *why;
        } bad[] = {
                {"\no/r@v1\n", "pins:2: expected OWNER/REPO@REF COMMIT"},
                {"o/r " A "\n", "pins:1: expected OWNER/REPO@REF COMMIT"},
                {"o/r v@1 " A "\n", "pins:1: expected OWNER/REPO@REF COMMIT"},
                {"o@v1 " A "\n", "pins:1: expected OWNER/REPO in front of the '@'"},
                {"o/r/x@v1 " A "\n", "pins:1: expected OWNER/REPO in front of the '@'"},
                {"o/r@ " A "\n", "pins:1: expected a tag or a branch behind the '@'"},
                {"o/r@a@b " A "\n", "pins:1: expected a tag or a branch behind the '@'"},
                {"o/r@" A " " A "\n", "pins:1: a commit needs no pin: it is taken as it is"},
                {"o/r@v1 0123\n", "pins:1: expected a full commit id, 40 digits in lower case"},
                {"o/r@v1 " A " x\n", "pins:1: expected a full commit id"},
                {"o/r@v1 " A " \n", "pins:1: expected a full commit id"},
                {"o/r@v1 " A "\r\n", "pins:1: expected a full commit id"},
                {"o/r@v1 " A "\nO/R@v1 " B "\n", "pins:2: o/r@v1 is pinned twice"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                refused(bad[i].text, strlen(bad[i].text), bad[i].why);
        refused("#\0", 2, "pins:1: expected a line of at most 1024 bytes without NUL");
}

static void sizes_are_bounded(void **state)
{
        static char big[PINS_MAX_SIZE + 2], line[1027];
        struct buf many = BUF_INIT;
        (void)state;
        memset(line, '#', sizeof(line));
        line[1024] = '\0';
        AUTO(pins_freep) struct pins *one = parse(line);
        assert_int_equal(pins_count(one), 0);
        line[1024] = '#';
        refused(line, 1025, "pins:1: expected a line of at most 1024 bytes");
        memset(big, '\n', sizeof(big));
        big[PINS_MAX_SIZE] = '\0';
        AUTO(pins_freep) struct pins *empty = parse(big);
        assert_int_equal(pins_count(empty), 0);
        refused(big, PINS_MAX_SIZE + 1, "more than the limit of 1048576 (PINS_MAX_SIZE)");
        for (unsigned i = 0; i < PINS_MAX; i++)
                assert_int_equal(buf_printf(&many, NULL, "o/r@v%u " A "\n", i), 0);
        AUTO(pins_freep) struct pins *all = parse(buf_cstr(&many));
        assert_int_equal(pins_count(all), PINS_MAX);
        assert_int_equal(buf_append_str(&many, "o/r@one-more " A "\n", NULL), 0);
        refused(buf_cstr(&many), many.len, "pins:10001: more than 10000 pins (PINS_MAX)");
        buf_done(&many);
}

static void edited(const char *text, const char *ref, const char *commit, const char *wanted)
{
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(pins_edit(text, strlen(text), "o/r", ref, commit, &b, &e), 0);
        assert_string_equal(b.len ? buf_cstr(&b) : "", wanted);
        buf_done(&b);
}

static void one_pin_is_changed_and_the_rest_stays(void **state)
{
        (void)state;
        edited("", "v1", A, "o/r@v1 " A "\n");
        edited("# x", "v1", A, "# x\no/r@v1 " A "\n");
        edited("# x\nO/R@v1  " A "\no/r@v2 " A "\n", "v1", B, "# x\no/r@v1 " B "\no/r@v2 " A "\n");
        edited("# x\no/r@v1 " A "\n\no/r@v2 " A "\n", "v1", NULL, "# x\n\no/r@v2 " A "\n");
        edited("o/r@v1 " A "\n", "v3", NULL, "o/r@v1 " A "\n");
        edited("p/r@v1 " A "\n", "v1", NULL, "p/r@v1 " A "\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_pin_says_which_commit_a_ref_means),
                cmocka_unit_test(anything_else_names_its_line),
                cmocka_unit_test(sizes_are_bounded),
                cmocka_unit_test(one_pin_is_changed_and_the_rest_stays),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
