/* Starting devdep-broker: for devdep-cli (later devdep-runner), which is trusted more than the process it starts. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "sandbox/child.h"

struct err;
struct json_t;

/* Descriptors of devdep-broker. */
enum { BROKER_FD_SOCKET = 3, BROKER_FD_POLICY, BROKER_FD_REPORT };

struct broker_start {
        struct json_t *policy;      /* as policy_from_json() takes it */
        struct json_t *authorities; /* of its mirrors (cli/mirrors.h), into the broker's copy of it; NULL: none */
        uid_t uid;                  /* as root: ids of the slot; an ordinary user: (uid_t)-1 */
        gid_t gid;
        const int *enter; /* entries of a control group (sandbox/cgroup.h) */
        unsigned n_enter;
        int log_fd; /* its standard error; -1: none */
};

/* What it said that holds is in the child's report. */
int broker_start(const struct broker_start *s, struct sandbox_child *ret, struct err *e);
