#include "test.h"

#include "base/err.h"
#include "base/num.h"
#include "net/mirror.h"

static struct mirror mirror_of(const char *server)
{
        struct mirror m = {.name = "npm"};
        struct err e = ERR_INIT;
        size_t at;
        if (mirror_server_parse(server, &m, &at, &e) < 0)
                fail_msg("%s: %s", server, e.msg);
        return m;
}

static void servers_read_as_they_are_written(void **state)
{
        static const char *const rows[][3] = {
                {"http://mirror.corp.test", "http://mirror.corp.test:80", "http://npm.devdep.internal/"},
                {"http://Mirror.Corp.Test./", "http://mirror.corp.test:80", "http://npm.devdep.internal/"},
                {"http://mirror.corp.test:8080/", "http://mirror.corp.test:8080", "http://npm.devdep.internal/"},
                {"mirror.corp.test:4873", "http://mirror.corp.test:4873", "http://npm.devdep.internal/"},
                {"10.0.0.5:3142", "http://10.0.0.5:3142", "http://npm.devdep.internal/"},
                {"127.0.0.1:3142", "http://127.0.0.1:3142", "http://npm.devdep.internal/"},
                {"8.8.8.8:1", "http://8.8.8.8:1", "http://npm.devdep.internal/"},
                {"100.64.0.1:1", "http://100.64.0.1:1", "http://npm.devdep.internal/"},
                {"[fd00::5]:3142", "http://[fd00::5]:3142", "http://npm.devdep.internal/"},
                {"http://[::1]/x", "http://[::1]:80", "http://npm.devdep.internal/x"},
                {"http://nexus.test:8081/repository/npm-all/", "http://nexus.test:8081",
                 "http://npm.devdep.internal/repository/npm-all/"},
                {"https://mirror.corp.test", "https://mirror.corp.test:443", "http://npm.devdep.internal/"},
                {"https://[fd00::5]:8443/x", "https://[fd00::5]:8443", "http://npm.devdep.internal/x"},
                {"http://devpi.test/root/pypi/+simple/", "http://devpi.test:80",
                 "http://npm.devdep.internal/root/pypi/+simple/"}};
        char text[MIRROR_SERVER_TEXT], url[MIRROR_URL_TEXT];
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct mirror m = mirror_of(rows[i][0]);
                mirror_server_text(&m, text);
                assert_string_equal(text, rows[i][1]);
                mirror_url(&m, url);
                assert_string_equal(url, rows[i][2]);
                struct mirror again = mirror_of(text);
                assert_int_equal(again.port, m.port);
                assert_int_equal(again.tls, m.tls);
                assert_string_equal(again.host, m.host);
                assert_true(address_eq(&again.address, &m.address));
        }
}

static void what_is_no_server_is_refused_with_why_and_where(void **state)
{
        static const struct {
                const char *text, *why;
                size_t at;
        } rows[] = {{"", "expected HOST:PORT, or http[s]://", 0},
                    {"mirror.corp.test", "expected HOST:PORT, or http[s]://", 16},
                    {"ftp://mirror.corp.test", "expected http://", 0},
                    {"https//mirror.corp.test", "expected HOST:PORT", 23},
                    {"http://", "1 to 253 bytes", 7},
                    {"http://:80", "1 to 253 bytes", 7},
                    {"http://user:word@mirror.corp.test", "no user and no password", 7},
                    {"http://mirror.corp.test:0", "the port", 24},
                    {"http://mirror.corp.test:65536", "the port", 24},
                    {"http://mirror.corp.test:8o", "the port", 24},
                    {"http://mirror.corp.test:", "the port", 24},
                    {"http://mirror.corp.test/a?b", "a character", 25},
                    {"http://mirror.corp.test/a#b", "a character", 25},
                    {"http://mirror.corp.test/\"", "a character", 24},
                    {"mirror..test:1", "an empty label", 0},
                    {"localhost:4873", "write 127.0.0.1", 0},
                    {"npm.devdep.internal:80", "are in guests alone", 0},
                    {"[fd00::5:80", "the ']' of the address is missing", 0},
                    {"[fd00::5]80", "expected ':' and a port", 9},
                    {"[10.0.0.5]:80", "no IPv6 address", 0},
                    {"fd00::5:80", "the port", 5},
                    {"10.0.0:80", "is no address", 0},
                    {"010.0.0.5:80", "is no address", 0},
                    {"0x7f.1:80", "a number", 0},
                    {"169.254.169.254:80", "is a metadata address", 0},
                    {"http://169.254.1.1/", "is a link-local address", 7},
                    {"[fe80::1]:80", "is a link-local address", 0},
                    {"[::ffff:10.0.0.5]:80", "is an IPv4-mapped address", 0},
                    {"0.0.0.0:80", "is an address of this network", 0},
                    {"224.0.0.1:80", "is a multicast address", 0},
                    {"http://b\xc3\xbc"
                     "cher.test",
                     "xn--", 7}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct mirror m = {.name = "npm"};
                struct err e = ERR_INIT;
                size_t at = 99;
                if (mirror_server_parse(rows[i].text, &m, &at, &e) == 0)
                        fail_msg("'%s' is taken for a server", rows[i].text);
                assert_int_equal(e.code, ERR_USAGE);
                assert_contains(e.msg, rows[i].why);
                if (at != rows[i].at)
                        fail_msg("'%s': at %zu", rows[i].text, at);
        }
}

