#include "pool/make.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/hash.h"
#include "vm/image.h"
#include "vm/prepare.h"
#include "vm/priority.h"
#include "vm/probe.h"
#include "vm/qemu.h"
#include "vm/slot.h"
#include "vm/slot_info.h"
#include "vm/template.h"
#include "vm/vm.h"

#define PARK_MS 120000u /* for devdep-prepare */
#define END_MS 10000u   /* for a VM that is given up */

struct make {
        const char *state, *ref, *key;
        uint64_t vcpus, khz;
        struct vm_shape shape;
        enum vm_accel accel; /* as asked, then decided */
        struct image_store store;
        struct image *image;
        struct template t;
        bool own_template; /* opened here: it goes with the answer */
        struct slot *slot;
        struct vm_handle vm;
        int scratch_fd;
        struct slot_info info;
        struct made made;
};

bool make_stamp(const char *image_path, struct make_stamp *ret)
{
        AUTO(auto_free) char *path = str_printf("%s/manifest.json", image_path);
        struct stat st;

        if (!path || stat(path, &st) < 0)
                return false;
        *ret = (struct make_stamp){.device = st.st_dev,
                                   .inode = st.st_ino,
                                   .size = (uint64_t)st.st_size,
                                   .seconds = st.st_mtim.tv_sec,
                                   .nanoseconds = st.st_mtim.tv_nsec};
        return true;
}

/* ---- the order ---- */

static int read_number(const char *text, const char *what, uint64_t max, uint64_t *ret, struct err *e)
{
        return num_u64(text, 0, max, what, ret, e);
}

static int read_order(int argc, char **argv, struct make *m, struct err *e)
{
        static const struct option known[] = {
                {"make", no_argument, NULL, 'm'},          {"state", required_argument, NULL, 's'},
                {"image", required_argument, NULL, 'i'},   {"accel", required_argument, NULL, 'a'},
                {"vcpus", required_argument, NULL, 'c'},   {"memory", required_argument, NULL, 'M'},
                {"scratch", required_argument, NULL, 'S'}, {"key", required_argument, NULL, 'k'},
                {"khz", required_argument, NULL, 'z'},     {0}};
        int c, r = 0;

        opterr = 0;
        while (r == 0 && (c = getopt_long(argc, argv, "", known, NULL)) != -1) {
                if (c == 's')
                        m->state = optarg;
                else if (c == 'i')
                        m->ref = optarg;
                else if (c == 'k')
                        m->key = optarg;
                else if (c == 'a')
                        r = vm_accel_parse(optarg, &m->accel, e);
                else if (c == 'c')
                        r = read_number(optarg, "--vcpus", POOL_MAX_VCPUS, &m->vcpus, e);
                else if (c == 'M')
                        r = read_number(optarg, "--memory", POOL_MAX_MEMORY, &m->shape.memory, e);
                else if (c == 'S')
                        r = read_number(optarg, "--scratch", POOL_MAX_MEMORY, &m->shape.scratch, e);
                else if (c == 'z')
                        r = read_number(optarg, "--khz", UINT32_MAX, &m->khz, e);
                else if (c != 'm')
                        r = err_set(e, ERR_USAGE, "--make is for devdep-pool itself");
        }
        if (r == 0 && (!m->state || !m->ref || !m->vcpus))
                r = err_set(e, ERR_USAGE, "--make is for devdep-pool itself");
        m->shape.vcpus = (uint32_t)m->vcpus;
        return r;
}

/* ---- its parts, in order ---- */

/* The stamp of the manifest that was opened, not of one that has replaced it since. */
static int stamp_image(struct make *m, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(m->image->path, "manifest.json");
        struct buf text = BUF_INIT;
        uint8_t digest[HASH_SIZE];
        char hex[HASH_HEX_SIZE] = "";

        if (!path)
                return err_nomem(e);
        bool found = make_stamp(m->image->path, &m->made.stamp) &&
                     fs_read(path, IMAGE_MAX_MANIFEST, &text, NULL) == 0 &&
                     hash_bytes(text.data, text.len, digest, NULL) == 0;
        buf_done(&text);
        if (found)
                hash_hex(digest, hex);
        if (!found || !str_ends(m->image->digest, hex))
                return err_set(e, ERR_IMAGE_REFUSED, "the image %s has just been replaced or removed", m->ref);
        if (!str_copy(m->made.image_path, sizeof(m->made.image_path), m->image->path))
                return err_set(e, ERR_USAGE, "%s: the path is longer than %zu bytes", m->image->path,
                               sizeof(m->made.image_path) - 1);
        return 0;
}

