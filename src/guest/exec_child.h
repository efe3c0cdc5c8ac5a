/* Starting a process of the job: what happens between fork and exec. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct fields;
struct jobroot;

#define EXEC_MAX_ARGS 4096 /* argv, and env likewise */

struct exec_request {
        struct strv argv, env;
        char cwd[4096];
        char user[256];
        char step[33];
        bool has_stdin, keep;
        bool pty;
        uint16_t rows, columns;
};
void exec_request_done(struct exec_request *q);
/* Read the request fields of `exec` and `pty`. */
int exec_request_parse(const struct fields *f, bool pty, struct exec_request *ret, struct err *e);

/* The child's descriptors; for a terminal all three are its slave. */
struct exec_stdio {
        int in, out, err, report;
};
/* Fork into the control group and execute. 0 and *ret_pid; a failure to fork is negative, one of the child is reported.
 */
int exec_child_start(const struct exec_request *q, const struct jobroot *job, int group, const struct exec_stdio *io,
                     pid_t *ret_pid, struct err *e);
