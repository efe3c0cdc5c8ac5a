/* Workflow files: what is read, what is refused and where; which event starts a workflow. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "codec/diag.h"
#include "workflow/workflow.h"

static struct workflow *parse_bytes(const char *text, size_t len, struct diag_list **problems)
{
        struct workflow *w = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(diag_new("ci.yml", problems, &e), 0);
        int r = workflow_parse(".github/workflows/ci.yml", text, len, *problems, &w, &e);
        if (r < 0)
                fail_msg("%s", e.msg);
        assert_int_equal(r == 0, w != NULL);
        assert_int_equal(r == 0, diag_errors(*problems) == 0);
        return w;
}

static struct workflow *parse(const char *text)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct workflow *w = parse_bytes(text, strlen(text), &problems);
        if (!w)
                fail_msg("%u:%u: %s", diag_at(problems, 0)->line, diag_at(problems, 0)->column,
                         diag_at(problems, 0)->message);
        return w;
}

/* All problems as "LINE:COLUMN MESSAGE (HINT)" lines. */
static char *problems_of(const char *text, size_t len)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        /* Only what it complains about is wanted. */
        AUTO(workflow_freep) __attribute__((unused)) struct workflow *w = parse_bytes(text, len, &problems);
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

static void expect_one(const char *text, const char *part)
{
        AUTO(auto_free) char *got = problems_of(text, strlen(text));
        assert_contains(got, part);
}

#define STEPS "    runs-on: x\n    steps: [{run: a}]\n"

static void a_whole_workflow_is_read(void **state)
{
        (void)state;
        struct buf text = BUF_INIT;
        AUTO(auto_free) char *path = fs_join(getenv("DATA"), "full.yml");
        assert_int_equal(fs_read(path, 1 << 20, &text, NULL), 0);
        AUTO(workflow_freep) struct workflow *w = parse(buf_cstr(&text));
        buf_done(&text);
        assert_string_equal(workflow_title(w), "Full");
        assert_int_equal(w->n_events, 4);
        const struct wf_event *push = workflow_event(w, "push");
        assert_int_equal(push->branches.n, 2);
        assert_true(push->paths_ignore);
        const struct wf_event *dispatch = workflow_event(w, "workflow_dispatch");
        assert_int_equal(dispatch->n_inputs, 2);
        assert_string_equal(dispatch->inputs[0].type.text, "choice");
        assert_true(dispatch->inputs[0].required);
        assert_string_equal(workflow_event(w, "schedule")->crons.v[0].text, "30 5 * * 1-5");
        assert_string_equal(w->env.v[0].value.text, "1.2"); /* 1.20 is a number */
        assert_string_equal(w->env.v[1].value.text, "1.20");
        assert_string_equal(w->env.v[2].value.text, "true");
        const struct wf_job *build = workflow_job(w, "BUILD");
        assert_string_equal(build->id.text, "build");
        assert_int_equal(build->id.pos.line, 32);
        assert_int_equal(build->n_steps, 4);
        assert_string_equal(build->timeout_minutes.text, "15");
        assert_true(build->strategy.given && build->strategy.matrix);
        assert_string_equal(build->outputs.v[0].value.text, "${{ steps.v.outputs.v }}");
        assert_string_equal(build->steps[1].id.text, "v");
        assert_string_equal(build->steps[1].run.text, "echo \"${{ github.sha }}\"\necho v=1 >> \"$GITHUB_OUTPUT\"\n");
        assert_int_equal(build->steps[0].kind, WF_STEP_USES);
        assert_string_equal(build->steps[0].with.v[0].value.text, "0");
        assert_string_equal(build->steps[3].condition.text, "always() && steps.v.outcome == 'success'");
        const struct wf_job *test = workflow_job(w, "test");
        assert_int_equal(test->runs_on.labels.n, 2);
        assert_int_equal(test->needs_index[0], 0);
        assert_string_equal(test->defaults.shell.text, "bash");
        assert_null(workflow_job(w, "nothing"));
}

