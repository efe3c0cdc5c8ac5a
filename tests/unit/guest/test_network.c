/* The pure parts of a job's network: questions of DNS, packets and their answers, names and addresses. */
#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/num.h"
#include "guest/dns.h"
#include "guest/hosts.h"
#include "guest/ip.h"
#include "guest/packet.h"

/* ---- dns ---- */

static size_t question(uint8_t *ret, const char *name, unsigned type)
{
        static const uint8_t header[12] = {0x12, 0x34, 0x01, 0, 0, 1};
        uint8_t *p = ret + sizeof(header);
        memcpy(ret, header, sizeof(header));
        while (*name) {
                size_t n = strcspn(name, ".");
                *p++ = (uint8_t)n;
                memcpy(p, name, n);
                p += n;
                name += n + (name[n] == '.');
        }
        const uint8_t end[] = {0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1};
        memcpy(p, end, sizeof(end));
        return (size_t)(p - ret) + sizeof(end);
}

static void a_question_is_read(void **state)
{
        uint8_t data[DNS_MAX_QUERY];
        struct dns_query q;
        (void)state;
        size_t len = question(data, "Www.Example_1.test", 28);
        assert_int_equal(dns_parse(data, len, &q), DNS_OK);
        assert_string_equal(q.name, "www.example_1.test");
        assert_int_equal(q.type, DNS_AAAA);
        len = question(data, "a|\n.test", 1);
        assert_int_equal(dns_parse(data, len, &q), DNS_OK);
        assert_string_equal(q.name, "a??.test");
}

static void what_is_no_question_gets_no_answer_or_an_error(void **state)
{
        uint8_t data[DNS_MAX_QUERY + 1] = {0};
        struct dns_query q;
        (void)state;
        size_t len = question(data, "a.test", 1);
        assert_int_equal(dns_parse(data, 11, &q), -1);
        assert_int_equal(dns_parse(data, sizeof(data), &q), -1);
        for (size_t cut = 12; cut < len; cut++)
                assert_int_equal(dns_parse(data, cut, &q), DNS_FORMAT);
        data[2] |= 0x80;
        assert_int_equal(dns_parse(data, len, &q), -1);
        data[2] = 0x28;
        assert_int_equal(dns_parse(data, len, &q), DNS_UNKNOWN);
        data[2] = 0;
        data[5] = 2;
        assert_int_equal(dns_parse(data, len, &q), DNS_FORMAT);
        data[5] = 1;
        data[len - 1] = 3; /* another class */
        assert_int_equal(dns_parse(data, len, &q), DNS_UNKNOWN);
        data[len - 1] = 1;
        data[12] = 0xc0; /* a pointer */
        assert_int_equal(dns_parse(data, len, &q), DNS_FORMAT);
}

static void a_name_is_limited(void **state)
{
        uint8_t data[DNS_MAX_QUERY];
        char name[300];
        struct dns_query q;
        (void)state;
        memset(name, 'a', sizeof(name));
        for (size_t i = 49; i < sizeof(name); i += 50)
                name[i] = '.';
        name[253] = '\0';
        assert_int_equal(dns_parse(data, question(data, name, 1), &q), DNS_OK);
        assert_int_equal(strlen(q.name), 253);
        name[253] = 'a';
        name[254] = '\0';
        assert_int_equal(dns_parse(data, question(data, name, 1), &q), DNS_FORMAT);
}

static void an_answer_repeats_the_question_and_has_one_address(void **state)
{
        uint8_t data[DNS_MAX_QUERY], answer[DNS_MAX_ANSWER];
        struct dns_query q;
        struct address a;
        (void)state;
        size_t len = question(data, "a.test", 1);
        assert_int_equal(dns_parse(data, len, &q), DNS_OK);
        assert_true(address_parse("198.18.1.0", &a));
        assert_int_equal(dns_answer(&q, DNS_OK, &a, answer), len + 16);
        assert_memory_equal(answer + 12, data + 12, len - 12);
        assert_int_equal(num_be16(answer), 0x1234);
        assert_int_equal(answer[2] & 0x81, 0x81);
        assert_int_equal(num_be16(answer + 6), 1);
        static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, DNS_TTL, 0, 4, 198, 18, 1, 0};
        assert_memory_equal(answer + len, record, sizeof(record));
        assert_int_equal(dns_answer(&q, DNS_NO_NAME, NULL, answer), len);
        assert_int_equal(answer[3] & 15, DNS_NO_NAME);
}

/* ---- packets ---- */

struct built {
        uint8_t data[128];
        size_t len;
};

static struct built v4(uint8_t protocol, const uint8_t *body, size_t len)
{
        struct built b = {.data = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 198, 19, 255, 254, 8, 8, 8, 8}};
        memcpy(b.data + 20, body, len);
        b.len = 20 + len;
        b.data[3] = (uint8_t)b.len;
        return b;
}

