#include "pair.h"

#include "base/buf.h"
#include "wire/guest.h"

/* A list of raw fields, given as bytes: the length word is put in front. */
static int parse_raw(const void *bytes, size_t len, struct fields **ret, struct err *e)
{
        struct buf b = BUF_INIT;
        buf_append_be32(&b, (uint32_t)len, NULL);
        buf_append(&b, bytes, len, NULL);
        int r = fields_parse(b.data, b.len, ret, e);
        buf_done(&b);
        return r;
}

static void expect_refused(const void *bytes, size_t len, const char *part)
{
        struct fields *f = NULL;
        struct err e = ERR_INIT;
        assert_true(parse_raw(bytes, len, &f, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        if (!strstr(e.msg, part))
                fail_msg("expected '%s' in: %s", part, e.msg);
}

static struct fields *three_fields(void)
{
        struct buf b = BUF_INIT;
        struct fields *f = NULL;
        size_t mark;
        assert_int_equal(buf_append(&b, "before", 6, NULL), 0);
        assert_int_equal(fields_begin(&b, &mark, NULL), 0);
        assert_int_equal(fields_add_str(&b, "op", "exec", NULL), 0);
        assert_int_equal(fields_add(&b, "arg", "a\0b", 3, NULL), 0);
        assert_int_equal(fields_add(&b, "arg", NULL, 0, NULL), 0);
        assert_int_equal(fields_add_u64(&b, "time_ns", UINT64_MAX, NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        assert_int_equal(fields_parse(b.data + 6, b.len - 6, &f, NULL), 0);
        buf_done(&b);
        return f;
}

static void a_list_is_read_as_it_was_written(void **state)
{
        (void)state;
        struct fields *f = three_fields();
        const char *op;
        uint64_t time;
        assert_int_equal(fields_count(f), 4);
        assert_int_equal(fields_str(f, "op", &op, NULL), 0);
        assert_string_equal(op, "exec");
        assert_int_equal(fields_at(f, 1)->len, 3);
        assert_memory_equal(fields_at(f, 1)->value, "a\0b", 4);
        assert_int_equal(fields_at(f, 2)->len, 0);
        assert_null(fields_at(f, 4));
        assert_int_equal(fields_u64(f, "time_ns", UINT64_MAX, &time, NULL), 0);
        assert_true(time == UINT64_MAX);
        fields_free(f);
}

static void the_bytes_are_those_of_the_document(void **state)
{
        (void)state;
        struct buf b = BUF_INIT;
        size_t mark;
        fields_begin(&b, &mark, NULL);
        fields_add_str(&b, "status", "ok", NULL);
        fields_end(&b, mark, NULL);
        static const char bytes[] = "\0\0\0\x0e\0\x06status\0\0\0\x02ok";
        assert_int_equal(b.len, sizeof(bytes) - 1);
        assert_memory_equal(b.data, bytes, sizeof(bytes) - 1);
        buf_done(&b);
}

static void a_key_that_repeats_is_refused_where_one_is_expected(void **state)
{
        (void)state;
        struct fields *f = three_fields();
        struct err e = ERR_INIT;
        const char *text;
        assert_true(fields_str(f, "arg", &text, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_non_null(strstr(e.msg, "more than once"));
        assert_null(fields_get(f, "arg"));
        fields_free(f);
}

static void a_missing_key_is_named(void **state)
{
        (void)state;
        struct fields *f = three_fields();
        struct err e = ERR_INIT;
        const char *text;
        uint64_t n;
        assert_true(fields_str(f, "cwd", &text, &e) < 0);
        assert_non_null(strstr(e.msg, "'cwd' is missing"));
        assert_true(fields_u64(f, "cwd", 1, &n, &e) < 0);
        assert_int_equal(fields_str_opt(f, "cwd", "/", &text, &e), 0);
        assert_string_equal(text, "/");
        assert_int_equal(fields_u64_opt(f, "cwd", 7, 9, &n, &e), 0);
        assert_int_equal(n, 7);
        fields_free(f);
}

static void text_with_a_nul_byte_is_no_text(void **state)
{
        (void)state;
        struct fields *f = NULL;
        struct err e = ERR_INIT;
        const char *text;
        assert_int_equal(parse_raw("\0\1k\0\0\0\2a\0", 9, &f, NULL), 0);
        assert_true(fields_str(f, "k", &text, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        fields_free(f);
}

static void numbers_are_decimal_and_bounded(void **state)
{
        (void)state;
        static const char *const bad[] = {"", "-1", "0x10", "11", " 5", "5 ", "99999999999999999999"};
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct buf b = BUF_INIT;
                struct fields *f = NULL;
                struct err e = ERR_INIT;
                uint64_t n;
                size_t mark;
                fields_begin(&b, &mark, NULL);
                fields_add_str(&b, "n", bad[i], NULL);
                fields_end(&b, mark, NULL);
                assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
                assert_true(fields_u64(f, "n", 10, &n, &e) < 0);
                assert_int_equal(e.code, ERR_PROTOCOL);
                fields_free(f);
                buf_done(&b);
        }
}

static void broken_lists_are_refused(void **state)
{
        (void)state;
        char long_key[2 + 65 + 4] = "\0\x41";
        memset(long_key + 2, 'k', 65);
        memset(long_key + 67, 0, 4);
        expect_refused("\0", 1, "inside the length of a key");
        expect_refused("\0\5ab", 4, "inside a key");
        expect_refused("\0\3ab", 4, "inside a key");
        expect_refused("\0\0\0\0\0\0", 6, "not 1 to 64");
        expect_refused("\0\1K\0\0\0\0", 7, "not 1 to 64");
        expect_refused("\0\1/\0\0\0\0", 7, "not 1 to 64");
        expect_refused(long_key, sizeof(long_key), "not 1 to 64");
        expect_refused("\0\1k\0\0", 5, "inside the value of 'k'");
        expect_refused("\0\1k\0\0\0\1", 7, "inside the value of 'k'");
        expect_refused("\0\1k\xff\xff\xff\xff", 7, "inside the value of 'k'");
        expect_refused("\0\1k\0\0\0\0x", 8, "inside the length of a key");
}

static void a_length_that_does_not_fit_the_bytes_is_refused(void **state)
{
        (void)state;
        struct fields *f = NULL;
        assert_true(fields_parse((const uint8_t *)"\0\0\0\0\0", 5, &f, NULL) < 0);
        assert_true(fields_parse((const uint8_t *)"\0\0\0\1", 4, &f, NULL) < 0);
        assert_true(fields_parse((const uint8_t *)"\0\0\0", 3, &f, NULL) < 0);
        assert_int_equal(fields_parse((const uint8_t *)"\0\0\0\0", 4, &f, NULL), 0);
        assert_int_equal(fields_count(f), 0);
        fields_free(f);
}

static void a_list_is_at_most_one_mebibyte_and_64_kibibytes(void **state)
{
        (void)state;
        size_t size;
        struct err e = ERR_INIT;
        assert_int_equal(fields_size((const uint8_t *)"\0\x11\0\0", 4, &size, &e), 0);
        assert_int_equal(size, 4 + GUEST_MAX_HEADER);
        assert_true(fields_size((const uint8_t *)"\0\x11\0\1", 4, &size, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        struct buf b = BUF_INIT;
        size_t mark;
        static uint8_t value[GUEST_MAX_HEADER];
        fields_begin(&b, &mark, NULL);
        assert_int_equal(fields_add(&b, "k", value, GUEST_MAX_HEADER - 7, NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        fields_add_str(&b, "k", "", NULL);
        assert_true(fields_end(&b, mark, NULL) < 0);
        buf_done(&b);
}

static void a_list_has_at_most_8192_fields(void **state)
{
        (void)state;
        struct buf b = BUF_INIT;
        struct fields *f = NULL;
        for (unsigned i = 0; i < GUEST_MAX_FIELDS; i++)
                buf_append(&b, "\0\1k\0\0\0\0", 7, NULL);
        assert_int_equal(parse_raw(b.data, b.len, &f, NULL), 0);
        assert_int_equal(fields_count(f), GUEST_MAX_FIELDS);
        fields_free(f);
        buf_append(&b, "\0\1k\0\0\0\0", 7, NULL);
        expect_refused(b.data, b.len, "more than 8192 fields");
        buf_done(&b);
}

static void a_key_of_ours_is_checked_too(void **state)
{
        (void)state;
        struct buf b = BUF_INIT;
        assert_true(fields_add_str(&b, "PATH", "x", NULL) < 0);
        assert_true(fields_add_str(&b, "", "x", NULL) < 0);
        buf_done(&b);
}

static void a_reader_takes_lists_one_byte_at_a_time_and_leaves_the_rest(void **state)
{
        (void)state;
        struct fields_reader *r = NULL;
        static const uint8_t bytes[] = "\0\0\0\x07\0\1k\0\0\0\0\0\0\0\0rest";
        unsigned n = 0;
        assert_int_equal(fields_reader_new(100, &r, NULL), 0);
        for (size_t at = 0; at < 15;) {
                struct fields *f;
                size_t used;
                assert_int_equal(fields_reader_feed(r, bytes + at, 1, &used, &f, NULL), 0);
                assert_int_equal(used, 1);
                at++;
                if (f)
                        assert_int_equal(fields_count(f), n++ == 0);
                fields_free(f);
        }
        assert_int_equal(n, 2);
        size_t used;
        struct fields *f;
        assert_int_equal(fields_reader_feed(r, bytes, sizeof(bytes), &used, &f, NULL), 0);
        assert_int_equal(used, 11);
        fields_free(f);
        assert_int_equal(fields_reader_held(r), 0);
        fields_reader_free(r);
}

static void a_reader_refuses_a_list_past_its_limit_by_the_length_word(void **state)
{
        (void)state;
        struct fields_reader *r = NULL;
        struct fields *f;
        size_t used;
        assert_int_equal(fields_reader_new(100, &r, NULL), 0);
        assert_int_equal(fields_reader_feed(r, (const uint8_t *)"\0\0\0\x60", 4, &used, &f, NULL), 0);
        r = fields_reader_free(r);
        assert_int_equal(fields_reader_new(100, &r, NULL), 0);
        assert_true(fields_reader_feed(r, (const uint8_t *)"\0\0\0\x61", 4, &used, &f, NULL) < 0);
        fields_reader_free(r);
}

static void frames_are_read_wherever_they_are_cut(void **state)
{
        (void)state;
        struct buf b = BUF_INIT;
        assert_int_equal(frame_write(&b, GUEST_FRAME_STDOUT, "hello", 5, NULL), 0);
        assert_int_equal(frame_write(&b, GUEST_FRAME_STDIN_EOF, NULL, 0, NULL), 0);
        assert_int_equal(frame_write(&b, GUEST_FRAME_STDERR, "x", 1, NULL), 0);
        assert_memory_equal(b.data, "\1\0\0\0\5hello\4\0\0\0\0\2\0\0\0\1x", b.len);
        for (size_t step = 1; step <= b.len; step++) {
                struct frame_reader *r = NULL;
                unsigned n = 0;
                assert_int_equal(frame_reader_new(16, &r, NULL), 0);
                for (size_t at = 0; at < b.len;) {
                        static const enum guest_frame types[] = {GUEST_FRAME_STDOUT, GUEST_FRAME_STDIN_EOF,
                                                                 GUEST_FRAME_STDERR};
                        static const size_t lens[] = {5, 0, 1};
                        size_t used, len, give = b.len - at < step ? b.len - at : step;
                        bool complete;
                        enum guest_frame type;
                        const uint8_t *payload;
                        assert_int_equal(
                                frame_reader_feed(r, b.data + at, give, &used, &complete, &type, &payload, &len, NULL),
                                0);
                        assert_true(used > 0);
                        at += used;
                        if (!complete)
                                continue;
                        assert_int_equal(type, types[n]);
                        assert_int_equal(len, lens[n]);
                        if (n++ == 0)
                                assert_memory_equal(payload, "hello", 5);
                }
                assert_int_equal(n, 3);
                frame_reader_free(r);
        }
        buf_done(&b);
}

static void feed_frame(const char *bytes, size_t len, const char *part)
{
        struct frame_reader *r = NULL;
        struct err e = ERR_INIT;
        size_t used, n;
        bool complete;
        enum guest_frame type;
        const uint8_t *payload;
        assert_int_equal(frame_reader_new(16, &r, NULL), 0);
        int x = frame_reader_feed(r, (const uint8_t *)bytes, len, &used, &complete, &type, &payload, &n, &e);
        assert_int_equal(x < 0, part != NULL);
        if (part)
                assert_non_null(strstr(e.msg, part));
        if (part)
                assert_int_equal(e.code, ERR_PROTOCOL);
        frame_reader_free(r);
}

static void a_frame_at_the_limit_is_taken_and_one_past_it_refused(void **state)
{
        (void)state;
        feed_frame("\1\0\0\0\x10", 5, NULL);
        feed_frame("\1\0\0\0\x11", 5, "the limit is 16");
        feed_frame("\1\xff\xff\xff\xff", 5, "the limit is 16");
}

static void a_frame_of_unknown_type_is_refused(void **state)
{
        (void)state;
        feed_frame("\6\0\0\0\0", 5, NULL);
        feed_frame("\7\0\0\0\0", 5, "type 7");
}

static void a_frame_too_large_to_send_is_an_error_of_ours(void **state)
{
        (void)state;
        static uint8_t bytes[GUEST_MAX_FRAME_DATA + 1];
        struct buf b = BUF_INIT;
        assert_int_equal(frame_write(&b, GUEST_FRAME_STDOUT, bytes, GUEST_MAX_FRAME_DATA, NULL), 0);
        assert_true(b.len <= YAMUX_MAX_FRAME);
        assert_true(frame_write(&b, GUEST_FRAME_STDOUT, bytes, sizeof(bytes), NULL) < 0);
        buf_done(&b);
}

static void the_ready_record_is_that_of_the_document(void **state)
{
        (void)state;
        uint8_t record[GUEST_READY_SIZE];
        guest_ready_write(record);
        assert_memory_equal(record, "DEVDEP-GUEST\0\0\0\0\0\1\0\0\0\0\0\1\0\0\0\0\0\0\0\0", sizeof(record));
        assert_int_equal(guest_ready_check(record, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_list_is_read_as_it_was_written),
                cmocka_unit_test(the_bytes_are_those_of_the_document),
                cmocka_unit_test(a_key_that_repeats_is_refused_where_one_is_expected),
                cmocka_unit_test(a_missing_key_is_named),
                cmocka_unit_test(text_with_a_nul_byte_is_no_text),
                cmocka_unit_test(numbers_are_decimal_and_bounded),
                cmocka_unit_test(broken_lists_are_refused),
                cmocka_unit_test(a_length_that_does_not_fit_the_bytes_is_refused),
                cmocka_unit_test(a_list_is_at_most_one_mebibyte_and_64_kibibytes),
                cmocka_unit_test(a_list_has_at_most_8192_fields),
                cmocka_unit_test(a_key_of_ours_is_checked_too),
                cmocka_unit_test(a_reader_takes_lists_one_byte_at_a_time_and_leaves_the_rest),
                cmocka_unit_test(a_reader_refuses_a_list_past_its_limit_by_the_length_word),
                cmocka_unit_test(frames_are_read_wherever_they_are_cut),
                cmocka_unit_test(a_frame_at_the_limit_is_taken_and_one_past_it_refused),
                cmocka_unit_test(a_frame_of_unknown_type_is_refused),
                cmocka_unit_test(a_frame_too_large_to_send_is_an_error_of_ours),
                cmocka_unit_test(the_ready_record_is_that_of_the_document),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
