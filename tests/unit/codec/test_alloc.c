/* Every allocation of codec fails once. */
#include "test.h"

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "codec/base64.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "codec/tar.h"
#include "codec/terminal.h"

CLEANUP_DEFINE(struct tar_reader, tar_reader_free)

static int use_json(void *user, struct err *e)
{
        (void)user;
        static const char text[] = "{\"a\":[1,2.5,\"text\",{\"b\":null,\"c\":true}],\"d\":{\"e\":\"f\"}}";
        AUTO(json_decrefp) json_t *value = NULL;
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = json_parse(text, strlen(text), 1000, "text", &value, e);
        return r == 0 ? json_write(value, JSON_WRITE_SORTED, &b, e) : r;
}

static int use_bytes(void *user, struct err *e)
{
        (void)user;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct terminal t;
        uint8_t digest[HASH_SIZE];
        int r = base64_decode(BASE64_URL, "c29tZSBieXRlcw", 14, "x", &b, e);
        if (r == 0)
                r = hash_bytes("x", 1, digest, e);
        terminal_init(&t, false);
        for (int i = 0; r == 0 && i < 40; i++)
                r = terminal_filter(&t, "text \x1b[31m \x1b[2J \xc3\xa9", 17, &b, e);
        return r == 0 ? terminal_flush(&t, &b, e) : r;
}

static int ignore_entry(const struct tar_entry *n, void *user, struct err *e)
{
        (void)n, (void)user, (void)e;
        return 0;
}

static int ignore_data(const void *data, size_t len, void *user, struct err *e)
{
        (void)data, (void)len, (void)user, (void)e;
        return 0;
}

static int use_tar(void *user, struct err *e)
{
        (void)user;
        static const char name[] = "a-name-of-more-than-a-hundred-bytes/a-name-of-more-than-a-hundred-bytes/"
                                   "a-name-of-more-than-a-hundred-bytes/a-name-of-more-than-a-hundred-bytes";
        static const struct tar_limits limits = {TAR_ORDINARY, 1000, 10, 10, 10};
        static const struct tar_sink sink = {ignore_entry, ignore_data, NULL};
        const struct tar_entry entry = {.type = TAR_SYMLINK, .name = name, .link = name};
        AUTO(buf_done) struct buf b = BUF_INIT;
        AUTO(tar_reader_freep) struct tar_reader *r = NULL;
        int result = tar_write_entry(&entry, &b, e);
        if (result == 0)
                result = tar_write_end(&b, e);
        if (result == 0)
                result = tar_reader_new(&limits, &sink, NULL, "x", &r, e);
        if (result == 0)
                result = tar_reader_feed(r, b.data, b.len, e);
        return result == 0 ? tar_reader_finish(r, e) : result;
}

static void every_allocation_may_fail(void **state)
{
        (void)state;
        assert_true(alloc_fail_each(use_json, NULL) >= 15);
        assert_true(alloc_fail_each(use_bytes, NULL) >= 3);
        assert_true(alloc_fail_each(use_tar, NULL) >= 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
