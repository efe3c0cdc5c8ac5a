/* YAML: what a text means, where it is, and what is refused. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "codec/yaml.h"

#define LIMIT ((size_t)500 << 10)

static struct yaml_doc *parse(const char *text)
{
        struct yaml_doc *d = NULL;
        struct err e = ERR_INIT;
        if (yaml_parse(text, strlen(text), LIMIT, "LIMIT", &d, NULL, &e) < 0)
                fail_msg("%s", e.msg);
        return d;
}

/* Refused at line:column with a message that contains `part`. */
static void refused(const char *text, size_t len, unsigned line, unsigned column, const char *part)
{
        struct yaml_doc *d = NULL;
        struct yaml_fault fault;
        struct err e = ERR_INIT;
        assert_int_equal(yaml_parse(text, len, LIMIT, "LIMIT", &d, &fault, &e), -1);
        assert_null(d);
        assert_int_equal(e.code, ERR_USAGE);
        if (!strstr(fault.message, part))
                fail_msg("'%s' has no '%s'", fault.message, part);
        assert_int_equal(fault.pos.line, line);
        assert_int_equal(fault.pos.column, column);
        assert_non_null(strstr(e.msg, part));
}

static void refused_str(const char *text, unsigned line, unsigned column, const char *part)
{
        refused(text, strlen(text), line, column, part);
}

static char *repeat(const char *piece, size_t n, const char *tail)
{
        size_t len = strlen(piece), total = len * n + strlen(tail);
        char *s = malloc(total + 1);
        assert_non_null(s);
        for (size_t i = 0; i < n; i++)
                memcpy(s + i * len, piece, len);
        strcpy(s + len * n, tail);
        return s;
}

static void scalars_mean_what_yaml_1_2_says(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                enum yaml_kind kind;
                double number;
        } cases[] = {
                {"on", YAML_KIND_STRING, 0},
                {"no", YAML_KIND_STRING, 0},
                {"yes", YAML_KIND_STRING, 0},
                {"off", YAML_KIND_STRING, 0},
                {"y", YAML_KIND_STRING, 0},
                {"true", YAML_KIND_BOOL, 1},
                {"False", YAML_KIND_BOOL, 0},
                {"TRUE", YAML_KIND_BOOL, 1},
                {"tRue", YAML_KIND_STRING, 0},
                {"null", YAML_KIND_NULL, 0},
                {"~", YAML_KIND_NULL, 0},
                {"", YAML_KIND_NULL, 0},
                {"1.20", YAML_KIND_NUMBER, 1.2},
                {"017", YAML_KIND_NUMBER, 17},
                {"0o17", YAML_KIND_NUMBER, 15},
                {"0x1F", YAML_KIND_NUMBER, 31},
                {"0b11", YAML_KIND_STRING, 0},
                {"1_000", YAML_KIND_STRING, 0},
                {"1e3", YAML_KIND_NUMBER, 1000},
                {"-.5", YAML_KIND_NUMBER, -0.5},
                {"1.", YAML_KIND_NUMBER, 1},
                {".", YAML_KIND_STRING, 0},
                {"+12", YAML_KIND_NUMBER, 12},
                {"1:30", YAML_KIND_STRING, 0},
                {"2026-01-02", YAML_KIND_STRING},
                {"1e", YAML_KIND_STRING, 0},
                {"-.inf", YAML_KIND_NUMBER, -INFINITY},
                {".nan", YAML_KIND_NUMBER, NAN},
                {"\"1\"", YAML_KIND_STRING, 0},
                {"'true'", YAML_KIND_STRING, 0},
                {"!!str 1", YAML_KIND_STRING, 0},
                {"! 1", YAML_KIND_STRING, 0},
                {"!!float 1", YAML_KIND_NUMBER, 1},
                {"0x", YAML_KIND_STRING, 0},
                {"-", YAML_KIND_SEQ, 0},
                {"12e03", YAML_KIND_NUMBER, 12000},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AUTO(yaml_doc_freep) struct yaml_doc *d = parse(cases[i].text);
                const struct yaml_node *n = yaml_root(d);
                if (n->kind != cases[i].kind)
                        fail_msg("'%s' became kind %d", cases[i].text, n->kind);
                if (n->kind == YAML_KIND_BOOL)
                        assert_int_equal(n->boolean, cases[i].number != 0);
                if (n->kind == YAML_KIND_NUMBER && !isnan(cases[i].number))
                        assert_true(n->number == cases[i].number);
        }
}

static void the_text_of_a_number_is_kept(void **state)
{
        (void)state;
        AUTO(yaml_doc_freep) struct yaml_doc *d = parse("v: 1.20");
        assert_string_equal(yaml_get(yaml_root(d), "v")->text, "1.20");
}

