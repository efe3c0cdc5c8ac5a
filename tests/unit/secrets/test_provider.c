#include "test.h"

#include "base/err.h"
#include "secrets/limits.h"
#include "secrets/provider.h"

#include <stdlib.h>

static void a_value_is_text_within_its_limit(void **state)
{
        struct provider_value v = PROVIDER_VALUE_INIT;
        struct err e = ERR_INIT;
        char *text = malloc(SECRETS_MAX_VALUE + 1);
        (void)state;
        assert_non_null(text);
        memset(text, 'x', SECRETS_MAX_VALUE + 1);
        assert_int_equal(provider_value_set(&v, text, SECRETS_MAX_VALUE, &e), 0);
        assert_int_equal(v.len, SECRETS_MAX_VALUE);
        provider_value_done(&v);
        assert_int_equal(provider_value_set(&v, text, SECRETS_MAX_VALUE + 1, &e), -1);
        assert_contains(e.msg, "the limit is");
        assert_int_equal(provider_value_set(&v, "a\0b", 3, &e), -1);
        assert_contains(e.msg, "a NUL byte");
        assert_null(v.data);
        free(text);
}

static void a_provider_is_found_by_its_whole_name(void **state)
{
        (void)state;
        assert_ptr_equal(provider_find("vault"), &provider_vault);
        assert_ptr_equal(provider_find("local"), &provider_local);
        assert_null(provider_find("vaul"));
        assert_null(provider_find(""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_value_is_text_within_its_limit),
                cmocka_unit_test(a_provider_is_found_by_its_whole_name),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
