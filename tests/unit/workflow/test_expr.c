/* The expression language: values, errors with GitHub's wording, templates, conditions. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "workflow/expr.h"

static const char *const contexts_json =
        "{\"github\":{\"ref\":\"refs/heads/"
        "main\",\"Actor\":\"Ada\",\"n\":3,\"event\":{\"commits\":[{\"id\":1,\"who\":{\"n\":\"a\"}},"
        "{\"id\":\"2\"},3,[4,{\"id\":5}]]}},\"matrix\":{\"os\":\"linux\",\"list\":[1,\"b\",true,null,[],{}]},\"env\":{}"
        "}";

static struct value *contexts;

static int set_up(void **state)
{
        struct err e = ERR_INIT;
        (void)state;
        return value_parse_json(contexts_json, strlen(contexts_json), NULL, &contexts, &e);
}

static int tear_down(void **state)
{
        (void)state;
        contexts = value_unref(contexts);
        return 0;
}

/* "Kind JSON" of an expression, or "kind-of-error: message". */
static char *answer(const char *text, const struct expr_env *env)
{
        AUTO(value_unrefp) struct value *v = NULL;
        struct expr_fault fault;
        struct err e = ERR_INIT;
        struct buf b = BUF_INIT;
        if (expr_evaluate(text, strlen(text), env, &v, &fault, &e) < 0)
                return str_printf("%s: %s", expr_fault_name(fault.kind), e.msg);
        buf_printf(&b, &e, "%s ", value_kind_name(value_kind(v)));
        assert_int_equal(value_to_json_text(v, 0, &b, &e), 0);
        return buf_take_str(&b);
}

static void check(const char *text, const char *expected)
{
        const struct expr_env env = {.contexts = contexts};
        AUTO(auto_free) char *got = answer(text, &env);
        if (strcmp(got, expected) != 0)
                fail_msg("%s\n  expected %s\n  got      %s", text, expected, got);
}

static void check_all(const char *const (*cases)[2], size_t n)
{
        for (size_t i = 0; i < n; i++)
                check(cases[i][0], cases[i][1]);
}

#define CHECK_ALL(cases) check_all((cases), sizeof(cases) / sizeof((cases)[0]))

static void literals_of_every_form_are_read(void **state)
{
        static const char *const cases[][2] = {
                {"null", "Null null"},
                {"true", "Boolean true"},
                {"0", "Number 0"},
                {"-1.5e3", "Number -1500"},
                {"0x1F", "Number 31"},
                {"0o17", "Number 15"},
                {"0b11", "Number 3"},
                {".5", "Number 0.5"},
                {"+7", "Number 7"},
                {"1.", "Number 1"},
                {"NaN", "Number null"},
                {"Infinity == -Infinity", "Boolean false"},
                {"Infinity > 1e308", "Boolean true"},
                {"1e400 == Infinity", "Boolean true"},
                {"'it''s'", "String \"it's\""},
                {"'a''b''c'", "String \"a'b'c\""},
                {"''", "String \"\""},
                {"9007199254740993", "Number 9007199254740992"},
        };
        (void)state;
        CHECK_ALL(cases);
}

static void numbers_become_text_as_in_javascript(void **state)
{
        static const char *const cases[][2] = {
                {"format('{0}', 0.1)", "String \"0.1\""},
                {"format('{0}', 1e21)", "String \"1e+21\""},
                {"format('{0}', 1e20)", "String \"100000000000000000000\""},
                {"format('{0}', 0.000001)", "String \"0.000001\""},
                {"format('{0}', 1e-7)", "String \"1e-7\""},
                {"format('{0}', -0)", "String \"0\""},
                {"format('{0}', 0.30000000000000004)", "String \"0.3\""},
                {"format('{0}', 0.0000152587890625)", "String \"0.000015258789063\""}, /* a tie: away from zero */
                {"format('{0}', 1.20)", "String \"1.2\""},
                {"toJSON(5e-324)", "String \"5e-324\""},
                {"toJSON(5.684341886080802e-14)", "String \"5.684341886080802e-14\""},
                {"toJSON(NaN)", "String \"null\""},
                {"format('{0}', NaN)", "String \"NaN\""},
        };
        (void)state;
        CHECK_ALL(cases);
}

