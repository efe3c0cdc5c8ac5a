/* What every VM driver must do, run on each: `test-vm-driver qemu|fake [user]`. The guest of the QEMU runs is made by
 * tools/test-guest; its folder is in DEVDEP_TEST_GUEST, without it the QEMU runs are skipped. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/loop.h"
#include "test_user.h"
#include "vm/fake.h"
#include "vm/slot.h"
#include "vm/vm.h"
#include "wire/guest.h"

/* A safety net for a machine that hangs, never a measure. */
#define PATIENCE_MS 120000

static const struct vm_driver *driver;
static char state_folder[64];

/* One VM and everything seen of it. */
struct world {
        struct slot *slot;
        struct vm_config config;
        struct vm_handle handle;
        struct loop *loop;
        struct loop_io *channel_io;
        struct loop_timer *net;
        struct vm *vm;
        struct buf channel; /* bytes of the guest */
        struct buf console;
        bool console_read;
        unsigned seen[VM_EVENT_GONE + 1];
        char text[VM_EVENT_GONE + 1][128];
        bool (*done)(struct world *w);
};

static bool is_fake(void)
{
        return driver == &vm_driver_fake;
}

static int sealed_copy(const char *name)
{
        const char *folder = getenv("DEVDEP_TEST_GUEST");
        AUTO(auto_free) char *path = fs_join(folder, name);
        struct buf data = BUF_INIT;
        struct err err = ERR_INIT;
        int fd = -1;

        if (fs_read(path, 256 << 20, &data, &err) != 0 || fd_memfd(name, &fd, &err) < 0 ||
            fd_write_all(fd, data.data, data.len, name, &err) < 0 || fd_seal(fd, &err) < 0)
                fail_msg("%s: %s", path, err.msg);
        buf_done(&data);
        return fd;
}

static int on_event(struct vm *vm, const struct vm_event *ev, void *user, struct err *e)
{
        struct world *w = user;

        (void)vm;
        (void)e;
        w->seen[ev->type]++;
        if (ev->text)
                str_copy(w->text[ev->type], sizeof(w->text[0]), ev->text);
        if (w->done(w))
                loop_quit(w->loop);
        return 0;
}

static int on_channel(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct world *w = user;
        uint8_t data[4096];
        ssize_t n = read(fd, data, sizeof(data));

        (void)io;
        (void)events;
        if (n <= 0) {
                w->channel_io = loop_io_free(w->channel_io);
                return 0;
        }
        assert_int_equal(buf_append(&w->channel, data, (size_t)n, e), 0);
        if (w->done(w))
                loop_quit(w->loop);
        return 0;
}

static int on_console(struct vm *vm, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct world *w = user;

        (void)vm;
        assert_int_equal(buf_append(&w->console, data, len, e), 0);
        w->console_read = true;
        if (w->done(w))
                loop_quit(w->loop);
        return 0;
}

static int on_net(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        (void)user;
        return err_set(e, ERR_RESOURCES, "nothing happened for two minutes");
}

static void until(struct world *w, bool (*done)(struct world *w))
{
        struct err err = ERR_INIT;

        w->done = done;
        if (done(w))
                return;
        loop_timer_in(w->net, PATIENCE_MS);
        if (loop_run(w->loop, &err) < 0) {
                struct buf log = BUF_INIT;
                vm_log(&w->handle, &log, NULL);
                fail_msg("%s; running %u, down %u '%s', gone %u '%s'; VMM's log: %s", err.msg,
                         w->seen[VM_EVENT_RUNNING], w->seen[VM_EVENT_GUEST_DOWN], w->text[VM_EVENT_GUEST_DOWN],
                         w->seen[VM_EVENT_GONE], w->text[VM_EVENT_GONE], buf_cstr(&log));
        }
        assert_true(done(w));
}

