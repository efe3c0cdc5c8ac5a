#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "codec/tar.h"
#include "codec/tar_format.h"

#include <stdio.h>
#include <stdlib.h>

CLEANUP_DEFINE(struct tar_reader, tar_reader_free)

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct tar_limits roomy = {
        .types = 127, .max_name = TAR_MAX_NAME, .max_entries = 1000, .max_size = 1ull << 40, .max_total = 1ull << 40};

/* What the reader reports, as text: "type name[ -> link] mode uid:gid size @mtime [major,minor] = data;". */
static int note_entry(const struct tar_entry *n, void *user, struct err *e)
{
        int r = buf_printf(user, e, "%d %s", (int)n->type, n->name);
        if (r == 0 && *n->link)
                r = buf_printf(user, e, " -> %s", n->link);
        if (r == 0)
                r = buf_printf(user, e, " %o %u:%u %llu @%lld", n->mode, n->uid, n->gid, (unsigned long long)n->size,
                               (long long)n->mtime);
        if (r == 0 && (n->major || n->minor))
                r = buf_printf(user, e, " %u,%u", n->major, n->minor);
        return r == 0 ? buf_append_str(user, " = ", e) : r;
}

static int note_data(const void *data, size_t len, void *user, struct err *e)
{
        return buf_append(user, data, len, e);
}

static int note_end(void *user, struct err *e)
{
        return buf_append_str(user, ";\n", e);
}

static const struct tar_sink noting = {note_entry, note_data, note_end};

/* Feed an archive in pieces of `step` bytes. 0 and the notes, or negative. */
static int read_archive(const struct buf *archive, const struct tar_limits *limits, size_t step, struct buf *notes,
                        struct err *e)
{
        AUTO(tar_reader_freep) struct tar_reader *r = NULL;
        int result = tar_reader_new(limits, &noting, notes, "archive", &r, e);
        for (size_t i = 0; result == 0 && i < archive->len; i += step)
                result = tar_reader_feed(r, archive->data + i, archive->len - i < step ? archive->len - i : step, e);
        return result == 0 ? tar_reader_finish(r, e) : result;
}

static void add(struct buf *b, const struct tar_entry *entry, const char *data)
{
        static const char zeros[TAR_BLOCK];
        struct err e = ERR_INIT;
        if (tar_write_entry(entry, b, &e) < 0)
                fail_msg("%s", e.msg);
        assert_int_equal(buf_append(b, data, (size_t)entry->size, NULL), 0);
        assert_int_equal(buf_append(b, zeros, tar_padding(entry->size), NULL), 0);
}

static void add_file(struct buf *b, const char *name, const char *data)
{
        add(b, &(struct tar_entry){.type = TAR_FILE, .name = name, .link = "", .mode = 0644, .size = strlen(data)},
            data);
}

