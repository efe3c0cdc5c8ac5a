/* vm-stage: starts VMs as devdep does and hands their descriptors over, for the end-to-end tests of their owners.
 *
 *   vm-stage STATE IMAGE MEMORY_MIB SOCKET_FD        (SOCKET_FD: SOCK_SEQPACKET; one request, one answer each)
 *
 * Slots and scratch disks are made in STATE; images are found as every program finds them.
 *
 *   template    a VM that boots to become the template of later clones
 *   seal        the template was saved: end its VMM, seal what it left
 *   clone       a VM from the template
 *   disk        a VM from the template on disk, which is made when it is missing, copied anew each time
 *
 * The answer is `ok UID`, with control, channel, lifeline, log and slot lock as descriptors (none for seal), or a
 * sentence. UID is that of the slot's owner process, -1 for an ordinary user. At the end of the socket every VM that
 * nobody else holds ends, and the answer to that is the exit status. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/image.h"
#include "vm/slot.h"
#include "vm/template.h"
#include "vm/tsc.h"
#include "vm/vm.h"

#define MAX_VMS 64
#define END_MS 20000

struct machine {
        struct slot *slot;
        struct vm_handle vm;
        int scratch_fd;
};

struct stage {
        const char *state;
        int socket;
        struct image *image;
        struct vm_shape shape;
        int memory_fd, state_fd;
        uint32_t tsc_khz;
        struct machine vms[MAX_VMS];
        unsigned n;
};

static int make_memory(struct stage *s, struct err *e)
{
        int r = fd_memfd("memory", &s->memory_fd, e);
        if (r == 0)
                r = fd_memfd("state", &s->state_fd, e);
        if (r == 0 && ftruncate(s->memory_fd, (off_t)s->shape.memory) < 0)
                r = err_set(e, ERR_RESOURCES, "no memory for a template");
        return r;
}

static int start(struct stage *s, enum vm_start how, struct err *e)
{
        struct machine *m = &s->vms[s->n];
        struct vm_config c = VM_CONFIG_INIT;
        if (s->n == MAX_VMS)
                return err_set(e, ERR_USAGE, "at most %d VMs", MAX_VMS);
        *m = (struct machine){.vm = VM_HANDLE_INIT, .scratch_fd = -1};
        int r = slot_take(s->state, &m->slot, e);
        if (r == 0)
                r = vm_scratch_open(s->state, s->shape.scratch, &m->scratch_fd, e);
        if (r < 0)
                return r;
        c.start = how;
        c.accel = VM_ACCEL_TCG;
        c.shape = s->shape;
        c.tsc_khz = s->tsc_khz;
        if (how == VM_START_TEMPLATE) {
                c.kernel_fd = s->image->kernel_fd;
                c.initramfs_fd = s->image->initramfs_fd;
        }
        c.cmdline = image_cmdline(s->image, VM_ACCEL_TCG);
        c.memory_fd = s->memory_fd;
        c.state_fd = s->state_fd;
        c.disk_fd[VM_DISK_ROOT] = s->image->root_fd;
        c.disk_fd[VM_DISK_SCRATCH] = m->scratch_fd;
        c.slot = m->slot;
        r = vm_driver_qemu.start(&c, &m->vm, e);
        s->n += r == 0;
        return r;
}

static int end_vm(struct machine *m, struct err *e)
{
        int status;
        m->vm.lifeline_fd = fd_close(m->vm.lifeline_fd);
        int r = vm_wait(&m->vm, END_MS, &status, e);
        vm_handle_done(&m->vm);
        m->scratch_fd = fd_close(m->scratch_fd);
        m->slot = slot_release(m->slot);
        return r == 0 ? 0 : err_set(e, ERR_RESOURCES, "a VM did not end");
}

static int seal(struct stage *s, struct err *e)
{
        int r = s->n ? end_vm(&s->vms[--s->n], e) : err_set(e, ERR_USAGE, "there is no template");
        if (r == 0)
                r = fd_seal(s->memory_fd, e);
        return r == 0 ? fd_seal(s->state_fd, e) : r;
}

static int open_or_make(const struct template_want *w, struct template *ret, struct err *e)
{
        struct err unkept;
        int r = template_open(w, ret, NULL, e);
        return r == TEMPLATE_E_MISSING ? template_build(w, NULL, NULL, ret, &unkept, e) : r;
}

/* As a command does it that finds no pool. */
static int start_from_disk(struct stage *s, struct err *e)
{
        const struct template_want want = {.state = s->state,
                                           .driver = &vm_driver_qemu,
                                           .image = s->image,
                                           .accel = VM_ACCEL_TCG,
                                           .shape = s->shape};
        struct template t = TEMPLATE_INIT;
        int r = open_or_make(&want, &t, e);
        if (r < 0)
                return r;
        s->memory_fd = t.memory_fd;
        s->state_fd = t.state_fd;
        s->tsc_khz = t.tsc_khz;
        r = start(s, VM_START_CLONE, e);
        s->memory_fd = s->state_fd = -1;
        template_done(&t);
        return r;
}