static bool is_running(struct world *w)
{
        return w->seen[VM_EVENT_RUNNING] > 0;
}
static bool is_running_again(struct world *w)
{
        return w->seen[VM_EVENT_RUNNING] > 1;
}
static bool is_paused(struct world *w)
{
        return w->seen[VM_EVENT_PAUSED] > 0;
}
static bool is_paused_again(struct world *w)
{
        return w->seen[VM_EVENT_PAUSED] > 1;
}
static bool has_bytes(struct world *w)
{
        return w->channel.len > 0;
}
static bool is_down(struct world *w)
{
        return w->seen[VM_EVENT_GUEST_DOWN] > 0;
}
static bool is_gone(struct world *w)
{
        return w->seen[VM_EVENT_GONE] > 0;
}
static bool is_saved(struct world *w)
{
        return w->seen[VM_EVENT_SAVED] > 0;
}
static bool is_full(struct world *w)
{
        return w->seen[VM_EVENT_HOST_FULL] > 0;
}
static bool is_ready(struct world *w)
{
        return w->channel.len >= GUEST_READY_SIZE;
}
static bool is_echoed(struct world *w)
{
        return w->channel.len > GUEST_READY_SIZE;
}
static bool is_told(struct world *w)
{
        return w->console_read;
}

static void prepare(struct world *w)
{
        struct err err = ERR_INIT;

        *w = (struct world){.config = VM_CONFIG_INIT, .handle = VM_HANDLE_INIT, .done = is_gone};
        w->config.accel = VM_ACCEL_TCG;
        w->config.shape = (struct vm_shape){.vcpus = 1, .memory = 192 << 20, .scratch = 1ull << 30};
        w->config.cmdline = "console=hvc0 loglevel=4 panic=-1 reboot=t random.trust_cpu=on cryptomgr.notests "
                            "tsc_early_khz=2000000 mitigations=off init=/init";
        if (slot_take(state_folder, &w->slot, &err) < 0)
                fail_msg("%s", err.msg);
        w->config.slot = w->slot;
        if (!is_fake()) {
                w->config.kernel_fd = sealed_copy("kernel");
                w->config.initramfs_fd = sealed_copy("initramfs");
        }
        assert_int_equal(loop_new(&w->loop, &err), 0);
        assert_int_equal(loop_timer_new(w->loop, on_net, w, &w->net, &err), 0);
}

static void watch_channel(struct world *w)
{
        struct err err = ERR_INIT;

        assert_int_equal(loop_io_new(w->loop, w->handle.channel_fd, LOOP_READ, on_channel, w, &w->channel_io, &err), 0);
}

static void attach(struct world *w)
{
        struct err err = ERR_INIT;

        if (driver->attach(w->loop, &w->handle, on_event, w, &w->vm, &err) < 0)
                fail_msg("attach: %s", err.msg);
        assert_int_equal(w->handle.control_fd, -1);
        assert_int_equal(w->handle.lifeline_fd, -1);
}

static void start(struct world *w)
{
        struct err err = ERR_INIT;

        if (driver->start(&w->config, &w->handle, &err) < 0)
                fail_msg("start: %s", err.msg);
        watch_channel(w);
        attach(w);
}

/* The jail must be gone without being asked again, whatever the test did. */
static void finish(struct world *w)
{
        struct err err = ERR_INIT;
        int status = -1;

        w->vm = driver->free(w->vm);
        w->channel_io = loop_io_free(w->channel_io);
        if (w->handle.jail_pidfd >= 0 && vm_wait(&w->handle, PATIENCE_MS, &status, &err) != 0)
                fail_msg("the VM did not end: %s", err.msg);
        vm_handle_done(&w->handle);
        loop_free(w->loop);
        fd_close(w->config.kernel_fd);
        fd_close(w->config.initramfs_fd);
        for (unsigned i = 0; i < VM_DISK_COUNT; i++)
                fd_close(w->config.disk_fd[i]);
        buf_done(&w->channel);
        buf_done(&w->console);
        slot_release(w->slot);
}

static void say(struct world *w, char c)
{
        struct err err = ERR_INIT;

        assert_int_equal(fd_write_all(w->handle.channel_fd, &c, 1, "channel", &err), 0);
}

static void read_console(struct world *w)
{
        struct err err = ERR_INIT;

        assert_int_equal(driver->console(w->vm, on_console, w, &err), 0);
        until(w, is_told);
        if (!strstr(buf_cstr(&w->console), "test guest: up"))
                fail_msg("console of %zu bytes: %s", w->console.len, buf_cstr(&w->console));
}

