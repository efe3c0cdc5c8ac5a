#include "pool/bury.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "vm/slot.h"

struct burial {
        buried_fn *fn;
        void *user;
        pid_t pid; /* 0: it has ended */
        struct loop_child *child;
};

static int on_end(struct loop_child *c, int exit_code, int term_signal, void *user, struct err *e)
{
        struct burial *b = user;

        (void)c;
        (void)exit_code;
        (void)term_signal;
        b->pid = 0;
        return b->fn(b->user, e);
}

static int launch(struct burial *b, struct loop *l, const char *state, const struct slot *slot, struct err *e)
{
        AUTO(auto_free) char *program = NULL, *folder = str_dup(state);
        char name[] = "devdep-pool", verb[] = "--bury", number[16];
        char *argv[] = {name, verb, folder, number, NULL}, *none[] = {NULL};
        const struct spawn_fd fds[] = {{STDERR_FILENO, STDERR_FILENO}, {slot->lock_fd, BURY_FD_LOCK}};
        struct spawn s = SPAWN_INIT;
        AUTO(auto_close) int pidfd = -1;

        int r = folder ? program_path(name, &program, e) : err_nomem(e);
        snprintf(number, sizeof(number), "%u", slot->number);
        s.path = program;
        s.argv = argv;
        s.envp = none;
        s.fds = fds;
        s.n_fds = ARRAY_SIZE(fds);
        s.new_session = 1;
        if (r == 0)
                r = spawn(&s, &b->pid, &pidfd, e);
        if (r == 0)
                r = loop_child_new(l, b->pid, pidfd, on_end, b, &b->child, e);
        if (r == 0)
                pidfd = -1;
        return r;
}

struct burial *burial_free(struct burial *b, uint64_t deadline_ms)
{
        if (!b)
                return NULL;
        AUTO(auto_close) int pidfd = b->pid > 0 ? (int)syscall(SYS_pidfd_open, b->pid, 0) : -1;
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        uint64_t now = clock_mono_ms();

        if (pidfd >= 0 && now < deadline_ms)
                poll(&ended, 1, (int)(deadline_ms - now));
        loop_child_free(b->child);
        free(b);
        return NULL;
}

int burial_start(struct loop *l, const char *state, struct slot *slot, buried_fn *fn, void *user, struct burial **ret,
                 struct err *e)
{
        struct burial *b = calloc(1, sizeof(*b));
        int r = b ? 0 : err_nomem(e);

        if (r == 0) {
                b->fn = fn;
                b->user = user;
                r = launch(b, l, state, slot, e);
        }
        slot_forget(slot);
        if (r < 0)
                b = burial_free(b, 0);
        *ret = b;
        return r;
}

int bury_main(int argc, char **argv)
{
        struct slot *slot = NULL;
        struct err err = ERR_INIT;
        uint64_t number = 0;

        log_init("devdep-pool", LOG_INFO);
        int r = argc == 4 ? num_u64(argv[3], 0, SLOT_MAX - 1, "--bury", &number, &err)
                          : err_set(&err, ERR_USAGE, "--bury is for devdep-pool itself");
        if (r == 0)
                r = slot_adopt(argv[2], (unsigned)number, BURY_FD_LOCK, &slot, &err);
        slot_release(slot);
        return r < 0 ? log_final(&err) : 0;
}
