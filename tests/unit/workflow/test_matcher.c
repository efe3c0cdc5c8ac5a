#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/matcher.h"

static struct err err;
static struct buf told;
static struct matchers *matchers;
static struct matcher_progress *progress;
static uint64_t now_ns, tick_ns, second_tick_ns; /* what the first and the second matcher of a line take */
static unsigned readings;

static uint64_t cpu_ns(void)
{
        bool first = readings++ % 4 < 2 || !second_tick_ns;
        now_ns += first ? tick_ns : second_tick_ns;
        return now_ns;
}

static int on_hit(const struct matcher_hit *h, void *user, struct err *e)
{
        static const char *const levels[] = {"error", "warning", "notice"};
        const struct issue *i = &h->issue;
        (void)user;
        return buf_printf(&told, e, "%s: %s %s:%u:%u {%s} %s%s%s\n", i->source, levels[i->level],
                          i->file ? i->file : "-", i->line, i->column, i->code ? i->code : "", i->message,
                          h->from_path ? " from " : "", h->from_path ? h->from_path : "");
}

static int on_removed(const char *why, void *user, struct err *e)
{
        (void)user;
        return buf_printf(&told, e, "removed: %s\n", why);
}

static int set_up(void **state)
{
        const struct matchers_config config = {cpu_ns, on_hit, on_removed};
        (void)state;
        now_ns = tick_ns = second_tick_ns = readings = 0;
        buf_clear(&told);
        return matchers_new(&config, &matchers, &err) < 0 ? -1 : matcher_progress_new(NULL, &progress, &err);
}

static int tear_down(void **state)
{
        (void)state;
        progress = matcher_progress_free(progress);
        matchers = matchers_free(matchers);
        buf_done(&told);
        return 0;
}

static int try_add(const char *json)
{
        struct buf names = BUF_INIT;
        err = (struct err)ERR_INIT;
        int r = matchers_add(matchers, json, strlen(json), &names, &err);
        buf_done(&names);
        return r;
}

static void add(const char *json)
{
        if (try_add(json) < 0)
                fail_msg("%s", err.msg);
}

static void refused(const char *json, const char *why)
{
        size_t before = matchers_count(matchers);
        assert_true(try_add(json) < 0);
        assert_int_equal(err.code, ERR_RUN_FAILED);
        if (!strstr(err.msg, why))
                fail_msg("%s", err.msg);
        assert_int_equal(matchers_count(matchers), before);
}

static void line(const char *text)
{
        assert_true(matchers_line(matchers, progress, text, strlen(text), &err) >= 0);
}

static void lines(const char *const *v)
{
        for (; *v; v++)
                line(*v);
}

static void expect(const char *wanted)
{
        assert_string_equal(buf_cstr(&told), wanted);
        buf_clear(&told);
}

#define ONE(owner, rest) "{\"problemMatcher\":[{\"owner\":\"" owner "\"," rest "}]}"
#define PATTERN(regexp, rest) "{\"regexp\":\"" regexp "\"," rest "}"

static void a_single_pattern_gives_all_its_fields(void **state)
{
        (void)state;
        add(ONE("m", "\"pattern\":[" PATTERN(
                             "^(.+):(\\\\d+):(\\\\d+): (warning|error|note): (.+) \\\\[(.*)\\\\] in (.+)$",
                             "\"file\":1,\"line\":2,\"column\":\"3\",\"severity\":4,\"message\":5,\"code\":6,"
                             "\"fromPath\":7") "]"));
        line("a.c:12:3: WARNING: not this");
        line("a.c:12:3: warning: this [W1] in sub/p.proj");
        line("a.c:12x:3: error: no [] in x");
        line("a.c:12:3: error: no code [] in x/y");
        line("a.c:12:3: note: an unknown level is only text [a] in x");
        expect("m: warning a.c:12:3 {W1} this from sub/p.proj\nm: error a.c:12:3 {} no code from x/y\n");
}

