/* The starter's side of QEMU: descriptors, devdep-jail, its report. The starter reads nothing that the VMM writes. */
#include "vm/qemu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
#include "codec/hash.h"
#include "loop/spawn.h"
#include "sandbox/cgroup.h"
#include "vm/jail.h"
#include "vm/qemu_args.h"
#include "vm/slot.h"
#include "vm/tsc.h"
#include "vm/vsock.h"

/* From fork to the VMM's exec; only a host that stands still needs more. */
#define JAIL_TIMEOUT_MS 20000

/* Debian's qemu-system-x86_64-microvm starts 10 to 20 ms sooner under KVM, but is built without libseccomp: it does not
 * know -sandbox, so nothing would take execve away from a VMM that was taken over. */
static const char *const programs[] = {"/usr/bin/qemu-system-x86_64", "/usr/local/bin/qemu-system-x86_64"};

int qemu_program(const char **ret, struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
                if (access(programs[i], X_OK) == 0) {
                        *ret = programs[i];
                        return 0;
                }
        }
        return err_set(e, ERR_RESOURCES, "QEMU is not installed: apt install qemu-system-x86");
}

/* Path, size and time of change: reading 18 MB for each run would cost more than a start. */
static int describe_one(struct hash *h, const char *path, struct buf *text, struct err *e)
{
        AUTO(auto_free) char *line = NULL;
        struct stat st;
        int r;

        if (stat(path, &st) < 0)
                return 0;
        line = str_printf("%s %lld %lld.%09ld\n", path, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                          st.st_mtim.tv_nsec);
        if (!line)
                return err_nomem(e);
        r = hash_add(h, line, strlen(line), e);
        return r < 0 ? r : buf_append_str(text, line, e);
}

/* Our own part of the machine: the arguments of a VM that stands for all. */
static int describe_machine(struct hash *h, enum vm_accel accel, struct err *e)
{
        static const struct qemu_fds fds = {.control = 1,
                                            .channel = 2,
                                            .kernel = 3,
                                            .initramfs = 4,
                                            .vhost = -1,
                                            .memory = 5,
                                            .state = 6,
                                            .disk = {7, 8, -1, -1}};
        AUTO(strv_done) struct strv argv = STRV_INIT;
        struct vm_config c = VM_CONFIG_INIT;

        c.start = VM_START_TEMPLATE;
        c.accel = accel;
        c.cmdline = "";
        c.memory_fd = c.state_fd = 0;
        int r = qemu_args("qemu", &c, &fds, &argv, e);
        for (size_t i = 0; r == 0 && i < argv.n; i++)
                r = hash_add(h, argv.v[i], strlen(argv.v[i]) + 1, e);
        return r;
}

static int qemu_describe(struct buf *ret_text, uint8_t ret_digest[32], struct err *e)
{
        struct hash *h = NULL;
        int r = hash_new(&h, e);

        for (size_t i = 0; i < ARRAY_SIZE(programs) && r == 0; i++)
                r = describe_one(h, programs[i], ret_text, e);
        if (r == 0)
                r = describe_one(h, "/usr/share/qemu/bios-microvm.bin", ret_text, e);
        if (r == 0)
                r = describe_machine(h, VM_ACCEL_KVM, e);
        if (r == 0)
                r = describe_machine(h, VM_ACCEL_TCG, e);
        if (r == 0)
                r = hash_finish(h, ret_digest, e);
        hash_free(h);
        return r;
}

/* ---- start ---- */

/* What start holds until it is either in the handle or closed. */
struct start {
        const struct vm_config *c;
        const char *program;
        char *jail;                                         /* path of devdep-jail */
        int control, channel, lifeline, leash, report, log; /* the child's ends */
        int root, input;                                    /* these disks again, through a read-only mount */
        int state;                                          /* a clone's state again, with an offset of its own */
        int report_read;
        struct spawn_fd fds[SPAWN_MAX_FDS];
        unsigned n_fds;
        struct qemu_fds numbers;
        struct strv argv;
        struct buf pass;
        struct cgroup *group; /* NULL: the host has none for us */
        struct sandbox_held group_held;
};

static void start_done(struct start *s)
{
        fd_close(s->control);
        fd_close(s->channel);
        fd_close(s->lifeline);
        fd_close(s->leash);
        fd_close(s->report);
        fd_close(s->log);
        fd_close(s->root);
        fd_close(s->input);
        fd_close(s->state);
        fd_close(s->report_read);
        free(s->jail);
        strv_done(&s->argv);
        buf_done(&s->pass);
        s->group = cgroup_free(s->group);
}

