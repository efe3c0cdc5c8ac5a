#include "test.h"

#include <jansson.h>

#include "base/err.h"
#include "base/num.h"
#include "net/mirror.h"
#include "net/policy.h"

static struct policy *policy_of(const char *text)
{
        json_t *object = json_loads(text, 0, NULL);
        struct policy *p = NULL;
        struct err e = ERR_INIT;
        assert_non_null(object);
        if (policy_from_json(object, &p, &e) < 0)
                fail_msg("%s", e.msg);
        json_decref(object);
        return p;
}

static bool allows(const struct policy *p, const char *to, uint16_t port)
{
        struct address a;
        return address_parse(to, &a) ? policy_match_address(p, &a, port).allowed
                                     : policy_match_name(p, to, port).allowed;
}

static const char *refusal(const struct policy *p, const char *address, uint16_t port, bool own)
{
        struct address a;
        assert_true(address_parse(address, &a));
        return policy_address_refusal(p, &a, port, own);
}

static void entries_read_as_they_are_written(void **state)
{
        static const char *const rows[][2] = {{"Example.org", "example.org"},
                                              {"example.org:443", "example.org"},
                                              {"example.org:80", "example.org:80"},
                                              {"*.example.org", "*.example.org"},
                                              {"*.example.org:22", "*.example.org:22"},
                                              {"11.0.0.0/8:443", "11.0.0.0/8:443"},
                                              {"[2a00::]/16:443", "[2a00::]/16:443"},
                                              {"128.0.0.0/1:80", "128.0.0.0/1:80"},
                                              {"[2A00::]/16:5", "[2a00::]/16:5"},
                                              {"a", "a"},
                                              {"a-b.c:1", "a-b.c:1"},
                                              {"a_b._c.d9", "a_b._c.d9"},
                                              {"*.a.b", "*.a.b"},
                                              {"xn--bcher-kva.example:65535", "xn--bcher-kva.example:65535"},
                                              {"[::1]/128:443", "[::1]/128:443"}};
        struct policy_entry entry;
        char text[POLICY_TEXT];
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(policy_entry_parse(rows[i][0], &entry, NULL), 0);
                policy_entry_text(&entry, text);
                assert_string_equal(text, rows[i][1]);
                assert_int_equal(policy_entry_parse(text, &entry, NULL), 0);
        }
}

static void what_is_no_entry_is_refused_with_why(void **state)
{
        static const char *const rows[][2] = {{"*", "a bare '*' is every name"},
                                              {"*:443", "a bare '*' is every name"},
                                              {"*.", "at least two parts"},
                                              {"*.org", "at least two parts"},
                                              {"*.org:443", "at least two parts"},
                                              {"*a.b.c", "at least two parts"},
                                              {".a.b", "an empty label"},
                                              {"a..b", "an empty label"},
                                              {"a.b.", "ends in a dot"},
                                              {"-a.b", "begins or ends with '-'"},
                                              {"a@b.c", "a character"},
                                              {"a.org:080", "begins with a zero"},
                                              {"a.b/c", "is no address"},
                                              {"a.b:443/x", "is no address"},
                                              {"0x7f.1:443", "a number"},
                                              {"10.0.0.0/8", "its port behind the prefix"},
                                              {"10.0.0.0/08:443", "begins with a zero"},
                                              {"10.0.0.0/0:443", "a prefix of 0 is every address"},
                                              {"10.0.0.256/32:443", "is no address"},
                                              {"010.0.0.0/8:443", "is no address"},
                                              {"[10.0.0.0]/8:443", "no IPv6 address"},
                                              {"2001:db8::/32:443", "stands in brackets"},
                                              {"[2001:db8::]:443", "has its prefix"},
                                              {"[2001:db8::]/0:443", "a prefix of 0 is every address"},
                                              {"[2001:db8::]/129:443", "prefix"},
                                              {"[2001:db8::1]/32:443", "behind its prefix"},
                                              {"[2001:::]/32:443", "is no address"},
                                              {"[::ffff:0:0]/96:443", "is written as one"},
                                              {"[::ffff:10.0.0.0]/104:443", "is written as one"},
                                              {"[::ffff:127.0.0.1]/128:443", "is written as one"},
                                              {"*.*.org", "a character"},
                                              {"a.*.org", "a character"},
                                              {"", "1 to 253"},
                                              {"a.org:", "the port"},
                                              {"a.org:0", "the port"},
                                              {"a.org:65536", "the port"},
                                              {"a.org:443:1", "the port"},
                                              {"1.2.3.4", "has its prefix"},
                                              {"::1", "has its prefix"},
                                              {"1.2.3.4:443", "has its prefix"},
                                              {"1.2.3.4/32:", "the port"},
                                              {"1.2.3.4/33:1", "prefix"},
                                              {"1.2.3.4/24:1", "behind its prefix"},
                                              {"https://a.org", "without the scheme"},
                                              {"https://a.org:1", "without the scheme"},
                                              {"https://a.org/x:1", "without the scheme"},
                                              {"b\xc3\xbc.de", "xn--"},
                                              {"a.org:4 43", "the port"}};
        struct policy_entry entry;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err e = ERR_INIT;
                if (policy_entry_parse(rows[i][0], &entry, &e) == 0)
                        fail_msg("'%s' is taken for an entry", rows[i][0]);
                assert_contains(e.msg, rows[i][1]);
        }
        char text[POLICY_MAX_ENTRY + 2];
        memset(text, 'a', sizeof(text));
        text[POLICY_MAX_ENTRY + 1] = '\0';
        struct err e = ERR_INIT;
        assert_int_equal(policy_entry_parse(text, &entry, &e), -1);
        assert_contains(e.msg, "at most 300");
}

