/* Building a jail, stage by stage. The child of sandbox_spawn() goes through all of them; sandbox_confine_self() leaves
 * out those marked (spawn).
 *
 *   0 groups       (spawn) Control groups are entered.
 *   1 namespaces   (spawn: in the clone call itself.) An ordinary user gets a user namespace first and maps the one id.
 *                  From here on nothing that is mounted or named is seen outside. May still read the host's files.
 *   2 sources      Detached mounts of everything the jail will see. After this stage no path of the host is looked up
 * again. 3 root         The tree is put together, made read-only, and pivoted into; the old root is gone. 4 process
 * (spawn) Session, keyring, signals, host name, umask. Limits, which only go down. 5 descriptors  Only the named ones
 * stay, at their numbers. 6 ids          As root: the jail's user, then a user namespace of its own. From here on
 * nothing privileged is possible on the host. 7 capabilities All sets empty, no_new_privs. From here on nothing
 * privileged is possible in the jail either. 8 filter       System calls. Whatever runs afterwards is taken to be
 * hostile. 9 run          (spawn) exec, or the init function.
 *
 * A stage that fails ends the child; the parent gets the error through a pipe that exec closes. */
#include "sandbox/cgroup.h"
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "loop/spawn.h"

/* Numbers that the child may ask for are below this; what the stages themselves hold is above. */
#define HIGH_FD 128

/* What the child tells its parent; one write, below PIPE_BUF. */
struct outcome {
        bool failed;
        struct err err;
        struct sandbox_report report;
};
_Static_assert(sizeof(struct outcome) <= 4096, "one write to a pipe must be atomic");

struct jail {
        const struct sandbox *s;
        const struct sandbox_exec *x;
        struct sandbox_report report;
        int proc_fd;   /* the host's /proc */
        int exec_fd;   /* the program, or -1 */
        int result_fd; /* write end */
        int parent_pidfd;
        int moved[SPAWN_MAX_FDS]; /* copies of x->fds[].from above HIGH_FD */
        int null_fd;
        bool root;
};

static int check(const struct sandbox *s, bool root, struct err *e)
{
        if (root && (s->uid == 0 || s->uid == (uid_t)-1 || s->gid == (gid_t)-1))
                return err_set(e, ERR_USAGE, "the jail '%s' needs a user of its own when root builds it", s->name);
        if (!root && s->uid != (uid_t)-1 && s->uid != geteuid())
                return err_set(e, ERR_USAGE, "the jail '%s': only root can run as user %u", s->name, (unsigned)s->uid);
        return 0;
}