static int open_image(struct make *m, struct err *e)
{
        struct probe probe;
        struct buf text = BUF_INIT;

        int r = image_store_init(&m->store, m->state, e);
        if (r == 0)
                r = image_open(&m->store, m->ref, &m->image, e);
        if (r == 0)
                r = vm_probe(&vm_driver_qemu, m->state, m->image, m->accel, false, &probe, e);
        if (r == 0)
                r = vm_driver_qemu.describe(&text, m->made.vmm, e);
        buf_done(&text);
        if (r < 0)
                return r;
        m->accel = probe.accel;
        r = stamp_image(m, e);
        if (r < 0)
                return r;
        snprintf(m->made.image, sizeof(m->made.image), "%s@%s", m->image->name, m->image->digest);
        str_copy(m->made.accel, sizeof(m->made.accel), vm_accel_name(m->accel));
        return 0;
}

/* The pool keeps it in memory: a disk that cannot take it costs the next pool a build, and this one nothing. */
static int build_template(struct make *m, const struct template_want *w, struct err *e)
{
        struct err unkept = ERR_INIT;

        m->made.built = true;
        int r = template_build(w, NULL, NULL, &m->t, &unkept, e);
        if (r == 0)
                r = template_compact(&m->t, w->shape.memory, e);
        if (r == 0 && unkept.code != ERR_SUCCESS) {
                log_warning("the template of image %s is not kept: %s", m->ref, unkept.msg);
                str_copy(m->made.unkept, sizeof(m->made.unkept), unkept.msg);
        }
        return r;
}