static void boot(struct world *w)
{
        struct err err = ERR_INIT;

        start(w);
        until(w, is_running);
        until(w, is_ready);
        assert_int_equal(guest_ready_check(w->channel.data, &err), 0);
}

static void guest_boots_answers_pauses_resumes_and_stops(void **state)
{
        struct err err = ERR_INIT;
        struct vm_stats stats;
        struct world w;

        (void)state;
        prepare(&w);
        assert_int_equal(
                vm_scratch_open(state_folder, w.config.shape.scratch, &w.config.disk_fd[VM_DISK_SCRATCH], &err), 0);
        boot(&w);
        say(&w, 'e');
        until(&w, is_echoed);
        assert_int_equal(driver->pause(w.vm, &err), 0);
        until(&w, is_paused);
        assert_int_equal(driver->resume(w.vm, &err), 0);
        until(&w, is_running_again);
        assert_int_equal(driver->stats(&w.handle, &stats, &err), 0);
        assert_true(stats.rss_bytes > 0 && stats.cpu_ms > 0);
        read_console(&w);
        assert_int_equal(driver->stop(w.vm, &err), 0);
        until(&w, is_gone);
        assert_int_equal(w.seen[VM_EVENT_GONE], 1);
        assert_int_equal(w.seen[VM_EVENT_GUEST_DOWN], 0);
        finish(&w);
}

static void poweroff_is_reported_and_the_console_can_still_be_read(void **state)
{
        struct world w;

        (void)state;
        prepare(&w);
        boot(&w);
        say(&w, 'p');
        until(&w, is_down);
        assert_string_equal(w.text[VM_EVENT_GUEST_DOWN], "guest-shutdown");
        assert_int_equal(w.seen[VM_EVENT_GONE], 0);
        read_console(&w);
        assert_int_equal(w.seen[VM_EVENT_GUEST_DOWN], 1);
        finish(&w);
}

static void panic_is_reported_and_the_console_says_it(void **state)
{
        struct world w;

        (void)state;
        prepare(&w);
        boot(&w);
        say(&w, 'c');
        until(&w, is_down);
        assert_string_equal(w.text[VM_EVENT_GUEST_DOWN], "guest-reset");
        read_console(&w);
        if (!is_fake())
                assert_non_null(strstr(buf_cstr(&w.console), "Kernel panic"));
        finish(&w);
}

static void killed_jail_is_a_vm_that_is_gone(void **state)
{
        struct world w;

        (void)state;
        prepare(&w);
        start(&w);
        until(&w, is_running);
        kill(w.handle.jail_pid, SIGKILL);
        until(&w, is_gone);
        finish(&w);
}

static void console_of_a_vm_that_is_gone_is_empty(void **state)
{
        struct err err = ERR_INIT;
        struct world w;

        (void)state;
        prepare(&w);
        start(&w);
        until(&w, is_running);
        assert_int_equal(driver->stop(w.vm, &err), 0);
        until(&w, is_gone);
        assert_int_equal(driver->console(w.vm, on_console, &w, &err), 0);
        assert_true(w.console_read);
        assert_int_equal(w.console.len, 0);
        finish(&w);
}

static void full_host_disk_is_reported_once_and_the_guest_runs_on(void **state)
{
        char small[96];
        struct err err = ERR_INIT;
        struct world w;

        (void)state;
        if (!is_fake() && geteuid() != 0)
                skip(); /* making a small file system takes root */
        prepare(&w);
        if (is_fake()) {
                w.config.cmdline = "fake=full";
        } else {
                snprintf(small, sizeof(small), "%s/small", state_folder);
                assert_int_equal(mkdir(small, 0700), 0);
                assert_int_equal(mount("small", small, "tmpfs", 0, "size=16m"), 0);
                int fd = open(small, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
                assert_int_equal(umount2(small, MNT_DETACH), 0);
                assert_int_equal(rmdir(small), 0);
                assert_int_equal(ftruncate(fd, 1 << 30), 0);
                w.config.disk_fd[VM_DISK_SCRATCH] = fd;
        }
        boot(&w);
        say(&w, 'w');
        until(&w, is_full);
        until(&w, is_echoed);
        assert_string_equal(w.text[VM_EVENT_HOST_FULL], "scratch");
        assert_int_equal(w.seen[VM_EVENT_HOST_FULL], 1);
        if (!is_fake())
                assert_int_equal(w.channel.data[GUEST_READY_SIZE], 'I'); /* EIO in the guest */
        read_console(&w);
        assert_int_equal(driver->stop(w.vm, &err), 0);
        until(&w, is_gone);
        finish(&w);
}

static void vmm_that_breaks_its_protocol_is_gone(void **state)
{
        static const char *const ways[] = {"garbage", "endless", "greets-twice", "wrong-id", "hangs-up", "deep"};

        (void)state;
        if (!is_fake())
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
                char cmdline[32];
                struct world w;
                prepare(&w);
                snprintf(cmdline, sizeof(cmdline), "fake=%s", ways[i]);
                w.config.cmdline = cmdline;
                start(&w);
                until(&w, is_gone);
                assert_int_equal(w.seen[VM_EVENT_GONE], 1);
                finish(&w);
        }
}

