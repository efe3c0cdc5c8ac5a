#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/tar.h"
#include "job/pack.h"

static void add(struct buf *b, enum tar_type type, const char *name, unsigned mode, const char *text)
{
        static const uint8_t zeros[TAR_BLOCK];
        struct tar_entry t = {.type = type,
                              .name = name,
                              .link = type == TAR_SYMLINK ? text : "",
                              .mode = mode,
                              .uid = 1001,
                              .gid = 1001,
                              .mtime = 77};
        t.size = type == TAR_FILE ? strlen(text) : 0;
        assert_int_equal(tar_write_entry(&t, b, NULL), 0);
        if (t.size) {
                assert_int_equal(buf_append(b, text, t.size, NULL), 0);
                assert_int_equal(buf_append(b, zeros, tar_padding(t.size), NULL), 0);
        }
}

static int collect(const void *data, size_t len, void *user, struct err *e)
{
        return buf_append(user, data, len, e);
}

static int note(const struct tar_entry *t, void *user, struct err *e)
{
        return buf_printf(user, e, "%s%s%s %o %u:%u @%lld %llu;", t->name, *t->link ? "->" : "", t->link, t->mode,
                          t->uid, t->gid, (long long)t->mtime, (unsigned long long)t->size);
}

static int ignore(const void *data, size_t len, void *user, struct err *e)
{
        (void)data;
        (void)len;
        (void)user;
        (void)e;
        return 0;
}

/* What an archive holds, as text. */
static char *entries_of(const struct buf *archive)
{
        const struct tar_limits l = {
                .types = 127, .max_name = TAR_MAX_NAME, .max_entries = 99, .max_size = 1 << 20, .max_total = 1 << 20};
        const struct tar_sink sink = {.entry = note, .data = ignore};
        struct buf text = BUF_INIT;
        struct tar_reader *r = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(tar_reader_new(&l, &sink, &text, "archive", &r, NULL), 0);
        if (tar_reader_feed(r, archive->data, archive->len, &e) < 0 || tar_reader_finish(r, &e) < 0)
                fail_msg("%s", e.msg);
        tar_reader_free(r);
        char *s = buf_take_str(&text);
        return s;
}

static const struct pack_rules any = {
        .types = TAR_FILE | TAR_FOLDER | TAR_SYMLINK, .max_entries = 10, .max_bytes = 1000};
static const struct pack_rules plain = {.types = TAR_FILE, .plain = true, .max_entries = 10, .max_bytes = 1000};

struct part {
        const char *place;
        struct buf archive;
};

/* Pack the parts, fed in pieces of `step` bytes: 0 and the entries, or negative. */
static int pack(const struct pack_rules *rules, const struct part *parts, size_t n, size_t step, char **ret,
                struct err *e)
{
        struct buf out = BUF_INIT;
        struct pack *p = NULL;
        int r = pack_new(rules, collect, &out, &p, e);
        for (size_t i = 0; r == 0 && i < n; i++) {
                r = pack_part(p, parts[i].place, e);
                assert_true(pack_part_is_empty(p));
                for (size_t at = 0; r == 0 && at < parts[i].archive.len; at += step)
                        r = pack_feed(p, parts[i].archive.data + at,
                                      parts[i].archive.len - at < step ? parts[i].archive.len - at : step, e);
                if (r == 0)
                        r = pack_part_end(p, e);
        }
        if (r == 0)
                r = pack_end(p, e);
        if (r == 0)
                *ret = entries_of(&out);
        pack_free(p);
        buf_done(&out);
        return r;
}

static void folders_and_files_take_their_places(void **state)
{
        struct part parts[2] = {{.place = "home/runner/.npm"}, {.place = "work/file"}};
        char *text = NULL;
        (void)state;
        add(&parts[0].archive, TAR_FOLDER, ".", 0755, "");
        add(&parts[0].archive, TAR_FILE, "a", 0640, "hello");
        add(&parts[0].archive, TAR_FOLDER, "sub", 0700, "");
        add(&parts[0].archive, TAR_SYMLINK, "sub/link", 0777, "../../etc");
        tar_write_end(&parts[0].archive, NULL);
        add(&parts[1].archive, TAR_FILE, "file", 0600, "x");
        tar_write_end(&parts[1].archive, NULL);
        for (size_t step = 1; step < 2000; step += 511) {
                assert_int_equal(pack(&any, parts, 2, step, &text, NULL), 0);
                assert_string_equal(text, "home/runner/.npm 755 0:0 @77 0;home/runner/.npm/a 640 0:0 @77 5;"
                                          "home/runner/.npm/sub 700 0:0 @77 0;"
                                          "home/runner/.npm/sub/link->../../etc 777 0:0 @77 0;"
                                          "work/file 600 0:0 @77 1;");
                free(text);
        }
        buf_done(&parts[0].archive);
        buf_done(&parts[1].archive);
}

