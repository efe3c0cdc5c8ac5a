/* Jails as their inhabitants see them: a program in the jail reads back /proc/self and tries what it must not. Runs as
 * root (own user ids) and, started by an ordinary user, with user namespaces; as root the second half forks into
 * nobody's id. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/spawn.h"
#include "sandbox/sandbox.h"
#include "sandbox/sanitizer.h"
#include "test_user.h"

#define TEST_UID 1879400001u

static char *const empty_env[] = {NULL};
static char folder[64];

/* argv wants char *; nothing writes through it. */
static char *text(const char *s)
{
        return (char *)(uintptr_t)s;
}

static int make_folder(void **state)
{
        (void)state;
        snprintf(folder, sizeof(folder), "/tmp/test-jail.XXXXXX");
        return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
        char path[128];

        (void)state;
        snprintf(path, sizeof(path), "%s/file", folder);
        unlink(path);
        return rmdir(folder);
}

static void jail_init(struct sandbox *s)
{
        *s = (struct sandbox)SANDBOX_INIT;
        s->name = "test";
        s->proc = true;
        if (geteuid() == 0)
                s->uid = s->gid = TEST_UID;
}

/* Run `sh -c script` of the host in a jail that has /bin and the libraries. */
static int run_shell(struct sandbox *s, const char *script, struct buf *out, struct err *e)
{
        struct sandbox_bind binds[SANDBOX_MAX_BINDS];
        char *const argv[] = {text("sh"), text("-c"), text(script), NULL};
        struct sandbox_exec x = {.path = "/usr/bin/dash", .argv = argv, .envp = empty_env};
        unsigned n = 0;
        int status = -1, r;

        for (unsigned i = 0; i < sandbox_n_binds_libraries; i++)
                binds[n++] = sandbox_binds_libraries[i];
        binds[n++] = (struct sandbox_bind){.from = "/usr/bin", .executable = true};
        binds[n++] = (struct sandbox_bind){.from = "/bin", .executable = true};
        for (unsigned i = 0; i < s->n_binds; i++)
                binds[n++] = s->binds[i];
        s->binds = binds;
        s->n_binds = n;
        r = sandbox_run(s, &x, out, out, 65536, 20000, &status, e);
        return r < 0 ? r : status;
}

static void expect_output(struct sandbox *s, const char *script, const char *want)
{
        struct err err = ERR_INIT;
        struct buf out = BUF_INIT;
        int status = run_shell(s, script, &out, &err);

        if (status != 0 || !strstr(buf_cstr(&out), want))
                fail_msg("'%s': status %d, %s\noutput: %s\nwanted: %s", script, status, err.msg, buf_cstr(&out), want);
        buf_done(&out);
}

