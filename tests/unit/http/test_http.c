#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "http/http.h"

CLEANUP_DEFINE(struct http, http_free)

/* "": taken. */
static const char *refusal(const struct http_server *s)
{
        static struct err e;
        AUTO(http_freep) struct http *h = NULL;
        e = (struct err)ERR_INIT;
        if (http_new(&h, &e) < 0)
                fail_msg("%s", e.msg);
        int r = http_set_server(h, s, &e);
        assert_true((r == 0) == (e.code == ERR_SUCCESS));
        assert_true(r == 0 || e.code == ERR_USAGE);
        return e.msg;
}

static const char *refusal_of(const char *address)
{
        return refusal(&(struct http_server){.address = address, .authorities = ""});
}

static void an_address_is_a_plain_one_of_https(void **state)
{
        (void)state;
        static const char *const good[] = {"https://vault.test",       "https://vault.test/",    "https://vault.test:8200/vault/",
                                           "https://192.0.2.7:65535", "https://[2001:db8::7]:8200"};
        static const char *const bad[] = {"",
                                          "vault.test",
                                          "http://vault.test",
                                          "HTTPS://vault.test",
                                          "file:///etc/passwd",
                                          "https://",
                                          "https://user@vault.test",
                                          "https://user:word@vault.test",
                                          "https://vault.test?a",
                                          "https://vault.test/#a",
                                          "https://vault.test:0",
                                          "https://vault.test:65536",
                                          "https://vault.test:https",
                                          "https://vault .test",
                                          "https://vault.test\nx",
                                          "https://0x7f000001",
                                          "https://2130706433",
                                          "https://127.1",
                                          "https://0177.0.0.1",
                                          "https://[::1%25lo]",
                                          "https://vault%2etest",
                                          "https://-vault.test"};
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                assert_string_equal(refusal_of(good[i]), "");
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                if (!*refusal_of(bad[i]))
                        fail_msg("'%s' was taken", bad[i]);
}

static void an_address_has_a_longest_length(void **state)
{
        (void)state;
        char text[HTTP_MAX_ADDRESS + 2] = "https://vault.test/";
        size_t len = strlen(text);
        memset(text + len, 'x', sizeof(text) - 1 - len);
        text[HTTP_MAX_ADDRESS] = '\0';
        assert_string_equal(refusal_of(text), "");
        text[HTTP_MAX_ADDRESS] = 'x';
        assert_string_equal(refusal_of(text), "expected at most 512 bytes");
}

static void networks_are_prefixes_and_not_too_many(void **state)
{
        (void)state;
        const char *networks[HTTP_MAX_NETWORKS + 1];
        struct http_server s = {.address = "https://vault.test", .authorities = "", .networks = networks};
        for (size_t i = 0; i < HTTP_MAX_NETWORKS + 1; i++)
                networks[i] = "10.1.0.0/16";
        s.n_networks = HTTP_MAX_NETWORKS;
        assert_string_equal(refusal(&s), "");
        s.n_networks++;
        assert_string_equal(refusal(&s), "more than 64 networks");
        s.n_networks = 1;
        networks[0] = "10.1.0.0/33";
        assert_memory_equal(refusal(&s), "network: ", 9);
}

/* Numeric, so that nobody is asked; no socket is made before the look at it. */
static void addresses_of_this_host_and_its_links_are_not_dialled(void **state)
{
        (void)state;
        static const char *const networks[] = {"127.0.0.0/8", "169.254.0.0/16", "fe80::/10"};
        static const char *const never[] = {"https://169.254.169.254", "https://[fe80::1]", "https://[fd00:ec2::254]",
                                            "https://192.168.0.1", "https://[::1]"};
        for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
                AUTO(http_freep) struct http *h = NULL;
                AUTO(http_answer_done) struct http_answer answer = HTTP_ANSWER_INIT;
                const struct http_server s = {
                        .address = never[i], .authorities = "", .networks = networks, .n_networks = 3};
                const struct http_request q = {.method = "GET", .path = "/"};
                enum http_failure why = HTTP_LARGE;
                struct err e = ERR_INIT;
                assert_int_equal(http_new(&h, &e), 0);
                assert_int_equal(http_set_server(h, &s, &e), 0);
                assert_int_equal(http_send(h, &q, &answer, &why, &e), HTTP_E_FAILED);
                assert_int_equal(why, HTTP_REFUSED);
                assert_int_equal(e.code, ERR_VAULT_MISMATCH);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_address_is_a_plain_one_of_https),
                cmocka_unit_test(an_address_has_a_longest_length),
                cmocka_unit_test(networks_are_prefixes_and_not_too_many),
                cmocka_unit_test(addresses_of_this_host_and_its_links_are_not_dialled),
        };
        struct err e = ERR_INIT;
        if (http_init(&e) < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
