#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "job/mask.h"
#include "job/mask_encode.h"

static struct err err;

static struct masks *masks_of(const char *const *values)
{
        struct masks *m = NULL;
        assert_int_equal(masks_new(&m, &err), 0);
        for (; *values; values++)
                assert_int_equal(masks_add(m, *values, strlen(*values), &err), 0);
        return m;
}

static char *masked(struct masks *m, const char *text, size_t len)
{
        struct buf b = BUF_INIT;
        assert_int_equal(masks_text(m, text, len, &b, &err), 0);
        return buf_take_str(&b);
}

static void assert_masked(struct masks *m, const char *text, const char *expected)
{
        char *r = masked(m, text, strlen(text));
        assert_string_equal(r, expected);
        free(r);
}

/* The same in two feeds, cut at every offset, and byte by byte. */
static void assert_masked_at_every_cut(struct masks *m, const char *text, const char *expected)
{
        size_t len = strlen(text);
        for (size_t cut = 0; cut <= len + 1; cut++) {
                struct mask_stream *s = NULL;
                struct buf b = BUF_INIT;
                assert_int_equal(mask_stream_new(m, &s, &err), 0);
                if (cut <= len) {
                        assert_int_equal(mask_stream_feed(s, text, cut, &b, &err), 0);
                        assert_int_equal(mask_stream_feed(s, text + cut, len - cut, &b, &err), 0);
                } else {
                        for (size_t i = 0; i < len; i++)
                                assert_int_equal(mask_stream_feed(s, text + i, 1, &b, &err), 0);
                }
                assert_int_equal(mask_stream_flush(s, &b, &err), 0);
                assert_string_equal(buf_cstr(&b), expected);
                mask_stream_free(s);
                buf_done(&b);
        }
}

static void a_value_is_replaced_wherever_it_stands(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"s3cr3t", NULL});
        assert_masked(m, "s3cr3t", "***");
        assert_masked(m, "a s3cr3t b s3cr3t", "a *** b ***");
        assert_masked(m, "s3cr3", "s3cr3");
        assert_masked(m, "ss3cr3tt", "s***t");
        assert_masked(m, "", "");
        masks_free(m);
}

static void overlapping_and_touching_values_become_one_mask(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"abcdef", "defghi", "cde", NULL});
        assert_masked_at_every_cut(m, "xabcdefghiy", "x***y");
        assert_masked_at_every_cut(m, "xcdefghiy", "x***y");
        assert_masked_at_every_cut(m, "abcdefabcdef", "***");
        assert_masked_at_every_cut(m, "abcdex", "ab***x");
        masks_free(m);
}

static void a_secret_split_across_writes_is_found_at_every_offset(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"hunter22", "abcdefgh", "xabc", NULL});
        assert_masked_at_every_cut(m, "user hunter22 abcdefg xabcdefgh hunter2 abcdefgh",
                                   "user *** abcdefg *** hunter2 ***");
        masks_free(m);
}

static void the_encodings_of_a_value_are_masked(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"p@ss w\"rd'$1", NULL});
        assert_masked(m, "cEBzcyB3InJkJyQx", "***");                    /* base64 at offset 0 */
        assert_masked(m, "dXNlcjpwQHNzIHciciQ", "dXNlcjpwQHNzIHciciQ"); /* another text */
        assert_masked(m, "OnBAc3Mgdy JyZCckMQ==", "OnBAc3Mgdy JyZCckMQ==");
        assert_masked(m, "OnBAc3MgdyJyZCckMQ==", "On***=="); /* ":" before it */
        assert_masked(m, "YTpwQHNzIHcicmQnJDE=", "YTp***="); /* "a:" before it */
        assert_masked(m, "70407373207722726427243 1", "70407373207722726427243 1");
        assert_masked(m, "704073732077227264272431", "***");
        assert_masked(m, "p%40ss%20w%22rd%27%241", "***");
        assert_masked(m, "p%40ss+w%22rd%27%241", "***");
        assert_masked(m, "{\"a\":\"p@ss w\\\"rd'$1\"}", "{\"a\":\"***\"}");
        assert_masked(m, "'p@ss w\"rd'\\''$1'", "'***'");
        assert_masked(m, "p@ss\\ w\\\"rd\\'\\$1", "***");
        assert_masked(m, "p@ss w&quot;rd&apos;$1", "***");
        masks_free(m);
        m = masks_of((const char *const[]){"AbC-12xY", NULL});
        assert_masked(m, "looked up abc-12xy.example.test, not ABC-12XY", "looked up ***.example.test, not ABC-12XY");
        masks_free(m);
}

