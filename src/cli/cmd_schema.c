/* devdep-cli schema: the JSON Schema of devdep.yaml. */
#include "cli/command.h"
#include "cli/output.h"
#include "profile/profile.h"

static int run_schema(const struct args *a, struct err *e)
{
        struct json_t *schema = NULL;
        int r = profile_schema(&schema, e);

        (void)a;
        return r < 0 ? r : output_json(schema, e);
}

const struct command command_schema = {
        .name = "schema",
        .summary = "Print the JSON Schema of devdep.yaml",
        .details =
                "It is made from the table that the parser reads by (JSON Schema 2020-12). Editors complete and check\n"
                "the file with it; 'devdep-cli validate' also knows what a schema cannot say.",
        .examples = "  devdep-cli schema > ~/.config/devdep.schema.json\n"
                    "  # yaml-language-server: $schema=devdep.schema.json\n",
        .run = run_schema,
};
