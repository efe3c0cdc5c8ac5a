#include "pool/maker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "pool/bury.h"

#define MAX_TREE 32  /* the maker, devdep-prepare, devdep-jail, its pid 1, the VMM; helpers that come and go */
#define END_MS 2000u /* for those that were killed */

struct maker {
        made_fn *fn;
        void *user;
        pid_t pid;
        int answer_fd;
        struct loop_child *child;
        int ends[MAX_TREE]; /* pidfds of those that were killed */
        size_t n_ends;
};

static struct maker *maker_free(struct maker *m);

static int build_argv(const struct make_order *o, const char *program, struct strv *ret, struct err *e)
{
        const char *const words[] = {program, "--make", "--state", o->state, "--image", o->image, "--accel", o->accel};
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(words) && r == 0; i++)
                r = strv_add(ret, words[i], e);
        if (r == 0)
                r = strv_addf(ret, e, "--vcpus=%u", o->class.vcpus);
        if (r == 0)
                r = strv_addf(ret, e, "--memory=%llu", (unsigned long long)o->class.memory);
        if (r == 0)
                r = strv_addf(ret, e, "--scratch=%llu", (unsigned long long)o->class.scratch);
        if (r == 0 && o->key)
                r = strv_addf(ret, e, "--key=%s", o->key);
        if (r == 0 && o->key)
                r = strv_addf(ret, e, "--khz=%u", o->tsc_khz);
        return r;
}

/* What came before the maker ended, if it is whole; else its end is the answer. */
static void read_answer(const struct maker *m, int exit_code, struct made *ret, int fds[MADE_FD_COUNT])
{
        size_t len = 0, n = 0;
        struct err e = ERR_INIT;
        int r = fd_recv(m->answer_fd, ret, sizeof(*ret), fds, MADE_FD_COUNT, &len, &n, &e);

        for (size_t i = r == 0 ? n : 0; i < MADE_FD_COUNT; i++)
                fds[i] = -1;
        if (r == 0 && len == sizeof(*ret) && memcmp(ret->magic, MADE_MAGIC, sizeof(ret->magic)) == 0 &&
            (ret->failed || n > POOL_FD_LOCK))
                return;
        for (int i = 0; i < MADE_FD_COUNT; i++)
                fds[i] = fd_close(fds[i]);
        *ret = (struct made){.failed = true, .code = ERR_RESOURCES};
        snprintf(ret->message, sizeof(ret->message), "its preparation ended without an answer (status %d)", exit_code);
}

/* Only now, and not when the message came: the maker's copies of what it sent are gone. */
static int on_maker_end(struct loop_child *c, int exit_code, int term_signal, void *user, struct err *e)
{
        struct maker *m = user;
        struct made made;
        int fds[MADE_FD_COUNT];

        (void)c;
        m->pid = 0;
        read_answer(m, term_signal >= 0 ? 128 + term_signal : exit_code, &made, fds);
        return m->fn(&made, fds, m->user, e);
}

static int launch(struct maker *m, struct loop *l, const struct make_order *o, int answer, struct err *e)
{
        AUTO(auto_free) char *program = NULL;
        static char *const environment[] = {NULL};
        struct strv argv = STRV_INIT;
        struct spawn_fd fds[4] = {{STDERR_FILENO, STDERR_FILENO}, {answer, MAKE_FD_ANSWER}};
        struct spawn s = SPAWN_INIT;
        int pidfd = -1;

        int r = program_path("devdep-pool", &program, e);
        if (r == 0)
                r = build_argv(o, program, &argv, e);
        s.path = program;
        s.argv = argv.v;
        s.envp = environment;
        s.fds = fds;
        s.n_fds = 2;
        if (o->key) {
                fds[s.n_fds++] = (struct spawn_fd){o->memory_fd, MAKE_FD_MEMORY};
                fds[s.n_fds++] = (struct spawn_fd){o->state_fd, MAKE_FD_STATE};
        }
        s.die_with_parent = 1;
        s.new_session = 1;
        if (r == 0)
                r = spawn(&s, &m->pid, &pidfd, e);
        if (r == 0 && loop_child_new(l, m->pid, pidfd, on_maker_end, m, &m->child, e) < 0) {
                fd_close(pidfd);
                r = -1;
        }
        strv_done(&argv);
        return r;
}

static int maker_start(struct loop *l, const struct make_order *o, made_fn *fn, void *user, struct maker **ret,
                       struct err *e)
{
        struct maker *m = calloc(1, sizeof(*m));
        int pair[2] = {-1, -1};

