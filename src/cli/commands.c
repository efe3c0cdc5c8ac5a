/* The table of commands. */
#include <stdio.h>

#include "base/err.h"
#include "cli/command.h"

static int run_version(const struct args *a, struct err *e)
{
        (void)a;
        (void)e;
        puts("devdep-cli " DEVDEP_VERSION);
        return 0;
}

static const struct command command_version = {
        .name = "version",
        .summary = "Print the version",
        .run = run_version,
};

/* clang-format off */
static const struct command *const commands[] = {
        &command_run,
        &command_runs,
        &command_logs,
        &command_records,
        &command_rm,
        &command_artifacts,
        &command_cache,
        &command_vm,
        &command_egress,
        &command_mirrors,
        &command_doctor,
        &command_image,
        &command_actions,
        &command_plan,
        &command_validate,
        &command_init,
        &command_schema,
        &command_expr,
        &command_errors,
        &command_completion,
        &command_version,
        NULL,
};
/* clang-format on */

const struct command command_root = {
        .name = "devdep-cli",
        .summary = "Run workflows, each job in its own microVM",
        .sub = commands,
        .examples = "  devdep-cli run                      run what a push selects in this repository\n"
                    "  devdep-cli run -W ci.yml --job test one job of one workflow, and what it needs\n"
                    "  devdep-cli doctor                   what holds on this host, and how to mend the rest\n",
};
