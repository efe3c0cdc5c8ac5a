/* Zip archives: what is written is read, and numbers of 64 bits. What lies is refused in
 * tests/e2e/test_artifact_service.py and in the corpus of the fuzz target. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "codec/zip.h"

#define GIB (UINT64_C(1) << 30)

CLEANUP_DEFINE(struct zip_reader, zip_reader_free)

static const struct zip_limits limits = {.max_name = ZIP_MAX_NAME,
                                         .max_names = 1 << 20,
                                         .max_entries = 100000,
                                         .max_size = 10 * GIB,
                                         .max_total = 20 * GIB};

/* Pieces of an archive at their places; zeros between them. */
struct piece {
        uint64_t at;
        struct buf bytes;
};
struct archive {
        struct piece v[4];
        size_t n;
};

static int read_at(void *user, uint64_t at, void *data, size_t len, struct err *e)
{
        const struct archive *a = user;
        (void)e;
        memset(data, 0, len);
        for (size_t i = 0; i < a->n; i++) {
                uint64_t from = MAX(at, a->v[i].at), to = MIN(at + len, a->v[i].at + a->v[i].bytes.len);
                if (from < to)
                        memcpy((uint8_t *)data + (from - at), a->v[i].bytes.data + (from - a->v[i].at), to - from);
        }
        return 0;
}

static uint64_t size_of(const struct archive *a)
{
        return a->v[a->n - 1].at + a->v[a->n - 1].bytes.len;
}

static void done(struct archive *a)
{
        for (size_t i = 0; i < a->n; i++)
                buf_done(&a->v[i].bytes);
}

static uint64_t read_on(struct zip_reader *z)
{
        static uint8_t chunk[1 << 20];
        uint64_t total = 0;
        for (size_t n = 1; n; total += n)
                assert_int_equal(zip_reader_data(z, chunk, sizeof(chunk), &n, NULL), 0);
        return total;
}

static void what_is_written_is_read(void **state)
{
        static const struct zip_item items[] = {{.name = "a", .size = 3, .mtime = 1764550000},
                                                {.name = "b/\xc3\xa4", .mtime = -5},
                                                {.name = "b/c", .size = 1, .mtime = INT64_MAX / 2}};
        struct archive a = {.n = 1};
        struct buf *b = &a.v[0].bytes;
        uint64_t at[3];
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                struct zip_item x = items[i];
                x.crc = zip_crc(0, "xyz", x.size);
                at[i] = b->len;
                assert_int_equal(zip_write_local(&x, b, NULL), 0);
                assert_int_equal(buf_append(b, "xyz", x.size, NULL), 0);
        }
        uint64_t directory = b->len;
        for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                struct zip_item x = items[i];
                x.crc = zip_crc(0, "xyz", x.size);
                x.at = at[i];
                assert_int_equal(zip_write_central(&x, b, NULL), 0);
        }
        assert_int_equal(zip_write_end(3, directory, b->len - directory, b, NULL), 0);
        AUTO(zip_reader_freep) struct zip_reader *z = NULL;
        assert_int_equal(zip_reader_new(read_at, &a, size_of(&a), &limits, "archive", &z, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                struct zip_entry x;
                assert_int_equal(zip_reader_next(z, &x, NULL), 0);
                assert_string_equal(x.name, items[i].name);
                assert_int_equal(x.size, items[i].size);
                assert_int_equal(read_on(z), items[i].size);
        }
        struct zip_entry x;
        assert_int_equal(zip_reader_next(z, &x, NULL), ZIP_E_END);
        done(&a);
}

/* A file of 5 GiB of nothing (an archive of holes), and one behind it. */
static void numbers_of_64_bits_are_written_and_read(void **state)
{
        static uint8_t zeros[1 << 20];
        struct zip_item large = {.name = "large", .size = 5 * GIB}, small = {.name = "small", .size = 1};
        struct archive a = {.n = 3};
        (void)state;
        for (uint64_t i = 0; i < large.size; i += sizeof(zeros))
                large.crc = zip_crc(large.crc, zeros, sizeof(zeros));
        small.crc = zip_crc(0, "s", 1);
        assert_int_equal(zip_write_local(&large, &a.v[0].bytes, NULL), 0);
        small.at = a.v[1].at = a.v[0].bytes.len + large.size;
        assert_int_equal(zip_write_local(&small, &a.v[1].bytes, NULL), 0);
        assert_int_equal(buf_append(&a.v[1].bytes, "s", 1, NULL), 0);
        a.v[2].at = a.v[1].at + a.v[1].bytes.len;
        assert_int_equal(zip_write_central(&large, &a.v[2].bytes, NULL), 0);
        assert_int_equal(zip_write_central(&small, &a.v[2].bytes, NULL), 0);
        assert_int_equal(zip_write_end(2, a.v[2].at, a.v[2].bytes.len, &a.v[2].bytes, NULL), 0);
        AUTO(zip_reader_freep) struct zip_reader *z = NULL;
        struct zip_entry x;
        assert_int_equal(zip_reader_new(read_at, &a, size_of(&a), &limits, "archive", &z, NULL), 0);
        assert_int_equal(zip_reader_next(z, &x, NULL), 0);
        assert_int_equal(x.size, 5 * GIB);
        assert_int_equal(read_on(z), 5 * GIB);
        assert_int_equal(zip_reader_next(z, &x, NULL), 0);
        assert_string_equal(x.name, "small");
        assert_int_equal(read_on(z), 1);
        assert_int_equal(zip_reader_next(z, &x, NULL), ZIP_E_END);
        done(&a);
}

static void many_entries_need_the_wide_end_and_are_counted(void **state)
{
        struct archive a = {.n = 1};
        struct buf *b = &a.v[0].bytes;
        const unsigned n = 70000;
        char name[16];
        (void)state;
        for (unsigned i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "%05u", i);
                const struct zip_item x = {.name = name};
                assert_int_equal(zip_write_local(&x, b, NULL), 0);
        }
        uint64_t directory = b->len;
        for (unsigned i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "%05u", i);
                const struct zip_item x = {.name = name, .at = 35ull * i};
                assert_int_equal(zip_write_central(&x, b, NULL), 0);
        }
        assert_int_equal(zip_write_end(n, directory, b->len - directory, b, NULL), 0);
        struct zip_reader *z = NULL;
        struct zip_limits fewer = limits;
        struct err e = ERR_INIT;
        fewer.max_entries = n - 1;
        assert_true(zip_reader_new(read_at, &a, size_of(&a), &fewer, "archive", &z, &e) < 0);
        assert_string_equal(e.msg, "archive: it has more than 69999 entries");
        fewer = limits;
        fewer.max_names = 6 * n - 1;
        assert_true(zip_reader_new(read_at, &a, size_of(&a), &fewer, "archive", &z, &e) < 0);
        assert_string_equal(e.msg, "archive: its names have more than 419999 bytes");
        assert_int_equal(zip_reader_new(read_at, &a, size_of(&a), &limits, "archive", &z, NULL), 0);
        zip_reader_free(z);
        done(&a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_read),
                cmocka_unit_test(numbers_of_64_bits_are_written_and_read),
                cmocka_unit_test(many_entries_need_the_wide_end_and_are_counted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
