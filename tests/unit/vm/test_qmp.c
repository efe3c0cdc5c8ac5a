/* The control protocol and QEMU's argument list: pure functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/qemu_args.h"
#include "vm/qmp.h"
#include "vm/tsc.h"
#include "vm/vsock.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

struct seen {
        unsigned n;
        struct qmp_message last;
        char name[128];
};

static int note(const struct qmp_message *m, void *user, struct err *e)
{
        struct seen *s = user;

        (void)e;
        s->n++;
        s->last = *m;
        str_copy(s->name, sizeof(s->name), m->name ? m->name : "");
        return 0;
}

static int feed(struct qmp *q, const char *text, struct seen *s, struct err *e)
{
        return qmp_feed(q, (const uint8_t *)text, strlen(text), note, s, e);
}

static struct qmp *greeted(struct seen *s)
{
        struct qmp *q = NULL;

        *s = (struct seen){0};
        assert_int_equal(qmp_new(&q, NULL), 0);
        assert_int_equal(feed(q, GREETING, s, NULL), 0);
        assert_int_equal(s->last.type, QMP_GREETING);
        return q;
}

static void messages_arrive_whatever_the_pieces(void **state)
{
        static const char text[] = "{\"event\": \"STOP\", \"data\": {\"a\": 1}}\r\n\r\n{\"event\": \"RESUME\"}\n";
        struct seen s;
        struct qmp *q = greeted(&s);

        (void)state;
        for (const char *p = text; *p; p++)
                assert_int_equal(qmp_feed(q, (const uint8_t *)p, 1, note, &s, NULL), 0);
        assert_int_equal(s.n, 3);
        assert_int_equal(s.last.type, QMP_EVENT);
        assert_string_equal(s.name, "RESUME");
        qmp_free(q);
}

static void answers_are_matched_with_commands(void **state)
{
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        uint64_t id = 0;
        struct seen s;
        struct qmp *q = greeted(&s);

        (void)state;
        assert_int_equal(qmp_command(q, "query-status", NULL, &out, &id, &err), 0);
        assert_string_equal(buf_cstr(&out), "{\"execute\":\"query-status\",\"id\":1}\n");
        assert_int_equal(id, 1);
        assert_int_equal(qmp_command(q, "x", "{\"a\":1}", &out, &id, &err), 0);
        assert_int_equal(feed(q, "{\"return\": {\"status\": \"running\"}, \"id\": 1}\n", &s, &err), 0);
        assert_int_equal(s.last.type, QMP_RETURN);
        assert_int_equal(s.last.id, 1);
        assert_int_equal(feed(q, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 2}\n", &s, &err),
                         0);
        assert_int_equal(s.last.type, QMP_ERROR);
        assert_string_equal(s.name, "no");
        buf_done(&out);
        qmp_free(q);
}

static void each_breach_is_a_protocol_error(void **state)
{
        static const char *const lines[] = {
                GREETING,
                "no json\n",
                "[]\n",
                "{}\n",
                "{\"event\": 7}\n",
                "{\"return\": {}}\n",
                "{\"return\": {}, \"id\": 1}\n",
                "{\"return\": {}, \"id\": \"1\"}\n",
                "{\"error\": {}, \"id\": 1}\n",
                "{\"event\": \"A\", \"event\": \"B\"}\n",
                "{\"event\": \"A\"} x\n",
                "\xff\xfe\n",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
                struct err err = ERR_INIT;
                struct seen s;
                struct qmp *q = greeted(&s);
                if (feed(q, lines[i], &s, &err) >= 0 || err.code != ERR_PROTOCOL)
                        fail_msg("'%s' was taken", lines[i]);
                qmp_free(q);
        }
}

static void nothing_may_come_before_the_greeting(void **state)
{
        struct seen s = {0};
        struct err err = ERR_INIT;
        struct buf out = BUF_INIT;
        struct qmp *q = NULL;
        uint64_t id;

        (void)state;
        assert_int_equal(qmp_new(&q, NULL), 0);
        assert_true(qmp_command(q, "x", NULL, &out, &id, &err) < 0);
        assert_true(feed(q, "{\"event\": \"STOP\"}\n", &s, &err) < 0);
        qmp_free(q);
}

static void an_answer_counts_once(void **state)
{
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        struct seen s;
        struct qmp *q = greeted(&s);
        uint64_t id;

        (void)state;
        assert_int_equal(qmp_command(q, "x", NULL, &out, &id, &err), 0);
        assert_int_equal(feed(q, "{\"return\": {}, \"id\": 1}\n", &s, &err), 0);
        assert_true(feed(q, "{\"return\": {}, \"id\": 1}\n", &s, &err) < 0);
        buf_done(&out);
        qmp_free(q);
}

static void answers_out_of_order_are_a_breach(void **state)
{
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        struct seen s;
        struct qmp *q = greeted(&s);
        uint64_t id;

        (void)state;
        assert_int_equal(qmp_command(q, "x", NULL, &out, &id, &err), 0);
        assert_int_equal(qmp_command(q, "y", NULL, &out, &id, &err), 0);
        assert_true(feed(q, "{\"return\": {}, \"id\": 2}\n", &s, &err) < 0);
        assert_int_equal(err.code, ERR_PROTOCOL);
        buf_done(&out);
        qmp_free(q);
}

static void line_at_the_limit_passes_and_one_past_it_ends(void **state)
{
        static char line[QMP_MAX_LINE + 2];

        (void)state;
        for (size_t extra = 0; extra < 2; extra++) {
                const char head[] = "{\"event\": \"";
                size_t len = QMP_MAX_LINE + extra;
                struct seen s;
                struct qmp *q = greeted(&s);
                memset(line, 'x', sizeof(line));
                memcpy(line, head, sizeof(head) - 1);
                line[len - 2] = '"';
                line[len - 1] = '}';
                line[len] = '\n';
                assert_int_equal(qmp_feed(q, (const uint8_t *)line, len + 1, note, &s, NULL), extra ? -1 : 0);
                qmp_free(q);
        }
}

static void commands_without_an_answer_are_limited(void **state)
{
        struct buf out = BUF_INIT;
        struct seen s;
        struct qmp *q = greeted(&s);
        uint64_t id;

        (void)state;
        for (unsigned i = 0; i < QMP_MAX_PENDING; i++)
                assert_int_equal(qmp_command(q, "x", NULL, &out, &id, NULL), 0);
        assert_true(qmp_command(q, "x", NULL, &out, &id, NULL) < 0);
        buf_done(&out);
        qmp_free(q);
}

/* ---- arguments ---- */

