#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "blob/manifest.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct store_entry artifact = {.id = 1764550000000,
                                            .name = "dist",
                                            .digest = DIGEST,
                                            .bytes = 10240,
                                            .files = 2,
                                            .content = 77,
                                            .created_ms = 1764550000000,
                                            .expires_ms = 1772326000000,
                                            .run = "12",
                                            .job = "build"};
static const struct store_entry cache = {.id = 5,
                                         .name = "Linux-npm-1",
                                         .scope = "refs/heads/main",
                                         .version = DIGEST,
                                         .digest = DIGEST,
                                         .bytes = 1,
                                         .created_ms = 3,
                                         .run = "12",
                                         .job = "build"};

static void the_text_is_that_of_the_documentation(void **state)
{
        struct buf b = BUF_INIT;
        (void)state;
        assert_int_equal(manifest_write(STORE_ARTIFACTS, &artifact, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b),
                            "{\"bytes\":10240,\"content\":77,\"created_ms\":1764550000000,\"digest\":\"" DIGEST
                            "\",\"expires_ms\":1772326000000,\"files\":2,\"id\":1764550000000,\"job\":\"build\","
                            "\"name\":\"dist\",\"run\":\"12\",\"version\":1}\n");
        buf_clear(&b);
        assert_int_equal(manifest_write(STORE_CACHES, &cache, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), "{\"bytes\":1,\"cache_version\":\"" DIGEST
                                          "\",\"content\":0,\"created_ms\":3,\"digest\":\"" DIGEST
                                          "\",\"files\":0,\"id\":5,\"job\":\"build\",\"key\":\"Linux-npm-1\","
                                          "\"run\":\"12\",\"scope\":\"refs/heads/main\",\"version\":1}\n");
        buf_done(&b);
}

static void what_was_written_is_read_back(void **state)
{
        struct buf b = BUF_INIT;
        struct store_entry x;
        (void)state;
        assert_int_equal(manifest_write(STORE_CACHES, &cache, &b, NULL), 0);
        assert_int_equal(manifest_parse(STORE_CACHES, b.data, b.len, &x, NULL), 0);
        assert_memory_equal(&x, &cache, sizeof(x));
        buf_clear(&b);
        struct store_entry raw = artifact;
        memcpy(raw.type, "text/html", sizeof("text/html"));
        assert_int_equal(manifest_write(STORE_ARTIFACTS, &raw, &b, NULL), 0);
        assert_int_equal(manifest_parse(STORE_ARTIFACTS, b.data, b.len, &x, NULL), 0);
        assert_memory_equal(&x, &raw, sizeof(x));
        buf_done(&b);
}

/* A good manifest with one part of its text replaced. */
static void refused(enum store_kind kind, const char *from, const char *to, const char *message)
{
        struct buf b = BUF_INIT, changed = BUF_INIT;
        struct store_entry x;
        struct err e = ERR_INIT;
        assert_int_equal(manifest_write(kind, kind == STORE_ARTIFACTS ? &artifact : &cache, &b, NULL), 0);
        const char *text = buf_cstr(&b), *at = strstr(text, from);
        assert_non_null(at);
        assert_int_equal(buf_printf(&changed, NULL, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)), 0);
        assert_true(manifest_parse(kind, changed.data, changed.len, &x, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, message);
        buf_done(&b);
        buf_done(&changed);
}

static void every_field_is_checked(void **state)
{
        (void)state;
        refused(STORE_ARTIFACTS, "\"dist\"", "\"../x\"", "name");
        refused(STORE_ARTIFACTS, "\"dist\"", "\"..\"", "name");
        refused(STORE_ARTIFACTS, "\"dist\"", "7", "name");
        refused(STORE_ARTIFACTS, "\"bytes\":10240", "\"bytes\":0", "bytes");
        refused(STORE_ARTIFACTS, "\"bytes\":10240", "\"bytes\":-1", "bytes");
        refused(STORE_ARTIFACTS, "\"id\":1764550000000", "\"id\":0", "id");
        refused(STORE_ARTIFACTS, "\"id\":1764550000000", "\"id\":9007199254740992", "id");
        refused(STORE_ARTIFACTS, "\"run\":\"12\"", "\"run\":\"../12\"", "run");
        refused(STORE_ARTIFACTS, DIGEST, "../../../../etc/passwd", "digest");
        refused(STORE_ARTIFACTS, "\"version\":1", "\"version\":2", "version");
        refused(STORE_ARTIFACTS, "\"version\":1", "\"version\":1,\"more\":1", "more");
        refused(STORE_ARTIFACTS, "\"expires_ms\":1772326000000,", "", "expires_ms");
        refused(STORE_ARTIFACTS, "\"version\":1", "\"version\":1,\"type\":\"html\"", "type");
        refused(STORE_CACHES, "\"version\":1", "\"version\":1,\"type\":\"a/b\"", "type");
        refused(STORE_CACHES, "Linux-npm-1", "a,b", "key");
        refused(STORE_CACHES, "refs/heads/main", "main", "scope");
        refused(STORE_CACHES, "\"cache_version\":\"0", "\"cache_version\":\"X", "cache_version");
}

static void a_manifest_has_a_size(void **state)
{
        struct buf b = BUF_INIT;
        struct store_entry x;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(manifest_write(STORE_ARTIFACTS, &artifact, &b, NULL), 0);
        while (b.len < STORE_MAX_MANIFEST)
                assert_int_equal(buf_append_byte(&b, ' ', NULL), 0);
        assert_int_equal(manifest_parse(STORE_ARTIFACTS, b.data, b.len, &x, NULL), 0);
        assert_int_equal(buf_append_byte(&b, ' ', NULL), 0);
        assert_true(manifest_parse(STORE_ARTIFACTS, b.data, b.len, &x, &e) < 0);
        assert_contains(e.msg, "8192");
        buf_done(&b);
}

/* The longest that may be in one is not longer than a manifest may be. */
static void the_longest_entry_fits(void **state)
{
        struct store_entry x = cache, y;
        struct buf b = BUF_INIT;
        (void)state;
        memset(x.name, '\\', STORE_MAX_KEY);
        memset(x.scope, '\\', STORE_MAX_SCOPE);
        memcpy(x.scope, "refs/", 5);
        memset(x.job, '\\', STORE_MAX_JOB);
        memset(x.run, '9', STORE_MAX_RUN);
        assert_int_equal(manifest_write(STORE_CACHES, &x, &b, NULL), 0);
        assert_true(b.len <= STORE_MAX_MANIFEST);
        assert_int_equal(manifest_parse(STORE_CACHES, b.data, b.len, &y, NULL), 0);
        assert_memory_equal(&x, &y, sizeof(x));
        buf_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_text_is_that_of_the_documentation),
                cmocka_unit_test(what_was_written_is_read_back),
                cmocka_unit_test(every_field_is_checked),
                cmocka_unit_test(a_manifest_has_a_size),
                cmocka_unit_test(the_longest_entry_fits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
