#include "cli/process_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "cli/claim.h"
#include "cli/rundir.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "sandbox/cgroup.h"
#include "secrets/limits.h"
#include "vm/slot.h"

#define VM_END_DEADLINE_MS 10000u
/* devdep-job's control group: its windows, buffers and masks are bounded by limits of their own, far below. */
#define JOB_GROUP_MEMORY (512ull << 20)
#define JOB_GROUP_PROCESSES 16u
#define SECRETS_END_MS (SECRETS_RELEASE_MS + 10000u) /* after devdep-job's end, for what was lent to be given back */
#define MAX_LOG 16384                                /* bytes that the processes of one job may say on standard error */

/* Descriptors of devdep-job (ARCHITECTURE.md, "How a job starts"). */
enum {
        JOB_FD_SPEC = 3,
        JOB_FD_JOURNAL,
        JOB_FD_CONTROL_VMM,
        JOB_FD_CHANNEL,
        JOB_FD_LIFELINE,
        JOB_FD_SOURCE,
        JOB_FD_CONTROL,
        JOB_FD_SLOT,
        JOB_FD_VMM_LOG,
        JOB_FD_OWNER,
        JOB_FD_LEASH, /* not given: this command keeps it */
        JOB_FD_STORE,
        JOB_FD_BROKER,
        JOB_FD_SECRETS,
        JOB_FD_VALUES,
        JOB_FD_SERVICE,
};

static void close_handed_over(struct process *p)
{
        p->listen_fd = fd_close(p->listen_fd);
        p->spec_fd = fd_close(p->spec_fd);
        p->journal_fd = fd_close(p->journal_fd);
        p->owner_fd[0] = fd_close(p->owner_fd[0]);
        p->vm.control_fd = fd_close(p->vm.control_fd);
        p->vm.channel_fd = fd_close(p->vm.channel_fd);
        p->vm.lifeline_fd = fd_close(p->vm.lifeline_fd);
        p->source.child.socket_fd = fd_close(p->source.child.socket_fd);
        p->store.socket_fd = fd_close(p->store.socket_fd);
        p->service.socket_fd = fd_close(p->service.socket_fd);
        p->broker.socket_fd = fd_close(p->broker.socket_fd);
        secrets_process_close(&p->secrets);
}

/* What the processes of a job said, line by line, escaped as everything foreign. */
static void show_log(const struct process *p)
{
        char text[MAX_LOG + 1];
        ssize_t n = p->log_fd < 0 ? 0 : pread(p->log_fd, text, MAX_LOG, 0);

        text[MAX(n, 0)] = '\0';
        for (char *line = text; *line;) {
                size_t len = strcspn(line, "\n");
                char next = line[len];
                line[len] = '\0';
                log_warning("slot %u: %s", p->slot ? p->slot->number : 0, line);
                line += len + (next != '\0');
        }
}

/* A killed VMM is every VM's normal end, unless it was the kernel that killed it. */
static void explain_vm_end(struct process *p, int status)
{
        if (slot_ran_out_of_memory(p->slot, "vmm"))
                snprintf(p->vm_end, sizeof(p->vm_end),
                         "the VMM was killed because it used up the memory of its control group (%.100s)",
                         p->vm.report.held[SANDBOX_CGROUP].why);
        else if (status > 128 && status != 128 + SIGKILL)
                sandbox_explain_exit("the VMM", status, p->vm_end, sizeof(p->vm_end));
}

static void end_child(const struct process *p, struct sandbox_child *c)
{
        char why[256];

        sandbox_child_end(c);
        if (sandbox_child_explain(c, why, sizeof(why)))
                log_warning("slot %u: %s", p->slot ? p->slot->number : 0, why);
}