static void the_default_severity_counts_where_no_group_gives_one(void **state)
{
        (void)state;
        add(ONE("m", "\"severity\":\"Warning\",\"pattern\":[" PATTERN("^(?:(error|odd): )?(m.*)$",
                                                                      "\"severity\":1,\"message\":2") "]"));
        line("message");
        line("error: message");
        line("odd: message");
        add(ONE("m", "\"pattern\":[" PATTERN("^(m.*)$", "\"message\":1") "]"));
        line("message");
        add(ONE("m", "\"severity\":\"notice\",\"pattern\":[" PATTERN("^(m.*)$", "\"message\":0") "]"));
        line("message");
        expect("m: warning -:0:0 {} message\nm: error -:0:0 {} message\nm: error -:0:0 {} message\nm: notice -:0:0 {} "
               "message\n");
}

static void an_empty_message_is_no_problem(void **state)
{
        (void)state;
        add(ONE("m", "\"pattern\":[" PATTERN("^x( *)$", "\"message\":1") "]"));
        line("x  ");
        expect("");
}

#define ESLINT                                                                                                         \
        ONE("eslint", "\"pattern\":[" PATTERN("^(\\\\S+\\\\.js)$", "\"file\":1") "," PATTERN(                          \
                              "^ +(\\\\d+): (error|warning) (.*)$",                                                    \
                              "\"line\":1,\"severity\":2,\"message\":3,\"loop\":true") "]")

static void a_loop_goes_on_until_a_line_does_not_match(void **state)
{
        static const char *const text[] = {"a.js",        " 1: error x", " 2: warning y", "",
                                           " 3: error z", "b.js",        " 4: error w",   NULL};
        (void)state;
        add(ESLINT);
        lines(text);
        expect("eslint: error a.js:1:0 {} x\neslint: warning a.js:2:0 {} y\neslint: error b.js:4:0 {} w\n");
}

static void several_patterns_match_lines_that_follow_each_other(void **state)
{
        static const char *const text[] = {"A 1", "B b", "C c", "A 2", "A 3", "B b", "C d",
                                           "A 4", "B b", "no",  "C e", "C f", NULL};
        (void)state;
        add(ONE("m", "\"pattern\":[" PATTERN("^A (\\\\d)$", "\"line\":1") "," PATTERN(
                             "^B (.)$", "\"file\":1") "," PATTERN("^C (.)$", "\"message\":1") "]"));
        lines(text);
        expect("m: error b:1:0 {} c\nm: error b:3:0 {} d\n");
}

static void what_another_matcher_finds_breaks_what_was_begun(void **state)
{
        static const char *const text[] = {"a.js", " 1: error x", "!", " 2: error y", NULL};
        (void)state;
        add(ESLINT);
        add(ONE("bang", "\"pattern\":[" PATTERN("^(!)$", "\"message\":1") "]"));
        lines(text);
        expect("eslint: error a.js:1:0 {} x\nbang: error -:0:0 {} !\n");
}

static void a_new_step_begins_anew(void **state)
{
        (void)state;
        add(ESLINT);
        line("a.js");
        struct matcher_progress *first = progress;
        assert_int_equal(matcher_progress_new(NULL, &progress, &err), 0);
        line(" 1: error x");
        expect("");
        matcher_progress_free(progress);
        progress = first;
}

static void steps_beside_each_other_do_not_mix(void **state)
{
        struct matcher_progress *one = progress, *two = NULL;
        (void)state;
        add(ESLINT);
        assert_int_equal(matcher_progress_new(NULL, &two, &err), 0);
        line("one.js");
        progress = two;
        line("two.js");
        progress = one;
        line(" 1: error x");
        progress = two;
        line(" 2: error y");
        expect("eslint: error one.js:1:0 {} x\neslint: error two.js:2:0 {} y\n");
        matcher_progress_free(two);
        progress = one;
}

static void what_a_removed_matcher_had_begun_is_not_anothers(void **state)
{
        (void)state;
        add(ESLINT);
        line("a.js");
        matchers_remove(matchers, "eslint");
        add(ESLINT);
        line(" 1: error x");
        expect("");
}

