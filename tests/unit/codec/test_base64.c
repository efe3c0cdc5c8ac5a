#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "codec/base64.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* RFC 4648, section 10. */
static void vectors_of_the_rfc(void **state)
{
        (void)state;
        static const char *const rows[][3] = {{"", "", ""},
                                              {"f", "Zg==", "Zg"},
                                              {"fo", "Zm8=", "Zm8"},
                                              {"foo", "Zm9v", "Zm9v"},
                                              {"foob", "Zm9vYg==", "Zm9vYg"},
                                              {"fooba", "Zm9vYmE=", "Zm9vYmE"},
                                              {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                                              {"\xfb\xff\xbf", "+/+/", "-_-_"}};
        for (size_t i = 0; i < COUNT(rows); i++) {
                for (int alphabet = 0; alphabet < 2; alphabet++) {
                        AUTO(buf_done) struct buf b = BUF_INIT;
                        const char *text = rows[i][1 + alphabet];
                        assert_int_equal(base64_decode(alphabet, text, strlen(text), "x", &b, NULL), 0);
                        assert_string_equal(buf_cstr(&b), rows[i][0]);
                }
        }
}

static void only_the_one_encoding_is_accepted(void **state)
{
        (void)state;
        static const char *const standard[] = {"Zg",   "Zg=",  "Zh==", "Zm9=", "Zm9v\n",   " Zm9v",
                                               "Z===", "====", "Zm=v", "-_-_", "Zg==Zg==", "Z"};
        static const char *const url[] = {"Zg==", "Zh", "Z", "Zm9vZ", "+/+/", "Zm9v=", "Zm 9v"};
        struct err e = ERR_INIT;
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(buf_append_str(&b, "kept", NULL), 0);
        for (size_t i = 0; i < COUNT(standard); i++)
                assert_int_equal(base64_decode(BASE64_STANDARD, standard[i], strlen(standard[i]), "key", &b, &e), -1);
        assert_string_equal(e.msg, "key: expected base64 with padding, found something else");
        assert_int_equal(e.code, ERR_USAGE);
        for (size_t i = 0; i < COUNT(url); i++)
                assert_int_equal(base64_decode(BASE64_URL, url[i], strlen(url[i]), "key", &b, &e), -1);
        assert_int_equal(base64_decode(BASE64_URL, "Zm\0v", 4, "key", &b, &e), -1);
        assert_string_equal(buf_cstr(&b), "kept");
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(vectors_of_the_rfc),
                                           cmocka_unit_test(only_the_one_encoding_is_accepted)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
