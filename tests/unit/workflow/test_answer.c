/* Expressions in JSON Lines, and the JSON that they are made of. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "workflow/answer.h"

static struct answers *answers;

static int set_up(void **state)
{
        struct err e = ERR_INIT;
        (void)state;
        return answers_new(&answers, &e);
}

static int tear_down(void **state)
{
        (void)state;
        answers = answers_free(answers);
        return 0;
}

static void check_bytes(const char *line, size_t len, const char *expected)
{
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(answers_line(answers, line, len, &b, &e), 0);
        assert_true(b.len && b.data[b.len - 1] == '\n');
        b.data[b.len - 1] = '\0';
        if (strcmp((const char *)b.data, expected) != 0)
                fail_msg("%s\n  expected %s\n  got      %s", line, expected, (const char *)b.data);
        buf_done(&b);
}

static void check(const char *line, const char *expected)
{
        check_bytes(line, strlen(line), expected);
}

static void every_kind_of_value_is_answered(void **state)
{
        (void)state;
        check("{\"expr\": \"1 < 2\"}", "{\"kind\":\"Boolean\",\"value\":true}");
        check("{\"expr\": \"null\"}", "{\"kind\":\"Null\",\"value\":null}");
        check("{\"expr\": \"1.50\"}", "{\"kind\":\"Number\",\"value\":1.5}");
        check("{\"expr\": \"'a'\"}", "{\"kind\":\"String\",\"value\":\"a\"}");
        check("{\"expr\": \"fromJSON('[1]')\"}", "{\"kind\":\"Array\",\"value\":[1]}");
        check("{\"expr\": \"fromJSON('{}')\"}", "{\"kind\":\"Object\",\"value\":{}}");
}

static void numbers_that_json_lacks_are_null_and_zero(void **state)
{
        (void)state;
        check("{\"expr\": \"NaN\"}", "{\"kind\":\"Number\",\"value\":null}");
        check("{\"expr\": \"-Infinity\"}", "{\"kind\":\"Number\",\"value\":null}");
        check("{\"expr\": \"-0\"}", "{\"kind\":\"Number\",\"value\":0}");
        check("{\"expr\": \"fromJSON('[1e400]')\"}", "{\"kind\":\"Array\",\"value\":[null]}");
}

static void nothing_but_blanks_is_null(void **state)
{
        (void)state;
        check("{\"expr\": \"\"}", "{\"kind\":\"Null\",\"value\":null}");
        check("{\"expr\": \" \\t\\r\\n\"}", "{\"kind\":\"Null\",\"value\":null}");
}

static void the_three_kinds_of_error_are_told_apart(void **state)
{
        (void)state;
        check("{\"expr\": \"1 @\"}", "{\"error\":{\"kind\":\"lexing\",\"message\":\"Unexpected symbol: '@'. Located at "
                                     "position 3 within expression: 1 @\"}}");
        check("{\"expr\": \"a\"}", "{\"error\":{\"kind\":\"parsing\",\"message\":\"Unrecognized named-value: 'a'. "
                                   "Located at position 1 within expression: a\"}}");
        check("{\"expr\": \"format('{0}')\"}",
              "{\"error\":{\"kind\":\"evaluation\",\"message\":\"The following format string references more "
              "arguments than were supplied: {0}\"}}");
}

static void contexts_are_those_of_the_line_alone(void **state)
{
        (void)state;
        check("{\"expr\": \"a.b\", \"contexts\": {\"a\": {\"b\": 1}}}", "{\"kind\":\"Number\",\"value\":1}");
        check("{\"expr\": \"a.b\", \"contexts\": {\"a\": {\"b\": 1}}}", "{\"kind\":\"Number\",\"value\":1}");
        check("{\"contexts\": {\"a\": {\"b\": 1}} , \"expr\": \"A.B\"}", "{\"kind\":\"Number\",\"value\":1}");
        check("{\"expr\": \"a.b\", \"contexts\": {\"a\": {\"b\": 12}}}", "{\"kind\":\"Number\",\"value\":12}");
        check("{\"expr\": \"a.b\", \"contexts\":{ \"a\": {\"b\": 1}}, \"contexts\": {\"a\": 3}}",
              "{\"kind\":\"Null\",\"value\":null}");
        check("{\"expr\": \"a\"}", "{\"error\":{\"kind\":\"parsing\",\"message\":\"Unrecognized named-value: 'a'. "
                                   "Located at position 1 within expression: a\"}}");
}

static void other_members_are_ignored(void **state)
{
        (void)state;
        check("{\"result\": {\"kind\": [1, {}]}, \"expr\": \"1\", \"n\": 2}\r", "{\"kind\":\"Number\",\"value\":1}");
}

static void status_functions_ask_the_job(void **state)
{
        (void)state;
        check("{\"expr\": \"success()\", \"contexts\": {\"job\": {\"status\": \"success\"}}}",
              "{\"kind\":\"Boolean\",\"value\":true}");
        check("{\"expr\": \"failure() || cancelled()\", \"contexts\": {\"job\": {\"status\": \"success\"}}}",
              "{\"kind\":\"Boolean\",\"value\":false}");
        check("{\"expr\": \"always() && failure()\", \"contexts\": {\"job\": {\"status\": \"failure\"}}}",
              "{\"kind\":\"Boolean\",\"value\":true}");
        check("{\"expr\": \"always()\"}", "{\"error\":{\"kind\":\"parsing\",\"message\":\"Unrecognized function: "
                                          "'always'. Located at position 1 within expression: always()\"}}");
}

static void a_bad_line_gets_an_answer_of_its_own(void **state)
{
        static const char *const lines[] = {
                "",
                "1",
                "[]",
                "{",
                "{}",
                "{\"expr\"}",
                "{\"expr\": }",
                "{\"expr\": 1}",
                "{\"expr\": \"1\"} x",
                "{\"expr\": \"1\",}",
                "{\"expr\": \"1\", \"contexts\": []}",
                "{\"expr\": \"1\", \"contexts\": null}",
                "{\"expr\": \"\xff\"}",
                "{\"expr\": \"\\ud800\"}",
                "{\"expr\": \"a\tb\"}",
                "{1: 2}",
        };
        (void)state;
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
                struct buf b = BUF_INIT;
                struct err e = ERR_INIT;
                assert_int_equal(answers_line(answers, lines[i], strlen(lines[i]), &b, &e), 0);
                if (strncmp(buf_cstr(&b), "{\"error\":{\"kind\":\"request\",", 27) != 0)
                        fail_msg("%s: %s", lines[i], buf_cstr(&b));
                buf_done(&b);
        }
        check_bytes("{\"expr\": \"1\"\0}", 14,
                    "{\"error\":{\"kind\":\"request\",\"message\":\"column 13: expected ',' or '}'\"}}");
}

static void an_answer_is_ascii(void **state)
{
        (void)state;
        check("{\"expr\": \"'\xc3\xa9\xc2\x85\xf0\x9f\x98\x80\\u007f\\u0000'\"}",
              "{\"kind\":\"String\",\"value\":\"\\u00e9\\u0085\\ud83d\\ude00\\u007f\\u0000\"}");
}

/* A short text may stand for many values, or for many bytes. */
static void memory_of_a_line_is_bounded(void **state)
{
        struct buf line = BUF_INIT, b = BUF_INIT;
        struct err e = ERR_INIT;
        (void)state;
        buf_append_str(&line, "{\"expr\": \"1\", \"contexts\": {\"a\": [0", NULL);
        for (size_t i = 0; i < 1500000; i++)
                buf_append_str(&line, ",0", NULL);
        buf_append_str(&line, "]}}", NULL);
        assert_int_equal(answers_line(answers, (const char *)line.data, line.len, &b, &e), 0);
        assert_string_equal(buf_cstr(&b), "{\"error\":{\"kind\":\"request\",\"message\":\"The maximum allowed memory "
                                          "size was exceeded\"}}\n");
        buf_done(&b);
        buf_done(&line);
}

