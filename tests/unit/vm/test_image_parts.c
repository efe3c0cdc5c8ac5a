/* The smaller parts of the builder: definitions, apt sources, cpio archives, the look at a foreign file system. */
#include "test.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/cpio.h"
#include "vm/ext4.h"
#include "vm/image_conf.h"
#include "vm/image_file.h"
#include "vm/image_sources.h"
#include "vm/kmodule.h"

static int no_include(const char *name, void *user, struct err *e)
{
        (void)user;
        return err_set(e, ERR_USAGE, "included %s", name);
}

static int parse_conf(const char *text, struct image_conf *c, struct err *e)
{
        return image_conf_parse(text, strlen(text), "x.conf", no_include, NULL, c, e);
}

static void definition_gives_suite_and_each_package_once(void **state)
{
        (void)state;
        AUTO(image_conf_done) struct image_conf c = IMAGE_CONF_INIT;
        assert_int_equal(parse_conf("# a comment\n\nsuite = bookworm\npackage = gcc  make,git # tools\npackage=gcc\r\n",
                                    &c, NULL),
                         0);
        assert_string_equal(c.suite, "bookworm");
        assert_int_equal(c.packages.n, 3);
        assert_string_equal(c.packages.v[2], "git");
}

static void wrong_definitions_are_refused_with_file_and_line(void **state)
{
        (void)state;
        static const struct {
                const char *text, *part;
        } cases[] = {
                {"suite = bookworm\nhello", "x.conf:2: expected 'KEY = VALUE'"},
                {"packages = gcc", "x.conf:1: expected 'suite', 'include' or 'package'"},
                {"package = --allow-unauthenticated", "x.conf:1: expected the name of a package"},
                {"package = gcc;reboot", "expected the name of a package"},
                {"package = ../evil.deb", "expected the name of a package"},
                {"suite = ../x y", "expected a Debian suite"},
                {"include = ../../etc/passwd", "expected the name of a definition"},
                {"include = default", "included default"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO(image_conf_done) struct image_conf c = IMAGE_CONF_INIT;
                struct err e = ERR_INIT;
                assert_true(parse_conf(cases[i].text, &c, &e) < 0);
                assert_int_equal(e.code, ERR_USAGE);
                assert_contains(e.msg, cases[i].part);
        }
}

#define KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"

static const char deb822[] =
        "# the distribution\n"
        "Types: deb\n"
        "URIs: http://mirror.example/debian\n"
        "# snapshot\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main contrib\n"
        "Signed-By: " KEYRING "\n"
        "\n"
        "Types: deb deb-src\n"
        "URIs: http://mirror.example/debian-security\n"
        "Suites: bookworm-security\n"
        "Components: main\n"
        "\n"
        "Types: deb\nURIs: https://vendor.example/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/vendor.gpg\n"
        "\n"
        "Types: deb\nURIs: https://vendor2.example/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
        "\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n";

static char *sources_for(const char *suite, const char *list, const char *stanzas, struct err *e)
{
        AUTO(image_sources_done) struct image_sources s = IMAGE_SOURCES_INIT;
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(image_sources_add_list(&s, list, NULL), 0);
        assert_int_equal(image_sources_add_deb822(&s, stanzas, NULL), 0);
        return image_sources_write(&s, suite, &b, e) < 0 ? NULL : buf_take_str(&b);
}

static void only_debian_sources_of_the_suite_are_taken(void **state)
{
        (void)state;
        AUTO(auto_free) char *text = sources_for("bookworm", "", deb822, NULL);
        assert_non_null(text);
        assert_contains(
                text,
                "URIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main contrib\nSigned-By: " KEYRING);
        assert_contains(text, "Suites: bookworm-updates\n");
        assert_contains(text, "URIs: http://mirror.example/debian-security\nSuites: bookworm-security\n");
        assert_null(strstr(text, "vendor"));
        assert_null(strstr(text, "off.example"));
}

static void one_line_sources_are_read_too(void **state)
{
        (void)state;
        static const char list[] =
                "deb http://deb.example/debian bookworm main # here\n"
                "deb-src http://src.example/debian bookworm main\n"
                "deb [arch=amd64 signed-by=" KEYRING "] http://odd.example/x bookworm-updates main\n"
                "deb [signed-by=/usr/share/keyrings/docker.gpg] https://docker.example/linux/debian bookworm stable\n"
                "deb https://plain.example/apt bookworm main\n"
                "deb http://deb.example/debian bookworm-backports main\n"
                "deb [broken http://deb.example/debian bookworm main\n"
                "# deb http://commented.example/debian bookworm main\n";
        AUTO(auto_free) char *text = sources_for("bookworm", list, "", NULL);
        assert_non_null(text);
        assert_contains(text, "URIs: http://deb.example/debian\nSuites: bookworm\n");
        assert_contains(text, "URIs: http://odd.example/x\nSuites: bookworm-updates\n");
        static const char *const absent[] = {"src.example", "docker", "plain", "backports", "commented"};
        for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
                assert_null(strstr(text, absent[i]));
}

static void another_suite_borrows_the_mirror(void **state)
{
        (void)state;
        AUTO(auto_free) char *text = sources_for("trixie", "", deb822, NULL);
        assert_non_null(text);
        assert_contains(text, "URIs: http://mirror.example/debian\nSuites: trixie\n");
        assert_contains(text, "Suites: trixie-security\n");
        assert_null(strstr(text, "bookworm"));
}

static void host_without_debian_sources_is_told_what_to_add(void **state)
{
        (void)state;
        struct err e = ERR_INIT;
        AUTO(auto_free) char *text = sources_for("bookworm", "deb http://vendor.example/apt stable main\n", "", &e);
        assert_null(text);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, "/etc/apt/sources.list.d");
}