static struct vm_config good_config(void)
{
        struct vm_config c = VM_CONFIG_INIT;

        c.accel = VM_ACCEL_TCG;
        c.cmdline = "quiet";
        return c;
}

static const struct qemu_fds some_fds = {.control = 10,
                                         .channel = 11,
                                         .kernel = 12,
                                         .initramfs = 13,
                                         .vhost = -1,
                                         .memory = -1,
                                         .state = -1,
                                         .disk = {14, 15, -1, -1}};

static char *joined(const struct strv *a)
{
        struct buf b = BUF_INIT;

        for (size_t i = 0; i < a->n; i++)
                assert_int_equal(buf_printf(&b, NULL, "%s ", a->v[i]), 0);
        return buf_take_str(&b);
}

static char *arguments(const struct vm_config *c, const struct qemu_fds *fds)
{
        struct strv a = STRV_INIT;
        struct err err = ERR_INIT;
        char *text;

        if (qemu_args("/usr/bin/qemu", c, fds, &a, &err) < 0)
                fail_msg("%s", err.msg);
        text = joined(&a);
        strv_done(&a);
        return text;
}

static void an_emulated_guest_learns_the_hosts_frequency(void **state)
{
        struct vm_config c = good_config();
        struct qemu_fds fds = some_fds;

        (void)state;
        fds.tsc_khz = 2300000;
        c.accel = VM_ACCEL_TCG;
        char *text = arguments(&c, &fds);
        assert_non_null(strstr(text, " tsc=reliable tsc_early_khz=2300000 no_timer_check "));
        free(text);
        c.accel = VM_ACCEL_KVM;
        text = arguments(&c, &fds);
        assert_null(strstr(text, "tsc"));
        free(text);
        assert_in_range(tsc_khz(), 0, 10000000);
}