static void a_value_with_colours_between_its_bytes_is_masked(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"s3cr3t", "x\033[1my-and-so-on", NULL});
        assert_masked(m, "a \033[31ms3c\033[0mr3t\033[m b", "a \033[31m***\033[m b");
        assert_masked(m, "\033[01;31m\033[Ks3\033[m\033[Kcr3t and s3cr3t", "\033[01;31m\033[K*** and ***");
        assert_masked(m, "s\033[1m3\033[2mc\033[38;5;8mr\033[4m3\033[?25ht", "***");
        assert_masked(m, "s3c\n\033[1mr3t", "s3c\n\033[1mr3t");
        assert_masked(m, "s3c\033[1", "s3c\033[1");
        assert_masked(m, "s3c\033]r3t", "s3c\033]r3t");
        assert_masked(m, "x\033[1my-and-so-on", "***");
        const char *colour = "\033[7m";
        for (size_t cut = 1; cut < 6; cut++) {
                char *text = str_printf("<%.*s%s%s>", (int)cut, "s3cr3t", colour, &"s3cr3t"[cut]);
                bool found = false;
                assert_masked(m, text, "<***>");
                assert_int_equal(masks_found(m, text, strlen(text), &found, &err), 0);
                assert_true(found);
                free(text);
        }
        masks_free(m);
}

static void each_telling_line_of_a_multi_line_secret_is_masked(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"{\n  \"key\": \"value1234\",\n}\n", NULL});
        assert_masked(m, "{ } key", "{ } key");
        assert_masked(m, "x \"key\": \"value1234\", y", "x *** y");
        assert_masked(m, "int main(void) {\n}\n", "int main(void) {\n}\n");
        masks_free(m);
}

static void a_one_line_value_with_blanks_around_is_masked_without_them(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"token99\n", "  \n\t", NULL});
        assert_masked(m, "a token99 b", "a *** b");
        assert_masked(m, "  \n\t", "  \n\t");
        masks_free(m);
}

static void a_mask_added_in_the_middle_holds_from_the_next_byte(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"abcdef", NULL});
        struct mask_stream *s = NULL;
        struct buf b = BUF_INIT;
        assert_int_equal(mask_stream_new(m, &s, &err), 0);
        assert_int_equal(mask_stream_feed(s, "later abc", 9, &b, &err), 0);
        assert_int_equal(masks_add(m, "later", 5, &err), 0);
        assert_int_equal(masks_add(m, "abcx", 4, &err), 0);
        assert_int_equal(mask_stream_feed(s, "x later", 7, &b, &err), 0);
        assert_int_equal(mask_stream_flush(s, &b, &err), 0);
        assert_string_equal(buf_cstr(&b), "later *** ***");
        mask_stream_free(s);
        buf_done(&b);
        masks_free(m);
}

static void found_tells_whether_a_text_holds_a_secret(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){"abcdef", NULL});
        bool found = false;
        assert_int_equal(masks_found(m, "xxabcdefxx", 10, &found, &err), 0);
        assert_true(found);
        assert_int_equal(masks_found(m, "xxabcde fxx", 11, &found, &err), 0);
        assert_false(found);
        masks_free(m);
}

