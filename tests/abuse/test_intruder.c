/* An intruder in QEMU's place (intruder.c), started by the driver through the real devdep-jail with the descriptors of
 * a booted and of a cloned VM: each attempt has to be refused. `test-intruder [user]`. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "loop/spawn.h"
#include "test_user.h"
#include "vm/qemu_args.h"
#include "vm/slot.h"
#include "vm/vm.h"

#define SUCCEEDED 10
#define REFUSED_BY_FILTER (128 + SIGSYS)
#define TIMEOUT_MS 60000
#define FAMILIES 46

static char state_folder[64], orders[64];
static char *intruder;

struct seized {
        int status;
        char *said;
        struct sandbox_report report;
};

static void seized_done(struct seized *s)
{
        free(s->said);
}

static int sealed(const char *name, size_t size)
{
        int fd = -1;

        assert_int_equal(fd_memfd(name, &fd, NULL), 0);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_int_equal(fd_seal(fd, NULL), 0);
        return fd;
}

static char *file_of_state(const char *name)
{
        AUTO(auto_free) char *path = fs_join(state_folder, name);
        AUTO(auto_free) char *folder = str_dup(path);

        *strrchr(folder, '/') = '\0';
        assert_int_equal(fs_mkdirs(folder, 0755, NULL), 0);
        assert_int_equal(fs_write_atomic(path, "another's", 9, 0644, NULL), 0);
        assert_int_equal(chmod(path, 0666), 0);
        return TAKE_PTR(path);
}

static void close_all(struct vm_config *c)
{
        fd_close(c->kernel_fd);
        fd_close(c->initramfs_fd);
        fd_close(c->memory_fd);
        fd_close(c->state_fd);
        for (int i = 0; i < VM_DISK_COUNT; i++)
                fd_close(c->disk_fd[i]);
}

static void fill(struct vm_config *c, enum vm_start start)
{
        AUTO(auto_free) char *root = file_of_state("root.img");

        c->start = start;
        c->accel = VM_ACCEL_TCG;
        c->shape = (struct vm_shape){.vcpus = 1, .memory = QEMU_MIN_MEMORY, .scratch = 1 << 20};
        c->cmdline = "";
        if (start == VM_START_CLONE) {
                c->memory_fd = sealed("memory", QEMU_MIN_MEMORY);
                c->state_fd = sealed("state", 4096);
        } else {
                c->kernel_fd = sealed("kernel", 4096);
                c->initramfs_fd = sealed("initramfs", 4096);
        }
        c->disk_fd[VM_DISK_ROOT] = open(root, O_RDONLY | O_CLOEXEC);
        assert_true(c->disk_fd[VM_DISK_ROOT] >= 0);
        assert_int_equal(vm_scratch_open(state_folder, 1 << 20, &c->disk_fd[VM_DISK_SCRATCH], NULL), 0);
}

/* The intruder runs to its end with the words as its arguments. */
static void seize(enum vm_start start, const char *words, struct seized *ret)
{
        struct vm_config c = VM_CONFIG_INIT;
        struct vm_handle h = VM_HANDLE_INIT;
        struct err err = ERR_INIT;
        struct slot *slot = NULL;
        struct buf log = BUF_INIT;

        /* The starter speaks first to a clone, and must not find it gone. */
        AUTO(auto_free) char *line = str_printf("%s%s", start == VM_START_CLONE ? "--after-first-words " : "", words);
        assert_int_equal(fs_write_atomic(orders, line, strlen(line), 0644, NULL), 0);
        if (slot_take(state_folder, &slot, &err) < 0)
                fail_msg("%s", err.msg);
        c.slot = slot;
        fill(&c, start);
        if (vm_driver_qemu.start(&c, &h, &err) < 0)
                fail_msg("%s", err.msg);
        ret->report = h.report;
        if (vm_wait(&h, TIMEOUT_MS, &ret->status, &err) != 0)
                fail_msg("%s did not end: %s", words, err.msg);
        assert_int_equal(vm_log(&h, &log, NULL), 0);
        ret->said = buf_take_str(&log);
        vm_handle_done(&h);
        close_all(&c);
        slot_release(slot);
}

static bool is_refused(const struct seized *s)
{
        return s->status == REFUSED_BY_FILTER || (s->status == 0 && strstr(s->said, ": refused ("));
}