static void arguments_name_every_file_by_descriptor_and_no_network(void **state)
{
        struct vm_config c = good_config();
        char *text = arguments(&c, &some_fds);

        (void)state;
        assert_non_null(strstr(text, " -kernel /proc/self/fd/12 -initrd /proc/self/fd/13 -append quiet "));
        assert_non_null(strstr(text, "socket,id=control,fd=10 "));
        assert_non_null(strstr(text, "socket,id=door,fd=11 "));
        assert_non_null(strstr(text, "fd=14,set=1,opaque=root "));
        assert_non_null(strstr(text, "node-name=root,read-only=on,"));
        assert_non_null(strstr(text, "node-name=scratch,read-only=off,"));
        assert_non_null(strstr(text, "driver=null-co,node-name=volume,size=0,read-only=off "));
        assert_non_null(strstr(text, "driver=null-co,node-name=input,size=0,read-only=on "));
        assert_non_null(strstr(text, "serial=devdep-input,werror=report,rerror=report "));
        assert_non_null(
                strstr(text, "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny "));
        assert_null(strstr(text, "net"));
        assert_null(strstr(text, "-seed"));
        free(text);
}

static void accelerators_choose_processor_and_translation_cache(void **state)
{
        struct vm_config c = good_config();
        char *text = arguments(&c, &some_fds);

        (void)state;
        assert_non_null(strstr(text, "-accel tcg,thread=multi,tb-size=64 -cpu max,-erms "));
        free(text);
        c.accel = VM_ACCEL_KVM;
        text = arguments(&c, &some_fds);
        assert_non_null(strstr(text, "-accel kvm -cpu host "));
        free(text);
}

static void vsock_takes_the_place_of_the_serial_door(void **state)
{
        struct vm_config c = good_config();
        struct qemu_fds fds = some_fds;
        const struct vsock vsock = {.vhost_fd = 16, .listener_fd = -1, .cid = 1234};
        char *text;

        (void)state;
        fds.vhost = 16;
        c.vsock = &vsock;
        text = arguments(&c, &fds);
        assert_non_null(strstr(text, "vhost-vsock-device,guest-cid=1234,vhostfd=16 "));
        assert_null(strstr(text, "virtserialport"));
        free(text);
}

static char *first_commands(const struct vm_config *c, const struct qemu_fds *fds)
{
        struct buf b = BUF_INIT;

        assert_int_equal(qemu_first_commands(c, fds, &b, NULL), 0);
        return buf_take_str(&b);
}

static void a_template_boots_on_its_file_and_learns_its_state_by_name(void **state)
{
        struct vm_config c = good_config();
        struct qemu_fds fds = some_fds;

        (void)state;
        char *text = first_commands(&c, &fds);
        assert_string_equal(text, "");
        free(text);
        c.start = VM_START_TEMPLATE;
        c.memory_fd = fds.memory = 17;
        c.state_fd = 18;
        text = arguments(&c, &fds);
        assert_non_null(strstr(text, "memory-backend-file,id=mem,size=2048M,mem-path=/proc/self/fd/17,share=on "));
        assert_non_null(strstr(text, " -kernel "));
        assert_null(strstr(text, "-incoming"));
        free(text);
        text = first_commands(&c, &fds);
        assert_non_null(strstr(text, "\"capability\":\"x-ignore-shared\",\"state\":true"));
        assert_non_null(strstr(text, "\"fdname\":\"state\""));
        free(text);
}

static void a_clone_has_no_kernel_and_a_private_view_of_memory(void **state)
{
        struct vm_config c = good_config();
        struct qemu_fds fds = some_fds;

        (void)state;
        c.start = VM_START_CLONE;
        c.cmdline = NULL;
        c.memory_fd = fds.memory = 17;
        c.state_fd = fds.state = 18;
        fds.kernel = fds.initramfs = -1;
        char *text = arguments(&c, &fds);
        assert_non_null(strstr(text, "memory-backend-file,id=mem,size=2048M,mem-path=/proc/self/fd/17,share=off "));
        assert_non_null(strstr(text, " -incoming defer "));
        assert_null(strstr(text, "-kernel"));
        assert_null(strstr(text, "-append"));
        free(text);
        text = first_commands(&c, &fds);
        assert_non_null(strstr(text, "\"execute\":\"migrate-incoming\",\"id\":\"start\""));
        assert_non_null(strstr(text, "\"uri\":\"fd:18\""));
        free(text);
}