static struct built v6(uint8_t next, const uint8_t *body, size_t len)
{
        struct built b = {.data = {0x60, 0, 0, 0, 0, (uint8_t)len, next, 64}};
        inet_pton(AF_INET6, IP_OWN_V6, b.data + 8);
        inet_pton(AF_INET6, "2a00::1", b.data + 24);
        memcpy(b.data + 40, body, len);
        b.len = 40 + len;
        return b;
}

static const uint8_t syn[20] = {0x80, 1, 1, 187, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2},
                     udp[9] = {0x80, 2, 0, 53, 0, 9, 0, 0, 'x'}, echo4[8] = {8, 0, 0, 0, 0, 7, 0, 1},
                     echo6[8] = {128, 0, 0, 0, 0, 7, 0, 1};

static void an_attempt_has_its_destination(void **state)
{
        struct packet p;
        char to[ADDRESS_TEXT];
        struct built b = v4(6, syn, sizeof(syn));
        (void)state;
        assert_true(packet_parse(b.data, b.len, &p));
        assert_true(p.kind == PACKET_TCP && p.attempt && p.from_port == 0x8001 && p.to_port == 443);
        address_text(&p.to, to);
        assert_string_equal(to, "8.8.8.8");
        b = v6(17, udp, sizeof(udp));
        assert_true(packet_parse(b.data, b.len, &p));
        assert_true(p.kind == PACKET_UDP && p.attempt && p.to_port == 53);
        address_text(&p.to, to);
        assert_string_equal(to, "2a00::1");
        b = v4(1, echo4, sizeof(echo4));
        assert_true(packet_parse(b.data, b.len, &p) && p.kind == PACKET_ECHO && p.attempt && p.from_port == 7);
        b = v6(58, echo6, sizeof(echo6));
        assert_true(packet_parse(b.data, b.len, &p) && p.kind == PACKET_ECHO);
        b = v4(132, syn, sizeof(syn));
        assert_true(packet_parse(b.data, b.len, &p) && p.kind == PACKET_OTHER && p.protocol == 132 && p.attempt);
}

static void what_the_kernel_says_by_itself_is_no_attempt(void **state)
{
        static const uint8_t solicitation[8] = {133}, report[8] = {143}, unreachable4[8] = {3},
                             reset[20] = {0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 4},
                             answer[20] = {0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12};
        struct packet p;
        (void)state;
        struct built b = v6(58, solicitation, 8);
        assert_false(packet_parse(b.data, b.len, &p));
        b = v6(58, report, 8);
        assert_false(packet_parse(b.data, b.len, &p));
        b = v4(1, unreachable4, 8);
        assert_false(packet_parse(b.data, b.len, &p));
        b = v4(6, reset, sizeof(reset));
        assert_false(packet_parse(b.data, b.len, &p));
        b = v4(6, answer, sizeof(answer));
        assert_true(packet_parse(b.data, b.len, &p) && !p.attempt);
        b = v4(2, report, 8); /* IGMP */
        b.data[16] = 224;
        assert_false(packet_parse(b.data, b.len, &p));
}

static void what_is_cut_is_no_packet(void **state)
{
        struct packet p;
        struct built all[] = {v4(6, syn, sizeof(syn)), v6(17, udp, sizeof(udp)), v4(1, echo4, sizeof(echo4))};
        uint8_t reply[PACKET_MAX_REPLY];
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                for (size_t n = 0; n < all[i].len; n++) {
                        uint8_t *exact = malloc(n + 1); /* so that a sanitizer sees a byte too many */
                        memcpy(exact, all[i].data, n);
                        assert_false(packet_parse(exact, n, &p));
                        assert_int_equal(packet_refuse(exact, n, reply), 0);
                        free(exact);
                }
        struct built b = v4(17, udp, sizeof(udp));
        b.data[7] = 1; /* a later fragment */
        assert_false(packet_parse(b.data, b.len, &p));
        b = v4(6, syn, sizeof(syn));
        b.data[0] = 0x44;
        assert_false(packet_parse(b.data, b.len, &p));
        b.data[0] = 0x35;
        assert_false(packet_parse(b.data, b.len, &p));
}

static void extension_headers_are_passed_over(void **state)
{
        uint8_t body[8 + 8 + 8 + sizeof(udp)] = {44, 0};
        struct packet p;
        (void)state;
        body[8] = 60; /* a fragment header, the first fragment */
        body[16] = 17;
        memcpy(body + 24, udp, sizeof(udp));
        struct built b = v6(0, body, sizeof(body));
        assert_true(packet_parse(b.data, b.len, &p) && p.kind == PACKET_UDP && p.to_port == 53);
        body[10] = 1; /* a later one */
        b = v6(0, body, sizeof(body));
        assert_false(packet_parse(b.data, b.len, &p));
        uint8_t many[80] = {0};
        b = v6(0, many, sizeof(many));
        assert_false(packet_parse(b.data, b.len, &p));
}