static void names_match_whole_labels_and_ports(void **state)
{
        struct policy *p =
                policy_of("{\"profile\":\"brokered\",\"allow\":[\"a.org\",\"b.org:22\",\"*.c.org\",\"11.0.0.0/8:5\"]}");
        (void)state;
        assert_true(allows(p, "a.org", 443));
        assert_false(allows(p, "a.org", 80));
        assert_false(allows(p, "x.a.org", 443));
        assert_false(allows(p, "xa.org", 443));
        assert_true(allows(p, "b.org", 22));
        assert_false(allows(p, "b.org", 443));
        assert_true(allows(p, "x.c.org", 443));
        assert_true(allows(p, "x.y.c.org", 443));
        assert_false(allows(p, "c.org", 443));
        assert_false(allows(p, "xc.org", 443));
        assert_false(allows(p, ".c.org", 443));
        assert_true(allows(p, "11.2.3.4", 5));
        assert_false(allows(p, "12.2.3.4", 5));
        assert_false(allows(p, "11.2.3.4", 6));
        assert_true(policy_knows_name(p, "b.org") && policy_knows_name(p, "x.c.org") && !policy_knows_name(p, "c.org"));
        policy_free(p);
}

static void the_profile_has_the_last_word(void **state)
{
        static const struct {
                const char *policy;
                bool listed, other;
        } rows[] = {{"{\"allow\":[\"a.org\",\"11.0.0.0/8:443\"]}", false, false},
                    {"{\"profile\":\"brokered\",\"allow\":[\"a.org\",\"11.0.0.0/8:443\"]}", true, false},
                    {"{\"profile\":\"audit\"}", true, true}};
        struct address listed, other;
        (void)state;
        assert_true(address_parse("11.0.0.1", &listed) && address_parse("12.0.0.1", &other));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct policy *p = policy_of(rows[i].policy);
                assert_int_equal(policy_match(p, "a.org", &other, 443).allowed, rows[i].listed);
                assert_int_equal(policy_match(p, "", &listed, 443).allowed, rows[i].listed);
                assert_int_equal(policy_match(p, "a.org", &listed, 444).allowed, rows[i].other);
                assert_int_equal(policy_match(p, "b.org", &listed, 443).allowed, rows[i].other);
                assert_int_equal(policy_match(p, "", &other, 443).allowed, rows[i].other);
                policy_free(p);
        }
}

static void port_80_is_weak(void **state)
{
        struct policy *p = policy_of("{\"allow\":[\"a.org:80\",\"a.org\",\"11.0.0.0/8:80\"]}");
        struct address a;
        (void)state;
        assert_true(policy_match_name(p, "a.org", 80).weak);
        assert_false(policy_match_name(p, "a.org", 443).weak);
        assert_true(address_parse("11.0.0.1", &a) && policy_match_address(p, &a, 80).weak);
        policy_free(p);
}

