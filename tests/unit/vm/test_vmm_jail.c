/* The jail of a live QEMU, read back from the host's /proc, and the lifeline: `test-vm-jail [user]`. The VMM here has
 * no guest: a machine that executes its firmware is enough, and starts in no time. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "sandbox/cgroup.h"
#include "test_user.h"
#include "vm/qemu_args.h"
#include "vm/slot.h"
#include "vm/vm.h"

/* A safety net, never a measure; after it was needed once, what follows need not wait as long. */
static int patience_ms = 60000;

static char state_folder[64];

struct world {
        struct slot *slot;
        struct vm_config config;
        struct vm_handle handle;
        pid_t init, vmm; /* pid 1 of the jail, QEMU; as the host numbers them */
        int init_pidfd, vmm_pidfd;
};

static int make_root_disk(void)
{
        AUTO(auto_free) char *path = fs_join(state_folder, "root.img");
        AUTO(auto_close) int made = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        int fd;

        assert_int_equal(ftruncate(made, 1 << 20), 0);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static pid_t child_of(pid_t pid)
{
        struct buf text = BUF_INIT;
        char path[64];
        int child = 0;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
        assert_int_equal(fs_read(path, 4096, &text, NULL), 0);
        assert_int_equal(sscanf(buf_cstr(&text), "%d", &child), 1);
        buf_done(&text);
        return child;
}

static void start(struct world *w)
{
        struct err err = ERR_INIT;

        *w = (struct world){.config = VM_CONFIG_INIT, .handle = VM_HANDLE_INIT};
        w->config.accel = VM_ACCEL_TCG;
        w->config.shape = (struct vm_shape){.vcpus = 1, .memory = QEMU_MIN_MEMORY, .scratch = 1 << 20};
        w->config.cmdline = "";
        if (slot_take(state_folder, &w->slot, &err) < 0)
                fail_msg("%s", err.msg);
        w->config.slot = w->slot;
        w->config.disk_fd[VM_DISK_ROOT] = make_root_disk();
        if (vm_driver_qemu.start(&w->config, &w->handle, &err) < 0)
                fail_msg("%s", err.msg);
        w->init = child_of(w->handle.jail_pid);
        w->vmm = child_of(w->init);
        w->init_pidfd = (int)syscall(SYS_pidfd_open, w->init, 0);
        w->vmm_pidfd = (int)syscall(SYS_pidfd_open, w->vmm, 0);
        assert_true(w->init_pidfd >= 0 && w->vmm_pidfd >= 0);
}

/* Wait for an answer on the control connection: QEMU greets while it still reads its firmware, and answers when its
 * main loop runs. */
static void until_qemu_is_up(struct world *w)
{
        static const char command[] = "{\"execute\":\"qmp_capabilities\"}\n";
        char text[4096] = "";
        size_t len = 0;

        assert_int_equal(fd_write_all(w->handle.control_fd, command, sizeof(command) - 1, "control", NULL), 0);
        while (!strstr(text, "\"return\"")) {
                ssize_t n = read(w->handle.control_fd, text + len, sizeof(text) - 1 - len);
                if (n <= 0) {
                        struct buf log = BUF_INIT;
                        vm_log(&w->handle, &log, NULL);
                        fail_msg("QEMU did not answer: %s", buf_cstr(&log));
                }
                len += (size_t)n;
                text[len] = '\0';
        }
        assert_true(str_starts(text, "{\"QMP\""));
}

static void expect_end(int *pidfd)
{
        struct pollfd p = {.fd = *pidfd, .events = POLLIN};

        if (*pidfd >= 0 && poll(&p, 1, patience_ms) != 1) {
                syscall(SYS_pidfd_send_signal, *pidfd, SIGKILL, NULL, 0);
                patience_ms = 2000;
                fail_msg("a process of the jail did not end");
        }
        *pidfd = fd_close(*pidfd);
}

/* Nothing may be left running by a test that fails. */
static void give_up(struct world *w, const char *why)
{
        int status;

        patience_ms = 2000;
        kill(w->handle.jail_pid, SIGKILL);
        kill(w->init, SIGKILL);
        kill(w->vmm, SIGKILL);
        vm_wait(&w->handle, (uint64_t)patience_ms, &status, NULL);
        fail_msg("the jail did not end %s", why);
}

static int wait_for_end(struct world *w)
{
        struct err err = ERR_INIT;
        int status = -1;

        if (vm_wait(&w->handle, (uint64_t)patience_ms, &status, &err) != 0)
                give_up(w, err.msg);
        expect_end(&w->vmm_pidfd);
        expect_end(&w->init_pidfd);
        return status;
}

static void finish(struct world *w)
{
        w->handle.lifeline_fd = fd_close(w->handle.lifeline_fd);
        if (w->handle.jail_pidfd >= 0)
                wait_for_end(w);
        vm_handle_done(&w->handle);
        fd_close(w->config.disk_fd[VM_DISK_ROOT]);
        fd_close(w->config.kernel_fd);
        slot_release(w->slot);
}

static char *read_of(pid_t pid, const char *name)
{
        struct buf text = BUF_INIT;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        if (fs_read(path, 1 << 20, &text, NULL) != 0)
                fail_msg("%s: %s", path, strerror(errno));
        return buf_take_str(&text);
}

static void expect_status(const char *status, const char *key, const char *want)
{
        const char *line = strstr(status, key);
        size_t n = line ? strcspn(line + 1, "\n") + 1 : 0;

        if (!line || n != strlen(key) + strlen(want) || strncmp(line + strlen(key), want, strlen(want)) != 0)
                fail_msg("expected '%s%s', found '%.*s'", key, want, (int)n, line ? line : "");
}

static void expect_process(pid_t pid, const struct world *w, const char *filters)
{
        AUTO(auto_free) char *status = read_of(pid, "status");
        unsigned uid = geteuid() == 0 ? w->slot->uid[SLOT_VMM] : geteuid();
        unsigned gid = geteuid() == 0 ? w->slot->uid[SLOT_VMM] : getegid();
        char ids[64];

        snprintf(ids, sizeof(ids), "\t%u\t%u\t%u\t%u", uid, uid, uid, uid);
        expect_status(status, "\nUid:", ids);
        snprintf(ids, sizeof(ids), "\t%u\t%u\t%u\t%u", gid, gid, gid, gid);
        expect_status(status, "\nGid:", ids);
        if (geteuid() == 0)
                expect_status(status, "\nGroups:", "\t ");
        expect_status(status, "\nCapInh:", "\t0000000000000000");
        expect_status(status, "\nCapPrm:", "\t0000000000000000");
        expect_status(status, "\nCapEff:", "\t0000000000000000");
        expect_status(status, "\nCapBnd:", "\t0000000000000000");
        expect_status(status, "\nCapAmb:", "\t0000000000000000");
        expect_status(status, "\nNoNewPrivs:", "\t1");
        expect_status(status, "\nSeccomp:", "\t2");
        expect_status(status, "\nSeccomp_filters:", filters);
}

static void vmm_and_its_keeper_have_an_own_user_no_capability_and_filters(void **state)
{
        struct world w;

        (void)state;
        start(&w);
        until_qemu_is_up(&w);
        expect_process(w.init, &w, "\t1");
        expect_process(w.vmm, &w, "\t4"); /* ours: named calls, newer ones, one execution; and QEMU's own */
        finish(&w);
}

static void vmm_is_in_namespaces_of_its_own(void **state)
{
        static const char *const kinds[] = {"user", "pid", "mnt", "ipc", "uts", "net"};
        struct world w;

        (void)state;
        start(&w);
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                char path[64];
                struct stat ours, its;
                snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
                assert_int_equal(stat(path, &ours), 0);
                snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)w.vmm, kinds[i]);
                if (stat(path, &its) < 0 && errno == EACCES) {
                        continue; /* an ordinary user may not look into a process without dumps */
                }
                assert_false(ours.st_ino == its.st_ino);
        }
        finish(&w);
}