/* The VM, the source and the slot, in the order in which they depend on each other. */
static void release_host(struct process *p)
{
        struct sandbox_child *const children[] = {&p->source.child, &p->broker, &p->store, &p->service};
        struct err e = ERR_INIT;
        int status = 0;

        close_handed_over(p);
        p->owner_fd[1] = fd_close(p->owner_fd[1]);
        p->vm.leash_fd = fd_close(p->vm.leash_fd);
        if (p->vm.jail_pidfd >= 0 && vm_wait(&p->vm, VM_END_DEADLINE_MS, &status, &e) != 0)
                log_warning("the VM of slot %u did not end by itself", p->slot->number);
        if (p->slot) {
                explain_vm_end(p, status);
                p->job_out_of_memory = slot_ran_out_of_memory(p->slot, "job");
        }
        vm_handle_done(&p->vm);
        for (size_t i = 0; i < ARRAY_SIZE(children); i++)
                end_child(p, children[i]);
        source_process_done(&p->source);
        show_log(p);
        p->log_fd = fd_close(p->log_fd);
        if (p->socket_path)
                unlink(p->socket_path);
        p->slot = slot_release(p->slot);
}

struct process *process_free(struct process *p)
{
        if (!p)
                return NULL;
        if (p->child)
                loop_child_kill(p->child, 9);
        loop_child_free(p->child);
        if (p->secrets_child)
                loop_child_kill(p->secrets_child, 9);
        loop_child_free(p->secrets_child);
        loop_timer_free(p->secrets_timer);
        loop_watch_free(p->watch);
        loop_timer_free(p->again);
        journal_close(p->journal);
        release_host(p);
        job_order_done(&p->order);
        json_decref(p->last);
        cgroup_free(p->job_group);
        free(p->socket_path);
        free(p->journal_path);
        free(p);
        return NULL;
}
CLEANUP_DEFINE(struct process, process_free)

static void explain_job_end(const struct process *p, char *ret, size_t size)
{
        char how[256] = "it used up the memory of its control group";

        if (!p->job_out_of_memory)
                sandbox_explain_exit("it", p->term_signal >= 0 ? 128 + p->term_signal : p->exit_code, how, sizeof(how));
        snprintf(ret, size, "devdep-job ended without a verdict: %s", how);
}

static int deliver(struct process *p, struct err *e)
{
        struct process_verdict v = {.conclusion = "failure", .code = ERR_GUEST_LOST, .message = ""};
        char why[ERR_MAX_MESSAGE];

        v.ms = clock_mono_ms() - p->started_ms;
        v.segments = p->segments;
        if (p->last) {
                v.conclusion = json_string_value(json_object_get(p->last, "conclusion"));
                v.code = (int)json_integer_value(json_object_get(p->last, "code"));
                const char *message = json_string_value(json_object_get(p->last, "message"));
                v.message = message ? message : "";
                v.outputs = json_object_get(p->last, "outputs");
                v.environment_url =
                        json_string_value(json_object_get(json_object_get(p->last, "job_environment"), "url"));
        } else if (p->killed) {
                v.conclusion = "cancelled";
                v.code = ERR_CANCELLED;
        } else if (p->broken.code != ERR_SUCCESS) {
                v.code = p->broken.code;
                v.message = p->broken.msg;
        } else {
                explain_job_end(p, why, sizeof(why));
                v.message = why;
        }
        if (p->vm_end[0] && (v.code == ERR_GUEST_LOST || v.code == ERR_VM_BOOT_FAILED))
                v.message = p->vm_end;
        if (!v.conclusion)
                v.conclusion = "failure";
        return p->callbacks->ended(p, &v, p->user, e);
}

/* Everything was read and devdep-job is gone. */
static int finish(struct process *p, struct err *e)
{
        p->watch = loop_watch_free(p->watch);
        loop_timer_off(p->again);
        uint64_t since = clock_mono_ms();
        release_host(p);
        p->segments.teardown_ms = clock_mono_ms() - since;
        return deliver(p, e);
}

/* What `vm ls` shows. A slot without it is shown, too, so a failure is none of the job's. */
static void tell_slot(const struct process *p, const char *state)
{
        struct slot_info info = p->info;

        str_copy(info.state, sizeof(info.state), state);
        info.jail = p->vm.jail_pid;
        slot_info_write(p->slot, &info, NULL);
}

static int on_event(const char *type, const struct json_t *event, void *user, struct err *e)
{
        struct process *p = user;

        if (strcmp(type, "job_started") == 0 && p->vm.origin != VM_PARKED)
                tell_slot(p, "running");
        if (strcmp(type, "job_finished") == 0) {
                json_decref(p->last);
                p->last = json_deep_copy(event);
                if (!p->last)
                        return err_nomem(e);
        }
        return p->callbacks->event(p, type, event, p->user, e);
}