static void the_matcher_added_last_is_asked_first_and_one_of_the_same_owner_replaced(void **state)
{
        (void)state;
        add(ONE("a", "\"pattern\":[" PATTERN("(.*)", "\"message\":1") "]"));
        add(ONE("b", "\"pattern\":[" PATTERN("(.*)", "\"message\":1") "]"));
        line("x");
        add(ONE("B", "\"severity\":\"warning\",\"pattern\":[" PATTERN("(.*)", "\"message\":1") "]"));
        assert_int_equal(matchers_count(matchers), 2);
        line("y");
        matchers_remove(matchers, "b");
        line("z");
        matchers_remove(matchers, "unknown");
        assert_int_equal(matchers_remove_file(matchers, ONE("A", "\"pattern\":[" PATTERN("", "\"message\":0") "]"),
                                              strlen(ONE("A", "\"pattern\":[" PATTERN("", "\"message\":0") "]")), &err),
                         0);
        assert_int_equal(matchers_count(matchers), 0);
        expect("b: error -:0:0 {} x\nB: warning -:0:0 {} y\na: error -:0:0 {} z\n");
}

static void a_file_is_refused_in_the_words_of_the_runner(void **state)
{
        (void)state;
        refused("{", "problem matcher");
        refused("{\"problemMatcher\":[{\"owner\":\"a\",\"owner\":\"b\"}]}", "problem matcher");
        refused("{\"problemMatcher\":{}}", "not a list");
        refused("{\"problemMatcher\":[{\"pattern\":[]}]}", "Owner must not be empty");
        refused(ONE("m", "\"pattern\":[]"), "Matcher 'm' does not contain any patterns");
        refused(ONE("m", "\"severity\":\"odd\",\"pattern\":[" PATTERN("x", "\"message\":0") "]"),
                "unexpected default severity 'odd'");
        refused(ONE("m", "\"pattern\":[" PATTERN("x", "\"file\":0") "]"), "At least one pattern must set 'message'");
        refused(ONE("m", "\"pattern\":[" PATTERN("(x)", "\"message\":2") "]"),
                "The property 'message' is set to 2 which is out of range");
        refused(ONE("m", "\"pattern\":[" PATTERN("x", "\"message\":-1") "]"), "'message' is not the number of a group");
        refused(ONE("m", "\"pattern\":[" PATTERN("x", "\"message\":0") "," PATTERN("x", "\"message\":0") "]"),
                "The property 'message' is set twice");
        refused(ONE("m", "\"pattern\":[" PATTERN("x", "\"message\":0,\"loop\":true") "]"),
                "Only the last pattern in a multiline matcher may set 'loop'");
        refused(ONE("m", "\"pattern\":[" PATTERN("x", "\"file\":0") "," PATTERN(
                                 "x", "\"message\":0,\"loop\":true") "," PATTERN("x", "\"line\":0") "]"),
                "Only the last pattern");
        refused(ONE("m",
                    "\"pattern\":[" PATTERN("x", "\"message\":0") "," PATTERN("x", "\"line\":0,\"loop\":true") "]"),
                "The loop pattern must set 'message'");
        refused(ONE("m", "\"pattern\":[" PATTERN("(", "\"message\":0") "]"), "the regexp is refused at character 1");
        refused(ONE("m", "\"pattern\":[{\"regexp\":1,\"message\":0}]"), "regexp is not a string");
        refused(ONE("m", "\"pattern\":[1]"), "pattern[0] is not an object");
        refused("{\"problemMatcher\":[{\"owner\":\"m\",\"pattern\":[{\"message\":0}]},{\"owner\":\"M\",\"pattern\":[{"
                "\"message\":0}]}]}",
                "Duplicate owner name 'M'");
        add("\xef\xbb\xbf{\"$schema\":\"x\"}");
        assert_int_equal(matchers_count(matchers), 0);
}

/* n matchers, each with p patterns of len bytes. */
static char *many(unsigned n, unsigned p, size_t len, size_t owner)
{
        struct buf b = BUF_INIT;
        assert_int_equal(buf_append_str(&b, "{\"problemMatcher\":[", &err), 0);
        for (unsigned i = 0; i < n; i++) {
                assert_int_equal(
                        buf_printf(&b, &err, "%s{\"owner\":\"%0*u\",\"pattern\":[", i ? "," : "", (int)owner, i), 0);
                for (unsigned k = 0; k < p; k++)
                        assert_int_equal(buf_printf(&b, &err, "%s{\"regexp\":\"%0*u\"%s}", k ? "," : "", (int)len, k,
                                                    k ? "" : ",\"message\":0"),
                                         0);
                assert_int_equal(buf_append_str(&b, "]}", &err), 0);
        }
        assert_int_equal(buf_append_str(&b, "]}", &err), 0);
        return buf_take_str(&b);
}