static void program_in_a_jail_has_no_capability_in_any_set(void **state)
{
        struct sandbox s;

        (void)state;
        jail_init(&s);
        expect_output(
                &s, "grep -E '^Cap' /proc/self/status | tr -d '\\n\\t'",
                "CapInh:0000000000000000CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000CapAmb:"
                "0000000000000000");
        jail_init(&s);
        expect_output(&s, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1");
}

static void program_in_a_jail_has_its_own_user_and_no_groups(void **state)
{
        struct sandbox s;
        char want[64];

        (void)state;
        jail_init(&s);
        if (geteuid() == 0)
                snprintf(want, sizeof(want), "%u %u", TEST_UID, TEST_UID);
        else
                snprintf(want, sizeof(want), "%u %u", geteuid(), getegid());
        expect_output(&s, "echo $(id -u) $(id -g)", want);
        if (geteuid() == 0) {
                jail_init(&s);
                expect_output(&s, "grep Groups /proc/self/status | tr -d ' \\n'; echo .", "Groups:\t.");
        }
}

static void program_in_a_jail_is_pid_1_and_sees_no_other_process(void **state)
{
        struct sandbox s;

        (void)state;
        jail_init(&s);
        expect_output(&s, "echo $$; cd /proc; echo [0-9]*", "1\n1\n");
        jail_init(&s);
        expect_output(&s, "ls /proc/meminfo /proc/sys 2>&1 || true", "No such file");
}

static void jail_has_namespaces_of_its_own(void **state)
{
        static const char *const kinds[] = {"user", "pid", "mnt", "ipc", "uts", "net"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                char path[64], script[96], link[64] = "";
                struct buf out = BUF_INIT;
                struct err err = ERR_INIT;
                struct sandbox s;
                jail_init(&s);
                snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
                snprintf(script, sizeof(script), "readlink %s", path);
                assert_true(readlink(path, link, sizeof(link) - 1) > 0);
                assert_int_equal(run_shell(&s, script, &out, &err), 0);
                assert_true(str_starts(buf_cstr(&out), kinds[i]));
                assert_false(str_starts(buf_cstr(&out), link));
                buf_done(&out);
        }
}

static void jail_has_no_network_interface_that_is_up(void **state)
{
        struct sandbox s;

        (void)state;
        jail_init(&s);
        expect_output(&s, "cat /proc/self/net/dev | tail -n +3 | cut -d: -f1; tail -n +2 /proc/self/net/route | wc -l",
                      "    lo\n0\n");
}

static void root_of_a_jail_is_private_and_read_only(void **state)
{
        struct sandbox s;

        (void)state;
        jail_init(&s);
        expect_output(&s, "echo /*", "/bin /etc /lib /lib64 /proc /usr\n");
        jail_init(&s);
        expect_output(&s, "(: >/x) 2>&1; (: >/usr/lib/x) 2>&1; (mkdir /etc/x) 2>&1; echo done",
                      "Read-only file system");
        assert_int_not_equal(access("/usr/lib/x", F_OK), 0);
}

static void environment_of_a_jail_is_what_was_given(void **state)
{
        struct sandbox s;

        (void)state;
        assert_int_equal(setenv("DEVDEP_TEST_SECRET", "x", 1), 0);
        jail_init(&s);
        expect_output(&s, "tr '\\0' '\\n' </proc/1/environ | wc -c", "0\n");
}

static void only_named_descriptors_reach_the_jail(void **state)
{
        struct sandbox s;
        AUTO(auto_close) int stray = open("/etc/passwd", O_RDONLY); /* not close-on-exec, on purpose */

        (void)state;
        assert_true(stray >= 0);
        jail_init(&s);
        expect_output(&s, "ls /proc/1/fd; echo .", "0\n1\n2\n.\n");
}

static void core_files_are_off_and_limits_hold(void **state)
{
        const struct sandbox_limit limits[] = {{RLIMIT_NOFILE, 99}};
        struct sandbox s;

        (void)state;
        struct rlimit core;

        /* Most sessions begin with a soft limit of 0: that must not be what is seen. */
        assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
        core.rlim_cur = core.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_CORE, &core), 0);
        jail_init(&s);
        s.limits = limits;
        s.n_limits = 1;
        expect_output(&s, "ulimit -c; ulimit -Hc; ulimit -n; ulimit -Hn", "0\n0\n99\n99\n");
        core.rlim_cur = 0; /* the tests of filters kill processes */
        assert_int_equal(setrlimit(RLIMIT_CORE, &core), 0);
}

static void binds_are_read_only_unless_writable_and_run_nothing(void **state)
{
        const struct sandbox_bind b[] = {{.from = folder, .to = "/run", .writable = true},
                                         {.from = folder, .to = "/fixed"}};
        struct sandbox s;

        (void)state;
        if (geteuid() == 0)
                assert_int_equal(chown(folder, TEST_UID, TEST_UID), 0);
        jail_init(&s);
        s.binds = b;
        s.n_binds = 2;
        expect_output(&s, "(: >/fixed/file) 2>&1; echo .", "Read-only file system");
        jail_init(&s);
        s.binds = b;
        s.n_binds = 2;
        expect_output(&s, "echo 'echo hi' >/run/file && chmod 700 /run/file && /run/file 2>&1; echo $?",
                      "Permission denied");
        if (geteuid() == 0)
                assert_int_equal(chown(folder, 0, 0), 0);
}

