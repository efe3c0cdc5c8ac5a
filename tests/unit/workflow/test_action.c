/* Action files: what is read, and what is refused and where. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/diag.h"
#include "workflow/action.h"

static struct action *parse_bytes(const char *text, size_t len, struct diag_list **problems)
{
        struct action *a = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(diag_new("action.yml", problems, &e), 0);
        int r = action_parse("x/action.yml", text, len, *problems, &a, &e);
        if (r < 0)
                fail_msg("%s", e.msg);
        assert_int_equal(r == 0, a != NULL);
        assert_int_equal(r == 0, diag_errors(*problems) == 0);
        return a;
}

static struct action *parse(const char *text)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct action *a = parse_bytes(text, strlen(text), &problems);
        if (!a)
                fail_msg("%u:%u: %s", diag_at(problems, 0)->line, diag_at(problems, 0)->column,
                         diag_at(problems, 0)->message);
        return a;
}

/* All problems as "LINE:COLUMN MESSAGE (HINT)" lines. */
static char *problems_of(const char *text, size_t len)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        /* Only what it complains about is wanted. */
        AUTO(action_freep) __attribute__((unused)) struct action *a = parse_bytes(text, len, &problems);
        struct buf b = BUF_INIT;
        for (size_t i = 0; i < diag_count(problems); i++) {
                const struct diag *d = diag_at(problems, i);
                buf_printf(&b, NULL, "%s%u:%u %s%s%s%s\n", d->severity == DIAG_WARNING ? "warning " : "", d->line,
                           d->column, d->message, d->hint ? " (" : "", d->hint ? d->hint : "", d->hint ? ")" : "");
        }
        return buf_take_str(&b);
}

static void expect(const char *text, const char *problems)
{
        AUTO(auto_free) char *got = problems_of(text, strlen(text));
        assert_string_equal(got, problems);
}

static void a_composite_action_is_read(void **state)
{
        (void)state;
        AUTO(action_freep)
        struct action *a = parse("name: Greet\n"
                                 "description: says hello\n"
                                 "author: nobody\n"
                                 "branding: {icon: heart, color: red}\n"
                                 "inputs:\n"
                                 "  Who: {description: whom, required: true, default: '${{ github.actor }}'}\n"
                                 "  old: {deprecationMessage: use Who, required: 'false'}\n"
                                 "  bare: {}\n"
                                 "outputs:\n"
                                 "  said: {description: what, value: '${{ steps.say.outputs.text }}'}\n"
                                 "runs:\n"
                                 "  using: Composite\n"
                                 "  steps:\n"
                                 "    - {id: say, run: echo hi, shell: bash, env: {A: '${{ inputs.who }}'}}\n"
                                 "    - {uses: ./x, with: {a: 1}, if: failure() && env.A, continue-on-error: true}\n");
        assert_string_equal(a->file, "x/action.yml");
        assert_string_equal(a->name.text, "Greet");
        assert_string_equal(a->description.text, "says hello");
        assert_int_equal(a->kind, ACTION_COMPOSITE);
        assert_string_equal(a->using.text, "Composite");
        assert_int_equal(a->n_inputs, 3);
        assert_string_equal(a->inputs[0].name.text, "Who");
        assert_string_equal(a->inputs[0].description.text, "whom");
        assert_string_equal(a->inputs[0].default_value.text, "${{ github.actor }}");
        assert_int_equal(a->inputs[0].default_value.pos.line, 6);
        assert_true(a->inputs[0].required);
        assert_false(a->inputs[1].required);
        assert_string_equal(a->inputs[1].deprecation.text, "use Who");
        assert_null(a->inputs[2].default_value.text);
        assert_ptr_equal(action_input(a, "WHO"), &a->inputs[0]);
        assert_null(action_input(a, "whom"));
        assert_int_equal(a->n_outputs, 1);
        assert_string_equal(a->outputs[0].name.text, "said");
        assert_string_equal(a->outputs[0].description.text, "what");
        assert_string_equal(a->outputs[0].value.text, "${{ steps.say.outputs.text }}");
        assert_int_equal(a->n_steps, 2);
        assert_int_equal(a->steps[0].kind, WF_STEP_RUN);
        assert_string_equal(a->steps[0].id.text, "say");
        assert_string_equal(a->steps[0].shell.text, "bash");
        assert_string_equal(a->steps[0].env.v[0].value.text, "${{ inputs.who }}");
        assert_int_equal(a->steps[1].kind, WF_STEP_USES);
        assert_int_equal(a->steps[1].uses.pos.line, 15);
        assert_string_equal(a->steps[1].with.v[0].value.text, "1");
        assert_string_equal(a->steps[1].condition.text, "failure() && env.A");
        assert_string_equal(a->steps[1].continue_on_error.text, "true");
}