static void comparisons_coerce_and_ignore_case(void **state)
{
        static const char *const cases[][2] = {
                {"'ABC' == 'abc'", "Boolean true"},     {"1 == '1'", "Boolean true"},
                {"1 == ' 0x1 '", "Boolean true"},       {"true == 'true'", "Boolean false"},
                {"true == 1", "Boolean true"},          {"null == 0", "Boolean true"},
                {"null == ''", "Boolean true"},         {"'' == 0", "Boolean true"},
                {"NaN == NaN", "Boolean false"},        {"NaN != NaN", "Boolean true"},
                {"'a' < 'B'", "Boolean true"},          {"'10' < '9'", "Boolean true"},
                {"10 < '9'", "Boolean false"},          {"null >= null", "Boolean true"},
                {"null > null", "Boolean false"},       {"true > false", "Boolean true"},
                {"github == github", "Boolean true"},   {"fromJSON('[]') == fromJSON('[]')", "Boolean false"},
                {"github > 1", "Boolean false"},        {"'\xc3\xa4' == '\xc3\x84'", "Boolean true"},
                {"'\xc4\xb1' == 'I'", "Boolean false"}, /* dotless i */
                {"'\xc3\x9f' == 'SS'", "Boolean true"}, {"1 < 2 == true", "Boolean true"},
                {"3 > 2 > 1", "Boolean false"},         {"1 == 1 == true", "Boolean true"},
        };
        (void)state;
        CHECK_ALL(cases);
}

static void and_or_give_an_operand_and_stop_early(void **state)
{
        static const char *const cases[][2] = {
                {"'a' && 'b'", "String \"b\""},
                {"'' && fromJSON('x')", "String \"\""},
                {"'a' || fromJSON('x')", "String \"a\""},
                {"0 || null || ''", "String \"\""},
                {"false && 1 || 2", "Number 2"},
                {"1 || 2 && 3", "Number 1"},
                {"!'' && !0", "Boolean true"},
                {"!github", "Boolean false"},
        };
        (void)state;
        CHECK_ALL(cases);
}

static void members_items_and_filters_are_selected(void **state)
{
        static const char *const cases[][2] = {
                {"GitHub.ACTOR", "String \"Ada\""},
                {"github['actor']", "String \"Ada\""},
                {"github[fromJSON('\"actor\\u0000\"')]", "Null null"},
                {"github[fromJSON('\"actor\\u0000s\"')]", "Null null"},
                {"github.missing.deeper[3]", "Null null"},
                {"matrix.list[1]", "String \"b\""},
                {"matrix.list['1']", "String \"b\""},
                {"matrix.list[1.9]", "String \"b\""},
                {"matrix.list[-1]", "Null null"},
                {"matrix.list[99]", "Null null"},
                {"matrix.list['']", "Number 1"},
                {"github.event.commits.*.id", "Array [1,\"2\"]"},
                {"github.event.commits[*].who.n", "Array [\"a\"]"},
                {"github.event.commits.*.*", "Array [1,{\"n\":\"a\"},\"2\",4,{\"id\":5}]"},
                {"github.event.commits.*[1]", "Array [{\"id\":5}]"},
                {"github.ref.*", "Array []"},
                {"matrix.*[0]", "Array [1]"},
                {"fromJSON('{\"true\":1}').true", "Number 1"},
                {"(github).actor", "String \"Ada\""},
                {"env.nothing == ''", "Boolean true"},
        };
        (void)state;
        CHECK_ALL(cases);
}