/* devdep-secrets gives back what was lent, also when devdep-job was killed. */
static bool is_over(const struct process *p)
{
        return p->ended && !p->secrets_child;
}

/* A journal that breaks its format ends the job: its writer was taken over, or is broken. */
int process_read_journal(struct process *p, struct err *e)
{
        if (p->held || p->broken.code != ERR_SUCCESS)
                return is_over(p) && !p->held ? finish(p, e) : 0;
        int r = journal_read(p->journal, e);
        if (r == JOURNAL_E_MORE) {
                loop_timer_in(p->again, 0);
                return 0;
        }
        if (r == JOURNAL_E_BROKEN) {
                p->broken = *e;
                process_kill(p);
                p->killed = false;
                r = 0;
        }
        if (r == 0 && is_over(p))
                return finish(p, e);
        return r;
}

static int on_grown(struct loop_watch *w, void *user, struct err *e)
{
        (void)w;
        return process_read_journal(user, e);
}

static int on_again(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        return process_read_journal(user, e);
}

static int on_job_exit(struct loop_child *c, int exit_code, int term_signal, void *user, struct err *e)
{
        struct process *p = user;

        (void)c;
        p->ended = true;
        p->segments.command_ms = clock_mono_ms() - p->started_ms - p->segments.bootstrap_ms;
        p->exit_code = exit_code;
        p->term_signal = term_signal;
        p->child = loop_child_free(p->child);
        if (p->secrets_child)
                loop_timer_in(p->secrets_timer, SECRETS_END_MS);
        return process_read_journal(p, e);
}

/* The claimed VM's slot, with the VM; or one of our own, with or without it. */
static int take_slot(struct process *p, const struct process_config *c, struct err *e)
{
        p->info = (struct slot_info){.vcpus = c->shape.vcpus, .memory = c->shape.memory, .since_ms = clock_real_ms()};
        snprintf(p->info.image, sizeof(p->info.image), "%s@%s", c->image->name, c->image->digest);
        str_copy(p->info.accel, sizeof(p->info.accel), vm_accel_name(c->accel));
        str_copy(p->info.job, sizeof(p->info.job), c->job);
        if (!c->claim)
                return slot_take(c->state, &p->slot, e);
        p->vm = c->claim->vm;
        c->claim->vm = (struct vm_handle)VM_HANDLE_INIT;
        p->slot = TAKE_PTR(c->claim->slot);
        return p->slot ? 0 : slot_take(c->state, &p->slot, e);
}

/* The control socket: listening here, so that it is there before devdep-job is. */
static int open_control(struct process *p, struct err *e)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        p->socket_path = fs_join(p->slot->run, "control");
        if (!p->socket_path)
                return err_nomem(e);
        if (!str_copy(address.sun_path, sizeof(address.sun_path), p->socket_path))
                return err_set(e, ERR_USAGE, "the path of the state folder is too long for a socket: %s",
                               p->socket_path);
        p->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (p->listen_fd < 0 || bind(p->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(p->listen_fd, 8) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "listen on %s", p->socket_path);
        return 0;
}

static int digest_spec(struct process *p, const struct buf *text, struct err *e)
{
        uint8_t digest[HASH_SIZE];
        int r = hash_bytes(text->data, text->len, digest, e);

        str_copy(p->spec_digest, sizeof(p->spec_digest), "sha256:");
        if (r == 0)
                hash_hex(digest, p->spec_digest + strlen("sha256:"));
        return r;
}

