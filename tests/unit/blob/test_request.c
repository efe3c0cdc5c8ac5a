#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "blob/request.h"
#include "wire/guest.h"

#define VERSION "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct pair {
        const char *key, *value;
};

/* Pairs up to one without a key. */
static int parse(const struct pair *pairs, struct store_request *ret, struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        assert_int_equal(fields_begin(&b, &mark, NULL), 0);
        for (; pairs->key; pairs++)
                assert_int_equal(fields_add_str(&b, pairs->key, pairs->value, NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        int r = store_request_parse(b.data, b.len, ret, e);
        buf_done(&b);
        return r;
}
#define PARSE(ret, e, ...) parse((const struct pair[]){__VA_ARGS__, {0}}, ret, e)

static void refused(int r, struct store_request *q, const struct err *e, const char *field)
{
        assert_true(r < 0);
        assert_int_equal(e->code, ERR_PROTOCOL);
        assert_contains(e->msg, field);
        store_request_done(q);
}
#define REFUSED(field, ...)                                                                                            \
        do {                                                                                                           \
                struct err e_ = ERR_INIT;                                                                              \
                struct store_request q_;                                                                               \
                int r_ = PARSE(&q_, &e_, __VA_ARGS__);                                                                 \
                refused(r_, &q_, &e_, field);                                                                          \
        } while (0)

static void each_operation_is_read_whole(void **state)
{
        struct store_request q;
        (void)state;
        assert_int_equal(PARSE(&q, NULL, {"op", "list-artifacts"}), 0);
        assert_int_equal(q.op, STORE_OP_LIST_ARTIFACTS);
        store_request_done(&q);
        assert_int_equal(PARSE(&q, NULL, {"op", "get-cache"}, {"id", "7"}), 0);
        assert_int_equal(q.op, STORE_OP_GET_CACHE);
        assert_int_equal(q.id, 7);
        store_request_done(&q);
        assert_int_equal(PARSE(&q, NULL, {"op", "put-artifact"}, {"name", "dist"}, {"days", "5"}, {"overwrite", "1"}),
                         0);
        assert_string_equal(q.name, "dist");
        assert_int_equal(q.days, 5);
        assert_true(q.overwrite);
        store_request_done(&q);
        assert_int_equal(PARSE(&q, NULL, {"op", "find-cache"}, {"key", "a-1"}, {"version", VERSION}, {"key", "a-"}), 0);
        assert_int_equal(q.n_keys, 2);
        assert_string_equal(q.keys[0], "a-1");
        assert_string_equal(q.keys[1], "a-");
        assert_string_equal(q.version, VERSION);
        store_request_done(&q);
        assert_int_equal(PARSE(&q, NULL, {"op", "put-cache"}, {"key", "a-1"}, {"version", VERSION}), 0);
        assert_string_equal(q.keys[0], "a-1");
        store_request_done(&q);
}

static void what_a_client_may_not_say_is_refused_with_the_field(void **state)
{
        (void)state;
        REFUSED("op", {"op", "remove-everything"});
        REFUSED("op", {"name", "x"});
        REFUSED("id", {"op", "get-artifact"}, {"id", "../7"});
        REFUSED("id", {"op", "get-artifact"}, {"id", "9007199254740992"});
        REFUSED("name", {"op", "put-artifact"}, {"name", "../x"}, {"days", "5"}, {"overwrite", "0"});
        REFUSED("name", {"op", "put-artifact"}, {"name", ".."}, {"days", "5"}, {"overwrite", "0"});
        REFUSED("name", {"op", "put-artifact"}, {"days", "5"}, {"overwrite", "0"});
        REFUSED("days", {"op", "put-artifact"}, {"name", "x"}, {"days", "0"}, {"overwrite", "0"});
        REFUSED("days", {"op", "put-artifact"}, {"name", "x"}, {"days", "401"}, {"overwrite", "0"});
        REFUSED("overwrite", {"op", "put-artifact"}, {"name", "x"}, {"days", "5"}, {"overwrite", "2"});
        REFUSED("version", {"op", "find-cache"}, {"key", "x"}, {"version", "1"});
        REFUSED("key", {"op", "find-cache"}, {"version", VERSION});
        REFUSED("key", {"op", "find-cache"}, {"version", VERSION}, {"key", "a,b"});
        REFUSED("key", {"op", "find-cache"}, {"version", VERSION}, {"key", ""});
        REFUSED("key", {"op", "put-cache"}, {"version", VERSION}, {"key", "a"}, {"key", "b"});
}

static void ten_keys_are_looked_up_and_eleven_are_not(void **state)
{
        struct pair pairs[14] = {{"op", "find-cache"}, {"version", VERSION}};
        struct store_request q;
        struct err e = ERR_INIT;
        (void)state;
        for (size_t i = 0; i < STORE_MAX_KEYS; i++)
                pairs[2 + i] = (struct pair){"key", "k"};
        assert_int_equal(parse(pairs, &q, NULL), 0);
        assert_int_equal(q.n_keys, STORE_MAX_KEYS);
        store_request_done(&q);
        pairs[2 + STORE_MAX_KEYS] = (struct pair){"key", "k"};
        refused(parse(pairs, &q, &e), &q, &e, "10");
}

static void a_key_with_a_nul_is_refused(void **state)
{
        struct store_request q;
        struct err e = ERR_INIT;
        struct buf b = BUF_INIT;
        size_t mark;
        (void)state;
        assert_int_equal(fields_begin(&b, &mark, NULL), 0);
        assert_int_equal(fields_add_str(&b, "op", "find-cache", NULL), 0);
        assert_int_equal(fields_add_str(&b, "version", VERSION, NULL), 0);
        assert_int_equal(fields_add(&b, "key", "a\0b", 3, NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        refused(store_request_parse(b.data, b.len, &q, &e), &q, &e, "key");
        buf_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_operation_is_read_whole),
                cmocka_unit_test(what_a_client_may_not_say_is_refused_with_the_field),
                cmocka_unit_test(ten_keys_are_looked_up_and_eleven_are_not),
                cmocka_unit_test(a_key_with_a_nul_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