/* A descriptor for the VMM gets the next number; -1 stays -1. */
static int pass(struct start *s, int fd, int *ret_number, struct err *e)
{
        *ret_number = -1;
        if (fd < 0)
                return 0;
        *ret_number = JAIL_FIRST_PASSED + (int)s->n_fds;
        s->fds[s->n_fds++] = (struct spawn_fd){fd, *ret_number};
        return buf_printf(&s->pass, e, "%s%d", s->pass.len ? "," : "", *ret_number);
}

/* Of vsock the VMM gets its device only; the listener is the owner's. */
static int make_channel(struct start *s, struct vm_handle *h, struct err *e)
{
        int pair[2], r = 0;

        if (s->c->vsock) {
                h->channel_fd = fcntl(s->c->vsock->listener_fd, F_DUPFD_CLOEXEC, 3);
                return h->channel_fd < 0 ? err_errno(e, ERR_RESOURCES, errno, "copy a descriptor") : 0;
        }
        r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        h->channel_fd = pair[0];
        s->channel = pair[1];
        return 0;
}

static int make_pairs(struct start *s, struct vm_handle *h, struct err *e)
{
        int pair[2], r;

        r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        h->control_fd = pair[0];
        s->control = pair[1];
        r = make_channel(s, h, e);
        if (r < 0)
                return r;
        r = fd_pipe(pair, e);
        if (r < 0)
                return r;
        s->lifeline = pair[0];
        h->lifeline_fd = pair[1];
        r = fd_pipe(pair, e);
        if (r < 0)
                return r;
        s->leash = pair[0];
        h->leash_fd = pair[1];
        r = fd_pipe(pair, e);
        if (r < 0)
                return r;
        s->report_read = pair[0];
        s->report = pair[1];
        r = fd_memfd_bounded("vmm-log", VM_LOG_MAX, &s->log, e);
        if (r == 0 && (h->log_fd = fcntl(s->log, F_DUPFD_CLOEXEC, 3)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "copy a descriptor");
        return r;
}

/* A read-only descriptor alone could be reopened for writing by its file's owner: what is only read is opened once more
 * through a read-only mount. Sealed memory files (kernel, initramfs, a test's root) are safe as they are. */
static int secure_disk(int fd, int *ret, struct err *e)
{
        return fd < 0 ? 0 : sandbox_reopen_readonly(fd, ret, NULL, e);
}

/* What several VMMs read must be what none of them can write. */
static int check_sealed(int fd, const char *what, struct err *e)
{
        const int want = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        int seals = fcntl(fd, F_GET_SEALS);

        if (seals < 0 || (seals & want) != want)
                return err_set(e, ERR_USAGE, "the %s of a clone must be a sealed memory file", what);
        return 0;
}

/* Clones share the file of the state, and must not share its offset. */
static int secure_template(struct start *s, struct err *e)
{
        char path[32];
        int r;

        if (s->c->start != VM_START_CLONE)
                return 0;
        r = check_sealed(s->c->state_fd, "state", e);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", s->c->state_fd);
        s->state = open(path, O_RDONLY | O_CLOEXEC);
        return s->state < 0 ? err_errno(e, ERR_RESOURCES, errno, "open the state of a template again") : 0;
}

/* Until it is told to load its state, a clone's QEMU touches no page of the memory (measured: its Rss is 0, and the
 * drivers' suite looks): whoever copies may still do so, in the 50 ms that QEMU takes to start. */
static int await_memory(const struct start *s, struct err *e)
{
        int r = 0;

        if (s->c->start != VM_START_CLONE)
                return 0;
        if (s->c->memory_ready)
                r = s->c->memory_ready(s->c->user, e);
        return r == 0 ? check_sealed(s->c->memory_fd, "memory", e) : r;
}

/* Into a socket that is empty: it cannot block. */
static int write_first_commands(const struct start *s, const struct vm_handle *h, struct err *e)
{
        struct buf text = BUF_INIT;
        struct err unsent = ERR_INIT;
        int r = qemu_first_commands(s->c, &s->numbers, &text, e);

        if (r == 0 && text.len) {
                r = fd_send(h->control_fd, text.data, text.len, &s->c->state_fd,
                            s->c->start == VM_START_TEMPLATE ? 1 : 0, &unsent);
                if (r < 0 && (unsent.errnum == EPIPE || unsent.errnum == ECONNRESET))
                        err_set(e, ERR_VM_BOOT_FAILED, "the VMM ended before it had its first commands");
                else if (r < 0)
                        *e = unsent;
        }
        buf_done(&text);
        return r;
}

static int pass_all(struct start *s, struct err *e)
{
        const struct vm_config *c = s->c;
        int r = pass(s, s->control, &s->numbers.control, e);

        if (r == 0)
                r = pass(s, s->channel, &s->numbers.channel, e);
        if (r == 0)
                r = pass(s, c->kernel_fd, &s->numbers.kernel, e);
        if (r == 0)
                r = pass(s, c->initramfs_fd, &s->numbers.initramfs, e);
        if (r == 0)
                r = pass(s, c->vsock ? c->vsock->vhost_fd : -1, &s->numbers.vhost, e);
        if (r == 0)
                r = pass(s, c->memory_fd, &s->numbers.memory, e);
        if (r == 0)
                r = pass(s, s->state, &s->numbers.state, e);
        for (unsigned d = 0; d < VM_DISK_COUNT && r == 0; d++)
                r = pass(s,
                         d == VM_DISK_ROOT    ? s->root
                         : d == VM_DISK_INPUT ? s->input
                                              : c->disk_fd[d],
                         &s->numbers.disk[d], e);
        return r;
}

/* What the VMM takes beside the guest's memory is bounded by tb-size, the rings and the number of threads. */
static int make_group(struct start *s, struct err *e)
{
        const struct cgroup_limits l = {.memory = QEMU_GROUP_MEMORY(s->c->shape.memory),
                                        .processes = QEMU_GROUP_PROCESSES(s->c->shape.vcpus),
                                        .weight = QEMU_GROUP_WEIGHT};

        return slot_group(s->c->slot, "vmm", &l, &s->group, &s->group_held, e);
}

static int make_argv(struct start *s, struct err *e)
{
        const struct slot *slot = s->c->slot;
        int r = strv_add(&s->argv, s->jail, e);

        if (r == 0 && slot->uid[SLOT_VMM] != (uid_t)-1) {
                r = strv_addf(&s->argv, e, "--uid");
                if (r == 0)
                        r = strv_addf(&s->argv, e, "%u", (unsigned)slot->uid[SLOT_VMM]);
                if (r == 0)
                        r = strv_addf(&s->argv, e, "--gid");
                if (r == 0)
                        r = strv_addf(&s->argv, e, "%u", (unsigned)slot->uid[SLOT_VMM]);
        }
        if (r == 0 && s->c->accel == VM_ACCEL_KVM)
                r = strv_add(&s->argv, "--kvm", e);
        if (r == 0)
                r = strv_add(&s->argv, "--file-size", e);
        if (r == 0)
                r = strv_addf(&s->argv, e, "%llu", (unsigned long long)MAX(s->c->shape.scratch, 1ull << 20));
        if (r == 0)
                r = strv_add(&s->argv, "--pass", e);
        if (r == 0)
                r = strv_add(&s->argv, buf_cstr(&s->pass), e);
        if (r == 0)
                r = strv_add(&s->argv, "--", e);
        if (s->c->accel == VM_ACCEL_TCG && s->c->start != VM_START_CLONE)
                s->numbers.tsc_khz = s->c->tsc_khz ? s->c->tsc_khz : tsc_khz();
        return r == 0 ? qemu_args(s->program, s->c, &s->numbers, &s->argv, e) : r;
}

static int launch(struct start *s, struct vm_handle *h, struct err *e)
{
        static char *const environment[] = {NULL};
        struct spawn p = SPAWN_INIT;
        int entries[CGROUP_MAX_PLACES], r;

        s->fds[s->n_fds++] = (struct spawn_fd){s->log, 2};
        s->fds[s->n_fds++] = (struct spawn_fd){s->lifeline, JAIL_LIFELINE_FD};
        s->fds[s->n_fds++] = (struct spawn_fd){s->leash, JAIL_LEASH_FD};
        s->fds[s->n_fds++] = (struct spawn_fd){s->report, JAIL_REPORT_FD};
        s->fds[s->n_fds++] = (struct spawn_fd){s->c->slot->lock_fd, JAIL_LOCK_FD};
        p.enter = entries;
        p.n_enter = s->group ? cgroup_entries(s->group, entries) : 0;
        p.path = s->jail;
        p.argv = s->argv.v;
        p.envp = environment;
        p.fds = s->fds;
        p.n_fds = s->n_fds;
        p.new_session = 1;
        r = spawn(&p, &h->jail_pid, &h->jail_pidfd, e);
        if (r == 0)
                r = slot_note(s->c->slot, "jail", h->jail_pid, e);
        s->control = fd_close(s->control);
        s->channel = fd_close(s->channel);
        s->lifeline = fd_close(s->lifeline);
        s->leash = fd_close(s->leash);
        s->report = fd_close(s->report);
        return r;
}

/* Until end of file: the VMM was executed, or somebody failed and said so. */
static int read_report(struct start *s, struct vm_handle *h, struct err *e)
{
        uint64_t deadline = clock_mono_ms() + JAIL_TIMEOUT_MS;
        struct jail_report rep;
        bool told = false;

        for (;;) {
                struct pollfd p = {.fd = s->report_read, .events = POLLIN};
                uint64_t now = clock_mono_ms();
                ssize_t n;
                if (now >= deadline || poll(&p, 1, (int)(deadline - now)) == 0)
                        return err_set(e, ERR_RESOURCES, "devdep-jail did not start the VMM within %d s",
                                       JAIL_TIMEOUT_MS / 1000);
                n = read(s->report_read, &rep, sizeof(rep));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n == 0 && told)
                        return 0;
                if (n != (ssize_t)sizeof(rep) || memcmp(rep.magic, JAIL_MAGIC, sizeof(rep.magic)) != 0)
                        return err_set(e, ERR_RESOURCES, "devdep-jail ended without starting the VMM");
                if (rep.failed)
                        return err_set(e, rep.code, "%.*s", (int)sizeof(rep.message) - 1, rep.message);
                h->report = rep.held;
                h->report.held[SANDBOX_CGROUP] = s->group_held;
                told = true;
        }
}

