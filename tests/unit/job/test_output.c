#include "test.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/output.h"
#include "workflow/command.h"
#include "workflow/issue.h"

static struct err err;
static struct masks *masks;
static struct journal *journal;
static struct output *output;
static int fd;

static struct buf shown; /* lines that were shown, each with its stream */
static bool pauses;      /* add-matcher pauses */

static int on_line(enum output_stream stream, const void *line, size_t len, void *user, struct err *e)
{
        (void)user;
        const struct issue i = {.level = ISSUE_ERROR, .source = "test", .message = "found"};
        int r = buf_printf(&shown, e, "%d:%.*s\n", stream, (int)MIN(len, 40), (const char *)line);
        return r == 0 && memmem(line, len, "bad", 3) ? output_issue(output, &i, e) : r;
}

static int on_command(const struct command *c, void *user, struct err *e)
{
        (void)user;
        if (c->kind == COMMAND_ADD_MATCHER && pauses)
                output_pause(output);
        if (c->problem)
                return output_annotate(output, "warning", NULL, c->message, e);
        return c->kind == COMMAND_ADD_MASK ? masks_add(masks, c->data, strlen(c->data), e) : 0;
}

static int set_up(void **state)
{
        char path[] = "/tmp/devdep-output-XXXXXX";
        (void)state;
        fd = mkstemp(path);
        unlink(path);
        if (fd < 0 || masks_new(&masks, &err) < 0 || journal_new(fd, masks, &journal, &err) < 0)
                return -1;
        const struct output_config config = {
                .journal = journal, .masks = masks, .command = on_command, .line = on_line};
        return output_new(&config, &output, &err);
}

static int tear_down(void **state)
{
        (void)state;
        output_free(output);
        buf_done(&shown);
        pauses = false;
        journal_free(journal);
        masks_free(masks);
        close(fd);
        return 0;
}

static void feed(enum output_stream stream, const char *text)
{
        assert_int_equal(output_feed(output, stream, text, strlen(text), &err), 0);
}

/* All text of a stream in the journal, joined. "+" stands between events when `marks`. */
static char *text_of(const char *stream, size_t *longest)
{
        struct buf b = BUF_INIT;
        char *line = NULL;
        size_t cap = 0;
        FILE *f = fdopen(dup(fd), "r");
        rewind(f);
        if (longest)
                *longest = 0;
        while (getline(&line, &cap, f) > 0) {
                json_t *v = json_loads(line, 0, NULL);
                const char *text = json_string_value(json_object_get(v, "text"));
                assert_non_null(v);
                if (text && strcmp(json_string_value(json_object_get(v, "stream")), stream) == 0) {
                        assert_int_equal(text[strlen(text) - 1], '\n');
                        assert_int_equal(buf_append_str(&b, text, &err), 0);
                        if (longest)
                                *longest = MAX(*longest, strlen(text));
                }
                json_decref(v);
        }
        free(line);
        fclose(f);
        return buf_take_str(&b);
}

static void assert_text(const char *stream, const char *expected)
{
        char *text = text_of(stream, NULL);
        assert_string_equal(text, expected);
        free(text);
}

static void lines_keep_their_stream_and_get_their_newline(void **state)
{
        (void)state;
        feed(OUTPUT_OUT, "one\ntw");
        feed(OUTPUT_ERR, "err");
        feed(OUTPUT_OUT, "o\nthree");
        assert_int_equal(output_finish(output, &err), 0);
        assert_text("out", "one\ntwo\nthree\n");
        assert_text("err", "err\n");
}

static void a_carriage_return_before_the_newline_is_dropped(void **state)
{
        (void)state;
        feed(OUTPUT_OUT, "a\r\nb\rc\r\n");
        assert_int_equal(output_finish(output, &err), 0);
        assert_text("out", "a\nb\rc\n");
}

static void a_secret_split_at_every_offset_is_masked(void **state)
{
        static const char text[] = "x hunter22 y hunter22\nhunter22\n";
        (void)state;
        assert_int_equal(masks_add(masks, "hunter22", 8, &err), 0);
        for (size_t cut = 0; cut < strlen(text); cut++) {
                assert_int_equal(output_feed(output, OUTPUT_OUT, text, cut, &err), 0);
                assert_int_equal(output_flush(output, &err), 0);
                assert_int_equal(output_feed(output, OUTPUT_OUT, text + cut, strlen(text) - cut, &err), 0);
        }
        assert_int_equal(output_finish(output, &err), 0);
        char *all = text_of("out", NULL);
        assert_null(strstr(all, "hunter"));
        assert_int_equal(strlen(all), (strlen(text) - 15) * strlen(text));
        free(all);
}

