#include "guest/exec_child.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/secret.h"
#include "guest/cgroup.h"
#include "guest/child.h"
#include "guest/jobroot.h"
#include "guest/users.h"
#include "wire/guest.h"

#include <errno.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OPEN_FILES 65536 /* soft limit of open files; hard: OPEN_FILES_HARD */
#define OPEN_FILES_HARD 1048576
#define LOCKED_MEMORY ((rlim_t)8 << 20)
#define STACK ((rlim_t)8 << 20)

/* A variable may hold a secret. */
void exec_request_done(struct exec_request *q)
{
        for (size_t i = 0; i < q->env.n; i++)
                secret_wipe(q->env.v[i], strlen(q->env.v[i]));
        strv_done(&q->argv);
        strv_done(&q->env);
}

static int text_field(const struct fields *f, const char *key, const char *fallback, char *ret, size_t size,
                      struct err *e)
{
        const char *value;
        int r = fallback ? fields_str_opt(f, key, fallback, &value, e) : fields_str(f, key, &value, e);
        if (r == 0 && !str_copy(ret, size, value))
                r = err_set(e, ERR_USAGE, "%s is longer than %zu bytes", key, size - 1);
        return r;
}

static int repeated(const struct fields *f, const char *key, struct strv *ret, struct err *e)
{
        for (size_t i = 0; i < fields_count(f); i++) {
                const struct field *field = fields_at(f, i);
                if (!str_eq(field->key, key))
                        continue;
                if (memchr(field->value, 0, field->len))
                        return err_set(e, ERR_USAGE, "%s has a NUL byte", key);
                if (ret->n == EXEC_MAX_ARGS)
                        return err_set(e, ERR_USAGE, "more than %d fields %s", EXEC_MAX_ARGS, key);
                int r = strv_addf(ret, e, "%.*s", (int)field->len, (const char *)field->value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int options(const struct fields *f, struct exec_request *q, struct err *e)
{
        uint64_t with_stdin, rows, columns;
        const char *survivors;
        int r = fields_u64_opt(f, "stdin", 0, 1, &with_stdin, e);
        r = r < 0 ? r : fields_u64_opt(f, "rows", 24, UINT16_MAX, &rows, e);
        r = r < 0 ? r : fields_u64_opt(f, "columns", 80, UINT16_MAX, &columns, e);
        r = r < 0 ? r : fields_str_opt(f, "survivors", "kill", &survivors, e);
        if (r < 0)
                return r;
        if (!rows || !columns)
                return err_set(e, ERR_USAGE, "expected rows and columns from 1 to 65535");
        if (!str_eq(survivors, "kill") && !str_eq(survivors, "keep"))
                return err_set(e, ERR_USAGE, "expected survivors 'kill' or 'keep'");
        q->has_stdin = with_stdin;
        q->keep = str_eq(survivors, "keep");
        q->rows = (uint16_t)rows;
        q->columns = (uint16_t)columns;
        return 0;
}

int exec_request_parse(const struct fields *f, bool pty, struct exec_request *ret, struct err *e)
{
        *ret = (struct exec_request){.pty = pty};
        int r = text_field(f, "step", NULL, ret->step, sizeof(ret->step), e);
        r = r < 0 ? r : text_field(f, "cwd", "/", ret->cwd, sizeof(ret->cwd), e);
        r = r < 0 ? r : text_field(f, "user", JOBROOT_USER, ret->user, sizeof(ret->user), e);
        r = r < 0 ? r : options(f, ret, e);
        r = r < 0 ? r : repeated(f, "arg", &ret->argv, e);
        r = r < 0 ? r : repeated(f, "env", &ret->env, e);
        if (r == 0 && !cgroup_name_is_valid(ret->step))
                r = err_set(e, ERR_USAGE, "step: expected 1 to %d of [a-z0-9-]", CGROUP_MAX_STEP);
        if (r == 0 && (!ret->argv.n || !ret->argv.v[0][0]))
                r = err_set(e, ERR_USAGE, "expected at least one arg");
        if (r < 0)
                exec_request_done(ret);
        return r;
}

static void set_limits(void)
{
        const struct {
                int what;
                struct rlimit limit;
        } limits[] = {
                {RLIMIT_NOFILE, {OPEN_FILES, OPEN_FILES_HARD}},   {RLIMIT_CORE, {0, RLIM_INFINITY}},
                {RLIMIT_MEMLOCK, {LOCKED_MEMORY, LOCKED_MEMORY}}, {RLIMIT_STACK, {STACK, RLIM_INFINITY}},
                {RLIMIT_NPROC, {RLIM_INFINITY, RLIM_INFINITY}}, /* pids.max of the job bounds it */
        };
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                setrlimit(limits[i].what, &limits[i].limit);
}

/* Programs open /dev/stdout and /dev/tty again by name: they must be their user's. */
static void own_stdio(const struct user *u, bool pty)
{
        for (int fd = 0; fd <= 2; fd++) {
                struct stat st;
                if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || pty))
                        (void)!fchown(fd, u->uid, pty ? st.st_gid : u->gid);
        }
}

static const char *search_path(const struct strv *env)
{
        for (size_t i = 0; i < env->n; i++)
                if (str_starts(env->v[i], "PATH="))
                        return env->v[i] + 5;
        return DEFAULT_PATH;
}

/* As execvpe does it: the first program of the search path that can be executed; returns with errno. */
static void exec_search(char *const *argv, char *const *envp, const char *path)
{
        if (strchr(argv[0], '/')) {
                execve(argv[0], argv, envp);
                return;
        }
        int errnum = ENOENT;
        for (const char *p = path; p;) {
                char full[PATH_MAX];
                size_t len = strcspn(p, ":");
                int n = snprintf(full, sizeof(full), "%.*s/%s", len ? (int)len : 1, len ? p : ".", argv[0]);
                if (n > 0 && n < (int)sizeof(full)) {
                        execve(full, argv, envp);
                        if (errno != ENOENT && errno != ENOTDIR)
                                errnum = errno;
                }
                p = p[len] ? p + len + 1 : NULL;
        }
        errno = errnum;
}

static __attribute__((noreturn)) void child(const struct exec_request *q)
{
        static char *const no_env[] = {NULL};
        struct err e = ERR_INIT;
        struct user u;
        child_enter(q->user, &u);
        setsid();
        if (q->pty)
                ioctl(0, TIOCSCTTY, 0);
        set_limits();
        umask(022);
        if (cgroup_delegate(CHILD_GROUP, u.uid, u.gid, &e) < 0)
                child_fail("resources", "%s", e.msg);
        own_stdio(&u, q->pty);
        child_become(&u);
        if (chdir(q->cwd) < 0)
                child_fail_errno(errno, "enter the folder %s", q->cwd);
        exec_search(q->argv.v, q->env.n ? q->env.v : no_env, search_path(&q->env));
        child_fail_errno(errno, "execute %s", q->argv.v[0]);
}

int exec_child_start(const struct exec_request *q, const struct jobroot *job, int group, const struct exec_stdio *io,
                     pid_t *ret_pid, struct err *e)
{
        struct clone_args args = {
                .flags = CLONE_INTO_CGROUP,
                .exit_signal = SIGCHLD,
                .cgroup = (uint64_t)group,
        };
        long pid = syscall(SYS_clone3, &args, sizeof(args));
        if (pid < 0)
                return err_errno(e, ERR_RESOURCES, errno, "start a process of step %s", q->step);
        if (pid > 0) {
                *ret_pid = (pid_t)pid;
                return 0;
        }
        const int fds[CHILD_N_FDS] = {io->in, io->out, io->err, io->report, job->mnt_ns, job->cgroup_ns, group};
        if (child_take_fds(fds) < 0)
                _exit(127);
        child(q);
}
