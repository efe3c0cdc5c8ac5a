/* The commands of devdep-cli: one static table that the parser, --help, the completions and the manual test read.
 *
 * A command has options and positional arguments, or sub-commands, never both. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct err;
struct args;

struct command_option {
        const char *name;  /* without the dashes: "keep-going" */
        char letter;       /* 'W', or 0 */
        const char *value; /* NULL: a switch; else the name of its value: "FILE" */
        const char *help;  /* one line */
        bool repeats;      /* may be given more than once */
};

struct command {
        const char *name;
        const char *summary;    /* one line, starts with a verb */
        const char *positional; /* "FILE..." as shown in the usage line; NULL: none */
        unsigned min_args, max_args;
        const struct command_option *options;
        unsigned n_options;
        const char *details;  /* a paragraph, or NULL */
        const char *examples; /* lines that can be typed, or NULL */
        /* The process status (0..255), or negative with *e: main() prints its last line and exits with its status. */
        int (*run)(const struct args *a, struct err *e);
        const struct command *const *sub; /* NULL-terminated, or NULL */
};

/* Every command ends in one of these; the table is in main.c. */
extern const struct command command_actions, command_artifacts, command_cache, command_completion, command_doctor,
        command_egress, command_errors, command_expr, command_image, command_init, command_logs, command_mirrors,
        command_plan, command_records, command_rm, command_run, command_runs, command_schema, command_validate,
        command_vm;

/* What a command was called with. The strings are those of argv. */
struct args {
        const struct command *command;
        const char *path; /* "devdep-cli image build" */
        const char *const *positional;
        size_t n_positional;
        const unsigned *given;     /* which option each value belongs to */
        const char *const *values; /* "" for a switch */
        size_t n_given;
};
bool args_has(const struct args *a, const char *option);
/* The last value of an option; NULL when it was not given. Asking for an option that the command does not have is our
 * bug. */
const char *args_get(const struct args *a, const char *option);
/* The i-th value of a repeated option in order; NULL past the end. */
const char *args_get_nth(const struct args *a, const char *option, size_t i);

/* Parse and run: argv[0] is the program. Prints help where asked. Same returns as `run`. */
int command_main(const struct command *root, int argc, char **argv, struct err *e);
/* The whole tree, for help and completion. */
extern const struct command command_root;
