/* Which swap areas could be read from a disk: the text of /proc/swaps, and devices in a sysfs of our own. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "test.h"
#include "vm/swap.h"

#define HEADING "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

struct asked {
        char names[4][64];
        unsigned n;
};

/* Whatever has "safe" in its name. */
static bool by_name(const char *name, void *user)
{
        struct asked *a = user;

        str_copy(a->names[a->n++ % ARRAY_SIZE(a->names)], sizeof(a->names[0]), name);
        return strstr(name, "safe") != NULL;
}

static void areas_are_counted_and_the_first_that_is_plain_is_named(void **state)
{
        struct asked asked = {.n = 0};
        struct swap_facts f;
        (void)state;

        assert_int_equal(swap_parse(HEADING, by_name, &asked, &f, NULL), 0);
        assert_true(f.all == 0 && f.plain == 0 && asked.n == 0);
        assert_int_equal(swap_parse(HEADING "/dev/safe                  partition\t8388604\t\t0\t\t-2\n"
                                            "/swap\\040file\\134 file 1 0 -3\n/other file 1 0 -4\n",
                                    by_name, &asked, &f, NULL),
                         0);
        assert_int_equal(f.all, 3);
        assert_int_equal(f.plain, 2);
        assert_string_equal(f.first, "/swap\\040file\\134");
        assert_string_equal(asked.names[1], "/swap file\\");
}

static void another_text_is_refused(void **state)
{
        static const char *const bad[] = {"",
                                          "\n",
                                          "/dev/safe partition 1 0 -2\n",
                                          HEADING "/dev/safe\n",
                                          HEADING " /dev/safe partition\n",
                                          HEADING "/dev/safe partition\n\n/x\n"};
        struct asked asked = {.n = 0};
        struct swap_facts f;
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct err e = ERR_INIT;
                if (swap_parse(bad[i], by_name, &asked, &f, &e) == 0)
                        fail_msg("text %zu was taken", i);
                assert_int_equal(e.code, ERR_PROTOCOL);
        }
}

/* ---- devices ---- */

static void put(const char *sys, const char *device, const char *attribute, const char *text)
{
        AUTO(auto_free) char *path = str_printf("%s/dev/block/%s/%s", sys, device, attribute);
        AUTO(auto_free) char *folder = str_printf("%s", path);

        *strrchr(folder, '/') = '\0';
        assert_int_equal(fs_mkdirs(folder, 0700, NULL), 0);
        assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static void devices_are_safe_by_what_they_are_or_lie_on(void **state)
{
        char sys[] = "/tmp/devdep-swap-XXXXXX";
        (void)state;

        assert_non_null(mkdtemp(sys));
        put(sys, "8:2", "size", "1\n");                          /* a partition */
        put(sys, "254:0", "dm/uuid", "CRYPT-LUKS2-0123-root\n"); /* LUKS */
        put(sys, "254:1", "dm/uuid", "CRYPT-PLAIN-cryptswap\n"); /* crypttab's swap */
        put(sys, "254:2", "dm/uuid", "LVM-abc\n");               /* a volume on LUKS */
        put(sys, "254:2", "slaves/dm-0/dev", "254:0\n");
        put(sys, "254:3", "dm/uuid", "LVM-def\n"); /* and one on a partition */
        put(sys, "254:3", "slaves/sda2/dev", "8:2\n");
        put(sys, "254:4", "dm/uuid", "LVM-ghi\n"); /* striped over both */
        put(sys, "254:4", "slaves/dm-0/dev", "254:0\n");
        put(sys, "254:4", "slaves/sda2/dev", "8:2\n");
        put(sys, "254:7", "slaves/dm-0/dev", "8:2\n"); /* the same, in the other order */
        put(sys, "254:7", "slaves/sda2/dev", "254:0\n");
        put(sys, "254:5", "dm/uuid", "CRYPT-INTEGRITY-x\n"); /* no encryption */
        put(sys, "254:6", "dm/uuid", "LVM-loop\n");          /* on itself */
        put(sys, "254:6", "slaves/dm-6/dev", "254:6\n");
        put(sys, "zram0", "backing_dev", "none\n");      /* in memory */
        put(sys, "zram1", "backing_dev", "/dev/sda3\n"); /* with a disk behind it */
        assert_true(swap_device_is_safe(sys, "254:0"));
        assert_true(swap_device_is_safe(sys, "254:1"));
        assert_true(swap_device_is_safe(sys, "254:2"));
        assert_true(swap_device_is_safe(sys, "zram0"));
        assert_false(swap_device_is_safe(sys, "8:2"));
        assert_false(swap_device_is_safe(sys, "254:3"));
        assert_false(swap_device_is_safe(sys, "254:4"));
        assert_false(swap_device_is_safe(sys, "254:5"));
        assert_false(swap_device_is_safe(sys, "254:7"));
        assert_false(swap_device_is_safe(sys, "254:6"));
        assert_false(swap_device_is_safe(sys, "zram1"));
        assert_false(swap_device_is_safe(sys, "9:9"));
        assert_int_equal(fs_remove_tree(sys, NULL), 0);
}

static void this_host_can_be_told(void **state)
{
        struct swap_facts f;
        struct err e = ERR_INIT;
        (void)state;

        if (swap_examine(&f, &e) < 0)
                fail_msg("%s", e.msg);
        assert_true(f.plain <= f.all);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(areas_are_counted_and_the_first_that_is_plain_is_named),
                cmocka_unit_test(another_text_is_refused),
                cmocka_unit_test(devices_are_safe_by_what_they_are_or_lie_on),
                cmocka_unit_test(this_host_can_be_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