static void unknown_keys_are_refused_with_the_nearest_known_one(void **state)
{
        (void)state;
        expect("on: push\njobs:\n  a:\n    runs_on: x\n    steps: [{run: a}]\n",
               "4:5 Unexpected value 'runs_on' (did you mean 'runs-on'?)\n4:5 Required property is missing: runs-on\n");
        expect("on: push\njobs:\n  a:\n    runs-on: x\n    steps: 1.20\n",
               "5:12 Unexpected value '1.2' (expected a list)\n");
        expect("on: psh\njobs:\n  a:\n" STEPS, "1:5 Unexpected value 'psh' (did you mean 'push'?)\n");
        expect_one("on: push\nenvv: {}\njobs:\n  a:\n" STEPS, "2:1 Unexpected value 'envv' (did you mean 'env'?)");
        expect_one("on: push\nzzzzzz: {}\njobs:\n  a:\n" STEPS,
                   "2:1 Unexpected value 'zzzzzz' (known keys here: on, name,");
        expect_one("on: push\njobs:\n  a:\n    Env: {}\n" STEPS, "4:5 Unexpected value 'Env' (did you mean 'env'?)");
}

static void required_keys_are_missed(void **state)
{
        (void)state;
        expect("jobs:\n  a:\n" STEPS, "1:1 Required property is missing: on\n");
        expect("on: push\n", "1:1 Required property is missing: jobs\n");
        expect("on: push\njobs: {}\n", "2:7 The workflow must contain at least one job with no dependencies.\n");
        expect_one("on: push\njobs:\n  a: {runs-on: x, steps: [{name: y}]}\n",
                   "There's not enough info to determine what you meant.");
        expect_one("", "Unexpected value ''");
}

static void types_are_checked(void **state)
{
        (void)state;
        expect("on: push\njobs:\n  a:\n    timeout-minutes: soon\n" STEPS,
               "4:22 Unexpected value 'soon' (expected a number)\n");
        expect("on: push\njobs:\n  a:\n    timeout-minutes: [1]\n" STEPS,
               "4:22 A sequence was not expected (write one value instead of a list)\n");
        expect("on: push\njobs:\n  a:\n    continue-on-error: 'yes'\n" STEPS,
               "4:24 Unexpected value 'yes' (expected true or false)\n");
        expect("on: push\njobs:\n  a:\n    env: x\n" STEPS, "4:10 Unexpected value 'x' (expected a mapping)\n");
        expect("on: push\njobs: [a]\n", "2:7 A sequence was not expected (write one value instead of a list)\n");
        expect("on: push\njobs:\n  a:\n    runs-on: x\n    steps: {run: a}\n",
               "5:12 A mapping was not expected (write one value instead of a mapping)\n");
        expect("on: push\npermissions: {contents: rw}\njobs:\n  a:\n" STEPS,
               "2:25 Unexpected value 'rw' (expected read, write, none)\n");
}

static void exactly_one_of_run_and_uses(void **state)
{
        (void)state;
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: a, uses: b@v1}]\n",
                   "5:22 Unexpected value 'uses' (this key does not go together with the keys before it)");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{uses: b@v1, shell: bash}]\n",
                   "Unexpected value 'shell'");
        expect_one("on: push\njobs:\n  a:\n    uses: ./x.yml\n    steps: [{run: a}]\n", "5:5 Unexpected value 'steps'");
}

static void ids_are_checked(void **state)
{
        (void)state;
        expect_one("on: push\njobs:\n  1a:\n" STEPS, "3:3 The identifier '1a' is invalid.");
        expect_one("on: push\njobs:\n  a b:\n" STEPS, "3:3 The identifier 'a b' is invalid.");
        expect_one("on: push\njobs:\n  __a:\n" STEPS, "IDs starting with '__' are reserved");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: a, id: x}, {run: a, id: X}]\n",
                   "5:43 The identifier 'X' may not be used more than once within the same scope.");
        expect_one("on: push\njobs:\n  a:\n" STEPS "  A:\n" STEPS, "6:3 'A' is already defined");
        char id[WORKFLOW_MAX_ID + 1], text[400];
        memset(id, 'a', sizeof(id));
        id[WORKFLOW_MAX_ID] = '\0';
        snprintf(text, sizeof(text), "on: push\njobs:\n  %s:\n" STEPS, id);
        expect_one(text, "must be less than 100 characters");
        snprintf(text, sizeof(text), "on: push\njobs:\n  %s:\n" STEPS, id + 1);
        expect(text, "");
}