static int find_template(struct make *m, struct err *e)
{
        const struct template_want w = {m->state, &vm_driver_qemu, m->image, m->accel, m->shape};
        struct stat st = {0};

        int r = template_key(&w, m->made.key, NULL, e);
        if (r == 0 && m->key && str_eq(m->key, m->made.key)) {
                m->t.memory_fd = MAKE_FD_MEMORY;
                m->t.state_fd = MAKE_FD_STATE;
                m->t.tsc_khz = (uint32_t)m->khz;
                return 0;
        }
        m->own_template = true;
        if (r == 0)
                r = template_open(&w, &m->t, NULL, e);
        if (r == TEMPLATE_E_MISSING)
                r = build_template(m, &w, e);
        if (r == 0 && fstat(m->t.memory_fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "look at the template's memory");
        m->made.tsc_khz = m->t.tsc_khz;
        m->made.template_bytes = (uint64_t)st.st_blocks * 512;
        return r;
}

static int start_clone(struct make *m, struct err *e)
{
        struct vm_config c = VM_CONFIG_INIT;

        int r = slot_take(m->state, &m->slot, e);
        if (r == 0)
                r = vm_scratch_open(m->state, m->shape.scratch, &m->scratch_fd, e);
        if (r < 0)
                return r;
        c.start = VM_START_CLONE;
        c.accel = m->accel;
        c.shape = m->shape;
        c.tsc_khz = m->t.tsc_khz;
        c.memory_fd = m->t.memory_fd;
        c.state_fd = m->t.state_fd;
        c.disk_fd[VM_DISK_ROOT] = m->image->root_fd;
        c.disk_fd[VM_DISK_SCRATCH] = m->scratch_fd;
        c.slot = m->slot;
        r = vm_driver_qemu.start(&c, &m->vm, e);
        if (r < 0)
                return r;
        m->info = (struct slot_info){.state = "preparing",
                                     .vcpus = m->shape.vcpus,
                                     .memory = m->shape.memory,
                                     .since_ms = clock_real_ms(),
                                     .jail = m->vm.jail_pid};
        str_copy(m->info.image, sizeof(m->info.image), m->made.image);
        str_copy(m->info.accel, sizeof(m->info.accel), m->made.accel);
        return slot_info_write(m->slot, &m->info, e);
}

static int park(struct make *m, struct err *e)
{
        struct prepare p = PREPARE_INIT;

        int r = prepare_start("--park", m->slot, &m->vm, &p, e);
        if (r == 0)
                r = prepare_wait(&p, PARK_MS, e);
        if (r == PREPARE_E_TIMEOUT)
                r = err_set(e, ERR_VM_BOOT_FAILED, "a clone was not parked within %u s", PARK_MS / 1000);
        prepare_done(&p);
        return r;
}

/* What the pool and `vm ls` are told about it. */
static int finish(struct make *m, struct err *e)
{
        int r = priority_normal(m->vm.jail_pid, e);

        if (r == 0)
                r = qemu_private_memory(m->vm.jail_pid, &m->made.private_bytes, e);
        str_copy(m->info.state, sizeof(m->info.state), "parked");
        if (r == 0)
                r = slot_info_write(m->slot, &m->info, e);
        m->made.slot = m->slot->number;
        m->made.jail = m->vm.jail_pid;
        m->made.report = m->vm.report;
        return r;
}

static int send_answer(struct make *m, struct err *e)
{
        const int fds[MADE_FD_COUNT] = {
                [POOL_FD_CONTROL] = m->vm.control_fd,   [POOL_FD_CHANNEL] = m->vm.channel_fd,
                [POOL_FD_LIFELINE] = m->vm.lifeline_fd, [POOL_FD_LEASH] = m->vm.leash_fd,
                [POOL_FD_LOG] = m->vm.log_fd,           [POOL_FD_JAIL] = m->vm.jail_pidfd,
                [POOL_FD_LOCK] = m->slot->lock_fd,      [MADE_FD_MEMORY] = m->t.memory_fd,
                [MADE_FD_STATE] = m->t.state_fd,
        };

        return fd_send(MAKE_FD_ANSWER, &m->made, sizeof(m->made), fds, m->own_template ? MADE_FD_COUNT : POOL_FD_COUNT,
                       e);
}

static int make(struct make *m, struct err *e)
{
        int r = open_image(m, e);

        if (r == 0)
                r = find_template(m, e);
        /* Only now: the probe of the accelerator has a deadline, and its verdict is everybody's; and the kernel of a
         * guest that becomes a template measures its timer, for all its clones (src/vm/template_build.c). */
        if (r == 0)
                r = priority_idle(e);
        if (r == 0)
                r = start_clone(m, e);
        if (r == 0)
                r = park(m, e);
        if (r == 0)
                r = finish(m, e);
        return r == 0 ? send_answer(m, e) : r;
}

static void give_up(struct make *m, const struct err *why)
{
        int status;

        m->vm.lifeline_fd = fd_close(m->vm.lifeline_fd);
        if (m->vm.jail_pidfd >= 0 && vm_wait(&m->vm, END_MS, &status, NULL) != 0)
                kill(m->vm.jail_pid, SIGKILL);
        vm_handle_done(&m->vm);
        m->slot = slot_release(m->slot);
        m->made.failed = true;
        m->made.code = why->code;
        str_copy(m->made.message, sizeof(m->made.message), why->msg);
        fd_send(MAKE_FD_ANSWER, &m->made, sizeof(m->made), NULL, 0, NULL);
}

int make_main(int argc, char **argv)
{
        struct make m = {.t = TEMPLATE_INIT, .vm = VM_HANDLE_INIT, .scratch_fd = -1, .made = {.magic = MADE_MAGIC}};
        struct err err = ERR_INIT;

        log_init("devdep-pool", LOG_INFO);
        int r = read_order(argc, argv, &m, &err);
        if (r == 0)
                r = make(&m, &err);
        if (r < 0)
                give_up(&m, &err);
        /* The VM is the pool's now: its descriptors are closed by our end, its slot is left alone. */
        return r == 0 ? 0 : 1;
}
