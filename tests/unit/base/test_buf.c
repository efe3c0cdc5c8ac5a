#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

static void appends_bytes_text_and_numbers(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(buf_append_str(&b, "ab", &e), 0);
        assert_int_equal(buf_append_byte(&b, 'c', &e), 0);
        assert_int_equal(buf_printf(&b, &e, "%d-%s", 42, "x"), 0);
        assert_string_equal(buf_cstr(&b), "abc42-x");
        buf_clear(&b);
        assert_int_equal(buf_append_be16(&b, 0x0102, &e), 0);
        assert_int_equal(buf_append_be32(&b, 0x03040506, &e), 0);
        assert_int_equal(b.len, 6);
        for (size_t i = 0; i < b.len; i++)
                assert_int_equal(b.data[i], i + 1);
}

static void limit_holds_at_the_byte(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT_MAX(8);
        struct err e = ERR_INIT;
        assert_int_equal(buf_append(&b, "12345678", 8, &e), 0);
        assert_int_equal(buf_append_byte(&b, '9', &e), -1);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_int_equal(b.len, 8);
        assert_string_equal(buf_cstr(&b), "12345678");
        assert_int_equal(buf_printf(&b, &e, "%s", ""), 0);
        assert_int_equal(buf_printf(&b, &e, "x"), -1);
        assert_int_equal(buf_reserve(&b, SIZE_MAX, &e), -1);
}

static void formatted_text_may_fill_it_exactly(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT_MAX(64);
        struct err e = ERR_INIT;
        assert_int_equal(buf_printf(&b, &e, "%064d", 5), 0);
        assert_int_equal(b.len, 64);
        assert_int_equal(b.data[63], '5');
}

static void consuming_keeps_the_rest(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(buf_append_str(&b, "hello", NULL), 0);
        buf_consume(&b, 2);
        assert_string_equal(buf_cstr(&b), "llo");
        buf_consume(&b, 3);
        assert_int_equal(b.len, 0);
        buf_consume(&b, 1);
        assert_int_equal(b.len, 0);
}

static void text_is_handed_over(void **state)
{
        (void)state;
        struct buf b = BUF_INIT;
        assert_int_equal(buf_append_str(&b, "mine", NULL), 0);
        AUTO(auto_free) char *s = buf_take_str(&b);
        assert_string_equal(s, "mine");
        assert_null(b.data);
        assert_int_equal(b.len, 0);
        AUTO(auto_free) char *empty = buf_take_str(&b);
        assert_string_equal(empty, "");
}

static void foreign_text_is_appended_visibly(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        char longer[1000];
        memset(longer, '\a', sizeof(longer));
        assert_int_equal(buf_append_escaped(&b, longer, sizeof(longer), NULL), 0);
        assert_int_equal(b.len, 4000);
        assert_memory_equal(b.data + 3996, "\\x07", 4);
}

static void wiped_buffer_is_empty_and_usable(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(buf_append_str(&b, "secret", NULL), 0);
        buf_wipe(&b);
        assert_null(b.data);
        buf_wipe(&b);
        assert_int_equal(buf_append_str(&b, "x", NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(appends_bytes_text_and_numbers),
                cmocka_unit_test(limit_holds_at_the_byte),
                cmocka_unit_test(formatted_text_may_fill_it_exactly),
                cmocka_unit_test(consuming_keeps_the_rest),
                cmocka_unit_test(text_is_handed_over),
                cmocka_unit_test(foreign_text_is_appended_visibly),
                cmocka_unit_test(wiped_buffer_is_empty_and_usable),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