static void needs_must_be_known_and_without_a_cycle(void **state)
{
        (void)state;
        expect("on: push\njobs:\n  build:\n" STEPS "  b:\n    needs: [biuld]\n" STEPS,
               "7:13 Job 'b' depends on unknown job 'biuld'. (did you mean 'build'?)\n");
        expect("on: push\njobs:\n  a:\n    needs: c\n" STEPS "  b:\n    needs: [a]\n" STEPS "  c:\n    needs: b\n" STEPS
               "  d:\n" STEPS,
               "8:13 Job 'b' depends on job 'a' which creates a cycle in the dependency graph. (the cycle: a -> c -> b "
               "-> a)\n");
        expect_one("on: push\njobs:\n  a:\n    needs: a\n" STEPS, "the cycle: a -> a");
        AUTO(workflow_freep)
        struct workflow *w = parse("on: push\njobs:\n  a:\n" STEPS "  b:\n    needs: [a, A]\n" STEPS);
        assert_int_equal(w->jobs[1].needs.n, 1);
}

static void expressions_are_checked_with_the_contexts_of_their_place(void **state)
{
        (void)state;
        expect_one("on: push\njobs:\n  a:\n    if: secrets.x\n" STEPS, "4:9 Unrecognized named-value: 'secrets'.");
        expect_one("on: push\njobs:\n  a:\n    name: ${{ steps.x }}\n" STEPS,
                   "4:11 Unrecognized named-value: 'steps'.");
        expect_one("on: push\njobs:\n  a:\n    env: {A: '${{ hashFiles(1) }}'}\n" STEPS,
                   "4:15 Unrecognized function: 'hashFiles'.");
        expect("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: '${{ hashFiles(1) }} ${{ env.A }}', if: "
               "hashFiles('x')}]\n",
               "");
        expect_one("on: push\nname: ${{ github.x }}\njobs:\n  a:\n" STEPS, "2:7 Unrecognized named-value: 'github'.");
        expect_one("on: push\nname: ${{ 1 }}\njobs:\n  a:\n" STEPS,
                   "2:7 A template expression is not allowed in this context");
        expect_one("on: push\njobs:\n  a:\n    if: success('b')\n" STEPS
                   "  b:\n    if: failure() && always()\n    runs-on: x\n    steps: [{run: a, if: success('a')}]\n",
                   "10:26 Too many parameters supplied: 'success'.");
}