static void what_is_written_is_read(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf archive = BUF_INIT;
        AUTO(buf_done) struct buf want = BUF_INIT;
        char longer[600];
        memset(longer, 'n', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = 0;
        for (size_t i = 50; i < sizeof(longer) - 1; i += 50)
                longer[i] = '/';
        const struct tar_entry entries[] = {
                {.type = TAR_FOLDER, .name = ".", .link = "", .mode = 0755},
                {.type = TAR_FOLDER,
                 .name = "a",
                 .link = "",
                 .mode = 01777,
                 .uid = 1001,
                 .gid = 5,
                 .mtime = 1700000000},
                {.type = TAR_FILE,
                 .name = "a/f",
                 .link = "",
                 .mode = 04755,
                 .size = 5,
                 .uid = UINT32_MAX,
                 .gid = 02000000 * 8},
                {.type = TAR_FILE, .name = longer, .link = "", .mode = 0600, .size = 1, .mtime = -5},
                {.type = TAR_SYMLINK, .name = "s", .link = "../../outside"},
                {.type = TAR_SYMLINK, .name = "sl", .link = longer},
                {.type = TAR_HARDLINK, .name = "h", .link = "a/f", .mtime = 1ll << 40},
                {.type = TAR_CHAR, .name = "null", .link = "", .major = 1, .minor = 3},
                {.type = TAR_FIFO, .name = "p", .link = ""},
        };
        for (size_t i = 0; i < COUNT(entries); i++) {
                add(&archive, &entries[i], "hello");
                assert_int_equal(note_entry(&entries[i], &want, NULL), 0);
                assert_int_equal(buf_append(&want, "hello", (size_t)entries[i].size, NULL), 0);
                assert_int_equal(note_end(&want, NULL), 0);
        }
        assert_int_equal(tar_write_end(&archive, NULL), 0);
        static const size_t steps[] = {1, 7, 511, 512, 513, 1 << 20};
        for (size_t i = 0; i < COUNT(steps); i++) {
                AUTO(buf_done) struct buf got = BUF_INIT;
                struct err e = ERR_INIT;
                if (read_archive(&archive, &roomy, steps[i], &got, &e) < 0)
                        fail_msg("%s", e.msg);
                assert_string_equal(buf_cstr(&got), buf_cstr(&want));
        }
}

static void large_sizes_survive(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf archive = BUF_INIT;
        AUTO(buf_done) struct buf got = BUF_INIT;
        AUTO(tar_reader_freep) struct tar_reader *r = NULL;
        const struct tar_entry entry = {.type = TAR_FILE, .name = "big", .link = "", .size = (8ull << 30) + 1};
        assert_int_equal(tar_write_entry(&entry, &archive, NULL), 0);
        assert_int_equal(tar_reader_new(&roomy, &noting, &got, "x", &r, NULL), 0);
        assert_int_equal(tar_reader_feed(r, archive.data, archive.len, NULL), 0);
        assert_string_equal(buf_cstr(&got), "1 big 0 0:0 8589934593 @0 = ");
        struct err e = ERR_INIT;
        assert_int_equal(tar_reader_finish(r, &e), -1);
        assert_contains(e.msg, "ends early");
}

/* GNU tar reads ours, and we read GNU tar's in both of its formats. */
static void gnu_tar_agrees(void **state)
{
        (void)state;
        if (system("tar --version >/dev/null 2>&1") != 0)
                skip();
        static const char *const formats[] = {"ustar", "gnu", "pax"};
        for (size_t i = 0; i < COUNT(formats); i++) {
                char command[1000];
                AUTO(buf_done) struct buf archive = BUF_INIT;
                AUTO(buf_done) struct buf got = BUF_INIT;
                struct err e = ERR_INIT;
                snprintf(command, sizeof(command),
                         "d=$(mktemp -d) && cd $d && n=$(printf 'n%%.0s' $(seq 90)) && mkdir -p $n/$n && printf hello "
                         ">$n/$n/f && "
                         "ln -s target link && ln $n/$n/f hard && %s tar --format=%s --sort=name --mtime=@5 --owner=0 "
                         "--group=0 --mode=0700 -cf - . ; rm -rf $d",
                         i ? "mkdir -p $n/$n/$n/$n && ln -s $n/$n/$n/$n long &&" : "", formats[i]);
                FILE *f = popen(command, "r");
                assert_non_null(f);
                assert_int_equal(fd_read_all(fileno(f), 1 << 20, "tar", &archive, NULL), 0);
                assert_int_equal(pclose(f), 0);
                if (read_archive(&archive, &roomy, 100, &got, &e) < 0)
                        fail_msg("%s: %s", formats[i], e.msg);
                assert_contains(buf_cstr(&got), "700 0:0 5 @5 = hello;\n");
                assert_contains(buf_cstr(&got), "n/f ");
                assert_contains(buf_cstr(&got), "4 link -> target ");
        }
}

/* A header block by hand. */
static struct tar_header raw(const char *name, char type)
{
        struct tar_header h = {0};
        memcpy(h.name, name, strnlen(name, sizeof(h.name)));
        memcpy(h.mode, "0000644", 8);
        memcpy(h.size, "00000000000", 12);
        memcpy(h.mtime, "00000000000", 12);
        memcpy(h.magic,
               "ustar\0"
               "00",
               8);
        h.type = type;
        return h;
}

static void add_raw(struct buf *b, struct tar_header h)
{
        char sum[16];
        snprintf(sum, sizeof(sum), "%06o", tar_checksum(&h));
        memcpy(h.checksum, sum, 6);
        h.checksum[6] = 0;
        h.checksum[7] = ' ';
        assert_int_equal(buf_append(b, &h, sizeof(h), NULL), 0);
}

static void add_extension(struct buf *b, char type, const void *body, size_t len)
{
        static const char zeros[TAR_BLOCK];
        struct tar_header h = raw("ext", type);
        snprintf(h.size, sizeof(h.size), "%011o", (unsigned)len);
        add_raw(b, h);
        assert_int_equal(buf_append(b, body, len, NULL), 0);
        assert_int_equal(buf_append(b, zeros, tar_padding(len), NULL), 0);
}

/* Read what was built, end included; the error's text. */
static const char *refusal(struct buf *archive, const struct tar_limits *limits)
{
        static struct err e;
        AUTO(buf_done) struct buf got = BUF_INIT;
        e = (struct err)ERR_INIT;
        assert_int_equal(tar_write_end(archive, NULL), 0);
        if (read_archive(archive, limits, 1 << 20, &got, &e) == 0)
                fail_msg("it was accepted: %s", buf_cstr(&got));
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, "archive: before byte ");
        archive->len = 0;
        return e.msg;
}