static void a_value_past_the_limit_is_not_taken(void **state)
{
        (void)state;
        struct masks *m = masks_of((const char *const[]){NULL});
        char *big = malloc(MASK_MAX_VALUE + 1);
        memset(big, 'a', MASK_MAX_VALUE + 1);
        assert_int_equal(masks_add(m, big, MASK_MAX_VALUE + 1, &err), MASK_E_FULL);
        bool found = true;
        assert_int_equal(masks_found(m, big, MASK_MAX_VALUE + 1, &found, &err), 0);
        assert_false(found);
        free(big);
        masks_free(m);
}

/* The values are few and short enough, but what is made of them would not fit into devdep-job. */
/* Masks are in locked memory, of which an ordinary user has little. */
static void need_locked(size_t bytes)
{
        void *p = NULL;

        if (secret_alloc(bytes, &p, &err) == 0) {
                secret_free(p, bytes);
                return;
        }
        print_message("%s\n", err.msg);
        skip();
}

static void the_forms_of_all_values_are_bounded(void **state)
{
        (void)state;
        need_locked(64 << 20);
        struct masks *m = masks_of((const char *const[]){NULL});
        char *value = malloc(100001);
        bool found = true;
        int n = 0, r = 0;
        srand(9);
        for (; r == 0; n++) {
                for (int i = 0; i < 100000; i++)
                        value[i] = (char)('a' + rand() % 26);
                value[100000] = 0;
                r = masks_add(m, value, 100000, &err);
        }
        assert_int_equal(r, MASK_E_FULL);
        assert_in_range(n, 3, 8);
        assert_int_equal(masks_found(m, value, 100000, &found, &err), 0);
        assert_false(found);
        assert_int_equal(masks_add(m, "short", 5, &err), 0); /* what fits is taken all the same */
        assert_masked(m, "a short one", "a *** one");
        free(value);
        masks_free(m);
}

/* ---- against a plain model ---- */

struct model {
        const uint8_t *text;
        size_t len;
        bool *covered;
};

static int model_form(const void *form, size_t len, void *user, struct err *e)
{
        (void)e;
        struct model *m = user;
        assert_null(memchr(form, '\n', len));
        for (size_t i = 0; len <= m->len && i <= m->len - len; i++)
                if (memcmp(m->text + i, form, len) == 0)
                        memset(m->covered + i, 1, len);
        return 0;
}

static void model_mask(const char *const *values, const char *text, size_t len, struct buf *ret)
{
        bool covered[512] = {0};
        struct model m = {.text = (const uint8_t *)text, .len = len, .covered = covered};
        for (; *values; values++)
                assert_int_equal(mask_forms(*values, strlen(*values), model_form, &m, &err), 0);
        for (size_t i = 0; i < len; i++) {
                if (!covered[i])
                        buf_append_byte(ret, (uint8_t)text[i], &err);
                else if (i == 0 || !covered[i - 1])
                        buf_append_str(ret, MASK_TEXT, &err);
        }
}

static void random_text(char *ret, size_t len, unsigned alphabet)
{
        for (size_t i = 0; i < len; i++)
                ret[i] = (char)('a' + rand() % (int)alphabet);
        ret[len] = 0;
}

#define MOST_VALUES 14

/* A text in pieces through a stream, against the model. Values come in groups: each is in force before the next comes.
 */
