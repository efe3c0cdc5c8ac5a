/* Which program may call what. One list per subject; a filter is a list of lists.
 * To find what a program needs: run it under `strace -f -c` without its jail, then ask of each name why it is there. */
#include "sandbox/filter.h"

#include <asm/ioctls.h>
#include <linux/fd.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stddef.h>

#include "sandbox/sanitizer.h"

#define LIST(name) static const char *const name[]

/* Memory without mmap and mprotect, which are checked by argument. */
LIST(memory) = {"brk", "munmap", "mremap", "madvise", "mlock", "mlock2", "munlock", "membarrier", NULL};
LIST(code) = {"mmap", "mprotect", NULL};
LIST(end) = {"exit",           "exit_group",      "restart_syscall",   "rt_sigreturn", "rt_sigaction",
             "rt_sigprocmask", "rt_sigtimedwait", "sigaltstack",       "gettid",       "getpid",
             "futex",          "set_robust_list", "get_robust_list",   "rseq",         "set_tid_address",
             "arch_prctl",     "sched_yield",     "sched_getaffinity", "getrandom",    NULL};
LIST(time_calls) = {"clock_gettime", "clock_getres", "gettimeofday", "time", "clock_nanosleep", "nanosleep", NULL};
/* Bytes through descriptors that are already there. */
LIST(bytes) = {"read",   "write",   "readv",      "writev",          "pread64", "pwrite64",
               "preadv", "pwritev", "preadv2",    "pwritev2",        "close",   "close_range",
               "lseek",  "fstat",   "newfstatat", "statx",           "dup",     "dup2",
               "dup3",   "pipe2",   "sendfile",   "copy_file_range", "splice",  "memfd_create",
               NULL};
LIST(waiting) = {"poll",           "ppoll",           "select",          "pselect6",     "epoll_create1",
                 "epoll_ctl",      "epoll_wait",      "epoll_pwait",     "epoll_pwait2", "eventfd2",
                 "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4",    NULL};
/* Inherited sockets; none is made or connected. No sendmsg and recvmsg: descriptors could go along, and whoever holds
 * the lifeline and the slot's lock could give both to the VMM, which would then outlive its owner. */
LIST(socket_bytes) = {"recvfrom",   "sendto",     "accept4",     "accept",      "shutdown",
                      "getsockopt", "setsockopt", "getsockname", "getpeername", NULL};
/* Connections to the outside. Nothing listens or accepts; no sendmsg: no descriptor goes anywhere. */
LIST(socket_out) = {"connect",    "bind",       "recvfrom",    "recvmsg",     "sendto", "shutdown",
                    "getsockopt", "setsockopt", "getsockname", "getpeername", NULL};
/* libcurl waits on one of its own. */
LIST(socket_pair) = {"socketpair", NULL};
/* Bytes of sockets alone: no file is open. */
LIST(bytes_out) = {"read", "write", "readv", "writev", "close", "fstat", "newfstatat", NULL};
LIST(who) = {"getuid",  "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getppid", "getpgrp",
             "getpgid", "getsid",  "uname",  "sysinfo", "getrusage", "times",     "capget",    NULL};
LIST(files_read) = {"openat",           "openat2",   "open",      "access",        "faccessat",
                    "faccessat2",       "stat",      "lstat",     "readlink",      "readlinkat",
                    "getdents64",       "getcwd",    "statfs",    "fstatfs",       "fadvise64",
                    "getxattr",         "lgetxattr", "fgetxattr", "inotify_init1", "inotify_add_watch",
                    "inotify_rm_watch", NULL};
LIST(files_write) = {"unlink",          "unlinkat",  "mkdir",    "mkdirat",   "rmdir",     "rename", "renameat",
                     "renameat2",       "link",      "linkat",   "symlink",   "symlinkat", "fsync",  "fdatasync",
                     "sync_file_range", "ftruncate", "truncate", "fallocate", "umask",     "chmod",  "fchmod",
                     "fchmodat",        "utimensat", NULL};
/* Of files_read and files_write only what devdep-store does: no modes, no owners, no links. qsort() asks sysinfo. */
LIST(store_files) = {"openat", "getdents64", "mkdirat",   "unlinkat", "renameat", "fsync",
                     "flock",  "fstatfs",    "utimensat", "sysinfo",  NULL};
/* devdep-store's two sockets. */
LIST(two_sockets) = {"poll", NULL};
LIST(folders) = {"chdir", "fchdir", NULL};
LIST(start) = {"execve", "execveat", "prctl", NULL};
LIST(filters) = {"seccomp", NULL};
LIST(children) = {"fork",    "vfork",  "wait4", "waitid", "kill",      "pidfd_open",  "pidfd_send_signal",
                  "setpgid", "setsid", "pipe",  "alarm",  "setitimer", "getpriority", NULL};