static void vmm_has_no_network_but_a_loopback_that_is_down(void **state)
{
        struct world w;

        (void)state;
        start(&w);
        AUTO(auto_free) char *dev = read_of(w.vmm, "net/dev");
        AUTO(auto_free) char *routes = read_of(w.vmm, "net/fib_trie");
        const char *lines = strchr(strchr(dev, '\n') + 1, '\n') + 1;
        assert_true(str_starts(lines, "    lo:"));
        assert_int_equal(strcspn(lines, "\n") + 1, strlen(lines));
        assert_null(strstr(routes, "127.0.0.0"));
        finish(&w);
}

/* Exactly: null, log, and what the argument list names; sockets, memory files and what was opened through a read-only
 * mount. */
static void vmm_has_only_the_descriptors_that_it_needs(void **state)
{
        unsigned sockets = 0, files = 0;
        struct world w;

        (void)state;
        start(&w);
        until_qemu_is_up(&w);
        for (int fd = 0; fd < 256; fd++) {
                char path[64], link[256] = "";
                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w.vmm, fd);
                ssize_t n = readlink(path, link, sizeof(link) - 1);
                if (n < 0)
                        continue;
                if (str_starts(link, "socket:"))
                        sockets++;
                else if (str_eq(link, "/")) /* the root of its own detached mount */
                        files++;
                else if (!str_eq(link, "/dev/null") && !str_starts(link, "/memfd:vmm-log") &&
                         !str_starts(link, "anon_inode:") && !str_starts(link, "pipe:"))
                        fail_msg("descriptor %d of the VMM is %s", fd, link);
        }
        assert_int_equal(sockets, 2);
        assert_true(files >= 1);
        finish(&w);
}

