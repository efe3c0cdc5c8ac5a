#include "test.h"

#include "base/clock.h"

static void time_is_written_in_utc(void **state)
{
        (void)state;
        char text[CLOCK_ISO_SIZE];
        clock_iso(0, text);
        assert_string_equal(text, "1970-01-01T00:00:00.000Z");
        clock_iso(951782399007u, text);
        assert_string_equal(text, "2000-02-28T23:59:59.007Z");
        clock_iso(UINT64_MAX, text);
        assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void time_is_read_back_and_nothing_else_is(void **state)
{
        static const char *const wrong[] = {"",
                                            "2026-11-22",
                                            "2026-11-22T05:39:40",
                                            "2026-11-22 05:39:40Z",
                                            "2026-11-22T05:39:40+01:00",
                                            "2026-11-22T05:39:40.Z",
                                            "2026-11-22T05:39:40Zx",
                                            "2026-02-30T05:39:40Z",
                                            "2026-13-22T05:39:40Z",
                                            "2026-11-22T25:39:40Z",
                                            "1969-12-31T23:59:59Z",
                                            " 026-11-22T05:39:40Z",
                                            "2026-11-22T05:39:4"};
        uint64_t ms = 0;
        (void)state;
        assert_int_equal(clock_parse_iso("2026-11-22T05:39:40.123456789Z", &ms, NULL), 0);
        assert_int_equal(ms, 1795325980123u);
        assert_int_equal(clock_parse_iso("1970-01-01T00:00:00Z", &ms, NULL), 0);
        assert_int_equal(ms, 0);
        assert_int_equal(clock_parse_iso("2024-02-29T12:00:00.5Z", &ms, NULL), 0);
        assert_int_equal(ms, 1709208000500u);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                assert_true(clock_parse_iso(wrong[i], &ms, NULL) < 0);
}

static void duration_is_short(void **state)
{
        (void)state;
        static const struct {
                uint64_t ms;
                const char *text;
        } rows[] = {{0, "0ms"},           {999, "999ms"},      {1000, "1.0s"},
                    {59999, "59.9s"},     {60000, "1m 00s"},   {83000, "1m 23s"},
                    {3599999, "59m 59s"}, {3600000, "1h 00m"}, {UINT64_MAX, "5124095576030h 25m"}};
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[CLOCK_DURATION_SIZE];
                clock_duration(rows[i].ms, text);
                assert_string_equal(text, rows[i].text);
        }
}

static void clocks_agree_on_their_units(void **state)
{
        (void)state;
        uint64_t before = clock_mono_ns();
        assert_true(clock_mono_ms() >= before / 1000000);
        assert_true(clock_mono_ns() >= before);
        uint64_t real = clock_real_ns();
        assert_true(clock_real_ms() >= real / 1000000 - 1000);
        assert_true(real / 1000000000u > 1700000000u);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(time_is_written_in_utc), cmocka_unit_test(time_is_read_back_and_nothing_else_is),
                cmocka_unit_test(duration_is_short), cmocka_unit_test(clocks_agree_on_their_units)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
