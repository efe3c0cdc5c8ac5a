#include "test.h"

#include "base/err.h"
#include "guest/boot.h"
#include "guest/cgroup.h"

#include <string.h>

#define HASH "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define SALT "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static void the_root_is_read_from_the_command_line(void **state)
{
        struct boot_root root;
        struct err e = ERR_INIT;
        const char *line = "quiet devdep.root=" HASH " devdep.salt=" SALT " console=hvc0 devdep.blocks=1234\n";
        assert_int_equal(boot_root_parse(line, &root, &e), 0);
        assert_int_equal(root.hash[0], 1);
        assert_int_equal(root.hash[31], 0x20);
        assert_int_equal(root.salt[31], 0xff);
        assert_int_equal(root.blocks, 1234);
        (void)state;
}

static void a_command_line_that_is_not_exact_is_refused(void **state)
{
        static const char *const lines[] = {
                "",
                "devdep.root=" HASH " devdep.salt=" SALT,
                "devdep.root=" HASH " devdep.blocks=1",
                "devdep.salt=" SALT " devdep.blocks=1",
                "devdep.root=" HASH " devdep.salt=" SALT " devdep.blocks=0",
                "devdep.root=" HASH " devdep.salt=" SALT " devdep.blocks=-1",
                "devdep.root=" HASH " devdep.salt=" SALT " devdep.blocks=99999999999",
                "devdep.root=" HASH "0 devdep.salt=" SALT " devdep.blocks=1",
                "devdep.root=" HASH " devdep.salt=00 devdep.blocks=1",
                "devdep.root=" HASH " devdep.root=" HASH " devdep.salt=" SALT " devdep.blocks=1",
                "xdevdep.root=" HASH " devdep.salt=" SALT " devdep.blocks=1",
        };
        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
                struct boot_root root;
                struct err e = ERR_INIT;
                assert_int_equal(boot_root_parse(lines[i], &root, &e), -1);
                assert_non_null(strstr(e.msg, "devdep."));
        }
        (void)state;
}

static void modules_that_do_not_help_are_not_loaded(void **state)
{
        assert_true(boot_module_is_wanted("sha256-ssse3.ko", BOOT_MODULES_MOST, false));
        assert_false(boot_module_is_wanted("sha256-ssse3.ko", BOOT_MODULES_MOST, true));
        assert_true(boot_module_is_wanted("dm-crypt.ko", BOOT_MODULES_MOST, true));
        assert_false(boot_module_is_wanted("vsock.ko", BOOT_MODULES_MOST, false));
        assert_false(boot_module_is_wanted("vmw_vsock_virtio_transport.ko", BOOT_MODULES_MOST, false));
        assert_true(boot_module_is_wanted("vsock.ko", BOOT_MODULES_VSOCK, false));
        assert_false(boot_module_is_wanted("dm-crypt.ko", BOOT_MODULES_VSOCK, false));
        (void)state;
}

static void names_of_steps_at_and_past_their_limits(void **state)
{
        assert_true(cgroup_name_is_valid("a"));
        assert_true(cgroup_name_is_valid("step-12"));
        assert_true(cgroup_name_is_valid("abcdefghijklmnopqrstuvwxyz012345"));
        assert_false(cgroup_name_is_valid("abcdefghijklmnopqrstuvwxyz0123456"));
        assert_false(cgroup_name_is_valid(""));
        assert_false(cgroup_name_is_valid("."));
        assert_false(cgroup_name_is_valid(".."));
        assert_false(cgroup_name_is_valid("a/b"));
        assert_false(cgroup_name_is_valid("Step"));
        assert_false(cgroup_name_is_valid("cgroup.procs"));
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_root_is_read_from_the_command_line),
                cmocka_unit_test(a_command_line_that_is_not_exact_is_refused),
                cmocka_unit_test(modules_that_do_not_help_are_not_loaded),
                cmocka_unit_test(names_of_steps_at_and_past_their_limits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