static void root_disk_of_the_vmm_was_opened_through_a_read_only_mount(void **state)
{
        struct world w;
        bool found = false;

        (void)state;
        start(&w);
        until_qemu_is_up(&w);
        AUTO(auto_free) char *here = read_of(getpid(), "mountinfo");
        for (int fd = 10; fd < 40; fd++) {
                char path[64], link[256] = "", name[32];
                int mount = 0;
                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w.vmm, fd);
                if (readlink(path, link, sizeof(link) - 1) < 0 || !str_eq(link, "/"))
                        continue;
                snprintf(name, sizeof(name), "fdinfo/%d", fd);
                AUTO(auto_free) char *info = read_of(w.vmm, name);
                assert_int_equal(sscanf(strstr(info, "mnt_id:"), "mnt_id:%d", &mount), 1);
                /* No mount of the host: it is detached. */
                snprintf(name, sizeof(name), "\n%d ", mount);
                assert_null(strstr(here, name));
                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w.vmm, fd);
                assert_int_equal(open(path, O_RDWR | O_CLOEXEC), -1);
                assert_int_equal(errno, EROFS);
                found = true;
        }
        assert_true(found);
        finish(&w);
}

static void vmm_has_an_empty_environment_and_leaves_no_core(void **state)
{
        struct world w;

        (void)state;
        start(&w);
        AUTO(auto_free) char *environment = read_of(w.vmm, "environ");
        AUTO(auto_free) char *limits = read_of(w.vmm, "limits");
        assert_string_equal(environment, "");
        assert_non_null(strstr(limits, "Max core file size        0                    0 "));
        assert_non_null(strstr(limits, "Max open files            256                  256 "));
        assert_non_null(strstr(limits, "Max file size             1048576              1048576 "));
        finish(&w);
}

static int not_known(const char *name, void *user, struct err *e)
{
        static const char *const known[] = {"dev", "etc", "lib", "lib64", "proc", "usr"};

        (void)user;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (str_eq(name, known[i]))
                        return 0;
        }
        return err_set(e, ERR_RESOURCES, "/%s is in the VMM's tree", name);
}