static void cpio_archives_are_newc_and_may_follow_each_other(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct cpio c = {.out = &b, .ino = 1};
        assert_int_equal(cpio_folder(&c, "dev", 0755, NULL), 0);
        assert_int_equal(cpio_char_device(&c, "dev/console", 0600, 5, 1, NULL), 0);
        assert_int_equal(cpio_file(&c, "init", 0755, "hello", 5, NULL), 0);
        assert_int_equal(cpio_end(&c, NULL), 0);
        assert_int_equal(b.len % 4, 0);
        assert_memory_equal(b.data,
                            "070701"
                            "00000001"
                            "000041ed",
                            22);
        struct err e = ERR_INIT;
        assert_true(cpio_file(&c, "big", 0644, "", (size_t)CPIO_MAX_FILE + 1, &e) < 0);
}

static void hash_tree_has_as_many_blocks_as_dm_verity_wants(void **state)
{
        (void)state;
        /* figures of veritysetup format for files of these sizes */
        static const struct {
                uint64_t data, tree;
        } cases[] = {{1, 0}, {2, 1}, {128, 1}, {129, 3}, {16384, 129}, {16385, 132}, {164775, 1300}};
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(image_tree_blocks(cases[i].data), cases[i].tree);
}

/* A superblock that is accepted, in a file of 16 blocks. */
static uint8_t *good_head(void)
{
        uint8_t *h = calloc(1, EXT4_HEAD_SIZE), *s = h + 1024;
        assert_non_null(h);
        s[0x4] = 16;
        s[0x18] = 2;
        s[0x38] = 0x53;
        s[0x39] = 0xef;
        s[0x3a] = 1;
        s[0x60] = 0x42;
        s[0x61] = 0x02;
        return h;
}

#define GOOD_SIZE (16 * 4096)

static void clean_ext4_is_accepted(void **state)
{
        (void)state;
        AUTO(auto_free) uint8_t *h = good_head();
        assert_int_equal(ext4_check(h, EXT4_HEAD_SIZE, GOOD_SIZE, "x", NULL), 0);
}

