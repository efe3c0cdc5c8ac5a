#include "test.h"

#include "base/err.h"
#include "guest/users.h"

#include <stdio.h>
#include <string.h>

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "broken\n"
                             "short:x:5:5\n"
                             "big:x:4294967295:1:::/bin/sh\n"
                             "negative:x:-1:1::/:\n"
                             "runner:x:1001:1002:Run,,,:/home/runner:/bin/bash\n"
                             "runner:x:0:0:second:/:/bin/sh\n"
                             "1001:x:7:7::/:";
static const char group[] = "root:x:0:\nsudo:x:27:other,runner\nusers:x:100:runner\nrunner:x:1002:runner\nbad:x:nan:"
                            "runner\nx:x:9:runnerx,xrunner\nlast:x:55:runner";

static void a_user_is_found_with_its_groups(void **state)
{
        struct user u;
        struct err e = ERR_INIT;
        assert_int_equal(users_find(passwd, group, "runner", &u, &e), 0);
        assert_int_equal(u.uid, 1001);
        assert_int_equal(u.gid, 1002);
        assert_string_equal(u.home, "/home/runner");
        assert_int_equal(u.n_groups, 4);
        const gid_t expected[] = {1002, 27, 100, 55};
        assert_memory_equal(u.groups, expected, sizeof(expected));
        (void)state;
}

static void a_number_is_found_by_number_and_need_not_be_there(void **state)
{
        struct user u;
        struct err e = ERR_INIT;
        assert_int_equal(users_find(passwd, group, "1001", &u, &e), 0);
        assert_string_equal(u.name, "runner");
        assert_int_equal(users_find(passwd, group, "4711", &u, &e), 0);
        assert_int_equal(u.uid, 4711);
        assert_int_equal(u.gid, 4711);
        assert_int_equal(u.n_groups, 1);
        (void)state;
}

static void an_unknown_name_and_broken_lines_are_no_users(void **state)
{
        static const char *const names[] = {"nobody", "broken", "short", "big",       "negative",
                                            "",       ":",      "-1",    "4294967295"};
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                struct user u;
                struct err e = ERR_INIT;
                assert_int_equal(users_find(passwd, group, names[i], &u, &e), USERS_E_UNKNOWN);
        }
        (void)state;
}

static void texts_at_and_past_their_limits(void **state)
{
        char line[USERS_MAX_TEXT + 64], name[USERS_MAX_TEXT + 1];
        struct user u;
        for (size_t len = USERS_MAX_TEXT - 1; len <= USERS_MAX_TEXT; len++) {
                memset(name, 'n', len);
                name[len] = 0;
                snprintf(line, sizeof(line), "%s:x:7:8::/:/bin/sh\n", name);
                assert_int_equal(users_find(line, "", name, &u, NULL), len < USERS_MAX_TEXT ? 0 : USERS_E_UNKNOWN);
        }
        (void)state;
}

static void more_groups_than_the_limit_are_left_out(void **state)
{
        static char many[64 * 100];
        struct user u;
        size_t len = 0;
        for (int i = 0; i < 100; i++)
                len += (size_t)snprintf(many + len, sizeof(many) - len, "g%d:x:%d:a\n", i, 2000 + i);
        assert_int_equal(users_find("a:x:1:1::/:/bin/sh\n", many, "a", &u, NULL), 0);
        assert_int_equal(u.n_groups, USERS_MAX_GROUPS);
        assert_int_equal(u.groups[USERS_MAX_GROUPS - 1], 2000 + USERS_MAX_GROUPS - 2);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_user_is_found_with_its_groups),
                cmocka_unit_test(a_number_is_found_by_number_and_need_not_be_there),
                cmocka_unit_test(an_unknown_name_and_broken_lines_are_no_users),
                cmocka_unit_test(texts_at_and_past_their_limits),
                cmocka_unit_test(more_groups_than_the_limit_are_left_out),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