static void functions_do_what_github_documents(void **state)
{
        static const char *const cases[][2] = {
                {"contains('Hello world', 'LO W')", "Boolean true"},
                {"contains(fromJSON('[\"a\",\"B\"]'), 'b')", "Boolean true"},
                {"contains(matrix.list, 1)", "Boolean true"},
                {"contains(github, 'x')", "Boolean false"},
                {"contains(123, 2)", "Boolean true"},
                {"startsWith('Hello', 'he')", "Boolean true"},
                {"endsWith('Hello', 'LLO')", "Boolean true"},
                {"endsWith('a', 'aa')", "Boolean false"},
                {"startsWith(github, '')", "Boolean false"},
                {"format('{0} {1} {0}', 'a', 2)", "String \"a 2 a\""},
                {"format('{{0}} {0}}}', 'x')", "String \"{0} x}\""},
                {"join(matrix.list, '-')", "String \"1-b-true--Array-Object\""},
                {"join('x', '-')", "String \"x\""},
                {"join(github, '-')", "String \"\""},
                {"join(fromJSON('[1,2]'))", "String \"1,2\""},
                {"toJSON(matrix.list)", "String \"[\\n  1,\\n  \\\"b\\\",\\n  true,\\n  null,\\n  [],\\n  {}\\n]\""},
                {"fromJSON('{\"a\":1,\"A\":2}').a", "Number 1"},
                {"case(false, 1, true, 2, 3)", "Number 2"},
                {"case(false, 1, 3)", "Number 3"},
                {"FORMAT('{0}', tojson('\xc3\xa9\"'))", "String \"\\\"\xc3\xa9\\\\\\\"\\\"\""},
        };
        (void)state;
        CHECK_ALL(cases);
}

static void errors_have_githubs_kind_and_wording(void **state)
{
        static const char *const cases[][2] = {
                {"foo", "parsing: Unrecognized named-value: 'foo'. Located at position 1 within expression: foo"},
                {"1 == fxx()",
                 "parsing: Unrecognized function: 'fxx'. Located at position 6 within expression: 1 == fxx()"},
                {"github.b@r", "lexing: Unexpected symbol: 'b@r'. Located at position 8 within expression: github.b@r"},
                {"'abc", "lexing: Unexpected symbol: ''abc'. Located at position 1 within expression: 'abc"},
                {"\"abc\"", "lexing: Unexpected symbol: '\"abc\"'. Located at position 1 within expression: \"abc\""},
                {"5-3", "lexing: Unexpected symbol: '5-3'. Located at position 1 within expression: 5-3"},
                {"a = b", "lexing: Unexpected symbol: '='. Located at position 3 within expression: a = b"},
                {"1 = 2", "lexing: Unexpected symbol: '='. Located at position 3 within expression: 1 = 2"},
                {"1 +", "lexing: Unexpected symbol: '+'. Located at position 3 within expression: 1 +"},
                {"github.1", "parsing: Unexpected symbol: '1'. Located at position 8 within expression: github.1"},
                {"(1", "parsing: Unexpected end of expression: '1'. Located at position 2 within expression: (1"},
                {"(!'it''s'",
                 "parsing: Unexpected end of expression: 'it's'. Located at position 3 within expression: (!'it''s'"},
                {"1 ==", "parsing: Unexpected end of expression: '=='. Located at position 3 within expression: 1 =="},
                {"1 2", "parsing: Unexpected symbol: '2'. Located at position 3 within expression: 1 2"},
                {"contains('a')", "parsing: Too few parameters supplied: 'contains'. Located at position 1 within "
                                  "expression: contains('a')"},
                {"toJSON(1,2)", "parsing: Too many parameters supplied: 'toJSON'. Located at position 1 within "
                                "expression: toJSON(1,2)"},
                {"case(true,1,true,2)", "parsing: Even number of parameters supplied, requires an odd number of "
                                        "parameters: 'case'. Located at position 1 within "
                                        "expression: case(true,1,true,2)"},
                {"success()",
                 "parsing: Unrecognized function: 'success'. Located at position 1 within expression: success()"},
                {"case('a', 1, 2)", "evaluation: case predicate must evaluate to a boolean value"},
                {"format('{1}', 1)",
                 "evaluation: The following format string references more arguments than were supplied: {1}"},
                {"format('{', 1)", "evaluation: The following format string is invalid: {"},
                {"format('a}', 1)", "evaluation: The following format string is invalid: a}"},
                {"fromJSON(' ')", "evaluation: empty input"},
                {"matrix[fromJSON('')]", "evaluation: could not evaluate index for index access: empty input"},
        };
        (void)state;
        CHECK_ALL(cases);
}

static char *repeat(const char *piece, size_t n)
{
        size_t len = strlen(piece);
        char *s = malloc(n * len + 1);
        assert_non_null(s);
        for (size_t i = 0; i < n; i++)
                memcpy(s + i * len, piece, len);
        s[n * len] = '\0';
        return s;
}

