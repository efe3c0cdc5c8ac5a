/* Warnings about what is legal and surely wrong. */
#include "test.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/diag.h"
#include "workflow/workflow.h"

/* "LINE:COLUMN MESSAGE" per problem. */
static void expect(const char *text, const char *expected)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(workflow_freep) struct workflow *w = NULL;
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(diag_new("ci.yml", &problems, &e), 0);
        assert_int_equal(workflow_parse("ci.yml", text, strlen(text), problems, &w, &e), 0);
        assert_int_equal(workflow_lint(w, text, strlen(text), problems, &e), 0);
        for (size_t i = 0; i < diag_count(problems); i++) {
                const struct diag *d = diag_at(problems, i);
                assert_int_equal(d->severity, DIAG_WARNING);
                buf_printf(&b, NULL, "%u:%u %s\n", d->line, d->column, d->message);
        }
        if (strcmp(buf_cstr(&b), expected) != 0)
                fail_msg("%s\nexpected\n%sgot\n%s", text, expected, buf_cstr(&b));
        buf_done(&b);
}

/* One job on push whose lines are given; they begin in line 5, column 5. */
#define JOB(lines) "on: push\njobs:\n  a:\n    runs-on: x\n" lines
#define STEPS(lines) JOB("    steps:\n" lines)

static void a_condition_that_never_changes_is_told(void **state)
{
        (void)state;
        expect(STEPS("      - run: a\n        if: false\n"), "7:13 this condition is always false\n");
        expect(STEPS("      - run: a\n        if: ${{ 'x' == 'X' }}\n"), "7:13 this condition is always true\n");
        expect(JOB("    if: \"!true || 1 < 0\"\n    steps:\n      - run: a\n"), "5:9 this condition is always false\n");
        expect(STEPS("      - run: a\n        if: ${{ github.a1 }} && ${{ github.ref }}\n"),
               "7:13 this condition is always true: text around ${{ }} makes it a string\n"
               "7:13 github.a1 is always empty: there is no such member\n");
        expect(STEPS("      - run: a\n        if: always()\n      - run: b\n        if: hashFiles('a') != ''\n"
                     "      - run: c\n        if: env.X\n      - run: d\n        env: {if: 'true'}\n"),
               "");
}

static void results_of_steps_are_known_behind_them_only(void **state)
{
        (void)state;
        expect(JOB("    outputs:\n      o: ${{ steps.late.outputs.x }}\n    steps:\n"
                   "      - run: echo ${{ steps.late.outputs.x }} ${{ steps[env.X].outcome }}\n"
                   "      - id: Late\n        run: b\n"
                   "      - run: echo ${{ steps.late.outcom }} ${{ steps['LATE'].conclusion }} ${{ steps.*.outcome "
                   "}}\n"),
               "8:19 steps.late is always empty: no step before this one has that id\n"
               "11:19 steps.late.outcom is always empty: there is no such member\n");
}

static void results_of_jobs_are_those_that_the_job_needs(void **state)
{
        (void)state;
        expect("on: push\njobs:\n  a:\n    runs-on: x\n    outputs: {one: '1'}\n    steps:\n      - run: a\n"
               "  b:\n    needs: a\n    runs-on: x\n    steps:\n      - run: ${{ needs.a.outputs.one }} ${{ "
               "needs.a.result }}\n"
               "      - run: ${{ needs.a.outputs.two }}\n      - run: ${{ needs.b.result }}\n"
               "      - run: ${{ needs.a.state }}\n      - run: ${{ toJSON(needs.*.result) }}\n",
               "13:14 needs.a.outputs.two is always empty: that job has no such output\n"
               "14:14 needs.b is always empty: the job does not name it in `needs`\n"
               "15:14 needs.a.state is always empty: there is no such member\n");
}

static void keys_of_a_matrix_are_known_unless_an_expression_makes_them(void **state)
{
        (void)state;
        expect(JOB("    strategy:\n      matrix:\n        os: [a]\n        include: [{n: 1}]\n    steps:\n"
                   "      - run: ${{ matrix.os }} ${{ matrix.n }} ${{ matrix.x }}\n"),
               "10:47 matrix.x is always empty: the matrix has no such key\n");
        expect(JOB("    strategy:\n      matrix:\n        os: [a]\n        include: ${{ fromJSON(vars.X) }}\n    "
                   "steps:\n"
                   "      - run: ${{ matrix.x }}\n"),
               "");
        expect(JOB("    strategy:\n      matrix: ${{ fromJSON(vars.X) }}\n    steps:\n      - run: ${{ matrix.x }}\n"),
               "");
        expect(STEPS("      - run: ${{ matrix.x }}\n"), "6:14 matrix.x is always empty: the job has no matrix\n");
}