static void root_of_the_vmm_is_private_and_read_only(void **state)
{
        char path[64];
        struct err err = ERR_INIT;
        struct world w;

        (void)state;
        start(&w);
        snprintf(path, sizeof(path), "/proc/%d/root", (int)w.vmm);
        if (fs_list(path, not_known, NULL, &err) != 0)
                fail_msg("%s", err.msg);
        snprintf(path, sizeof(path), "/proc/%d/root/usr/bin", (int)w.vmm);
        AUTO(auto_free) char *sh = fs_join(path, "dash");
        AUTO(auto_free) char *qemu = fs_join(path, "qemu-system-x86_64");
        assert_false(fs_exists(sh));
        assert_true(fs_exists(qemu));
        AUTO(auto_free) char *mounts = read_of(w.vmm, "mounts");
        for (char *line = mounts; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                const char *options = strchr(strchr(strchr(line, ' ') + 1, ' ') + 1, ' ') + 1;
                bool device = strstr(line, " /dev/null ") < strchr(line, '\n') && strstr(line, " /dev/null ");
                device |= strstr(line, " /dev/urandom ") && strstr(line, " /dev/urandom ") < strchr(line, '\n');
                device |= strstr(line, " /proc ") && strstr(line, " /proc ") < strchr(line, '\n');
                if (!device && !str_starts(options, "ro,"))
                        fail_msg("a writable mount in the VMM's tree: %.*s", (int)strcspn(line, "\n"), line);
        }
        finish(&w);
}

static bool host_has_groups(void)
{
        struct cgroup_host h;

        assert_int_equal(cgroup_host_find(&h, NULL), 0);
        return h.version && !h.why[0];
}

static void expect_member(pid_t pid, const char *group, const char *controller)
{
        AUTO(auto_free) char *groups = read_of(pid, "cgroup");
        AUTO(auto_free) char *end = str_printf("/devdep/%s-vmm\n", group);
        const char *line = strstr(groups, controller);

        /* Version 2 has one line for all. */
        if (!line)
                line = strstr(groups, "0::");
        assert_non_null(line);
        if (!strstr(line, end) || strstr(line, end) > strchr(line, '\n'))
                fail_msg("%s: process %d is not in %s", groups, (int)pid, end);
}

static void vmm_and_its_keepers_are_in_a_control_group_that_ends_with_the_slot(void **state)
{
        static const char *const controllers[] = {":memory:", ":pids:", ":freezer:"};
        struct buf places = BUF_INIT;
        struct world w;
        char first[256];

        (void)state;
        if (!host_has_groups())
                skip();
        start(&w);
        for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
                expect_member(w.handle.jail_pid, w.slot->group, controllers[i]);
                expect_member(w.init, w.slot->group, controllers[i]);
                expect_member(w.vmm, w.slot->group, controllers[i]);
        }
        AUTO(auto_free) char *note = str_printf("%s/groups/vmm", w.slot->path);
        assert_int_equal(fs_read(note, 4096, &places, NULL), 0);
        assert_int_equal(sscanf(buf_cstr(&places), "%255s", first), 1);
        assert_true(fs_exists(first));
        assert_false(slot_ran_out_of_memory(w.slot, "vmm"));
        finish(&w);
        assert_false(fs_exists(first));
        buf_done(&places);
}

static void every_protection_is_reported(void **state)
{
        struct world w;

        (void)state;
        start(&w);
        for (unsigned p = 0; p < SANDBOX_PROTECTION_COUNT; p++) {
                const struct sandbox_held *h = &w.handle.report.held[p];
                if (p == SANDBOX_NO_DUMPS || p == SANDBOX_LOCKED_MEMORY) /* what programs of ours do for themselves */
                        continue;
                bool less = (p == SANDBOX_CGROUP && !host_has_groups()) || (p == SANDBOX_OWN_USER && geteuid() != 0);
                if ((h->state == SANDBOX_OK) == less || (less && !h->why[0]))
                        fail_msg("%s is %s: %s", sandbox_protection_name(p), sandbox_state_name(h->state), h->why);
        }
        finish(&w);
}

/* ---- the lifeline and the leash ---- */

static void vmm_ends_with_the_last_write_end_of_the_lifeline(void **state)
{
        struct world w;
        int copy, status;

        (void)state;
        start(&w);
        copy = fcntl(w.handle.lifeline_fd, F_DUPFD_CLOEXEC, 3);
        w.handle.lifeline_fd = fd_close(w.handle.lifeline_fd);
        until_qemu_is_up(&w);
        assert_int_equal(vm_wait(&w.handle, 0, &status, NULL), VM_E_TIMEOUT); /* the copy holds it */
        assert_int_equal(write(copy, "x", 1), 1);                             /* bytes mean nothing */
        fd_close(copy);
        assert_int_equal(wait_for_end(&w), 128 + SIGKILL);
        finish(&w);
}

