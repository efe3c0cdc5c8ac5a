#include "test.h"

#include <stdio.h>

#include "base/err.h"
#include "job/shell.h"

static struct err err;
static char bash[] = "/usr/bin/bash", sh[] = "/bin/sh", python3[] = "/usr/bin/python3";
static const struct shell_programs all = {.bash = bash, .sh = sh, .python3 = python3}, none = {0}, only_sh = {.sh = sh};

static void command(const char *shell, const struct shell_programs *p, const char *expected)
{
        struct strv argv = STRV_INIT;
        char joined[512] = "";
        if (shell_command(shell, p, "/tmp/s p", &argv, &err) < 0)
                fail_msg("%s", err.msg);
        for (size_t i = 0; i < argv.n; i++)
                snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s", i ? "|" : "", argv.v[i]);
        assert_string_equal(joined, expected);
        strv_done(&argv);
}

static void refused(const char *shell, const struct shell_programs *p, const char *message)
{
        struct strv argv = STRV_INIT;
        assert_true(shell_command(shell, p, "/tmp/s", &argv, &err) < 0);
        assert_int_equal(err.code, ERR_RUN_FAILED);
        assert_contains(err.msg, message);
        strv_done(&argv);
}

static void known_shells_have_the_arguments_of_githubs_runner(void **state)
{
        (void)state;
        command(NULL, &all, "/usr/bin/bash|-e|/tmp/s p");
        command(NULL, &only_sh, "/bin/sh|-e|/tmp/s p");
        command("bash", &all, "/usr/bin/bash|--noprofile|--norc|-eo|pipefail|/tmp/s p");
        command("sh", &all, "/bin/sh|-e|/tmp/s p");
        command("python", &all, "/usr/bin/python3|/tmp/s p");
}

static void a_template_is_split_into_words(void **state)
{
        (void)state;
        command("perl {0}", &none, "/usr/bin/env|perl|/tmp/s p");
        command("  /bin/x  -a 'b c' \"d\"e {0}.y ", &none, "/bin/x|-a|b c|de|/tmp/s p.y");
}

static void what_cannot_run_is_refused(void **state)
{
        (void)state;
        refused("bash", &only_sh, "no bash");
        refused("pwsh", &all, "no pwsh");
        refused(NULL, &none, "neither bash nor sh");
        refused("perl", &all, "{0}");
        refused("perl '{0}", &all, "not closed");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_shells_have_the_arguments_of_githubs_runner),
                cmocka_unit_test(a_template_is_split_into_words),
                cmocka_unit_test(what_cannot_run_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