static void vmm_that_never_greets_ends_with_its_lifeline(void **state)
{
        struct err err = ERR_INIT;
        struct world w;

        (void)state;
        if (!is_fake())
                skip();
        prepare(&w);
        w.config.cmdline = "fake=silent";
        start(&w);
        assert_int_equal(driver->console(w.vm, on_console, &w, &err), 0);
        assert_true(w.console_read);
        assert_int_equal(driver->stop(w.vm, &err), 0);
        until(&w, is_gone);
        assert_int_equal(w.seen[VM_EVENT_RUNNING], 0);
        finish(&w);
}

static int free_at_once(struct vm *vm, const struct vm_event *ev, void *user, struct err *e)
{
        struct world *w = user;

        (void)ev;
        (void)e;
        w->vm = driver->free(vm);
        loop_quit(w->loop);
        return 0;
}

static void vm_may_be_freed_by_its_own_callback(void **state)
{
        struct err err = ERR_INIT;
        struct world w;

        (void)state;
        prepare(&w);
        if (driver->start(&w.config, &w.handle, &err) < 0 ||
            driver->attach(w.loop, &w.handle, free_at_once, &w, &w.vm, &err) < 0)
                fail_msg("%s", err.msg);
        loop_timer_in(w.net, PATIENCE_MS);
        assert_int_equal(loop_run(w.loop, &err), 0);
        assert_null(w.vm);
        finish(&w);
}

/* ---- templates, clones, parked VMs ---- */

/* What the template and its clones have in common. */
struct template_files {
        int memory, state;
};

static struct template_files make_files(const struct world *w)
{
        struct template_files t = {-1, -1};
        struct err err = ERR_INIT;

        assert_int_equal(fd_memfd("memory", &t.memory, &err), 0);
        assert_int_equal(fd_memfd("state", &t.state, &err), 0);
        assert_int_equal(ftruncate(t.memory, (off_t)w->config.shape.memory), 0);
        return t;
}

static void close_files(struct template_files *t)
{
        fd_close(t->memory);
        fd_close(t->state);
}

static void prepare_as(struct world *w, enum vm_start start, const struct template_files *t)
{
        prepare(w);
        w->config.start = start;
        if (start == VM_START_CLONE) {
                w->config.kernel_fd = fd_close(w->config.kernel_fd);
                w->config.initramfs_fd = fd_close(w->config.initramfs_fd);
        }
        w->config.memory_fd = t->memory;
        w->config.state_fd = t->state;
}

static struct template_files make_template(void)
{
        struct err err = ERR_INIT;
        struct template_files t;
        struct world w;

        prepare(&w);
        t = make_files(&w);
        finish(&w);
        prepare_as(&w, VM_START_TEMPLATE, &t);
        boot(&w);
        assert_int_equal(w.handle.origin, VM_BOOTED);
        assert_int_equal(driver->save(w.vm, &err), 0);
        until(&w, is_saved);
        assert_int_equal(driver->stop(w.vm, &err), 0);
        until(&w, is_gone);
        finish(&w);
        assert_int_equal(fd_seal(t.memory, &err), 0);
        assert_int_equal(fd_seal(t.state, &err), 0);
        return t;
}

