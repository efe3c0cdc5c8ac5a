#include "image_fixture.h"

#include <jansson.h>

/* The manifest of the fixture with one change, parsed. path is "key" or "object.key"; value takes the place, NULL
 * removes. */
static int parse_with(struct fixture *f, const char *path, json_t *value, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        assert_int_equal(image_manifest_write(&f->m, &text, NULL), 0);
        json_t *doc = json_loadb((const char *)text.data, text.len, 0, NULL), *at = doc;
        assert_non_null(doc);
        const char *dot = strchr(path, '.');
        char first[64] = "";
        if (dot) {
                memcpy(first, path, (size_t)(dot - path));
                at = json_object_get(doc, first);
        }
        const char *key = dot ? dot + 1 : path;
        if (value)
                json_object_set_new(at, key, value);
        else
                json_object_del(at, key);
        char *changed = json_dumps(doc, 0);
        struct image_manifest m = IMAGE_MANIFEST_INIT;
        int r = image_manifest_parse(changed, strlen(changed), "manifest.json", &m, e);
        image_manifest_done(&m);
        free(changed);
        json_decref(doc);
        return r;
}

static void written_manifest_is_read_back(void **state)
{
        struct fixture *f = *state;
        AUTO(buf_done) struct buf text = BUF_INIT, again = BUF_INIT;
        AUTO(image_manifest_done) struct image_manifest m = IMAGE_MANIFEST_INIT;
        assert_int_equal(image_manifest_write(&f->m, &text, NULL), 0);
        assert_int_equal(image_manifest_parse(text.data, text.len, "m", &m, NULL), 0);
        assert_int_equal(image_manifest_write(&m, &again, NULL), 0);
        assert_int_equal(text.len, again.len);
        assert_memory_equal(text.data, again.data, text.len);
        assert_true(image_manifest_is_current(&m));
}

static void every_wrong_field_is_refused_by_name(void **state)
{
        const struct {
                const char *path;
                json_t *value;
                const char *part;
        } cases[] = {
                {"surprise", json_integer(1), "surprise"},
                {"root.surprise", json_integer(1), "surprise"},
                {"name", NULL, "name"},
                {"root.salt", NULL, "salt"},
                {"version", json_integer(2), "version 2"},
                {"format", json_string("other"), "found other"},
                {"name", json_string("../etc"), "name"},
                {"name", json_string(""), "name"},
                {"name", json_integer(1), "Expected string"},
                {"created", json_string("\x1b[31m"), "created"},
                {"source.kind", json_string("magic"), "source.kind"},
                {"source.suite", json_string("a/b"), "source.suite"},
                {"source.packages", json_string("bash"), "source.packages"},
                {"source.packages", json_pack("[i]", 1), "source.packages"},
                {"source.packages", json_pack("[s]", "a b"), "source.packages"},
                {"kernel.version", json_string("6.1 rm -rf"), "kernel.version"},
                {"kernel.size", json_integer(0), "kernel.size"},
                {"kernel.size", json_integer(-1), "kernel.size"},
                {"kernel.size", json_integer((json_int_t)IMAGE_MAX_KERNEL + 1), "kernel.size"},
                {"kernel.sha256", json_string("00"), "kernel.sha256"},
                {"initramfs.size", json_integer((json_int_t)IMAGE_MAX_INITRAMFS + 1), "initramfs.size"},
                {"initramfs.modules_size", json_integer(3), "modules_size"},
                {"initramfs.modules_size", json_integer(12), "modules_size"},
                {"initramfs.modules_size", json_integer(-4), "modules_size"},
                {"root.size", json_integer(4096), "root.size"},
                {"root.data_blocks", json_integer(0), "data_blocks"},
                {"root.data_blocks", json_integer(INT64_MAX), "data_blocks"},
                {"root.verity", json_string("zz"), "root.verity"},
                {"cmdline.tcg", json_string(""), "cmdline"},
                {"cmdline.tcg", json_string("quiet\ninit=/bin/sh"), "cmdline"},
                {"cmdline.tcg", json_string("quiet init=/bin/sh"), "measurement"},
                {"measurement.kvm", json_string("0000000000000000000000000000000000000000000000000000000000000000"),
                 "measurement"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct err e = ERR_INIT;
                assert_true(parse_with(*state, cases[i].path, cases[i].value, &e) < 0);
                assert_int_equal(e.code, ERR_IMAGE_REFUSED);
                assert_contains(e.msg, cases[i].part);
        }
}

static void sizes_at_the_limit_are_accepted(void **state)
{
        assert_int_equal(parse_with(*state, "kernel.size", json_integer((json_int_t)IMAGE_MAX_KERNEL), NULL), 0);
        assert_int_equal(parse_with(*state, "initramfs.size", json_integer((json_int_t)IMAGE_MAX_INITRAMFS), NULL), 0);
        json_t *list = json_array();
        for (unsigned i = 0; i < IMAGE_MAX_PACKAGES; i++)
                json_array_append_new(list, json_string("bash"));
        assert_int_equal(parse_with(*state, "source.packages", json_incref(list), NULL), 0);
        json_array_append_new(list, json_string("bash"));
        assert_true(parse_with(*state, "source.packages", list, NULL) < 0);
}

static void long_command_line_is_refused(void **state)
{
        char line[IMAGE_MAX_CMDLINE + 2] = "";
        struct err e = ERR_INIT;
        memset(line, 'a', IMAGE_MAX_CMDLINE + 1);
        assert_true(parse_with(*state, "cmdline.kvm", json_string(line), &e) < 0);
        assert_contains(e.msg, "2047");
}

static void text_that_is_not_one_json_object_is_refused(void **state)
{
        (void)state;
        static const char *const texts[] = {"", "[]", "{", "null", "{\"a\":1,\"a\":2}", "{} {}", "\"x\""};
        AUTO(auto_free) char *huge = malloc(IMAGE_MAX_MANIFEST + 1);
        struct image_manifest m = IMAGE_MANIFEST_INIT;
        struct err e = ERR_INIT;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                assert_true(image_manifest_parse(texts[i], strlen(texts[i]), "m.json", &m, &e) < 0);
                assert_int_equal(e.code, ERR_IMAGE_REFUSED);
        }
        memset(huge, ' ', IMAGE_MAX_MANIFEST + 1);
        assert_true(image_manifest_parse(huge, IMAGE_MAX_MANIFEST + 1, "m.json", &m, &e) < 0);
        assert_contains(e.msg, "at most 65536 bytes");
}

