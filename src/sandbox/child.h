/* A program of ours that a command has started for itself, in a jail or confined, and talks to over one socket: how it
 * ends. It ends by itself once the last copy of the other end is closed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

struct sandbox_child {
        const char *name; /* "devdep-store"; lives on */
        int grace_ms;     /* for its end, after the socket was closed */
        int socket_fd;    /* the caller's end, close-on-exec; the caller may take it (-1) */
        int pidfd;
        pid_t pid;
        int status;                   /* set by sandbox_child_end(): exit status, or 128 + signal */
        struct sandbox_report report; /* what holds of its jail, or what it said itself */
};
#define SANDBOX_CHILD_INIT                                                                                             \
        {                                                                                                              \
                .socket_fd = -1, .pidfd = -1                                                                           \
        }
/* Close the socket, wait for the end, kill what then still runs, reap. Safe on SANDBOX_CHILD_INIT, and again. */
void sandbox_child_end(struct sandbox_child *c);
/* After that: when it ended in another way than by itself or by us, which signal it was; false otherwise. */
bool sandbox_child_explain(const struct sandbox_child *c, char *ret, size_t size);