static const char *accepted(struct buf *archive)
{
        static struct buf got;
        struct err e = ERR_INIT;
        buf_done(&got);
        assert_int_equal(tar_write_end(archive, NULL), 0);
        if (read_archive(archive, &roomy, 1 << 20, &got, &e) < 0)
                fail_msg("%s", e.msg);
        archive->len = 0;
        const char *text = buf_cstr(&got);
        static char copy[2000];
        snprintf(copy, sizeof(copy), "%s", text);
        buf_done(&got);
        return copy;
}

static void names_that_could_escape_are_refused(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        static const char *const names[] = {"/etc/passwd", "../x", "a/../x", "a/..", "..", "", "f/", ".", "./"};
        for (size_t i = 0; i < COUNT(names); i++) {
                add_raw(&b, raw(names[i], '0'));
                assert_contains(refusal(&b, &roomy), "the name '");
                struct tar_header h = raw("h", '1');
                memcpy(h.link, names[i], strlen(names[i]));
                add_raw(&b, h);
                if (i < 6)
                        assert_contains(refusal(&b, &roomy), "the name '");
                b.len = 0;
        }
        struct tar_header h = raw("x", '0');
        memcpy(h.prefix, "..", 2);
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "contains '..'");
        add_extension(&b, 'x', "12 path=/etc\n", 13);
        add_raw(&b, raw("x", '0'));
        assert_contains(refusal(&b, &roomy), "pax record");
        add_extension(&b, 'x', "13 path=/etc\n", 13);
        add_raw(&b, raw("x", '0'));
        assert_contains(refusal(&b, &roomy), "is absolute");
        add_extension(&b, 'L', "../x", 5);
        add_raw(&b, raw("x", '0'));
        assert_contains(refusal(&b, &roomy), "contains '..'");
        add_extension(&b, 'x', "13 path=a\0b\n", 12);
        add_raw(&b, raw("x", '0'));
        refusal(&b, &roomy);
        add_extension(&b, 'x', "12 path=a\0b\n", 12);
        add_raw(&b, raw("x", '0'));
        assert_contains(refusal(&b, &roomy), "NUL");
}

static void names_have_one_form(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        add_raw(&b, raw("./a//b/./c/", '5'));
        assert_contains(accepted(&b), "2 a/b/c 644");
        struct tar_header h = raw("name", '0');
        memcpy(h.prefix, "pre/fix", 7);
        add_raw(&b, h);
        assert_contains(accepted(&b), "1 pre/fix/name 644");
        /* GNU's header has times where POSIX has the prefix. */
        memcpy(h.magic, "ustar  ", 8);
        add_raw(&b, h);
        assert_contains(accepted(&b), "1 name 644");
        char full[101];
        memset(full, 'x', 100);
        full[100] = 0;
        add_raw(&b, raw(full, '0'));
        assert_contains(accepted(&b), full);
}

static void types_that_are_not_allowed_are_refused(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct tar_limits ordinary = roomy;
        ordinary.types = TAR_ORDINARY;
        for (const char *t = "346"; *t; t++) {
                add_raw(&b, raw("x", *t));
                assert_contains(refusal(&b, &ordinary), "not accepted here");
        }
        for (const char *t = "SDMVNA8\xff"; *t; t++) {
                add_raw(&b, raw("x", *t));
                refusal(&b, &roomy);
        }
        add_extension(&b, 'x', "21 GNU.sparse.major=1\n", 22);
        refusal(&b, &roomy);
        add_extension(&b, 'x', "22 GNU.sparse.major=1\n", 22);
        assert_contains(refusal(&b, &roomy), "sparse");
        add_raw(&b, raw("s", '2'));
        assert_contains(refusal(&b, &roomy), "no link's target");
        struct tar_header h = raw("d", '5');
        memcpy(h.size, "00000000001", 12);
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "has data");
}