static void kill_jail(struct vm_handle *h)
{
        int status;

        if (h->jail_pidfd < 0)
                return;
        kill(h->jail_pid, SIGKILL);
        vm_wait(h, JAIL_TIMEOUT_MS, &status, NULL);
}

static int qemu_start(const struct vm_config *c, struct vm_handle *ret, struct err *e)
{
        struct start s = {.c = c,
                          .control = -1,
                          .channel = -1,
                          .lifeline = -1,
                          .leash = -1,
                          .report = -1,
                          .log = -1,
                          .root = -1,
                          .input = -1,
                          .state = -1,
                          .report_read = -1};
        struct vm_handle h = VM_HANDLE_INIT;
        h.origin = c->start == VM_START_CLONE ? VM_CLONED : VM_BOOTED;
        int r = qemu_program(&s.program, e);

        if (r == 0)
                r = program_path("devdep-jail", &s.jail, e);
        if (r == 0)
                r = make_pairs(&s, &h, e);
        if (r == 0)
                r = secure_disk(c->disk_fd[VM_DISK_ROOT], &s.root, e);
        if (r == 0)
                r = secure_disk(c->disk_fd[VM_DISK_INPUT], &s.input, e);
        if (r == 0)
                r = secure_template(&s, e);
        if (r == 0)
                r = pass_all(&s, e);
        if (r == 0)
                r = make_group(&s, e);
        if (r == 0)
                r = make_argv(&s, e);
        if (r == 0)
                r = launch(&s, &h, e);
        if (r == 0)
                r = read_report(&s, &h, e);
        if (r == 0)
                r = await_memory(&s, e);
        if (r == 0)
                r = write_first_commands(&s, &h, e);
        start_done(&s);
        if (r < 0) {
                kill_jail(&h);
                vm_handle_done(&h);
                return r;
        }
        *ret = h;
        return 0;
}

const struct vm_driver vm_driver_qemu = {
        .name = "qemu",
        .caps = VM_CAP_PAUSE | VM_CAP_TEMPLATE | VM_CAP_STATS | VM_CAP_CONSOLE | VM_CAP_VSOCK,
        .describe = qemu_describe,
        .start = qemu_start,
        .stats = qemu_stats,
        .attach = qemu_attach,
        .pause = qemu_pause,
        .resume = qemu_resume,
        .save = qemu_save,
        .console = qemu_console,
        .stop = qemu_stop,
        .free = qemu_free,
};