static int set_limits(const struct sandbox *s, struct sandbox_report *r, struct err *e)
{
        const struct rlimit none = {0, 0};

        if (setrlimit(RLIMIT_CORE, &none) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set RLIMIT_CORE");
        for (unsigned i = 0; i < s->n_limits; i++) {
                struct rlimit l;
                if (getrlimit((unsigned)s->limits[i].resource, &l) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read limit %d", s->limits[i].resource);
                l.rlim_max = MIN(l.rlim_max, s->limits[i].value);
                l.rlim_cur = l.rlim_max;
                if (setrlimit((unsigned)s->limits[i].resource, &l) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "set limit %d", s->limits[i].resource);
        }
        sandbox_held_ok(r, SANDBOX_LIMITS);
        return 0;
}

static void report_namespaces(const struct sandbox *s, struct sandbox_report *r, bool pid)
{
        if (pid)
                sandbox_held_ok(r, SANDBOX_PID_NS);
        sandbox_held_ok(r, SANDBOX_IPC_NS);
        sandbox_held_ok(r, SANDBOX_UTS_NS);
        if (!s->host_network)
                sandbox_held_ok(r, SANDBOX_NET_NS);
}

static int net_namespace(const struct sandbox *s)
{
        return s->host_network ? 0 : CLONE_NEWNET;
}

/* Stages 1 (rest) to 3. */
static int enter_root(const struct sandbox *s, bool root, int proc_fd, uid_t uid, gid_t gid, struct sandbox_report *r,
                      struct err *e)
{
        struct sandbox_root *t = NULL;
        int ret = root ? 0 : sandbox_map_self(proc_fd, uid, gid, e);

        if (ret == 0)
                ret = sandbox_root_new(s, root, &t, r, e);
        if (ret == 0)
                ret = sandbox_root_enter(t, r, e);
        sandbox_root_free(t);
        if (ret == 0 && s->cwd && chdir(s->cwd) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "chdir %s in the jail '%s'", s->cwd, s->name);
        if (ret == 0 && sethostname(s->name, strlen(s->name)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the jail's host name");
        return ret;
}

/* Stage 4: nothing of the caller's session, keys or signal settings. */
static int fresh_process(struct err *e)
{
        sigset_t none;

        setsid();
        syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
        umask(077);
        for (int i = 1; i < NSIG; i++)
                signal(i, SIG_DFL);
        sigemptyset(&none);
        if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "sigprocmask");
        return 0;
}

static int put_fd(int from, int to, struct err *e)
{
        if (dup3(from, to, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "descriptor %d of the jail", to);
        return 0;
}

static int by_number(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

/* Stage 5. The copies were made in prepare_fds(), so that no target number is a source any more. */
static int arrange_fds(struct jail *j, struct err *e)
{
        int keep[SPAWN_MAX_FDS + 8];
        size_t n = 0;

        for (int i = 0; i < 3; i++) {
                int r = put_fd(j->null_fd, i, e);
                if (r < 0)
                        return r;
                keep[n++] = i;
        }
        for (unsigned i = 0; i < j->x->n_fds; i++) {
                int r = put_fd(j->moved[i], j->x->fds[i].to, e);
                if (r < 0)
                        return r;
                if (j->x->fds[i].to > 2)
                        keep[n++] = j->x->fds[i].to;
        }
        keep[n++] = j->proc_fd;
        keep[n++] = j->result_fd;
        keep[n++] = j->parent_pidfd;
        if (j->exec_fd >= 0)
                keep[n++] = j->exec_fd;
        qsort(keep, n, sizeof(keep[0]), by_number);
        if (fd_close_from(0, keep, n, e) < 0)
                return -1;
        sandbox_held_ok(&j->report, SANDBOX_CLOSED_FDS);
        return 0;
}

/* The death signal is forgotten at every change of ids, so it is set last; a parent that died before is seen by its
 * pidfd. */
static int die_with_parent(const struct jail *j, struct err *e)
{
        struct pollfd p = {.fd = j->parent_pidfd, .events = POLLIN};

        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "PR_SET_PDEATHSIG");
        if (poll(&p, 1, 0) > 0)
                return err_set(e, ERR_RESOURCES, "the process that started the jail has ended");
        return 0;
}

static void tell(const struct jail *j, bool failed, const struct err *err)
{
        struct outcome o = {.failed = failed, .report = j->report};

        if (err)
                o.err = *err;
        if (write(j->result_fd, &o, sizeof(o)) != (ssize_t)sizeof(o))
                _exit(127);
}

static int stages(struct jail *j, uid_t uid, gid_t gid, struct err *e)
{
        int r;

        report_namespaces(j->s, &j->report, true);
        r = enter_root(j->s, j->root, j->proc_fd, uid, gid, &j->report, e);
        if (r == 0)
                r = fresh_process(e);
        if (r == 0)
                r = set_limits(j->s, &j->report, e);
        if (r == 0)
                r = arrange_fds(j, e);
        if (r == 0)
                r = sandbox_take_ids(j->s, j->root, j->proc_fd, &j->report, e);
        if (r == 0)
                r = sandbox_drop_caps(&j->report, e);
        if (r == 0 && j->x->die_with_parent)
                r = die_with_parent(j, e);
        sandbox_held_ok(&j->report, SANDBOX_CLEAN_ENV);
        if (r == 0)
                r = sandbox_check_required(j->s, &j->report, e);
        fd_close(j->proc_fd);
        fd_close(j->parent_pidfd);
        return r;
}

/* Stages 8 and 9. */
static int run(struct jail *j, struct err *e)
{
        int r;

        if (j->s->filter != SANDBOX_FILTER_NONE)
                sandbox_held_ok(&j->report, SANDBOX_SECCOMP);
        tell(j, false, NULL);
        if (j->x->init) {
                fd_close(j->result_fd);
                _exit(j->x->init(j->x->user));
        }
        if (j->s->filter == SANDBOX_FILTER_VMM)
                return sandbox_exec_vmm(j->x->path, j->x->argv, j->x->envp, e);
        r = sandbox_filter_apply(j->s->filter, e);
        if (r < 0)
                return r;
        /* By path where it is visible, so that ps names it; by descriptor where it is not. */
        execve(j->x->path, j->x->argv, j->x->envp);
        if (errno == ENOENT)
                syscall(SYS_execveat, j->exec_fd, "", j->x->argv, j->x->envp, AT_EMPTY_PATH);
        return err_errno(e, ERR_RESOURCES, errno, "execute %s in the jail '%s'", j->x->path, j->s->name);
}

static _Noreturn void child(struct jail *j, uid_t uid, gid_t gid)
{
        struct err err = ERR_INIT;
        int r = 0;

        for (unsigned i = 0; i < j->x->n_enter && r == 0; i++)
                r = cgroup_enter(j->x->enter[i], &err);
        if (r == 0 && stages(j, uid, gid, &err) == 0)
                run(j, &err);
        tell(j, true, &err);
        _exit(127);
}

static int high_copy(int fd, int *ret, struct err *e)
{
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "copy descriptor %d", fd) : 0;
}

/* Everything the child holds is put above the numbers that it will hand out. */
static int prepare_fds(struct jail *j, struct err *e)
{
        const struct sandbox_exec *x = j->x;
        AUTO(auto_close) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        AUTO(auto_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        AUTO(auto_close) int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
        int r;

        if (proc < 0 || null < 0 || self < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open /proc, /dev/null and a pidfd");
        if (x->n_fds > SPAWN_MAX_FDS)
                return err_set(e, ERR_USAGE, "at most %d descriptors for a jail, found %u", SPAWN_MAX_FDS, x->n_fds);
        r = high_copy(proc, &j->proc_fd, e);
        if (r == 0)
                r = high_copy(null, &j->null_fd, e);
        if (r == 0)
                r = high_copy(self, &j->parent_pidfd, e);
        for (unsigned i = 0; i < x->n_fds && r == 0; i++) {
                if (x->fds[i].to < 0 || x->fds[i].to >= HIGH_FD)
                        return err_set(e, ERR_USAGE, "descriptor %d of a jail is not below %d", x->fds[i].to, HIGH_FD);
                r = high_copy(x->fds[i].from, &j->moved[i], e);
        }
        if (r == 0 && !x->init) {
                AUTO(auto_close) int exe = open(x->path, O_PATH | O_CLOEXEC);
                if (exe < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "%s", x->path);
                r = high_copy(exe, &j->exec_fd, e);
        }
        return r;
}

static void close_fds(struct jail *j)
{
        fd_close(j->proc_fd);
        fd_close(j->exec_fd);
        fd_close(j->null_fd);
        fd_close(j->parent_pidfd);
        for (unsigned i = 0; i < SPAWN_MAX_FDS; i++)
                fd_close(j->moved[i]);
}

/* The child's report, and its failure where there is one. End of file: the program runs. */
static int read_outcome(const struct sandbox *s, int fd, struct sandbox_report *ret, struct err *e)
{
        struct outcome o = {.failed = true};
        bool told = false;

        for (;;) {
                struct outcome next;
                ssize_t n = read(fd, &next, sizeof(next));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n != (ssize_t)sizeof(next))
                        break;
                o = next;
                told = true;
        }
        if (ret)
                *ret = o.report;
        if (!told)
                return err_set(e, ERR_RESOURCES, "the jail '%s' ended while it was set up", s->name);
        if (!o.failed)
                return 0;
        if (e)
                *e = o.err;
        return err_wrap(e, -1, "jail '%s'", s->name);
}

static int clone_failed(const struct sandbox *s, bool root, int errnum, struct err *e)
{
        if (root)
                return err_errno(e, ERR_RESOURCES, errnum,
                                 "new namespaces for the jail '%s' (root needs CAP_SYS_ADMIN here)", s->name);
        return err_errno(e, ERR_RESOURCES, errnum, "a user namespace for the jail '%s' (%s)", s->name,
                         sandbox_protection_mend(SANDBOX_USER_NS));
}

static int spawn_child(struct jail *j, int result_read, pid_t *ret_pid, int *ret_pidfd, struct sandbox_report *report,
                       struct err *e)
{
        unsigned long flags =
                CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | net_namespace(j->s) | CLONE_PIDFD | SIGCHLD;
        uid_t uid = geteuid();
        gid_t gid = getegid();
        int pidfd = -1, r;
        long pid;

        if (!j->root)
                flags |= CLONE_NEWUSER;
        pid = syscall(SYS_clone, flags, 0, &pidfd, 0, 0);
        if (pid < 0)
                return clone_failed(j->s, j->root, errno, e);
        if (pid == 0)
                child(j, uid, gid);
        j->result_fd = fd_close(j->result_fd);
        r = read_outcome(j->s, result_read, report, e);
        if (r < 0) {
                kill((pid_t)pid, SIGKILL);
                while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                fd_close(pidfd);
                return r;
        }
        *ret_pid = (pid_t)pid;
        *ret_pidfd = pidfd;
        return 0;
}

int sandbox_spawn(const struct sandbox *s, const struct sandbox_exec *x, pid_t *ret_pid, int *ret_pidfd,
                  struct sandbox_report *ret_report, struct err *e)
{
        struct jail j = {
                .s = s, .x = x, .proc_fd = -1, .exec_fd = -1, .result_fd = -1, .parent_pidfd = -1, .null_fd = -1};
        AUTO(auto_close) int result_read = -1;
        int pipe[2], r;

        memset(j.moved, 0xff, sizeof(j.moved));
        j.root = geteuid() == 0;
        r = check(s, j.root, e);
        if (r == 0)
                r = fd_pipe(pipe, e);
        if (r < 0)
                return r;
        result_read = pipe[0];
        r = high_copy(pipe[1], &j.result_fd, e);
        fd_close(pipe[1]);
        if (r == 0)
                r = prepare_fds(&j, e);
        if (r == 0)
                r = spawn_child(&j, result_read, ret_pid, ret_pidfd, ret_report, e);
        fd_close(j.result_fd);
        close_fds(&j);
        return r;
}

/* What was asked for before the ids changed, which made the kernel forget it: what is confined may be taken over, and
 * then ends with its starter only if it has no say in that. */
static int keep_death_signal(int signo, pid_t parent, struct err *e)
{
        if (signo == 0)
                return 0;
        if (prctl(PR_SET_PDEATHSIG, signo, 0, 0, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "PR_SET_PDEATHSIG");
        if (getppid() != parent)
                return err_set(e, ERR_RESOURCES, "the process that started this one has ended");
        return 0;
}

int sandbox_confine_self(const struct sandbox *s, const int *keep, size_t n_keep, struct sandbox_report *ret_report,
                         struct err *e)
{
        struct sandbox_report unused, *report = ret_report ? ret_report : &unused;
        AUTO(auto_close) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        bool root = geteuid() == 0;
        uid_t uid = geteuid();
        gid_t gid = getegid();
        pid_t parent = getppid();
        int signo = 0, r;

        prctl(PR_GET_PDEATHSIG, &signo, 0, 0, 0);
        memset(report, 0, sizeof(*report));
        r = check(s, root, e);
        if (r < 0)
                return r;
        if (proc < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open /proc");
        /* /proc/self belongs to the user only while it may be dumped; sandbox_drop_caps() is followed by the old
         * setting. */
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | net_namespace(s) | (root ? 0 : CLONE_NEWUSER)) < 0)
                return clone_failed(s, root, errno, e);
        report_namespaces(s, report, false);
        r = enter_root(s, root, proc, uid, gid, report, e);
        if (r == 0)
                r = set_limits(s, report, e);
        if (r == 0)
                r = sandbox_take_ids(s, root, proc, report, e);
        if (r == 0)
                r = sandbox_drop_caps(report, e);
        if (r == 0)
                r = keep_death_signal(signo, parent, e);
        proc = fd_close(proc);
        if (r == 0)
                r = fd_close_from(0, keep, n_keep, e);
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 && r == 0)
                r = err_errno(e, ERR_RESOURCES, errno, "make the process undumpable");
        if (r < 0)
                return r;
        sandbox_held_ok(report, SANDBOX_NO_DUMPS);
        sandbox_held_ok(report, SANDBOX_CLOSED_FDS);
        clearenv();
        sandbox_held_ok(report, SANDBOX_CLEAN_ENV);
        if (s->filter != SANDBOX_FILTER_NONE)
                sandbox_held_ok(report, SANDBOX_SECCOMP);
        r = sandbox_check_required(s, report, e);
        return r < 0 ? r : sandbox_filter_apply(s->filter, e);
}