static void an_expression_in_a_block_is_found_in_its_line(void **state)
{
        (void)state;
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          echo ${{ github.x "
                   "}}\n            \xc3\xa4 ${{ nope }}\n",
                   "8:15 Unrecognized named-value: 'nope'.");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{ 1\n",
                   "6:14 The expression is not closed.");
}

static void a_condition_that_is_always_true_is_a_warning(void **state)
{
        (void)state;
        expect("on: push\njobs:\n  a:\n    if: ${{ github.ref }} == 'x'\n" STEPS,
               "warning 4:9 this condition is always true: text around ${{ }} makes it a string (put the whole "
               "condition into one ${{ }}, or leave ${{ }} out)\n");
        expect("on: push\njobs:\n  a:\n    if: ${{ github.ref == 'x' }}\n" STEPS, "");
}

static void filters_and_patterns_are_checked(void **state)
{
        (void)state;
        expect_one("on: {push: {branches: a, branches-ignore: b}}\njobs:\n  a:\n" STEPS,
                   "warning 1:43 you may only define one of `branches` and `branches-ignore` for a single event");
        expect_one("on: {push: {paths: ['a[b']}}\njobs:\n  a:\n" STEPS, "1:21 'a[b' is no pattern: a '[' has no ']'");
        expect_one("on: {schedule: [{cron: '* * * *'}]}\njobs:\n  a:\n" STEPS, "1:24 Invalid cron expression.");
        expect_one("on: {schedule: [{cron: '60 * * * *'}]}\njobs:\n  a:\n" STEPS, "1:24 Invalid cron expression.");
        expect("on: {schedule: [{cron: '*/5 0-6,12 1 JAN-mar sun', timezone: Europe/Paris}]}\njobs:\n  a:\n" STEPS, "");
        expect_one("on: {workflow_dispatch: {inputs: {a: {type: choice}}}}\njobs:\n  a:\n" STEPS,
                   "1:38 Missing 'options' for choice input");
        expect_one("on: {workflow_dispatch: {inputs: {a: {type: boolean, default: 1}}}}\njobs:\n  a:\n" STEPS,
                   "must be true or false");
        expect_one("on: {pull_request: {types: [openned]}}\njobs:\n  a:\n" STEPS,
                   "1:29 Unexpected value 'openned' (did you mean 'opened'?)");
}

static void what_only_githubs_second_reader_sees_is_refused_too(void **state)
{
        (void)state;
        expect_one("on: push\njobs:\n  a:\n    container: {options: x}\n" STEPS,
                   "4:16 Container image cannot be empty (add `image`)");
        expect_one("on: push\njobs:\n  a:\n    services: {db: {ports: [80]}}\n" STEPS,
                   "4:20 Container image cannot be empty");
        expect("on: push\njobs:\n  a:\n    container: {options: '${{ github.ref }}'}\n" STEPS, "");
        expect_one("on: push\njobs:\n  a:\n    needs: b\n" STEPS "  b:\n    needs: a\n" STEPS,
                   "3:3 The workflow must contain at least one job with no dependencies.");
        expect_one("on: push\njobs:\n  a:\n    if: ${{ }}\n" STEPS, "4:9 An expression was expected");
        expect_one("on: push\njobs:\n  a:\n    needs: null\n" STEPS, "4:12 Unexpected value ''");
}

static void an_expression_may_be_a_key_where_contexts_are(void **state)
{
        (void)state;
        expect("on: push\njobs:\n  a:\n    env: {'${{ github.ref }}': b}\n" STEPS, "");
        expect("on: push\njobs:\n  a:\n    strategy: ${{ fromJSON(vars.X) }}\n" STEPS, "");
        expect_one("on: push\n'${{ github.ref }}': x\njobs:\n  a:\n" STEPS, "2:2 Unrecognized named-value: 'github'");
}

static void the_newer_steps_are_syntax(void **state)
{
        (void)state;
        expect("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n"
               "      - {run: a, id: s, background: true}\n      - {wait: s}\n      - {wait-all: }\n      - {cancel: "
               "s}\n      - {parallel: [{run: a}, {run: b}]}\n",
               "");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{wait: [z]}]\n",
                   "5:21 Step references unknown step ID 'z'");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{parallel: [{parallel: [{run: a}]}]}]\n",
                   "5:13 Nested 'parallel' blocks are not allowed.");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{parallel: [{run: a, background: true}]}]\n",
                   "5:13 'background' is not allowed inside a parallel block.");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: a, id: s}, {parallel: [{wait: s}]}]\n",
                   "5:30 'wait' is not allowed inside a parallel block.");
        expect_one("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{wait-all: false}]\n",
                   "5:24 The value of 'wait-all' must be true or omitted");
}

static void yaml_errors_are_problems_of_the_file(void **state)
{
        (void)state;
        expect("on: push\n\tjobs: x\n", "2:1 a tab is used where YAML allows only spaces (indentation)\n");
        expect("on: push\non: pull_request\n", "2:1 'on' is already defined at line 1, column 1\n");
        expect("a: &a {}\n<<: *a\n",
               "2:1 merge keys (<<) are not supported; repeat the keys, or use an alias for the whole value\n");
        AUTO(auto_free) char *got = problems_of("on: \0\n", 6);
        assert_string_equal(got, "1:5 a NUL byte; the file has to be text in UTF-8\n");
}

