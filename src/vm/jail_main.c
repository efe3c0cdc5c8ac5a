/* devdep-jail: runs one VMM in a jail for as long as somebody holds the write end of its lifeline, and somebody that of
 * its leash (src/vm/vm.h).
 *
 * Two processes. The outer one builds the jail (sandbox_spawn), reports, gives everything up but the slot's lock and
 * waits; its exit status is the VMM's. The inner one is pid 1 of the jail's pid namespace: it starts the VMM and waits
 * for whichever comes first, the VMM's end, the lifeline's or the leash's. When it exits, the kernel kills all that is
 * left in the namespace. It dies with the outer one too (parent death signal), so killing any of the three ends all
 * three.
 *
 * Neither reads a byte that the VMM or the guest wrote. */
#include "vm/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/spawn.h"

#define MAX_VMM_FILES 256
#define MAX_VMM_PROCESSES 512
#define MAX_VMM_LOCKED (64u << 10) /* bytes */

struct options {
        uid_t uid, gid;
        uint64_t file_size;
        bool kvm;
        int pass[JAIL_MAX_PASSED];
        unsigned n_pass;
        char **argv; /* the VMM's; argv[0] is its absolute path */
};

static char *const no_environment[] = {NULL};

static void report(bool failed, const struct err *err, const struct sandbox_report *held)
{
        struct jail_report r = {.magic = JAIL_MAGIC, .failed = failed};

        if (err) {
                r.code = err->code;
                str_copy(r.message, sizeof(r.message), err->msg);
        }
        if (held)
                r.held = *held;
        fd_write_all(JAIL_REPORT_FD, &r, sizeof(r), "the jail's report", NULL);
}

/* ---- inner: pid 1 ---- */

static _Noreturn void execute_vmm(const struct options *o)
{
        struct err err = ERR_INIT;

        fd_close(JAIL_LIFELINE_FD);
        fd_close(JAIL_LEASH_FD);
        sandbox_exec_vmm(o->argv[0], o->argv, no_environment, &err);
        report(true, &err, NULL);
        _exit(127);
}