static void a_special_address_is_refused_unless_its_prefix_is_named(void **state)
{
        struct policy *p = policy_of("{\"allow\":[\"a.org:1\",\"10.1.0.0/16:1\",\"0.0.0.0/1:1\",\"128.0.0.0/"
                                     "1:1\",\"169.254.0.0/16:1\",\"127.0.0.1/32:2\"]}");
        (void)state;
        assert_null(refusal(p, "10.1.2.3", 1, false));
        assert_string_equal(refusal(p, "10.1.2.3", 2, false), "a private address");
        assert_string_equal(refusal(p, "10.2.2.3", 1, false), "a private address");
        assert_string_equal(refusal(p, "127.0.0.1", 1, false), "a loopback address"); /* 0.0.0.0/1 names nothing */
        assert_null(refusal(p, "127.0.0.1", 2, true));
        assert_null(refusal(p, "169.254.1.1", 1, false));
        assert_string_equal(refusal(p, "169.254.169.254", 1, false), "a metadata address");
        assert_null(refusal(p, "11.1.1.1", 9, false));
        policy_free(p);
}

static void an_address_of_this_host_is_refused_unless_its_prefix_is_named(void **state)
{
        struct policy *p = policy_of("{\"allow\":[\"11.1.0.0/16:1\",\"11.2.0.0/16:2\"]}");
        (void)state;
        assert_null(refusal(p, "11.1.0.1", 1, true));
        assert_string_equal(refusal(p, "11.1.0.1", 2, true), "an address of this host");
        assert_string_equal(refusal(p, "11.2.0.1", 1, true), "an address of this host");
        policy_free(p);
}

static void a_policy_out_of_form_is_refused_with_its_field(void **state)
{
        static const char *const rows[][2] = {
                {"[]", "egress: expected an object"},       {"{\"profile\":\"open\"}", "egress.profile"},
                {"{\"profile\":1}", "egress.profile"},      {"{\"on_violation\":\"x\"}", "egress.on_violation"},
                {"{\"allow\":1}", "egress.allow"},          {"{\"allow\":[\"a.org\",1]}", "egress.allow[1]"},
                {"{\"allow\":[\"*\"]}", "egress.allow[0]"}, {"{\"allwo\":[]}", "unknown key 'allwo'"}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *object = json_loads(rows[i][0], 0, NULL);
                struct policy *p = NULL;
                struct err e = ERR_INIT;
                assert_int_equal(policy_from_json(object, &p, &e), -1);
                assert_contains(e.msg, rows[i][1]);
                json_decref(object);
        }
}

static void entries_are_limited(void **state)
{
        (void)state;
        for (unsigned n = POLICY_MAX_ENTRIES; n <= POLICY_MAX_ENTRIES + 1; n++) {
                json_t *object = json_object(), *list = json_array();
                struct policy *p = NULL;
                for (unsigned i = 0; i < n; i++)
                        json_array_append_new(list, json_string("a.org"));
                json_object_set_new(object, "allow", list);
                assert_int_equal(policy_from_json(object, &p, NULL), n > POLICY_MAX_ENTRIES ? -1 : 0);
                policy_free(p);
                json_decref(object);
        }
}

static void the_default_is_sealed_and_fails(void **state)
{
        struct policy *p = policy_of("{}");
        (void)state;
        assert_int_equal(p->profile, POLICY_SEALED);
        assert_int_equal(p->on_violation, POLICY_FAIL);
        policy_free(p);
}

static void what_would_have_allowed_it_is_an_entry(void **state)
{
        struct address a;
        char text[POLICY_TEXT];
        (void)state;
        policy_wanted("a.org", NULL, 443, text);
        assert_string_equal(text, "a.org");
        policy_wanted("a.org", NULL, 80, text);
        assert_string_equal(text, "a.org:80");
        assert_true(address_parse("2a00::1", &a));
        policy_wanted(NULL, &a, 443, text);
        assert_string_equal(text, "[2a00::1]/128:443");
        assert_true(address_parse("::ffff:11.0.0.1", &a));
        policy_wanted(NULL, &a, 443, text);
        assert_string_equal(text, "");
}

static void mirrors_are_told_from_entries(void **state)
{
        struct policy *p = policy_of("{\"profile\": \"brokered\", \"allow\": [\"*.devdep.internal:80\"], \"mirrors\": ["
                                     "{\"name\": \"npm\", \"server\": \"10.0.0.5:4873\", \"kind\": \"npm\"},"
                                     "{\"name\": \"deb\", \"server\": \"http://deb.corp.test/x\"}]}");
        (void)state;
        assert_int_equal(p->n_mirrors, 2);
        assert_ptr_equal(policy_mirror(p, "npm.devdep.internal"), &p->mirrors[0]);
        assert_ptr_equal(policy_mirror(p, "deb.devdep.internal"), &p->mirrors[1]);
        static const char *const none[] = {"npm",
                                           "npm.devdep.internal.",
                                           "xnpm.devdep.internal",
                                           "a.npm.devdep.internal",
                                           "np.devdep.internal",
                                           "npm.devdep.internal.example.org",
                                           "npmx.devdep.internal"};
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
                assert_null(policy_mirror(p, none[i]));
        json_t *row = policy_mirror_json(&p->mirrors[0]);
        assert_string_equal(json_string_value(json_object_get(row, "server")), "http://10.0.0.5:4873/");
        json_decref(row);
        policy_free(p);
}

