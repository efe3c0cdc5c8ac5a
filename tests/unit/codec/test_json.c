#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "codec/json.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_TEXT 100000

static json_t *parse(const char *text)
{
        json_t *value = NULL;
        struct err e = ERR_INIT;
        if (json_parse(text, strlen(text), MAX_TEXT, "text", &value, &e) < 0)
                fail_msg("%s", e.msg);
        return value;
}

static const char *refusal(const char *text, size_t len)
{
        static struct err e;
        json_t *value = NULL;
        assert_int_equal(json_parse(text, len, MAX_TEXT, "spec.json", &value, &e), -1);
        assert_null(value);
        assert_int_equal(e.code, ERR_USAGE);
        return e.msg;
}

static void what_is_not_strict_is_refused_with_its_place(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "",           "1",          "\"x\"",         "{} {}",         "{}x",      "{\"a\":1,}",
                "[1,]",       "{'a':1}",    "{\"a\":01}",    "[NaN]",         "[1e999]",  "[9223372036854775808]",
                "[\"\x01\"]", "[\"\xff\"]", "[\"\\ud800\"]", "[\"\\u0000\"]", "// c\n{}", "\xef\xbb\xbf{}",
                "[tru]"};
        for (size_t i = 0; i < COUNT(bad); i++)
                assert_contains(refusal(bad[i], strlen(bad[i])), "spec.json:");
        assert_contains(refusal("{\"a\":1,\n \"a\":2}", 15), "spec.json:2:");
        assert_contains(refusal("{\"a\":1,\n \"a\":2}", 15), "duplicate");
        refusal("{}\0", 3);
}

static void limits_hold_exactly(void **state)
{
        (void)state;
        char text[2 * JSON_MAX_DEPTH + 8];
        memset(text, '[', sizeof(text));
        memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
        text[2 * JSON_MAX_DEPTH] = 0;
        json_decref(parse(text));
        memset(text, '[', JSON_MAX_DEPTH + 1);
        memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
        assert_contains(refusal(text, 2 * JSON_MAX_DEPTH + 2), "deeper than 64");
        /* Brackets in strings do not count. */
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(buf_append_str(&b, "[\"\\\"", NULL), 0);
        for (int i = 0; i < 100; i++)
                assert_int_equal(buf_append_str(&b, "[{", NULL), 0);
        assert_int_equal(buf_append_str(&b, "\"]", NULL), 0);
        json_decref(parse(buf_cstr(&b)));
        json_t *value = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(json_parse("[  ]", 4, 3, "x", &value, &e), -1);
        assert_string_equal(e.msg, "x: expected at most 3 bytes, found 4");
        assert_int_equal(json_parse("[ ]", 3, 3, "x", &value, &e), 0);
        json_decref(value);
}

static void errors_show_foreign_text_escaped(void **state)
{
        (void)state;
        const char *msg = refusal("[\x1b]", 3);
        assert_null(strchr(msg, 0x1b));
}

static void getters_name_the_field(void **state)
{
        (void)state;
        AUTO(json_decrefp)
        json_t *o = parse("{\"s\":\"text\",\"i\":5,\"b\":true,\"o\":{},\"a\":[1,2],\"n\":null,\"r\":1.5}");
        struct err e = ERR_INIT;
        const char *s = NULL;
        int64_t i = 0;
        assert_int_equal(json_get_string(o, "job", "s", 4, &s, &e), 0);
        assert_string_equal(s, "text");
        assert_int_equal(json_get_int(o, "job", "i", 5, 5, &i, &e), 0);
        assert_int_equal(i, 5);

        assert_int_equal(json_get_string(o, "job", "s", 3, &s, &e), -1);
        assert_string_equal(e.msg, "job.s: expected at most 3 bytes, found 4");
        assert_int_equal(json_get_int(o, "job", "s", 1, 9, &i, &e), -1);
        assert_string_equal(e.msg, "job.s: expected an integer from 1 to 9, found a string");
        assert_int_equal(json_get_int(o, "job", "i", 6, 9, &i, &e), -1);
        assert_string_equal(e.msg, "job.i: expected an integer from 6 to 9, found 5");
        assert_int_equal(json_get_int(o, "", "r", 0, 9, &i, &e), -1);
        assert_string_equal(e.msg, "r: expected an integer from 0 to 9, found a fraction");
        assert_int_equal(json_get_string(o, "", "b", 9, &s, &e), -1);
        assert_string_equal(e.msg, "b: expected a string, found a boolean");
        assert_int_equal(json_get_string(o, "", "o", 9, &s, &e), -1);
        assert_string_equal(e.msg, "o: expected a string, found an object");
        assert_int_equal(json_get_string(o, "", "a", 9, &s, &e), -1);
        assert_string_equal(e.msg, "a: expected a string, found an array");
        assert_int_equal(json_get_string(o, "job", "missing", 9, &s, &e), -1);
        assert_string_equal(e.msg, "job.missing: expected a string, found nothing");
        assert_int_equal(json_get_string(o, "job", "n", 9, &s, &e), -1);
        assert_string_equal(e.msg, "job.n: expected a string, found null");
        assert_int_equal(json_get_string(NULL, "job", "n", 9, &s, &e), -1);
        assert_string_equal(e.msg, "job: expected an object, found nothing");
}

