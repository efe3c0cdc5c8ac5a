#include "test.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "job/journal.h"
#include "job/json_text.h"
#include "job/mask.h"

static struct err err;
static struct masks *masks;
static int fd;
static struct journal *journal;

static int set_up(void **state)
{
        char path[] = "/tmp/devdep-journal-XXXXXX";
        (void)state;
        fd = mkstemp(path);
        unlink(path);
        return fd < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0 || masks_new(&masks, &err) < 0 ||
               journal_new(fd, masks, &journal, &err) < 0;
}

static int tear_down(void **state)
{
        (void)state;
        journal_free(journal);
        masks_free(masks);
        close(fd);
        return 0;
}

static json_t *line(unsigned n)
{
        FILE *f = fdopen(dup(fd), "r");
        char *text = NULL;
        size_t cap = 0;
        rewind(f);
        for (unsigned i = 0; i <= n; i++)
                assert_true(getline(&text, &cap, f) > 0);
        json_t *v = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(v);
        free(text);
        fclose(f);
        return v;
}

static void events_are_whole_lines_with_a_sequence_without_gaps(void **state)
{
        (void)state;
        for (int i = 0; i < 3; i++) {
                journal_begin(journal, "output");
                journal_i64(journal, "step", i);
                journal_str(journal, "name", "a\"\\\n\x01z");
                journal_str(journal, "missing", NULL);
                journal_open(journal, "o");
                journal_member(journal, "k\"", "v");
                journal_close(journal);
                assert_int_equal(journal_end(journal, &err), 0);
        }
        for (unsigned i = 0; i < 3; i++) {
                json_t *v = line(i);
                assert_int_equal(json_integer_value(json_object_get(v, "seq")), i);
                assert_string_equal(json_string_value(json_object_get(v, "name")), "a\"\\\n\x01z");
                assert_null(json_object_get(v, "missing"));
                assert_string_equal(json_string_value(json_object_get(json_object_get(v, "o"), "k\"")), "v");
                json_decref(v);
        }
}

static void foreign_strings_are_masked_and_our_own_words_are_not(void **state)
{
        (void)state;
        assert_int_equal(masks_add(masks, "step", 4, &err), 0);
        assert_int_equal(masks_add(masks, "success", 7, &err), 0);
        journal_begin(journal, "step_finished");
        journal_i64(journal, "step", 1);
        journal_word(journal, "outcome", "success");
        journal_str(journal, "reason", "a success of step");
        assert_int_equal(journal_end(journal, &err), 0);
        json_t *v = line(0);
        assert_string_equal(json_string_value(json_object_get(v, "type")), "step_finished");
        assert_string_equal(json_string_value(json_object_get(v, "outcome")), "success");
        assert_string_equal(json_string_value(json_object_get(v, "reason")), "a *** of ***");
        json_decref(v);
}

static void an_event_past_the_limit_is_refused_and_leaves_no_trace(void **state)
{
        char *big = malloc(JOURNAL_MAX_LINE + 1);
        (void)state;
        memset(big, 'a', JOURNAL_MAX_LINE);
        big[JOURNAL_MAX_LINE] = 0;
        journal_begin(journal, "summary");
        journal_str(journal, "text", big);
        assert_true(journal_end(journal, &err) < 0);
        assert_int_equal(lseek(fd, 0, SEEK_END), 0);
        assert_int_equal(journal_note(journal, 0, &err, "fine"), 0);
        json_t *v = line(0);
        assert_int_equal(json_integer_value(json_object_get(v, "seq")), 0);
        json_decref(v);
        free(big);
}

static void json_text(const char *in, size_t len, const char *out)
{
        struct buf b = BUF_INIT;
        assert_int_equal(json_text_append(&b, in, len, &err), 0);
        assert_string_equal(buf_cstr(&b), out);
        buf_done(&b);
}

static void bytes_that_are_no_utf8_are_replaced(void **state)
{
        (void)state;
        json_text("caf\xc3\xa9", 5, "\"caf\xc3\xa9\"");
        json_text("a\xff\xc3", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
        json_text("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
        json_text("\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
        json_text("\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
        json_text("\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"");
        json_text("a\0b", 3,
                  "\"a\xef\xbf\xbd"
                  "b\"");
        json_text("\x7f\x1b", 2, "\"\\u007f\\u001b\"");
}

static void every_byte_makes_valid_json_at_every_offset(void **state)
{
        (void)state;
        for (int c = 0; c < 256; c++) {
                for (size_t at = 0; at < 20; at++) {
                        char text[24];
                        struct buf b = BUF_INIT;
                        memset(text, 'x', sizeof(text));
                        text[at] = (char)c;
                        assert_int_equal(json_text_append(&b, text, sizeof(text), &err), 0);
                        json_t *v = json_loadb((char *)b.data, b.len, JSON_DECODE_ANY, NULL);
                        assert_non_null(v);
                        if (c > 0 && c < 128)
                                assert_memory_equal(json_string_value(v), text, sizeof(text));
                        json_decref(v);
                        buf_done(&b);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(events_are_whole_lines_with_a_sequence_without_gaps, set_up, tear_down),
                cmocka_unit_test_setup_teardown(foreign_strings_are_masked_and_our_own_words_are_not, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(an_event_past_the_limit_is_refused_and_leaves_no_trace, set_up,
                                                tear_down),
                cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
                cmocka_unit_test(every_byte_makes_valid_json_at_every_offset),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