static void every_node_and_key_has_its_place(void **state)
{
        (void)state;
        AUTO(yaml_doc_freep)
        struct yaml_doc *d = parse("on: push\n\xc3\xa4: [a, \xc3\xb6, b]\njobs:\n  x:\n    run: |\n      a\n      b\n");
        const struct yaml_node *root = yaml_root(d);
        assert_int_equal(root->n, 3);
        assert_string_equal(root->keys[0]->text, "on");
        const struct yaml_node *list = root->items[1];
        assert_int_equal(list->pos.line, 2);
        assert_int_equal(list->pos.column, 4);
        assert_int_equal(list->items[2]->pos.column, 11); /* characters, not bytes */
        const struct yaml_node *run = yaml_get(yaml_get(yaml_get(root, "jobs"), "x"), "run");
        assert_true(run->block && run->quoted);
        assert_string_equal(run->text, "a\nb\n");
        assert_int_equal(run->pos.line, 5);
        assert_int_equal(run->pos.column, 10);
}

static void aliases_share_the_value(void **state)
{
        (void)state;
        AUTO(yaml_doc_freep) struct yaml_doc *d = parse("a: &x {k: [1, 2]}\nb: *x\nc: [*x, *x]\n");
        const struct yaml_node *root = yaml_root(d);
        assert_ptr_equal(root->items[0], root->items[1]);
        assert_int_equal(root->items[0]->expanded, 5);
        assert_int_equal(root->items[2]->expanded, 11);
}

static void an_empty_file_is_nothing(void **state)
{
        (void)state;
        AUTO(yaml_doc_freep) struct yaml_doc *a = parse(""), *b = parse("# only a comment\n"), *c = parse("---\n");
        assert_int_equal(yaml_root(a)->kind, YAML_KIND_NULL);
        assert_int_equal(yaml_root(b)->kind, YAML_KIND_NULL);
        assert_int_equal(yaml_root(c)->kind, YAML_KIND_NULL);
}

static void a_byte_order_mark_is_skipped(void **state)
{
        (void)state;
        AUTO(yaml_doc_freep) struct yaml_doc *d = parse("\xef\xbb\xbfon: push");
        assert_non_null(yaml_get(yaml_root(d), "on"));
}

static void duplicate_keys_are_refused_with_both_places(void **state)
{
        (void)state;
        struct yaml_doc *d = NULL;
        struct yaml_fault fault;
        const char *text = "a: 1\nb:\n  x: 1\n  y: 2\n  x: 3\n";
        assert_int_equal(yaml_parse(text, strlen(text), LIMIT, "LIMIT", &d, &fault, NULL), -1);
        assert_int_equal(fault.pos.line, 5);
        assert_int_equal(fault.pos.column, 3);
        assert_int_equal(fault.other.line, 3);
        refused_str(text, 5, 3, "'x' is already defined at line 3, column 3");
        refused_str("a: 1\n\"a\": 2\n", 2, 1, "already defined");
}

static void duplicate_keys_are_found_among_many(void **state)
{
        (void)state;
        char text[4096] = "";
        for (int i = 0; i < 100; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "k%d: 1\n", i);
        strcat(text, "k57: 2\n");
        refused_str(text, 101, 1, "'k57' is already defined at line 58");
}

static void merge_keys_are_refused(void **state)
{
        (void)state;
        refused_str("a: &x {k: 1}\nb:\n  <<: *x\n", 3, 3, "merge keys");
        AUTO(yaml_doc_freep) struct yaml_doc *d = parse("a: <<\n'<<': 1\n"); /* a value, and a quoted key */
        assert_int_equal(yaml_root(d)->n, 2);
}

static void an_alias_bomb_is_refused(void **state)
{
        (void)state;
        char text[8192] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
        for (int i = 1; i < 12; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text),
                         "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                         i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        refused_str(text, 6, 46, "YAML_MAX_EXPANDED");
}

static void too_many_aliases_are_refused(void **state)
{
        (void)state;
        char *at = repeat("*a,", YAML_MAX_ALIASES, "]"), *past = repeat("*a,", YAML_MAX_ALIASES + 1, "]");
        char *text = str_printf("[&a x,%s", at), *longer = str_printf("[&a x,%s", past);
        AUTO(yaml_doc_freep) struct yaml_doc *d = parse(text);
        assert_int_equal(yaml_root(d)->n, YAML_MAX_ALIASES + 1);
        refused_str(longer, 1, 7 + 3 * YAML_MAX_ALIASES, "YAML_MAX_ALIASES");
        free(at), free(past), free(text), free(longer);
}

