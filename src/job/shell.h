/* How a `run` step is started: the shell's template, as GitHub's runner has them. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

struct err;

#define SHELL_MAX_ARGS 64u

/* Programs that the guest has: absolute paths, NULL when missing. */
struct shell_programs {
        char *bash, *sh, *python, *python3, *pwsh, *node;
};

/* The file name extension of a script for this `shell` (NULL: unset). Static. */
const char *shell_extension(const char *shell);
/* shell: `bash`, `sh`, `python`, `pwsh`, a template with {0}, or NULL for the default. script: absolute path.
 * ERR_RUN_FAILED: the program is missing in the image, or the template is none. */
int shell_command(const char *shell, const struct shell_programs *p, const char *script, struct strv *ret,
                  struct err *e);
