/* Between vm_start() and devdep-jail, which are of one build: arguments, descriptors, and the report.
 *
 *   devdep-jail --uid N --gid N --file-size BYTES [--kvm] --pass FD[,FD]... -- PROGRAM ARGUMENT...
 *
 * Descriptors: 2 the VMM's standard error, JAIL_LIFELINE_FD and JAIL_LEASH_FD read ends, JAIL_REPORT_FD write end,
 * JAIL_LOCK_FD the slot's lock (kept open by the outer process while anything runs), and those of --pass, which the VMM
 * gets under the same numbers. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "sandbox/sandbox.h"

enum { JAIL_LIFELINE_FD = 3, JAIL_LEASH_FD, JAIL_REPORT_FD, JAIL_LOCK_FD, JAIL_FIRST_PASSED = 10 };
#define JAIL_MAX_PASSED 20

/* One or two of these arrive: the first when the jail stands, a second one when the VMM cannot be executed. Then the
 * pipe ends. */
struct jail_report {
        char magic[8]; /* JAIL_MAGIC */
        bool failed;
        enum err_code code;
        char message[ERR_MAX_MESSAGE];
        struct sandbox_report held;
};
#define JAIL_MAGIC "JAIL-01" /* changes with the struct */