/* As grep and jq write what they found, line by line and many at once. */
static void a_secret_with_colours_between_is_masked(void **state)
{
        static const char text[] = "hun\033[31m\033[Kter\033[m22\nplain\n\033[1mhunter\033[0m22\n";
        (void)state;
        assert_int_equal(masks_add(masks, "hunter22", 8, &err), 0);
        feed(OUTPUT_OUT, text);
        for (const char *c = text; *c; c++)
                assert_int_equal(output_feed(output, OUTPUT_OUT, c, 1, &err), 0);
        feed(OUTPUT_OUT, "::notice::hun\033[1mter22\n");
        assert_int_equal(output_finish(output, &err), 0);
        assert_text("out", "***\nplain\n\033[1m***\n***\nplain\n\033[1m***\n");
}

static void a_long_line_is_broken_and_a_secret_across_the_break_is_masked(void **state)
{
        char *line = malloc(4 * OUTPUT_MAX_LINE + 2);
        (void)state;
        assert_int_equal(masks_add(masks, "hunter22", 8, &err), 0);
        memset(line, '.', 4 * OUTPUT_MAX_LINE);
        memcpy(line + OUTPUT_MAX_LINE - 3, "hunter22", 8);
        memcpy(line + 3 * OUTPUT_MAX_LINE - 3, "hunter22", 8);
        strcpy(line + 4 * OUTPUT_MAX_LINE, "\n");
        for (size_t i = 0; i < 4 * OUTPUT_MAX_LINE + 1; i += 1000)
                assert_int_equal(
                        output_feed(output, OUTPUT_OUT, line + i, MIN(1000, 4 * OUTPUT_MAX_LINE + 1 - i), &err), 0);
        assert_int_equal(output_finish(output, &err), 0);
        size_t longest = 0;
        char *all = text_of("out", &longest);
        assert_null(strstr(all, "hunter"));
        assert_null(strstr(all, "ter22"));
        assert_non_null(strstr(all, "***"));
        assert_true(longest <= JOURNAL_MAX_LOG);
        free(all);
        free(line);
}

static void a_broken_line_holds_no_command(void **state)
{
        char *line = malloc(OUTPUT_MAX_LINE + 1);
        (void)state;
        memset(line, 'a', OUTPUT_MAX_LINE);
        line[OUTPUT_MAX_LINE] = 0;
        feed(OUTPUT_OUT, line);
        feed(OUTPUT_OUT, "::add-mask::aaaa\naaaa\n");
        assert_int_equal(output_finish(output, &err), 0);
        bool found = true;
        assert_int_equal(masks_found(masks, "aaaa", 4, &found, &err), 0);
        assert_false(found);
        free(line);
}

static void a_mask_command_across_feeds_holds_from_the_next_line(void **state)
{
        (void)state;
        feed(OUTPUT_OUT, "before s3cret\n::add-m");
        feed(OUTPUT_OUT, "ask::s3cret\nafter s3cret\n");
        assert_int_equal(output_finish(output, &err), 0);
        assert_text("out", "before s3cret\nafter ***\n");
}

static void masks_that_make_text_longer_stay_below_the_event_limit(void **state)
{
        char *text = malloc(OUTPUT_MAX_LINE * 2);
        size_t longest = 0;
        (void)state;
        assert_int_equal(masks_add(masks, "a", 1, &err), 0);
        for (size_t i = 0; i < OUTPUT_MAX_LINE * 2; i++)
                text[i] = i % 2 ? '.' : 'a';
        assert_int_equal(output_feed(output, OUTPUT_OUT, text, OUTPUT_MAX_LINE * 2, &err), 0);
        assert_int_equal(output_finish(output, &err), 0);
        char *all = text_of("out", &longest);
        assert_true(longest <= JOURNAL_MAX_LOG);
        assert_null(strchr(all, 'a'));
        free(all);
        free(text);
}

static void annotations_are_bounded(void **state)
{
        (void)state;
        for (unsigned i = 0; i < OUTPUT_MAX_ANNOTATIONS + 1; i++)
                feed(OUTPUT_OUT, "::error::e\n");
        assert_int_equal(output_finish(output, &err), 0);
        assert_text("out", "::error::e\n");
}

static unsigned count_annotations(void)
{
        unsigned n = 0;
        char *line = NULL;
        size_t cap = 0;
        FILE *f = fdopen(dup(fd), "r");
        rewind(f);
        while (getline(&line, &cap, f) > 0)
                n += strstr(line, "\"annotation\"") != NULL;
        free(line);
        fclose(f);
        return n;
}

static void warnings_about_commands_count_as_annotations_of_the_step(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 2 * OUTPUT_MAX_ANNOTATIONS; i++)
                feed(OUTPUT_OUT, "::add-mask::\n");
        assert_int_equal(count_annotations(), OUTPUT_MAX_ANNOTATIONS);
        /* What ends a step is told all the same. */
        assert_int_equal(output_annotate(output, "error", NULL, "ended", &err), 0);
        assert_int_equal(count_annotations(), OUTPUT_MAX_ANNOTATIONS + 1);
}

