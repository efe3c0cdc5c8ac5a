#include "test.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/program.h"
#include "base/str.h"

#include <limits.h>
#include <unistd.h>

static void programs_are_found_beside_the_running_one(void **state)
{
        (void)state;
        char self[PATH_MAX] = {0};
        assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
        AUTO(auto_free) char *path = NULL;
        assert_int_equal(program_path("test_base_program", &path, NULL), 0);
        assert_string_equal(path, self);
}

static void missing_program_is_named(void **state)
{
        (void)state;
        char *path = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(program_path("devdep-nothing", &path, &e), -1);
        assert_null(path);
        assert_contains(e.msg, "devdep-nothing");
        assert_contains(e.msg, "libexec/devdep");
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(programs_are_found_beside_the_running_one),
                                           cmocka_unit_test(missing_program_is_named)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
