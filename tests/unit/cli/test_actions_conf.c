/* The configuration file of the mirror of actions. */
#include "test.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "cli/actions_conf.h"

static void a_line_names_the_mirror(void **state)
{
        static const char *const good[] = {"mirror = /srv/actions", "# where\n\n  mirror=/srv/actions  \n",
                                           "mirror\t=\t/srv/actions\r\n"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                AUTO(auto_free) char *folder = NULL;
                struct err e = ERR_INIT;
                if (actions_conf_parse(good[i], strlen(good[i]), "actions.conf", &folder, &e) < 0)
                        fail_msg("%s", e.msg);
                assert_string_equal(folder, "/srv/actions");
        }
}

static void refused(const char *text, size_t len, const char *why)
{
        char *folder = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(actions_conf_parse(text, len, "actions.conf", &folder, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_null(folder);
        assert_contains(e.msg, why);
}

static void anything_else_names_its_line(void **state)
{
        static const struct {
                const char *text, *why;
        } bad[] = {
                {"", "actions.conf: expected a line 'mirror = FOLDER'"},
                {"# x\n", "actions.conf: expected a line 'mirror = FOLDER'"},
                {"\nmirror /x\n", "actions.conf:2: expected 'mirror = FOLDER'"},
                {"mirrors = /x\n", "actions.conf:1: expected 'mirror = FOLDER'"},
                {"mirror = x\n", "actions.conf:1: expected a folder by its path from '/'"},
                {"mirror =\n", "actions.conf:1: expected a folder by its path from '/'"},
                {"mirror = /x\nmirror = /y\n", "actions.conf:2: 'mirror' stands twice"},
                {"mirror = /\xff\n", "actions.conf: expected at most 8192 bytes of text"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                refused(bad[i].text, strlen(bad[i].text), bad[i].why);
        refused("mirror = /x\0", 12, "of text");
}

static void its_size_is_bounded(void **state)
{
        static char text[ACTIONS_MAX_CONF + 1];
        AUTO(auto_free) char *folder = NULL;
        struct err e = ERR_INIT;
        (void)state;
        memset(text, '\n', sizeof(text));
        memcpy(text, "mirror = /x", strlen("mirror = /x"));
        assert_int_equal(actions_conf_parse(text, ACTIONS_MAX_CONF, "actions.conf", &folder, &e), 0);
        refused(text, ACTIONS_MAX_CONF + 1, "at most 8192 bytes of text (ACTIONS_MAX_CONF)");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_names_the_mirror),
                cmocka_unit_test(anything_else_names_its_line),
                cmocka_unit_test(its_size_is_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
