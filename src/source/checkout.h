/* What the guest does with a checkout stream, as data: devdep-job executes it and knows no git.
 *
 * For one repository:
 *   1. `put` the tar stream of source_checkout() into the target folder, user runner (wipe=1 where `clean` holds);
 *   2. `exec` checkout_finish(working) with the target folder as working directory, user runner, and
 *      checkout_finish_env() added to the environment; a status other than 0 fails the step with its output.
 * Then the same for each submodule at TARGET/PATH, from the outermost inwards. */
#pragma once

#include <stdbool.h>

/* NULL-terminated, static storage. The commit's files are written by the guest's own git (line endings and attributes
 * are applied there); of a working tree only the index is brought up to date. */
const char *const *checkout_finish(bool working);
/* "NAME=VALUE", NULL-terminated, static storage. */
const char *const *checkout_finish_env(void);
