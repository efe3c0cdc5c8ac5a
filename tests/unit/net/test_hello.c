#include "test.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "codec/hash.h"
#include "net/hello.h"

/* A ClientHello of parts: each test changes one. */
struct parts {
        const uint8_t *extensions; /* the list, without its length */
        size_t len;
        size_t padding; /* bytes of a padding extension in front */
        size_t record;  /* bytes of the handshake in one record; 0: all */
        int body_extra; /* added to the length of the handshake message */
};

static void put(struct buf *b, const void *data, size_t len)
{
        assert_int_equal(buf_append(b, data, len, NULL), 0);
}

static void be16(struct buf *b, size_t v)
{
        assert_int_equal(buf_append_be16(b, (uint16_t)v, NULL), 0);
}

static void build_body(const struct parts *p, struct buf *body)
{
        static const uint8_t zero[32], suites[] = {0, 2, 0x13, 0x01}, compression[] = {1, 0};
        uint8_t *padding = calloc(1, p->padding + 1);
        be16(body, 0x0303);
        put(body, zero, 32);
        put(body, zero, 1);
        put(body, suites, sizeof(suites));
        put(body, compression, sizeof(compression));
        be16(body, p->len + (p->padding ? p->padding + 4 : 0));
        if (p->padding) {
                be16(body, 21);
                be16(body, p->padding);
                put(body, padding, p->padding);
        }
        put(body, p->extensions, p->len);
        free(padding);
}

static void build(const struct parts *p, struct buf *ret)
{
        struct buf message = BUF_INIT, body = BUF_INIT;
        build_body(p, &body);
        size_t len = body.len + (size_t)p->body_extra;
        const uint8_t head[] = {1, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
        put(&message, head, sizeof(head));
        put(&message, body.data, body.len);
        size_t each = p->record ? p->record : message.len;
        for (size_t at = 0; at < message.len; at += each) {
                size_t n = MIN(each, message.len - at);
                const uint8_t record[] = {22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n};
                put(ret, record, sizeof(record));
                put(ret, message.data + at, n);
        }
        buf_done(&body);
        buf_done(&message);
}

/* One server_name extension for a name. */
static size_t server_name(uint8_t *ret, const char *name)
{
        size_t n = strlen(name);
        const uint8_t head[] = {0, 0, 0, (uint8_t)(n + 5), 0, (uint8_t)(n + 3), 0, 0, (uint8_t)n};
        memcpy(ret, head, sizeof(head));
        memcpy(ret + sizeof(head), name, n);
        return sizeof(head) + n;
}

static enum hello parse(const struct parts *p, struct hello_result *r)
{
        struct buf b = BUF_INIT;
        build(p, &b);
        enum hello found = hello_parse(b.data, b.len, r);
        buf_done(&b);
        return found;
}

static void the_name_is_found(void **state)
{
        uint8_t ext[300];
        struct hello_result r;
        struct parts p = {.extensions = ext, .len = server_name(ext, "Example.ORG")};
        (void)state;
        assert_int_equal(parse(&p, &r), HELLO_NAME);
        assert_string_equal(r.name, "example.org");
}

/* Every cut of it is "more", however it is spread over records. */
static void a_hello_may_come_in_any_pieces(void **state)
{
        static const size_t records[] = {0, 1, 2, 3, 4, 5, 40, 63};
        uint8_t ext[300];
        struct hello_result r;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
                struct parts p = {.extensions = ext, .len = server_name(ext, "a.example"), .record = records[i]};
                struct buf b = BUF_INIT;
                build(&p, &b);
                for (size_t n = 0; n < b.len; n++)
                        assert_int_equal(hello_parse(b.data, n, &r), HELLO_MORE);
                assert_int_equal(hello_parse(b.data, b.len, &r), HELLO_NAME);
                assert_string_equal(r.name, "a.example");
                buf_done(&b);
        }
}