static void owner_of_an_id_mapped_bind_is_the_jails_user(void **state)
{
        struct sandbox_bind b = {.from = folder, .to = "/repository", .idmap_owner = true};
        struct sandbox s;
        char path[128];
        AUTO(auto_close) int fd = -1;

        (void)state;
        snprintf(path, sizeof(path), "%s/file", folder);
        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "mine\n", 5), 5);
        jail_init(&s);
        s.binds = &b;
        s.n_binds = 1;
        expect_output(&s, "cat /repository/file; test -O /repository/file && echo owner", "mine\nowner\n");
}

/* Between the moment a path was resolved and this one, its owner put a link in. */
static void link_in_an_exact_bind_is_refused(void **state)
{
        char link[128], through[160];
        struct err err = ERR_INIT;
        struct buf out = BUF_INIT;
        struct sandbox s;

        (void)state;
        snprintf(link, sizeof(link), "%s/link", folder);
        snprintf(through, sizeof(through), "%s/usr", link);
        assert_int_equal(symlink("/", link), 0);
        const struct sandbox_bind binds[] = {{.from = "/usr/share", .to = "/a", .exact = true},
                                             {.from = through, .to = "/b"},
                                             {.from = through, .to = "/c", .exact = true}};
        for (unsigned n = 1; n <= ARRAY_SIZE(binds); n++) {
                jail_init(&s);
                s.binds = binds;
                s.n_binds = n;
                int status = run_shell(&s, "cd /a", &out, &err);
                if (n < ARRAY_SIZE(binds) ? status != 0 : status >= 0)
                        fail_msg("%u binds: status %d, %s", n, status, err.msg);
        }
        assert_non_null(strstr(err.msg, through));
        unlink(link);
        buf_done(&out);
}

static void missing_bind_is_reported_with_its_path(void **state)
{
        struct sandbox_bind b = {.from = "/nonexistent/folder"};
        struct err err = ERR_INIT;
        struct buf out = BUF_INIT;
        struct sandbox s;

        (void)state;
        jail_init(&s);
        s.binds = &b;
        s.n_binds = 1;
        assert_true(run_shell(&s, "true", &out, &err) < 0);
        assert_non_null(strstr(err.msg, "/nonexistent/folder"));
        buf_done(&out);
}