static void a_policy_with_mirrors_out_of_form_is_refused(void **state)
{
        static const char *const rows[][2] = {
                {"{\"mirrors\": {}}", "egress.mirrors: expected a list of at most 32 mirrors"},
                {"{\"mirrors\": [1]}", "egress.mirrors[0]: expected an object with a name and a server"},
                {"{\"mirrors\": [{\"name\": \"results\", \"server\": \"a:1\"}]}", "a name of the host's own services"},
                {"{\"mirrors\": [{\"name\": \"a\", \"server\": \"169.254.169.254:80\"}]}", "is a metadata address"},
                {"{\"mirrors\": [{\"name\": \"a\", \"server\": \"a:1\", \"x\": 1}]}", "unknown key 'x'"},
                {"{\"mirrors\": [{\"name\": \"a\", \"server\": \"a:1\", \"kind\": 1}]}", "expected kind="},
                {"{\"mirrors\": [{\"name\": \"a\", \"server\": \"a:1\"}, {\"name\": \"a\", \"server\": \"b:1\"}]}",
                 "egress.mirrors[1]: 'a' stands twice"},
                {"{\"mirrors\": [{\"name\": \"a\", \"server\": \"https://a\", \"authority\": 32}]}",
                 "a number below 32"},
                {"{\"mirrors\": [{\"name\": \"a\", \"server\": \"https://a\", \"authority\": \"x\"}]}",
                 "a number below 32"},
                {"{\"mirrors\": [{\"name\": \"a\", \"server\": \"https://a\", \"authority\": -1}]}",
                 "a number below 32"},
                {"{\"authorities\": {}}", "egress.authorities: expected a list of at most 32 texts"},
                {"{\"authorities\": [1]}", "egress.authorities[0]: expected a string"},
                {"{\"mirror\": []}", "unknown key 'mirror'"}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *object = json_loads(rows[i][0], 0, NULL);
                struct policy *p = NULL;
                struct err e = ERR_INIT;
                assert_non_null(object);
                assert_int_equal(policy_from_json(object, &p, &e), -1);
                assert_contains(e.msg, rows[i][1]);
                json_decref(object);
        }
}

static void a_word_that_is_nearly_one_is_told_which(void **state)
{
        enum policy_profile profile;
        enum policy_violation violation;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(policy_profile_parse("broker", &profile, &e), -1);
        assert_string_equal(e.msg, "expected sealed, brokered or audit, found 'broker'; did you mean 'brokered'?");
        assert_int_equal(policy_violation_parse("warm", &violation, &e), -1);
        assert_string_equal(e.msg, "expected fail or warn, found 'warm'; did you mean 'warn'?");
        assert_int_equal(policy_violation_parse("ignore", &violation, &e), -1);
        assert_string_equal(e.msg, "expected fail or warn, found 'ignore'");
        assert_int_equal(policy_profile_parse("audit", &profile, &e), 0);
        assert_int_equal(profile, POLICY_AUDIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(entries_read_as_they_are_written),
                cmocka_unit_test(what_is_no_entry_is_refused_with_why),
                cmocka_unit_test(names_match_whole_labels_and_ports),
                cmocka_unit_test(the_profile_has_the_last_word),
                cmocka_unit_test(a_word_that_is_nearly_one_is_told_which),
                cmocka_unit_test(port_80_is_weak),
                cmocka_unit_test(a_special_address_is_refused_unless_its_prefix_is_named),
                cmocka_unit_test(an_address_of_this_host_is_refused_unless_its_prefix_is_named),
                cmocka_unit_test(a_policy_out_of_form_is_refused_with_its_field),
                cmocka_unit_test(entries_are_limited),
                cmocka_unit_test(the_default_is_sealed_and_fails),
                cmocka_unit_test(what_would_have_allowed_it_is_an_entry),
                cmocka_unit_test(mirrors_are_told_from_entries),
                cmocka_unit_test(a_policy_with_mirrors_out_of_form_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
