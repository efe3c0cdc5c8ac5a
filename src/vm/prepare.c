#include "vm/prepare.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "loop/spawn.h"
#include "sandbox/cgroup.h"
#include "vm/slot.h"
#include "vm/vm.h"

/* Descriptors of devdep-prepare, as devdep-job has them (ARCHITECTURE.md, "How a job starts"). */
enum { FD_VMM = 5, FD_CHANNEL, FD_LIFELINE, FD_SLOT = 10, FD_VMM_LOG, FD_OWNER };

/* As devdep-job's, whose work it does: windows and buffers are bounded by limits of their own, far below. */
#define GROUP_MEMORY (512ull << 20)
#define GROUP_PROCESSES 16u

CLEANUP_DEFINE(struct cgroup, cgroup_free)

static int launch(const char *mode, const struct slot *slot, const struct vm_handle *vm, int owner, struct prepare *p,
                  struct err *e)
{
        AUTO(auto_free) char *program = NULL;
        char uid[16], name[] = "devdep-prepare", how[16], uid_option[] = "--uid", gid_option[] = "--gid";
        char *argv[] = {name, how, uid_option, uid, gid_option, uid, NULL}, *none[] = {NULL};
        const struct spawn_fd fds[] = {
                {p->log_fd, STDERR_FILENO},
                {vm->control_fd, FD_VMM},
                {vm->channel_fd, FD_CHANNEL},
                {vm->lifeline_fd, FD_LIFELINE},
                {slot->lock_fd, FD_SLOT},
                {vm->log_fd, FD_VMM_LOG},
                {owner, FD_OWNER},
        };
        const struct cgroup_limits bounds = {.memory = GROUP_MEMORY, .processes = GROUP_PROCESSES};
        AUTO(cgroup_freep) struct cgroup *group = NULL;
        struct sandbox_held unused;
        struct spawn s = SPAWN_INIT;
        int entries[CGROUP_MAX_PLACES];
        int r = program_path("devdep-prepare", &program, e);

        if (r == 0)
                r = slot_group(slot, "prepare", &bounds, &group, &unused, e);
        if (r < 0)
                return r;
        str_copy(how, sizeof(how), mode);
        snprintf(uid, sizeof(uid), "%u", (unsigned)slot->uid[SLOT_JOB]);
        if (slot->uid[SLOT_JOB] == (uid_t)-1)
                argv[2] = NULL;
        s.path = program;
        s.argv = argv;
        s.envp = none;
        s.fds = fds;
        s.n_fds = ARRAY_SIZE(fds);
        s.enter = entries;
        s.n_enter = group ? cgroup_entries(group, entries) : 0;
        s.new_session = 1;
        s.die_with_parent = 1; /* kept by its confinement; the pipe lets it end by itself */
        r = spawn(&s, &p->pid, &p->pidfd, e);
        return r == 0 ? slot_note(slot, "prepare", p->pid, e) : r;
}

int prepare_start(const char *mode, const struct slot *slot, const struct vm_handle *vm, struct prepare *ret,
                  struct err *e)
{
        int pair[2] = {-1, -1};

        *ret = (struct prepare)PREPARE_INIT;
        int r = fd_memfd_bounded("prepare-log", PREPARE_MAX_LOG, &ret->log_fd, e);
        if (r == 0)
                r = fd_pipe(pair, e);
        ret->owner_fd = pair[1];
        if (r == 0)
                r = launch(mode, slot, vm, pair[0], ret, e);
        fd_close(pair[0]);
        return r;
}

/* What it said on its way out, on one line. */
static int refused(const struct prepare *p, int status, struct err *e)
{
        char text[PREPARE_MAX_LOG + 1], line[512];
        ssize_t n = pread(p->log_fd, text, PREPARE_MAX_LOG, 0);

        text[MAX(n, 0)] = '\0';
        str_escape(line, sizeof(line), text, strcspn(text, "\n"));
        return err_set(e, ERR_VM_BOOT_FAILED, "devdep-prepare ended with %s %d%s%s",
                       WIFSIGNALED(status) ? "signal" : "status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), *line ? ": " : "", line);
}

static int reap(struct prepare *p)
{
        int status = 0;

        while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
                ;
        p->pid = 0;
        return status;
}

int prepare_wait(struct prepare *p, uint64_t timeout_ms, struct err *e)
{
        struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};

        if (poll(&ended, 1, (int)MIN(timeout_ms, (uint64_t)INT32_MAX)) <= 0)
                return PREPARE_E_TIMEOUT;
        int status = reap(p);
        return status == 0 ? 0 : refused(p, status, e);
}

void prepare_done(struct prepare *p)
{
        if (p->pid > 0) {
                kill(p->pid, SIGKILL);
                reap(p);
        }
        p->pidfd = fd_close(p->pidfd);
        p->log_fd = fd_close(p->log_fd);
        p->owner_fd = fd_close(p->owner_fd);
}
