#include "test.h"

#include "base/err.h"
#include "secrets/credentials.h"

static void what_was_added_is_found_in_place(void **state)
{
        uint8_t area[64] = {0};
        const uint8_t *value;
        size_t used = 0, len;
        (void)state;
        assert_int_equal(credentials_add(area, sizeof(area), &used, "token", "hvs.x", 5, NULL), 0);
        assert_int_equal(credentials_add(area, sizeof(area), &used, "value.EMPTY", "", 0, NULL), 0);
        assert_int_equal(used, credentials_size("token", 5) + credentials_size("value.EMPTY", 0));
        assert_int_equal(credentials_find(area, sizeof(area), "token", &value, &len, NULL), 0);
        assert_int_equal(len, 5);
        assert_memory_equal(value, "hvs.x", 5);
        assert_true(value > area && value < area + sizeof(area));
        assert_int_equal(credentials_find(area, sizeof(area), "value.EMPTY", &value, &len, NULL), 0);
        assert_int_equal(len, 0);
        assert_int_equal(credentials_find(area, sizeof(area), "toke", &value, &len, NULL), CREDENTIALS_E_NONE);
        assert_int_equal(credentials_find(area, used, "jwt", &value, &len, NULL), CREDENTIALS_E_NONE);
        assert_int_equal(credentials_find(area, 0, "jwt", &value, &len, NULL), CREDENTIALS_E_NONE);
}

static void what_does_not_fit_is_refused(void **state)
{
        uint8_t area[32];
        size_t used = 0;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(credentials_size("ab", 22), 32);
        assert_int_equal(credentials_add(area, sizeof(area), &used, "ab", "12345678901234567890123", 23, &e), -1);
        assert_int_equal(used, 0);
        assert_int_equal(credentials_add(area, sizeof(area), &used, "ab", "12345678901234567890123", 22, &e), 0);
        assert_int_equal(used, 32);
        assert_int_equal(credentials_add(area, sizeof(area), &used, "a", "", 0, &e), -1);
}

static void a_broken_area_gives_nothing(void **state)
{
        const uint8_t *value;
        size_t len;
        struct err e = ERR_INIT;
        (void)state;
        static const uint8_t cut_word[] = {0, 0, 0}, cut_name[] = {0, 0, 0, 9, 't'},
                             cut_value[] = {0, 0, 0, 1, 't', 0xff, 0xff, 0xff, 0xff, 1};
        assert_int_equal(credentials_find(cut_word, sizeof(cut_word), "t", &value, &len, &e), -1);
        assert_int_equal(credentials_find(cut_name, sizeof(cut_name), "t", &value, &len, &e), -1);
        assert_int_equal(credentials_find(cut_value, sizeof(cut_value), "t", &value, &len, &e), -1);
        assert_int_equal(e.code, ERR_PROTOCOL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_added_is_found_in_place),
                cmocka_unit_test(what_does_not_fit_is_refused),
                cmocka_unit_test(a_broken_area_gives_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