static void an_alias_inside_its_own_value_is_refused(void **state)
{
        (void)state;
        refused_str("a: &x [1, *x]\n", 1, 11, "contains it");
        refused_str("a: *nowhere\n", 1, 4, "not defined before");
}

static void nesting_is_allowed_up_to_the_limit(void **state)
{
        (void)state;
        char *open = repeat("[", YAML_MAX_DEPTH, ""), *close = repeat("]", YAML_MAX_DEPTH, "");
        char *text = str_printf("%s%s", open, close), *longer = str_printf("[%s]", text);
        AUTO(yaml_doc_freep) struct yaml_doc *d = parse(text);
        assert_int_equal(yaml_root(d)->kind, YAML_KIND_SEQ);
        refused_str(longer, 1, YAML_MAX_DEPTH + 1, "YAML_MAX_DEPTH");
        free(open), free(close), free(text), free(longer);
}

static void nesting_of_a_hundred_thousand_levels_is_refused(void **state)
{
        (void)state;
        static const struct {
                const char *piece;
                unsigned line, column;
        } cases[] = {
                {"[", 1, 101}, {"{a: ", 1, 401}, {"- ", 1, 201}, {"[\n", 101, 1}, {"a: [", 1, 201}, {"- - ", 1, 201},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char *text = repeat(cases[i].piece, 100000, "");
                refused_str(text, cases[i].line, cases[i].column, "YAML_MAX_DEPTH");
                free(text);
        }
}

static void a_file_past_the_size_limit_is_refused_unread(void **state)
{
        (void)state;
        char *text = repeat("a", (size_t)10 << 20, "");
        refused_str(text, 1, 1, "more than the limit of 512000 (LIMIT)");
        free(text);
        char *fits = repeat("a", LIMIT, "");
        AUTO(yaml_doc_freep) struct yaml_doc *d = parse(fits);
        assert_int_equal(yaml_root(d)->len, LIMIT);
        free(fits);
        char *past = repeat("a", LIMIT + 1, "");
        refused_str(past, 1, 1, "LIMIT");
        free(past);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
        (void)state;
        refused("a: b\nc: \0d\n", 11, 2, 4, "NUL");
        refused_str("a: \xff\n", 1, 4, "0xff is not valid UTF-8");
        refused_str("\xc3\xa4: 1\nb: \xed\xa0\x80\n", 2, 4, "not valid UTF-8"); /* a surrogate */
        refused_str("a: \x01\n", 1, 4, "control characters");
        refused_str("a: \"\\0\"\n", 1, 4, "NUL character");
}

static void a_tab_as_indentation_is_named(void **state)
{
        (void)state;
        refused_str("jobs:\n\tx: 1\n", 2, 1, "a tab is used");
}

static void syntax_errors_have_a_place(void **state)
{
        (void)state;
        refused_str("a: b: c\n", 1, 5, "mapping values are not allowed");
        refused_str("a: [1, 2\nb: 3\n", 2, 2, "did not find expected");
        refused_str("a: 'x\n", 2, 1, "end of stream");
        refused_str("a: 1\n---\nb: 2\n", 2, 1, "only one YAML document");
        refused_str("? [a]\n: 1\n", 1, 3, "a key must be");
        refused_str("a: !mine x\n", 1, 4, "tag");
        refused_str("a: !!int x\n", 1, 4, "tag");
        refused_str("a: !!set {x}\n", 1, 4, "tags other than");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(scalars_mean_what_yaml_1_2_says),
                cmocka_unit_test(the_text_of_a_number_is_kept),
                cmocka_unit_test(every_node_and_key_has_its_place),
                cmocka_unit_test(aliases_share_the_value),
                cmocka_unit_test(an_empty_file_is_nothing),
                cmocka_unit_test(a_byte_order_mark_is_skipped),
                cmocka_unit_test(duplicate_keys_are_refused_with_both_places),
                cmocka_unit_test(duplicate_keys_are_found_among_many),
                cmocka_unit_test(merge_keys_are_refused),
                cmocka_unit_test(an_alias_bomb_is_refused),
                cmocka_unit_test(too_many_aliases_are_refused),
                cmocka_unit_test(an_alias_inside_its_own_value_is_refused),
                cmocka_unit_test(nesting_is_allowed_up_to_the_limit),
                cmocka_unit_test(nesting_of_a_hundred_thousand_levels_is_refused),
                cmocka_unit_test(a_file_past_the_size_limit_is_refused_unread),
                cmocka_unit_test(bytes_that_are_no_text_are_refused),
                cmocka_unit_test(a_tab_as_indentation_is_named),
                cmocka_unit_test(syntax_errors_have_a_place),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
