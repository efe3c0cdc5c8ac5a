/* A VMM that was taken over: executed by devdep-jail in QEMU's place, with QEMU's descriptors, it tries one thing that
 * a VMM must not be able to do and tells on standard error how it went. Its arguments:
 *
 *   NAME[:ARGUMENT]            "NAME: refused (EPERM)" and status 0, or "NAME: SUCCEEDED" and status 10
 *   --outside NAME[:ARGUMENT]  the same without a jail, in namespaces that are thrown away
 *   --list                     every NAME, and "outside" where root has to succeed with it there
 *   --descriptors              "fd NUMBER MODE SEALS LINK" of each
 *
 * One attempt per process, because the filter ends the process (which says nothing then: its parent sees SIGSYS), and
 * because it may not fork. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SUCCEEDED 10

/* Who is attacked: in the jail its keeper, outside a child made for it. */
static pid_t target = 1;
static char **self;

typedef long attempt_fn(const char *arg);

#define TRY(name, expression)                                                                                          \
        static long name(const char *arg)                                                                              \
        {                                                                                                              \
                (void)arg;                                                                                             \
                return (long)(expression);                                                                             \
        }

static long open_of(pid_t pid, const char *name, int flags)
{
        char path[128];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        return open(path, flags);
}

/* ---- other processes ---- */

TRY(try_kill, kill(target, SIGTERM))
TRY(try_kill_all, kill(-1, SIGCONT))
TRY(try_kill_group, kill(0, SIGCONT))
TRY(try_tgkill, syscall(SYS_tgkill, target, target, SIGTERM))
TRY(try_tkill, syscall(SYS_tkill, target, SIGTERM))
TRY(try_ptrace, ptrace(PTRACE_SEIZE, target, 0, 0))
TRY(try_pidfd_open, syscall(SYS_pidfd_open, target, 0))
TRY(try_kcmp, syscall(SYS_kcmp, getpid(), target, 0, 0, 0))
TRY(try_prlimit, prlimit(target, RLIMIT_NOFILE, &(struct rlimit){3, 3}, NULL))
TRY(try_priority, setpriority(PRIO_PROCESS, (id_t)target, 10))
TRY(try_affinity, sched_setaffinity(target, sizeof(cpu_set_t), &(cpu_set_t){{1}}))
TRY(try_migrate, syscall(SYS_migrate_pages, target, 64, &(unsigned long){1}, &(unsigned long){1}))
TRY(try_proc_mem, open_of(target, "mem", O_RDWR))
TRY(try_proc_environ, open_of(target, "environ", O_RDONLY))
TRY(try_proc_root, open_of(target, "root/etc", O_RDONLY))
TRY(try_proc_fd, open_of(target, "fd/3", O_RDONLY))
TRY(try_proc_maps, open_of(target, "maps", O_RDONLY))

static long try_sigqueue(const char *arg)
{
        siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};

        (void)arg;
        return syscall(SYS_rt_sigqueueinfo, target, SIGTERM, &info);
}

static long read_another(long call)
{
        char here[8];
        struct iovec local = {here, 8}, remote = {self, 8};

        return syscall(call, target, &local, 1, &remote, 1, 0);
}

TRY(try_vm_readv, read_another(SYS_process_vm_readv))
TRY(try_vm_writev, read_another(SYS_process_vm_writev))

static long with_pidfd(long call, long argument)
{
        int fd = (int)syscall(SYS_pidfd_open, target, 0);

        return fd < 0 ? fd : syscall(call, fd, argument, 0, 0);
}

TRY(try_pidfd_getfd, with_pidfd(SYS_pidfd_getfd, 0))
TRY(try_pidfd_signal, with_pidfd(SYS_pidfd_send_signal, SIGTERM))

static long numbers_in_proc(const char *arg)
{
        DIR *d = opendir("/proc");
        long others = 0;

        (void)arg;
        for (struct dirent *e; d && (e = readdir(d));)
                others += atoi(e->d_name) > 0 && atoi(e->d_name) != getpid();
        errno = ENOENT;
        return others ? others : -1;
}

/* ---- new processes and programs ---- */

static long child(long pid)
{
        if (pid == 0)
                _exit(0);
        return pid;
}

TRY(try_fork, child(syscall(SYS_fork)))
TRY(try_vfork, child(vfork()))
TRY(try_clone, child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))
TRY(try_clone3, child(syscall(SYS_clone3, &(struct clone_args){.exit_signal = SIGCHLD}, sizeof(struct clone_args))))

