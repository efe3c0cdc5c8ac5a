/* Making a template: one VM that is booted, saved and written down, while nobody else does.
 *
 * An emulated guest now and then (once in a hundred times on a busy host) stands still before it is ready, and for
 * ever: its kernel measures the local APIC's timer against the time stamp counter over a tenth of a second. When the
 * host runs something else for that long within the first four milliseconds of it, the kernel finds a frequency near
 * zero ("APIC frequency too slow, disabling apic timer"), and a microvm has no other timer: both processors halt.
 * Nothing on the kernel's command line changes that (docs/performance.md); it is seen from outside, and another guest
 * is booted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/image.h"
#include "vm/prepare.h"
#include "vm/slot.h"
#include "vm/slot_info.h"
#include "vm/template_priv.h"
#include "vm/tsc.h"

#define VM_END_DEADLINE_MS 10000u

struct boot {
        const struct template_want *w;
        template_tick_fn *tick;
        void *user;
        uint64_t started_ms;
        struct slot *slot;
        struct vm_handle vm;
        struct template t;
        struct prepare prepare;
        int scratch_fd;
        unsigned still; /* ticks in which nothing of the VMM ran */
};

static int ask(template_tick_fn *tick, const char *what, uint64_t since, void *user, struct err *e)
{
        return tick ? tick(what, clock_mono_ms() - since, user, e) : 0;
}

