#include "test.h"

#include "base/str.h"
#include "job/builtin.h"
#include "workflow/plan.h"

static void every_action_that_the_planner_takes_for_built_in_has_a_row(void **state)
{
        (void)state;
        for (size_t i = 0; plan_builtins[i].name; i++) {
                AUTO(auto_free) char *uses = str_printf("%s@v1", plan_builtins[i].name);
                const struct builtin *row = builtin_find(uses);
                if (!row)
                        fail_msg("%s has no row", uses);
                assert_string_equal(row->name, plan_builtins[i].name);
                size_t n = 0;
                for (const char *const *p = plan_builtins[i].inputs; *p; p++)
                        n++;
                for (const char *const *p = plan_builtins[i].refused; p && *p; p++)
                        n++;
                assert_in_range(n, 1, PLAN_MAX_BUILTIN_INPUTS);
        }
}

static void a_row_is_found_by_its_name_whatever_the_version_and_the_case(void **state)
{
        (void)state;
        assert_ptr_equal(builtin_find("Actions/Checkout@0123"), &builtin_checkout);
        assert_ptr_equal(builtin_find("actions/checkout"), &builtin_checkout);
        assert_null(builtin_find("actions/checkout/sub@v4"));
        assert_null(builtin_find("actions/checkou@v4"));
        assert_null(builtin_find("./actions/checkout"));
        assert_null(builtin_find(""));
        assert_ptr_equal(builtin_find("Actions/Cache@v4"), &builtin_cache);
        assert_ptr_equal(builtin_find("actions/cache/save@v4"), &builtin_cache_save);
        assert_null(builtin_find("actions/cache/other@v4"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_action_that_the_planner_takes_for_built_in_has_a_row),
                cmocka_unit_test(a_row_is_found_by_its_name_whatever_the_version_and_the_case),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