static int write_spec(struct process *p, const struct process_config *c, struct err *e)
{
        AUTO(json_decrefp) json_t *spec = NULL;
        struct buf text = BUF_INIT;

        /* The rest of its protections devdep-job tells itself. */
        struct sandbox_report job = {0};
        const struct process_reports reports = {.vmm = &p->vm.report,
                                                .source = c->place ? &p->source.child.report : NULL,
                                                .broker = p->broker.pid ? &p->broker.report : NULL,
                                                .store = c->store ? &p->store.report : NULL,
                                                .service = p->service.pid > 0 ? &p->service.report : NULL,
                                                .secrets = p->secrets_child ? &p->secrets.report : NULL,
                                                .job = &job};
        const struct cgroup_limits bounds = {.memory = JOB_GROUP_MEMORY, .processes = JOB_GROUP_PROCESSES};
        int r = slot_group(p->slot, "job", &bounds, &p->job_group, &job.held[SANDBOX_CGROUP], e);
        if (r == 0)
                r = c->spec(&reports, c->user, &spec, e);
        if (r == 0)
                r = json_write(spec, 0, &text, e);
        if (r == 0)
                r = digest_spec(p, &text, e);
        if (r == 0)
                r = fd_memfd_sealed("job-spec", text.data, text.len, &p->spec_fd, e);
        if (r == 0)
                r = rundir_write_spec(c->rundir, c->key, text.data, text.len, e);
        buf_done(&text);
        return r;
}