LIST(init_calls) = {"wait4", "waitid", "kill", "pidfd_send_signal", NULL};
/* Both can end other processes of the same user (a descriptor's owner gets the signal of its F_SETSIG): whole in a pid
 * namespace of one's own, by argument elsewhere. */
LIST(signals) = {"tgkill", "fcntl", NULL};
/* What AddressSanitizer's runtime does in the process that it checks, its leak checker's tracer included. */
#if SANDBOX_SANITIZED
LIST(sanitizer) = {"mmap",       "mprotect", "clone",  "wait4",         "ptrace",
                   "prctl",      "open",     "openat", "readlink",      "readlinkat",
                   "kill",       "getppid",  "ioctl",  "set_mempolicy", "process_vm_readv",
                   "getdents64", "getdents", "lseek",  "personality",   "prlimit64",
                   NULL};
#define SANITIZER sanitizer,
#else
#define SANITIZER
#endif

static const char *const *const job_allow[] = {memory,       end, time_calls, bytes,       waiting,
                                               socket_bytes, who, files_read, files_write, SANITIZER NULL};
static const char *const *const git_allow[] = {memory,     code,        end,     time_calls, bytes,    waiting, who,
                                               files_read, files_write, folders, start,      children, signals, NULL};
static const char *const *const tool_allow[] = {memory,     code,        end,     time_calls, bytes,   waiting, who,
                                                files_read, files_write, folders, start,      signals, NULL};
static const char *const *const planner_allow[] = {memory, end, time_calls, bytes, SANITIZER NULL};
static const char *const *const init_allow[] = {memory, end,        time_calls, bytes,         waiting,
                                                who,    init_calls, signals,    SANITIZER NULL};
static const char *const *const store_allow[] = {memory,      end,         time_calls,    bytes,
                                                 store_files, two_sockets, SANITIZER NULL};
/* Signals whole: it is alone in a pid namespace of its own. */
static const char *const *const store_start_allow[] = {memory,  code,       end,           time_calls,  bytes,
                                                       who,     files_read, store_files,   two_sockets, start,
                                                       filters, signals,    SANITIZER NULL};

static const char *const *const service_allow[] = {memory,  end,         time_calls,    bytes,
                                                   waiting, store_files, SANITIZER NULL};
static const char *const *const service_start_allow[] = {memory,  code,    end,           time_calls,  bytes,
                                                         waiting, who,     files_read,    store_files, start,
                                                         filters, signals, SANITIZER NULL};

static const char *const *const broker_allow[] = {memory,     end,       time_calls, waiting,
                                                  socket_out, bytes_out, who,        SANITIZER NULL};
static const char *const *const secrets_allow[] = {memory,    end, time_calls,  waiting,       socket_out,
                                                   bytes_out, who, socket_pair, SANITIZER NULL};
static const char *const *const secrets_start_allow[] = {memory,  code,       end,         time_calls,    bytes,
                                                         waiting, socket_out, who,         start,         filters,
                                                         signals, files_read, socket_pair, SANITIZER NULL};

static const unsigned long ask_ioctls[] = {FIONREAD, TCGETS, TIOCGWINSZ, 0};
static const unsigned long tool_ioctls[] = {FIONREAD,         TCGETS,          TIOCGWINSZ,    BLKGETSIZE64,
                                            BLKSSZGET,        BLKROGET,        BLKGETSIZE,    FDGETPRM,
                                            BLKDISCARDZEROES, FS_IOC_GETFLAGS, FS_IOC_FIEMAP, 0};