static void each_wrong_file_system_has_its_own_message(void **state)
{
        (void)state;
        static const struct {
                unsigned at;
                uint8_t value;
                const char *part;
        } cases[] = {
                {0x60, 0x46, "journal has to be recovered"},
                {0x3a, 3, "marked as damaged"},
                {0x3a, 0, "not unmounted cleanly"},
                {0xe8, 9, "not unmounted cleanly"},
                {0x66, 1, "not unmounted cleanly"},
                {0x60, 0x02, "ext2 or ext3"},
                {0x62, 1, "features (0x10000)"},
                {0x60, 0x4a, "features (0x8)"},
                {0x18, 0, "blocks of 4096 bytes"},
                {0x4, 15, "cut off"},
                {0x4, 0, "cut off"},
                {0x38, 0, "something else"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO(auto_free) uint8_t *h = good_head();
                struct err e = ERR_INIT;
                h[1024 + cases[i].at] = cases[i].value;
                assert_true(ext4_check(h, EXT4_HEAD_SIZE, GOOD_SIZE, "x", &e) < 0);
                assert_int_equal(e.code, ERR_IMAGE_REFUSED);
                assert_contains(e.msg, cases[i].part);
        }
}

static void sizes_past_four_billion_blocks_are_counted(void **state)
{
        (void)state;
        AUTO(auto_free) uint8_t *h = good_head();
        h[1024 + 0x60] |= 0x80;
        h[1024 + 0x150] = 1;
        assert_int_equal(ext4_check(h, EXT4_HEAD_SIZE, ((1ull << 32) + 16) * 4096, "x", NULL), 0);
        h[1024 + 0x153] = 0xff; /* more bytes than 64 bits hold */
        assert_true(ext4_check(h, EXT4_HEAD_SIZE, GOOD_SIZE, "x", NULL) < 0);
}

static void each_foreign_format_has_its_own_message(void **state)
{
        (void)state;
        static const struct {
                unsigned at;
                const char *bytes;
                unsigned len;
                const char *part;
        } cases[] = {
                {0, "\x1f\x8b\x08", 3, "gzip"},
                {0,
                 "\xfd"
                 "7zXZ\0",
                 6, "xz"},
                {0, "\x28\xb5\x2f\xfd", 4, "zstd"},
                {0, "BZh9", 4, "bzip2"},
                {0, "QFI\xfb", 4, "qcow2"},
                {257, "ustar", 5, "tar archive"},
                {32769, "CD001", 5, "ISO 9660"},
                {0, "hsqs", 4, "squashfs"},
                {512, "EFI PART", 8, "partition table"},
                {0, "PK\x03\x04", 4, "zip"},
                {0, "XFSB", 4, "XFS"},
                {0x10040, "_BHRfS_M", 8, "btrfs"},
                {0, "070701", 6, "cpio"},
                {0, "hello", 5, "something else"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO(auto_free) uint8_t *h = calloc(1, EXT4_HEAD_SIZE);
                struct err e = ERR_INIT;
                memcpy(h + cases[i].at, cases[i].bytes, cases[i].len);
                assert_true(ext4_check(h, EXT4_HEAD_SIZE, GOOD_SIZE, "x", &e) < 0);
                assert_int_equal(e.code, ERR_IMAGE_REFUSED);
                assert_contains(e.msg, cases[i].part);
        }
        struct err e = ERR_INIT;
        AUTO(auto_free) uint8_t *both = good_head();
        memcpy(both, "QFI\xfb", 4);
        assert_true(ext4_check(both, EXT4_HEAD_SIZE, GOOD_SIZE, "x", &e) < 0);
        assert_contains(e.msg, "qcow2");
        assert_true(ext4_check(NULL, 0, 0, "x", &e) < 0);
        assert_contains(e.msg, "empty");
        assert_true(ext4_check((const uint8_t *)"\x1f\x8b", 2, 2, "x", &e) < 0);
        assert_contains(e.msg, "gzip");
}

#define SIGNED(length) "ELFsignature\1\2\3\4\5\6\7\10" length "~Module signature appended~\n"

static void signature_of_a_module_is_left_out(void **state)
{
        (void)state;
        static const struct {
                const char *data;
                size_t len, expected;
        } cases[] = {
                {SIGNED("\0\0\0\11"), sizeof(SIGNED("\0\0\0\11")) - 1, 3},
                {SIGNED("\0\0\0\14"), sizeof(SIGNED("\0\0\0\14")) - 1, 0},
                {SIGNED("\0\0\0\15"), sizeof(SIGNED("\0\0\0\15")) - 1, 52}, /* longer than what is there */
                {SIGNED("\377\377\377\377"), sizeof(SIGNED("\377\377\377\377")) - 1, 52},
                {"ELF", 3, 3},
                {"~Module signature appended~\n", 28, 28},
                {"", 0, 0},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(kmodule_unsigned_size((const uint8_t *)cases[i].data, cases[i].len),
                                 cases[i].expected);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(definition_gives_suite_and_each_package_once),
                cmocka_unit_test(wrong_definitions_are_refused_with_file_and_line),
                cmocka_unit_test(only_debian_sources_of_the_suite_are_taken),
                cmocka_unit_test(one_line_sources_are_read_too),
                cmocka_unit_test(another_suite_borrows_the_mirror),
                cmocka_unit_test(host_without_debian_sources_is_told_what_to_add),
                cmocka_unit_test(cpio_archives_are_newc_and_may_follow_each_other),
                cmocka_unit_test(hash_tree_has_as_many_blocks_as_dm_verity_wants),
                cmocka_unit_test(clean_ext4_is_accepted),
                cmocka_unit_test(each_wrong_file_system_has_its_own_message),
                cmocka_unit_test(sizes_past_four_billion_blocks_are_counted),
                cmocka_unit_test(each_foreign_format_has_its_own_message),
                cmocka_unit_test(signature_of_a_module_is_left_out),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
