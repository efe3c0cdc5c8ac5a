/* What a program that faces strangers does before it reads their first byte: check the descriptors that it was given,
 * and give up everything else (devdep-job, devdep-prepare, devdep-broker). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

struct err;

/* One descriptor and what it must be. */
struct confine_fd {
        int fd;
        mode_t type;  /* S_IFMT bits */
        mode_t other; /* or this; 0: nothing else */
        bool optional;
        const char *name; /* for messages */
};
#define CONFINE_MAX_FDS 16

struct confine {
        const char *name; /* of the jail: "job" */
        enum sandbox_filter filter;
        bool host_network;            /* stays where it is: its connections are what the program is for */
        const struct confine_fd *fds; /* ascending */
        size_t n_fds;                 /* at most CONFINE_MAX_FDS */
        const char *run_dir;          /* the only folder left, read-only, at /run; NULL: none */
        uid_t uid;                    /* (uid_t)-1: not root, the ids stay */
        gid_t gid;
        uint64_t file_size; /* RLIMIT_FSIZE */
};

#define CONFINE_MAX_OPEN_FILES 256 /* ours, the loop's, and control clients */

/* --uid and --gid: 1 to 2^32 - 2. ERR_USAGE naming the option. */
int confine_read_id(const char *text, const char *option, unsigned *ret, struct err *e);
/* ret_there[i]: fds[i] is open. ERR_USAGE: root without another user to become; the first descriptor that is missing or
 * of the wrong kind, worded for `program`.
 * Afterwards: no other descriptor but 0 to 2, no path but the run directory, no network (unless host_network), no
 * privilege, the filter. What a library opens by itself must be open or read before. Irreversible, also on failure:
 * exit then. */
int confine_check(const struct confine *c, const char *program, bool *ret_there, struct err *e);
int confine_self(const struct confine *c, struct sandbox_report *ret_report, struct err *e);