/* A kilobyte of it, as of every message. */
static void a_long_format_string_is_quoted_as_far_as_a_message_goes(void **state)
{
        AUTO(auto_free) char *long_text = repeat("x", 2000);
        const struct expr_env env = {.contexts = contexts};
        static const char *const ends[] = {"}", "{1}"};
        (void)state;
        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
                AUTO(auto_free) char *text = str_printf("format('%s%s', 1)", long_text, ends[i]);
                AUTO(auto_free) char *got = answer(text, &env);
                assert_non_null(strstr(got, "The following format string "));
                assert_true(strspn(strstr(got, "xxx"), "x") > 900);
        }
}

static void check_wrapped(size_t depth, const char *expected)
{
        AUTO(auto_free) char *open = repeat("(", depth);
        AUTO(auto_free) char *close = repeat(")", depth);
        AUTO(auto_free) char *text = str_printf("%s1%s", open, close);
        const struct expr_env env = {.contexts = contexts};
        AUTO(auto_free) char *got = answer(text, &env);
        assert_memory_equal(got, expected, strlen(expected));
}

static void depth_is_allowed_up_to_the_limit(void **state)
{
        (void)state;
        check_wrapped(EXPR_MAX_DEPTH - 1, "Number 1");
        check_wrapped(EXPR_MAX_DEPTH, "parsing: Exceeded max expression depth 50: ");
}

static void a_hundred_thousand_parentheses_are_refused(void **state)
{
        (void)state;
        check_wrapped(100000, "lexing: Exceeded max expression length 21000");
}

static void length_is_allowed_up_to_the_limit(void **state)
{
        (void)state;
        AUTO(auto_free) char *inside = repeat("\xc3\xa4", EXPR_MAX_LENGTH - 2);
        AUTO(auto_free) char *fits = str_printf("'%s'", inside), *past = str_printf("'%sx'", inside);
        const struct expr_env env = {.contexts = contexts};
        AUTO(auto_free) char *a = answer(fits, &env), *b = answer(past, &env);
        assert_memory_equal(a, "String", 6);
        assert_string_equal(b, "lexing: Exceeded max expression length 21000");
}

static void a_long_chain_needs_no_deep_stack(void **state)
{
        (void)state;
        AUTO(auto_free) char *chain = repeat("1<", 10000);
        AUTO(auto_free) char *text = str_printf("%s1", chain);
        check(text, "Boolean true");
}

static void memory_of_an_evaluation_is_bounded(void **state)
{
        (void)state;
        /* Each level is eight times the one below it. */
        AUTO(auto_free) char *x = str_dup("'xxxxxxxxxxxxxxxx'");
        for (int i = 0; i < 8; i++) {
                AUTO(auto_free) char *wrapped = str_printf("format('{0}{0}{0}{0}{0}{0}{0}{0}', %s)", x);
                free(x);
                x = TAKE_PTR(wrapped);
        }
        const struct expr_env env = {.contexts = contexts};
        AUTO(auto_free) char *got = answer(x, &env);
        assert_non_null(strstr(got, "evaluation: The maximum allowed memory size was exceeded"));
}

static void json_that_is_too_deep_is_refused(void **state)
{
        (void)state;
        AUTO(auto_free) char *open = repeat("[", 5000);
        AUTO(auto_free) char *text = str_printf("fromJSON('%s')", open);
        const struct expr_env env = {.contexts = contexts};
        AUTO(auto_free) char *got = answer(text, &env);
        assert_non_null(strstr(got, "VALUE_MAX_DEPTH"));
}

static int hash(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e)
{
        int *calls = user;
        if ((*calls)++ == 0)
                return EXPR_E_PENDING;
        return n == 2 ? value_str(patterns[1], ret, e) : value_str("", ret, e);
}

