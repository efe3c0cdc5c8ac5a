/* The log of records: every byte counts, and what a crash leaves is found. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "record/record.h"
#include "run_json.h"
#include "trust/key.h"

static char state_folder[64];
static struct key *key;

static int setup(void **state)
{
        (void)state;
        str_copy(state_folder, sizeof(state_folder), "/tmp/devdep-record.XXXXXX");
        return mkdtemp(state_folder) && key_generate(&key, NULL) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        key = key_free(key);
        return fs_remove_tree(state_folder, NULL);
}

static int sign(const uint8_t hash[HASH_SIZE], char ret_key[HASH_HEX_SIZE], uint8_t ret_signature[64], void *user,
                struct err *e)
{
        (void)user;
        str_copy(ret_key, HASH_HEX_SIZE, key_id(key));
        return key_sign(key, KEY_DOMAIN_RECORD, hash, HASH_SIZE, ret_signature, e);
}

static void append(int run, char ret_hash[HASH_HEX_SIZE])
{
        AUTO(json_decrefp) json_t *json = run_json(run);
        AUTO(json_decrefp) json_t *record = NULL;
        struct err e = ERR_INIT;

        assert_int_equal(record_make(json, &record, &e), 0);
        if (record_append(state_folder, record, sign, NULL, ret_hash, &e) != 0)
                fail_msg("%s", e.msg);
}

static char *log_name(void)
{
        return str_printf("%s/records/log", state_folder);
}

static void read_log(struct buf *ret)
{
        AUTO(auto_free) char *path = log_name();

        assert_int_equal(fs_read(path, 1 << 20, ret, NULL), 0);
}

static void write_log(const void *data, size_t len)
{
        AUTO(auto_free) char *path = log_name();

        assert_int_equal(fs_write_atomic(path, data, len, 0600, NULL), 0);
}

static int verify(const char *head, struct record_verdict *ret, struct err *e)
{
        return record_verify(state_folder, key, head, ret, e);
}

static void entries_follow_each_other_and_are_signed(void **state)
{
        char hash[3][HASH_HEX_SIZE], found[HASH_HEX_SIZE];
        struct record_verdict v;

        (void)state;
        assert_int_equal(verify(NULL, &v, NULL), 0);
        assert_int_equal(v.entries, 0);
        for (int i = 0; i < 3; i++)
                append(i + 1, hash[i]);
        assert_int_equal(verify(hash[1], &v, NULL), 0);
        assert_int_equal(v.entries, 3);
        assert_true(v.found);
        assert_string_equal(v.head, hash[2]);
        assert_int_equal(record_find(state_folder, 2, found, NULL), 0);
        assert_string_equal(found, hash[1]);
        assert_int_equal(record_find(state_folder, 4, found, NULL), RECORD_E_MISSING);
}

static void every_flipped_byte_is_found_and_its_line_named(void **state)
{
        AUTO(buf_done) struct buf whole = BUF_INIT;
        char hash[HASH_HEX_SIZE];
        struct record_verdict v;
        unsigned line = 1;

        (void)state;
        append(1, hash);
        append(2, hash);
        read_log(&whole);
        for (size_t i = 0; i < whole.len; i++) {
                struct err e = ERR_INIT;
                char words[32];
                uint8_t was = whole.data[i];

                whole.data[i] = was ^ 1;
                write_log(whole.data, whole.len);
                whole.data[i] = was;
                int r = verify(NULL, &v, &e);
                assert_int_equal(r, -1);
                assert_int_equal(e.code, ERR_IMAGE_REFUSED);
                snprintf(words, sizeof(words), "line %u of", line);
                assert_contains(e.msg, words);
                line += was == '\n';
        }
}

/* The same members and as many bytes: no parser sees a difference. */
static void an_entry_in_another_order_of_members_is_none(void **state)
{
        static const char index[] = "\"index\":0,";
        AUTO(buf_done) struct buf whole = BUF_INIT;
        char hash[HASH_HEX_SIZE];
        struct record_verdict v;
        struct err e = ERR_INIT;

        (void)state;
        append(1, hash);
        read_log(&whole);
        char *text = (char *)whole.data, *at = memmem(text, whole.len, index, strlen(index));
        assert_non_null(at);
        memmove(text + 1 + strlen(index), text + 1, (size_t)(at - text) - 1);
        memcpy(text + 1, index, strlen(index));
        write_log(whole.data, whole.len);
        assert_int_equal(verify(NULL, &v, &e), -1);
        assert_contains(e.msg, "not written as an entry is");
}

static void entries_that_are_moved_or_taken_out_are_found(void **state)
{
        AUTO(buf_done) struct buf whole = BUF_INIT;
        char hash[3][HASH_HEX_SIZE];
        struct record_verdict v;
        struct err e = ERR_INIT;

        (void)state;
        for (int i = 0; i < 3; i++)
                append(i + 1, hash[i]);
        read_log(&whole);
        const uint8_t *second = (const uint8_t *)memchr(whole.data, '\n', whole.len) + 1;
        const uint8_t *third = (const uint8_t *)memchr(second, '\n', whole.len) + 1;
        size_t rest = whole.len - (size_t)(third - whole.data);
        AUTO(buf_done) struct buf cut = BUF_INIT;
        assert_int_equal(buf_append(&cut, whole.data, (size_t)(second - whole.data), NULL), 0);
        assert_int_equal(buf_append(&cut, third, rest, NULL), 0);
        write_log(cut.data, cut.len);
        assert_int_equal(verify(NULL, &v, &e), -1);
        assert_contains(e.msg, "entry 2, where entry 1 belongs");
        /* Taken from the end: only who has seen the head knows. */
        write_log(whole.data, (size_t)(third - whole.data));
        assert_int_equal(verify(NULL, &v, NULL), 0);
        assert_int_equal(verify(hash[1], &v, NULL), 0);
        e = (struct err)ERR_INIT;
        assert_int_equal(verify(hash[2], &v, &e), -1);
        assert_contains(e.msg, "entries were taken away");
}