static void a_javascript_action_is_read(void **state)
{
        (void)state;
        AUTO(action_freep)
        struct action *a = parse("runs: {using: node20, main: dist/index.js, pre: a.js, pre-if: runner.os == 'Linux', "
                                 "post: b.js, post-if: always()}\n");
        assert_int_equal(a->kind, ACTION_NODE);
        assert_null(a->name.text);
        assert_string_equal(a->main.text, "dist/index.js");
        assert_string_equal(a->pre.text, "a.js");
        assert_string_equal(a->pre_if.text, "runner.os == 'Linux'");
        assert_string_equal(a->post.text, "b.js");
        assert_string_equal(a->post_if.text, "always()");
        for (const char *const *v = (const char *const[]){"12", "16", "20", "24", NULL}; *v; v++) {
                char text[60];
                snprintf(text, sizeof(text), "runs: {using: node%s, main: x}", *v);
                AUTO(action_freep) struct action *b = parse(text);
                assert_int_equal(b->kind, ACTION_NODE);
                assert_null(b->post_if.text);
        }
}

static void a_docker_action_is_known_as_one(void **state)
{
        (void)state;
        AUTO(action_freep)
        struct action *a = parse("runs: {using: docker, image: Dockerfile, args: ['${{ inputs.a }}'], env: {A: b}}\n");
        assert_int_equal(a->kind, ACTION_DOCKER);
        assert_string_equal(a->image.text, "Dockerfile");
}

#define KNOWN "('composite', 'docker', 'node12', 'node16', 'node20' and 'node24' are known)"

static void what_is_missing_is_named(void **state)
{
        (void)state;
        expect("name: x\n", "1:1 Top level 'runs:' section is required (add `runs`)\n");
        expect("runs: {main: x}\n", "1:7 Missing 'using' value " KNOWN "\n");
        expect("runs: {using: node18, main: x}\n", "1:15 'using: node18' is not supported " KNOWN "\n");
        expect("runs: {plugin: checkout}\n", "1:7 Missing 'using' value " KNOWN "\n");
        expect("runs: {using: node20, pre: x}\n", "1:7 You are using a JavaScript Action but there is not an entry "
                                                  "JavaScript file provided (add `main`)\n");
        expect("runs: {using: docker, entrypoint: x}\n",
               "1:7 You are using a Container Action but an image is not provided (add `image`)\n");
        expect("runs: {using: composite, main: x}\n",
               "1:7 You are using a composite action but there are no steps provided (add `steps`)\n");
        expect("runs: {using: composite, steps: [{run: a}]}\n", "1:34 Required property is missing: shell\n");
        expect("runs: {using: node20, steps: []}\n", "1:7 You are using a JavaScript Action but there is not an entry "
                                                     "JavaScript file provided (add `main`)\n");
}

static void wrong_types_and_keys_have_their_place(void **state)
{
        (void)state;
        expect("- a\n", "1:1 A sequence was not expected (write one value instead of a list)\n");
        expect("runs: []\n", "1:7 A sequence was not expected (write one value instead of a list)\n");
        expect("runs: {using: node20, main: ''}\n", "1:29 Unexpected value '' (expected a text)\n");
        expect("inputs: {a: 1}\nruns: {using: node20, main: x}\n", "1:13 Unexpected value '1' (expected a mapping)\n");
        expect("outputs: {a: {value: 1, valeu: 2}}\nruns: {using: node20, main: x}\n",
               "1:25 Unexpected value 'valeu' (did you mean 'value'?)\n");
        expect("inputs: {a: {}, A: {}}\nruns: {using: node20, main: x}\n",
               "1:17 'A' is already defined (keys that differ only in case are one key)\n");
        expect("runs:\n  using: composite\n  steps:\n    - {run: a, shell: sh, timeout-minutes: 1}\n",
               "4:27 Unexpected value 'timeout-minutes' (known keys here: name, id, if, run, shell, env, "
               "continue-on-error, "
               "working-directory, name, id, if, uses, with, env, continue-on-error)\n");
        expect("a: [\n", "2:1 invalid YAML: did not find expected node content, while parsing a flow node that began "
                         "at line 2\n");
}