static void hashing_may_be_answered_later(void **state)
{
        (void)state;
        int calls = 0;
        const struct expr_env env = {.contexts = contexts, .hash_files = hash, .user = &calls};
        AUTO(value_unrefp) struct value *v = NULL;
        AUTO(expr_freep) struct expr *x = NULL;
        const char *text = "format('k-{0}', hashFiles('a', '**/b'))";
        struct err e = ERR_INIT;
        assert_int_equal(expr_parse(text, strlen(text), &env, &x, NULL, &e), 0);
        assert_int_equal(expr_eval(x, &env, &v, NULL, &e), EXPR_E_PENDING);
        assert_null(v);
        assert_int_equal(expr_eval(x, &env, &v, NULL, &e), 0);
        assert_string_equal(value_text(v, NULL), "k-**/b");
}

struct answers {
        bool success, failure, cancelled;
};

static int status(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        const struct answers *a = user;
        (void)args, (void)n, (void)e;
        *ret = fn == EXPR_SUCCESS ? a->success : fn == EXPR_FAILURE ? a->failure : a->cancelled;
        return 0;
}

static bool condition(const char *text, bool success, bool failure, bool cancelled)
{
        struct answers a = {success, failure, cancelled};
        const struct expr_env env = {.contexts = contexts, .status = status, .user = &a};
        struct err e = ERR_INIT;
        bool ret = false;
        if (expr_condition(text, &env, &ret, NULL, &e))
                fail_msg("%s: %s", text, e.msg);
        return ret;
}

static void a_condition_without_a_status_function_means_success(void **state)
{
        (void)state;
        assert_true(condition(NULL, true, false, false));
        assert_false(condition(NULL, false, true, false));
        assert_false(condition("", false, true, false));
        assert_false(condition("true", false, true, false));
        assert_true(condition("github.actor == 'ada'", true, false, false));
        assert_false(condition("${{ github.actor == 'ada' }}", false, true, false));
        assert_true(condition("  ${{ github.actor == 'ada' }}\n", true, false, false));
}

static void a_status_function_replaces_success(void **state)
{
        (void)state;
        assert_true(condition("always()", false, true, true));
        assert_true(condition("failure()", false, true, false));
        assert_true(condition("${{ !cancelled() }}", false, true, false));
        assert_false(condition("cancelled()", true, false, false));
        assert_true(condition("failure() && github.n == 3", false, true, false));
        /* a name inside a string is no call */
        assert_false(condition("contains('always()', 'always')", false, true, false));
        bool uses;
        assert_int_equal(expr_condition_uses_status("${{ github.n || ALWAYS() }}", &uses, NULL), 0);
        assert_true(uses);
        assert_int_equal(expr_condition_uses_status("'always()'", &uses, NULL), 0);
        assert_false(uses);
}

static void text_around_an_expression_makes_a_condition_a_string(void **state)
{
        (void)state;
        assert_true(condition("${{ github.n }} == 4", true, false, false));
        assert_false(condition("${{ github.n }} == 3", false, true, false));
}

static char *template(const char *text)
{
        const struct expr_env env = {.contexts = contexts};
        struct expr_fault fault;
        struct err e = ERR_INIT;
        char *s = NULL;
        if (expr_template_str(text, &env, &s, &fault, &e))
                return str_printf("%zu %s", fault.offset, e.msg);
        return s;
}

