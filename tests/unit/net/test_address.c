#include "test.h"

#include "base/err.h"
#include "base/num.h"
#include "net/address.h"

static const char *special(const char *text)
{
        struct address a;
        assert_true(address_parse(text, &a));
        return address_special(&a, NULL);
}

static void only_plain_forms_are_addresses(void **state)
{
        static const char *const none[] = {"",           "1.2.3",      "1.2.3.4.5",  "01.2.3.4",
                                           "0x7f.0.0.1", "2130706433", "127.0.0.1 ", "::1%lo",
                                           "[::1]",      "1.2.3.4:80", "localhost",  "::ffff:1.2.3"};
        struct address a;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
                if (address_parse(none[i], &a))
                        fail_msg("'%s' is taken for an address", none[i]);
        assert_true(address_parse("1.2.3.4", &a));
        assert_false(a.v6);
        assert_true(address_parse("2a00::1", &a));
        assert_true(a.v6);
}

static void special_addresses_are_known_by_kind(void **state)
{
        static const char *const rows[][2] = {
                {"0.0.0.0", "this network"},
                {"0.255.255.255", "this network"},
                {"10.0.0.0", "private"},
                {"10.255.255.255", "private"},
                {"100.64.0.0", "shared"},
                {"100.127.255.255", "shared"},
                {"100.100.100.200", "metadata"},
                {"127.0.0.1", "loopback"},
                {"127.255.255.255", "loopback"},
                {"169.254.0.1", "link-local"},
                {"169.254.169.254", "metadata"},
                {"169.254.170.2", "metadata"},
                {"169.254.170.23", "metadata"},
                {"169.254.0.23", "metadata"},
                {"169.254.42.42", "metadata"},
                {"168.63.129.16", "metadata"},
                {"172.16.0.0", "private"},
                {"172.31.255.255", "private"},
                {"192.0.0.192", "metadata"},
                {"192.0.0.1", "protocol"},
                {"192.0.2.255", "documentation"},
                {"192.88.99.1", "6to4"},
                {"192.168.255.255", "private"},
                {"198.18.0.0", "benchmark"},
                {"198.19.255.255", "benchmark"},
                {"198.51.100.1", "documentation"},
                {"203.0.113.1", "documentation"},
                {"224.0.0.1", "multicast"},
                {"239.255.255.255", "multicast"},
                {"240.0.0.1", "reserved"},
                {"255.255.255.255", "reserved"},
                {"::", "unspecified"},
                {"::1", "loopback"},
                {"::2", "IPv4-compatible"},
                {"::127.0.0.1", "IPv4-compatible"},
                {"::ffff:127.0.0.1", "IPv4-mapped"},
                {"::ffff:8.8.8.8", "IPv4-mapped"},
                {"64:ff9b::a00:1", "NAT64"},
                {"64:ff9b:1::1", "NAT64"},
                {"100::1", "discard"},
                {"2001::1", "Teredo"},
                {"2001:0:ffff::1", "Teredo"},
                {"2001:2::1", "protocol"},
                {"2001:1ff::1", "protocol"},
                {"2001:db8::1", "documentation"},
                {"2002:7f00:1::", "6to4"},
                {"3fff::1", "documentation"},
                {"fd00:ec2::254", "metadata"},
                {"fd00:ec2::23", "metadata"},
                {"fd00:42::42", "metadata"},
                {"fc00::1", "private"},
                {"fdff::1", "private"},
                {"fe80::1", "link-local"},
                {"febf::1", "link-local"},
                {"fec0::1", "site-local"},
                {"ff02::1", "multicast"},
                {"4000::1", "no global"},
                {"5f00::1", "no global"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *what = special(rows[i][0]);
                if (!what || !strstr(what, rows[i][1]))
                        fail_msg("%s: expected '%s', found '%s'", rows[i][0], rows[i][1], what ? what : "public");
        }
}

static void their_neighbours_are_public(void **state)
{
        static const char *const rows[] = {
                "1.0.0.0",          "9.255.255.255", "11.0.0.0",        "100.63.255.255",  "100.128.0.0",
                "126.255.255.255",  "128.0.0.0",     "169.253.255.255", "169.255.0.0",     "172.15.255.255",
                "172.32.0.0",       "192.0.1.0",     "192.0.3.0",       "192.167.255.255", "192.169.0.0",
                "198.17.255.255",   "198.20.0.0",    "223.255.255.255", "2000::",          "2001:200::1",
                "2001:db7:ffff::1", "2001:db9::",    "2003::1",         "3ffe::1",         "2a00::1"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (special(rows[i]))
                        fail_msg("%s is %s", rows[i], special(rows[i]));
}

static void prefixes_are_read_strictly(void **state)
{
        static const char *const wrong[] = {"1.2.3.4",    "1.2.3.0/33",  "1.2.3.0/-1",  "1.2.3.0/",
                                            "1.2.3.1/24", "/8",          "x/8",         "2a00::/129",
                                            "2a00::1/64", "1.2.3.0/24 ", "1.2.3.0/0x8", "0.0.0.0/0/0"};
        struct prefix p;
        char text[PREFIX_TEXT];
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                if (prefix_parse(wrong[i], &p, NULL) == 0)
                        fail_msg("'%s' is taken for a prefix", wrong[i]);
        assert_int_equal(prefix_parse("2A00:0::/32", &p, NULL), 0);
        prefix_text(&p, text);
        assert_string_equal(text, "2a00::/32");
}

static void a_prefix_has_its_own_addresses_alone(void **state)
{
        struct prefix p, narrow;
        struct address a;
        (void)state;
        assert_int_equal(prefix_parse("11.1.2.0/23", &p, NULL), 0);
        assert_true(address_parse("11.1.3.255", &a) && prefix_has(&p, &a));
        assert_true(address_parse("11.1.4.0", &a) && !prefix_has(&p, &a));
        assert_true(address_parse("11.1.1.255", &a) && !prefix_has(&p, &a));
        assert_true(address_parse("::ffff:11.1.2.1", &a) && !prefix_has(&p, &a));
        assert_int_equal(prefix_parse("11.1.2.0/24", &narrow, NULL), 0);
        assert_true(prefix_covers(&p, &narrow));
        assert_false(prefix_covers(&narrow, &p));
        assert_int_equal(prefix_parse("0.0.0.0/0", &p, NULL), 0);
        assert_true(prefix_covers(&p, &narrow));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_plain_forms_are_addresses),
                cmocka_unit_test(special_addresses_are_known_by_kind),
                cmocka_unit_test(their_neighbours_are_public),
                cmocka_unit_test(prefixes_are_read_strictly),
                cmocka_unit_test(a_prefix_has_its_own_addresses_alone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