static void missing_program_is_an_error_and_not_a_status(void **state)
{
        char *const argv[] = {text("x"), NULL};
        struct sandbox_exec x = {.path = "/nonexistent/program", .argv = argv, .envp = empty_env};
        struct err err = ERR_INIT;
        struct sandbox s;
        int pidfd = -1;
        pid_t pid = 0;

        (void)state;
        jail_init(&s);
        assert_true(sandbox_spawn(&s, &x, &pid, &pidfd, NULL, &err) < 0);
        assert_non_null(strstr(err.msg, "/nonexistent/program"));
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static void root_must_name_a_user_for_the_jail(void **state)
{
        char *const argv[] = {text("x"), NULL};
        struct sandbox_exec x = {.path = "/bin/true", .argv = argv, .envp = empty_env};
        struct err err = ERR_INIT;
        struct sandbox s;
        int pidfd = -1;
        pid_t pid = 0;

        (void)state;
        jail_init(&s);
        s.uid = geteuid() == 0 ? 0 : 12345;
        assert_true(sandbox_spawn(&s, &x, &pid, &pidfd, NULL, &err) < 0);
        assert_int_equal(err.code, ERR_USAGE);
}

static void output_past_the_limit_kills_the_jail(void **state)
{
        struct err err = ERR_INIT;
        struct buf out = BUF_INIT;
        struct sandbox s;

        (void)state;
        jail_init(&s);
        assert_true(run_shell(&s, "while :; do echo 0123456789; done", &out, &err) < 0);
        assert_int_equal(err.code, ERR_RESOURCES);
        buf_done(&out);
}

static void report_says_what_is_held(void **state)
{
        char *const argv[] = {text("true"), NULL};
        struct sandbox_exec x = {.path = "/usr/bin/true", .argv = argv, .envp = empty_env};
        struct sandbox_report report;
        struct err err = ERR_INIT;
        struct sandbox s;
        int pidfd = -1;
        pid_t pid = 0;

        (void)state;
        jail_init(&s);
        s.binds = sandbox_binds_libraries;
        s.n_binds = sandbox_n_binds_libraries;
        s.filter = SANDBOX_FILTER_TOOL;
        if (sandbox_spawn(&s, &x, &pid, &pidfd, &report, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        fd_close(pidfd);
        for (unsigned p = 0; p < SANDBOX_PROTECTION_COUNT; p++) {
                /* Groups are the starter's; the last two a program does for itself. */
                bool unused = p == SANDBOX_CGROUP || p == SANDBOX_NO_DUMPS || p == SANDBOX_LOCKED_MEMORY;
                enum sandbox_state want = unused                                    ? SANDBOX_UNUSED
                                          : p == SANDBOX_OWN_USER && geteuid() != 0 ? SANDBOX_DEGRADED
                                                                                    : SANDBOX_OK;
                if (report.held[p].state != want)
                        fail_msg("%s is %s: %s", sandbox_protection_name(p), sandbox_state_name(report.held[p].state),
                                 report.held[p].why);
        }
}

/* ---- filters: each forbidden call in a child of its own ---- */

static int try_under(enum sandbox_filter f, void (*call)(void))
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                if (sandbox_filter_apply(f, NULL) < 0)
                        _exit(99);
                call();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void call_socket(void)
{
        _exit(socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0);
}
static void call_local_socket(void)
{
        _exit(socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0);
}
static void call_bpf(void)
{
        syscall(SYS_bpf, -1, NULL, 0);
}
static void call_exec(void)
{
        char *const argv[] = {text("true"), NULL};
        execve("/bin/true", argv, empty_env);
        _exit(98);
}
static void call_fork(void)
{
        pid_t p = fork();
        if (p == 0)
                _exit(0);
        _exit(p < 0 ? errno : 0);
}
static void call_open(void)
{
        _exit(open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0);
}
static void call_ptrace(void)
{
        syscall(SYS_ptrace, 0, 0, 0, 0);
}
static void call_user_ns(void)
{
        syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
}
static void call_clone3(void)
{
        _exit(syscall(SYS_clone3, NULL, 0) < 0 ? errno : 0);
}
static void call_unshare(void)
{
        unshare(CLONE_NEWUSER);
}
static void call_nothing(void) {}
static pid_t bystander; /* another process of the same user: us, the test */
static void call_signal_another(void)
{
        syscall(SYS_tgkill, bystander, bystander, 0);
}
static void call_signal_itself(void)
{
        _exit(syscall(SYS_tgkill, getpid(), getpid(), 0) < 0 ? errno : 0);
}
static void call_signal_by_descriptor(void)
{
        fcntl(0, F_SETOWN, bystander);
}
static void call_sendmsg(void)
{
        struct msghdr m = {0};

        sendmsg(0, &m, MSG_NOSIGNAL);
}
static void call_recvmsg(void)
{
        struct msghdr m = {0};

        recvmsg(0, &m, 0);
}
static void call_execveat(void)
{
        syscall(SYS_execveat, -1, "", NULL, NULL, 0);
}
static void call_newer(void)
{
        _exit(syscall(452, -1, "", 0600, 0) < 0 ? errno : 0); /* fchmodat2 */
}
static void call_fchmod(void)
{
        fchmod(0, 0600);
}

static void forbidden_calls_end_the_process(void **state)
{
        static const struct {
                enum sandbox_filter filter;
                void (*call)(void);
                int want; /* 159: killed */
        } rows[] = {
                {SANDBOX_FILTER_JOB, call_nothing, 0},
                {SANDBOX_FILTER_JOB, call_exec, 159},
                {SANDBOX_FILTER_JOB, call_socket, 159},
                {SANDBOX_FILTER_JOB, call_fork, 159},
                {SANDBOX_FILTER_JOB, call_ptrace, 159},
                {SANDBOX_FILTER_JOB, call_unshare, 159},
                {SANDBOX_FILTER_JOB, call_open, 0},
                {SANDBOX_FILTER_PLANNER, call_nothing, 0},
                {SANDBOX_FILTER_PLANNER, call_open, 159},
                {SANDBOX_FILTER_PLANNER, call_socket, 159},
                {SANDBOX_FILTER_GIT, call_exec, 0},
                {SANDBOX_FILTER_GIT, call_fork, 0},
                {SANDBOX_FILTER_GIT, call_socket, EACCES},
                {SANDBOX_FILTER_GIT, call_user_ns, 159},
                {SANDBOX_FILTER_GIT, call_ptrace, 159},
                {SANDBOX_FILTER_GIT, call_clone3, ENOSYS},
                {SANDBOX_FILTER_TOOL, call_exec, 0},
                {SANDBOX_FILTER_TOOL, call_fork, 159},
                {SANDBOX_FILTER_TOOL, call_socket, EACCES},
                {SANDBOX_FILTER_INIT, call_nothing, 0},
                {SANDBOX_FILTER_INIT, call_exec, 159},
                {SANDBOX_FILTER_INIT, call_open, 159},
                {SANDBOX_FILTER_VMM, call_nothing, 0},
                {SANDBOX_FILTER_VMM, call_socket, 159},
                {SANDBOX_FILTER_VMM, call_user_ns, 159},
                {SANDBOX_FILTER_VMM, call_unshare, 159},
                {SANDBOX_FILTER_VMM, call_ptrace, 159},
                {SANDBOX_FILTER_VMM, call_fchmod, 159},
                {SANDBOX_FILTER_VMM, call_clone3, ENOSYS},
                {SANDBOX_FILTER_VMM, call_open, 0},
                {SANDBOX_FILTER_VMM, call_fork, 159},
                {SANDBOX_FILTER_VMM, call_signal_another, 159},
                {SANDBOX_FILTER_VMM, call_signal_itself, 0},
                {SANDBOX_FILTER_VMM, call_execveat, 159},
                {SANDBOX_FILTER_VMM, call_newer, ENOSYS},
                {SANDBOX_FILTER_SERVER, call_nothing, 0},
                {SANDBOX_FILTER_SERVER, call_fork, 0},
                {SANDBOX_FILTER_SERVER, call_exec, 0},
                {SANDBOX_FILTER_SERVER, call_local_socket, 0},
                {SANDBOX_FILTER_SERVER, call_socket, EAFNOSUPPORT},
                {SANDBOX_FILTER_SERVER, call_bpf, 159},
                {SANDBOX_FILTER_SERVER, call_ptrace, 159},
                {SANDBOX_FILTER_JOB, call_signal_another, 159},
                {SANDBOX_FILTER_JOB, call_signal_itself, 0},
                {SANDBOX_FILTER_JOB, call_signal_by_descriptor, 159},
                {SANDBOX_FILTER_JOB, call_sendmsg, 159},
                {SANDBOX_FILTER_JOB, call_recvmsg, 159},
                {SANDBOX_FILTER_PLANNER, call_signal_another, 159},
                {SANDBOX_FILTER_PLANNER, call_signal_by_descriptor, 159},
        };

        (void)state;
        bystander = getpid();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (SANDBOX_SANITIZED &&
                    (rows[i].call == call_fork || rows[i].call == call_ptrace || rows[i].call == call_open))
                        continue; /* its runtime may */
                int got = try_under(rows[i].filter, rows[i].call);
                if (got != rows[i].want)
                        fail_msg("row %zu, filter %s: status %d, expected %d", i, sandbox_filter_name(rows[i].filter),
                                 got, rows[i].want);
        }
}

static void kill_by_the_filter_is_explained(void **state)
{
        char said[256];

        (void)state;
        sandbox_explain_exit("git", 159, said, sizeof(said));
        assert_non_null(strstr(said, "system call filter"));
        sandbox_explain_exit("git", 3, said, sizeof(said));
        assert_string_equal(said, "git exited with status 3");
        sandbox_explain_exit("git", 137, said, sizeof(said));
        assert_non_null(strstr(said, "signal 9"));
}

/* ---- confine_self ---- */

static void expect_confined(void)
{
        struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};
        struct stat st;
        int fd;

        if (syscall(SYS_capget, &h, caps) < 0 || caps[0].effective || caps[0].permitted || caps[1].effective ||
            caps[1].permitted)
                _exit(16);

        if (geteuid() == 0 || getuid() == 0)
                _exit(10);
        if (stat("/etc", &st) == 0 || stat("/proc", &st) == 0 || stat("/run", &st) < 0)
                _exit(11);
        fd = open("/run/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, "x", 1) != 1)
                _exit(12);
        if (open("/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
                _exit(13);
        if (fcntl(5, F_GETFD) < 0 || fcntl(6, F_GETFD) >= 0)
                _exit(14);
        if (environ && environ[0])
                _exit(15);
        _exit(0);
}

static void confined_process_keeps_its_run_folder_and_nothing_else(void **state)
{
        struct sandbox_bind b = {.from = folder, .to = "/run", .writable = true};
        static const int keep[] = {0, 1, 2, 5};
        struct err err = ERR_INIT;
        struct sandbox s;
        int status = 0;
        pid_t pid;

        char path[128];

        (void)state;
        snprintf(path, sizeof(path), "%s/file", folder);
        unlink(path);
        if (geteuid() == 0)
                assert_int_equal(chown(folder, TEST_UID, TEST_UID), 0);
        pid = fork();
        if (pid == 0) {
                jail_init(&s);
                s.proc = false;
                s.binds = &b;
                s.n_binds = 1;
                s.filter = SANDBOX_FILTER_JOB;
                dup2(2, 5);
                dup2(2, 6);
                if (sandbox_confine_self(&s, keep, ARRAY_SIZE(keep), NULL, &err) < 0) {
                        fprintf(stderr, "%s\n", err.msg);
                        _exit(9);
                }
                expect_confined();
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        if (geteuid() == 0)
                assert_int_equal(chown(folder, 0, 0), 0);
}

/* In a child: a process that asked to end with us and then confined itself. It says so once it stands; then we end. */
static _Noreturn void start_confined_and_end(int said)
{
        struct pollfd forever = {.fd = -1};
        struct sandbox s;
        char byte;
        int pair[2];

        if (pipe(pair) < 0)
                _exit(2);
        if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
                jail_init(&s);
                s.proc = false;
                s.n_binds = 0;
                s.filter = SANDBOX_FILTER_JOB;
                const int keep[] = {pair[1], said};
                if (said < pair[1] || sandbox_confine_self(&s, keep, ARRAY_SIZE(keep), NULL, NULL) < 0 ||
                    write(pair[1], "", 1) != 1)
                        _exit(3);
                poll(&forever, 1, 30000);
                _exit(0);
        }
        close(pair[1]);
        _exit(read(pair[0], &byte, 1) == 1 ? 0 : 4);
}

static void confined_process_still_ends_with_whoever_started_it(void **state)
{
        struct pollfd p = {.events = POLLIN};
        int pair[2], high, status = 0;

        (void)state;
        assert_int_equal(pipe(pair), 0);
        high = fcntl(pair[1], F_DUPFD, 100);
        close(pair[1]);
        pid_t pid = fork();
        if (pid == 0)
                start_confined_and_end(high);
        close(high);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        /* The end of the pipe that it alone still holds. */
        p.fd = pair[0];
        assert_int_equal(poll(&p, 1, 10000), 1);
        close(pair[0]);
}

/* ---- read-only descriptors ---- */

static void read_only_descriptor_cannot_be_made_writable_by_its_owner(void **state)
{
        char path[128], self[64];
        AUTO(auto_close) int fd = -1;
        AUTO(auto_close) int made = -1;
        struct err err = ERR_INIT;
        bool degraded = true;

        (void)state;
        snprintf(path, sizeof(path), "%s/file", folder);
        unlink(path);
        made = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(made, "abc", 3), 3);
        if (sandbox_open_readonly(path, &fd, &degraded, &err) < 0)
                fail_msg("%s", err.msg);
        assert_false(degraded);
        assert_int_equal(fchmod(fd, 0666), -1);
        assert_int_equal(errno, EROFS);
        snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        assert_int_equal(open(self, O_RDWR | O_CLOEXEC), -1);
        assert_int_equal(errno, EROFS);
}

static void folders_and_devices_are_no_read_only_files(void **state)
{
        struct err err = ERR_INIT;
        int fd = -1;

        (void)state;
        assert_true(sandbox_open_readonly("/etc", &fd, NULL, &err) < 0);
        assert_true(sandbox_open_readonly("/dev/null", &fd, NULL, &err) < 0);
        assert_true(sandbox_open_readonly("/nonexistent", &fd, NULL, &err) < 0);
        assert_int_equal(fd, -1);
}

static const struct CMUnitTest tests[] = {
        cmocka_unit_test(program_in_a_jail_has_no_capability_in_any_set),
        cmocka_unit_test(program_in_a_jail_has_its_own_user_and_no_groups),
        cmocka_unit_test(program_in_a_jail_is_pid_1_and_sees_no_other_process),
        cmocka_unit_test(jail_has_namespaces_of_its_own),
        cmocka_unit_test(jail_has_no_network_interface_that_is_up),
        cmocka_unit_test(root_of_a_jail_is_private_and_read_only),
        cmocka_unit_test(environment_of_a_jail_is_what_was_given),
        cmocka_unit_test(only_named_descriptors_reach_the_jail),
        cmocka_unit_test(core_files_are_off_and_limits_hold),
        cmocka_unit_test(binds_are_read_only_unless_writable_and_run_nothing),
        cmocka_unit_test(owner_of_an_id_mapped_bind_is_the_jails_user),
        cmocka_unit_test(link_in_an_exact_bind_is_refused),
        cmocka_unit_test(missing_bind_is_reported_with_its_path),
        cmocka_unit_test(missing_program_is_an_error_and_not_a_status),
        cmocka_unit_test(root_must_name_a_user_for_the_jail),
        cmocka_unit_test(output_past_the_limit_kills_the_jail),
        cmocka_unit_test(report_says_what_is_held),
        cmocka_unit_test(forbidden_calls_end_the_process),
        cmocka_unit_test(kill_by_the_filter_is_explained),
        cmocka_unit_test(confined_process_keeps_its_run_folder_and_nothing_else),
        cmocka_unit_test(confined_process_still_ends_with_whoever_started_it),
        cmocka_unit_test(read_only_descriptor_cannot_be_made_writable_by_its_owner),
        cmocka_unit_test(folders_and_devices_are_no_read_only_files),
};

int main(int argc, char **argv)
{
        int status = test_become(argc > 1 ? argv[1] : NULL, NULL);

        if (status != 0)
                return status;
        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