static void vmm_ends_with_the_last_write_end_of_the_leash_whoever_holds_the_lifeline(void **state)
{
        struct world w;
        int copy, status;

        (void)state;
        start(&w);
        copy = fcntl(w.handle.leash_fd, F_DUPFD_CLOEXEC, 3);
        w.handle.leash_fd = fd_close(w.handle.leash_fd);
        until_qemu_is_up(&w);
        assert_int_equal(vm_wait(&w.handle, 0, &status, NULL), VM_E_TIMEOUT); /* the copy holds it */
        fd_close(copy);
        assert_int_equal(wait_for_end(&w), 128 + SIGKILL);
        assert_true(w.handle.lifeline_fd >= 0);
        finish(&w);
}

static void vmm_ends_with_the_jail_and_with_its_keeper(void **state)
{
        struct world w;

        (void)state;
        start(&w);
        kill(w.handle.jail_pid, SIGKILL);
        /* Nobody of ours is told when pid 1 follows its parent: its descriptors close, and the control connection ends.
         */
        char text[4096];
        while (read(w.handle.control_fd, text, sizeof(text)) > 0)
                ;
        finish(&w);

        start(&w);
        kill(w.init, SIGKILL);
        assert_int_equal(wait_for_end(&w), 128 + SIGKILL);
        finish(&w);
}

static void end_of_the_vmm_is_the_jails_status(void **state)
{
        struct world w;

        (void)state;
        start(&w);
        kill(w.vmm, SIGABRT);
        assert_int_equal(wait_for_end(&w), 128 + SIGABRT);
        finish(&w);
}

/* The starter dies; who holds lifeline and leash keeps the VM, and the slot stays taken until it ends. */
static void owner_keeps_the_vm_when_its_starter_is_killed(void **state)
{
        struct world w;
        struct slot_reclaimed left;
        AUTO(auto_close) int lifeline = -1;
        AUTO(auto_close) int leash = -1;
        AUTO(auto_close) int control = -1;
        AUTO(auto_close) int pidfd = -1;
        int pair[2], fds[4];
        size_t len = 0, n = 0;
        char byte;
        pid_t starter;

        (void)state;
        assert_int_equal(fd_socketpair(SOCK_SEQPACKET, pair, NULL), 0);
        starter = fork();
        if (starter == 0) {
                close(pair[0]);
                start(&w);
                fds[0] = w.handle.lifeline_fd;
                fds[1] = w.handle.control_fd;
                fds[2] = w.handle.jail_pidfd;
                fds[3] = w.handle.leash_fd;
                if (fd_send(pair[1], "x", 1, fds, 4, NULL) < 0)
                        _exit(1);
                raise(SIGKILL);
        }
        close(pair[1]);
        assert_int_equal(fd_recv(pair[0], &byte, 1, fds, 4, &len, &n, NULL), 0);
        close(pair[0]);
        assert_int_equal(n, 4);
        lifeline = fds[0];
        control = fds[1];
        pidfd = fds[2];
        leash = fds[3];
        assert_int_equal(waitpid(starter, NULL, 0), starter);
        /* It lives: QEMU greets, and reclaim does not touch it. */
        char text[4096];
        assert_true(read(control, text, sizeof(text)) > 0);
        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.slots, 0);
        assert_int_equal(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), 0);
        /* Its end frees the slot, and reclaim clears what the starter could not. */
        lifeline = fd_close(lifeline);
        expect_end(&pidfd);
        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.slots, 1);
        assert_int_equal(left.processes, 0);
}

/* ---- failures to start ---- */