static void templates_join_their_parts(void **state)
{
        static const char *const cases[][2] = {
                {"plain", "plain"},
                {"", ""},
                {"a ${{ github.n }}b${{'c'}}", "a 3bc"},
                {"${{ '}}' }}", "}}"},
                {"${{ 'it''s }}' }} {", "it's }} {"},
                {"$ { ${ {{ }}", "$ { ${ {{ }}"},
                {"${{ matrix.list }}", "Array"},
                {"x${{ github.n", "1 The expression is not closed. An unescaped ${{ sequence was found, but the "
                                  "closing }} sequence was not found."},
                {"x ${{ }}", "6 An expression was expected"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AUTO(auto_free) char *got = template(cases[i][0]);
                assert_string_equal(got, cases[i][1]);
        }
}

static void a_single_expression_keeps_its_kind(void **state)
{
        (void)state;
        const struct expr_env env = {.contexts = contexts};
        AUTO(value_unrefp) struct value *v = NULL, *s = NULL;
        assert_int_equal(expr_template("${{ matrix.list }}", 18, &env, &v, NULL, NULL), 0);
        assert_int_equal(value_kind(v), VALUE_ARRAY);
        assert_int_equal(expr_template(" ${{ github.n }}", 16, &env, &s, NULL, NULL), 0);
        assert_int_equal(value_kind(s), VALUE_STRING);
}

static void numbers_and_booleans_of_templates_are_checked(void **state)
{
        (void)state;
        const struct expr_env env = {.contexts = contexts};
        struct err e = ERR_INIT;
        double d;
        bool b;
        assert_int_equal(expr_template_number("${{ github.n }}", &env, "x", &d, NULL, &e), 0);
        assert_true(d == 3);
        assert_int_equal(expr_template_number("${{ github.ref }}", &env, "timeout-minutes", &d, NULL, &e), -1);
        assert_string_equal(e.msg, "timeout-minutes: expected a number, found 'refs/heads/main'");
        assert_int_equal(expr_template_number("${{ env.x }}", &env, "x", &d, NULL, &e), -1);
        assert_int_equal(expr_template_bool("${{ github.n == 3 }}", &env, "x", &b, NULL, &e), 0);
        assert_true(b);
        assert_int_equal(expr_template_bool("yes", &env, "continue-on-error", &b, NULL, &e), -1);
        assert_string_equal(e.msg, "continue-on-error: expected true or false, found 'yes'");
}

static void used_contexts_are_found(void **state)
{
        (void)state;
        bool uses;
        assert_int_equal(expr_template_uses_context("a ${{ 1 || NEEDS.x }}", 21, "needs", &uses, NULL), 0);
        assert_true(uses);
        assert_int_equal(expr_template_uses_context("${{ 'needs' }} needs", 20, "needs", &uses, NULL), 0);
        assert_false(uses);
}

static void many_keys_are_found_without_regard_to_case(void **state)
{
        (void)state;
        AUTO(value_unrefp) struct value *o = NULL;
        struct err e = ERR_INIT;
        char key[32];
        assert_int_equal(value_object(&o, &e), 0);
        for (int i = 0; i < 100; i++) {
                snprintf(key, sizeof(key), "Key\xc3\x84%d", i);
                assert_int_equal(value_set_number(o, key, i, &e), 0);
        }
        for (int i = 0; i < 100; i++) {
                snprintf(key, sizeof(key), "KEY\xc3\xa4%d", i);
                assert_true(value_double(value_get(o, key)) == i);
        }
        assert_int_equal(value_set_number(o,
                                          "keY\xc3\xa4"
                                          "5",
                                          500, &e),
                         0);
        assert_int_equal(value_count(o), 100);
        assert_string_equal(value_key_at(o, 5), "Key\xc3\x84"
                                                "5");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(literals_of_every_form_are_read),
                cmocka_unit_test(numbers_become_text_as_in_javascript),
                cmocka_unit_test(comparisons_coerce_and_ignore_case),
                cmocka_unit_test(and_or_give_an_operand_and_stop_early),
                cmocka_unit_test(members_items_and_filters_are_selected),
                cmocka_unit_test(functions_do_what_github_documents),
                cmocka_unit_test(errors_have_githubs_kind_and_wording),
                cmocka_unit_test(a_long_format_string_is_quoted_as_far_as_a_message_goes),
                cmocka_unit_test(depth_is_allowed_up_to_the_limit),
                cmocka_unit_test(a_hundred_thousand_parentheses_are_refused),
                cmocka_unit_test(length_is_allowed_up_to_the_limit),
                cmocka_unit_test(a_long_chain_needs_no_deep_stack),
                cmocka_unit_test(memory_of_an_evaluation_is_bounded),
                cmocka_unit_test(json_that_is_too_deep_is_refused),
                cmocka_unit_test(hashing_may_be_answered_later),
                cmocka_unit_test(a_condition_without_a_status_function_means_success),
                cmocka_unit_test(a_status_function_replaces_success),
                cmocka_unit_test(text_around_an_expression_makes_a_condition_a_string),
                cmocka_unit_test(templates_join_their_parts),
                cmocka_unit_test(a_single_expression_keeps_its_kind),
                cmocka_unit_test(numbers_and_booleans_of_templates_are_checked),
                cmocka_unit_test(used_contexts_are_found),
                cmocka_unit_test(many_keys_are_found_without_regard_to_case),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
