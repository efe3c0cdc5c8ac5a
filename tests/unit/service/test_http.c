#include "test.h"

#include <stdio.h>

#include "base/err.h"
#include "base/num.h"
#include "service/http.h"

static struct http_head h;
static struct err e;

static int parse(const char *text)
{
        e = (struct err)ERR_INIT;
        return http_head_parse((const uint8_t *)text, strlen(text), &h, &e);
}

static void a_head_is_read(void **state)
{
        (void)state;
        assert_int_equal(
                parse("PUT /uploads/x?comp=block&blockid=YQ%3D%3D HTTP/1.1\r\nHost: a\r\nCONTENT-length:  12 \r\n"
                      "Expect: 100-Continue\r\nConnection: Close\r\n\r\n"),
                0);
        assert_int_equal(h.method, HTTP_PUT);
        assert_string_equal(h.path, "/uploads/x");
        assert_string_equal(h.query, "comp=block&blockid=YQ%3D%3D");
        assert_int_equal(h.length, 12);
        assert_true(h.expects && h.close && !h.has_range);
        assert_int_equal(parse("GET / HTTP/1.1\r\n\r\n"), 0);
        assert_true(h.length == 0 && !h.expects && !h.close && h.method == HTTP_GET && !*h.query);
        assert_int_equal(parse("HEAD /a HTTP/1.1\r\n\r\n") | parse("POST /a HTTP/1.1\r\n\r\n"), 0);
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "\r\n\r\n",
                "GET / HTTP/1.0\r\n\r\n",
                "GET / HTTP/1.1",
                "GET / HTTP/1.1\r\n",
                "GET / HTTP/1.1\n\n",
                "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
                "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
                "GET / HTTP/1.1\r\n\r\nmore",
                "get / HTTP/1.1\r\n\r\n",
                "GET / HTTP/2.0\r\n\r\n",
                "PRI * HTTP/2.0\r\n\r\n",
                "CONNECT a:443 HTTP/1.1\r\n\r\n",
                "GET  / HTTP/1.1\r\n\r\n",
                "GET /\tb HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\n A: b\r\n\r\n",
                "GET a HTTP/1.1\r\n\r\n",
                "GET http://a/ HTTP/1.1\r\n\r\n",
                "GET /a b HTTP/1.1\r\n\r\n",
                "GET /a#b HTTP/1.1\r\n\r\n",
                "GET /\xe4 HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\n A: b\r\n\r\n",
                "GET / HTTP/1.1\r\nA : b\r\n\r\n",
                "GET / HTTP/1.1\r\n: b\r\n\r\n",
                "GET / HTTP/1.1\r\nA\r\n\r\n",
                "GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
                "GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
                "GET / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n",
                "GET / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
                "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
                "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
                "GET / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n",
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                if (parse(bad[i]) == 0)
                        fail_msg("taken: %s", bad[i]);
                assert_int_equal(e.code, ERR_USAGE);
        }
        static const char nul[] = "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n";
        assert_int_equal(http_head_parse((const uint8_t *)nul, sizeof(nul) - 1, &h, &e), -1);
        static const char target[] = "GET /a\0b HTTP/1.1\r\n\r\n";
        assert_int_equal(http_head_parse((const uint8_t *)target, sizeof(target) - 1, &h, &e), -1);
}

static void targets_and_fields_have_limits(void **state)
{
        char text[8192] = "GET /", *at = text + 5;
        (void)state;
        memset(at, 'p', sizeof(h.path) - 2);
        strcpy(at + sizeof(h.path) - 2, "?");
        memset(at + strlen(at), 'q', sizeof(h.query) - 1);
        strcat(text, " HTTP/1.1\r\n");
        for (unsigned i = 0; i < SERVICE_MAX_FIELDS; i++)
                strcat(text, "A:b\r\n");
        char *end = text + strlen(text);
        strcpy(end, "\r\n");
        assert_int_equal(parse(text), 0);
        assert_int_equal(strlen(h.path), sizeof(h.path) - 1);
        assert_int_equal(strlen(h.query), sizeof(h.query) - 1);
        strcpy(end, "A:b\r\n\r\n");
        assert_int_equal(parse(text), -1);
        assert_contains(e.msg, "too many fields");
        strcpy(end, "\r\n");
        memmove(at + 1, at, strlen(at) + 1);
        assert_int_equal(parse(text), -1);
        assert_contains(e.msg, "too long");
}

