/* Jails: what a program on the host may see and do, built stage by stage before it reads a byte of a stranger.
 *
 * A jail is described by `struct sandbox` and entered in one of two ways:
 *   sandbox_spawn()         forks a child that builds the jail and then executes a program in it (or runs `init`): the
 * VMM, git, e2fsck, the planner. The child gets new pid, mount, ipc, uts and (empty) net namespaces.
 *   sandbox_confine_self()  the running process gives up what it no longer needs: devdep-job. No pid namespace, no
 * exec.
 *
 * Both work as root (the jail gets the ids of the slot and afterwards a user namespace of its own, which owns none of
 * the jail's other namespaces) and for an ordinary user (a user namespace with the caller's one id). What cannot be
 * held on this host is reported in `struct sandbox_report`, never hidden; a protection in `required` that cannot be
 * held is an error (ERR_RESOURCES) that says what to do about it.
 *
 * In a jail: the root is a private read-only tmpfs with nothing but the listed binds (nosuid; nodev unless a device),
 * no capability in any set, no_new_privs, core files off, the environment and the descriptors that were named and no
 * others, and a filter for system calls. A forbidden call ends the whole process with SIGSYS (sandbox_explain_exit()
 * words it); the kernel's log then names the call (audit record type 1326), so no mode that only logs exists.
 *
 * The order of the stages, and what each may and must not do, is at the head of sandbox.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct spawn_fd;

/* What a jail protects with; the order is that of reports. */
enum sandbox_protection {
        SANDBOX_OWN_USER, /* a user id that nothing else on the host runs under */
        SANDBOX_USER_NS,
        SANDBOX_PID_NS,
        SANDBOX_MOUNT_NS,
        SANDBOX_IPC_NS,
        SANDBOX_UTS_NS,
        SANDBOX_NET_NS, /* empty: not even a loopback that is up */
        SANDBOX_PRIVATE_ROOT,
        SANDBOX_PROC_SUBSET, /* proc shows processes only, and only the jail's */
        SANDBOX_NO_CAPS,
        SANDBOX_NO_NEW_PRIVS,
        SANDBOX_LIMITS, /* rlimits, core files off */
        SANDBOX_CLOSED_FDS,
        SANDBOX_CLEAN_ENV,
        SANDBOX_SECCOMP,
        SANDBOX_CGROUP,        /* memory and process limits that the host holds */
        SANDBOX_NO_DUMPS,      /* neither a core file nor another process of its user shows its memory */
        SANDBOX_LOCKED_MEMORY, /* what it keeps of secrets is never swapped out */
        SANDBOX_PROTECTION_COUNT,
};
#define SANDBOX_BIT(p) (1u << (p))
/* Everything without which a jail is none; what may be missing is own user, user namespace as root, proc, cgroup. */
#define SANDBOX_REQUIRED                                                                                               \
        (SANDBOX_BIT(SANDBOX_MOUNT_NS) | SANDBOX_BIT(SANDBOX_IPC_NS) | SANDBOX_BIT(SANDBOX_UTS_NS) |                   \
         SANDBOX_BIT(SANDBOX_NET_NS) | SANDBOX_BIT(SANDBOX_PRIVATE_ROOT) | SANDBOX_BIT(SANDBOX_NO_CAPS) |              \
         SANDBOX_BIT(SANDBOX_NO_NEW_PRIVS) | SANDBOX_BIT(SANDBOX_LIMITS) | SANDBOX_BIT(SANDBOX_CLOSED_FDS) |           \
         SANDBOX_BIT(SANDBOX_CLEAN_ENV) | SANDBOX_BIT(SANDBOX_SECCOMP))

enum sandbox_state { SANDBOX_UNUSED, SANDBOX_OK, SANDBOX_DEGRADED, SANDBOX_MISSING };

struct sandbox_held {
        enum sandbox_state state;
        char why[160]; /* empty when ok */
};
struct sandbox_report {
        struct sandbox_held held[SANDBOX_PROTECTION_COUNT];
};
/* What a program of ours says of itself, once it has confined itself and before it reads a stranger's byte: one write
 * to a pipe. */
int sandbox_report_send(int fd, const struct sandbox_report *r, struct err *e);
/* The same on the other side, within `ms`: what was said of a protection takes the place of what *into holds of it.
 * SANDBOX_E_SILENT: it ended, or said nothing in time; *into is as it was. ERR_PROTOCOL: it said something else. */