static char intruder[] = "intruder", option_ran[] = "--ran", option_version[] = "--version";
static char *const ran[] = {intruder, option_ran, NULL};
static char *const no_environment[] = {NULL};

TRY(try_exec_self, execve("/proc/self/exe", ran, no_environment))
TRY(try_exec_path, execve(self[0], ran, no_environment))
TRY(try_exec_loader,
    execve("/lib64/ld-linux-x86-64.so.2", (char *const[]){intruder, self[0], option_ran, NULL}, no_environment))
TRY(try_exec_setuid, execve("/usr/bin/su", (char *const[]){intruder, option_version, NULL}, no_environment))

static int program_in_memory(void)
{
        int memory = (int)syscall(SYS_memfd_create, "program", 0), program = open("/proc/self/exe", O_RDONLY);

        while (sendfile(memory, program, NULL, 1 << 20) > 0)
                ;
        return memory;
}

TRY(try_exec_memory, syscall(SYS_execveat, program_in_memory(), "", ran, no_environment, AT_EMPTY_PATH))

static long try_exec_memory_by_path(const char *arg)
{
        char path[64];

        (void)arg;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", program_in_memory());
        return execve(path, ran, no_environment);
}

/* ---- namespaces, mounts, roots ---- */

TRY(try_unshare_user, unshare(CLONE_NEWUSER))
TRY(try_unshare_mount, unshare(CLONE_NEWNS))
TRY(try_unshare_net, unshare(CLONE_NEWNET))
TRY(try_unshare_pid, unshare(CLONE_NEWPID))
TRY(try_unshare_ipc, unshare(CLONE_NEWIPC))
TRY(try_unshare_uts, unshare(CLONE_NEWUTS))
TRY(try_unshare_cgroup, unshare(CLONE_NEWCGROUP))
TRY(try_clone_user, child(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)))
TRY(try_clone3_user, child(syscall(SYS_clone3, &(struct clone_args){.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD},
                                   sizeof(struct clone_args))))
TRY(try_setns, setns((int)open_of(getpid(), "ns/uts", O_RDONLY), 0))
TRY(try_mount, mount("none", "/", "tmpfs", 0, NULL))
TRY(try_remount, mount("none", "/", NULL, MS_REMOUNT | MS_BIND, NULL))
TRY(try_umount, umount2("/proc", MNT_DETACH))
TRY(try_open_tree, syscall(SYS_open_tree, AT_FDCWD, "/", 0))
TRY(try_move_mount, syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/dev", 0))
TRY(try_fsopen, syscall(SYS_fsopen, "tmpfs", 0))
TRY(try_fspick, syscall(SYS_fspick, AT_FDCWD, "/", 0))
TRY(try_mount_setattr, syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &(struct mount_attr){0}, sizeof(struct mount_attr)))
TRY(try_pivot_root, syscall(SYS_pivot_root, ".", "."))
TRY(try_chroot, chroot("/proc"))

/* ---- files and devices ---- */

static long named(const char *arg, int flags)
{
        return open(arg, flags | O_CLOEXEC, 0600);
}

static long try_open(const char *arg)
{
        return named(arg, O_RDONLY);
}

static long try_create(const char *arg)
{
        return named(arg, O_WRONLY | O_CREAT);
}

static long try_unlink(const char *arg)
{
        return unlink(arg);
}

/* Up from each inherited folder, in case one is open. */
static long try_parents(const char *arg)
{
        (void)arg;
        for (int fd = 0; fd < 256; fd++) {
                if (openat(fd, "../../../../../../../../root", O_RDONLY | O_DIRECTORY) >= 0 ||
                    (openat(fd, "..", O_RDONLY | O_DIRECTORY) >= 0))
                        return fd;
        }
        return -1;
}

TRY(try_mknod, mknod("/dev/intruder", S_IFCHR | 0600, makedev(1, 1)))
TRY(try_mkdir, mkdir("/dev/intruder", 0700))
TRY(try_chmod, chmod("/dev/null", 0600))
TRY(try_chown, chown("/dev/null", 65534, 65534))
TRY(try_setxattr, setxattr("/dev", "trusted.intruder", "x", 1, 0))
TRY(try_symlink, symlink("/", "/dev/intruder"))
TRY(try_link, link("/dev/null", "/dev/intruder"))
TRY(try_rename, rename("/dev/null", "/dev/intruder"))
TRY(try_handle, syscall(SYS_open_by_handle_at, AT_FDCWD, &(struct file_handle){.handle_bytes = 0}, O_RDONLY))
TRY(try_fanotify, syscall(SYS_fanotify_init, 0, 0))
TRY(try_oom_score, write((int)open_of(getpid(), "oom_score_adj", O_WRONLY), "100", 3))
TRY(try_comm, open_of(getpid(), "comm", O_WRONLY))
TRY(try_uid_map, open_of(getpid(), "uid_map", O_WRONLY))