static void bad_configurations_are_refused_with_the_field(void **state)
{
        static char longest[QEMU_MAX_CMDLINE + 2];
        struct {
                const char *field;
                struct vm_config c;
        } rows[12];
        unsigned n = 0;

        (void)state;
        memset(longest, 'a', sizeof(longest) - 1);
        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
                rows[i].c = good_config();
        rows[n].field = "accelerator", rows[n++].c.accel = VM_ACCEL_AUTO;
        rows[n].field = "vcpus", rows[n++].c.shape.vcpus = 0;
        rows[n].field = "vcpus", rows[n++].c.shape.vcpus = QEMU_MAX_VCPUS + 1;
        rows[n].field = "memory", rows[n++].c.shape.memory = QEMU_MIN_MEMORY - (1 << 20);
        rows[n].field = "memory", rows[n++].c.shape.memory = (2ull << 30) + 1;
        rows[n].field = "command line", rows[n++].c.cmdline = longest;
        rows[n].field = "command line", rows[n++].c.cmdline = "quiet\nroot=";
        rows[n].field = "command line", rows[n++].c.cmdline = NULL;
        rows[n].field = "memory file", rows[n++].c.start = VM_START_CLONE;
        rows[n].field = "memory file", rows[n++].c.memory_fd = 17;
        rows[n].field = "state file", rows[n].c.memory_fd = 17, rows[n++].c.start = VM_START_TEMPLATE;
        for (unsigned i = 0; i < n; i++) {
                struct strv a = STRV_INIT;
                struct err err = ERR_INIT;
                assert_true(qemu_args("/usr/bin/qemu", &rows[i].c, &some_fds, &a, &err) < 0);
                assert_int_equal(err.code, ERR_USAGE);
                if (!strstr(err.msg, rows[i].field))
                        fail_msg("row %u: '%s' does not name %s", i, err.msg, rows[i].field);
                strv_done(&a);
        }
        longest[QEMU_MAX_CMDLINE] = '\0';
        rows[0].c = good_config();
        rows[0].c.cmdline = longest;
        char *text = arguments(&rows[0].c, &some_fds);
        assert_non_null(strstr(text, longest));
        free(text);
}

static void drivers_are_found_by_name(void **state)
{
        const struct vm_driver *d = NULL;
        struct err err = ERR_INIT;

        (void)state;
        assert_int_equal(vm_driver_find("qemu", &d, &err), 0);
        assert_ptr_equal(d, &vm_driver_qemu);
        assert_true(vm_driver_find("xen", &d, &err) < 0);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.msg, "qemu"));
}

static void answers_to_the_starters_commands_are_dropped(void **state)
{
        struct seen s;
        struct qmp *q = greeted(&s);
        struct err e = ERR_INIT;

        (void)state;
        assert_int_equal(
                feed(q, "{\"return\": {}, \"id\": \"start\"}\r\n{\"return\": {}, \"id\": \"start\"}\r\n", &s, &e), 0);
        assert_int_equal(s.n, 1);
        assert_true(feed(q, "{\"error\": {\"class\": \"x\", \"desc\": \"no such file\"}, \"id\": \"start\"}\r\n", &s,
                         &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_non_null(strstr(e.msg, "no such file"));
        qmp_free(q);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_arrive_whatever_the_pieces),
                cmocka_unit_test(answers_to_the_starters_commands_are_dropped),
                cmocka_unit_test(answers_are_matched_with_commands),
                cmocka_unit_test(each_breach_is_a_protocol_error),
                cmocka_unit_test(nothing_may_come_before_the_greeting),
                cmocka_unit_test(an_answer_counts_once),
                cmocka_unit_test(answers_out_of_order_are_a_breach),
                cmocka_unit_test(line_at_the_limit_passes_and_one_past_it_ends),
                cmocka_unit_test(commands_without_an_answer_are_limited),
                cmocka_unit_test(an_emulated_guest_learns_the_hosts_frequency),
                cmocka_unit_test(arguments_name_every_file_by_descriptor_and_no_network),
                cmocka_unit_test(accelerators_choose_processor_and_translation_cache),
                cmocka_unit_test(vsock_takes_the_place_of_the_serial_door),
                cmocka_unit_test(a_template_boots_on_its_file_and_learns_its_state_by_name),
                cmocka_unit_test(a_clone_has_no_kernel_and_a_private_view_of_memory),
                cmocka_unit_test(bad_configurations_are_refused_with_the_field),
                cmocka_unit_test(drivers_are_found_by_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