#define SANDBOX_E_SILENT 1
#define SANDBOX_REPORT_MS 10000 /* from the start of a program to its report */
int sandbox_report_receive(int fd, int ms, struct sandbox_report *into, struct err *e);
const char *sandbox_protection_name(enum sandbox_protection p); /* "own-user", "empty-network", ... */
const char *sandbox_protection_mend(enum sandbox_protection p); /* a command or a sentence for the operator */
const char *sandbox_state_name(enum sandbox_state s);           /* "unused", "ok", "degraded", "missing" */

/* One thing of the host in the jail's tree. A symbolic link at `from` becomes the same link in the jail. */
struct sandbox_bind {
        const char *from; /* absolute path on the host */
        const char *to;   /* absolute path in the jail; NULL: the same as from. Parents are made */
        bool writable;
        bool executable;  /* otherwise noexec: a bind of programs or libraries needs it */
        bool optional;    /* missing on the host: left out */
        bool exact;       /* `from` was resolved before and has no links; one that is there now is refused, because
                             strangers can change its folders */
        bool idmap_owner; /* as root: the owner of `from` appears as the jail's user (git needs it for root's
                             repository) */
};
#define SANDBOX_MAX_BINDS 32

enum {
        SANDBOX_DEV_NULL = 1,
        SANDBOX_DEV_ZERO = 2,
        SANDBOX_DEV_URANDOM = 4,
        SANDBOX_DEV_KVM = 8,
        SANDBOX_DEV_SHM = 16 /* a private tmpfs */
};

enum sandbox_filter {
        SANDBOX_FILTER_NONE,
        SANDBOX_FILTER_VMM,     /* deny-list on top of QEMU's own -sandbox; applied by sandbox_exec_vmm() */
        SANDBOX_FILTER_JOB,     /* allow-list for devdep-job after its set-up: inherited descriptors, files of its run
                                   directory, no exec, no sockets made */
        SANDBOX_FILTER_GIT,     /* allow-list for git and its own helpers: files, processes, pipes; no sockets */
        SANDBOX_FILTER_TOOL,    /* allow-list for one single-process tool on files (e2fsck): no sockets, no fork */
        SANDBOX_FILTER_PLANNER, /* allow-list for parsing: read and write of open descriptors, memory, exit */
        SANDBOX_FILTER_INIT,    /* allow-list for devdep-jail as pid 1: wait, kill, poll, exit */
        SANDBOX_FILTER_STORE_START, /* the next one, and what loading a program and applying that one needs */
        SANDBOX_FILTER_STORE, /* allow-list for devdep-store: its files and its socket, no exec, no sockets made */
        SANDBOX_FILTER_SERVICE_START, /* the next one, and what loading a program and applying that one needs */
        SANDBOX_FILTER_SERVICE, /* allow-list for devdep-service: devdep-store's, and waiting for its one socket */
        SANDBOX_FILTER_SECRETS_START, /* the next one, and what loading a program and applying that one needs */
        SANDBOX_FILTER_SECRETS,       /* allow-list for devdep-secrets: as devdep-broker's, and a pair of sockets */
        SANDBOX_FILTER_BROKER, /* allow-list for devdep-broker after its set-up: sockets of the internet that connect,
                                  no file, no exec, nothing that listens */
        SANDBOX_FILTER_SERVER, /* deny-list for what stays and starts jails: what it and all below never need */
};
const char *sandbox_filter_name(enum sandbox_filter f);

struct sandbox_limit {
        int resource; /* RLIMIT_* */
        uint64_t
                value; /* soft and hard; lowered to the hard limit that is already there. RLIMIT_CORE 0 is always set */
};

struct sandbox {
        const char *name; /* "vmm", "git": for messages, and the jail's host name */
        uid_t uid; /* as root: the ids to run under (never 0). Ordinary user: must be (uid_t)-1 or the caller's */
        gid_t gid;
        const struct sandbox_bind *binds;
        unsigned n_binds;
        bool host_network; /* no network namespace of its own; `required` without SANDBOX_NET_NS */
        bool proc;         /* mount /proc with subset=pid, hidepid=invisible */
        unsigned devices;  /* SANDBOX_DEV_* */
        const struct sandbox_limit *limits;
        unsigned n_limits;
        enum sandbox_filter filter;
        const char *cwd;   /* in the jail; NULL: "/" */
        unsigned required; /* SANDBOX_BIT mask */
};
#define SANDBOX_INIT                                                                                                   \
        {                                                                                                              \
                .uid = (uid_t)-1, .gid = (gid_t)-1, .required = SANDBOX_REQUIRED                                       \
        }