static void pax_size_is_the_size(void **state)
{
        (void)state;
        char text_block[TAR_BLOCK];
        memset(text_block, 't', sizeof(text_block));
        AUTO(buf_done) struct buf b = BUF_INIT;
        /* The header says 0, pax says 512: what follows is data, not a header. */
        add_extension(&b, 'x', "12 size=512\n", 12);
        add_raw(&b, raw("outer", '0'));
        add_raw(&b, raw("inner", '0'));
        const char *text = accepted(&b);
        assert_contains(text, "1 outer 644 0:0 512 @0 = inner");
        /* It applies to one entry only. */
        add_extension(&b, 'x', "12 size=512\n", 12);
        add_raw(&b, raw("a", '0'));
        assert_int_equal(buf_append(&b, text_block, TAR_BLOCK, NULL), 0);
        add_raw(&b, raw("b", '0'));
        assert_contains(accepted(&b), "1 b 644 0:0 0 @0");
        static const char *const bad[] = {"11 size=-1\n",
                                          "12 size=0x1\n",
                                          "9 size=\n",
                                          "28 size=18446744073709551616\n",
                                          "24 size=9223372036854775808\n",
                                          "29 size=9223372036854775808\n"};
        for (size_t i = 0; i < COUNT(bad); i++) {
                add_extension(&b, 'x', bad[i], strlen(bad[i]));
                add_raw(&b, raw("x", '0'));
                refusal(&b, &roomy);
        }
        add_extension(&b, 'g', "10 size=1\n", 10);
        assert_contains(refusal(&b, &roomy), "global");
        add_extension(&b, 'g', "10 path=x\n", 10);
        assert_contains(refusal(&b, &roomy), "global");
        add_extension(&b, 'g', "13 comment=x\n", 13);
        add_raw(&b, raw("x", '0'));
        assert_contains(accepted(&b), "1 x ");
}

static void malformed_extensions_are_refused(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        static const char *const bad[] = {"x",
                                          "99 a=b\n",
                                          "6 a=b",
                                          "6 =bc\n",
                                          "6 abc\n",
                                          "006 a=b\n\n",
                                          "0 a=b\n",
                                          "7 a=b\n",
                                          " 6 a=b\n",
                                          "6a=b\n\n",
                                          "9999999 a=b\n",
                                          "8 path=\n",
                                          "10 path=x\n10 path=y\n",
                                          "10 size=1\n10 size=2\n",
                                          "12 mtime=1x\n",
                                          "13 mtime=1.x\n"};
        for (size_t i = 0; i < COUNT(bad); i++) {
                add_extension(&b, 'x', bad[i], strlen(bad[i]));
                add_raw(&b, raw("x", '0'));
                refusal(&b, &roomy);
        }
        add_extension(&b, 'L', "a", 1);
        add_extension(&b, 'x', "10 path=b\n", 10);
        add_raw(&b, raw("x", '0'));
        assert_contains(refusal(&b, &roomy), "two long names");
        add_extension(&b, 'L', "", 0);
        add_raw(&b, raw("x", '0'));
        refusal(&b, &roomy);
        add_extension(&b, 'x', "10 path=b\n", 10);
        assert_contains(refusal(&b, &roomy), "where an entry must follow");
        add_extension(&b, 'x', "16 mtime=-7.125\n", 16);
        add_raw(&b, raw("x", '0'));
        assert_contains(accepted(&b), "@-7 ");
}

static void headers_are_checked(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        add_raw(&b, raw("x", '0'));
        b.data[0] ^= 1;
        assert_contains(refusal(&b, &roomy), "checksum");
        struct tar_header h = raw("x", '0');
        memset(h.magic, 0, 6);
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "neither");
        h = raw("x", '0');
        memcpy(h.size, "00000000009", 12);
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "size is not a number");
        h = raw("x", '0');
        memset(h.size, 0xff, 12);
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "size is not a number");
        h = raw("x", '0');
        memset(h.size, 0x7f, 12);
        h.size[0] = (char)0x80;
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "size is not a number");
        h = raw("x", '0');
        memset(h.uid, 0, 8);
        h.uid[0] = (char)0x80;
        h.uid[3] = 1;
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "uid is 4294967296, more than");
        h = raw("x", '0');
        memset(h.mtime, 0xff, 12);
        add_raw(&b, h);
        assert_contains(accepted(&b), "@-1 ");
}

