#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/num.h"
#include "source/config.h"

#define PARSE(text, c, e) repo_config_parse(text, sizeof(text) - 1, c, e)

static void what_matters_is_taken_over(void **state)
{
        struct repo_config c;
        (void)state;
        assert_int_equal(
                PARSE("core.repositoryformatversion\n1\0extensions.objectformat\nsha256\0core.worktree\n../x\0"
                      "remote.origin.url\nhttps://u:p@h.example/x\0remote.origin.url\nhttps://second/\0core.bare\0"
                      "remote.other.promisor\ntrue\0",
                      &c, NULL),
                0);
        assert_int_equal(c.hex_len, 64);
        assert_true(c.bare);
        assert_true(c.partial);
        assert_string_equal(c.worktree, "../x");
        assert_string_equal(c.remote_url, "https://h.example/x");
        repo_config_done(&c);
}

static void nothing_means_a_plain_repository(void **state)
{
        struct repo_config c;
        (void)state;
        assert_int_equal(repo_config_parse("", 0, &c, NULL), 0);
        assert_int_equal(c.hex_len, 40);
        assert_false(c.bare);
        assert_false(c.partial);
        assert_null(c.worktree);
        repo_config_done(&c);
}

static void what_could_be_read_wrongly_is_refused(void **state)
{
        static const struct {
                const char *text;
                size_t len;
        } bad[] = {
#define BAD(t) {t, sizeof(t) - 1}
                BAD("core.repositoryformatversion\n2\0"), BAD("core.repositoryformatversion\0"),
                BAD("extensions.refstorage\nreftable\0"), BAD("extensions.objectformat\nmd5\0"),
                BAD("extensions.objectformat\0"),         BAD("core.bare\ntrue"),
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct repo_config c;
                struct err e = ERR_INIT;
                assert_true(repo_config_parse(bad[i].text, bad[i].len, &c, &e) < 0);
                assert_int_equal(e.code, ERR_USAGE);
                repo_config_done(&c);
        }
}

static void commands_in_a_configuration_mean_nothing(void **state)
{
        struct repo_config c;
        (void)state;
        assert_int_equal(
                PARSE("core.fsmonitor\n/bin/evil\0include.path\n/etc/passwd\0alias.x\n!evil\0filter.x.clean\nevil\0"
                      "remote.origin.url\next::evil\0",
                      &c, NULL),
                0);
        assert_null(c.remote_url);
        repo_config_done(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_matters_is_taken_over),
                cmocka_unit_test(nothing_means_a_plain_repository),
                cmocka_unit_test(what_could_be_read_wrongly_is_refused),
                cmocka_unit_test(commands_in_a_configuration_mean_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
