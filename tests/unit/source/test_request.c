#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "source/limits.h"
#include "source/request.h"
#include "wire/guest.h"

#define ID "0123456789abcdef0123456789abcdef01234567"

struct pair {
        const char *key, *value;
};

/* Pairs up to one without a key. */
static int parse(const struct pair *pairs, struct request *ret, struct err *e)
{
        struct buf b = BUF_INIT;
        size_t mark;
        assert_int_equal(fields_begin(&b, &mark, NULL), 0);
        for (; pairs->key; pairs++)
                assert_int_equal(fields_add_str(&b, pairs->key, pairs->value, NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        int r = request_parse(b.data, b.len, ret, e);
        buf_done(&b);
        return r;
}

static void a_checkout_is_read_whole(void **state)
{
        const struct pair pairs[] = {
                {"op", "checkout"}, {"repository", "lib/x"}, {"commit", ID},   {"ref", "refs/tags/v1"},
                {"working", "1"},   {"depth", "3"},          {"refs", "none"}, {0}};
        struct request q;
        (void)state;
        assert_int_equal(parse(pairs, &q, NULL), 0);
        assert_int_equal(q.op, REQUEST_CHECKOUT);
        assert_string_equal(q.checkout.repository, "lib/x");
        assert_string_equal(q.checkout.commit, ID);
        assert_string_equal(q.checkout.ref, "refs/tags/v1");
        assert_true(q.checkout.working);
        assert_int_equal(q.checkout.depth, 3);
        assert_int_equal(q.checkout.refs, SOURCE_REFS_NONE);
        request_done(&q);
}

/* A good checkout with one field replaced must be refused, and the error names the field. */
static void refuse_with(const char *key, const char *value)
{
        struct pair pairs[] = {{"op", "checkout"}, {"repository", ""}, {"commit", ID},   {"ref", ""},
                               {"working", "0"},   {"depth", "0"},     {"refs", "tags"}, {0}};
        struct request q;
        struct err e = ERR_INIT;
        for (size_t i = 0; pairs[i].key; i++)
                if (strcmp(pairs[i].key, key) == 0)
                        pairs[i].value = value;
        int r = parse(pairs, &q, &e);
        request_done(&q);
        assert_true(r < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_non_null(strstr(e.msg, key));
}

static void no_field_of_a_request_can_be_an_option_or_an_expression(void **state)
{
        (void)state;
        refuse_with("commit", "HEAD");
        refuse_with("commit", "--output=x");
        refuse_with("commit", "");
        refuse_with("commit", ID "^");
        refuse_with("ref", "main");
        refuse_with("ref", "--upload-pack=x");
        refuse_with("ref", "refs/heads/../x");
        refuse_with("repository", "../x");
        refuse_with("repository", "/etc");
        refuse_with("repository", "a/.git");
        refuse_with("working", "2");
        refuse_with("depth", "-1");
        refuse_with("depth", "1000001");
        refuse_with("refs", "some");
        refuse_with("op", "archive");
}

static void refuse_action_with(const char *key, const char *value)
{
        struct pair pairs[] = {{"op", "action"}, {"action", "o/r"}, {"ref", "v1"}, {"path", ""}, {0}};
        struct request q;
        struct err e = ERR_INIT;
        for (size_t i = 0; pairs[i].key; i++)
                if (strcmp(pairs[i].key, key) == 0)
                        pairs[i].value = value;
        int r = parse(pairs, &q, &e);
        request_done(&q);
        assert_true(r < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_non_null(strstr(e.msg, key));
}

static void an_action_is_a_repository_a_ref_and_a_path(void **state)
{
        const struct pair pairs[] = {{"op", "action"}, {"action", "o/r"}, {"ref", "v1"}, {"path", "a/b"}, {0}};
        const struct pair tree[] = {{"op", "action_tree"}, {"action", "o/r"}, {"ref", ID}, {0}};
        struct request q;
        (void)state;
        assert_int_equal(parse(pairs, &q, NULL), 0);
        assert_int_equal(q.op, REQUEST_ACTION);
        assert_string_equal(q.action, "o/r");
        assert_string_equal(q.ref, "v1");
        assert_string_equal(q.path, "a/b");
        request_done(&q);
        assert_int_equal(parse(tree, &q, NULL), 0);
        assert_int_equal(q.op, REQUEST_ACTION_TREE);
        assert_string_equal(q.ref, ID);
        request_done(&q);
        refuse_action_with("action", "O/r");
        refuse_action_with("action", "../r");
        refuse_action_with("action", "r");
        refuse_action_with("ref", "--upload-pack=x");
        refuse_action_with("ref", "a:b");
        refuse_action_with("path", "../x");
        refuse_action_with("path", "a//b");
}

static void a_depth_takes_no_other_branches(void **state)
{
        const struct pair pairs[] = {{"op", "checkout"}, {"repository", ""}, {"commit", ID},  {"ref", ""},
                                     {"working", "0"},   {"depth", "1"},     {"refs", "all"}, {0}};
        struct request q;
        (void)state;
        assert_true(parse(pairs, &q, NULL) < 0);
        request_done(&q);
}

static void a_missing_field_is_named(void **state)
{
        const struct pair pairs[] = {{"op", "resolve"}, {"repository", ""}, {0}};
        struct request q;
        struct err e = ERR_INIT;
        (void)state;
        assert_true(parse(pairs, &q, &e) < 0);
        assert_non_null(strstr(e.msg, "ref"));
        request_done(&q);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_checkout_is_read_whole),
                cmocka_unit_test(no_field_of_a_request_can_be_an_option_or_an_expression),
                cmocka_unit_test(an_action_is_a_repository_a_ref_and_a_path),
                cmocka_unit_test(a_depth_takes_no_other_branches),
                cmocka_unit_test(a_missing_field_is_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