/* ---- descriptors ---- */

static bool is_writable(int fd)
{
        char c = 0;
        struct stat st;

        if (pread(fd, &c, 1, 0) < 0 || pwrite(fd, &c, 1, 0) == 1)
                return true;
        return fstat(fd, &st) == 0 && (ftruncate(fd, st.st_size + 4096) == 0 || fallocate(fd, 3, 0, 4096) == 0 ||
                                       mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
}

static long try_fd_write(const char *arg)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", atoi(arg));
        int fd = open(path, O_RDWR);
        return fd >= 0 && is_writable(fd) ? fd : -1;
}

static long try_fd_chmod(const char *arg)
{
        return fchmod(atoi(arg), 0666);
}

static long try_fd_type(const char *arg)
{
        return ioctl(atoi(arg), TIOCSTI, "x");
}

/* What the starter sent along with its first words to QEMU. */
static long try_passed_write(const char *arg)
{
        union {
                char space[CMSG_SPACE(sizeof(int) * 4)];
                struct cmsghdr align;
        } control;
        char data[65536];
        long got = -1;
        int refused_with = ENOENT;

        (void)arg;
        for (int fd = 10; fd < 40; fd++) {
                struct iovec v = {data, sizeof(data)};
                struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
                while (m.msg_control = &control, m.msg_controllen = sizeof(control),
                       recvmsg(fd, &m, MSG_DONTWAIT) > 0) {
                        int passed;
                        char number[16];
                        if (!CMSG_FIRSTHDR(&m))
                                continue;
                        memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(passed));
                        fprintf(stderr, "passed %d seals %d\n", passed, fcntl(passed, F_GET_SEALS));
                        snprintf(number, sizeof(number), "%d", passed);
                        got = try_fd_write(number);
                        refused_with = errno;
                }
        }
        errno = refused_with;
        return got;
}

/* ---- identity, keys, limits, the machine ---- */

TRY(try_setuid, setuid(0))
TRY(try_setgid, setgid(0))
TRY(try_setresuid, syscall(SYS_setresuid, 0, 0, 0))
TRY(try_setgroups, syscall(SYS_setgroups, 0, NULL))
TRY(try_setfsuid, syscall(SYS_setfsuid, 0))
TRY(try_capset, syscall(SYS_capset, &(struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0},
                        (struct __user_cap_data_struct[2]){{1, 1, 0}}))
TRY(try_ambient, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0))
TRY(try_rlimit, setrlimit(RLIMIT_NOFILE, &(struct rlimit){1 << 19, 1 << 19}))
TRY(try_core, setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1}))
TRY(try_add_key, syscall(SYS_add_key, "user", "intruder", "x", 1, -3))
TRY(try_request_key, syscall(SYS_request_key, "user", "intruder", NULL, -3))
TRY(try_keyctl, syscall(SYS_keyctl, 0, -3, 1))
TRY(try_bpf,
    syscall(SYS_bpf, BPF_MAP_CREATE, &(union bpf_attr){.map_type = 2, .key_size = 4, .value_size = 4, .max_entries = 1},
            sizeof(union bpf_attr)))
TRY(try_perf, syscall(SYS_perf_event_open,
                      &(struct perf_event_attr){.type = PERF_TYPE_SOFTWARE, .size = sizeof(struct perf_event_attr)}, 0,
                      -1, -1, 0))
