/* The sets behind the filters of sandbox.h; lists of system call names end in NULL. */
#pragma once

#include <stdbool.h>

#include "sandbox/sandbox.h"

struct filter_set {
        const char *const *const *allow; /* NULL-terminated list of lists */
        const unsigned long *ioctls;     /* requests that are allowed, 0 ends; NULL: ioctl is as `allow` says */
        bool code;                       /* may map code: a program of the distribution is loaded under the filter */
        bool processes;                  /* may make processes and threads, never namespaces */
        bool outside;    /* may make sockets of the internet, and the one that asks for the host's addresses */
        bool alone;      /* one process among others of its user: signals itself only */
        bool unix_errno; /* sockets get EACCES instead of a kill: the C library asks nscd for a user's name */
};

/* Indexed by enum sandbox_filter; NONE, VMM and SERVER are empty (the last two are the deny-lists below). */
extern const struct filter_set filter_sets[];

extern const char *const filter_try_enosys[];
extern const char *const filter_try_sockets[];
extern const char *const filter_vmm_deny[];   /* killed */
extern const char *const filter_vmm_refuse[]; /* EPERM: QEMU or its libraries try these and go on */
extern const char *const filter_vmm_enosys[];
extern const char *const filter_server_deny[]; /* killed */