static void files_of_an_artifact_lose_their_modes(void **state)
{
        struct part part = {.place = ""};
        char *text = NULL;
        (void)state;
        add(&part.archive, TAR_FILE, "bin/tool", 04755, "hello");
        tar_write_end(&part.archive, NULL);
        assert_int_equal(pack(&plain, &part, 1, 100, &text, NULL), 0);
        assert_string_equal(text, "bin/tool 644 0:0 @77 5;");
        free(text);
        buf_done(&part.archive);
}

static void set_user_id_bits_never_pass(void **state)
{
        struct part part = {.place = "a"};
        char *text = NULL;
        (void)state;
        add(&part.archive, TAR_FILE, "a", 06755, "x");
        tar_write_end(&part.archive, NULL);
        assert_int_equal(pack(&any, &part, 1, 100, &text, NULL), 0);
        assert_string_equal(text, "a 755 0:0 @77 1;");
        free(text);
        buf_done(&part.archive);
}

static void refused(const struct pack_rules *rules, const struct buf *archive, const char *message)
{
        const struct part part = {.place = "p", .archive = *archive};
        char *text = NULL;
        struct err e = ERR_INIT;
        assert_true(pack(rules, &part, 1, 512, &text, &e) < 0);
        assert_int_equal(e.code, ERR_RUN_FAILED);
        assert_contains(e.msg, message);
}

static void what_is_not_wanted_is_an_error_of_the_step(void **state)
{
        struct buf b = BUF_INIT;
        (void)state;
        add(&b, TAR_SYMLINK, "link", 0777, "x");
        tar_write_end(&b, NULL);
        refused(&plain, &b, "symbolic link");
        b.len = 0;
        add(&b, TAR_CHAR, "dev", 0600, "");
        tar_write_end(&b, NULL);
        refused(&any, &b, "device");
        b.len = 0;
        add(&b, TAR_FILE, "a", 0600, "x");
        refused(&any, &b, "early");
        b.data[100] ^= 1;
        refused(&any, &b, "checksum");
        b.len = 0;
        for (int i = 0; i < 11; i++)
                add(&b, TAR_FILE, "a", 0600, "");
        tar_write_end(&b, NULL);
        refused(&any, &b, "more than 10 entries");
        buf_done(&b);
}

static void all_parts_share_the_limits(void **state)
{
        struct part parts[2] = {{.place = "a"}, {.place = "b"}};
        char *text = NULL, long_text[601];
        struct err e = ERR_INIT;
        (void)state;
        memset(long_text, 'x', 600);
        long_text[600] = '\0';
        add(&parts[0].archive, TAR_FILE, "a", 0600, long_text);
        tar_write_end(&parts[0].archive, NULL);
        long_text[400] = '\0';
        add(&parts[1].archive, TAR_FILE, "b", 0600, long_text);
        tar_write_end(&parts[1].archive, NULL);
        assert_int_equal(pack(&any, parts, 2, 512, &text, &e), 0);
        free(text);
        long_text[400] = 'x';
        long_text[401] = '\0';
        parts[1].archive.len = 0;
        add(&parts[1].archive, TAR_FILE, "b", 0600, long_text);
        tar_write_end(&parts[1].archive, NULL);
        assert_true(pack(&any, parts, 2, 512, &text, &e) < 0);
        assert_contains(e.msg, "more than 400");
        buf_done(&parts[0].archive);
        buf_done(&parts[1].archive);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(folders_and_files_take_their_places),
                cmocka_unit_test(files_of_an_artifact_lose_their_modes),
                cmocka_unit_test(set_user_id_bits_never_pass),
                cmocka_unit_test(what_is_not_wanted_is_an_error_of_the_step),
                cmocka_unit_test(all_parts_share_the_limits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