static void lengths_are_bounded(void **state)
{
        char text[1024] = "http://a.test/";
        struct mirror m;
        struct err e = ERR_INIT;
        size_t at, head = strlen("http://a.test");
        (void)state;
        memset(text + head + 1, 'x', sizeof(text) - head - 1);
        text[head + MIRROR_MAX_PATH] = '\0';
        assert_int_equal(mirror_server_parse(text, &m, &at, &e), 0);
        text[head + MIRROR_MAX_PATH] = 'x';
        text[head + MIRROR_MAX_PATH + 1] = '\0';
        assert_int_equal(mirror_server_parse(text, &m, &at, &e), -1);
        assert_contains(e.msg, "at most 256 bytes");
        memset(text + 7, 'a', sizeof(text) - 8);
        text[sizeof(text) - 1] = '\0';
        assert_int_equal(mirror_server_parse(text, &m, &at, &e), -1);
        assert_contains(e.msg, "at most 253 bytes");
}

static void names_are_labels_and_none_of_the_hosts_own(void **state)
{
        static const char *const good[] = {"npm", "a", "debian-12", "pypi2", "abcdefghijklmnopqrstuvwxyz012345"};
        static const char *const bad[][2] = {{"", "1 to 32 bytes"},
                                             {"abcdefghijklmnopqrstuvwxyz0123456", "1 to 32 bytes"},
                                             {"NPM", "a-z, 0-9"},
                                             {"1npm", "begins with a letter"},
                                             {"-npm", "begins with a letter"},
                                             {"npm-", "does not end in"},
                                             {"n.pm", "a-z, 0-9"},
                                             {"n_pm", "a-z, 0-9"},
                                             {"results", "host's own services"},
                                             {"token", "host's own services"},
                                             {"localhost", "host's own services"}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_int_equal(mirror_name_check(good[i], NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct err e = ERR_INIT;
                if (mirror_name_check(bad[i][0], &e) == 0)
                        fail_msg("'%s' is taken for a name", bad[i][0]);
                assert_contains(e.msg, bad[i][1]);
        }
}

/* Whether an address may be dialled: for a server that is written as this address, and for one with a name; it is, and
 * is not, this host's own. */
static void a_name_leads_neither_to_special_addresses_nor_back_into_this_host(void **state)
{
        static const struct {
                const char *address;
                bool named, named_own, written_own;
        } rows[] = {{"8.8.8.8", true, false, true},           {"10.0.0.5", true, false, true},
                    {"192.168.1.1", true, false, true},       {"100.64.0.1", true, false, true},
                    {"fd00::5", true, false, true},           {"2a00::1", true, false, true},
                    {"127.0.0.1", false, false, true},        {"::1", false, false, true},
                    {"169.254.169.254", false, false, false}, {"fd00:ec2::254", false, false, false},
                    {"100.100.100.200", false, false, false}, {"169.254.1.1", false, false, false},
                    {"fe80::1", false, false, false},         {"0.0.0.0", false, false, false},
                    {"::ffff:10.0.0.5", false, false, false}, {"64:ff9b::a00:5", false, false, false},
                    {"2002:a00:5::", false, false, false},    {"4000::1", false, false, false},
                    {"224.0.0.1", false, false, false},       {"192.0.2.1", false, false, false}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct mirror named = {.host = "mirror.corp.test"}, written = {.host = ""};
                struct address a;
                assert_true(address_parse(rows[i].address, &a));
                if (!mirror_address_refusal(&named, &a, false) != rows[i].named ||
                    !mirror_address_refusal(&named, &a, true) != rows[i].named_own ||
                    !mirror_address_refusal(&written, &a, true) != rows[i].written_own ||
                    !mirror_address_refusal(&written, &a, false) != rows[i].written_own)
                        fail_msg("%s", rows[i].address);
        }
}

static int collect(const char *name, const char *value, void *user, struct err *e)
{
        char *all = user;
        (void)e;
        strcat(strcat(strcat(strcat(all, name), "="), value), "\n");
        return 0;
}

static void steps_have_variables_by_its_kind(void **state)
{
        static const struct {
                const char *name, *kind, *server, *variables;
        } rows[] = {
                {"debian-12", NULL, "a:1", "DEVDEP_MIRROR_DEBIAN_12=http://debian-12.devdep.internal/\n"},
                {"js", "npm", "http://a/x/",
                 "DEVDEP_MIRROR_JS=http://js.devdep.internal/x/\nnpm_config_registry=http://js.devdep.internal/x/\n"},
                {"py", "pypi", "http://a/simple/",
                 "DEVDEP_MIRROR_PY=http://py.devdep.internal/simple/\nPIP_INDEX_URL=http://py.devdep.internal/simple/\n"
                 "PIP_TRUSTED_HOST=py.devdep.internal\n"},
                {"go", "go", "a:1",
                 "DEVDEP_MIRROR_GO=http://go.devdep.internal/\nGOPROXY=http://go.devdep.internal/\n"}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct mirror m = mirror_of(rows[i].server);
                char all[2048] = "";
                strcpy(m.name, rows[i].name);
                if (rows[i].kind)
                        assert_int_equal(mirror_kind_parse(rows[i].kind, &m.kind, NULL), 0);
                assert_int_equal(mirror_variables(&m, collect, all, NULL), 0);
                assert_string_equal(all, rows[i].variables);
        }
        enum mirror_kind kind;
        assert_int_equal(mirror_kind_parse("debian", &kind, NULL), -1);
        assert_int_equal(mirror_kind_parse("", &kind, NULL), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(servers_read_as_they_are_written),
                cmocka_unit_test(what_is_no_server_is_refused_with_why_and_where),
                cmocka_unit_test(lengths_are_bounded),
                cmocka_unit_test(names_are_labels_and_none_of_the_hosts_own),
                cmocka_unit_test(a_name_leads_neither_to_special_addresses_nor_back_into_this_host),
                cmocka_unit_test(steps_have_variables_by_its_kind),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