TRY(try_uring, syscall(SYS_io_uring_setup, 1, &(struct io_uring_params){0}))
TRY(try_userfaultfd, syscall(SYS_userfaultfd, 0))
TRY(try_memfd_secret, syscall(SYS_memfd_secret, 0))
TRY(try_personality, personality(ADDR_NO_RANDOMIZE))
TRY(try_quotactl, syscall(SYS_quotactl, 0, "/dev/null", 0, NULL))
TRY(try_kexec, syscall(SYS_kexec_load, 0, 0, NULL, 0))
TRY(try_reboot, syscall(SYS_reboot, 0, 0, 0, NULL))
TRY(try_swapon, syscall(SYS_swapon, "/dev/null", 0))
TRY(try_swapoff, syscall(SYS_swapoff, "/dev/null"))
TRY(try_acct, syscall(SYS_acct, NULL))
TRY(try_settimeofday, syscall(SYS_settimeofday, NULL, NULL))
TRY(try_clock_settime, syscall(SYS_clock_settime, 0, NULL))
TRY(try_adjtimex, syscall(SYS_adjtimex, NULL))
TRY(try_sethostname, sethostname("intruder", 8))
TRY(try_setdomainname, setdomainname("intruder", 8))
TRY(try_syslog, syscall(SYS_syslog, 3, (char[64]){0}, 64))
TRY(try_iopl, syscall(SYS_iopl, 3))
TRY(try_ioperm, syscall(SYS_ioperm, 0, 1, 1))
TRY(try_modify_ldt, syscall(SYS_modify_ldt, 0, (char[64]){0}, 64))
TRY(try_init_module, syscall(SYS_init_module, NULL, 0, ""))
TRY(try_finit_module, syscall(SYS_finit_module, -1, "", 0))
TRY(try_delete_module, syscall(SYS_delete_module, "intruder", 0))
TRY(try_newer, syscall(462, 0, 0, 0, 0, 0, 0)) /* mseal, Linux 6.10 */

static long try_socket(const char *arg)
{
        return socket(atoi(arg), atoi(arg) == AF_PACKET ? SOCK_RAW : SOCK_STREAM, 0);
}

TRY(try_connect, connect(10, (struct sockaddr *)&(struct sockaddr_un){.sun_family = AF_UNIX}, sizeof(sa_family_t)))

/* A filter can only take away: a later one that allows everything gives nothing back. */
static long try_seccomp(const char *arg)
{
        struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = {1, &all};

        (void)arg;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                return -1;
        return socket(AF_UNIX, SOCK_STREAM, 0);
}

/* The 32-bit entry: 20 is getpid there and writev here. */
static long try_int80(const char *arg)
{
        long r = 20;

        (void)arg;
        __asm__ volatile("int $0x80" : "+a"(r) : : "memory");
        errno = ENOSYS;
        return r > 0 ? r : -1;
}

/* ---- which, and how it went ---- */

