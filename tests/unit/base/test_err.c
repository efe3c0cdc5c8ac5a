#include "test.h"

#include "base/err.h"

#include <errno.h>

static void table_is_ordered_and_statuses_have_eight_bits(void **state)
{
        (void)state;
        unsigned n;
        const struct err_info *table = err_table(&n);
        assert_int_equal(n, 14);
        for (unsigned i = 0; i < n; i++) {
                assert_true(i == 0 || table[i - 1].code < table[i].code);
                assert_in_range(table[i].status, 0, 255);
                assert_true(table[i].code == ERR_SUCCESS || table[i].status != 0);
                assert_true(strlen(table[i].meaning) > 0 && strlen(table[i].remedy) > 0);
        }
        assert_int_equal(err_info(ERR_VM_BOOT_FAILED)->status, 301 % 256);
        assert_int_equal(err_info(ERR_EGRESS_VIOLATION)->status, 401 % 256);
        assert_int_equal(err_info(ERR_CANCELLED)->status, 130);
}

static void unknown_code_is_a_failed_run(void **state)
{
        (void)state;
        assert_int_equal(err_info((enum err_code)9999)->code, ERR_RUN_FAILED);
}

static void error_has_code_errno_origin_and_text(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        assert_int_equal(err_errno(&e, ERR_RESOURCES, ENOSPC, "write %s", "x"), -1);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_int_equal(e.errnum, ENOSPC);
        assert_string_equal(e.msg, "write x: No space left on device");
        assert_contains(e.origin, "test_err.c:");
        assert_int_equal(err_wrap(&e, -1, "job %d", 7), -1);
        assert_string_equal(e.msg, "job 7: write x: No space left on device");
}

static void error_may_quote_its_own_text(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        err_set(&e, ERR_USAGE, "first");
        err_set(&e, ERR_PROTOCOL, "second (%s)", e.msg);
        assert_string_equal(e.msg, "second (first)");
}

static void long_text_is_cut_visibly(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        err_set(&e, ERR_USAGE, "%02000d", 1);
        assert_int_equal(strlen(e.msg), ERR_MAX_MESSAGE - 1);
        assert_string_equal(e.msg + ERR_MAX_MESSAGE - 4, "...");
        err_set(&e, ERR_USAGE, "%01022d", 1);
        assert_string_equal(e.msg + 1020, "01");
        err_wrap(&e, -1, "%s", "in front");
        assert_int_equal(strlen(e.msg), ERR_MAX_MESSAGE - 1);
        assert_contains(e.msg, "...");
}

static void a_cut_never_goes_through_a_character(void **state)
{
        char text[4 * ERR_MAX_MESSAGE];

        (void)state;
        for (size_t at = 0; at < 4; at++) {
                struct err e = ERR_INIT;
                memset(text, 'a', at);
                for (size_t i = at; i + 5 < sizeof(text); i += 4)
                        memcpy(text + i, "\xf0\x9f\x94\x91", 5);
                err_set(&e, ERR_USAGE, "%s", text);
                size_t whole = strlen(e.msg) - 3;
                assert_string_equal(e.msg + whole, "...");
                assert_int_equal((whole - at) % 4, 0);
        }
}

static void nobody_has_to_care(void **state)
{
        (void)state;
        assert_int_equal(err_set(NULL, ERR_USAGE, "x"), -1);
        assert_int_equal(err_wrap(NULL, -1, "x"), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table_is_ordered_and_statuses_have_eight_bits),
                cmocka_unit_test(unknown_code_is_a_failed_run),
                cmocka_unit_test(error_has_code_errno_origin_and_text),
                cmocka_unit_test(error_may_quote_its_own_text),
                cmocka_unit_test(long_text_is_cut_visibly),
                cmocka_unit_test(a_cut_never_goes_through_a_character),
                cmocka_unit_test(nobody_has_to_care),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
