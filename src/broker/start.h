/* Starting devdep-broker: for devdep-cli (later devdep-runner), which is trusted more than the process it starts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

struct err;
struct json_t;

/* Descriptors of devdep-broker. */
enum { BROKER_FD_SOCKET = 3, BROKER_FD_POLICY, BROKER_FD_REPORT };

struct broker_start {
        struct json_t *policy; /* as policy_from_json() takes it */
        uid_t uid;             /* as root: ids of the slot; an ordinary user: (uid_t)-1 */
        gid_t gid;
        const int *enter; /* entries of a control group (sandbox/cgroup.h) */
        unsigned n_enter;
        int log_fd; /* its standard error; -1: none */
};

struct broker_process {
        int socket_fd; /* the client's end, for devdep-job; close-on-exec */
        int pidfd;
        pid_t pid;
        int status;                   /* set by broker_process_done(): exit status, or 128 + signal */
        struct sandbox_report report; /* what it said that holds; nothing: it ended before */
};
#define BROKER_PROCESS_INIT                                                                                            \
        {                                                                                                              \
                .socket_fd = -1, .pidfd = -1                                                                           \
        }
int broker_start(const struct broker_start *s, struct broker_process *ret, struct err *e);
/* It ends when the last copy of socket_fd was closed; what still runs after a grace is killed. Safe on
 * BROKER_PROCESS_INIT. */
void broker_process_done(struct broker_process *p);
/* After that: how it ended, where that was not in order. */
bool broker_process_explain(const struct broker_process *p, char *ret, size_t size);
