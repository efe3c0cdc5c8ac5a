#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "trust/signature.h"

CLEANUP_DEFINE(struct key, key_free)

static char folder[64];

static int make_folder(void **state)
{
        (void)state;
        str_copy(folder, sizeof(folder), "/tmp/devdep-key.XXXXXX");
        return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
        (void)state;
        return chdir("/") == 0 ? fs_remove_tree(folder, NULL) : -1;
}

static struct key *new_key(void)
{
        struct key *k = NULL;
        assert_int_equal(key_generate(&k, NULL), 0);
        return k;
}

static void signature_holds_for_its_message_domain_and_key_only(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = new_key(), *other = new_key();
        uint8_t sig[KEY_SIGNATURE_SIZE];
        assert_int_equal(key_sign(k, "one", "message", 7, sig, NULL), 0);
        assert_int_equal(key_verify(k, "one", "message", 7, sig, NULL), 0);
        assert_int_equal(key_verify(k, "one", "messagf", 7, sig, NULL), KEY_E_BAD);
        assert_int_equal(key_verify(k, "two", "message", 7, sig, NULL), KEY_E_BAD);
        assert_int_equal(key_verify(other, "one", "message", 7, sig, NULL), KEY_E_BAD);
        for (size_t i = 0; i < sizeof(sig); i++) {
                sig[i] ^= 1;
                assert_int_equal(key_verify(k, "one", "message", 7, sig, NULL), KEY_E_BAD);
                sig[i] ^= 1;
        }
}

/* The end of a domain and the beginning of a message must not be exchangeable. */
static void domain_and_message_cannot_be_shifted(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = new_key();
        uint8_t sig[KEY_SIGNATURE_SIZE];
        assert_int_equal(key_sign(k, "image", "-manifest", 9, sig, NULL), 0);
        assert_int_equal(key_verify(k, "image-manifest", "", 0, sig, NULL), KEY_E_BAD);
}

static void keys_survive_their_files(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = new_key(), *secret = NULL, *public = NULL;
        uint8_t sig[KEY_SIGNATURE_SIZE];
        assert_int_equal(key_save_secret(k, "secret", NULL), 0);
        assert_int_equal(key_save_public(k, "public", NULL), 0);
        assert_int_equal(key_load_secret("secret", &secret, NULL), 0);
        assert_int_equal(key_load_public("public", &public, NULL), 0);
        assert_string_equal(key_id(secret), key_id(k));
        assert_string_equal(key_id(public), key_id(k));
        assert_int_equal(key_sign(secret, "d", "m", 1, sig, NULL), 0);
        assert_int_equal(key_verify(public, "d", "m", 1, sig, NULL), 0);
        struct stat st;
        assert_int_equal(stat("secret", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        /* A public key cannot sign. */
        assert_true(key_sign(public, "d", "m", 1, sig, NULL) < 0);
}

static void secret_key_that_others_can_read_is_refused(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = new_key(), *loaded = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(key_save_secret(k, "secret", NULL), 0);
        assert_int_equal(chmod("secret", 0640), 0);
        assert_true(key_load_secret("secret", &loaded, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, "chmod 600");
        assert_int_equal(key_load_secret("missing", &loaded, &e), KEY_E_MISSING);
}

static void secret_key_is_never_written_over(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = new_key();
        assert_int_equal(key_save_secret(k, "secret", NULL), 0);
        assert_true(key_save_secret(k, "secret", NULL) < 0);
        assert_int_equal(symlink("elsewhere", "link"), 0);
        assert_true(key_save_secret(k, "link", NULL) < 0);
        assert_false(fs_exists("elsewhere"));
}

static void other_files_are_no_keys(void **state)
{
        (void)state;
        /* An X25519 key: right size, wrong algorithm. */
        static const char x25519[] = "-----BEGIN PUBLIC KEY-----\n"
                                     "MCowBQYDK2VuAyEAnuQlzDgQWOu2YnvPKpdwbYMEPLR5GoRRrplTDVgTBEA=\n"
                                     "-----END PUBLIC KEY-----\n";
        AUTO(key_freep) struct key *k = NULL;
        struct err e = ERR_INIT;
        assert_true(key_parse_public(x25519, strlen(x25519), "x", &k, &e) < 0);
        assert_contains(e.msg, "expected an Ed25519 key");
        assert_true(key_parse_public("", 0, "x", &k, &e) < 0);
        assert_true(key_parse_public("hello", 5, "x", &k, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        AUTO(auto_free) char *big = calloc(1, KEY_MAX_FILE + 1);
        assert_true(key_parse_public(big, KEY_MAX_FILE + 1, "x", &k, &e) < 0);
        assert_contains(e.msg, "at most 4096 bytes");
        assert_int_equal(mkfifo("fifo", 0600), 0);
        assert_true(key_load_secret("fifo", &k, &e) < 0);
        assert_contains(e.msg, "regular file");
}

static void signature_file_is_one_exact_line(void **state)
{
        (void)state;
        AUTO(key_freep) struct key *k = new_key();
        AUTO(buf_done) struct buf line = BUF_INIT;
        struct signature sig;
        struct err e = ERR_INIT;
        assert_int_equal(signature_make(k, KEY_DOMAIN_ROOT, "m", 1, &line, NULL), 0);
        assert_int_equal(signature_parse(line.data, line.len, "x.sig", &sig, &e), 0);
        assert_string_equal(sig.domain, KEY_DOMAIN_ROOT);
        assert_string_equal(sig.key_id, key_id(k));
        for (size_t cut = 0; cut < line.len; cut++)
                assert_true(signature_parse(line.data, cut, "x.sig", &sig, &e) < 0);
        assert_int_equal(buf_append_byte(&line, '\n', NULL), 0);
        assert_true(signature_parse(line.data, line.len, "x.sig", &sig, &e) < 0);
        assert_int_equal(e.code, ERR_IMAGE_REFUSED);
        static const char *const wrong[] = {
                "devdep-signature-v2 root-file-system 00 00\n",
                "devdep-signature-v1  root-file-system 00 00\n",
                "devdep-signature-v1 ROOT 00 00\n",
                "devdep-signature-v1 root-file-system 00 00\n",
                "\n",
        };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                assert_true(signature_parse(wrong[i], strlen(wrong[i]), "x.sig", &sig, &e) < 0);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(signature_holds_for_its_message_domain_and_key_only),
                cmocka_unit_test(domain_and_message_cannot_be_shifted),
                IN_FOLDER(keys_survive_their_files),
                IN_FOLDER(secret_key_that_others_can_read_is_refused),
                IN_FOLDER(secret_key_is_never_written_over),
                IN_FOLDER(other_files_are_no_keys),
                cmocka_unit_test(signature_file_is_one_exact_line),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