static const struct attempt {
        const char *name;
        attempt_fn *fn;
        bool outside; /* has to succeed for root without a jail */
} attempts[] = {
        {"kill", try_kill, true},
        {"kill-all", try_kill_all, false},
        {"kill-group", try_kill_group, true},
        {"tgkill", try_tgkill, true},
        {"tkill", try_tkill, true},
        {"sigqueue", try_sigqueue, true},
        {"pidfd-open", try_pidfd_open, true},
        {"pidfd-signal", try_pidfd_signal, true},
        {"pidfd-getfd", try_pidfd_getfd, true},
        {"ptrace", try_ptrace, true},
        {"process-vm-readv", try_vm_readv, true},
        {"process-vm-writev", try_vm_writev, true},
        {"kcmp", try_kcmp, false},
        {"prlimit-of-another", try_prlimit, true},
        {"priority-of-another", try_priority, true},
        {"affinity-of-another", try_affinity, true},
        {"migrate-another", try_migrate, false},
        {"proc-mem", try_proc_mem, true},
        {"proc-environ", try_proc_environ, true},
        {"proc-root", try_proc_root, true},
        {"proc-fd", try_proc_fd, false},
        {"proc-maps", try_proc_maps, true},
        {"proc-others", numbers_in_proc, true},
        {"fork", try_fork, true},
        {"vfork", try_vfork, true},
        {"clone", try_clone, true},
        {"clone3", try_clone3, true},
        {"exec-self", try_exec_self, true},
        {"exec-path", try_exec_path, true},
        {"exec-loader", try_exec_loader, true},
        {"exec-setuid", try_exec_setuid, false},
        {"exec-memory", try_exec_memory, true},
        {"exec-memory-by-path", try_exec_memory_by_path, true},
        {"unshare-user", try_unshare_user, true},
        {"unshare-mount", try_unshare_mount, true},
        {"unshare-net", try_unshare_net, true},
        {"unshare-pid", try_unshare_pid, true},
        {"unshare-ipc", try_unshare_ipc, true},
        {"unshare-uts", try_unshare_uts, true},
        {"unshare-cgroup", try_unshare_cgroup, true},
        {"clone-user", try_clone_user, true},
        {"clone3-user", try_clone3_user, true},
        {"setns", try_setns, true},
        {"mount", try_mount, true},
        {"remount", try_remount, true},
        {"umount", try_umount, true},
        {"open-tree", try_open_tree, true},
        {"move-mount", try_move_mount, false},
        {"fsopen", try_fsopen, true},
        {"fspick", try_fspick, false},
        {"mount-setattr", try_mount_setattr, true},
        {"pivot-root", try_pivot_root, false},
        {"chroot", try_chroot, true},
        {"create:/intruder", try_create, true},
        {"create:/dev/intruder", try_create, true},
        {"create:/dev/shm/intruder", try_create, false},
        {"create:/tmp/intruder", try_create, true},
        {"create:/usr/lib/intruder", try_create, true},
        {"create:/etc/intruder", try_create, true},
        {"unlink:/dev/null", try_unlink, true},
        {"open:/etc/shadow", try_open, true},
        {"open:/etc/passwd", try_open, true},
        {"open:/root/.profile", try_open, false},
        {"open:/etc/hostname", try_open, true},
        {"open:/var/lib/dpkg/status", try_open, true},
        {"open:/var/lib/devdep", try_open, false},
        {"open:/sys", try_open, true},
        {"open:/run/lock", try_open, false},
        {"open:/usr/bin/su", try_open, true},
        {"open:/dev/mem", try_open, false},
        {"open:/dev/kvm", try_open, false},
        {"open:/dev/zero", try_open, true},
        {"open:/dev/full", try_open, true},
        {"open:/dev/tty", try_open, false},
        {"open:/dev/net/tun", try_open, false},
        {"open:/dev/vda", try_open, false},
        {"open:/proc/sys/kernel/core_pattern", try_open, true},
        {"open:/proc/sysrq-trigger", try_open, false},
        {"open:/proc/kcore", try_open, false},
        {"open:/proc/kallsyms", try_open, true},
        {"open:/proc/cpuinfo", try_open, true},
        {"open:/proc/keys", try_open, false},
        {"create:/proc/sys/kernel/core_pattern", try_create, false},
        {"parents", try_parents, false},
        {"mknod", try_mknod, true},
        {"mkdir", try_mkdir, true},
        {"chmod", try_chmod, true},
        {"chown", try_chown, true},
        {"setxattr", try_setxattr, false},
        {"symlink", try_symlink, true},
        {"link", try_link, true},
        {"rename", try_rename, true},
        {"open-by-handle", try_handle, false},
        {"fanotify", try_fanotify, false},
        {"oom-score", try_oom_score, true},
        {"proc-comm", try_comm, true},
        {"proc-uid-map", try_uid_map, false},
        {"passed-write", try_passed_write, false},
        {"setuid", try_setuid, true},
        {"setgid", try_setgid, true},
        {"setresuid", try_setresuid, true},
        {"setgroups", try_setgroups, true},
        {"setfsuid", try_setfsuid, true},
        {"capset", try_capset, true},
        {"ambient-capability", try_ambient, false},
        {"raise-limit", try_rlimit, false},
        {"core-files", try_core, true},
        {"add-key", try_add_key, false},
        {"request-key", try_request_key, false},
        {"keyctl", try_keyctl, true},
        {"bpf", try_bpf, false},
        {"perf-event", try_perf, false},
        {"io-uring", try_uring, false},
        {"userfaultfd", try_userfaultfd, false},
        {"memfd-secret", try_memfd_secret, false},
        {"personality", try_personality, true},
        {"quotactl", try_quotactl, false},
        {"kexec", try_kexec, false},
        {"reboot", try_reboot, false},
        {"swapon", try_swapon, false},
        {"swapoff", try_swapoff, false},
        {"acct", try_acct, false},
        {"settimeofday", try_settimeofday, false},
        {"clock-settime", try_clock_settime, false},
        {"adjtimex", try_adjtimex, false},
        {"sethostname", try_sethostname, true},
        {"setdomainname", try_setdomainname, true},
        {"syslog", try_syslog, false},
        {"iopl", try_iopl, false},
        {"ioperm", try_ioperm, false},
        {"modify-ldt", try_modify_ldt, false},
        {"init-module", try_init_module, false},
        {"finit-module", try_finit_module, false},
        {"delete-module", try_delete_module, false},
        {"newer-call", try_newer, false},
        {"connect", try_connect, false},
        {"seccomp-allow", try_seccomp, true},
        {"int80", try_int80, false},
};

