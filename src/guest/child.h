/* What every process that process 1 starts does first: leave its descriptors behind, enter the job's root, become a
 * user, and say what went wrong. */
#pragma once

#include <stdbool.h>

struct err;
struct jobroot;
struct user;

#define REPORT_MAX_CODE 16

/* The first thing that a child writes to process 1: a code of docs/protocol-guest.md and a sentence; an empty code for
 * "well". */
struct report {
        char code[REPORT_MAX_CODE];
        char message[512];
};

/* Where a child's descriptors are put; those from CHILD_REPORT on are closed by exec. */
enum child_fd { CHILD_REPORT = 3, CHILD_MNT_NS, CHILD_CGROUP_NS, CHILD_GROUP, CHILD_N_FDS };

/* Default signals, and exactly these descriptors: from[i] becomes i. */
int child_take_fds(const int from[CHILD_N_FDS]);
/* Enter the job's namespaces (CHILD_MNT_NS, CHILD_CGROUP_NS) and find the user there. Ends the process on failure. */
void child_enter(const char *user_name, struct user *ret);
void child_become(const struct user *u);
/* Write a report with the code of an errno, or with a given one, and end the process. */
void child_fail_errno(int errnum, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
void child_fail(const char *code, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* "All is well", for a child that goes on to speak. */
void child_report_ok(void);
const char *child_code(int errnum); /* of an errno */