static void saved_vm_is_cloned_and_each_clone_goes_on_where_it_was(void **state)
{
        struct template_files t = make_template();

        (void)state;
        for (int i = 0; i < 2; i++) {
                struct world w;
                prepare_as(&w, VM_START_CLONE, &t);
                start(&w);
                assert_int_equal(w.handle.origin, VM_CLONED);
                say(&w, 'e');
                until(&w, is_running);
                until(&w, has_bytes);
                assert_int_equal(w.channel.len, 1); /* and no second ready record */
                assert_int_equal(w.channel.data[0], 'e');
                finish(&w);
        }
        close_files(&t);
}

static void clones_of_one_template_run_beside_each_other(void **state)
{
        struct template_files t = make_template();
        struct world w[2];

        (void)state;
        for (int i = 0; i < 2; i++) {
                prepare_as(&w[i], VM_START_CLONE, &t);
                start(&w[i]);
        }
        for (int i = 0; i < 2; i++) {
                say(&w[i], 'e');
                until(&w[i], is_running);
                until(&w[i], has_bytes);
        }
        /* The fake one's second process has copies of the first one's descriptors. */
        for (int i = 1; i >= 0; i--)
                finish(&w[i]);
        close_files(&t);
}

static bool has_two_lines(struct world *w)
{
        const char *text = buf_cstr(&w->channel), *first = text ? strchr(text, '\n') : NULL;

        return first && strchr(first + 1, '\n');
}

/* The slots of the template were empty; the guest asks the devices again. */
static void clone_sees_size_and_bytes_of_its_own_volume_and_input(void **state)
{
        char written[9] = "";
        struct world w;

        (void)state;
        if (is_fake())
                skip();
        AUTO(auto_free) char *path = fs_join(state_folder, "input");
        struct template_files t = make_template();
        prepare_as(&w, VM_START_CLONE, &t);
        assert_int_equal(fd_memfd("volume", &w.config.disk_fd[VM_DISK_VOLUME], NULL), 0);
        int volume_fd = w.config.disk_fd[VM_DISK_VOLUME];
        assert_int_equal(ftruncate(volume_fd, 3 << 20), 0);
        assert_int_equal(pwrite(volume_fd, "a volume", 8, 0), 8);
        assert_int_equal(fs_write_atomic(path, "an input", 8, 0600, NULL), 0);
        assert_int_equal(truncate(path, 5 << 20), 0);
        w.config.disk_fd[VM_DISK_INPUT] = open(path, O_RDONLY | O_CLOEXEC);
        start(&w);
        say(&w, 'd');
        until(&w, has_two_lines);
        assert_string_equal(buf_cstr(&w.channel), "c 3145728 a volume 1\nd 5242880 an input 0\n");
        assert_int_equal(pread(volume_fd, written, 8, 4096), 8);
        assert_string_equal(written, "written!");
        finish(&w);
        close_files(&t);
        unlink(path);
}

struct late {
        int from, to;
        uint64_t size;
};

static int copy_late(void *user, struct err *e)
{
        const struct late *l = user;
        off_t at = 0;

        assert_int_equal(lseek(l->to, 0, SEEK_DATA), -1); /* the VMM is there and touched nothing */
        while (at < (off_t)l->size)
                if (sendfile(l->to, l->from, &at, l->size - (size_t)at) <= 0)
                        return err_errno(e, ERR_RESOURCES, errno, "sendfile");
        return fd_seal(l->to, e);
}

static void clone_gets_its_memory_while_its_vmm_starts(void **state)
{
        struct world w;

        (void)state;
        if (is_fake())
                skip();
        struct template_files t = make_template();
        struct late late = {.from = t.memory};
        prepare_as(&w, VM_START_CLONE, &t);
        late.size = w.config.shape.memory;
        assert_int_equal(fd_memfd("memory", &late.to, NULL), 0);
        assert_int_equal(ftruncate(late.to, (off_t)late.size), 0);
        w.config.memory_fd = late.to;
        w.config.memory_ready = copy_late;
        w.config.user = &late;
        start(&w);
        say(&w, 'e');
        until(&w, has_bytes);
        assert_int_equal(w.channel.data[0], 'e');
        finish(&w);
        fd_close(late.to);
        close_files(&t);
}