static void another_keys_signature_is_found(void **state)
{
        char hash[HASH_HEX_SIZE];
        struct record_verdict v;
        struct err e = ERR_INIT;
        struct key *other = NULL;

        (void)state;
        append(1, hash);
        assert_int_equal(key_generate(&other, NULL), 0);
        assert_int_equal(record_verify(state_folder, other, NULL, &v, &e), -1);
        assert_contains(e.msg, "signed by the key");
        key_free(other);
}

static void what_a_crash_left_is_removed_by_the_next_entry(void **state)
{
        AUTO(buf_done) struct buf whole = BUF_INIT;
        char hash[HASH_HEX_SIZE];
        struct record_verdict v;

        (void)state;
        append(1, hash);
        append(2, hash);
        read_log(&whole);
        const uint8_t *second = (const uint8_t *)memchr(whole.data, '\n', whole.len) + 1;
        size_t first = (size_t)(second - whole.data);
        for (size_t len = first; len < whole.len; len += 97) {
                write_log(whole.data, len);
                assert_int_equal(verify(NULL, &v, NULL), 0);
                assert_true(v.entries == 1 && v.unfinished == len - first);
                append(3, hash);
                assert_int_equal(verify(hash, &v, NULL), 0);
                assert_true(v.entries == 2 && v.unfinished == 0);
        }
}

static void a_log_that_others_may_write_or_that_is_a_link_takes_no_entry(void **state)
{
        AUTO(auto_free) char *path = log_name();
        AUTO(json_decrefp) json_t *json = run_json(2);
        AUTO(json_decrefp) json_t *record = NULL;
        char hash[HASH_HEX_SIZE];
        struct err e = ERR_INIT;

        (void)state;
        append(1, hash);
        assert_int_equal(record_make(json, &record, NULL), 0);
        assert_int_equal(chmod(path, 0660), 0);
        assert_int_equal(record_append(state_folder, record, sign, NULL, hash, &e), -1);
        assert_contains(e.msg, "no file of ours alone");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/dev/null", path), 0);
        e = (struct err)ERR_INIT;
        assert_int_equal(record_append(state_folder, record, sign, NULL, hash, &e), -1);
}

static void a_changed_last_entry_takes_no_further_one(void **state)
{
        AUTO(buf_done) struct buf whole = BUF_INIT;
        AUTO(json_decrefp) json_t *json = run_json(2);
        AUTO(json_decrefp) json_t *record = NULL;
        char hash[HASH_HEX_SIZE];
        struct err e = ERR_INIT;

        (void)state;
        append(1, hash);
        read_log(&whole);
        char *code = strstr(buf_cstr(&whole), "\"code\":0");
        assert_non_null(code);
        code[7] = '1';
        write_log(whole.data, whole.len);
        assert_int_equal(record_make(json, &record, NULL), 0);
        assert_int_equal(record_append(state_folder, record, sign, NULL, hash, &e), -1);
        assert_int_equal(e.code, ERR_IMAGE_REFUSED);
        assert_contains(e.msg, "the last entry of");
}

/* It was acknowledged: nothing may take it for what a crash left, and remove it. */
static void a_last_entry_whose_newline_was_changed_stays_and_takes_no_further_one(void **state)
{
        AUTO(buf_done) struct buf whole = BUF_INIT, after = BUF_INIT;
        AUTO(json_decrefp) json_t *json = run_json(3);
        AUTO(json_decrefp) json_t *record = NULL;
        char hash[HASH_HEX_SIZE];

        (void)state;
        append(1, hash);
        append(2, hash);
        read_log(&whole);
        assert_int_equal(record_make(json, &record, NULL), 0);
        size_t one = (size_t)((const uint8_t *)memchr(whole.data, '\n', whole.len) + 1 - whole.data);
        size_t lengths[] = {one, whole.len};
        for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                struct err e = ERR_INIT;
                whole.data[lengths[i] - 1] = 'x';
                write_log(whole.data, lengths[i]);
                whole.data[lengths[i] - 1] = '\n';
                assert_int_equal(record_append(state_folder, record, sign, NULL, hash, &e), -1);
                assert_int_equal(e.code, ERR_IMAGE_REFUSED);
                assert_contains(e.msg, "in another byte");
                buf_clear(&after);
                read_log(&after);
                assert_int_equal(after.len, lengths[i]);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(entries_follow_each_other_and_are_signed),
                TEST(every_flipped_byte_is_found_and_its_line_named),
                TEST(an_entry_in_another_order_of_members_is_none),
                TEST(entries_that_are_moved_or_taken_out_are_found),
                TEST(another_keys_signature_is_found),
                TEST(what_a_crash_left_is_removed_by_the_next_entry),
                TEST(a_log_that_others_may_write_or_that_is_a_link_takes_no_entry),
                TEST(a_changed_last_entry_takes_no_further_one),
                TEST(a_last_entry_whose_newline_was_changed_stays_and_takes_no_further_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
