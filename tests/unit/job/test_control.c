#include "test.h"

#include <stdlib.h>

#include "base/err.h"
#include "job/control.h"

static struct err err;
static struct control_request request;

static void parses(const char *line, enum control_op op)
{
        if (control_parse(line, strlen(line), &request, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(request.op, op);
}

static void refuses(const char *line)
{
        if (control_parse(line, strlen(line), &request, &err) == 0)
                fail_msg("accepted: %s", line);
}

static void every_request_is_read(void **state)
{
        (void)state;
        parses("{\"op\":\"cancel\"}", CONTROL_CANCEL);
        parses("{\"op\":\"kill\"}", CONTROL_KILL);
        parses("{\"op\":\"release\"}", CONTROL_RELEASE);
        parses("{\"op\":\"pty\"}", CONTROL_PTY);
        assert_int_equal(request.rows, 24);
        assert_int_equal(request.columns, 80);
        parses("{\"op\":\"pty\",\"rows\":1000,\"columns\":1}", CONTROL_PTY);
        assert_int_equal(request.rows, 1000);
        parses("{\"op\":\"dial\",\"port\":65535}", CONTROL_DIAL);
        assert_int_equal(request.port, 65535);
}

static void everything_else_is_refused(void **state)
{
        (void)state;
        refuses("");
        refuses("x");
        refuses("[]");
        refuses("{}");
        refuses("{\"op\":1}");
        refuses("{\"op\":\"reboot\"}");
        refuses("{\"op\":\"cancel\",\"op\":\"kill\"}");
        refuses("{\"op\":\"cancel\",\"x\":1}");
        refuses("{\"op\":\"dial\"}");
        refuses("{\"op\":\"dial\",\"port\":0}");
        refuses("{\"op\":\"dial\",\"port\":65536}");
        refuses("{\"op\":\"dial\",\"port\":\"80\"}");
        refuses("{\"op\":\"pty\",\"rows\":1001}");
        refuses("{\"op\":\"cancel\"} {");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_request_is_read),
                cmocka_unit_test(everything_else_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
