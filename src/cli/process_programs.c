/* What a job has on the host beside devdep-job: its VM, and the programs that stand between it and the host. */
#include "cli/process_internal.h"

#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "cli/actions.h"
#include "cli/egress.h"
#include "loop/loop.h"
#include "sandbox/cgroup.h"
#include "source/limits.h"
#include "vm/slot.h"
#include "vm/swap.h"
#include "vm/template.h"
#include "vm/vsock.h"

#define BROKER_GROUP_MEMORY (256ull << 20) /* its windows are bounded far below */
#define BROKER_GROUP_PROCESSES 4u
#define SOURCE_GROUP_MEMORY (4ull << 30) /* git packs the largest repositories with less */
#define STORE_GROUP_MEMORY                                                                                             \
        (256ull << 20) /* what waits for the disk counts, too, and is written when it is too much                      \
                        */
#define SECRETS_GROUP_MEMORY (128ull << 20)
#define SECRETS_GROUP_PROCESSES 2u

/* ---- the VM ---- */

/* A template that may still be read while its clone's VMM starts. */
struct reading {
        struct template *template;
        struct err why; /* it is no template */
        bool lost;
};

static int finish_template(void *user, struct err *e)
{
        struct reading *reading = user;
        int r = template_finish(reading->template, &reading->why, e);

        if (r != TEMPLATE_E_MISSING)
                return r;
        reading->lost = true;
        return err_set(e, reading->why.code, "the template cannot be used: %s", reading->why.msg);
}

/* A clone has no kernel to load: that is in its memory. */
static void set_start(struct vm_config *vm, const struct process_config *c, struct reading *reading)
{
        if (c->template->memory_fd >= 0) {
                vm->start = VM_START_CLONE;
                vm->memory_fd = c->template->memory_fd;
                vm->state_fd = c->template->state_fd;
                vm->memory_ready = finish_template;
                vm->user = reading;
                return;
        }
        vm->start = VM_START_BOOT;
        vm->memory_fd = vm->state_fd = -1;
        vm->memory_ready = NULL;
        vm->kernel_fd = c->image->kernel_fd;
        vm->initramfs_fd = c->image->initramfs_fd;
        vm->cmdline = image_cmdline(c->image, c->accel);
}

static int start_vmm(struct process *p, const struct process_config *c, struct vm_config *vm, struct err *e)
{
        struct reading reading = {.template = c->template, .why = ERR_INIT};
        struct err failed = ERR_INIT;

        set_start(vm, c, &reading);
        int r = c->driver->start(vm, &p->vm, &failed);
        if (r < 0 && reading.lost) {
                failed = (struct err)ERR_INIT;
                r = c->template_lost(&reading.why, c->user, &failed);
                set_start(vm, c, &reading);
                if (r == 0)
                        r = c->driver->start(vm, &p->vm, &failed);
        }
        vm->memory_ready = NULL;
        vm->user = NULL;
        if (r < 0)
                *e = failed;
        return r;
}

int process_start_vm(struct process *p, const struct process_config *c, struct err *e)
{
        struct vm_config vm = VM_CONFIG_INIT;
        struct vsock vsock = VSOCK_INIT;
        AUTO(auto_close) int scratch = -1;

        int r = vm_scratch_open(c->state, c->shape.scratch, &scratch, e);
        if (r == 0 && c->vsock)
                r = vsock_reserve(&vsock, e);
        if (r < 0)
                return r;
        vm.vsock = c->vsock ? &vsock : NULL;
        vm.accel = c->accel;
        vm.shape = c->shape;
        vm.disk_fd[VM_DISK_ROOT] = c->image->root_fd;
        vm.disk_fd[VM_DISK_SCRATCH] = scratch;
        vm.slot = p->slot;
        r = start_vmm(p, c, &vm, e);
        vsock_done(&vsock);
        if (r == 0)
                r = slot_note(p->slot, "jail", p->vm.jail_pid, e);
        return r;
}

/* What the guest holds of secrets lies in the VMM's memory. */
int process_refuse_swap(const struct process *p, const struct process_config *c, struct err *e)
{
        struct swap_facts swap;

        if (!p->secrets_child || c->swap_allowed || slot_bars_swap(p->slot, "vmm"))
                return 0;
        int r = swap_examine(&swap, e);
        if (r < 0 || !swap.plain)
                return r;
        return err_set(e, ERR_RESOURCES,
                       "the job names secrets, and its guest's memory can be written to the swap area %s, which is not "
                       "encrypted: turn it off (swapoff -a), encrypt it (crypttab(5)), use control groups version 2, "
                       "or write 'swap: allow' in devdep.yaml",
                       swap.first);
}

/* ---- the programs ---- */

/* The control group that a program is started in. */
struct bounded {
        struct cgroup *group; /* NULL: the host gives none */
        int entries[CGROUP_MAX_PLACES];
        unsigned n;
        struct sandbox_held held;
};

static void bounded_done(struct bounded *b)
{
        cgroup_free(b->group);
}

static int make_group(const struct process *p, const char *role, uint64_t memory, unsigned processes,
                      struct bounded *ret, struct err *e)
{
        const struct cgroup_limits limits = {.memory = memory, .processes = processes};
        int r = slot_group(p->slot, role, &limits, &ret->group, &ret->held, e);

        ret->n = r == 0 && ret->group ? cgroup_entries(ret->group, ret->entries) : 0;
        return r;
}