static void a_range_is_first_and_last_byte(void **state)
{
        (void)state;
        assert_int_equal(parse("GET / HTTP/1.1\r\nRange: bytes=5-9\r\n\r\n"), 0);
        assert_true(h.has_range && h.first == 5 && h.last == 9);
        assert_int_equal(parse("GET / HTTP/1.1\r\nRange: bytes=5-\r\n\r\n"), 0);
        assert_true(h.has_range && h.first == 5 && h.last == UINT64_MAX);
        static const char *const others[] = {"bytes=-5",  "bytes=9-5", "bytes=1-2,3-4",
                                             "lines=1-2", "bytes=",    "bytes=a-b"};
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                char text[128];
                snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nRange: %s\r\n\r\n", others[i]);
                assert_int_equal(parse(text), 0);
                assert_false(h.has_range);
        }
}

static void parameters_are_decoded_within_their_room(void **state)
{
        char text[8];
        (void)state;
        assert_int_equal(parse("GET /?a=1&ab=2&c=%2B%3d&d=%00&f=%zz&g=1234567&h=12345678&i= HTTP/1.1\r\n\r\n"), 0);
        assert_true(http_query(&h, "a", text, sizeof(text)));
        assert_string_equal(text, "1");
        assert_true(http_query(&h, "c", text, sizeof(text)));
        assert_string_equal(text, "+=");
        assert_true(http_query(&h, "g", text, sizeof(text)));
        assert_true(http_query(&h, "i", text, sizeof(text)));
        assert_string_equal(text, "");
        static const char *const none[] = {"b", "d", "f", "h", "j", ""};
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
                assert_false(http_query(&h, none[i], text, sizeof(text)));
}

static int collect(const char *id, void *user, struct err *err)
{
        (void)err;
        strcat(user, id);
        strcat(user, " ");
        return 0;
}

static int list(const char *text, char *ret)
{
        *ret = '\0';
        e = (struct err)ERR_INIT;
        return http_block_list((const uint8_t *)text, strlen(text), collect, ret, &e);
}

static void a_list_of_blocks_is_that_and_nothing_else(void **state)
{
        char ids[256], text[320];
        (void)state;
        assert_int_equal(list("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>\n "
                              "<Latest>YQ==</Latest><Latest>b+/c</Latest>\n"
                              "</BlockList>\n",
                              ids),
                         0);
        assert_string_equal(ids, "YQ== b+/c ");
        assert_int_equal(list("<BlockList></BlockList>", ids), 0);
        static const char *const bad[] = {"",
                                          "<?xml ",
                                          "<BlockList>",
                                          "<BlockList><Latest></Latest></BlockList>",
                                          "<BlockList><Latest>a<b</Latest></BlockList>",
                                          "<BlockList><Latest>a</Latest>",
                                          "<BlockList><Other>a</Other></BlockList>",
                                          "<BlockList></BlockList>x",
                                          "<!DOCTYPE a><BlockList></BlockList>",
                                          "<BlockList><!-- --></BlockList>"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(list(bad[i], ids), -1);
        memset(ids, 'a', SERVICE_MAX_BLOCK_ID + 1);
        ids[SERVICE_MAX_BLOCK_ID] = '\0';
        snprintf(text, sizeof(text), "<BlockList><Latest>%s</Latest></BlockList>", ids);
        assert_int_equal(list(text, ids), 0);
        ids[SERVICE_MAX_BLOCK_ID] = 'a';
        ids[SERVICE_MAX_BLOCK_ID + 1] = '\0';
        snprintf(text, sizeof(text), "<BlockList><Latest>%s</Latest></BlockList>", ids);
        assert_int_equal(list(text, ids), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_head_is_read),
                cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
                cmocka_unit_test(targets_and_fields_have_limits),
                cmocka_unit_test(a_range_is_first_and_last_byte),
                cmocka_unit_test(parameters_are_decoded_within_their_room),
                cmocka_unit_test(a_list_of_blocks_is_that_and_nothing_else),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
