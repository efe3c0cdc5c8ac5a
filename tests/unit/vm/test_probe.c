/* The probe and the doctor. Where /dev/kvm does not open the probe has nothing to boot and those tests are skipped. */
#include <fcntl.h>
#include <setjmp.h>
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
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "codec/json.h"
#include "vm/doctor.h"
#include "vm/fake.h"
#include "vm/image.h"
#include "vm/kvm.h"
#include "vm/probe.h"
#include "vm/slot.h"

static char state_folder[64];

static int make_state(void **state)
{
        (void)state;
        snprintf(state_folder, sizeof(state_folder), "/tmp/test-probe.XXXXXX");
        return mkdtemp(state_folder) ? 0 : -1;
}

static int remove_state(void **state)
{
        (void)state;
        return fs_remove_tree(state_folder, NULL);
}

/* An image as far as the probe looks: no files, and what the fake guest does stands on the command line. */
static struct image fake_image(char *cmdline)
{
        struct image im = {.kernel_fd = -1, .initramfs_fd = -1, .root_fd = -1};

        im.manifest.cmdline[VM_ACCEL_KVM] = cmdline;
        return im;
}

static void need_kvm(void)
{
        struct kvm_facts kvm;

        kvm_examine(&kvm);
        if (!kvm.usable)
                skip();
}

static void expect_nothing_left(void)
{
        struct slot_reclaimed left;

        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.slots, 0);
        assert_int_equal(left.processes, 0);
}

static void guest_that_boots_means_kvm_and_the_verdict_is_kept(void **state)
{
        char cmdline[] = "";
        struct image im = fake_image(cmdline);
        struct err err = ERR_INIT;
        struct probe p;

        (void)state;
        need_kvm();
        if (vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, true, &p, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(p.accel, VM_ACCEL_KVM);
        assert_false(p.cached);
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, false, &p, &err), 0);
        assert_int_equal(p.accel, VM_ACCEL_KVM);
        assert_true(p.cached);
        expect_nothing_left();
}

static void guest_that_never_boots_means_emulation_and_leaves_nothing(void **state)
{
        char cmdline[] = "fake=no-boot";
        struct image im = fake_image(cmdline);
        struct err err = ERR_INIT;
        struct probe p;

        (void)state;
        need_kvm();
        if (vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, true, &p, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(p.accel, VM_ACCEL_TCG);
        assert_non_null(strstr(p.why, "did not boot"));
        assert_true(p.mend[0]);
        expect_nothing_left();
}

static int damage(const char *name, void *user, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(user, name);

        return fs_write_atomic(path, "{\"accelerator\":\"xen\"", 20, 0600, e);
}

static void damaged_verdict_is_asked_again(void **state)
{
        char cmdline[] = "";
        struct image im = fake_image(cmdline);
        AUTO(auto_free) char *folder = fs_join(state_folder, "cache");
        struct err err = ERR_INIT;
        struct probe p;

        (void)state;
        need_kvm();
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, true, &p, &err), 0);
        assert_int_equal(fs_list(folder, damage, folder, &err), 0);
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, false, &p, &err), 0);
        assert_false(p.cached);
        assert_int_equal(p.accel, VM_ACCEL_KVM);
}

/* As if the verdict had been kept up to a while ago. */
static int make_due(const char *name, void *user, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(user, name);
        AUTO(json_decrefp) json_t *o = NULL;
        AUTO(buf_done) struct buf text = BUF_INIT;

        if (fs_read(path, 4096, &text, e) != 0 || json_parse(text.data, text.len, 4096, path, &o, e) < 0)
                return -1;
        assert_true(json_integer_value(json_object_get(o, "until_ms")) > 0);
        json_object_set_new(o, "until_ms", json_integer((json_int_t)clock_real_ms() - 1));
        buf_clear(&text);
        int r = json_write(o, 0, &text, e);
        return r < 0 ? r : fs_write_atomic(path, text.data, text.len, 0600, e);
}

static int count(const char *name, void *user, struct err *e)
{
        (void)name;
        (void)e;
        ++*(int *)user;
        return 0;
}

static void a_vmm_that_ended_by_itself_is_tried_again_after_a_while(void **state)
{
        char cmdline[] = "fake=ends";
        struct image im = fake_image(cmdline);
        AUTO(auto_free) char *folder = fs_join(state_folder, "cache");
        struct err err = ERR_INIT;
        struct probe p;
        int n = 0;

        (void)state;
        need_kvm();
        fs_remove_tree(folder, NULL);
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, true, &p, &err), 0);
        assert_int_equal(p.accel, VM_ACCEL_TCG);
        assert_false(p.cached);
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, false, &p, &err), 0);
        assert_true(p.cached);
        assert_int_equal(fs_list(folder, count, &n, &err), 0);
        assert_int_equal(n, 1);
        assert_int_equal(fs_list(folder, make_due, folder, &err), 0);
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, &im, VM_ACCEL_AUTO, false, &p, &err), 0);
        assert_false(p.cached);
        expect_nothing_left();
}

static void accelerator_that_was_asked_for_is_taken(void **state)
{
        struct err err = ERR_INIT;
        struct probe p;

        (void)state;
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, NULL, VM_ACCEL_TCG, false, &p, &err), 0);
        assert_int_equal(p.accel, VM_ACCEL_TCG);
        need_kvm();
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, NULL, VM_ACCEL_KVM, false, &p, &err), 0);
        assert_int_equal(p.accel, VM_ACCEL_KVM);
}

