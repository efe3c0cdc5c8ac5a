/* The operator's file of package mirrors. */
#include "test.h"

#include <stdio.h>

#include "base/err.h"
#include "base/num.h"
#include "cli/mirrors_conf.h"

static void lines_name_mirrors(void **state)
{
        static const char text[] =
                "# offered here\n\nnpm = http://npm.corp.test/all/ kind=npm\r\n\tdebian\t=\t10.0.0.5:3142  \n"
                "pypi=http://[fd00::5]:3141/simple/   kind=pypi\n"
                "go = https://go.corp.test ca=/etc/corp.pem kind=go\nother = https://10.0.0.5";
        struct mirrors m;
        struct err e = ERR_INIT;
        (void)state;
        if (mirrors_conf_parse(text, strlen(text), "mirrors.conf", &m, &e) < 0)
                fail_msg("%s", e.msg);
        assert_int_equal(m.n, 5);
        assert_string_equal(m.v[0].name, "npm");
        assert_string_equal(m.v[0].host, "npm.corp.test");
        assert_string_equal(m.v[0].path, "/all/");
        assert_int_equal(m.v[0].kind, MIRROR_NPM);
        assert_string_equal(m.v[1].name, "debian");
        assert_int_equal(m.v[1].port, 3142);
        assert_int_equal(m.v[1].kind, MIRROR_PLAIN);
        assert_true(m.v[2].address.v6 && !m.v[2].host[0]);
        assert_true(m.v[3].tls && m.v[3].kind == MIRROR_GO && m.v[4].tls && !m.v[0].tls);
        assert_string_equal(m.ca[3], "/etc/corp.pem");
        assert_true(!m.ca[0][0] && !m.ca[2][0] && !m.ca[4][0]);
        assert_int_equal(mirrors_conf_parse(NULL, 0, "mirrors.conf", &m, &e), 0);
        assert_int_equal(m.n, 0);
}

static void refused(const char *text, size_t len, const char *why)
{
        struct mirrors m;
        struct err e = ERR_INIT;
        if (mirrors_conf_parse(text, len, "mirrors.conf", &m, &e) == 0)
                fail_msg("taken: %s", text);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, why);
}

static void anything_else_names_its_line_and_column(void **state)
{
        static const struct {
                const char *text, *why;
        } bad[] = {
                {"npm\n", "mirrors.conf:1:4: expected NAME = SERVER"},
                {"\n npm http://a\n", "mirrors.conf:2:6: expected NAME = SERVER"},
                {"= http://a\n", "mirrors.conf:1:1: the name of a mirror has 1 to 32 bytes"},
                {"NPM = http://a\n", "mirrors.conf:1:1: the name of a mirror has a-z"},
                {"x\n", "mirrors.conf:1:2: expected"},
                {"  results = http://a\n", "mirrors.conf:1:3: 'results' is a name of the host's own services"},
                {"npm =\n", "mirrors.conf:1:6: expected HOST:PORT"},
                {"npm = http://a:0\n", "mirrors.conf:1:16: the port"},
                {"npm = 169.254.169.254:80\n", "mirrors.conf:1:7: 169.254.169.254 is a metadata address"},
                {"npm = a:1 kind\n", "mirrors.conf:1:11: expected NAME = SERVER"},
                {"npm = a:1 kind=\n", "mirrors.conf:1:11: expected kind=npm"},
                {"npm = a:1 kind=NPM\n", "mirrors.conf:1:11: expected kind=npm"},
                {"npm = a:1 kind=npm kind=go\n", "mirrors.conf:1:20: 'kind' stands twice"},
                {"npm = a:1 # x\n", "mirrors.conf:1:11: expected NAME = SERVER"},
                {"npm = a:1 ca=/x\n", "mirrors.conf:1:11: only a server of https:// has a certificate"},
                {"npm = https://a ca=x\n", "mirrors.conf:1:17: expected ca= and a file by its path from '/'"},
                {"npm = https://a ca=/x ca=/y\n", "mirrors.conf:1:23: 'ca' stands twice"},
                {"npm = a:1\nnpm = b:1\n", "mirrors.conf:2:1: 'npm' stands twice"},
                {"a = a:1 kind=npm\nb = b:1 kind=npm\n", "mirrors.conf:2:1: 'a' is of kind npm already"},
                {"npm = a:1\xff\n", "mirrors.conf: expected at most 32768 bytes of text"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                refused(bad[i].text, strlen(bad[i].text), bad[i].why);
        refused("npm = a:1\0", 10, "of text");
}

static void their_number_and_the_size_are_bounded(void **state)
{
        static char text[MIRRORS_MAX_CONF + 1];
        struct mirrors m;
        struct err e = ERR_INIT;
        size_t len = 0;
        (void)state;
        for (unsigned i = 0; i < MIRROR_MAX; i++)
                len += (size_t)sprintf(text + len, "m%u = a:1\n", i);
        assert_int_equal(mirrors_conf_parse(text, len, "mirrors.conf", &m, &e), 0);
        assert_int_equal(m.n, MIRROR_MAX);
        len += (size_t)sprintf(text + len, "more = a:1\n");
        refused(text, len, "mirrors.conf:33:1: more than 32 mirrors (MIRROR_MAX)");
        memset(text, '\n', sizeof(text));
        assert_int_equal(mirrors_conf_parse(text, MIRRORS_MAX_CONF, "mirrors.conf", &m, &e), 0);
        refused(text, MIRRORS_MAX_CONF + 1, "at most 32768 bytes of text (MIRRORS_MAX_CONF)");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lines_name_mirrors),
                cmocka_unit_test(anything_else_names_its_line_and_column),
                cmocka_unit_test(their_number_and_the_size_are_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
