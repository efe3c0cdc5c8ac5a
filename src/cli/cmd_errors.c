#include <jansson.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/command.h"
#include "cli/output.h"

static int print_json(struct err *e)
{
        unsigned n;
        const struct err_info *table = err_table(&n);
        json_t *rows = json_array();

        for (unsigned i = 0; i < n; i++)
                json_array_append_new(rows, json_pack("{s:i,s:s,s:i,s:b,s:s,s:s}", "code", (int)table[i].code, "name",
                                                      table[i].name, "status", table[i].status, "retryable",
                                                      table[i].retryable, "meaning", table[i].meaning, "remedy",
                                                      table[i].remedy));
        return output_json(rows, e);
}

static int run_errors(const struct args *a, struct err *e)
{
        unsigned n;
        const struct err_info *table = err_table(&n);

        if (args_has(a, "json"))
                return print_json(e);
        printf("%-5s %-7s %-22s %s\n", "code", "status", "name", "meaning and remedy");
        for (unsigned i = 0; i < n; i++)
                printf("%-5d %-7d %-22s %s\n%36s %s\n", (int)table[i].code, table[i].status, table[i].name,
                       table[i].meaning, "", table[i].remedy);
        return 0;
}

static const struct command_option options[] = {{"json", 0, NULL, "print the table as JSON", false}};

const struct command command_errors = {
        .name = "errors",
        .summary = "Print every error code with its meaning and remedy",
        .options = options,
        .n_options = 1,
        .details = "A failed command ends with one line on standard error, 'devdep: error CODE NAME: message',\n"
                   "and with the process status of that code.",
        .examples = "  devdep-cli errors\n  devdep-cli errors --json | jq '.[] | select(.retryable)'\n",
        .run = run_errors,
};