/* The dynamic loader, libraries, and ld.so.cache, read-only and executable; for programs of the distribution. */
extern const struct sandbox_bind sandbox_binds_libraries[];
extern const unsigned sandbox_n_binds_libraries;

/* What runs in the jail, as pid 1 of its namespace: either a program or a function of ours. */
struct sandbox_exec {
        const char *path; /* absolute path on the host; need not be visible in the jail (its loader and libraries must
                             be) */
        char *const *argv, *const *envp; /* NULL-terminated; envp is everything the program gets */
        const struct spawn_fd *fds;      /* loop/spawn.h; 0, 1, 2 not named become /dev/null */
        unsigned n_fds;
        const int *enter; /* entries of control groups (sandbox/cgroup.h), entered before the first stage */
        unsigned n_enter;
        bool die_with_parent;
        /* Instead of path: runs with the jail complete except for the filter, which it applies with
         * sandbox_filter_apply(). Its return value is the exit status. */
        int (*init)(void *user);
        void *user;
};

/* The parent is single-threaded. Returns after the program was executed (or right before init runs); a stage that
 * failed is reported here with its name, and no child is left. ret_report may be NULL. The child is reaped by the
 * caller through ret_pidfd (loop_child_new) or sandbox_wait(). */
int sandbox_spawn(const struct sandbox *s, const struct sandbox_exec *x, pid_t *ret_pid, int *ret_pidfd,
                  struct sandbox_report *ret_report, struct err *e);
/* Reap it; killed when it has not ended after timeout_ms. Exit code, or 128 + signal. */
int sandbox_wait(pid_t pid, int pidfd, int timeout_ms);
/* Everything in one: spawn, read stdout and stderr (each NULL: as x->fds says) up to max bytes each, wait, kill at the
 * deadline. *ret_status: exit code, or 128 + signal (159: the filter). */
struct buf;
int sandbox_run(const struct sandbox *s, const struct sandbox_exec *x, struct buf *stdout_buf, struct buf *stderr_buf,
                size_t max, uint64_t timeout_ms, int *ret_status, struct err *e);

/* Confine the calling process (single-threaded): namespaces, root, ids, capabilities, limits; every descriptor not in
 * keep[n] (sorted ascending) is closed; then s->filter. As root s->uid is switched to; otherwise a user namespace. The
 * binds are all that is left of the file system, typically one: the run directory at "/run", writable. A death signal
 * (PR_SET_PDEATHSIG) that was set before is kept. Irreversible, also on failure: exit then. */
int sandbox_confine_self(const struct sandbox *s, const int *keep, size_t n_keep, struct sandbox_report *ret_report,
                         struct err *e);

/* For a program that stays and starts jails: no_new_privs, no core files, SANDBOX_FILTER_SERVER. Inherited. */
int sandbox_server(struct err *e);
/* Set no_new_privs and load one filter into the calling process. */
int sandbox_filter_apply(enum sandbox_filter f, struct err *e);
/* Execute a VMM under SANDBOX_FILTER_VMM, and nothing ever again: the filter's one execve is this one. Returns on
 * failure alone. `path` is visible in the jail. */
int sandbox_exec_vmm(const char *path, char *const *argv, char *const *envp, struct err *e);
/* A sentence for an exit status as in *ret_status above: "exited with status 3", "was killed by its system call filter
 * ...". */
void sandbox_explain_exit(const char *name, int status, char *ret, size_t size);

/* Open a regular file through a detached read-only bind mount: the descriptor can neither be reopened for writing
 * through /proc/self/fd by the file's owner nor be chmod'ed (EROFS). An ordinary user gets it from a helper process in
 * a user namespace; where even that is refused the descriptor is a plain read-only one and *ret_degraded (may be NULL)
 * is set. */
int sandbox_open_readonly(const char *path, int *ret, bool *ret_degraded, struct err *e);
/* The same for the file of an open descriptor, wherever its path leads now. */
int sandbox_reopen_readonly(int fd, int *ret, bool *ret_degraded, struct err *e);