/* Every bad input of the list is answered; the runner of the tests bounds the time. */
static void bad_input_is_answered_with_a_place(void **state)
{
        (void)state;
        size_t n = 100000;
        static char big[11 << 20];
        memset(big, 'a', (size_t)10 << 20);
        AUTO(auto_free) char *size = problems_of(big, (size_t)10 << 20);
        assert_contains(size, "1:1 the file has 10485760 bytes, more than the limit of 512000 (WORKFLOW_MAX_SIZE)");
        memset(big, '[', n);
        AUTO(auto_free) char *depth = problems_of(big, n);
        assert_contains(depth, "1:101 nested deeper than 100 levels");
        size_t at = (size_t)sprintf(big, "on: push\njobs:\n  a:\n    if: ");
        memset(big + at, '(', n);
        memcpy(big + at + n, "\n" STEPS, strlen("\n" STEPS));
        AUTO(auto_free) char *parentheses = problems_of(big, at + n + strlen("\n" STEPS));
        assert_contains(parentheses, "4:9 Exceeded max expression length 21000");
        at = (size_t)sprintf(big, "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n");
        for (int i = 0; i <= WORKFLOW_MAX_STEPS; i++)
                at += (size_t)sprintf(big + at, "    - run: a\n");
        AUTO(auto_free) char *steps = problems_of(big, at);
        assert_contains(steps, "1006:7 more than 1000 steps (WORKFLOW_MAX_STEPS)");
        at = (size_t)sprintf(big, "on: push\njobs:\n");
        for (int i = 0; i <= WORKFLOW_MAX_JOBS; i++)
                at += (size_t)sprintf(big + at, "  a%d: {runs-on: x}\n", i);
        AUTO(auto_free) char *jobs = problems_of(big, at);
        assert_contains(jobs, "1003:3 more than 1000 jobs in a workflow (WORKFLOW_MAX_JOBS)");
}

static void a_hundred_problems_are_kept_and_the_rest_counted(void **state)
{
        (void)state;
        char text[8192] = "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: a}]\n    env:\n";
        for (int i = 0; i < DIAG_MAX + 5; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "      a%d: [1]\n", i);
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct buf b = BUF_INIT;
        assert_null(parse_bytes(text, strlen(text), &problems));
        assert_int_equal(diag_count(problems), DIAG_MAX);
        assert_int_equal(diag_dropped(problems), 5);
        assert_int_equal(diag_errors(problems), DIAG_MAX + 5);
        assert_int_equal(diag_render(problems, NULL, 0, &b, NULL), 0);
        assert_contains(buf_cstr(&b), "5 more problems are not shown");
        buf_done(&b);
}