static void end_is_two_zero_blocks_and_zeros(void **state)
{
        (void)state;
        static const uint8_t zeros[20 * TAR_BLOCK];
        AUTO(buf_done) struct buf b = BUF_INIT;
        AUTO(buf_done) struct buf got = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(read_archive(&b, &roomy, 512, &got, &e), -1);
        assert_int_equal(buf_append(&b, zeros, TAR_BLOCK, NULL), 0);
        assert_int_equal(read_archive(&b, &roomy, 512, &got, &e), -1);
        assert_int_equal(buf_append(&b, zeros, 19 * TAR_BLOCK, NULL), 0);
        assert_int_equal(read_archive(&b, &roomy, 512, &got, &e), 0);
        assert_int_equal(buf_append_byte(&b, 0, NULL), 0);
        assert_int_equal(read_archive(&b, &roomy, 512, &got, &e), -1);
        b.len = 2 * TAR_BLOCK;
        add_file(&b, "hidden", "");
        assert_int_equal(read_archive(&b, &roomy, 512, &got, &e), -1);
        assert_contains(e.msg, "follow the end");
        b.len = TAR_BLOCK;
        add_file(&b, "hidden", "");
        assert_int_equal(read_archive(&b, &roomy, 512, &got, &e), -1);
        assert_contains(e.msg, "stands alone");
}

static void limits_hold_exactly(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        AUTO(buf_done) struct buf got = BUF_INIT;
        struct err e = ERR_INIT;
        const struct tar_limits exact = {
                .types = TAR_FILE, .max_name = 4, .max_entries = 2, .max_size = 3, .max_total = 5};
        add_file(&b, "name", "123");
        add_file(&b, "n", "12");
        assert_int_equal(tar_write_end(&b, NULL), 0);
        assert_int_equal(read_archive(&b, &exact, 512, &got, &e), 0);
        struct tar_limits less = exact;
        less.max_name = 3;
        assert_int_equal(read_archive(&b, &less, 512, &got, &e), -1);
        assert_contains(e.msg, "'name' is too long");
        less = exact;
        less.max_entries = 1;
        assert_int_equal(read_archive(&b, &less, 512, &got, &e), -1);
        assert_contains(e.msg, "more than 1 entries");
        less = exact;
        less.max_size = 2;
        assert_int_equal(read_archive(&b, &less, 512, &got, &e), -1);
        assert_contains(e.msg, "a file has 3 bytes, more than 2");
        less = exact;
        less.max_total = 4;
        assert_int_equal(read_archive(&b, &less, 512, &got, &e), -1);
        assert_contains(e.msg, "all files together");
        b.len = 0;
        struct tar_header h = raw("ext", 'x');
        snprintf(h.size, sizeof(h.size), "%011o", TAR_MAX_PAX + 1);
        add_raw(&b, h);
        assert_contains(refusal(&b, &roomy), "size is 65537, more than 65536");
}

static void writer_refuses_what_the_reader_would(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        const struct tar_entry bad[] = {
                {.type = TAR_FILE, .name = "/x", .link = ""},
                {.type = TAR_FILE, .name = "a/../b", .link = ""},
                {.type = TAR_FILE, .name = "", .link = ""},
                {.type = TAR_FOLDER, .name = "d", .link = "", .size = 1},
                {.type = (enum tar_type)0, .name = "x", .link = ""},
                {.type = TAR_CHAR, .name = "x", .link = "", .major = UINT32_MAX},
        };
        for (size_t i = 0; i < COUNT(bad); i++) {
                assert_int_equal(tar_write_entry(&bad[i], &b, &e), -1);
                assert_int_equal(b.len, 0);
        }
}

static int stop_here(const struct tar_entry *n, void *user, struct err *e)
{
        (void)n, (void)user;
        return err_set(e, ERR_CANCELLED, "stop");
}

static void sink_ends_the_reading(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        AUTO(tar_reader_freep) struct tar_reader *r = NULL;
        struct err e = ERR_INIT;
        const struct tar_sink sink = {stop_here, note_data, NULL};
        add_file(&b, "x", "");
        assert_int_equal(tar_reader_new(&roomy, &sink, NULL, "x", &r, NULL), 0);
        assert_int_equal(tar_reader_feed(r, b.data, b.len, &e), -1);
        assert_int_equal(e.code, ERR_CANCELLED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(large_sizes_survive),
                cmocka_unit_test(gnu_tar_agrees),          cmocka_unit_test(names_that_could_escape_are_refused),
                cmocka_unit_test(names_have_one_form),     cmocka_unit_test(types_that_are_not_allowed_are_refused),
                cmocka_unit_test(pax_size_is_the_size),    cmocka_unit_test(malformed_extensions_are_refused),
                cmocka_unit_test(headers_are_checked),     cmocka_unit_test(end_is_two_zero_blocks_and_zeros),
                cmocka_unit_test(limits_hold_exactly),     cmocka_unit_test(writer_refuses_what_the_reader_would),
                cmocka_unit_test(sink_ends_the_reading),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