/* The sum over a correct packet with its checksum in place is zero. */
static unsigned sum_of(const uint8_t *data, size_t len, unsigned start)
{
        for (size_t i = 0; i < len; i += 2)
                start += (unsigned)data[i] << 8 | (i + 1 < len ? data[i + 1] : 0);
        while (start >> 16)
                start = (start & 0xffff) + (start >> 16);
        return ~start & 0xffff;
}

static void a_syn_is_reset_and_all_else_is_unreachable(void **state)
{
        uint8_t reply[PACKET_MAX_REPLY];
        struct built b = v4(6, syn, sizeof(syn));
        (void)state;
        assert_int_equal(packet_refuse(b.data, b.len, reply), 40);
        assert_memory_equal(reply + 12, b.data + 16, 4);
        assert_memory_equal(reply + 16, b.data + 12, 4);
        assert_int_equal(num_be16(reply + 20), 443);
        assert_int_equal(reply[33], 0x14); /* RST, ACK */
        assert_int_equal(num_be32(reply + 28), 10);
        assert_int_equal(sum_of(reply, 20, 0), 0);
        assert_int_equal(sum_of(reply + 20, 20, sum_of(reply + 12, 8, 26) ^ 0xffff), 0);
        b = v6(17, udp, sizeof(udp));
        size_t len = packet_refuse(b.data, b.len, reply);
        assert_int_equal(len, 40 + 8 + b.len);
        assert_int_equal(reply[6], 58);
        assert_int_equal(reply[40], 1);
        assert_int_equal(reply[41], 4);
        assert_memory_equal(reply + 48, b.data, b.len);
        assert_int_equal(sum_of(reply + 40, len - 40, sum_of(reply + 8, 32, 58 + (unsigned)len - 40) ^ 0xffff), 0);
        b = v4(1, echo4, sizeof(echo4));
        len = packet_refuse(b.data, b.len, reply);
        assert_int_equal(len, 20 + 8 + b.len);
        assert_int_equal(reply[20], 3);
        assert_int_equal(reply[21], 13);
        assert_int_equal(sum_of(reply + 20, len - 20, 0), 0);
}

/* ---- names ---- */

static void a_name_has_one_address_of_each_family_and_kind(void **state)
{
        struct hosts *h;
        const struct host *good, *bad;
        struct address a;
        struct prefix range;
        (void)state;
        assert_int_equal(hosts_new(&h, NULL), 0);
        assert_int_equal(hosts_add(h, "good.test", true, &good, NULL), 0);
        assert_int_equal(hosts_add(h, "bad.test", false, &bad, NULL), 0);
        const struct {
                const struct host *host;
                bool v6;
                const char *range;
        } rows[] = {{good, false, IP_REACHED_V4},
                    {good, true, IP_REACHED_V6},
                    {bad, false, IP_REFUSED_V4},
                    {bad, true, IP_REFUSED_V6}};
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                hosts_address(rows[i].host, rows[i].v6, &a);
                assert_int_equal(prefix_parse(rows[i].range, &range, NULL), 0);
                assert_true(prefix_has(&range, &a));
                assert_ptr_equal(hosts_at(h, &a), rows[i].host);
        }
        assert_ptr_equal(hosts_find(h, "good.test"), good);
        assert_null(hosts_find(h, "other.test"));
        static const char *const nobody[] = {"198.18.0.1",     "198.19.1.0", "198.18.1.1",
                                             "198.18.255.255", "8.8.1.0",    "fd64:6576:6465:7000:1::100"};
        for (size_t i = 0; i < ARRAY_SIZE(nobody); i++) {
                assert_true(address_parse(nobody[i], &a));
                assert_null(hosts_at(h, &a));
        }
        hosts_free(h);
}

static void names_are_limited(void **state)
{
        struct hosts *h;
        const struct host *host;
        struct address a, own;
        (void)state;
        assert_int_equal(hosts_new(&h, NULL), 0);
        assert_true(address_parse(IP_OWN_V4, &own));
        for (unsigned i = 0; i < HOSTS_MAX; i++) {
                char name[32];
                snprintf(name, sizeof(name), "n%u.test", i);
                assert_int_equal(hosts_add(h, name, false, &host, NULL), 0);
                hosts_address(host, false, &a);
                assert_false(address_eq(&a, &own));
        }
        assert_int_equal(hosts_add(h, "more.test", true, &host, NULL), HOSTS_E_FULL);
        hosts_free(h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_question_is_read),
                cmocka_unit_test(what_is_no_question_gets_no_answer_or_an_error),
                cmocka_unit_test(a_name_is_limited),
                cmocka_unit_test(an_answer_repeats_the_question_and_has_one_address),
                cmocka_unit_test(an_attempt_has_its_destination),
                cmocka_unit_test(what_the_kernel_says_by_itself_is_no_attempt),
                cmocka_unit_test(what_is_cut_is_no_packet),
                cmocka_unit_test(extension_headers_are_passed_over),
                cmocka_unit_test(a_syn_is_reset_and_all_else_is_unreachable),
                cmocka_unit_test(a_name_has_one_address_of_each_family_and_kind),
                cmocka_unit_test(names_are_limited),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
