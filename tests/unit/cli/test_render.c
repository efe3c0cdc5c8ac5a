/* Events to text: what reaches the terminal, and what the summary repeats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "base/err.h"
#include "cli/open_steps.h"
#include "cli/render.h"
#include "codec/json.h"

struct screen {
        char *text;
        size_t len;
        FILE *f;
        struct render *render;
        struct render_job *job;
};

static void screen_open(struct screen *s, bool color)
{
        struct err e = ERR_INIT;

        s->f = open_memstream(&s->text, &s->len);
        struct render_options o = {.out = s->f, .color = color, .prefix = true, .width = 5};
        assert_int_equal(render_new(&o, &s->render, &e), 0);
        assert_int_equal(render_job_new(s->render, "build", &s->job, &e), 0);
}

static void screen_done(struct screen *s)
{
        render_free(s->render);
        fclose(s->f);
        free(s->text);
}

static void show(struct screen *s, const char *type, json_t *event)
{
        struct err e = ERR_INIT;

        assert_non_null(event);
        assert_int_equal(render_event(s->job, type, event, &e), 0);
        json_decref(event);
        fflush(s->f);
}

static void each_line_carries_the_jobs_name(void **state)
{
        struct screen s = {0};

        (void)state;
        screen_open(&s, false);
        show(&s, "step_started", json_pack("{s:s}", "name", "Compile"));
        show(&s, "log", json_pack("{s:s,s:s}", "stream", "out", "text", "one\ntwo\n"));
        show(&s, "step_finished",
             json_pack("{s:s,s:s,s:i}", "outcome", "success", "conclusion", "success", "ms", 1200));
        assert_string_equal(s.text, "build | == Compile\nbuild | one\nbuild | two\nbuild | ok Compile (1.2s)\n");
        screen_done(&s);
}

static void only_colours_reach_the_terminal(void **state)
{
        static const char *const hostile[] = {"\x1b]52;c;AAAA\x07",
                                              "\x1b[2J",
                                              "\x1b]8;;http://x\x1b\\",
                                              "\x1bP+q\x1b\\",
                                              "\x1b[1A",
                                              "\xc2\x9b"
                                              "2J",
                                              "\xe2\x80\xae",
                                              "\a",
                                              "\b",
                                              "\r"
                                              "x"};

        (void)state;
        for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
                struct screen s = {0};

                screen_open(&s, true);
                char text[64];
                snprintf(text, sizeof(text), "a%sb\n", hostile[i]);
                show(&s, "log", json_pack("{s:s,s:s}", "stream", "out", "text", text));
                show(&s, "step_started", json_pack("{s:s}", "name", text));
                show(&s, "annotation",
                     json_pack("{s:s,s:s,s:s,s:s}", "level", "error", "file", text, "title", text, "message", text));
                show(&s, "annotation", json_pack("{s:s,s:s}", "level", text, "message", "m"));
                show(&s, "step_finished",
                     json_pack("{s:s,s:s,s:s}", "outcome", "failure", "conclusion", "failure", "reason", text));
                assert_null(strstr(s.text, hostile[i]));
                screen_done(&s);
        }
}

static void colours_pass_and_end_with_their_line(void **state)
{
        struct screen s = {0};

        (void)state;
        screen_open(&s, true);
        show(&s, "log", json_pack("{s:s,s:s}", "stream", "out", "text", "\x1b[31mred\nplain\n"));
        const char *red = strstr(s.text, "\x1b[31mred");
        assert_non_null(red);
        const char *plain = strstr(red, "plain");
        const char *reset = strstr(red, "\x1b[0m");
        assert_non_null(plain);
        assert_true(reset && reset < plain);
        screen_done(&s);
}

static void a_name_stays_on_its_line(void **state)
{
        struct screen s = {0};

        (void)state;
        screen_open(&s, false);
        show(&s, "step_started", json_pack("{s:s}", "name", "a\nbuild | == forged"));
        assert_string_equal(s.text, "build | == a\\nbuild | == forged\n");
        screen_done(&s);
}

static void steps_of_an_action_stand_inside_of_it(void **state)
{
        struct screen s = {0};
        struct err e = ERR_INIT;

        (void)state;
        screen_open(&s, false);
        show(&s, "step_started", json_pack("{s:i,s:s}", "step", 0, "name", "Run ./act"));
        show(&s, "step_started", json_pack("{s:i,s:i,s:s}", "step", 2, "parent", 0, "name", "one"));
        show(&s, "log", json_pack("{s:i,s:s,s:s}", "step", 2, "stream", "out", "text", "fine\n"));
        show(&s, "step_finished",
             json_pack("{s:i,s:s,s:s,s:i}", "step", 2, "outcome", "success", "conclusion", "success", "ms", 1));
        show(&s, "step_started", json_pack("{s:i,s:i,s:s}", "step", 3, "parent", 0, "name", "two"));
        show(&s, "log", json_pack("{s:i,s:s,s:s}", "step", 3, "stream", "out", "text", "oh\n"));
        show(&s, "step_finished",
             json_pack("{s:i,s:s,s:s,s:i,s:s}", "step", 3, "outcome", "failure", "conclusion", "failure", "ms", 1000,
                       "reason", "exit 1"));
        show(&s, "step_finished",
             json_pack("{s:i,s:s,s:s,s:i,s:s}", "step", 0, "outcome", "failure", "conclusion", "failure", "ms", 2000,
                       "reason", "two failed"));
        assert_string_equal(s.text,
                            "build | == Run ./act\nbuild | -- one\nbuild | fine\nbuild | -- two\nbuild | oh\n"
                            "build | -- failed two (1.0s): exit 1\nbuild | failed Run ./act (2.0s): two failed\n");
        assert_int_equal(render_job_end(s.job, "failure", 1, NULL, &e), 0);
        assert_int_equal(render_summary(s.render, &e), 0);
        fflush(s.f);
        assert_contains(s.text, "build: step 'Run ./act / two' failed: exit 1\n    oh\n");
        assert_null(strstr(s.text, "step 'Run ./act' failed"));
        screen_done(&s);
}

static void lines_of_steps_beside_each_other_say_whose_they_are(void **state)
{
        struct screen s = {0};

        (void)state;
        screen_open(&s, false);
        show(&s, "step_started", json_pack("{s:i,s:s,s:b}", "step", 0, "name", "server", "background", 1));
        show(&s, "step_started", json_pack("{s:i,s:s}", "step", 1, "name", "test"));
        show(&s, "step_started", json_pack("{s:i,s:i,s:s}", "step", 9, "parent", 1, "name", "inner"));
        show(&s, "log", json_pack("{s:i,s:s,s:s}", "step", 0, "stream", "out", "text", "listening\n"));
        show(&s, "log", json_pack("{s:i,s:s,s:s}", "step", 9, "stream", "out", "text", "asks\n"));
        show(&s, "step_finished",
             json_pack("{s:i,s:s,s:s,s:i}", "step", 0, "outcome", "success", "conclusion", "success", "ms", 1000));
        show(&s, "log", json_pack("{s:i,s:s,s:s}", "step", 9, "stream", "out", "text", "alone\n"));
        assert_string_equal(
                s.text, "build | == server (in the background)\nbuild | == test\nbuild | -- inner\n"
                        "build | [server] listening\nbuild | [test] asks\nbuild | ok server (1.0s)\nbuild | alone\n");
        screen_done(&s);
}

static void steps_without_end_are_bounded(void **state)
{
        struct screen s = {0};

        (void)state;
        screen_open(&s, false);
        for (int i = 0; i <= (int)OPEN_STEPS_MAX; i++)
                show(&s, "step_started", json_pack("{s:i,s:s}", "step", i, "name", "x"));
        size_t before = s.len;
        show(&s, "step_finished",
             json_pack("{s:i,s:s,s:s}", "step", (int)OPEN_STEPS_MAX, "outcome", "success", "conclusion", "success"));
        assert_int_equal(s.len, before);
        show(&s, "step_finished",
             json_pack("{s:i,s:s,s:s}", "step", (int)OPEN_STEPS_MAX - 1, "outcome", "success", "conclusion",
                       "success"));
        assert_true(s.len > before);
        screen_done(&s);
}

static void the_summary_repeats_the_last_lines_of_a_failed_step(void **state)
{
        struct screen s = {0};
        struct err e = ERR_INIT;

        (void)state;
        screen_open(&s, false);
        show(&s, "step_started", json_pack("{s:s}", "name", "Test"));
        for (int i = 0; i < 20; i++) {
                char line[32];
                snprintf(line, sizeof(line), "line %d\n", i);
                show(&s, "log", json_pack("{s:s,s:s}", "stream", "out", "text", line));
        }
        show(&s, "annotation",
             json_pack("{s:s,s:s,s:i,s:s}", "level", "error", "file", "a.c", "line", 3, "message", "no"));
        show(&s, "step_finished",
             json_pack("{s:s,s:s,s:s,s:i}", "outcome", "failure", "conclusion", "failure", "reason", "exit 2", "ms",
                       5));
        assert_int_equal(render_job_end(s.job, "failure", 61000, "a step failed", &e), 0);
        fflush(s.f);
        size_t before = s.len;
        assert_int_equal(render_summary(s.render, &e), 0);
        fflush(s.f);
        const char *summary = s.text + before;
        assert_contains(summary, "build  failure      1m 01s  a step failed\n");
        assert_non_null(strstr(summary, "build: step 'Test' failed: exit 2"));
        assert_non_null(strstr(summary, "line 10\n"));
        assert_non_null(strstr(summary, "line 19\n"));
        assert_null(strstr(summary, "line 9\n"));
        assert_non_null(strstr(summary, "error: a.c:3: no"));
        screen_done(&s);
}

/* The writer of a journal is less trusted than its reader: what no honest devdep-job writes costs little as well. */
static void the_longest_line_is_shown_and_little_of_it_is_kept(void **state)
{
        size_t len = ((size_t)8 << 20) - 100;
        char *text = malloc(len + 1);
        struct screen s = {0};
        struct err e = ERR_INIT;

        (void)state;
        assert_non_null(text);
        memset(text, 0x7f, len);
        text[len] = '\0';
        screen_open(&s, false);
        show(&s, "log", json_pack("{s:s,s:s}", "stream", "out", "text", text));
        assert_true(s.len > 4 * len);
        show(&s, "annotation", json_pack("{s:s,s:s}", "level", "error", "message", text));
        for (int i = 0; i < 300; i++)
                show(&s, "step_finished",
                     json_pack("{s:s,s:s,s:s}", "outcome", "failure", "conclusion", "failure", "reason", "x"));
        assert_int_equal(render_job_end(s.job, "failure", 1, "", &e), 0);
        fflush(s.f);
        size_t before = s.len;
        assert_int_equal(render_summary(s.render, &e), 0);
        fflush(s.f);
        assert_true(s.len - before < (size_t)2 << 20);
        screen_done(&s);
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_line_carries_the_jobs_name),
                cmocka_unit_test(only_colours_reach_the_terminal),
                cmocka_unit_test(colours_pass_and_end_with_their_line),
                cmocka_unit_test(a_name_stays_on_its_line),
                cmocka_unit_test(steps_of_an_action_stand_inside_of_it),
                cmocka_unit_test(lines_of_steps_beside_each_other_say_whose_they_are),
                cmocka_unit_test(steps_without_end_are_bounded),
                cmocka_unit_test(the_summary_repeats_the_last_lines_of_a_failed_step),
                cmocka_unit_test(the_longest_line_is_shown_and_little_of_it_is_kept),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