const struct filter_set filter_sets[] = {
        [SANDBOX_FILTER_NONE] = {0},
        [SANDBOX_FILTER_VMM] = {0},
        [SANDBOX_FILTER_SERVER] = {0},
        [SANDBOX_FILTER_JOB] = {.allow = job_allow,
                                .ioctls = SANDBOX_SANITIZED ? NULL : ask_ioctls,
                                .code = SANDBOX_SANITIZED,
                                .alone = true},
        [SANDBOX_FILTER_GIT] =
                {.allow = git_allow, .ioctls = ask_ioctls, .code = true, .processes = true, .unix_errno = true},
        [SANDBOX_FILTER_TOOL] = {.allow = tool_allow, .ioctls = tool_ioctls, .code = true, .unix_errno = true},
        [SANDBOX_FILTER_PLANNER] = {.allow = planner_allow,
                                    .ioctls = SANDBOX_SANITIZED ? NULL : ask_ioctls,
                                    .code = SANDBOX_SANITIZED,
                                    .alone = true},
        [SANDBOX_FILTER_INIT] = {.allow = init_allow, .code = SANDBOX_SANITIZED},
        [SANDBOX_FILTER_STORE_START] = {.allow = store_start_allow, .ioctls = ask_ioctls, .code = true},
        [SANDBOX_FILTER_STORE] = {.allow = store_allow,
                                  .ioctls = SANDBOX_SANITIZED ? NULL : ask_ioctls,
                                  .code = SANDBOX_SANITIZED,
                                  .alone = true},
        [SANDBOX_FILTER_SERVICE_START] = {.allow = service_start_allow, .ioctls = ask_ioctls, .code = true},
        [SANDBOX_FILTER_SERVICE] = {.allow = service_allow,
                                    .ioctls = SANDBOX_SANITIZED ? NULL : ask_ioctls,
                                    .code = SANDBOX_SANITIZED,
                                    .alone = true},
        [SANDBOX_FILTER_SECRETS_START] = {.allow = secrets_start_allow,
                                          .ioctls = ask_ioctls,
                                          .code = true,
                                          .outside = true},
        [SANDBOX_FILTER_SECRETS] = {.allow = secrets_allow,
                                    .ioctls = SANDBOX_SANITIZED ? NULL : ask_ioctls,
                                    .code = SANDBOX_SANITIZED,
                                    .outside = true,
                                    .alone = true},
        [SANDBOX_FILTER_BROKER] = {.allow = broker_allow,
                                   .ioctls = SANDBOX_SANITIZED ? NULL : ask_ioctls,
                                   .code = SANDBOX_SANITIZED,
                                   .outside = true,
                                   .alone = true},
};

/* clone3 cannot be checked, the others are newer ways that have an older one. */
const char *const filter_try_enosys[] = {"clone3", "io_uring_setup", NULL};
const char *const filter_try_sockets[] = {"socket", "connect", NULL};

/* What neither devdep-pool nor a maker, a jail that is being built, a VMM or devdep-prepare calls. Mounts, namespaces,
 * identities, capabilities, key rings and filters are what jails are made of. */
const char *const filter_server_deny[] = {
#if !SANDBOX_SANITIZED
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "personality",
#endif
        "process_madvise",
        "pidfd_getfd",
        "kcmp",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "lookup_dcookie",
        "open_by_handle_at",
        "fanotify_init",
        "acct",
        "swapon",
        "swapoff",
        "reboot",
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
        "adjtimex",
        "stime",
        "quotactl",
        "quotactl_fd",
        "syslog",
        "iopl",
        "ioperm",
        "modify_ldt",
        "vhangup",
        "nfsservctl",
        "uselib",
        "ustat",
        "sysfs",
        "_sysctl",
        "add_key",
        "request_key",
        NULL,
};

/* QEMU needs none of these once it runs; its own -sandbox denies some of them a second time. What depends on arguments
 * is in filter.c: execve, clone, kill and its kin, prlimit64, ioctl. */
const char *const filter_vmm_deny[] = {
        "execveat",
        "mount",
        "umount2",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsmount",
        "fsconfig",
        "fspick",
        "mount_setattr",
        "pivot_root",
        "chroot",
        "unshare",
        "setns",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "process_madvise",
        "pidfd_open",
        "pidfd_getfd",
        "pidfd_send_signal",
        "process_mrelease",
        "migrate_pages",
        "move_pages",
        "tkill",
        "kcmp",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "bpf",
        "perf_event_open",
        "add_key",
        "request_key",
        "keyctl",
        "userfaultfd",
        "open_by_handle_at",
        "name_to_handle_at",
        "fanotify_init",
        "acct",
        "swapon",
        "swapoff",
        "reboot",
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
        "adjtimex",
        "stime",
        "quotactl",
        "quotactl_fd",
        "sethostname",
        "setdomainname",
        "syslog",
        "iopl",
        "ioperm",
        "modify_ldt",
        "vhangup",
        "nfsservctl",
        "lookup_dcookie",
        "uselib",
        "ustat",
        "sysfs",
        "_sysctl",
        "personality",
        "mknod",
        "mknodat",
        "chown",
        "fchown",
        "lchown",
        "fchownat",
        "chmod",
        "fchmod",
        "fchmodat",
        "setxattr",
        "lsetxattr",
        "fsetxattr",
        "socket",
        "connect",
        "bind",
        "listen",
        "setuid",
        "setgid",
        "setreuid",
        "setregid",
        "setresuid",
        "setresgid",
        "setgroups",
        "setfsuid",
        "setfsgid",
        "capset",
        "fork",
        "vfork",
        "memfd_secret",
        "landlock_create_ruleset",
        NULL,
};
const char *const filter_vmm_refuse[] = {
        "setpriority", "sched_setscheduler", "sched_setattr", "sched_setparam", "sched_setaffinity", "ioprio_set",
        NULL};
const char *const filter_vmm_enosys[] = {"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", NULL};