static void compare_with_the_model(char (*values)[16], const size_t *groups, const char *text)
{
        const char *list[MOST_VALUES + 1];
        struct masks *m = masks_of((const char *const[]){NULL});
        struct mask_stream *s = NULL;
        struct buf expected = BUF_INIT, actual = BUF_INIT;
        size_t n = 0;
        bool found;
        for (; *groups; groups++) {
                for (size_t last = n + *groups; n < last; n++) {
                        list[n] = values[n];
                        assert_int_equal(masks_add(m, values[n], strlen(values[n]), &err), 0);
                }
                assert_int_equal(masks_found(m, "", 0, &found, &err), 0);
        }
        list[n] = NULL;
        model_mask(list, text, strlen(text), &expected);
        assert_int_equal(mask_stream_new(m, &s, &err), 0);
        for (size_t at = 0; text[at];) {
                size_t piece = (size_t)rand() % 20, len = MIN(strlen(text + at), piece);
                assert_int_equal(mask_stream_feed(s, text + at, len, &actual, &err), 0);
                at += len;
        }
        assert_int_equal(mask_stream_flush(s, &actual, &err), 0);
        assert_string_equal(buf_cstr(&actual), buf_cstr(&expected));
        assert_int_equal(masks_found(m, text, strlen(text), &found, &err), 0);
        assert_int_equal(found, strstr(buf_cstr(&expected), MASK_TEXT) != NULL);
        buf_done(&expected);
        buf_done(&actual);
        mask_stream_free(s);
        masks_free(m);
}

static void random_texts_are_masked_as_by_a_plain_search(void **state)
{
        (void)state;
        srand(7);
        for (int round = 0; round < 3000; round++) {
                char values[4][16], text[200];
                unsigned alphabet = 1 + (unsigned)rand() % 3;
                size_t least = round % 2 ? 4 : 1;
                for (int i = 0; i < 4; i++)
                        random_text(values[i], least + (size_t)rand() % 8, alphabet);
                random_text(text, sizeof(text) - 1, alphabet + (unsigned)rand() % 2);
                compare_with_the_model(values, (const size_t[]){4, 0}, text);
        }
}

static void values_that_come_later_are_masked_as_those_that_were_there(void **state)
{
        (void)state;
        srand(8);
        for (int round = 0; round < 3000; round++) {
                char values[MOST_VALUES][16], text[200];
                unsigned alphabet = 2 + (unsigned)rand() % 3;
                size_t least = round % 2 ? 4 : 2;
                for (int i = 0; i < MOST_VALUES; i++)
                        random_text(values[i], least + (size_t)rand() % 10, alphabet);
                random_text(text, sizeof(text) - 1, alphabet);
                compare_with_the_model(values, (const size_t[]){10, 3, 1, 0}, text);
        }
}

/* Were all compiled anew each time, this would take many minutes: the time that a test may take ends it. */
static void thousands_of_values_one_after_another_do_not_stall(void **state)
{
        (void)state;
        need_locked(64 << 20);
        struct masks *m = masks_of((const char *const[]){NULL});
        char value[40];
        for (int i = 0; i < 6000; i++) {
                snprintf(value, sizeof(value), "secret number %d of a hostile guest", i);
                assert_int_equal(masks_add(m, value, strlen(value), &err), 0);
                assert_masked(m, value, "***");
        }
        assert_masked(m, "secret number 0 of a hostile guest", "***");
        assert_masked(m, "secret number 6000 of a hostile guest", "secret number 6000 of a hostile guest");
        masks_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_value_is_replaced_wherever_it_stands),
                cmocka_unit_test(overlapping_and_touching_values_become_one_mask),
                cmocka_unit_test(a_secret_split_across_writes_is_found_at_every_offset),
                cmocka_unit_test(the_encodings_of_a_value_are_masked),
                cmocka_unit_test(a_value_with_colours_between_its_bytes_is_masked),
                cmocka_unit_test(each_telling_line_of_a_multi_line_secret_is_masked),
                cmocka_unit_test(a_one_line_value_with_blanks_around_is_masked_without_them),
                cmocka_unit_test(a_mask_added_in_the_middle_holds_from_the_next_byte),
                cmocka_unit_test(found_tells_whether_a_text_holds_a_secret),
                cmocka_unit_test(a_value_past_the_limit_is_not_taken),
                cmocka_unit_test(the_forms_of_all_values_are_bounded),
                cmocka_unit_test(random_texts_are_masked_as_by_a_plain_search),
                cmocka_unit_test(values_that_come_later_are_masked_as_those_that_were_there),
                cmocka_unit_test(thousands_of_values_one_after_another_do_not_stall),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