static int make_files(struct boot *b, struct err *e)
{
        int r = vm_scratch_open(b->w->state, b->w->shape.scratch, &b->scratch_fd, e);

        if (r == 0)
                r = fd_memfd("template-state", &b->t.state_fd, e);
        if (r == 0)
                r = fd_memfd("template-memory", &b->t.memory_fd, e);
        if (r < 0)
                return r;
        if (ftruncate(b->t.memory_fd, (off_t)b->w->shape.memory) < 0 ||
            fcntl(b->t.memory_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the memory of a template");
        return 0;
}

/* What `vm ls` shows; a slot without it is shown, too. */
static void tell_slot(const struct boot *b)
{
        struct slot_info info = {.state = "template",
                                 .vcpus = b->w->shape.vcpus,
                                 .memory = b->w->shape.memory,
                                 .since_ms = clock_real_ms(),
                                 .jail = b->vm.jail_pid};

        snprintf(info.image, sizeof(info.image), "%s@%s", b->w->image->name, b->w->image->digest);
        str_copy(info.accel, sizeof(info.accel), vm_accel_name(b->w->accel));
        slot_info_write(b->slot, &info, NULL);
}

static int start_vm(struct boot *b, struct err *e)
{
        const struct image *im = b->w->image;
        struct vm_config c = VM_CONFIG_INIT;

        b->t.tsc_khz = b->w->accel == VM_ACCEL_TCG ? tsc_khz() : 0;
        c.start = VM_START_TEMPLATE;
        c.accel = b->w->accel;
        c.shape = b->w->shape;
        c.kernel_fd = im->kernel_fd;
        c.initramfs_fd = im->initramfs_fd;
        c.cmdline = image_cmdline(im, b->w->accel);
        c.tsc_khz = b->t.tsc_khz;
        c.memory_fd = b->t.memory_fd;
        c.state_fd = b->t.state_fd;
        c.disk_fd[VM_DISK_ROOT] = im->root_fd;
        c.disk_fd[VM_DISK_SCRATCH] = b->scratch_fd;
        c.slot = b->slot;
        int r = b->w->driver->start(&c, &b->vm, e);
        if (r == 0)
                tell_slot(b);
        return r;
}

/* Ticks, not time: who stops the VMM for a while (devdep-pool, beside a job that begins) stops us, too. */
static bool stands_still(struct boot *b)
{
        struct vm_stats now;

        if (!(b->w->driver->caps & VM_CAP_STATS) || b->w->driver->stats(&b->vm, &now, NULL) < 0)
                return false;
        b->still = now.runs ? 0 : b->still + 1;
        return b->still >= TEMPLATE_STILL_MS / TEMPLATE_TICK_MS;
}

static int wait_for_prepare(struct boot *b, struct err *e)
{
        for (;;) {
                int r = prepare_wait(&b->prepare, TEMPLATE_TICK_MS, e);

                if (r != PREPARE_E_TIMEOUT)
                        return r;
                r = ask(b->tick, "it boots", b->started_ms, b->user, e);
                if (r == 0 && clock_mono_ms() - b->started_ms > TEMPLATE_BUILD_TIMEOUT_MS)
                        r = err_set(e, ERR_VM_BOOT_FAILED, "the template was not saved within %u s",
                                    TEMPLATE_BUILD_TIMEOUT_MS / 1000);
                if (r == 0 && stands_still(b))
                        r = err_set(e, ERR_VM_BOOT_FAILED, "the guest stood still for %u s before it was ready",
                                    TEMPLATE_STILL_MS / 1000);
                if (r < 0)
                        return r;
        }
}

/* Only when the VMM is gone, and its mappings with it, can the memory be sealed. */
static int seal(struct boot *b, struct err *e)
{
        struct stat st;
        int status, r;

        b->vm.lifeline_fd = fd_close(b->vm.lifeline_fd);
        r = vm_wait(&b->vm, VM_END_DEADLINE_MS, &status, e);
        if (r == VM_E_TIMEOUT)
                return err_set(e, ERR_RESOURCES, "the VMM of a template did not end");
        if (r < 0)
                return r;
        if (fstat(b->t.state_fd, &st) < 0 || st.st_size < 1 || (uint64_t)st.st_size > TEMPLATE_MAX_STATE)
                return err_set(e, ERR_VM_BOOT_FAILED, "the state of a template: expected 1 byte to %llu, found %lld",
                               TEMPLATE_MAX_STATE, (long long)st.st_size);
        r = fd_seal(b->t.memory_fd, e);
        return r == 0 ? fd_seal(b->t.state_fd, e) : r;
}

static void boot_done(struct boot *b)
{
        prepare_done(&b->prepare);
        b->vm.lifeline_fd = fd_close(b->vm.lifeline_fd);
        if (b->vm.jail_pidfd >= 0) {
                int status;
                vm_wait(&b->vm, VM_END_DEADLINE_MS, &status, NULL);
        }
        vm_handle_done(&b->vm);
        fd_close(b->scratch_fd);
        template_done(&b->t);
        slot_release(b->slot);
}

int template_boot(const struct template_want *w, template_tick_fn *tick, void *user, struct template *ret,
                  struct err *e)
{
        struct boot b = {.w = w,
                         .tick = tick,
                         .user = user,
                         .started_ms = clock_mono_ms(),
                         .vm = VM_HANDLE_INIT,
                         .t = TEMPLATE_INIT,
                         .prepare = PREPARE_INIT,
                         .scratch_fd = -1};
        int r = slot_take(w->state, &b.slot, e);

        if (r == 0)
                r = make_files(&b, e);
        if (r == 0)
                r = start_vm(&b, e);
        if (r == 0)
                r = prepare_start("--template", b.slot, &b.vm, &b.prepare, e);
        /* Whoever ends without saving ends the VM: its copy of the lifeline is the last one but ours. */
        b.vm.control_fd = fd_close(b.vm.control_fd);
        b.vm.channel_fd = fd_close(b.vm.channel_fd);
        if (r == 0)
                r = wait_for_prepare(&b, e);
        if (r == 0)
                r = seal(&b, e);
        if (r == 0) {
                *ret = b.t;
                b.t = (struct template)TEMPLATE_INIT;
        }
        boot_done(&b);
        return r;
}

/* ---- the store ---- */

struct collection {
        const char *templates, *keep;
        unsigned others;   /* that stay */
        char *oldest;      /* of them that nobody holds: the folder that was not asked for the longest */
        int oldest_fd;     /* its lock, held */
        int64_t oldest_ms; /* when it was asked for */
};

static void collection_done(struct collection *c)
{
        free(c->oldest);
        fd_close(c->oldest_fd);
}

static int64_t asked_ms(int lock_fd)
{
        struct stat st;

        return fstat(lock_fd, &st) < 0 ? (int64_t)clock_real_ms() : (int64_t)st.st_mtim.tv_sec * 1000;
}

static bool is_unused(const char *folder, int lock_fd)
{
        const int64_t limit = (int64_t)TEMPLATE_UNUSED_DAYS * 24 * 3600 * 1000;
        AUTO(auto_free) char *manifest = fs_join(folder, "manifest.json");

        return manifest && (!fs_exists(manifest) || (int64_t)clock_real_ms() - asked_ms(lock_fd) > limit);
}

/* While its lock is held: whoever waits for it finds that it is no longer the lock of that name. */
static void remove_template(const char *folder)
{
        struct err why = ERR_INIT;

        if (fs_remove_tree(folder, &why) < 0)
                log_warning("a template that nobody uses cannot be removed: %s", why.msg);
}

static int collect_one(const char *name, void *user, struct err *e)
{
        struct collection *c = user;
        AUTO(auto_free)
        char *folder = fs_join(c->templates, name), *lock_path = folder ? fs_join(folder, "lock") : NULL;
        AUTO(auto_close) int lock_fd = -1;
        uint8_t key[HASH_SIZE];

        if (!lock_path)
                return err_nomem(e);
        if (str_eq(name, c->keep) || num_hex(name, key, HASH_SIZE, "key", NULL) < 0)
                return 0;
        int r = fs_lock(lock_path, false, &lock_fd, NULL);
        if (r == 0 && is_unused(folder, lock_fd)) {
                remove_template(folder);
                return 0;
        }
        c->others++;
        if (r == 0 && (!c->oldest || asked_ms(lock_fd) < c->oldest_ms)) {
                collection_done(c);
                c->oldest_ms = asked_ms(lock_fd);
                c->oldest = TAKE_PTR(folder);
                c->oldest_fd = TAKE_FD(lock_fd);
        }
        return 0;
}

int template_folder_make(struct template_folder *f, struct err *e)
{
        struct err why = ERR_INIT;
        AUTO(auto_free) char *parent = str_ndup(f->path, strlen(f->path) - strlen(f->key) - 1);
        int r = parent ? fs_mkdirs(parent, 0700, e) : err_nomem(e);

        for (unsigned i = 0; i < 2 && r == 0; i++) {
                if (mkdir(f->path, 0700) < 0 && errno != EEXIST)
                        return err_errno(e, ERR_RESOURCES, errno, "make %s", f->path);
                r = template_folder_open(f, &why, e);
                if (r != TEMPLATE_E_MISSING)
                        return r;
                /* Not ours: only a folder that we made ourselves is one that nobody else can write to. */
                f->fd = fd_close(f->fd);
                r = fs_remove_tree(f->path, e);
        }
        return r < 0 ? r : err_set(e, ERR_RESOURCES, "make %s: %s", f->path, why.msg);
}

/* A removal in between ends with another try. */
int template_folder_lock(struct template_folder *f, uint64_t wait_ms, template_tick_fn *tick, void *user, struct err *e)
{
        uint64_t since = clock_mono_ms();

        for (;;) {
                f->fd = fd_close(f->fd);
                int r = template_folder_make(f, e);
                if (r == 0)
                        r = fs_lock(f->lock_path, false, &f->lock_fd, e);
                if (r != FS_E_LOCKED)
                        return r;
                r = ask(tick, "another process makes it", since, user, e);
                if (r == 0 && clock_mono_ms() - since >= wait_ms)
                        r = err_set(e, ERR_RESOURCES, "another process makes it and did not come to an end within %u s",
                                    (unsigned)(wait_ms / 1000));
                if (r < 0)
                        return r;
                poll(NULL, 0, TEMPLATE_TICK_MS);
        }
}

/* One goes for each that comes. */
int template_collect(const struct template_folder *f, struct err *e)
{
        AUTO(auto_free) char *parent = str_ndup(f->path, strlen(f->path) - strlen(f->key) - 1);
        AUTO(collection_done) struct collection c = {.templates = parent, .keep = f->key, .oldest_fd = -1};
        int r = parent ? fs_list(parent, collect_one, &c, e) : err_nomem(e);

        if (r == 0 && c.oldest && c.others >= TEMPLATE_MOST_KEPT)
                remove_template(c.oldest);
        return r;
}

static int boot_until_it_comes_up(const struct template_want *w, template_tick_fn *tick, void *user,
                                  struct template *ret, struct err *e)
{
        for (unsigned i = 1;; i++) {
                struct err failed = ERR_INIT;
                int r = template_boot(w, tick, user, ret, &failed);

                if (r < 0 && failed.code == ERR_VM_BOOT_FAILED && i < TEMPLATE_MAX_BOOTS) {
                        log_warning("a guest of image %s did not come up, another one is tried (%u of %u): %s",
                                    w->image->name, i + 1, TEMPLATE_MAX_BOOTS, failed.msg);
                        continue;
                }
                return r < 0 ? err_set(e, failed.code, "%s", failed.msg) : r;
        }
}

int template_compact(struct template *t, uint64_t size, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = fd_memfd("template-memory", &fd, e);

        if (r == 0 && ftruncate(fd, (off_t)size) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "make the memory of a template");
        if (r == 0)
                r = template_copy_pages(t->memory_fd, fd, size, &t->data_bytes, e);
        if (r == 0)
                r = fd_seal(fd, e);
        if (r < 0)
                return r;
        fd_close(t->memory_fd);
        t->memory_fd = TAKE_FD(fd);
        return 0;
}

int template_build(const struct template_want *w, template_tick_fn *tick, void *user, struct template *ret,
                   struct err *ret_unkept, struct err *e)
{
        AUTO(template_folder_done) struct template_folder f = TEMPLATE_FOLDER_INIT;
        uint64_t since = clock_mono_ms();
        struct err why = ERR_INIT;
        int r = template_supported(w->driver, e);

        *ret_unkept = (struct err)ERR_INIT;
        if (r == 0)
                r = template_folder_init(&f, w, e);
        if (r == 0)
                r = template_folder_lock(&f, TEMPLATE_WAIT_MS, tick, user, e);
        if (r == 0)
                r = template_read(&f, w, ret, &why, e);
        if (r == 0)
                r = template_finish(ret, &why, e);
        if (r <= 0)
                return r;
        r = template_collect(&f, e);
        if (r == 0)
                r = boot_until_it_comes_up(w, tick, user, ret, e);
        if (r == 0)
                r = ask(tick, "it is written", since, user, e);
        if (r < 0)
                return r;
        str_copy(ret->key, sizeof(ret->key), f.key);
        template_write(&f, w, ret, ret_unkept);
        return 0;
}