static void it_must_fit_into_16_KiB(void **state)
{
        uint8_t ext[300];
        struct hello_result r;
        struct parts p = {.extensions = ext, .len = server_name(ext, "a.example")};
        struct buf b = BUF_INIT;
        (void)state;
        build(&p, &b);
        p.padding = HELLO_MAX_SIZE - b.len - 4; /* with the head of the padding: exactly the limit */
        buf_done(&b);
        assert_int_equal(parse(&p, &r), HELLO_NAME);
        p.padding++;
        assert_int_equal(parse(&p, &r), HELLO_BROKEN);
        assert_contains(r.why, "16 KiB");
}

static void another_protocol_is_none(void **state)
{
        static const char *const others[] = {"GET / HTTP/1.1", "PRI * HTTP/2.0", "SSH-2.0-x",
                                             "\x80\x2e\x01",   "\x16\x02\x01",   "\x17\x03\x03"};
        struct hello_result r;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                assert_int_equal(hello_parse((const uint8_t *)others[i], strlen(others[i]), &r), HELLO_NONE);
}

/* OpenSSL and Go look at the first byte of a record's version alone. */
static void any_minor_version_of_a_record_is_tls(void **state)
{
        uint8_t ext[300];
        struct hello_result r;
        struct parts p = {.extensions = ext, .len = server_name(ext, "a.example")};
        struct buf b = BUF_INIT;
        (void)state;
        build(&p, &b);
        for (unsigned minor = 0; minor < 256; minor++) {
                b.data[2] = (uint8_t)minor;
                assert_int_equal(hello_parse(b.data, b.len, &r), HELLO_NAME);
        }
        buf_done(&b);
}

static void its_size_is_that_of_its_records_and_nothing_else_is_in_them(void **state)
{
        uint8_t ext[300];
        struct hello_result r;
        struct parts p = {.extensions = ext, .len = server_name(ext, "a.example"), .record = 40};
        struct buf b = BUF_INIT;
        (void)state;
        build(&p, &b);
        size_t len = b.len;
        put(&b, "\x14\x03\x03", 3);
        assert_int_equal(hello_parse(b.data, b.len, &r), HELLO_NAME);
        assert_int_equal(r.size, len);
        buf_done(&b);
        /* The message says that it is shorter than what its record holds. */
        p.record = 0;
        p.body_extra = -1;
        build(&p, &b);
        for (size_t n = 9; n <= b.len; n++)
                assert_int_equal(hello_parse(b.data, n, &r), HELLO_BROKEN);
        assert_contains(r.why, "another message");
        buf_done(&b);
}

static void what_follows_a_hello_is_told_by_its_records(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                enum hello_record expected;
                size_t size;
        } rows[] = {{"", 0, HELLO_RECORD_MORE, 0},
                    {"\x14\x03\x03\x00", 4, HELLO_RECORD_MORE, 0},
                    {"\x14\x03\x03\x00\x01", 5, HELLO_RECORD_OTHER, 6},
                    {"\x15\x03\x03\x00\x02", 5, HELLO_RECORD_OTHER, 7},
                    {"\x17\x03\x03\x40\x00", 5, HELLO_RECORD_OTHER, 5 + 0x4000},
                    {"\x16", 1, HELLO_RECORD_HANDSHAKE, 0},
                    {"\x18\x03\x03\x00\x13", 5, HELLO_RECORD_OTHER, 24},
                    {"\x19\x03\x03\x00\x01", 5, HELLO_RECORD_NONE, 0},
                    {"GET /", 5, HELLO_RECORD_NONE, 0}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                size_t size = 0;
                assert_int_equal(hello_record((const uint8_t *)rows[i].bytes, rows[i].len, &size), rows[i].expected);
                assert_int_equal(size, rows[i].size);
        }
}

/* The random value is SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3). */
static void a_server_that_asks_for_a_second_hello_is_known(void **state)
{
        uint8_t answer[HELLO_ANSWER_SIZE] = {22, 3, 3, 0, 88, 2, 0, 0, 84, 3, 3};
        (void)state;
        assert_int_equal(hash_bytes("HelloRetryRequest", 17, answer + 11, NULL), 0);
        for (size_t n = 0; n < sizeof(answer); n++)
                assert_int_equal(hello_retry(answer, n), HELLO_RETRY_MORE);
        assert_int_equal(hello_retry(answer, sizeof(answer)), HELLO_RETRY_YES);
        answer[42] ^= 1;
        assert_int_equal(hello_retry(answer, sizeof(answer)), HELLO_RETRY_NO);
        answer[0] = 21;
        assert_int_equal(hello_retry(answer, 1), HELLO_RETRY_NO);
}