static unsigned expect_refused(enum vm_start start, const char *words)
{
        AUTO(seized_done) struct seized s = {0};

        seize(start, words, &s);
        if (s.status == REFUSED_BY_FILTER)
                print_message("%s: refused (SIGSYS)\n", words);
        else
                print_message("%s", s.said);
        if (is_refused(&s))
                return 0;
        print_error("%s: status %d\n", words, s.status);
        return 1;
}

static char *run(const char *option, const char *name, int *ret_status)
{
        char *argv[] = {intruder, (char *)(uintptr_t)option, (char *)(uintptr_t)name, NULL}, *envp[] = {NULL};
        struct spawn s = SPAWN_INIT;
        struct buf out = BUF_INIT, told = BUF_INIT;
        struct err err = ERR_INIT;

        s.path = intruder;
        s.argv = argv;
        s.envp = envp;
        if (spawn_wait(&s, &out, &told, 1 << 20, TIMEOUT_MS, ret_status, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(buf_append(&out, told.data, told.len, NULL), 0);
        buf_done(&told);
        return buf_take_str(&out);
}

/* Each line of --list; `outside` is where it has to succeed without a jail. */
static void each_attempt(void (*fn)(const char *name, bool outside, unsigned *failed))
{
        unsigned failed = 0, n = 0;
        int status;
        AUTO(auto_free) char *list = run("--list", NULL, &status);
        char *save = NULL;

        for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
                char *space = strchr(line, ' ');
                if (space)
                        *space = '\0';
                fn(line, space != NULL, &failed);
        }
        assert_true(n > 100);
        assert_int_equal(failed, 0);
}

static void inside(const char *name, bool outside, unsigned *failed)
{
        (void)outside;
        *failed += expect_refused(VM_START_BOOT, name);
}

static void every_attempt_from_a_vmms_place_is_refused(void **state)
{
        (void)state;
        each_attempt(inside);
}

static void without(const char *name, bool outside, unsigned *failed)
{
        int status = -1;

        if (!outside)
                return;
        AUTO(auto_free) char *said = run("--outside", name, &status);
        if (status == SUCCEEDED)
                return;
        print_error("%s outside of a jail: status %d, %s\n", name, status, said);
        (*failed)++;
}

static void attempts_succeed_without_the_jail(void **state)
{
        (void)state;
        if (geteuid() != 0)
                skip();
        each_attempt(without);
}

static void no_socket_of_any_family_can_be_made(void **state)
{
        unsigned failed = 0;

        (void)state;
        for (unsigned family = 0; family < FAMILIES; family++) {
                char words[32];
                snprintf(words, sizeof(words), "socket:%u", family);
                failed += expect_refused(VM_START_BOOT, words);
        }
        assert_int_equal(failed, 0);
}

/* Everybody may read and write these files; only the jail's tree is in between. */
static void files_of_other_slots_templates_and_images_are_not_there(void **state)
{
        static const char *const names[] = {"slots/7/run/control",     "slots/7/lock",
                                            "templates/k/memory",      "templates/k/state",
                                            "images/default/root.img", "keys/signing.key"};
        static const char *const ways[] = {"open:", "create:", "open:/proc/self/root", "open:/proc/1/root",
                                           "open:/proc/self/cwd/../.."};
        unsigned failed = 0;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                AUTO(auto_free) char *path = file_of_state(names[i]);
                AUTO(auto_close) int here = open(path, O_RDWR | O_CLOEXEC);
                assert_true(here >= 0);
                for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
                        AUTO(auto_free) char *words = str_printf("%s%s", ways[w], path);
                        failed += expect_refused(VM_START_BOOT, words);
                }
        }
        AUTO(auto_free) char *slot = fs_join(state_folder, "slots/7");
        assert_int_equal(fs_remove_tree(slot, NULL), 0);
        assert_int_equal(failed, 0);
}

/* The VM's own: its log, its unlinked scratch disk, its memory while it is made. */
static bool is_its_own(const char *link)
{
        return str_eq(link, "/dev/null") || str_starts(link, "/memfd:vmm-log") || str_ends(link, " (deleted)");
}