static void inputs_are_those_of_the_events(void **state)
{
        (void)state;
        expect("on:\n  workflow_dispatch:\n    inputs:\n      level: {type: string}\n  push:\njobs:\n  a:\n    "
               "runs-on: x\n"
               "    steps:\n      - run: ${{ inputs.level }} ${{ inputs.LEVEL }} ${{ inputs.lvl }}\n",
               "10:54 inputs.lvl is always empty: no event of the workflow has an input of that name\n");
}

static void a_default_that_does_not_fit_is_told(void **state)
{
        (void)state;
        expect("on:\n  workflow_dispatch:\n    inputs:\n      a: {type: number, default: many}\n"
               "      b: {type: number, default: '0x10'}\n      c: {type: choice, options: [x, '1'], default: y}\n"
               "      d: {type: choice, options: [x, '1'], default: 1}\n"
               "jobs:\n  a:\n    runs-on: x\n    steps: [{run: a}]\n",
               "4:34 the default 'many' is no number\n6:53 the default 'y' is none of the options\n");
}

static void members_that_no_context_has_are_told(void **state)
{
        (void)state;
        expect(STEPS("      - run: ${{ github.Ref }} ${{ github.event.any.thing }} ${{ github.branch }}\n"
                     "      - run: ${{ runner.os }} ${{ runner.cpu }} ${{ job.status }} ${{ job.name }}\n"
                     "      - run: ${{ strategy.job-index }} ${{ strategy.index }} ${{ env.X }} ${{ vars.X }}\n"),
               "6:62 github.branch is always empty: there is no such member\n"
               "7:31 runner.cpu is always empty: there is no such member\n"
               "7:67 job.name is always empty: there is no such member\n"
               "8:40 strategy.index is always empty: there is no such member\n");
}

static void what_anybody_writes_is_told_in_a_script_alone(void **state)
{
        static const char message[] =
                " is written by anybody and becomes part of the script: it can run commands here\n";
        char expected[800];
        (void)state;
        snprintf(expected, sizeof(expected),
                 "6:20 github.event.issue.title%s7:14 github.head_ref%s8:14 github.event.commits.*.message%s"
                 "12:29 github.event.comment.body%s",
                 message, message, message, message);
        expect(STEPS("      - run: echo \"${{ github.event.issue.title }}\"\n"
                     "      - run: ${{ format('{0}', github.ref || github.HEAD_REF) }}\n"
                     "      - run: ${{ join(github.event.commits.*.message) }}\n"
                     "      - uses: a/b@v1\n        with: {title: '${{ github.event.issue.title }}'}\n"
                     "      - uses: actions/github-script@v7\n        with: {script: 'log(${{ "
                     "github.event.comment.body }})'}\n"
                     "      - run: echo \"$T\"\n        env: {T: '${{ github.event.issue.title }}'}\n"
                     "      - run: ${{ contains(github.event.issue.title, 'x') && 'y' || github.event.issue.title == "
                     "'z' }}\n"
                     "        if: github.event.issue.title\n"),
               expected);
}

static void a_format_that_can_only_fail_is_told(void **state)
{
        (void)state;
        expect(STEPS("      - run: ${{ format('{0} {1}', 1) }}\n      - run: a\n        if: format('{', env.X)\n"
                     "      - run: ${{ format(env.F, 1) }} ${{ format('{{{0}}}', 1) }}\n"),
               "6:14 The following format string references more arguments than were supplied: {0} {1}\n"
               "8:13 The following format string is invalid: {\n");
}

static void shells_and_commands_that_do_not_exist_are_told(void **state)
{
        (void)state;
        expect("on: push\ndefaults: {run: {shell: zsch}}\njobs:\n  a:\n    runs-on: x\n    defaults: {run: {shell: "
               "'perl {0}'}}\n"
               "    steps:\n      - run: echo ::set-output name=a::b\n        shell: fish\n      - run: a\n        "
               "shell: bash\n",
               "2:25 the shell 'zsch' is not known\n"
               "8:14 the command ::set-output is given up at GitHub\n"
               "9:16 the shell 'fish' is not known\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_condition_that_never_changes_is_told),
                cmocka_unit_test(results_of_steps_are_known_behind_them_only),
                cmocka_unit_test(results_of_jobs_are_those_that_the_job_needs),
                cmocka_unit_test(keys_of_a_matrix_are_known_unless_an_expression_makes_them),
                cmocka_unit_test(inputs_are_those_of_the_events),
                cmocka_unit_test(a_default_that_does_not_fit_is_told),
                cmocka_unit_test(members_that_no_context_has_are_told),
                cmocka_unit_test(what_anybody_writes_is_told_in_a_script_alone),
                cmocka_unit_test(a_format_that_can_only_fail_is_told),
                cmocka_unit_test(shells_and_commands_that_do_not_exist_are_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