/* From here on the VM is the test's, all but its jail and its slot's folder. */
static void answer_vm(struct stage *s)
{
        struct machine *m = &s->vms[s->n - 1];
        const int fds[] = {m->vm.control_fd, m->vm.channel_fd, m->vm.lifeline_fd, m->vm.log_fd, m->slot->lock_fd};
        char text[32];
        snprintf(text, sizeof(text), "ok %d", (int)m->slot->uid[SLOT_JOB]);
        fd_send(s->socket, text, strlen(text), fds, ARRAY_SIZE(fds), NULL);
        m->vm.control_fd = fd_close(m->vm.control_fd);
        m->vm.channel_fd = fd_close(m->vm.channel_fd);
        m->vm.lifeline_fd = fd_close(m->vm.lifeline_fd);
}

static void serve(struct stage *s, const char *request)
{
        struct err e = ERR_INIT;
        bool template = str_eq(request, "template");
        int r;
        if (str_eq(request, "seal"))
                r = seal(s, &e);
        else
                r = template ? make_memory(s, &e) : 0;
        if (r == 0 && !str_eq(request, "seal")) {
                r = str_eq(request, "disk") ? start_from_disk(s, &e)
                                            : start(s, template ? VM_START_TEMPLATE : VM_START_CLONE, &e);
                if (r == 0) {
                        answer_vm(s);
                        return;
                }
        }
        fd_send(s->socket, r == 0 ? "ok" : e.msg, r == 0 ? 2 : strlen(e.msg), NULL, 0, NULL);
}

int main(int argc, char **argv)
{
        static struct stage s = {.memory_fd = -1, .state_fd = -1};
        struct image_store store = IMAGE_STORE_INIT;
        struct err e = ERR_INIT;
        uint64_t memory, socket_fd;
        char request[32];
        log_init("vm-stage", LOG_WARNING);
        if (argc != 5 || num_u64(argv[3], 64, 65536, "memory", &memory, &e) < 0 ||
            num_u64(argv[4], 3, 1000, "socket", &socket_fd, &e) < 0)
                return 2;
        s.state = argv[1];
        s.socket = (int)socket_fd;
        s.shape = (struct vm_shape){.vcpus = 2, .memory = memory << 20, .scratch = 16ull << 30};
        s.tsc_khz = tsc_khz();
        if (image_store_init(&store, NULL, &e) < 0 || image_open(&store, argv[2], &s.image, &e) < 0)
                return log_final(&e);
        fd_set_cloexec(s.socket, true, NULL);
        for (ssize_t n; (n = recv(s.socket, request, sizeof(request) - 1, 0)) > 0;) {
                request[n] = 0;
                serve(&s, request);
        }
        int r = 0;
        while (s.n)
                r |= end_vm(&s.vms[--s.n], &e);
        image_free(s.image);
        image_store_done(&store);
        return r < 0 ? log_final(&e) : 0;
}
