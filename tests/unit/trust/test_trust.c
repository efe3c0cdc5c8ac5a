#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "trust/signature.h"

CLEANUP_DEFINE(struct key, key_free)
CLEANUP_DEFINE(struct trust, trust_free)

static char folder[64];
static size_t system_keys; /* that this machine trusts anyway */

static size_t count_keys(void)
{
        AUTO(trust_freep) struct trust *t = NULL;
        assert_int_equal(trust_open(folder, &t, NULL), 0);
        return trust_count(t);
}

static int make_folder(void **state)
{
        (void)state;
        str_copy(folder, sizeof(folder), "/tmp/devdep-trust.XXXXXX");
        if (!mkdtemp(folder) || chdir(folder) < 0)
                return -1;
        system_keys = count_keys();
        return 0;
}

static int remove_folder(void **state)
{
        (void)state;
        return chdir("/") == 0 ? fs_remove_tree(folder, NULL) : -1;
}

static int check(const char *domain, const char *msg, const struct buf *sig, struct err *e)
{
        AUTO(trust_freep) struct trust *t = NULL;
        char id[KEY_ID_SIZE];
        assert_int_equal(trust_open(folder, &t, NULL), 0);
        return trust_check(t, domain, msg, strlen(msg), sig->data, sig->len, "x.sig", id, e);
}

static void first_use_makes_a_key_and_trusts_it(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = NULL, *again = NULL;
        AUTO(buf_done) struct buf sig = BUF_INIT;
        struct stat st;
        assert_int_equal(trust_own_key(folder, &k, NULL), 0);
        assert_int_equal(trust_own_key(folder, &again, NULL), 0);
        assert_string_equal(key_id(k), key_id(again));
        assert_int_equal(stat("signing.key", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(count_keys(), system_keys + 1);
        assert_int_equal(signature_make(k, KEY_DOMAIN_MANIFEST, "m", 1, &sig, NULL), 0);
        assert_int_equal(check(KEY_DOMAIN_MANIFEST, "m", &sig, NULL), 0);
}

static void signature_of_a_stranger_is_refused_until_the_key_is_trusted(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = NULL;
        AUTO(buf_done) struct buf sig = BUF_INIT;
        struct err e = ERR_INIT;
        char id[KEY_ID_SIZE];
        assert_int_equal(key_generate(&k, NULL), 0);
        assert_int_equal(signature_make(k, KEY_DOMAIN_ROOT, "m", 1, &sig, NULL), 0);
        assert_true(check(KEY_DOMAIN_ROOT, "m", &sig, &e) < 0);
        assert_int_equal(e.code, ERR_IMAGE_REFUSED);
        assert_contains(e.msg, "not trusted");
        assert_int_equal(key_save_public(k, "k.pem", NULL), 0);
        assert_int_equal(trust_add(folder, "k.pem", id, NULL), 0);
        assert_string_equal(id, key_id(k));
        assert_int_equal(check(KEY_DOMAIN_ROOT, "m", &sig, NULL), 0);
        assert_true(check(KEY_DOMAIN_ROOT, "n", &sig, &e) < 0);
        assert_contains(e.msg, "does not fit");
        assert_true(check(KEY_DOMAIN_MANIFEST, "m", &sig, &e) < 0);
        assert_contains(e.msg, "expected one for 'image-manifest'");
}

static void keys_that_others_could_have_written_do_not_count(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = NULL;
        char path[128];
        assert_int_equal(trust_own_key(folder, &k, NULL), 0);
        snprintf(path, sizeof(path), "trusted/%s.pub", key_id(k));
        assert_int_equal(chmod(path, 0664), 0);
        assert_int_equal(count_keys(), system_keys);
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(count_keys(), system_keys + 1);
        assert_int_equal(chmod("trusted", 0777), 0);
        assert_int_equal(count_keys(), system_keys);
        assert_int_equal(chmod("trusted", 0755), 0);
        if (geteuid() == 0) {
                assert_int_equal(chown(path, 1234, 1234), 0);
                assert_int_equal(count_keys(), system_keys);
                assert_int_equal(chown(path, 0, 0), 0);
        }
        assert_int_equal(rename(path, "moved"), 0);
        assert_int_equal(symlink("../moved", path), 0);
        assert_int_equal(count_keys(), system_keys);
}

static void damaged_key_files_are_skipped(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = NULL;
        assert_int_equal(trust_own_key(folder, &k, NULL), 0);
        assert_int_equal(fs_write_atomic("trusted/bad.pub", "hello", 5, 0644, NULL), 0);
        assert_int_equal(fs_write_atomic("trusted/README", "hello", 5, 0644, NULL), 0);
        assert_int_equal(count_keys(), system_keys + 1);
}

static void folder_with_too_many_keys_is_refused(void **state)
{
        (void)state;
        AUTO(trust_freep) struct trust *t = NULL;
        struct err e = ERR_INIT;
        char path[64];
        assert_int_equal(fs_mkdirs("trusted", 0755, NULL), 0);
        for (unsigned i = 0; i <= TRUST_MAX_KEYS; i++) {
                snprintf(path, sizeof(path), "trusted/%u.pub", i);
                assert_int_equal(fs_write_atomic(path, "", 0, 0644, NULL), 0);
        }
        assert_true(trust_open(folder, &t, &e) < 0);
        assert_contains(e.msg, "more than 256 keys");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(trust_open(folder, &t, &e), 0);
}

static void only_public_keys_can_be_trusted(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = NULL;
        struct err e = ERR_INIT;
        char id[KEY_ID_SIZE];
        assert_int_equal(key_generate(&k, NULL), 0);
        assert_int_equal(key_save_secret(k, "secret", NULL), 0);
        assert_true(trust_add(folder, "secret", id, &e) < 0);
        assert_contains(e.msg, "not a public key");
        assert_true(trust_add(folder, "missing", id, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_int_equal(count_keys(), system_keys);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(first_use_makes_a_key_and_trusts_it),
                IN_FOLDER(signature_of_a_stranger_is_refused_until_the_key_is_trusted),
                IN_FOLDER(keys_that_others_could_have_written_do_not_count),
                IN_FOLDER(damaged_key_files_are_skipped),
                IN_FOLDER(folder_with_too_many_keys_is_refused),
                IN_FOLDER(only_public_keys_can_be_trusted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