static int status_of(int status)
{
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The last write end of the pipe closed: POLLHUP. Bytes in it mean nothing and are dropped. */
static bool has_ended(const struct pollfd *p)
{
        char drop[256];

        if (p->revents & POLLIN)
                return read(p->fd, drop, sizeof(drop)) == 0;
        return (p->revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static int watch(pid_t vmm, int vmm_pidfd)
{
        struct pollfd p[3] = {{.fd = JAIL_LIFELINE_FD, .events = POLLIN},
                              {.fd = JAIL_LEASH_FD, .events = POLLIN},
                              {.fd = vmm_pidfd, .events = POLLIN}};
        int status;

        for (;;) {
                if (poll(p, 3, -1) < 0 && errno != EINTR)
                        return 125;
                if (p[2].revents && waitpid(vmm, &status, WNOHANG) == vmm)
                        return status_of(status);
                if (!has_ended(&p[0]) && !has_ended(&p[1]))
                        continue;
                /* Its owner may have seen its end before we did: then the status says what ended it. */
                kill(vmm, SIGKILL);
                while (waitpid(vmm, &status, 0) < 0 && errno == EINTR)
                        ;
                return status_of(status);
        }
}

static int inner(void *user)
{
        const struct options *o = user;
        struct err err = ERR_INIT;
        pid_t vmm;
        int pidfd, keep[3];

        /* Set in the VMM's copy too, by exec closing it: end of file tells the starter that the VMM runs. */
        fd_set_cloexec(JAIL_REPORT_FD, true, NULL);
        /* The VMM runs under our id: it must not be able to look into or stop its keeper. */
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        vmm = fork();
        if (vmm == 0)
                execute_vmm(o);
        pidfd = vmm < 0 ? -1 : (int)syscall(SYS_pidfd_open, vmm, 0);
        if (pidfd < 0) {
                err_errno(&err, ERR_RESOURCES, errno, "start the VMM");
                report(true, &err, NULL);
                return 125;
        }
        keep[0] = JAIL_LIFELINE_FD;
        keep[1] = JAIL_LEASH_FD;
        keep[2] = pidfd;
        if (fd_close_from(0, keep, 3, NULL) < 0 || sandbox_filter_apply(SANDBOX_FILTER_INIT, NULL) < 0)
                return 125;
        return watch(vmm, pidfd);
}

/* ---- outer ---- */

static int parse_pass(const char *list, struct options *o, struct err *e)
{
        AUTO(auto_free) char *copy = str_dup(list);
        char *save = NULL;

        if (!copy)
                return err_nomem(e);
        for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
                uint64_t fd;
                int r = num_u64(p, JAIL_FIRST_PASSED, 127, "--pass", &fd, e);
                if (r < 0)
                        return r;
                if (o->n_pass == JAIL_MAX_PASSED)
                        return err_set(e, ERR_USAGE, "--pass: expected at most %d descriptors", JAIL_MAX_PASSED);
                o->pass[o->n_pass++] = (int)fd;
        }
        return 0;
}

static int parse_number(const char *name, const char *value, struct options *o, struct err *e)
{
        uint64_t n;
        int r = num_u64(value, 0, str_eq(name, "--file-size") ? INT64_MAX : UINT32_MAX - 1u, name, &n, e);

        if (r < 0)
                return r;
        if (str_eq(name, "--uid"))
                o->uid = (uid_t)n;
        else if (str_eq(name, "--gid"))
                o->gid = (gid_t)n;
        else
                o->file_size = n;
        return 0;
}

static int parse(int argc, char **argv, struct options *o, struct err *e)
{
        int i = 1, r = 0;

        for (; i < argc && !str_eq(argv[i], "--") && r == 0; i++) {
                if (str_eq(argv[i], "--kvm"))
                        o->kvm = true;
                else if (i + 1 >= argc)
                        return err_set(e, ERR_USAGE, "%s: expected an option of devdep-jail and its value", argv[i]);
                else if (str_eq(argv[i], "--pass"))
                        r = parse_pass(argv[++i], o, e);
                else if (str_eq(argv[i], "--uid") || str_eq(argv[i], "--gid") || str_eq(argv[i], "--file-size"))
                        r = parse_number(argv[i], argv[i + 1], o, e), i++;
                else
                        return err_set(e, ERR_USAGE, "%s: expected --uid, --gid, --file-size, --kvm or --pass",
                                       argv[i]);
        }
        if (r < 0)
                return r;
        if (i + 1 >= argc || argv[i + 1][0] != '/')
                return err_set(e, ERR_USAGE, "expected -- and the absolute path of a VMM");
        o->argv = argv + i + 1;
        return 0;
}

/* Exactly what QEMU opens by name: its program, libraries and modules, its firmware. */
static unsigned binds_of(const struct options *o, struct sandbox_bind *b)
{
        unsigned n = 0;

        for (unsigned i = 0; i < sandbox_n_binds_libraries; i++)
                b[n++] = sandbox_binds_libraries[i];
        b[n++] = (struct sandbox_bind){.from = o->argv[0], .executable = true};
        b[n++] = (struct sandbox_bind){.from = "/usr/share/qemu", .optional = true};
        b[n++] = (struct sandbox_bind){.from = "/usr/share/seabios", .optional = true};
        return n;
}

static unsigned fds_of(const struct options *o, struct spawn_fd *f)
{
        unsigned n = 0;

        f[n++] = (struct spawn_fd){2, 2};
        f[n++] = (struct spawn_fd){JAIL_LIFELINE_FD, JAIL_LIFELINE_FD};
        f[n++] = (struct spawn_fd){JAIL_LEASH_FD, JAIL_LEASH_FD};
        f[n++] = (struct spawn_fd){JAIL_REPORT_FD, JAIL_REPORT_FD};
        for (unsigned i = 0; i < o->n_pass; i++)
                f[n++] = (struct spawn_fd){o->pass[i], o->pass[i]};
        return n;
}

static int build(struct options *o, pid_t *ret, struct sandbox_report *held, struct err *e)
{
        struct sandbox_bind binds[SANDBOX_MAX_BINDS];
        struct spawn_fd fds[SPAWN_MAX_FDS];
        const struct sandbox_limit limits[] = {
                {RLIMIT_FSIZE, o->file_size},
                {RLIMIT_NOFILE, MAX_VMM_FILES},
                {RLIMIT_MEMLOCK, MAX_VMM_LOCKED},
                /* For an ordinary user this would count all of the user's processes. */
                {RLIMIT_NPROC, o->uid == (uid_t)-1 ? RLIM_INFINITY : MAX_VMM_PROCESSES},
        };
        struct sandbox s = SANDBOX_INIT;
        struct sandbox_exec x = {.init = inner, .user = o, .fds = fds, .die_with_parent = true};
        AUTO(auto_close) int pidfd = -1;
        int r;

        s.name = "vmm";
        s.uid = o->uid;
        s.gid = o->gid;
        s.binds = binds;
        s.n_binds = binds_of(o, binds);
        s.proc = true;
        s.devices = SANDBOX_DEV_NULL | SANDBOX_DEV_URANDOM | (o->kvm ? SANDBOX_DEV_KVM : 0);
        s.limits = limits;
        s.n_limits = ARRAY_SIZE(limits);
        s.filter = SANDBOX_FILTER_VMM;
        /* The kernel is opened through /proc/self/fd. */
        s.required |= SANDBOX_BIT(SANDBOX_PID_NS) | SANDBOX_BIT(SANDBOX_PROC_SUBSET);
        x.n_fds = fds_of(o, fds);
        r = sandbox_spawn(&s, &x, ret, &pidfd, held, e);
        held->held[SANDBOX_CGROUP].state = SANDBOX_MISSING;
        str_copy(held->held[SANDBOX_CGROUP].why, sizeof(held->held[SANDBOX_CGROUP].why),
                 "memory and processes of the VMM are bounded by its own limits only");
        return r;
}

/* The kernel's first victim when memory runs out is a VM, not what looks after it. Raising is always allowed. */
static void offer_to_oom_killer(void)
{
        AUTO(auto_close) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (fd >= 0)
                fd_write_all(fd, "500", 3, "oom_score_adj", NULL);
}

static int wait_for(pid_t pid)
{
        static const int keep[] = {JAIL_LOCK_FD};
        int status = 0;

        /* The copies of the VMM's sockets go, or its end would not be seen at the other side. */
        if (fd_close_from(0, keep, 1, NULL) < 0 || sandbox_filter_apply(SANDBOX_FILTER_INIT, NULL) < 0) {
                kill(pid, SIGKILL);
                return 125;
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return status_of(status);
}

int main(int argc, char **argv)
{
        struct options o = {.uid = (uid_t)-1, .gid = (gid_t)-1, .file_size = 1 << 20};
        struct sandbox_report held = {0};
        struct err err = ERR_INIT;
        pid_t pid = 0;

        log_init("devdep-jail", LOG_INFO);
        if (parse(argc, argv, &o, &err) < 0)
                return log_final(&err);
        offer_to_oom_killer();
        if (build(&o, &pid, &held, &err) < 0) {
                report(true, &err, &held);
                return log_final(&err);
        }
        report(false, NULL, &held);
        /* Nothing is left to flush, and a sanitizer's work at exit needs calls that the filter denies. */
        _exit(wait_for(pid));
}