static unsigned check_descriptor(enum vm_start start, const char *line)
{
        char link[128] = "", words[32];
        int fd, access, seals;
        unsigned failed = 0;

        if (sscanf(line, "fd %d %d %d %127[^\n]", &fd, &access, &seals, link) != 4)
                return 0;
        snprintf(words, sizeof(words), "fd-chmod:%d", fd);
        failed += expect_refused(start, words);
        snprintf(words, sizeof(words), "fd-type:%d", fd);
        failed += expect_refused(start, words);
        bool memory = str_starts(link, "/memfd:"), file = link[0] == '/';
        if (!file || (is_its_own(link) && (!memory || str_starts(link, "/memfd:vmm-log"))))
                return failed;
        print_message("descriptor %d: %s, access %d, seals 0x%x\n", fd, link, access, (unsigned)seals);
        if (memory && (seals & (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) !=
                              (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
                print_error("the memory file %s is not sealed\n", link);
                failed++;
        }
        snprintf(words, sizeof(words), "fd-write:%d", fd);
        return failed + expect_refused(start, words);
}

static void check_descriptors(enum vm_start start)
{
        AUTO(seized_done) struct seized s = {0};
        unsigned failed = 0, n = 0;
        char *save = NULL;

        seize(start, "--descriptors", &s);
        assert_int_equal(s.status, 0);
        for (char *line = strtok_r(s.said, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++)
                failed += check_descriptor(start, line);
        assert_true(n >= 8);
        failed += expect_refused(start, "passed-write");
        assert_int_equal(failed, 0);
        seized_done(&s);
        seize(start, "passed-write", &s);
        assert_null(strstr(s.said, "passed ")); /* nothing beside what is named came in with the first commands */
}

static void descriptors_of_a_booted_vm_change_nothing_that_others_have(void **state)
{
        (void)state;
        check_descriptors(VM_START_BOOT);
}

static void descriptors_of_a_clone_change_nothing_that_others_have(void **state)
{
        (void)state;
        check_descriptors(VM_START_CLONE);
}

static void memory_that_others_could_change_starts_no_clone(void **state)
{
        struct vm_config c = VM_CONFIG_INIT;
        struct vm_handle h = VM_HANDLE_INIT;
        struct err err = ERR_INIT;
        struct slot *slot = NULL;

        (void)state;
        assert_int_equal(slot_take(state_folder, &slot, &err), 0);
        c.slot = slot;
        fill(&c, VM_START_CLONE);
        for (unsigned i = 0; i < 2; i++) {
                int *fd = i == 0 ? &c.memory_fd : &c.state_fd, whole = *fd;
                assert_int_equal(fd_memfd("open", fd, NULL), 0);
                assert_int_equal(ftruncate(*fd, QEMU_MIN_MEMORY), 0);
                assert_true(vm_driver_qemu.start(&c, &h, &err) < 0);
                assert_int_equal(err.code, ERR_USAGE);
                close(*fd);
                *fd = whole;
        }
        close_all(&c);
        slot_release(slot);
}

static int prepare(void **state)
{
        (void)state;
        snprintf(state_folder, sizeof(state_folder), "/tmp/test-intruder.XXXXXX");
        snprintf(orders, sizeof(orders), "/tmp/devdep-intruder.%d", (int)getpid());
        return mkdtemp(state_folder) && chmod(state_folder, 0755) == 0 && program_path("intruder", &intruder, NULL) == 0
                       ? 0
                       : -1;
}

static int clean(void **state)
{
        struct slot_reclaimed left;

        (void)state;
        free(intruder);
        unlink(orders);
        if (slot_reclaim(state_folder, &left, NULL) < 0 || left.slots)
                return -1;
        return fs_remove_tree(state_folder, NULL);
}

int main(int argc, char **argv)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(attempts_succeed_without_the_jail),
                cmocka_unit_test(every_attempt_from_a_vmms_place_is_refused),
                cmocka_unit_test(no_socket_of_any_family_can_be_made),
                cmocka_unit_test(files_of_other_slots_templates_and_images_are_not_there),
                cmocka_unit_test(descriptors_of_a_booted_vm_change_nothing_that_others_have),
                cmocka_unit_test(descriptors_of_a_clone_change_nothing_that_others_have),
                cmocka_unit_test(memory_that_others_could_change_starts_no_clone),
        };

        int status = test_become(argc > 1 ? argv[1] : NULL, argv[0]);

        if (status == 0)
                status = test_needs_qemu();
        if (status != 0)
                return status;
        return cmocka_run_group_tests(tests, prepare, clean);
}
