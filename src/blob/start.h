/* Starting devdep-store, and devdep-service, which may read the artifacts and not change them: for devdep-cli (later
 * devdep-runner), which is trusted more than the process it starts.
 *
 * The starter makes the two folders, and starts devdep-store in a jail that shows these, writable and without leave to
 * execute, and the system's libraries. What the job may reach is decided here: the folders and the scopes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sandbox/child.h"
#include "sandbox/sanitizer.h"

struct err;

#define STORE_MAX_PROCESSES (1u + SANDBOX_SANITIZED) /* of the jail */

struct store_start {
        bool service;              /* devdep-service, not devdep-store */
        const char *artifacts;     /* folder of the run's artifacts (store_place_artifacts()); */
        const char *caches;        /* folder of the repository's caches; NULL: no caches */
        const char *const *scopes; /* of caches: the first is the one that is written */
        size_t n_scopes;
        const char *run, *job;
        const char *program; /* path of devdep-store; NULL: beside the running program, else the libexec folder */
        uid_t uid;           /* as root: the store's user (slot.h); an ordinary user: (uid_t)-1 */
        gid_t gid;
        const int *enter; /* entries of a control group (sandbox/cgroup.h) */
        unsigned n_enter;
        int peer_fd; /* the end of a socket between the two; -1: none */
        int log_fd;  /* its standard error, for example a memfd; -1: none */
};
#define STORE_START_INIT                                                                                               \
        {                                                                                                              \
                .uid = (uid_t)-1, .gid = (gid_t)-1, .peer_fd = -1, .log_fd = -1                                        \
        }

/* Failure to open the folders is not reported here but by the first answer. The child's socket is for devdep-job's
 * descriptor 14 (18: a service), or store_client_new(). */
int store_start(const struct store_start *s, struct sandbox_child *ret, struct err *e);
