#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* What `write_it` writes to standard error. */
static const char *captured(void (*write_it)(void), struct buf *b)
{
        AUTO(auto_close) int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        AUTO(auto_close) int fd = -1;
        assert_int_equal(fd_memfd("stderr", &fd, NULL), 0);
        dup2(fd, STDERR_FILENO);
        write_it();
        dup2(saved, STDERR_FILENO);
        lseek(fd, 0, SEEK_SET);
        buf_clear(b);
        assert_int_equal(fd_read_all(fd, 1 << 20, "stderr", b, NULL), 0);
        return buf_cstr(b);
}

static void forge(void)
{
        log_warning("name %s", "x\ndevdep-job: error: forged\x1b[2J");
}

static void say_all(void)
{
        log_debug("d");
        log_info("i");
        log_warning("w");
        log_error("e");
}

static void say_long(void)
{
        log_error("%05000d", 1);
}

static int status;

static void fail_finally(void)
{
        struct err e = ERR_INIT;
        err_set(&e, ERR_EGRESS_VIOLATION, "example.org:443 is not\nlisted");
        status = log_final(&e);
}

static void foreign_text_cannot_forge_a_line(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        log_init("devdep-job", LOG_INFO);
        assert_string_equal(captured(forge, &b), "devdep-job: warning: name x\\ndevdep-job: error: forged\\x1b[2J\n");
}

static void levels_are_chosen_by_program_and_environment(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        log_init("p", LOG_WARNING);
        assert_string_equal(captured(say_all, &b), "p: warning: w\np: error: e\n");
        setenv("DEVDEP_LOG", "debug", 1);
        log_init("p", LOG_WARNING);
        assert_string_equal(captured(say_all, &b), "p: debug: d\np: info: i\np: warning: w\np: error: e\n");
        setenv("DEVDEP_LOG", "loud", 1);
        log_init("p", LOG_ERROR);
        assert_string_equal(captured(say_all, &b), "p: error: e\n");
        unsetenv("DEVDEP_LOG");
}

static void long_lines_are_cut_visibly(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        log_init("p", LOG_INFO);
        const char *text = captured(say_long, &b);
        assert_in_range(b.len, 4000, 4096);
        assert_string_equal(text + b.len - 5, "0...\n");
}

static void last_line_names_the_code(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_string_equal(captured(fail_finally, &b),
                            "devdep: error 401 ERR_EGRESS_VIOLATION: example.org:443 is not\\nlisted\n");
        assert_int_equal(status, 145);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(foreign_text_cannot_forge_a_line),
                cmocka_unit_test(levels_are_chosen_by_program_and_environment),
                cmocka_unit_test(long_lines_are_cut_visibly),
                cmocka_unit_test(last_line_names_the_code),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