int process_start_source(struct process *p, const struct process_config *c, struct err *e)
{
        struct source_start s = SOURCE_START_INIT;

        if (!c->place)
                return 0;
        s.place = c->place;
        s.mirror = c->actions->folder;
        s.pins = c->actions->text.data;
        s.n_pins = c->actions->text.len;
        s.uid = p->slot->uid[SLOT_SOURCE];
        s.gid = p->slot->uid[SLOT_SOURCE];
        s.scratch = p->slot->path;
        s.log_fd = p->log_fd;
        AUTO(bounded_done) struct bounded in = {0};
        int r = make_group(p, "source", SOURCE_GROUP_MEMORY, SOURCE_MAX_PROCESSES, &in, e);
        s.enter = in.entries;
        s.n_enter = in.n;
        if (r == 0)
                r = source_start(&s, &p->source, e);
        p->source.child.report.held[SANDBOX_CGROUP] = in.held;
        return r < 0 ? r : slot_note(p->slot, "source", p->source.child.pid, e);
}

int process_start_broker(struct process *p, const struct process_config *c, struct err *e)
{
        struct broker_start s = {.policy = c->egress, .authorities = c->authorities, .log_fd = p->log_fd};

        if (!egress_needs_broker(c->egress))
                return 0;
        s.uid = p->slot->uid[SLOT_BROKER];
        s.gid = p->slot->uid[SLOT_BROKER];
        AUTO(bounded_done) struct bounded in = {0};
        int r = make_group(p, "broker", BROKER_GROUP_MEMORY, BROKER_GROUP_PROCESSES, &in, e);
        s.enter = in.entries;
        s.n_enter = in.n;
        if (r == 0)
                r = broker_start(&s, &p->broker, e);
        p->broker.report.held[SANDBOX_CGROUP] = in.held;
        return r < 0 ? r : slot_note(p->slot, "broker", p->broker.pid, e);
}

static int start_shelves(struct process *p, const struct store_start *start, const char *role,
                         struct sandbox_child *ret, struct err *e)
{
        AUTO(bounded_done) struct bounded in = {0};
        struct store_start s = *start;
        int r = make_group(p, role, STORE_GROUP_MEMORY, STORE_MAX_PROCESSES, &in, e);

        s.log_fd = p->log_fd;
        s.enter = in.entries;
        s.n_enter = in.n;
        if (r == 0)
                r = store_start(&s, ret, e);
        ret->report.held[SANDBOX_CGROUP] = in.held;
        return r < 0 ? r : slot_note(p->slot, role, ret->pid, e);
}

int process_start_store(struct process *p, const struct process_config *c, struct err *e)
{
        AUTO(auto_close) int store_end = -1;
        AUTO(auto_close) int service_end = -1;
        int pair[2], r = 0;

        if (!c->store)
                return 0;
        struct store_start store = *c->store, service = *c->store;
        if (store.caches) {
                r = fd_socketpair(SOCK_STREAM, pair, e);
                if (r < 0)
                        return r;
                store.peer_fd = store_end = pair[0];
                service.peer_fd = service_end = pair[1];
        }
        r = start_shelves(p, &store, "store", &p->store, e);
        if (r < 0 || !store.caches)
                return r;
        service.service = true;
        return start_shelves(p, &service, "service", &p->service, e);
}

static int on_secrets_exit(struct loop_child *c, int exit_code, int term_signal, void *user, struct err *e)
{
        struct process *p = user;
        char why[256];

        (void)c;
        p->secrets_child = loop_child_free(p->secrets_child);
        job_order_done(&p->order);
        if (exit_code != 0) {
                sandbox_explain_exit("devdep-secrets", term_signal >= 0 ? 128 + term_signal : exit_code, why,
                                     sizeof(why));
                log_warning("slot %u: %s", p->slot->number, why);
        }
        return process_read_journal(p, e);
}

static int on_secrets_late(struct loop_timer *t, void *user, struct err *e)
{
        struct process *p = user;

        (void)t;
        (void)e;
        if (p->secrets_child)
                loop_child_kill(p->secrets_child, 9);
        return 0;
}

int process_start_secrets(struct process *p, const struct process_config *c, struct err *e)
{
        struct secrets_start s = SECRETS_START_INIT;
        AUTO(bounded_done) struct bounded in = {0};

        if (!c->secrets || !c->secrets->order.n)
                return 0;
        p->order = *c->secrets;
        *c->secrets = (struct job_order)JOB_ORDER_INIT;
        s.order = &p->order.order;
        s.credentials_fd = p->order.credentials.fd;
        s.uid = p->slot->uid[SLOT_SECRETS];
        s.gid = p->slot->uid[SLOT_SECRETS];
        s.log_fd = p->log_fd;
        s.slot_fd = p->slot->lock_fd;
        int r = make_group(p, "secrets", SECRETS_GROUP_MEMORY, SECRETS_GROUP_PROCESSES, &in, e);
        s.enter = in.entries;
        s.n_enter = in.n;
        if (r == 0)
                r = secrets_start(&s, &p->secrets, e);
        if (r < 0)
                return r;
        p->secrets.report.held[SANDBOX_CGROUP] = in.held;
        r = slot_note(p->slot, "secrets", p->secrets.pid, e);
        if (r == 0)
                r = loop_timer_new(p->loop, on_secrets_late, p, &p->secrets_timer, e);
        if (loop_child_new(p->loop, p->secrets.pid, p->secrets.pidfd, on_secrets_exit, p, &p->secrets_child,
                           r == 0 ? e : NULL) < 0)
                return -1;
        p->secrets.pidfd = -1;
        return r;
}