static void step_ids_are_checked_as_in_a_job(void **state)
{
        (void)state;
        expect("runs:\n  using: composite\n  steps:\n    - {id: a, run: x, shell: sh}\n    - {id: A, run: x, shell: "
               "sh}\n",
               "5:12 The identifier 'A' may not be used more than once within the same scope. (ids that differ only in "
               "case are one id)\n");
}

#define AT_ONCE ". Located at position 1 within expression: "
#define ELSEWHERE " (this context is not available at this place (or does not exist))"

static void contexts_are_those_of_the_place(void **state)
{
        (void)state;
        expect("inputs: {a: {default: '${{ inputs.b }}'}}\nruns: {using: node20, main: x}\n",
               "1:24 Unrecognized named-value: 'inputs'" AT_ONCE "inputs.b" ELSEWHERE "\n");
        expect("runs:\n  using: composite\n  steps: [{run: 'echo ${{ secrets.x }}', shell: sh}]\n",
               "3:23 Unrecognized named-value: 'secrets'" AT_ONCE "secrets.x" ELSEWHERE "\n");
        expect("runs:\n  using: composite\n  steps: [{run: x, shell: sh, if: secrets.a}]\n",
               "3:35 Unrecognized named-value: 'secrets'" AT_ONCE "secrets.a" ELSEWHERE "\n");
        expect("outputs: {a: {value: '${{ needs.b }}'}}\nruns: {using: node20, main: x}\n",
               "1:23 Unrecognized named-value: 'needs'" AT_ONCE "needs.b" ELSEWHERE "\n");
        expect("name: ${{ github.sha }}\nruns: {using: node20, main: x}\n",
               "1:7 Unrecognized named-value: 'github'" AT_ONCE "github.sha" ELSEWHERE "\n");
        expect("name: ${{ 1 }}\nruns: {using: node20, main: x}\n",
               "1:7 A template expression is not allowed in this context (write the value out)\n");
}

static void conditions_of_pre_and_post_are_expressions(void **state)
{
        (void)state;
        expect("runs: {using: node20, main: x, pre-if: '1 ==', post-if: needs.x}\n",
               "1:40 Unexpected end of expression: '=='. Located at position 3 within expression: 1 ==\n"
               "1:57 Unrecognized named-value: 'needs'" AT_ONCE "needs.x" ELSEWHERE "\n");
        expect("runs: {using: node20, main: x, post-if: '${{ always() }}'}\n",
               "1:42 Unrecognized function: 'always'. Located at position 1 within expression: always()\n");
        expect("runs: {using: composite, steps: [{run: a, shell: sh, if: 'x ${{ always() }}'}]}\n",
               "warning 1:58 this condition is always true: text around ${{ }} makes it a string (put the whole "
               "condition into one ${{ }}, or leave ${{ }} out)\n");
}

static void sizes_are_bounded(void **state)
{
        (void)state;
        static char big[ACTION_MAX_SIZE + 2];
        size_t at = (size_t)sprintf(big, "runs: {using: node20, main: x}\n#");
        memset(big + at, 'a', sizeof(big) - at - 1);
        AUTO(auto_free) char *most = problems_of(big, ACTION_MAX_SIZE);
        assert_string_equal(most, "");
        AUTO(auto_free) char *more = problems_of(big, ACTION_MAX_SIZE + 1);
        assert_contains(more, "1:1 the file has 512001 bytes, more than the limit of 512000 (ACTION_MAX_SIZE)");
        at = (size_t)sprintf(big, "runs:\n  using: composite\n  steps:\n");
        for (int i = 0; i < WORKFLOW_MAX_STEPS; i++)
                at += (size_t)sprintf(big + at, "    - {run: a, shell: sh}\n");
        AUTO(auto_free) char *steps = problems_of(big, at);
        assert_string_equal(steps, "");
        at += (size_t)sprintf(big + at, "    - {run: a, shell: sh}\n");
        AUTO(auto_free) char *one_more = problems_of(big, at);
        assert_contains(one_more, "1004:7 more than 1000 steps (WORKFLOW_MAX_STEPS)");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_composite_action_is_read),
                cmocka_unit_test(a_javascript_action_is_read),
                cmocka_unit_test(a_docker_action_is_known_as_one),
                cmocka_unit_test(what_is_missing_is_named),
                cmocka_unit_test(wrong_types_and_keys_have_their_place),
                cmocka_unit_test(step_ids_are_checked_as_in_a_job),
                cmocka_unit_test(contexts_are_those_of_the_place),
                cmocka_unit_test(conditions_of_pre_and_post_are_expressions),
                cmocka_unit_test(sizes_are_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