static void kernel_that_is_none_is_told_by_the_vmms_log(void **state)
{
        struct buf log = BUF_INIT;
        struct err err = ERR_INIT;
        struct world w = {.config = VM_CONFIG_INIT, .handle = VM_HANDLE_INIT, .init_pidfd = -1, .vmm_pidfd = -1};
        int status = -1;

        (void)state;
        w.config.accel = VM_ACCEL_TCG;
        w.config.shape.memory = QEMU_MIN_MEMORY;
        w.config.cmdline = "";
        assert_int_equal(slot_take(state_folder, &w.slot, &err), 0);
        w.config.slot = w.slot;
        assert_int_equal(fd_memfd("kernel", &w.config.kernel_fd, &err), 0);
        assert_int_equal(fd_write_all(w.config.kernel_fd, "no kernel", 9, "kernel", &err), 0);
        assert_int_equal(fd_seal(w.config.kernel_fd, &err), 0);
        if (vm_driver_qemu.start(&w.config, &w.handle, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(vm_wait(&w.handle, (uint64_t)patience_ms, &status, &err), 0);
        assert_int_equal(status, 1);
        assert_int_equal(vm_log(&w.handle, &log, &err), 0);
        assert_non_null(strstr(buf_cstr(&log), "kernel"));
        buf_done(&log);
        finish(&w);
}

static void impossible_shape_is_refused_before_anything_runs(void **state)
{
        struct world w = {.config = VM_CONFIG_INIT, .handle = VM_HANDLE_INIT};
        struct err err = ERR_INIT;

        (void)state;
        assert_int_equal(slot_take(state_folder, &w.slot, &err), 0);
        w.config.slot = w.slot;
        w.config.accel = VM_ACCEL_TCG;
        w.config.shape.vcpus = 1000;
        w.config.cmdline = "";
        assert_true(vm_driver_qemu.start(&w.config, &w.handle, &err) < 0);
        assert_int_equal(err.code, ERR_USAGE);
        assert_int_equal(w.handle.jail_pidfd, -1);
        slot_release(w.slot);
}

static int make_state(void **state)
{
        (void)state;
        snprintf(state_folder, sizeof(state_folder), "/tmp/test-jail.XXXXXX");
        return mkdtemp(state_folder) && chmod(state_folder, 0711) == 0 ? 0 : -1;
}

static int remove_state(void **state)
{
        struct slot_reclaimed left;

        (void)state;
        if (slot_reclaim(state_folder, &left, NULL) < 0 || left.slots)
                return -1;
        return fs_remove_tree(state_folder, NULL);
}

int main(int argc, char **argv)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(vmm_and_its_keeper_have_an_own_user_no_capability_and_filters),
                cmocka_unit_test(vmm_is_in_namespaces_of_its_own),
                cmocka_unit_test(vmm_has_no_network_but_a_loopback_that_is_down),
                cmocka_unit_test(vmm_has_only_the_descriptors_that_it_needs),
                cmocka_unit_test(root_disk_of_the_vmm_was_opened_through_a_read_only_mount),
                cmocka_unit_test(vmm_has_an_empty_environment_and_leaves_no_core),
                cmocka_unit_test(root_of_the_vmm_is_private_and_read_only),
                cmocka_unit_test(vmm_and_its_keepers_are_in_a_control_group_that_ends_with_the_slot),
                cmocka_unit_test(every_protection_is_reported),
                cmocka_unit_test(vmm_ends_with_the_last_write_end_of_the_lifeline),
                cmocka_unit_test(vmm_ends_with_the_last_write_end_of_the_leash_whoever_holds_the_lifeline),
                cmocka_unit_test(vmm_ends_with_the_jail_and_with_its_keeper),
                cmocka_unit_test(end_of_the_vmm_is_the_jails_status),
                cmocka_unit_test(owner_keeps_the_vm_when_its_starter_is_killed),
                cmocka_unit_test(kernel_that_is_none_is_told_by_the_vmms_log),
                cmocka_unit_test(impossible_shape_is_refused_before_anything_runs),
        };

        int status = test_become(argc > 1 ? argv[1] : NULL, argv[0]);

        if (status == 0)
                status = test_needs_qemu();
        if (status != 0)
                return status;
        /* Without a kernel QEMU reads no image at all; the firmware alone runs. */
        return cmocka_run_group_tests(tests, make_state, remove_state);
}