static void measurement_covers_kernel_initramfs_arguments_root_and_accelerator(void **state)
{
        struct fixture *f = *state;
        uint8_t base[IMAGE_SHA256], other[IMAGE_SHA256];
        assert_int_equal(image_measure(&f->m, VM_ACCEL_TCG, "x", base, NULL), 0);
        uint8_t *covered[] = {f->m.kernel_sha256, f->m.initramfs_sha256, f->m.verity_root};
        for (size_t i = 0; i < ARRAY_SIZE(covered); i++) {
                covered[i][0] ^= 1;
                assert_int_equal(image_measure(&f->m, VM_ACCEL_TCG, "x", other, NULL), 0);
                assert_memory_not_equal(base, other, IMAGE_SHA256);
                covered[i][0] ^= 1;
        }
        assert_int_equal(image_measure(&f->m, VM_ACCEL_KVM, "x", other, NULL), 0);
        assert_memory_not_equal(base, other, IMAGE_SHA256);
        assert_int_equal(image_measure(&f->m, VM_ACCEL_TCG, "x ", other, NULL), 0);
        assert_memory_not_equal(base, other, IMAGE_SHA256);
}

/* The bytes of docs/image-format.md, put together by hand. */
static void measurement_is_what_the_format_page_says(void **state)
{
        struct fixture *f = *state;
        uint8_t bytes[256], want[IMAGE_SHA256], found[IMAGE_SHA256];
        size_t n = 0;
        memcpy(bytes, "devdep-measurement-v1", 22);
        n = 22;
        memcpy(bytes + n, "\0\0\0\3tcg", 7);
        n += 7;
        memcpy(bytes + n, f->m.kernel_sha256, IMAGE_SHA256);
        n += IMAGE_SHA256;
        memcpy(bytes + n, f->m.initramfs_sha256, IMAGE_SHA256);
        n += IMAGE_SHA256;
        memcpy(bytes + n, "\0\0\0\5hello", 9);
        n += 9;
        memcpy(bytes + n, f->m.verity_root, IMAGE_SHA256);
        n += IMAGE_SHA256;
        assert_int_equal(hash_bytes(bytes, n, want, NULL), 0);
        assert_int_equal(image_measure(&f->m, VM_ACCEL_TCG, "hello", found, NULL), 0);
        assert_memory_equal(want, found, IMAGE_SHA256);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_IMAGE(written_manifest_is_read_back),
                WITH_IMAGE(every_wrong_field_is_refused_by_name),
                WITH_IMAGE(sizes_at_the_limit_are_accepted),
                WITH_IMAGE(long_command_line_is_refused),
                cmocka_unit_test(text_that_is_not_one_json_object_is_refused),
                WITH_IMAGE(measurement_covers_kernel_initramfs_arguments_root_and_accelerator),
                WITH_IMAGE(measurement_is_what_the_format_page_says),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
