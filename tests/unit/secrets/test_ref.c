#include "test.h"

#include "base/err.h"
#include "secrets/limits.h"
#include "secrets/ref.h"

static void names_are_those_of_variables(void **state)
{
        char longest[SECRETS_MAX_NAME + 2];
        (void)state;
        const char *const good[] = {"A", "_", "npm_token", "DB_PASSWORD_2", "GITHUB", "githubX_"};
        const char *const bad[] = {"",   "2A",  "A-B", "A B",          "A/B",      "../A",     "A%2e",
                                   "A?", "A#B", "A\n", "GITHUB_TOKEN", "github_x", "\xc3\xa4", "A.B"};
        for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
                assert_true(secret_name_is_valid(good[i]));
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                assert_false(secret_name_is_valid(bad[i]));
        memset(longest, 'A', sizeof(longest));
        longest[SECRETS_MAX_NAME] = '\0';
        assert_true(secret_name_is_valid(longest));
        longest[SECRETS_MAX_NAME] = 'A';
        longest[SECRETS_MAX_NAME + 1] = '\0';
        assert_false(secret_name_is_valid(longest));
}

static void a_reference_is_mount_path_and_key(void **state)
{
        struct secret_ref r;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(secret_ref_parse("kv/web/ci#npm token", &r, &e), 0);
        assert_string_equal(r.mount, "kv");
        assert_string_equal(r.path, "web/ci");
        assert_string_equal(r.key, "npm token");
        assert_false(r.dynamic);
        secret_ref_done(&r);
        assert_int_equal(secret_ref_parse("database/creds/app#password", &r, &e), 0);
        assert_true(r.dynamic);
        secret_ref_done(&r);
        /* "creds" as a name of its own is a secret like others. */
        assert_int_equal(secret_ref_parse("kv/creds#x", &r, &e), 0);
        assert_false(r.dynamic);
        secret_ref_done(&r);
}

static void refuse(const char *text, const char *why)
{
        struct secret_ref r;
        struct err e = ERR_INIT;
        assert_int_equal(secret_ref_parse(text, &r, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, why);
}

static void what_a_url_would_read_otherwise_is_refused(void **state)
{
        (void)state;
        refuse("kv/../sys/seal#x", "'..' in the path");
        refuse("kv/./x#x", "'.' in the path");
        refuse("../x#x", "'..' in the path");
        refuse("kv//x#x", "an empty name");
        refuse("kv/x/#x", "an empty name");
        refuse("/x#x", "an empty name");
        refuse("kv/%2e%2e/sys#x", "'%' is not allowed");
        refuse("kv/x?version=1#x", "'?' is not allowed");
        refuse("kv/x;y#x", "';' is not allowed");
        refuse("kv\\x/y#x", "'\\' is not allowed");
        refuse("kv/x\r\nX-Vault-Token: a#x", "a control character");
        refuse("kv/x#y\n", "a control character");
        refuse("kv/x#y#z", "one key behind one '#'");
        refuse("kv/x#", "one key behind one '#'");
        refuse("kv/x", "expected mount/path#key");
        refuse("kv#x/y", "expected mount/path#key");
        refuse("", "expected mount/path#key");
}

static void references_are_bounded(void **state)
{
        char text[SECRETS_MAX_REFERENCE + 2];
        struct secret_ref r;
        (void)state;
        memset(text, 'a', sizeof(text));
        memcpy(text, "kv/x#", 5);
        text[SECRETS_MAX_REFERENCE] = '\0';
        assert_int_equal(secret_ref_parse(text, &r, NULL), 0);
        secret_ref_done(&r);
        text[SECRETS_MAX_REFERENCE] = 'a';
        text[SECRETS_MAX_REFERENCE + 1] = '\0';
        refuse(text, "longer than");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_are_those_of_variables),
                cmocka_unit_test(a_reference_is_mount_path_and_key),
                cmocka_unit_test(what_a_url_would_read_otherwise_is_refused),
                cmocka_unit_test(references_are_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
