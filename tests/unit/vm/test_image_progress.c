/* Long tools: heartbeat, last lines, interruption. Standard error goes into a file that the tests read. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "vm/image_progress.h"

CLEANUP_DEFINE(struct image_progress, image_progress_free)

static int saved = -1, captured = -1;

static void capture(void)
{
        fflush(stderr);
        saved = dup(2);
        assert_int_equal(fd_memfd("stderr", &captured, NULL), 0);
        assert_true(dup2(captured, 2) == 2);
}

static char *captured_text(void)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        fflush(stderr);
        dup2(saved, 2);
        saved = fd_close(saved);
        assert_int_equal(lseek(captured, 0, SEEK_SET), 0);
        assert_int_equal(fd_read_all(captured, 1 << 20, "stderr", &b, NULL), 0);
        captured = fd_close(captured);
        return buf_take_str(&b);
}

static int run_shell(struct image_progress *p, const char *script, struct buf *out, struct err *e)
{
        const char *argv[] = {"sh", "-c", script, NULL};
        struct image_tool t = {.name = "sh", .package = "dash", .argv = argv, .out = out};
        return image_tool_run(p, &t, e);
}

static struct image_progress *new_progress(void)
{
        struct image_progress *p = NULL;
        assert_int_equal(image_progress_new("image", &p, NULL), 0);
        return p;
}

static void silent_tool_is_shown_again_and_again(void **state)
{
        (void)state;
        capture();
        AUTO(image_progress_freep) struct image_progress *p = new_progress();
        image_progress_stage(p, "working");
        int r = run_shell(p, "sleep 3.4", NULL, NULL);
        AUTO(auto_free) char *text = captured_text();
        assert_int_equal(r, 0);
        assert_contains(text, "image: working\nimage: working (1.5s)\nimage: working (3.0s)\n");
}

static void stages_of_a_tool_are_shown_without_its_control_characters(void **state)
{
        (void)state;
        capture();
        AUTO(image_progress_freep) struct image_progress *p = new_progress();
        int r = run_shell(p, "printf 'noise\\ndevdep-stage: one \\033[31mtwo\\nI: three\\n'", NULL, NULL);
        AUTO(auto_free) char *text = captured_text();
        assert_int_equal(r, 0);
        assert_string_equal(text, "image: one  [31mtwo\nimage: three\n");
}

static void failed_tool_gives_its_status_and_its_last_lines(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        capture();
        AUTO(image_progress_freep) struct image_progress *p = new_progress();
        image_progress_stage(p, "trying");
        int r = run_shell(p,
                          "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do echo line $i; done; echo 'E: it broke'; echo "
                          "after; exit 3",
                          NULL, &e);
        AUTO(auto_free) char *text = captured_text();
        assert_true(r < 0);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_contains(e.msg, "sh failed while trying (status 3): E: it broke");
        assert_contains(text, "line 14\n  E: it broke\n  after\n");
        assert_null(strstr(text, "line 4\n"));
}

static void output_is_taken_where_it_is_asked_for(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf out = BUF_INIT;
        AUTO(image_progress_freep) struct image_progress *p = new_progress();
        assert_int_equal(run_shell(p, "echo hello; seq 1 20000 >&2", &out, NULL), 0);
        assert_string_equal(buf_cstr(&out), "hello\n");
}

static void interruption_ends_the_tool_and_its_children(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        capture();
        AUTO(image_progress_freep) struct image_progress *p = new_progress();
        AUTO(buf_done) struct buf out = BUF_INIT;
        uint64_t began = clock_mono_ms();
        /* The tool itself sends the signal to us; it would go on for a minute, and so would its child. */
        int r = run_shell(p, "sleep 60 & kill -INT $PPID; wait", &out, &e);
        AUTO(auto_free) char *text = captured_text();
        assert_true(r < 0);
        assert_int_equal(e.code, ERR_CANCELLED);
        assert_true(clock_mono_ms() - began < 30000);
        assert_contains(text, "interrupted");
        /* And nothing more is started. */
        assert_true(run_shell(p, "true", NULL, &e) < 0);
        assert_int_equal(e.code, ERR_CANCELLED);
}

static void closed_standard_error_interrupts_instead_of_killing(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        int ends[2];
        assert_int_equal(fd_pipe(ends, NULL), 0);
        close(ends[0]);
        saved = dup(2);
        dup2(ends[1], 2);
        close(ends[1]);
        AUTO(image_progress_freep) struct image_progress *p = new_progress();
        int r = run_shell(p, "echo devdep-stage: one; sleep 60", NULL, &e);
        dup2(saved, 2);
        saved = fd_close(saved);
        assert_true(r < 0);
        assert_int_equal(e.code, ERR_CANCELLED);
}

static void missing_tool_names_its_package(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        assert_true(image_tool_find("no-such-tool-devdep", "some-package", NULL, &e) < 0);
        assert_contains(e.msg, "apt-get install some-package");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(silent_tool_is_shown_again_and_again),
                cmocka_unit_test(stages_of_a_tool_are_shown_without_its_control_characters),
                cmocka_unit_test(failed_tool_gives_its_status_and_its_last_lines),
                cmocka_unit_test(output_is_taken_where_it_is_asked_for),
                cmocka_unit_test(interruption_ends_the_tool_and_its_children),
                cmocka_unit_test(closed_standard_error_interrupts_instead_of_killing),
                cmocka_unit_test(missing_tool_names_its_package),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