static void a_missing_optional_field_keeps_the_default(void **state)
{
        (void)state;
        AUTO(json_decrefp) json_t *o = parse("{\"n\":null,\"i\":\"x\"}");
        struct err e = ERR_INIT;
        int64_t i = 7;
        assert_int_equal(json_opt_int(o, "", "n", 0, 9, &i, &e), 0);
        assert_int_equal(json_opt_int(o, "", "x", 0, 9, &i, &e), 0);
        assert_int_equal(i, 7);
        assert_int_equal(json_opt_int(o, "", "i", 0, 9, &i, &e), -1);
}

static void unknown_keys_are_refused(void **state)
{
        (void)state;
        AUTO(json_decrefp) json_t *o = parse("{\"steps\":[],\"tiemout\":1}");
        static const char *const known[] = {"steps", "timeout"}, *const all[] = {"steps", "tiemout"};
        struct err e = ERR_INIT;
        assert_int_equal(json_check_keys(o, "job", known, 2, &e), -1);
        assert_string_equal(e.msg, "job.tiemout: unknown key; did you mean 'timeout'?");
        assert_int_equal(json_check_keys(o, "", known, 0, &e), -1);
        assert_string_equal(e.msg, "steps: unknown key");
        assert_int_equal(json_check_keys(json_object_get(o, "steps"), "", known, 2, &e), -1);
        assert_string_equal(e.msg, "the text: expected an object, found an array");
        assert_int_equal(json_check_keys(o, "x", all, 2, &e), 0);
}

static void paths_are_escaped_and_cut(void **state)
{
        (void)state;
        char where[2 * JSON_MAX_PATH];
        AUTO(json_decrefp) json_t *o = parse("{\"a\\nb\":1}");
        struct err e = ERR_INIT;
        const char *s = NULL;
        assert_int_equal(json_get_string(o, "", "a\nb", 9, &s, &e), -1);
        assert_string_equal(e.msg, "a\\nb: expected a string, found an integer");
        memset(where, 'x', sizeof(where) - 1);
        where[sizeof(where) - 1] = 0;
        assert_int_equal(json_get_string(o, where, "key", 9, &s, &e), -1);
        assert_string_equal(e.msg + JSON_MAX_PATH - 1 - 4, "x...: expected a string, found nothing");
}

static void text_is_canonical(void **state)
{
        (void)state;
        AUTO(json_decrefp) json_t *o = parse(" { \"b\" : [ 1 , true ] , \"a\" : \"\\u00e9\\n\" } ");
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(json_write(o, 0, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), "{\"b\":[1,true],\"a\":\"\xc3\xa9\\n\"}");
        buf_clear(&b);
        assert_int_equal(json_write(o, JSON_WRITE_SORTED | JSON_WRITE_PRETTY, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), "{\n  \"a\": \"\xc3\xa9\\n\",\n  \"b\": [\n    1,\n    true\n  ]\n}");
        AUTO(buf_done) struct buf small = BUF_INIT_MAX(5);
        struct err e = ERR_INIT;
        assert_int_equal(buf_append_str(&small, "x", NULL), 0);
        assert_int_equal(json_write(o, 0, &small, &e), -1);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_int_equal(small.len, 1);
}

/* Of a string that is as long as this and was freed, is its end still there? */
static bool is_left(const char *secret)
{
        char text[128], found[128];
        size_t len = strlen(secret);
        snprintf(text, sizeof(text), "{\"a\":\"%s\"}", secret);
        json_t *value = parse(text);
        off_t at = (off_t)(uintptr_t)json_string_value(json_object_get(value, "a"));
        json_decref(value);
        int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, found, len, at), len);
        close(fd);
        return memcmp(found + 16, secret + 16, len - 16) == 0;
}

/* The last test: it cannot be undone. */
static void values_of_a_process_with_secrets_are_zeroed(void **state)
{
        (void)state;
        assert_true(is_left("................ of a process without secrets"));
        json_wipe_memory();
        assert_false(is_left("................ of a process with some"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_not_strict_is_refused_with_its_place),
                cmocka_unit_test(limits_hold_exactly),
                cmocka_unit_test(errors_show_foreign_text_escaped),
                cmocka_unit_test(getters_name_the_field),
                cmocka_unit_test(a_missing_optional_field_keeps_the_default),
                cmocka_unit_test(unknown_keys_are_refused),
                cmocka_unit_test(paths_are_escaped_and_cut),
                cmocka_unit_test(text_is_canonical),
                cmocka_unit_test(values_of_a_process_with_secrets_are_zeroed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
