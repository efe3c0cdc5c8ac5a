/* Starting devdep-secrets: for devdep-cli, which is trusted more than the process it starts.
 *
 * It runs in a jail with a user of its own, the caller's network when somebody has to be asked over it, and of the
 * host's files the libraries, the certificates of the host's authorities, and how names are resolved. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

struct err;
struct order;

/* Descriptors of devdep-secrets. */
enum {
        SECRETS_FD_ORDER = 3,
        SECRETS_FD_SOCKET,
        SECRETS_FD_VALUES,
        SECRETS_FD_CREDENTIALS,
        SECRETS_FD_SLOT,
        SECRETS_FD_REPORT
};

struct secrets_start {
        const struct order *order;
        int credentials_fd;  /* of an area (base/secret.h) */
        const char *program; /* path of devdep-secrets; NULL: beside the running program, else the libexec folder */
        uid_t uid;           /* as root: ids of the slot; an ordinary user: (uid_t)-1 */
        gid_t gid;
        const int *enter; /* entries of a control group (sandbox/cgroup.h) */
        unsigned n_enter;
        int log_fd;  /* its standard error; -1: none */
        int slot_fd; /* the slot's lock, which it keeps to its end; -1: none */
        bool check;  /* values are not fetched, only looked for: no memory for them */
};
#define SECRETS_START_INIT                                                                                             \
        {                                                                                                              \
                .credentials_fd = -1, .uid = (uid_t)-1, .gid = (gid_t)-1, .log_fd = -1, .slot_fd = -1                  \
        }

struct secrets_process {
        int socket_fd; /* the reader's end, close-on-exec */
        int values_fd; /* the memory file that the values will be in; -1: check */
        int pidfd;     /* it ends by itself once the last copy of socket_fd is closed and everything is given back */
        pid_t pid;
        struct sandbox_report report; /* of its jail, and what it said itself */
};
#define SECRETS_PROCESS_INIT                                                                                           \
        {                                                                                                              \
                .socket_fd = -1, .values_fd = -1, .pidfd = -1                                                          \
        }
/* What it cannot do is not reported here but by its first answer. The child is not tied to the caller's life: what was
 * lent is given back after it. */
int secrets_start(const struct secrets_start *s, struct secrets_process *ret, struct err *e);
/* Close what is ours; the process is the caller's to wait for. Safe on SECRETS_PROCESS_INIT. */
void secrets_process_close(struct secrets_process *p);
