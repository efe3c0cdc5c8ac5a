#include "test.h"

#include "base/buf.h"
#include "base/err.h"
#include "secrets/limits.h"
#include "secrets/message.h"
#include "wire/guest.h"

#include <stdlib.h>

static int round_trip(const struct secrets_message *m, size_t size, struct secrets_message *ret, struct err *e)
{
        struct buf b = BUF_INIT;
        struct fields *f = NULL;
        assert_int_equal(secrets_message_write(m, &b, NULL), 0);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        buf_done(&b);
        return secrets_message_read(f, size, ret, e);
}

static void every_word_is_read_as_it_was_written(void **state)
{
        struct secrets_value v[] = {{"A", "3", 0, 16}, {"B", "", 16, 0}};
        struct secrets_message r;
        (void)state;
        for (unsigned word = 0; word < SECRETS_WORD_COUNT; word++) {
                const struct secrets_message m = {.word = (enum secrets_word)word,
                                                  .values = v,
                                                  .n_values = word == SECRETS_VALUES ? 2 : 1,
                                                  .name = "A",
                                                  .message = "a sentence",
                                                  .count = 7};
                assert_int_equal(round_trip(&m, 16, &r, NULL), 0);
                assert_int_equal(r.word, word);
                if (word == SECRETS_VALUES) {
                        assert_int_equal(r.n_values, 2);
                        assert_string_equal(r.values[0].version, "3");
                        assert_int_equal(r.values[1].at, 16);
                }
                if (word == SECRETS_MISSING)
                        assert_string_equal(r.name, "A");
                if (word == SECRETS_NOTE || word == SECRETS_FAILED)
                        assert_string_equal(r.message, "a sentence");
                if (word == SECRETS_RELEASED)
                        assert_int_equal(r.count, 7);
                secrets_message_done(&r);
        }
}

static void refuse(struct secrets_value v, const char *why)
{
        const struct secrets_message m = {.word = SECRETS_VALUES, .values = &v, .n_values = 1};
        struct secrets_message r;
        struct err e = ERR_INIT;
        assert_int_equal(round_trip(&m, 100, &r, &e), -1);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_contains(e.msg, why);
}

static void values_lie_within_the_memory_file(void **state)
{
        struct secrets_message r;
        (void)state;
        const struct secrets_message last = {
                .word = SECRETS_VALUES, .values = &(struct secrets_value){"A", "", 90, 10}, .n_values = 1};
        assert_int_equal(round_trip(&last, 100, &r, NULL), 0);
        secrets_message_done(&r);
        refuse((struct secrets_value){"A", "", 90, 11}, "not in the memory file");
        refuse((struct secrets_value){"A", "", 101, 0}, "not in the memory file");
        refuse((struct secrets_value){"A", "", SIZE_MAX, 2}, "not in the memory file");
        refuse((struct secrets_value){"../x", "", 0, 1}, "an impossible name");
}

static int read_value(size_t size, size_t len)
{
        const struct secrets_message m = {
                .word = SECRETS_VALUES, .values = &(struct secrets_value){"A", "", 0, len}, .n_values = 1};
        struct secrets_message r;
        int x = round_trip(&m, size, &r, NULL);
        if (x == 0)
                secrets_message_done(&r);
        return x;
}

static int read_many(size_t n)
{
        struct secrets_value *v = calloc(n, sizeof(*v));
        struct secrets_message r;
        assert_non_null(v);
        for (size_t i = 0; i < n; i++)
                v[i] = (struct secrets_value){"A", "", 0, 0};
        const struct secrets_message m = {.word = SECRETS_VALUES, .values = v, .n_values = n};
        int x = round_trip(&m, 100, &r, NULL);
        if (x == 0)
                secrets_message_done(&r);
        free(v);
        return x;
}

static void values_are_bounded_in_size_and_number(void **state)
{
        (void)state;
        assert_int_equal(read_value(SECRETS_MAX_TOTAL, SECRETS_MAX_VALUE), 0);
        assert_int_equal(read_value(SECRETS_MAX_TOTAL, SECRETS_MAX_VALUE + 1), -1);
        assert_int_equal(read_many(SECRETS_MAX_COUNT), 0);
        assert_int_equal(read_many(SECRETS_MAX_COUNT + 1), -1);
}

/* What stands behind it would be checked by nobody. */
static void a_text_with_a_nul_is_refused(void **state)
{
        static const char *const keys[] = {"secret", "version", "at", "len"};
        static const char *const values[] = {"A", "1", "0", "1"};
        (void)state;
        for (size_t with = 0; with <= 4; with++) {
                struct buf b = BUF_INIT;
                struct fields *f = NULL;
                struct secrets_message r;
                size_t mark;
                assert_int_equal(fields_begin(&b, &mark, NULL), 0);
                assert_int_equal(fields_add_str(&b, "word", "values", NULL), 0);
                for (size_t i = 0; i < 4; i++)
                        assert_int_equal(fields_add(&b, keys[i], values[i], i == with ? 2 : 1, NULL), 0);
                assert_int_equal(fields_end(&b, mark, NULL), 0);
                assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
                buf_done(&b);
                assert_int_equal(secrets_message_read(f, 100, &r, NULL), with < 4 ? -1 : 0);
                if (with == 4)
                        secrets_message_done(&r);
        }
}

static int read_pairs(const char *const (*pairs)[2], size_t n)
{
        struct buf b = BUF_INIT;
        struct fields *f = NULL;
        struct secrets_message r;
        size_t mark;
        assert_int_equal(fields_begin(&b, &mark, NULL), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(fields_add_str(&b, pairs[i][0], pairs[i][1], NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        buf_done(&b);
        int x = secrets_message_read(f, 100, &r, NULL);
        if (x == 0)
                secrets_message_done(&r);
        return x;
}

static void what_is_no_message_is_refused(void **state)
{
        (void)state;
        const char *const
                unknown[][2] = {{"word", "hello"}},
                *const no_word[][2] = {{"count", "1"}}, *const no_count[][2] = {{"word", "released"}},
                *const cut[][2] = {{"word", "values"}, {"secret", "A"}},
                *const order[][2] = {{"word", "values"}, {"version", "1"}, {"secret", "A"}, {"at", "0"}, {"len", "1"}},
                *const two[][2] = {{"word", "changed"}, {"secret", "A"}, {"version", ""}, {"at", "0"}, {"len", "1"},
                                   {"secret", "B"},     {"version", ""}, {"at", "0"},     {"len", "1"}},
                *const one[][2] = {{"word", "changed"}, {"secret", "A"}, {"version", ""}, {"at", "0"}, {"len", "1"}};
        assert_int_equal(read_pairs(unknown, 1), -1);
        assert_int_equal(read_pairs(no_word, 1), -1);
        assert_int_equal(read_pairs(no_count, 1), -1);
        assert_int_equal(read_pairs(cut, 2), -1);
        assert_int_equal(read_pairs(order, 5), -1);
        assert_int_equal(read_pairs(two, 9), -1);
        assert_int_equal(read_pairs(one, 5), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_word_is_read_as_it_was_written),
                cmocka_unit_test(values_lie_within_the_memory_file),
                cmocka_unit_test(values_are_bounded_in_size_and_number),
                cmocka_unit_test(a_text_with_a_nul_is_refused),
                cmocka_unit_test(what_is_no_message_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