static void clone_is_not_started_from_what_can_still_be_written(void **state)
{
        (void)state;
        if (is_fake())
                skip();
        for (int i = 0; i < 2; i++) {
                struct err err = ERR_INIT;
                struct template_files t;
                struct world w;
                prepare(&w);
                t = make_files(&w);
                finish(&w);
                assert_int_equal(fd_seal(i == 0 ? t.state : t.memory, &err), 0);
                prepare_as(&w, VM_START_CLONE, &t);
                assert_true(driver->start(&w.config, &w.handle, &err) < 0);
                assert_non_null(strstr(err.msg, i == 0 ? "the memory of a clone must be a sealed memory file"
                                                       : "the state of a clone must be a sealed memory file"));
                finish(&w);
                close_files(&t);
        }
}

static void state_that_cannot_be_loaded_is_a_vm_that_is_gone(void **state)
{
        static const char nonsense[] = "this is no state of a machine";
        struct err err = ERR_INIT;
        struct template_files t;
        struct world w;

        (void)state;
        prepare(&w);
        t = make_files(&w);
        finish(&w);
        assert_int_equal(write(t.state, nonsense, sizeof(nonsense)), sizeof(nonsense));
        assert_int_equal(fd_seal(t.memory, &err), 0);
        assert_int_equal(fd_seal(t.state, &err), 0);
        prepare_as(&w, VM_START_CLONE, &t);
        if (is_fake())
                w.config.cmdline = "fake=load-fails";
        start(&w);
        until(&w, is_gone);
        assert_int_equal(w.seen[VM_EVENT_RUNNING], 0);
        if (!is_fake() && !strstr(w.text[VM_EVENT_GONE], "the VMM ended: "))
                fail_msg("%s", w.text[VM_EVENT_GONE]);
        finish(&w);
        close_files(&t);
}

static void clone_that_is_paused_between_loading_and_starting_is_running_afterwards(void **state)
{
        struct template_files t = {-1, -1};
        struct world w;

        (void)state;
        if (!is_fake())
                skip(); /* a moment that cannot be met on purpose */
        prepare_as(&w, VM_START_CLONE, &t);
        w.config.cmdline = "fake=loads-late";
        start(&w);
        until(&w, is_running);
        assert_int_equal(w.seen[VM_EVENT_RUNNING], 1);
        finish(&w);
}

static void save_that_fails_is_a_vm_that_is_gone(void **state)
{
        static const char *const ways[][2] = {{"fake=save-fails", "could not save"}, {"fake=save-refused", "no state"}};

        (void)state;
        if (!is_fake())
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
                struct err err = ERR_INIT;
                struct world w;
                prepare(&w);
                w.config.cmdline = ways[i][0];
                boot(&w);
                assert_int_equal(driver->save(w.vm, &err), 0);
                until(&w, is_gone);
                assert_int_equal(w.seen[VM_EVENT_SAVED], 0);
                assert_non_null(strstr(w.text[VM_EVENT_GONE], ways[i][1]));
                finish(&w);
        }
}

static void vm_that_was_not_started_as_a_template_is_gone_when_it_is_saved(void **state)
{
        struct err err = ERR_INIT;
        struct world w;

        (void)state;
        if (is_fake())
                skip();
        prepare(&w);
        boot(&w);
        assert_int_equal(driver->save(w.vm, &err), 0);
        until(&w, is_gone);
        assert_int_equal(w.seen[VM_EVENT_SAVED], 0);
        finish(&w);
}

static void paused_vm_is_handed_on_and_runs_at_once_with_its_next_owner(void **state)
{
        struct err err = ERR_INIT;
        int control, lifeline;
        struct world w;

        (void)state;
        prepare(&w);
        assert_int_equal(driver->start(&w.config, &w.handle, &err), 0);
        control = fcntl(w.handle.control_fd, F_DUPFD_CLOEXEC, 3);
        lifeline = fcntl(w.handle.lifeline_fd, F_DUPFD_CLOEXEC, 3);
        watch_channel(&w);
        attach(&w);
        until(&w, is_running);
        until(&w, is_ready);
        assert_int_equal(driver->pause(w.vm, &err), 0);
        until(&w, is_paused);
        say(&w, 'e');
        w.vm = driver->free(w.vm);
        w.handle.control_fd = control;
        w.handle.lifeline_fd = lifeline;
        w.handle.origin = VM_PARKED;
        attach(&w);
        until(&w, is_running_again);
        until(&w, is_echoed);
        assert_int_equal(driver->pause(w.vm, &err), 0);
        until(&w, is_paused_again);
        read_console(&w);
        finish(&w);
}