/* With an argument of the test's: descriptors, paths, families. */
static const struct attempt with_argument[] = {
        {"open", try_open, false},         {"create", try_create, false},     {"socket", try_socket, false},
        {"fd-write", try_fd_write, false}, {"fd-chmod", try_fd_chmod, false}, {"fd-type", try_fd_type, false},
};

static int tell(const char *name, long result)
{
        if (result >= 0)
                fprintf(stderr, "%s: SUCCEEDED (%ld)\n", name, result);
        else
                fprintf(stderr, "%s: refused (%s)\n", name, strerrorname_np(errno));
        return result >= 0 ? SUCCEEDED : 0;
}

static int attempt(const char *name)
{
        const char *colon = strchr(name, ':');

        for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
                if (strcmp(attempts[i].name, name) == 0)
                        return tell(name, attempts[i].fn(colon ? colon + 1 : NULL));
        }
        for (size_t i = 0; colon && i < sizeof(with_argument) / sizeof(with_argument[0]); i++) {
                if (strncmp(with_argument[i].name, name, (size_t)(colon - name)) == 0 &&
                    strlen(with_argument[i].name) == (size_t)(colon - name))
                        return tell(name, with_argument[i].fn(colon + 1));
        }
        fprintf(stderr, "%s: no such attempt\n", name);
        return 2;
}

static int descriptors(void)
{
        for (int fd = 0; fd < 256; fd++) {
                char path[64], link[128] = "";
                int flags = fcntl(fd, F_GETFL);
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                if (flags >= 0 && readlink(path, link, sizeof(link) - 1) >= 0)
                        fprintf(stderr, "fd %d %d %d %s\n", fd, flags & O_ACCMODE, fcntl(fd, F_GET_SEALS), link);
        }
        return 0;
}

static int list(void)
{
        for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
                printf("%s%s\n", attempts[i].name, attempts[i].outside ? " outside" : "");
        return 0;
}

static int wait_for(pid_t pid)
{
        int status = 0;

        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What an attempt changes is changed in namespaces of its own, on a root that is a copy on write; pid 1 of them is the
 * child that is attacked. */
static int outside(const char *name)
{
        if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWCGROUP) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return 3;
        pid_t first = fork();
        if (first == 0) {
                static const char *const fresh[] = {"/tmp", "/dev", "/etc", "/usr/lib"};
                if (mount("proc", "/proc", "proc", 0, NULL) < 0)
                        _exit(4);
                target = fork();
                if (target == 0)
                        for (;;)
                                pause();
                pid_t it = fork();
                if (it == 0) {
                        for (size_t i = 0; i < sizeof(fresh) / sizeof(fresh[0]); i++) {
                                bool needed = strstr(name, fresh[i]) || strcmp(fresh[i], "/dev") == 0;
                                if (needed && strncmp(name, "open", 4) != 0 && strncmp(name, "exec", 4) != 0 &&
                                    mount("none", fresh[i], "tmpfs", 0, NULL) == 0 && strcmp(fresh[i], "/dev") == 0)
                                        mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3));
                        }
                        if (strcmp(name, "create:/intruder") == 0)
                                name = "create:/dev/intruder";
                        setpgid(0, 0);
                        _exit(attempt(name));
                }
                _exit(wait_for(it));
        }
        return wait_for(first);
}

#define CONTROL_FD 10
#define FIRST_WORDS_MS 60000

int main(int argc, char **argv)
{
        /* Behind this word: once the starter has written to the control connection. */
        if (argc > 2 && strcmp(argv[1], "--after-first-words") == 0) {
                poll(&(struct pollfd){.fd = CONTROL_FD, .events = POLLIN}, 1, FIRST_WORDS_MS);
                argv[1] = argv[0];
                argv++;
                argc--;
        }
        self = argv;
        signal(SIGXFSZ, SIG_IGN); /* a file too large is an errno like others */
        if (argc > 1 && strcmp(argv[1], "--ran") == 0)
                return tell("exec", 0);
        if (argc > 1 && strcmp(argv[1], "--list") == 0)
                return list();
        if (argc > 1 && strcmp(argv[1], "--descriptors") == 0)
                return descriptors();
        if (argc > 2 && strcmp(argv[1], "--outside") == 0)
                return outside(argv[2]);
        /* In devdep-source's place: its filter forbids that, too. */
        if (strcmp(argv[0], "devdep-source") == 0)
                return attempt("ptrace");
        return argc > 1 ? attempt(argv[1]) : 2;
}