static void a_problem_is_shown_with_its_line_and_a_caret(void **state)
{
        (void)state;
        const char *text = "on: push\njobs:\n  a:\n    r\xc3\xa4: \x1b[31m\n" STEPS;
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(diag_new("c\x1b.yml", &problems, &e), 0);
        diag_add(problems, DIAG_ERROR, 4, 5, 2, "do \x07 this", &e, "bad \x1b[2J key '%s'\nb.yml:1:1: error: forged",
                 "r\xc3\xa4");
        assert_int_equal(diag_render(problems, text, strlen(text), &b, &e), 0);
        assert_string_equal(buf_cstr(&b),
                            "c\\x1b.yml:4:5: error: bad \\x1b[2J key 'r\xc3\xa4'\\nb.yml:1:1: error: forged\n"
                            "     4 |     r\xc3\xa4: \n"
                            "       |     ^^\n"
                            "  hint: do \\x07 this\n");
        buf_done(&b);
        assert_int_equal(diag_to_err(problems, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
}

static void problems_of_called_files_are_shown_with_theirs_and_the_callers_place(void **state)
{
        (void)state;
        static const char inner[] = "on: workflow_call\nx: 1\n";
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        size_t top, first;
        assert_int_equal(diag_new("ci.yml", &problems, &e), 0);
        assert_int_equal(diag_enter(problems, "a.yml", inner, strlen(inner), 5, 11, &top, &e), 0);
        assert_int_equal(diag_enter(problems, "b.yml", NULL, 0, 7, 2, &first, &e), 0);
        diag_add(problems, DIAG_WARNING, 1, 1, 1, NULL, &e, "deepest");
        diag_leave(problems, first);
        diag_add(problems, DIAG_ERROR, 2, 1, 1, NULL, &e, "inner");
        diag_leave(problems, top);
        diag_add(problems, DIAG_WARNING, 9, 1, 1, NULL, &e, "own");
        diag_sort(problems);
        assert_int_equal(diag_render(problems, NULL, 0, &b, &e), 0);
        assert_string_equal(buf_cstr(&b), "ci.yml:9:1: warning: own\n"
                                          "a.yml:2:1: error: inner\n"
                                          "     2 | x: 1\n"
                                          "       | ^\n"
                                          "  called from ci.yml:5:11\n"
                                          "b.yml:1:1: warning: deepest\n"
                                          "  called from a.yml:7:2, called from ci.yml:5:11\n");
        assert_int_equal(diag_to_err(problems, &e), -1);
        assert_string_equal(e.msg, "a.yml:2:1: inner (called from ci.yml:5:11)");
}

static bool selects(const char *on, const char *event, const char *ref, const char *path)
{
        char text[512];
        snprintf(text, sizeof(text), "on: %s\njobs:\n  a:\n" STEPS, on);
        AUTO(workflow_freep) struct workflow *w = parse(text);
        const char *reason, *paths[] = {path};
        struct workflow_trigger t = {.event = event, .ref = ref, .paths = path ? paths : NULL, .n_paths = path ? 1 : 0};
        bool selected = workflow_selects(w, &t, &reason);
        assert_int_equal(selected, reason == NULL);
        return selected;
}

#define MAIN "refs/heads/main"
#define TAG "refs/tags/v1"

static void events_select_workflows(void **state)
{
        (void)state;
        assert_true(selects("push", "push", MAIN, NULL));
        assert_false(selects("push", "pull_request", MAIN, NULL));
        assert_true(selects("[push, pull_request]", "pull_request", MAIN, NULL));
        assert_true(selects("{push: {branches: [main]}}", "push", MAIN, NULL));
        assert_false(selects("{push: {branches: [dev]}}", "push", MAIN, NULL));
        assert_false(selects("{push: {branches: [main]}}", "push", TAG, NULL)); /* branches alone exclude tags */
        assert_false(selects("{push: {tags: ['v*']}}", "push", MAIN, NULL));
        assert_true(selects("{push: {tags: ['v*']}}", "push", TAG, NULL));
        assert_true(selects("{push: {branches: [main], tags: ['v*']}}", "push", TAG, NULL));
        assert_false(selects("{push: {branches-ignore: [main]}}", "push", MAIN, NULL));
        assert_true(selects("{push: {branches-ignore: [dev]}}", "push", MAIN, NULL));
        assert_true(selects("push", "push", TAG, NULL));
        assert_false(selects("{push: {branches: ['**', '!main']}}", "push", MAIN, NULL));
        assert_true(selects("{push: {branches: ['!main', 'm*']}}", "push", MAIN, NULL)); /* the last match decides */
}

static void changed_paths_select_workflows(void **state)
{
        (void)state;
        assert_true(selects("{push: {paths: ['src/**']}}", "push", MAIN, "src/a/b.c"));
        assert_false(selects("{push: {paths: ['src/**']}}", "push", MAIN, "docs/x"));
        assert_true(selects("{push: {paths: ['src/**']}}", "push", MAIN, NULL)); /* unknown: passes */
        assert_false(selects("{push: {paths-ignore: ['docs/**']}}", "push", MAIN, "docs/x"));
        assert_true(selects("{push: {paths-ignore: ['docs/**']}}", "push", MAIN, "src/x"));
        assert_false(selects("{push: {paths: ['src/**', '!src/gen/**']}}", "push", MAIN, "src/gen/x"));
        assert_true(selects("{push: {tags: ['v*'], paths: ['src/**']}}", "push", TAG, "docs/x")); /* not for tags */
}

static void activity_types_select_workflows(void **state)
{
        (void)state;
        static const char *const cases[][3] = {
                {"pull_request", "opened", "yes"},
                {"pull_request", "labeled", "no"},
                {"{pull_request: {types: [labeled]}}", "labeled", "yes"},
                {"{pull_request: {types: [labeled]}}", "opened", "no"},
                {"pull_request", NULL, "yes"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[256];
                snprintf(text, sizeof(text), "on: %s\njobs:\n  a:\n" STEPS, cases[i][0]);
                AUTO(workflow_freep) struct workflow *w = parse(text);
                struct workflow_trigger t = {.event = "pull_request", .type = cases[i][1]};
                assert_int_equal(workflow_selects(w, &t, NULL), cases[i][2][0] == 'y');
        }
}

static void globs_match_as_githubs_table_says(void **state)
{
        (void)state;
        static const struct {
                const char *pattern, *text;
                bool matches;
        } cases[] = {
                {"feature/*", "feature/my-branch", true},
                {"feature/*", "feature/a/b", false},
                {"feature/**", "feature/beta-a/my-branch", true},
                {"main", "main", true},
                {"main", "maintain", false},
                {"*", "main", true},
                {"*", "a/b", false},
                {"**", "all/the/branches", true},
                {"*feature", "ver-10-feature", true},
                {"v2*", "v2.9", true},
                {"v[12].[0-9]+.[0-9]+", "v1.10.1", true},
                {"v[12].[0-9]+.[0-9]+", "v3.0.0", false},
                {"*.jsx?", "page.js", true},
                {"*.jsx?", "page.jsx", true},
                {"*.jsx?", "page.jsxx", false},
                {"**.js", "src/js/app.js", true},
                {"*.js", "js/index.js", false},
                {"docs/*", "docs/a/b", false},
                {"docs/**/*.md", "docs/README.md", true},
                {"docs/**/*.md", "docs/a/markdown/file.md", true},
                {"**/docs/**", "docs/hello.md", true},
                {"**/docs/**", "dir/docs/my-file.txt", true},
                {"**/README.md", "README.md", true},
                {"**/*src/**", "a/src/app.js", true},
                {"**/*-post.md", "path/their-post.md", true},
                {"**/migrate-*.sql", "db/sept/migrate-v1.sql", true},
                {"a\\*b", "a*b", true},
                {"a\\*b", "axb", false},
                {"\xc3\xa4+", "\xc3\xa4\xc3\xa4", true},
                {"[]a]", "]", true},
                {"", "", true},
                {"a", "", false},
                {"a?", "", true},
                {"ab?c", "ac", true},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                if (workflow_glob(cases[i].pattern, cases[i].text) != cases[i].matches)
                        fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].text);
}

static void a_hostile_pattern_ends(void **state)
{
        (void)state;
        char pattern[400] = "", text[400];
        for (int i = 0; i < 60; i++)
                strcat(pattern, "**a");
        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        text[sizeof(text) - 2] = 'b';
        assert_false(workflow_glob(pattern, text));
        const char *reason;
        assert_false(workflow_glob_check("", &reason));
        assert_false(workflow_glob_check("+a", &reason));
        assert_false(workflow_glob_check("a\\", &reason));
        assert_true(workflow_glob_check("[a-z]?**", &reason));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_workflow_is_read),
                cmocka_unit_test(unknown_keys_are_refused_with_the_nearest_known_one),
                cmocka_unit_test(required_keys_are_missed),
                cmocka_unit_test(types_are_checked),
                cmocka_unit_test(exactly_one_of_run_and_uses),
                cmocka_unit_test(ids_are_checked),
                cmocka_unit_test(needs_must_be_known_and_without_a_cycle),
                cmocka_unit_test(expressions_are_checked_with_the_contexts_of_their_place),
                cmocka_unit_test(an_expression_in_a_block_is_found_in_its_line),
                cmocka_unit_test(a_condition_that_is_always_true_is_a_warning),
                cmocka_unit_test(filters_and_patterns_are_checked),
                cmocka_unit_test(what_only_githubs_second_reader_sees_is_refused_too),
                cmocka_unit_test(an_expression_may_be_a_key_where_contexts_are),
                cmocka_unit_test(the_newer_steps_are_syntax),
                cmocka_unit_test(yaml_errors_are_problems_of_the_file),
                cmocka_unit_test(bad_input_is_answered_with_a_place),
                cmocka_unit_test(a_hundred_problems_are_kept_and_the_rest_counted),
                cmocka_unit_test(a_problem_is_shown_with_its_line_and_a_caret),
                cmocka_unit_test(problems_of_called_files_are_shown_with_theirs_and_the_callers_place),
                cmocka_unit_test(events_select_workflows),
                cmocka_unit_test(changed_paths_select_workflows),
                cmocka_unit_test(activity_types_select_workflows),
                cmocka_unit_test(globs_match_as_githubs_table_says),
                cmocka_unit_test(a_hostile_pattern_ends),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