static void check_json(const char *text, const char *expected)
{
        AUTO(value_unrefp) struct value *v = NULL;
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        if (value_parse_json(text, strlen(text), NULL, &v, &e) < 0)
                buf_append_str(&b, e.msg, NULL);
        else
                assert_int_equal(value_to_json_text(v, 0, &b, &e), 0);
        if (strcmp(buf_cstr(&b), expected) != 0)
                fail_msg("%s\n  expected %s\n  got      %s", text, expected, buf_cstr(&b));
        buf_done(&b);
}

static void json_is_read_by_the_rules_of_json(void **state)
{
        static const char *const cases[][2] = {
                {" [ 1 , -0.5e+3 , true , false , null ] ", "[1,-500,true,false,null]"},
                {"{\"a\":{\"b\":[]},\"c\":\"\"}", "{\"a\":{\"b\":[]},\"c\":\"\"}"},
                {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
                 "\"\\\"\\\\/\\b\\f\\n\\r\\t\xc3\xa9\xf0\x9f\x98\x80\""},
                {"{\"x\":1,\"X\":2,\"x\":3}", "{\"x\":3}"},
                {"12345678901234567890", "12345678901234567000"},
                {"", "not JSON: line 1, column 1: expected a value, found the end"},
                {"[1,\n 2 3]", "not JSON: line 2, column 4: expected ',' or ']'"},
                {"[1,]", "not JSON: line 1, column 4: expected a value"},
                {"{\"a\":1,}", "not JSON: line 1, column 8: expected a key in quotes"},
                {"{\"a\" 1}", "not JSON: line 1, column 6: expected ':'"},
                {"01", "not JSON: line 1, column 3: expected a number"},
                {"-", "not JSON: line 1, column 2: expected a number"},
                {"1.", "not JSON: line 1, column 3: expected a number"},
                {"1e", "not JSON: line 1, column 3: expected a number"},
                {"+1", "not JSON: line 1, column 1: expected a value"},
                {"tru", "not JSON: line 1, column 1: expected a value"},
                {"\"a", "not JSON: line 1, column 3: the string has no end"},
                {"\"a\n\"", "not JSON: line 1, column 3: a control character in a string"},
                {"\"\\x\"", "not JSON: line 1, column 3: unknown escape"},
                {"\"\\u12g4\"", "not JSON: line 1, column 6: expected four hexadecimal digits"},
                {"\"\\udc00\"", "not JSON: line 1, column 8: half of a surrogate pair"},
                {"\"\\ud800\\u0041\"", "not JSON: line 1, column 14: half of a surrogate pair"},
                {"{\"a\\u0000b\":1}", "not JSON: line 1, column 12: a key with a NUL character"},
                {"1 2", "not JSON: line 1, column 3: more text after the value"},
                {"\"\xff\"", "not JSON: the text is not UTF-8"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                check_json(cases[i][0], cases[i][1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_of_value_is_answered),
                cmocka_unit_test(numbers_that_json_lacks_are_null_and_zero),
                cmocka_unit_test(nothing_but_blanks_is_null),
                cmocka_unit_test(the_three_kinds_of_error_are_told_apart),
                cmocka_unit_test(contexts_are_those_of_the_line_alone),
                cmocka_unit_test(other_members_are_ignored),
                cmocka_unit_test(status_functions_ask_the_job),
                cmocka_unit_test(a_bad_line_gets_an_answer_of_its_own),
                cmocka_unit_test(an_answer_is_ascii),
                cmocka_unit_test(memory_of_a_line_is_bounded),
                cmocka_unit_test(json_is_read_by_the_rules_of_json),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
