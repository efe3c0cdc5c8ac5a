/* What a program of ours says of its protections, and what the starter makes of it. */
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "sandbox/sandbox.h"
#include "test.h"

/* What receiving `n` bytes at `said`, and then the end, comes to. */
static int receive(const void *said, size_t n, struct sandbox_report *into, struct err *e)
{
        int pipe[2];

        assert_int_equal(fd_pipe(pipe, e), 0);
        assert_int_equal(write(pipe[1], said, n), (ssize_t)n);
        close(pipe[1]);
        int r = sandbox_report_receive(pipe[0], 10000, into, e);
        close(pipe[0]);
        return r;
}

static void what_is_said_takes_the_place_of_what_was_known(void **state)
{
        struct sandbox_report into = {0}, said = {0};
        struct err e = ERR_INIT;
        int pipe[2];
        (void)state;

        into.held[SANDBOX_SECCOMP].state = SANDBOX_MISSING;
        into.held[SANDBOX_LIMITS].state = SANDBOX_DEGRADED;
        said.held[SANDBOX_SECCOMP].state = SANDBOX_OK;
        said.held[SANDBOX_OWN_USER] = (struct sandbox_held){SANDBOX_DEGRADED, "the caller's"};
        assert_int_equal(fd_pipe(pipe, &e), 0);
        assert_int_equal(sandbox_report_send(pipe[1], &said, &e), 0);
        assert_int_equal(sandbox_report_receive(pipe[0], 10000, &into, &e), 0);
        assert_int_equal(into.held[SANDBOX_SECCOMP].state, SANDBOX_OK);
        assert_int_equal(into.held[SANDBOX_LIMITS].state, SANDBOX_DEGRADED);
        assert_string_equal(into.held[SANDBOX_OWN_USER].why, "the caller's");
        close(pipe[0]);
        close(pipe[1]);
}

static void a_program_that_says_nothing_changes_nothing(void **state)
{
        struct sandbox_report into = {0};
        struct err e = ERR_INIT;
        int pipe[2];
        (void)state;

        into.held[SANDBOX_LIMITS].state = SANDBOX_OK;
        assert_int_equal(receive("", 0, &into, &e), SANDBOX_E_SILENT);
        assert_int_equal(fd_pipe(pipe, &e), 0);
        assert_int_equal(sandbox_report_receive(pipe[0], 0, &into, &e), SANDBOX_E_SILENT);
        close(pipe[0]);
        close(pipe[1]);
        assert_int_equal(into.held[SANDBOX_LIMITS].state, SANDBOX_OK);
}

static void a_report_out_of_form_is_refused(void **state)
{
        struct sandbox_report into = {0}, said = {0};
        struct err e = ERR_INIT;
        (void)state;

        assert_int_equal(receive(&said, sizeof(said) - 1, &into, &e), -1);
        assert_int_equal(e.code, ERR_PROTOCOL);
        said.held[SANDBOX_LIMITS].state = (enum sandbox_state)(SANDBOX_MISSING + 1);
        assert_int_equal(receive(&said, sizeof(said), &into, &e), -1);
        said.held[SANDBOX_LIMITS].state = SANDBOX_OK;
        memset(said.held[SANDBOX_LIMITS].why, 'x', sizeof(said.held[SANDBOX_LIMITS].why));
        assert_int_equal(receive(&said, sizeof(said), &into, &e), -1);
        assert_int_equal(into.held[SANDBOX_LIMITS].state, SANDBOX_UNUSED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_said_takes_the_place_of_what_was_known),
                cmocka_unit_test(a_program_that_says_nothing_changes_nothing),
                cmocka_unit_test(a_report_out_of_form_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