        if (!m)
                return err_nomem(e);
        m->fn = fn;
        m->user = user;
        m->answer_fd = -1;
        int r = fd_socketpair(SOCK_SEQPACKET, pair, e);
        if (r == 0) {
                m->answer_fd = pair[0];
                r = fd_set_nonblock(m->answer_fd, true, e);
        }
        if (r == 0)
                r = launch(m, l, o, pair[1], e);
        fd_close(pair[1]);
        if (r < 0)
                m = maker_free(m);
        *ret = m;
        return r;
}

/* The numbers of a process's children; how many. */
static size_t read_children(pid_t pid, pid_t *ret, size_t max)
{
        struct buf text = BUF_INIT;
        char path[64], *next = NULL;
        size_t n = 0;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
        const char *p = fs_read(path, 4096, &text, NULL) == 0 ? buf_cstr(&text) : NULL;
        for (; p && n < max; p = next) {
                long child = strtol(p, &next, 10);
                if (next == p)
                        break;
                ret[n++] = (pid_t)child;
        }
        buf_done(&text);
        return n;
}

/* Stop a process and all below it, and list them. A process that is stopped neither starts nor collects children, so
 * that each number found below it still names what it named. */
static size_t stop_tree(pid_t root, pid_t *ret, size_t max)
{
        size_t n = 0;

        ret[n++] = root;
        for (size_t i = 0; i < n; i++) {
                kill(ret[i], SIGSTOP);
                n += read_children(ret[i], ret + n, max - n);
        }
        return n;
}

/* Those below first: nobody goes on beside what still stands. */
static void continue_tree(pid_t root)
{
        pid_t pids[MAX_TREE];

        for (size_t n = stop_tree(root, pids, MAX_TREE); n > 0; n--)
                kill(pids[n - 1], SIGCONT);
}

/* The VMM, and whatever else is not of devdep. */
static bool is_foreign(pid_t pid)
{
        struct buf name = BUF_INIT;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        bool foreign =
                fs_read(path, 64, &name, NULL) == 0 && buf_cstr(&name) && !str_starts(buf_cstr(&name), "devdep-");
        buf_done(&name);
        return foreign;
}

/* The maker and the VMM. devdep-jail, devdep-prepare, and the maker's children that become one of them, go on, which is
 * waiting: should we be killed meanwhile, they end the VM, as nobody who stands still could. */
static void hold_tree(pid_t root)
{
        pid_t pids[MAX_TREE];
        size_t n = stop_tree(root, pids, MAX_TREE);

        for (size_t i = 1; i < n; i++)
                if (!is_foreign(pids[i]))
                        kill(pids[i], SIGCONT);
}

static void maker_hold(struct maker *m, bool hold)
{
        if (m->pid > 0 && hold)
                hold_tree(m->pid);
        else if (m->pid > 0)
                continue_tree(m->pid);
}

static void maker_kill(struct maker *m)
{
        pid_t pids[MAX_TREE];
        size_t n = m->pid > 0 && m->n_ends == 0 ? stop_tree(m->pid, pids, MAX_TREE) : 0;

        for (size_t i = 0; i < n; i++) {
                m->ends[m->n_ends++] = (int)syscall(SYS_pidfd_open, pids[i], 0);
                kill(pids[i], SIGKILL);
        }
}

/* When this returns they have ended, and the slot is nobody's. */
static void await_ends(const struct maker *m)
{
        uint64_t deadline = clock_mono_ms() + END_MS;

        for (size_t i = 0; i < m->n_ends; i++) {
                struct pollfd end = {.fd = m->ends[i], .events = POLLIN};
                uint64_t now = clock_mono_ms();

                if (end.fd >= 0)
                        poll(&end, 1, now < deadline ? (int)(deadline - now) : 0);
        }
        while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

static struct maker *maker_free(struct maker *m)
{
        if (!m)
                return NULL;
        if (m->pid > 0) {
                maker_kill(m);
                await_ends(m);
        }
        for (size_t i = 0; i < m->n_ends; i++)
                fd_close(m->ends[i]);
        loop_child_free(m->child);
        fd_close(m->answer_fd);
        free(m);
        return NULL;
}

const struct maker_ops maker_process = {
        .start = maker_start,
        .hold = maker_hold,
        .kill = maker_kill,
        .free = maker_free,
        .bury = burial_start,
        .burial_free = burial_free,
};