static void without_an_image_kvm_is_not_believed(void **state)
{
        struct err err = ERR_INIT;
        struct probe p;

        (void)state;
        assert_int_equal(vm_probe(&vm_driver_fake, state_folder, NULL, VM_ACCEL_AUTO, false, &p, &err), 0);
        assert_int_equal(p.accel, VM_ACCEL_TCG);
        assert_true(p.why[0]);
}

/* The fake driver has no vsock, whatever the host has. */
static void door_goes_through_virtio_serial_without_vsock(void **state)
{
        char cmdline[] = "";
        struct image im = fake_image(cmdline);
        struct err err = ERR_INIT;
        struct probe_door p;

        (void)state;
        assert_int_equal(
                vm_probe_door(&vm_driver_fake, state_folder, &im, VM_ACCEL_TCG, VM_TRANSPORT_AUTO, true, &p, &err), 0);
        assert_false(p.vsock);
        assert_string_equal(p.why, "the driver fake has no vsock");
        assert_true(vm_probe_door(&vm_driver_fake, state_folder, &im, VM_ACCEL_TCG, VM_TRANSPORT_VSOCK, true, &p,
                                  &err) < 0);
        assert_int_equal(err.code, ERR_RESOURCES);
        expect_nothing_left();
}

static void vsock_needs_the_hosts_device_and_a_guest_that_answers(void **state)
{
        struct err err = ERR_INIT;
        struct probe_door p;
        bool there = access("/dev/vhost-vsock", R_OK | W_OK) == 0;

        (void)state;
        /* Without an image nothing can answer, device or not. */
        assert_int_equal(
                vm_probe_door(&vm_driver_qemu, state_folder, NULL, VM_ACCEL_TCG, VM_TRANSPORT_AUTO, true, &p, &err), 0);
        assert_false(p.vsock);
        assert_non_null(strstr(p.why, there ? "no image" : "/dev/vhost-vsock"));
        int r = vm_probe_door(&vm_driver_qemu, state_folder, NULL, VM_ACCEL_TCG, VM_TRANSPORT_VSOCK, true, &p, &err);
        assert_int_equal(r == 0, there);
        assert_int_equal(
                vm_probe_door(&vm_driver_qemu, state_folder, NULL, VM_ACCEL_TCG, VM_TRANSPORT_SERIAL, true, &p, &err),
                0);
        assert_false(p.vsock);
}

static void transports_have_names(void **state)
{
        enum vm_transport t = VM_TRANSPORT_AUTO;
        struct err err = ERR_INIT;

        (void)state;
        assert_int_equal(vm_transport_parse("vsock", &t, &err), 0);
        assert_int_equal(t, VM_TRANSPORT_VSOCK);
        assert_true(vm_transport_parse("pigeon", &t, &err) < 0);
        assert_int_equal(err.code, ERR_USAGE);
}

static void accelerators_have_names(void **state)
{
        enum vm_accel a = VM_ACCEL_AUTO;
        struct err err = ERR_INIT;

        (void)state;
        assert_int_equal(vm_accel_parse("kvm", &a, &err), 0);
        assert_int_equal(a, VM_ACCEL_KVM);
        assert_true(vm_accel_parse("xen", &a, &err) < 0);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.msg, "auto, kvm or tcg"));
}

static const struct doctor_check *find(const struct doctor *d, const char *name)
{
        for (unsigned i = 0; i < d->n; i++) {
                if (str_eq(d->checks[i].name, name))
                        return &d->checks[i];
        }
        fail_msg("no check '%s'", name);
        return NULL;
}

static void doctor_names_each_protection_and_how_to_mend_what_is_missing(void **state)
{
        static const char *const names[] = {"qemu",    "git",      "memory",         "disk-space",
                                            "memlock", "swap",     "jail",           "empty-network",
                                            "seccomp", "own-user", "user-namespace", "control-group",
                                            "image",   "kvm",      "isolation",      "vhost-vsock"};
        struct image_store store = IMAGE_STORE_INIT;
        struct doctor *d = NULL;
        struct err err = ERR_INIT;

        (void)state;
        assert_int_equal(image_store_init(&store, state_folder, &err), 0);
        if (doctor_run(&store, "no-such-image", NULL, NULL, &d, &err) < 0)
                fail_msg("%s", err.msg);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                assert_non_null(find(d, names[i]));
        for (unsigned i = 0; i < d->n; i++) {
                assert_non_null(d->checks[i].group);
                assert_true(d->checks[i].why[0]);
                assert_true(d->checks[i].state == DOCTOR_OK || d->checks[i].mend[0]);
        }
        /* A program really ran: a filter that killed it would be reported here. */
        assert_int_equal(find(d, "jail")->state, DOCTOR_OK);
        assert_int_equal(find(d, "image")->state, DOCTOR_MISSING);
        assert_false(doctor_can_run(d));
        doctor_free(d);
        image_store_done(&store);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(guest_that_boots_means_kvm_and_the_verdict_is_kept),
                cmocka_unit_test(guest_that_never_boots_means_emulation_and_leaves_nothing),
                cmocka_unit_test(damaged_verdict_is_asked_again),
                cmocka_unit_test(a_vmm_that_ended_by_itself_is_tried_again_after_a_while),
                cmocka_unit_test(accelerator_that_was_asked_for_is_taken),
                cmocka_unit_test(without_an_image_kvm_is_not_believed),
                cmocka_unit_test(accelerators_have_names),
                cmocka_unit_test(door_goes_through_virtio_serial_without_vsock),
                cmocka_unit_test(vsock_needs_the_hosts_device_and_a_guest_that_answers),
                cmocka_unit_test(transports_have_names),
                cmocka_unit_test(doctor_names_each_protection_and_how_to_mend_what_is_missing),
        };

        return cmocka_run_group_tests(tests, make_state, remove_state);
}