static void whole_lines_that_are_no_commands_are_shown(void **state)
{
        char *line = malloc(OUTPUT_MAX_LINE + 3);
        (void)state;
        memset(line, 'x', OUTPUT_MAX_LINE + 1);
        feed(OUTPUT_OUT, "one\r\n::debug::no\ntw");
        feed(OUTPUT_ERR, "err\n");
        feed(OUTPUT_OUT, "o\n\n");
        line[OUTPUT_MAX_LINE + 1] = '\n';
        line[OUTPUT_MAX_LINE + 2] = '\0';
        feed(OUTPUT_OUT, line); /* one byte too long */
        feed(OUTPUT_OUT, "last");
        assert_int_equal(output_finish(output, &err), 0);
        assert_string_equal(buf_cstr(&shown), "0:one\r\n1:err\n0:two\n0:\n0:last\n");
        free(line);
}

static void after_the_last_annotation_no_line_is_shown(void **state)
{
        (void)state;
        for (unsigned i = 0; i < OUTPUT_MAX_ANNOTATIONS + 5; i++)
                feed(OUTPUT_OUT, "bad\n");
        assert_int_equal(output_finish(output, &err), 0);
        assert_int_equal(shown.len, 6 * OUTPUT_MAX_ANNOTATIONS);
        off_t before = lseek(fd, 0, SEEK_END);
        const struct issue late = {.level = ISSUE_ERROR, .source = "test", .message = "found at the end of the step"};
        assert_int_equal(output_issue(output, &late, &err), 0);
        assert_int_equal(lseek(fd, 0, SEEK_END), before);
        char *text = text_of("out", NULL);
        assert_int_equal(strlen(text), 4 * (OUTPUT_MAX_ANNOTATIONS + 5));
        free(text);
}

static void what_comes_during_a_pause_waits_in_its_order(void **state)
{
        (void)state;
        pauses = true;
        feed(OUTPUT_OUT, "one\nhalf ");
        feed(OUTPUT_ERR, "::add-matcher::a\nerr\nhalf of ");
        assert_true(output_is_paused(output));
        feed(OUTPUT_OUT, "of two\n");
        feed(OUTPUT_ERR, "err 2\n::add-matcher::b\nerr 3\n");
        feed(OUTPUT_OUT, "three\n");
        assert_string_equal(buf_cstr(&shown), "0:one\n");
        assert_int_equal(output_resume(output, &err), 0);
        assert_true(output_is_paused(output));
        assert_string_equal(buf_cstr(&shown), "0:one\n1:err\n0:half of two\n1:half of err 2\n");
        assert_int_equal(output_resume(output, &err), 0);
        assert_false(output_is_paused(output));
        assert_string_equal(buf_cstr(&shown), "0:one\n1:err\n0:half of two\n1:half of err 2\n1:err 3\n0:three\n");
}

static void a_pause_holds_so_much_and_then_the_output_goes_on(void **state)
{
        char text[1 << 12];
        (void)state;
        pauses = true;
        memset(text, '.', sizeof(text));
        text[sizeof(text) - 2] = '\n';
        text[sizeof(text) - 1] = '\0';
        feed(OUTPUT_OUT, "::add-matcher::a\n");
        size_t each = sizeof(text) - 1 + 1 + sizeof(size_t);
        for (size_t held = each; held <= OUTPUT_MAX_HELD; held += each) {
                feed(OUTPUT_OUT, text);
                assert_true(output_is_paused(output));
        }
        assert_int_equal(shown.len, 0);
        feed(OUTPUT_OUT, text);
        assert_false(output_is_paused(output));
        assert_true(shown.len > 0);
}

static void the_end_of_the_output_ends_a_pause(void **state)
{
        (void)state;
        pauses = true;
        feed(OUTPUT_OUT, "::add-matcher::a\none\n::add-matcher::b\ntwo");
        assert_int_equal(output_finish(output, &err), 0);
        assert_string_equal(buf_cstr(&shown), "0:one\n0:two\n");
        assert_text("out", "one\ntwo\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(lines_keep_their_stream_and_get_their_newline, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_carriage_return_before_the_newline_is_dropped, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_secret_split_at_every_offset_is_masked, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_secret_with_colours_between_is_masked, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_long_line_is_broken_and_a_secret_across_the_break_is_masked, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_broken_line_holds_no_command, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_mask_command_across_feeds_holds_from_the_next_line, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(masks_that_make_text_longer_stay_below_the_event_limit, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(annotations_are_bounded, set_up, tear_down),
                cmocka_unit_test_setup_teardown(warnings_about_commands_count_as_annotations_of_the_step, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(whole_lines_that_are_no_commands_are_shown, set_up, tear_down),
                cmocka_unit_test_setup_teardown(after_the_last_annotation_no_line_is_shown, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_comes_during_a_pause_waits_in_its_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_pause_holds_so_much_and_then_the_output_goes_on, set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_end_of_the_output_ends_a_pause, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