static int spawn_job(struct process *p, struct err *e)
{
        AUTO(auto_free) char *program = NULL;
        char uid[16], *none[] = {NULL};
        struct spawn_fd fds[SPAWN_MAX_FDS];
        unsigned n = 0;
        pid_t pid;
        int pidfd;

        int r = program_path("devdep-job", &program, e);
        if (r < 0)
                return r;
        const struct spawn_fd all[] = {
                {p->log_fd, STDERR_FILENO},
                {p->spec_fd, JOB_FD_SPEC},
                {p->journal_fd, JOB_FD_JOURNAL},
                {p->vm.control_fd, JOB_FD_CONTROL_VMM},
                {p->vm.channel_fd, JOB_FD_CHANNEL},
                {p->vm.lifeline_fd, JOB_FD_LIFELINE},
                {p->source.child.socket_fd, JOB_FD_SOURCE},
                {p->listen_fd, JOB_FD_CONTROL},
                {p->slot->lock_fd, JOB_FD_SLOT},
                {p->vm.log_fd, JOB_FD_VMM_LOG},
                {p->owner_fd[0], JOB_FD_OWNER},
                {p->store.socket_fd, JOB_FD_STORE},
                {p->broker.socket_fd, JOB_FD_BROKER},
                {p->secrets.socket_fd, JOB_FD_SECRETS},
                {p->secrets.values_fd, JOB_FD_VALUES},
                {p->service.socket_fd, JOB_FD_SERVICE},
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (all[i].from >= 0)
                        fds[n++] = all[i];
        int entries[CGROUP_MAX_PLACES];
        snprintf(uid, sizeof(uid), "%u", (unsigned)p->slot->uid[SLOT_JOB]);
        char name[] = "devdep-job", run_dir[] = "--run-dir", uid_option[] = "--uid", gid_option[] = "--gid",
             vm_option[] = "--vm", origin[16];
        char *argv[] = {name, run_dir, p->slot->run, vm_option, origin, uid_option, uid, gid_option, uid, NULL};
        str_copy(origin, sizeof(origin), vm_origin_name(p->vm.origin));
        if (p->slot->uid[SLOT_JOB] == (uid_t)-1)
                argv[5] = NULL;
        struct spawn s = SPAWN_INIT;
        s.path = program;
        s.argv = argv;
        s.envp = none;
        s.fds = fds;
        s.n_fds = n;
        s.enter = entries;
        s.n_enter = p->job_group ? cgroup_entries(p->job_group, entries) : 0;
        s.new_session = 1; /* the terminal's Ctrl-C is the command's to handle */
        /* One that was taken over need not look at its owner's pipe. The signal is kept by its confinement, and its
         * filter lets it set no other. */
        s.die_with_parent = 1;
        r = spawn(&s, &pid, &pidfd, e);
        p->job_group = cgroup_free(p->job_group);
        if (r < 0)
                return r;
        r = slot_note(p->slot, "job", pid, e);
        if (loop_child_new(p->loop, pid, pidfd, on_job_exit, p, &p->child, r == 0 ? e : NULL) < 0) {
                fd_close(pidfd);
                return -1;
        }
        return r;
}

static int start_all(struct process *p, const struct process_config *c, struct err *e)
{
        int r = take_slot(p, c, e);

        if (r == 0)
                r = rundir_open_journal(c->rundir, c->key, &p->journal_fd, &p->journal_path, e);
        if (r == 0)
                r = open_control(p, e);
        if (r == 0)
                r = fd_memfd_bounded("job-log", MAX_LOG, &p->log_fd, e);
        if (r == 0)
                r = process_start_source(p, c, e);
        if (r == 0)
                r = process_start_broker(p, c, e);
        if (r == 0)
                r = process_start_store(p, c, e);
        if (r == 0)
                r = process_start_secrets(p, c, e);
        if (r == 0 && !c->claim)
                r = process_start_vm(p, c, e);
        if (r == 0)
                r = process_refuse_swap(p, c, e);
        if (r == 0)
                tell_slot(p, c->claim ? "running" : "booting");
        if (r == 0)
                r = write_spec(p, c, e);
        if (r == 0)
                r = journal_open(p->journal_path, on_event, p, &p->journal, e);
        if (r == 0)
                r = loop_timer_new(p->loop, on_again, p, &p->again, e);
        if (r == 0)
                r = loop_watch_new(p->loop, p->journal_path, on_grown, p, &p->watch, e);
        if (r == 0)
                r = fd_pipe(p->owner_fd, e);
        if (r == 0)
                r = spawn_job(p, e);
        if (r == 0)
                close_handed_over(p);
        return r;
}

int process_start(const struct process_config *c, struct process **ret, struct err *e)
{
        AUTO(process_freep) struct process *p = calloc(1, sizeof(*p));

        if (!p)
                return err_nomem(e);
        p->loop = c->loop;
        p->callbacks = c->callbacks;
        p->user = c->user;
        p->vm = (struct vm_handle)VM_HANDLE_INIT;
        p->source = (struct source_process)SOURCE_PROCESS_INIT;
        p->store = p->service = p->broker = (struct sandbox_child)SANDBOX_CHILD_INIT;
        p->secrets = (struct secrets_process)SECRETS_PROCESS_INIT;
        p->order = (struct job_order)JOB_ORDER_INIT;
        p->listen_fd = p->spec_fd = p->journal_fd = p->log_fd = p->owner_fd[0] = p->owner_fd[1] = -1;
        p->started_ms = clock_mono_ms();
        int r = start_all(p, c, e);
        if (r < 0)
                return err_wrap(e, r, "start job %s", c->key);
        p->segments.bootstrap_ms = clock_mono_ms() - p->started_ms;
        *ret = TAKE_PTR(p);
        return 0;
}

const char *process_spec_digest(const struct process *p)
{
        return p->spec_digest;
}

uint64_t process_bootstrap_ms(const struct process *p)
{
        return p->segments.bootstrap_ms;
}

enum vm_origin process_origin(const struct process *p)
{
        return p->vm.origin;
}

int process_connect(const struct process *p, int *ret_fd, struct err *e)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        AUTO(auto_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        str_copy(address.sun_path, sizeof(address.sun_path), p->socket_path);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return err_errno(e, ERR_GUEST_LOST, errno, "reach devdep-job");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int ask(const struct process *p, const char *op, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        char request[64];
        int r = process_connect(p, &fd, e);

        if (r < 0)
                return r;
        snprintf(request, sizeof(request), "{\"op\":\"%s\"}\n", op);
        return fd_write_all(fd, request, strlen(request), "devdep-job's control socket", e);
}

/* A devdep-job that cannot be asked has just ended, or does not listen any more, which is no reason for the other jobs
 * to end: it is killed. Its verdict is in its journal, if it came to one. */
void process_ask(struct process *p, const char *op)
{
        struct err why = ERR_INIT;

        if (!p->ended && ask(p, op, &why) < 0)
                process_kill(p);
}

void process_kill(struct process *p)
{
        p->killed = true;
        if (p->child)
                loop_child_kill(p->child, 9);
}

void process_hold_events(struct process *p, bool hold)
{
        p->held = hold;
        if (!hold)
                loop_timer_in(p->again, 0);
}