static void at_limit(unsigned n, unsigned p, size_t len, size_t owner, const char *why)
{
        char *text = many(n, p, len, owner);
        if (why)
                refused(text, why);
        else
                add(text);
        free(text);
}

static void a_file_has_limits(void **state)
{
        (void)state;
        at_limit(MATCHER_MAX_COUNT, 1, 1, 2, NULL);
        at_limit(MATCHER_MAX_COUNT, 1, 1, 2, NULL); /* the same ones again */
        at_limit(1, 1, 1, 9, "16 problem matchers at a time");
        at_limit(MATCHER_MAX_COUNT + 1, 1, 1, 2, "more than 16 matchers");
        at_limit(1, MATCHER_MAX_PATTERNS, 1, 2, NULL);
        at_limit(1, MATCHER_MAX_PATTERNS + 1, 1, 2, "more than 8 patterns");
        at_limit(1, 1, MATCHER_MAX_REGEXP, 2, NULL);
        at_limit(1, 1, MATCHER_MAX_REGEXP + 1, 2, "the regexp is refused");
        at_limit(1, 1, 1, MATCHER_MAX_OWNER + 1, "longer than 256 bytes");
        matchers_remove(matchers, "00");
        at_limit(1, 1, 1, MATCHER_MAX_OWNER, NULL);
}

static void a_file_may_be_so_large(void **state)
{
        char *text = malloc(MATCHER_MAX_FILE + 2);
        (void)state;
        memset(text, ' ', MATCHER_MAX_FILE + 1);
        memcpy(text, "{}", 2);
        text[MATCHER_MAX_FILE] = '\0';
        add(text);
        text[MATCHER_MAX_FILE] = ' ';
        text[MATCHER_MAX_FILE + 1] = '\0';
        refused(text, "problem matcher");
        free(text);
}

static void parentheses_nest_so_deep(void **state)
{
        char text[1024];
        (void)state;
        for (unsigned extra = 0; extra < 2; extra++) {
                unsigned n = MATCHER_MAX_NESTING + extra;
                char open[64], close[64];
                memset(open, '(', n);
                memset(close, ')', n);
                open[n] = close[n] = '\0';
                snprintf(text, sizeof(text), ONE("m", "\"pattern\":[" PATTERN("%s%s", "\"message\":0") "]"), open,
                         close);
                if (extra)
                        refused(text, "the regexp is refused");
                else
                        add(text);
        }
}

static void a_pattern_that_grows_when_compiled_is_refused(void **state)
{
        (void)state;
        refused(ONE("m", "\"pattern\":[" PATTERN("(((a{100}){100}){100}){100}", "\"message\":0") "]"),
                "the regexp is refused");
}

