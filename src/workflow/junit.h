/* JUnit XML: the failures and errors of a report. The place of one is the last FILE:LINE in its text that lies in the
 * workspace, else the attributes `file` and `line` of the test case.
 *
 * expat reads it, without a DTD: a document type is refused, so that there are no entities of anybody's own. */
#pragma once

#include <stddef.h>

#include "workflow/issue.h"

#define JUNIT_MAX_SIZE ((size_t)1 << 20)  /* bytes of a report */
#define JUNIT_MAX_DEPTH 32u               /* elements in each other */
#define JUNIT_MAX_PROBLEMS 1000u          /* of one report */
#define JUNIT_MAX_TEXT ((size_t)64 << 10) /* bytes of one failure's text that are looked at: its end */

struct junit_config {
        const char *workspace, *folder; /* absolute */
        issue_fn *issue;
        void *user;
};

/* ERR_RUN_FAILED: not XML, or past a limit; the problems before that place were told. */
int junit_read(const struct junit_config *config, const void *data, size_t len, struct err *e);