static void parked_vm_whose_vmm_died_is_gone_for_its_next_owner(void **state)
{
        struct err err = ERR_INIT;
        int pair[2];
        struct world w;

        (void)state;
        prepare(&w);
        assert_int_equal(fd_socketpair(SOCK_STREAM, pair, &err), 0);
        fd_close(pair[1]);
        w.handle.control_fd = pair[0];
        w.handle.origin = VM_PARKED;
        attach(&w);
        assert_int_equal(w.seen[VM_EVENT_GONE], 0); /* told from the loop only */
        until(&w, is_gone);
        finish(&w);
}

static int make_state(void **state)
{
        (void)state;
        snprintf(state_folder, sizeof(state_folder), "/tmp/test-vm.XXXXXX");
        return mkdtemp(state_folder) && chmod(state_folder, 0755) == 0 ? 0 : -1;
}

static int remove_state(void **state)
{
        struct slot_reclaimed left;
        struct err err = ERR_INIT;

        (void)state;
        /* Every test cleaned up after itself. */
        if (slot_reclaim(state_folder, &left, &err) < 0 || left.slots || left.processes)
                return -1;
        return fs_remove_tree(state_folder, &err);
}

int main(int argc, char **argv)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(guest_boots_answers_pauses_resumes_and_stops),
                cmocka_unit_test(poweroff_is_reported_and_the_console_can_still_be_read),
                cmocka_unit_test(panic_is_reported_and_the_console_says_it),
                cmocka_unit_test(killed_jail_is_a_vm_that_is_gone),
                cmocka_unit_test(console_of_a_vm_that_is_gone_is_empty),
                cmocka_unit_test(full_host_disk_is_reported_once_and_the_guest_runs_on),
                cmocka_unit_test(vmm_that_breaks_its_protocol_is_gone),
                cmocka_unit_test(vmm_that_never_greets_ends_with_its_lifeline),
                cmocka_unit_test(vm_may_be_freed_by_its_own_callback),
                cmocka_unit_test(saved_vm_is_cloned_and_each_clone_goes_on_where_it_was),
                cmocka_unit_test(clones_of_one_template_run_beside_each_other),
                cmocka_unit_test(clone_sees_size_and_bytes_of_its_own_volume_and_input),
                cmocka_unit_test(clone_gets_its_memory_while_its_vmm_starts),
                cmocka_unit_test(clone_is_not_started_from_what_can_still_be_written),
                cmocka_unit_test(state_that_cannot_be_loaded_is_a_vm_that_is_gone),
                cmocka_unit_test(clone_that_is_paused_between_loading_and_starting_is_running_afterwards),
                cmocka_unit_test(save_that_fails_is_a_vm_that_is_gone),
                cmocka_unit_test(vm_that_was_not_started_as_a_template_is_gone_when_it_is_saved),
                cmocka_unit_test(paused_vm_is_handed_on_and_runs_at_once_with_its_next_owner),
                cmocka_unit_test(parked_vm_whose_vmm_died_is_gone_for_its_next_owner),
        };
        const char *guest = getenv("DEVDEP_TEST_GUEST");
        AUTO(auto_free) char *kernel = guest ? fs_join(guest, "kernel") : NULL;

        driver = argc > 1 && str_eq(argv[1], "fake") ? &vm_driver_fake : &vm_driver_qemu;
        if (!is_fake() && (!kernel || access(kernel, R_OK) < 0)) {
                fprintf(stderr,
                        "skipped: make the guest with tools/test-guest and name its folder in DEVDEP_TEST_GUEST\n");
                return TEST_SKIPPED;
        }
        int status = test_become(argc > 2 ? argv[2] : NULL, argv[0]);
        if (status != 0)
                return status;
        return cmocka_run_group_tests(tests, make_state, remove_state);
}