/* Nested repeats: without a limit this takes longer than anybody waits. */
static void a_match_that_never_ends_is_given_up_and_its_matcher_removed(void **state)
{
        (void)state;
        add(ONE("evil", "\"pattern\":[" PATTERN("^(a+)+$", "\"message\":0") "]"));
        add(ONE("good", "\"pattern\":[" PATTERN("^good (.*)$", "\"message\":1") "]"));
        for (unsigned i = 0; i < MATCHER_MAX_STRIKES; i++) {
                assert_int_equal(matchers_count(matchers), 2);
                line("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
        }
        assert_int_equal(matchers_count(matchers), 1);
        line("good luck");
        expect("removed: Removing problem matcher 'evil': its patterns needed more steps than a match may take, three "
               "times\n"
               "good: error -:0:0 {} luck\n");
}

/* Few steps, each of which keeps what a hundred groups hold. */
static void a_match_has_a_limit_of_memory(void **state)
{
        char text[101], groups[201], *file;
        (void)state;
        memset(text, 'a', 100);
        text[100] = '\0';
        for (unsigned i = 0; i < 100; i++)
                memcpy(groups + 2 * i, "()", 3);
        file = str_printf(ONE("m", "\"pattern\":[" PATTERN("^(?:a%s|b)*[cd]", "\"message\":100") "]"), groups);
        add(file);
        for (unsigned i = 0; i < MATCHER_MAX_STRIKES; i++) {
                assert_int_equal(matchers_count(matchers), 1);
                line(text);
        }
        assert_int_equal(matchers_count(matchers), 0);
        free(file);
}

static void a_group_with_a_large_number_is_read(void **state)
{
        char groups[401], *file;
        (void)state;
        for (unsigned i = 0; i < 200; i++)
                memcpy(groups + 2 * i, "()", 3);
        file = str_printf(ONE("m", "\"pattern\":[" PATTERN("^%s(x)", "\"message\":201") "]"), groups);
        add(file);
        line("x");
        expect("m: error -:0:0 {} x\n");
        free(file);
}

static void a_matcher_that_uses_up_its_processor_time_is_removed(void **state)
{
        char text[101];
        (void)state;
        memset(text, 'x', 100);
        text[100] = '\0';
        add(ONE("slow", "\"pattern\":[" PATTERN("^(y)$", "\"message\":1") "]"));
        tick_ns = 100 * MATCHER_NS_PER_BYTE;
        for (unsigned i = 0; i < 1000; i++)
                line(text); /* as fast as its credit grows */
        assert_int_equal(matchers_count(matchers), 1);
        tick_ns = 100 * MATCHER_NS_PER_BYTE + MATCHER_CREDIT_NS / 10;
        for (unsigned i = 0; i < 9; i++)
                line(text);
        assert_int_equal(matchers_count(matchers), 1);
        line(text);
        line(text);
        assert_int_equal(matchers_count(matchers), 0);
        expect("removed: Removing problem matcher 'slow': its patterns use too much processor time\n");
}

static void the_matcher_that_used_most_is_removed_and_the_others_stay(void **state)
{
        (void)state;
        add(ONE("slow", "\"pattern\":[" PATTERN("^(y)$", "\"message\":1") "]"));
        add(ONE("quick", "\"pattern\":[" PATTERN("^(z)$", "\"message\":1") "]")); /* asked first */
        tick_ns = 1000;
        second_tick_ns = MATCHER_CREDIT_NS / 2;
        line("x");
        line("x");
        line("x");
        expect("removed: Removing problem matcher 'slow': its patterns use too much processor time\n");
        assert_int_equal(matchers_count(matchers), 1);
        line("z");
        expect("quick: error -:0:0 {} z\n");
}

static void patterns_mean_what_they_mean_in_ecmascript_mode(void **state)
{
        (void)state;
        add(ONE("m", "\"pattern\":[" PATTERN("^\\\\d\\\\w\\\\s\\\\u0041\\\\x42(z)?\\\\1(.)$", "\"message\":2") "]"));
        line("1a AB\xc3\xa9");
        line("\xd9\xa1"
             "a ABx");         /* ARABIC-INDIC DIGIT ONE is no \d */
        line("1\xc3\xa9 ABx"); /* and an accented letter no \w */
        expect("m: error -:0:0 {} \xc3\xa9\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_single_pattern_gives_all_its_fields, set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_default_severity_counts_where_no_group_gives_one, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(an_empty_message_is_no_problem, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_loop_goes_on_until_a_line_does_not_match, set_up, tear_down),
                cmocka_unit_test_setup_teardown(several_patterns_match_lines_that_follow_each_other, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_another_matcher_finds_breaks_what_was_begun, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_new_step_begins_anew, set_up, tear_down),
                cmocka_unit_test_setup_teardown(steps_beside_each_other_do_not_mix, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_a_removed_matcher_had_begun_is_not_anothers, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        the_matcher_added_last_is_asked_first_and_one_of_the_same_owner_replaced, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_file_is_refused_in_the_words_of_the_runner, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_file_has_limits, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_file_may_be_so_large, set_up, tear_down),
                cmocka_unit_test_setup_teardown(parentheses_nest_so_deep, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_pattern_that_grows_when_compiled_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_match_that_never_ends_is_given_up_and_its_matcher_removed, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_match_has_a_limit_of_memory, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_group_with_a_large_number_is_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_matcher_that_uses_up_its_processor_time_is_removed, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(the_matcher_that_used_most_is_removed_and_the_others_stay, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(patterns_mean_what_they_mean_in_ecmascript_mode, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
