#include "test.h"

#include "base/err.h"
#include "base/num.h"

static void unsigned_numbers_are_whole_strings_in_range(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        uint64_t v = 0;
        assert_int_equal(num_u64("18446744073709551615", 0, UINT64_MAX, "n", &v, &e), 0);
        assert_true(v == UINT64_MAX);
        assert_int_equal(num_u64("064", 1, 64, "--jobs", &v, &e), 0);
        assert_int_equal(v, 64);
        static const char *const bad[] = {"",   " 1", "1 ", "+1", "-1", "0x1", "1.0", "65", "0", "18446744073709551616",
                                          "1\n"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(num_u64(bad[i], 1, 64, "--jobs", &v, &e), -1);
        assert_int_equal(num_u64("0", 1, 64, "--jobs", &v, &e), -1);
        assert_string_equal(e.msg, "--jobs: expected a number from 1 to 64, found '0'");
        assert_int_equal(e.code, ERR_USAGE);
        assert_int_equal(v, 64);
}

static void signed_numbers_reach_both_ends(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        int64_t v = 0;
        assert_int_equal(num_i64("-9223372036854775808", INT64_MIN, INT64_MAX, "n", &v, &e), 0);
        assert_true(v == INT64_MIN);
        assert_int_equal(num_i64("9223372036854775807", INT64_MIN, INT64_MAX, "n", &v, &e), 0);
        assert_true(v == INT64_MAX);
        assert_int_equal(num_i64("9223372036854775808", INT64_MIN, INT64_MAX, "n", &v, &e), -1);
        assert_contains(e.msg, "from -9223372036854775808 to 9223372036854775807");
        assert_int_equal(num_i64("-9223372036854775809", INT64_MIN, INT64_MAX, "n", &v, &e), -1);
        assert_int_equal(num_i64("-", INT64_MIN, INT64_MAX, "n", &v, &e), -1);
        assert_int_equal(num_i64("--1", INT64_MIN, INT64_MAX, "n", &v, &e), -1);
}

static void sizes_have_suffixes(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        uint64_t v = 0;
        static const struct {
                const char *text;
                uint64_t bytes;
        } rows[] = {{"0", 0},       {"512", 512},    {"512B", 512},       {"1K", 1024},
                    {"2KiB", 2048}, {"3M", 3 << 20}, {"2GB", 2ull << 30}, {"1T", 1ull << 40}};
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(num_size(rows[i].text, UINT64_MAX, "s", &v, &e), 0);
                assert_true(v == rows[i].bytes);
        }
        static const char *const bad[] = {"", "K", "1k", "1KK", "1Ki", "1 K", "-1K", "17179869184G", "1.5G"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(num_size(bad[i], UINT64_MAX, "s", &v, &e), -1);
        assert_int_equal(num_size("2K", 2047, "--memory", &v, &e), -1);
        assert_contains(e.msg, "--memory: expected a size");
}

static void times_have_a_unit(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        uint64_t v = 0;
        static const struct {
                const char *text;
                uint64_t ms;
        } rows[] = {{"0s", 0},         {"90s", 90000},    {"30m", 1800000},
                    {"12h", 43200000}, {"7d", 604800000}, {"2w", 1209600000}};
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(num_duration(rows[i].text, UINT64_MAX, "t", &v, &e), 0);
                assert_true(v == rows[i].ms);
        }
        static const char *const bad[] = {"", "7", "d", "1.5d", "-1d", "7 d", "7dd", "7D", "18446744073709551615w"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(num_duration(bad[i], UINT64_MAX, "t", &v, &e), -1);
        assert_int_equal(num_duration("2d", 2 * 86400000, "t", &v, &e), 0);
        assert_int_equal(num_duration("172801s", 2 * 86400000, "--older-than", &v, &e), -1);
        assert_contains(e.msg,
                        "--older-than: expected a time such as 90s, 30m, 12h, 7d or 2w, at most 2d, found '172801s'");
}

static void hex_is_exact(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        uint8_t bytes[3];
        char text[7];
        assert_int_equal(num_hex("00fFa5", bytes, 3, "digest", &e), 0);
        num_to_hex(bytes, 3, text);
        assert_string_equal(text, "00ffa5");
        static const char *const bad[] = {"", "00ff", "00ffa", "00ffa500", "00ffag", "0x00ff"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(num_hex(bad[i], bytes, 3, "digest", &e), -1);
        assert_contains(e.msg, "digest: expected 6 hexadecimal digits");
}

static void errors_show_foreign_text_escaped(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        uint64_t v;
        assert_int_equal(num_u64("\033]0;x\a", 0, 1, "n", &v, &e), -1);
        assert_contains(e.msg, "'\\x1b]0;x\\x07'");
}

static void arithmetic_notices_overflow(void **state)
{
        (void)state;
        uint32_t v;
        assert_true(num_add(1u, 2u, &v) && v == 3);
        assert_false(num_add(UINT32_MAX, 1u, &v));
        assert_false(num_mul(1u << 16, 1u << 16, &v));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(unsigned_numbers_are_whole_strings_in_range),
                cmocka_unit_test(signed_numbers_reach_both_ends),
                cmocka_unit_test(sizes_have_suffixes),
                cmocka_unit_test(times_have_a_unit),
                cmocka_unit_test(hex_is_exact),
                cmocka_unit_test(errors_show_foreign_text_escaped),
                cmocka_unit_test(arithmetic_notices_overflow),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
