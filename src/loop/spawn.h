/* Start one of our programs or tools: explicit descriptors, explicit environment, default signals, a pidfd. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct err;

#define SPAWN_MAX_FDS 32

struct spawn_fd {
        int from; /* a descriptor of ours */
        int to;   /* its number in the child; 0, 1 and 2 not named here become /dev/null */
};

struct spawn {
        const char *path;  /* absolute path of the program (no search) */
        char *const *argv; /* NULL-terminated */
        char *const *envp; /* NULL-terminated; the child gets exactly this */
        const struct spawn_fd *fds;
        unsigned n_fds;   /* everything else is closed in the child */
        const int *enter; /* entries of control groups, into which the child writes "0" before anything else */
        unsigned n_enter;
        int cwd_fd; /* fchdir to it, or -1 for "/" */
        uid_t uid;  /* (uid_t)-1: keep. Otherwise setgroups(0), setgid, setuid */
        gid_t gid;
        int new_session;     /* setsid() in the child */
        int die_with_parent; /* PR_SET_PDEATHSIG SIGKILL, checked against the race */
};
#define SPAWN_INIT                                                                                                     \
        {                                                                                                              \
                .cwd_fd = -1, .uid = (uid_t)-1, .gid = (gid_t)-1                                                       \
        }

/* 0 and *ret_pid, *ret_pidfd; a program that cannot be executed is reported here (negative), not as an exit status. */
int spawn(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *e);
/* Run to its end without a loop. stdout_buf and stderr_buf may be NULL (inherited as given in fds); outputs past max
 * bytes and the deadline kill it (negative). *ret_status: exit code, or 128 + signal. */
struct buf;
int spawn_wait(const struct spawn *s, struct buf *stdout_buf, struct buf *stderr_buf, size_t max, uint64_t timeout_ms,
               int *ret_status, struct err *e);