static void a_hello_without_a_name_is_told_from_one_with(void **state)
{
        static const uint8_t other[] = {0, 16, 0, 1, 0};
        struct hello_result r;
        struct parts p = {.extensions = other, .len = sizeof(other)};
        (void)state;
        assert_int_equal(parse(&p, &r), HELLO_NO_NAME);
        p.len = 0;
        assert_int_equal(parse(&p, &r), HELLO_NO_NAME);
}

/* What an encrypted hello hides does not count. */
static void of_an_encrypted_hello_the_outer_name_counts(void **state)
{
        uint8_t ext[300] = {0xfe, 0x0d, 0, 4, 0, 0, 1, 2};
        struct hello_result r;
        struct parts p = {.extensions = ext, .len = 8 + server_name(ext + 8, "outer.example")};
        (void)state;
        assert_int_equal(parse(&p, &r), HELLO_NAME);
        assert_string_equal(r.name, "outer.example");
}

static void broken_ones_are_refused(void **state)
{
        uint8_t ext[600];
        struct hello_result r;
        struct parts p = {.extensions = ext};
        (void)state;
        size_t one = server_name(ext, "a.example");
        p.len = one + server_name(ext + one, "b.example");
        assert_int_equal(parse(&p, &r), HELLO_BROKEN);
        assert_contains(r.why, "more than one");
        static const char *const names[] = {"", "1.2.3.4", "a b", "a..b"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                p.len = server_name(ext, names[i]);
                assert_int_equal(parse(&p, &r), HELLO_BROKEN);
        }
        /* Two names in one extension, another type, lengths that do not fit. */
        static const uint8_t wrong[][16] = {{0, 0, 0, 10, 0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'},
                                            {0, 0, 0, 6, 0, 4, 1, 0, 1, 'a'},
                                            {0, 0, 0, 6, 0, 5, 0, 0, 1, 'a'},
                                            {0, 0, 0, 6, 0, 4, 0, 0, 2, 'a'},
                                            {0, 0, 0, 9, 0, 4, 0, 0, 1, 'a'}};
        static const size_t lens[] = {14, 10, 10, 10, 10};
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                p.extensions = wrong[i];
                p.len = lens[i];
                assert_int_equal(parse(&p, &r), HELLO_BROKEN);
        }
        p = (struct parts){.extensions = ext, .len = server_name(ext, "a.example"), .body_extra = -1};
        assert_int_equal(parse(&p, &r), HELLO_BROKEN);
}

static void records_of_another_kind_in_between_are_refused(void **state)
{
        static const uint8_t alert[] = {22, 3, 1, 0, 1, 1, 21, 3, 1, 0, 2, 1, 0}, empty[] = {22, 3, 1, 0, 0},
                             server[] = {22, 3, 1, 0, 1, 2};
        struct hello_result r;
        (void)state;
        assert_int_equal(hello_parse(alert, sizeof(alert), &r), HELLO_BROKEN);
        assert_int_equal(hello_parse(empty, sizeof(empty), &r), HELLO_BROKEN);
        assert_int_equal(hello_parse(server, sizeof(server), &r), HELLO_BROKEN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_name_is_found),
                cmocka_unit_test(a_hello_may_come_in_any_pieces),
                cmocka_unit_test(it_must_fit_into_16_KiB),
                cmocka_unit_test(another_protocol_is_none),
                cmocka_unit_test(any_minor_version_of_a_record_is_tls),
                cmocka_unit_test(its_size_is_that_of_its_records_and_nothing_else_is_in_them),
                cmocka_unit_test(what_follows_a_hello_is_told_by_its_records),
                cmocka_unit_test(a_server_that_asks_for_a_second_hello_is_known),
                cmocka_unit_test(a_hello_without_a_name_is_told_from_one_with),
                cmocka_unit_test(of_an_encrypted_hello_the_outer_name_counts),
                cmocka_unit_test(broken_ones_are_refused),
                cmocka_unit_test(records_of_another_kind_in_between_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
