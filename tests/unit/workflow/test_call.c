/* Workflows that call each other: names, inputs, what is refused and where, limits. */
#include "test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "codec/diag.h"
#include "test_files.h"
#include "workflow/plan.h"

#define F ".github/workflows/"
#define STEPS "    runs-on: x\n    steps: [{run: a}]\n"

struct world {
        struct library *library;
        struct workflow *workflow;
        struct plan *plan;
        struct diag_list *problems;
        struct value *contexts;
        struct err e;
};

static void world_done(struct world *w)
{
        plan_free(w->plan);
        workflow_free(w->workflow);
        library_free(w->library);
        diag_free(w->problems);
        value_unref(w->contexts);
}

/* Plan the jobs of a file F "ci.yml", which begins with three lines of its own. */
static int plan(struct world *w, const char *jobs, const struct test_file *files)
{
        static const char contexts[] =
                "{\"github\":{\"ref\":\"refs/heads/main\",\"actor\":\"ada\",\"repository\":\"o/r\"},"
                "\"inputs\":{\"own\":\"mine\"},\"vars\":{\"V\":\"7\"},\"secrets\":{}}";
        AUTO(auto_free) char *text = str_printf("on: push\nenv: {TOP: 1}\njobs:\n%s", jobs);
        *w = (struct world){.e = ERR_INIT};
        assert_int_equal(test_files_library(files, &w->library, &w->e), 0);
        assert_int_equal(diag_new(F "ci.yml", &w->problems, &w->e), 0);
        assert_int_equal(value_parse_json(contexts, strlen(contexts), NULL, &w->contexts, &w->e), 0);
        if (workflow_parse(F "ci.yml", text, strlen(text), w->problems, &w->workflow, &w->e))
                fail_msg("%u: %s", diag_at(w->problems, 0)->line, diag_at(w->problems, 0)->message);
        struct plan_options o = {.contexts = w->contexts, .library = w->library, .source = text, .len = strlen(text)};
        return plan_new(w->workflow, &o, w->problems, &w->plan, &w->e);
}

static void planned(struct world *w, const char *jobs, const struct test_file *files)
{
        if (plan(w, jobs, files))
                fail_msg("%s %s", w->e.msg, diag_to_err(w->problems, &w->e) ? w->e.msg : "");
}

/* The first error is "FILE:LINE:COLUMN: ... part ...". */
static void refused(const char *jobs, const struct test_file *files, const char *place, const char *part)
{
        struct world w;
        struct err e = ERR_INIT;
        assert_int_equal(plan(&w, jobs, files), PLAN_E_REFUSED);
        assert_null(w.plan);
        assert_int_equal(diag_to_err(w.problems, &e), -1);
        if (!str_starts(e.msg, place) || e.msg[strlen(place)] != ':')
                fail_msg("expected '%s' first in '%s'", place, e.msg);
        assert_contains(e.msg, part);
        world_done(&w);
}

static const struct plan_instance *instance(const struct plan *p, size_t job, size_t i)
{
        assert_true(job < p->n_jobs && i < p->jobs[job].expansion.n);
        return p->jobs[job].expansion.v[i];
}

#define CALL(file) "    uses: ./" F file "\n"
#define CALLED(jobs) "on:\n  workflow_call:\njobs:\n" jobs

static void jobs_of_a_called_workflow_are_named_after_their_caller(void **state)
{
        (void)state;
        static const struct test_file files[] = {
                {F "a.yml", CALLED("  build:\n    strategy: {matrix: {os: [l, w]}}\n" STEPS
                                   "  deep:\n    name: In the deep\n    needs: build\n" CALL("b.yml"))},
                {F "b.yml", CALLED("  last:\n    name: last of ${{ github.actor }}\n" STEPS)},
                {0}};
        struct world w;
        planned(&w,
                "  one:\n" CALL("a.yml") "  two:\n    name: Two\n    needs: one\n    strategy: {matrix: {n: [1, "
                                         "2]}}\n" CALL("b.yml"),
                files);
        const struct plan_instance *one = instance(w.plan, 0, 0);
        assert_string_equal(one->key, "one");
        assert_int_equal(one->labels.n, 0);
        assert_string_equal(one->called->workflow->file, F "a.yml");
        assert_string_equal(instance(one->called, 0, 1)->name, "one / build (w)");
        assert_string_equal(instance(one->called, 0, 1)->key, "one.build.2");
        const struct plan_instance *deep = instance(one->called, 1, 0);
        assert_int_equal(one->called->jobs[1].needs[0], 0);
        assert_string_equal(instance(deep->called, 0, 0)->name, "one / In the deep / last of ada");
        assert_string_equal(instance(deep->called, 0, 0)->key, "one.deep.last");
        assert_string_equal(instance(instance(w.plan, 1, 1)->called, 0, 0)->name, "Two (2) / last of ada");
        assert_string_equal(instance(instance(w.plan, 1, 1)->called, 0, 0)->key, "two.2.last");
        assert_null(instance(one->called, 0, 0)->called);
        world_done(&w);
}

#define INPUTS                                                                                                         \
        "on:\n  workflow_call:\n    inputs:\n      s: {type: string, required: true}\n      n: {type: number}\n"       \
        "      b: {type: boolean}\n      d: {type: string, default: 'by ${{ github.actor }}, ${{ inputs.own }}'}\n"

static void inputs_have_their_types_and_defaults_of_the_callers_contexts(void **state)
{
        (void)state;
        static const struct test_file files[] = {{F "a.yml", INPUTS "jobs:\n  j:\n" STEPS}, {0}};
        static const struct {
                const char *with, *expected;
        } cases[] = {
                {"{s: 1.20}", "{\"s\":\"1.2\",\"n\":0,\"b\":false,\"d\":\"by ada, mine\"}"},
                {"{s: '', n: 0x10, b: true, d: x}", "{\"s\":\"\",\"n\":16,\"b\":true,\"d\":\"x\"}"},
                {"{s: '${{ vars.V }}', n: '${{ fromJSON(vars.V) }}', b: \"${{ vars.V == '7' }}\", d: }",
                 "{\"s\":\"7\",\"n\":7,\"b\":true,\"d\":\"\"}"},
                {"{S: '${{ matrix.m }}-${{ strategy.job-total }}', N: '${{ matrix.m }}'}",
                 "{\"s\":\"3-1\",\"n\":3,\"b\":false,\"d\":\"by ada, mine\"}"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct world w;
                AUTO(buf_done) struct buf text = BUF_INIT;
                AUTO(auto_free)
                char *jobs = str_printf("  c:\n    strategy: {matrix: {m: [3]}}\n" CALL("a.yml") "    with: %s\n",
                                        cases[i].with);
                planned(&w, jobs, files);
                assert_int_equal(value_to_json_text(instance(w.plan, 0, 0)->called->inputs, 0, &text, &w.e), 0);
                assert_string_equal(buf_cstr(&text), cases[i].expected);
                world_done(&w);
        }
}

static void a_call_that_cannot_work_is_refused_with_both_places(void **state)
{
        (void)state;
        static const struct {
                const char *call, *called, *place, *part;
        } cases[] = {
                {"uses: ./" F "none.yml", "", F "ci.yml:5:11", "the repository has no workflow '" F "none.yml'"},
                {"uses: o/r/" F "x.yml@v1", "", F "ci.yml:5:11", "a workflow of another repository cannot be called"},
                {"uses: ./x.yml", "", F "ci.yml:5:11", "must stand in .github/workflows"},
                {"uses: ./" F "sub/x.yml", "", F "ci.yml:5:11", "must stand in the workflow folder itself"},
                {"uses: ./" F "a.yml@v1", "", F "ci.yml:5:11", "without a version"},
                {"uses: ./" F "a.txt", "", F "ci.yml:5:11", "must be a .yml or .yaml file"},
                {"uses: ./" F "../workflows/a.yml", "", F "ci.yml:5:11", "must stand in the workflow folder itself"},
                {"uses: ./" F "ci.yml", "", F "ci.yml:5:11", "the workflow calls itself"},
                {"uses: ./" F "a.yml", "on: [push, issues]\njobs:\n  j:\n" STEPS, F "ci.yml:5:11",
                 "workflow_call key is not defined in the referenced workflow (" F "a.yml:1:6)"},
                {"uses: ./" F "a.yml", CALLED("  j:\n" CALL("a.yml")), F "a.yml:5:11",
                 "calls itself through " F "a.yml (called from " F "ci.yml:5:11)"},
                {"uses: ./" F "a.yml", CALLED("  j:\n" CALL("ci.yml")), F "a.yml:5:11",
                 "calls itself through " F "ci.yml"},
                {"uses: ./" F "a.yml", CALLED("  j:\n    container: x\n" STEPS), F "a.yml:5:16",
                 "`container` cannot be run yet (called from " F "ci.yml:5:11)"},
                {"uses: ./" F "a.yml", CALLED("  j:\n    runs_on: x\n    steps: [{run: a}]\n"), F "a.yml:5:5",
                 "'runs_on' (called from " F "ci.yml:5:11)"},
                {"uses: ./" F "a.yml", "on: [\n", F "a.yml:2:1", "(called from " F "ci.yml:5:11)"},
                /* inputs */
                {"uses: ./" F "a.yml", INPUTS "jobs:\n  j:\n" STEPS, F "ci.yml:5:11",
                 "Input s is required, but not provided while calling (declared at " F "a.yml:4:7)"},
                {"{uses: ./" F "a.yml, with: {s: x, ss: y}}", INPUTS "jobs:\n  j:\n" STEPS, F "ci.yml:5:55",
                 "Invalid input, ss is not defined in the referenced workflow (" F "a.yml:2:3)"},
                {"{uses: ./" F "a.yml, with: {s: x, n: five}}", INPUTS "jobs:\n  j:\n" STEPS, F "ci.yml:5:54",
                 "the input 'n': expected a number, found String 'five'; fromJSON() converts a text (declared at " F
                 "a.yml:5:7)"},
                {"{uses: ./" F "a.yml, with: {s: x, n: '5'}}", INPUTS "jobs:\n  j:\n" STEPS, F "ci.yml:5:54",
                 "expected a number, found String '5'"},
                {"{uses: ./" F "a.yml, with: {s: x, b: 'true'}}", INPUTS "jobs:\n  j:\n" STEPS, F "ci.yml:5:54",
                 "the input 'b': expected a boolean, found String 'true'; fromJSON() converts a text (declared at " F
                 "a.yml:6:7)"},
                {"{uses: ./" F "a.yml, with: {s: x, b: }}", INPUTS "jobs:\n  j:\n" STEPS, F "ci.yml:5:54",
                 "expected a boolean, found Null ''"},
                {"{uses: ./" F "a.yml, with: {s: x, n: '${{ vars.V }}'}}", INPUTS "jobs:\n  j:\n" STEPS,
                 F "ci.yml:5:54",
                 "expected a number, found String '7'; fromJSON() converts a text (declared at " F "a.yml:5:7)"},
                {"{uses: ./" F "a.yml, with: {s: '${{ github }}'}}", INPUTS "jobs:\n  j:\n" STEPS, F "ci.yml:5:48",
                 "expected a string, found Object 'Object'"},
                {"{uses: ./" F "a.yml, with: {s: \"${{ fromJSON('{') }}\"}}", INPUTS "jobs:\n  j:\n" STEPS,
                 F "ci.yml:5:48", "Error parsing JSON"},
                {"uses: ./" F "a.yml",
                 "on:\n  workflow_call:\n    inputs:\n      n: {type: number, default: five}\njobs:\n  j:\n" STEPS,
                 F "ci.yml:5:11", "the input 'n': expected a number, found String 'five'"},
                /* secrets */
                {"{uses: ./" F "a.yml, secrets: {t: x, u: y}}",
                 "on: {workflow_call: {secrets: {t: {required: true}}}}\njobs:\n  j:\n" STEPS, F "ci.yml:5:57",
                 "Invalid secret, u is not defined in the referenced workflow (" F "a.yml:1:6)"},
                {"uses: ./" F "a.yml", "on: {workflow_call: {secrets: {t: {required: true}}}}\njobs:\n  j:\n" STEPS,
                 F "ci.yml:5:11", "Secret t is required, but not provided while calling (declared at " F "a.yml:1:32)"},
                /* outputs */
                {"uses: ./" F "a.yml",
                 "on: {workflow_call: {outputs: {o: {value: '${{ jobs.x.outputs.y }}'}}}}\njobs:\n  j:\n" STEPS,
                 F "a.yml:1:44", "jobs.x does not exist: the workflow has no such job (called from " F "ci.yml:5:11)"},
                {"uses: ./" F "a.yml",
                 "on: {workflow_call: {outputs: {o: {value: 'a ${{ jobs.j.outputs.y }}'}}}}\njobs:\n  j:\n" STEPS,
                 F "a.yml:1:46", "jobs.j.outputs.y does not exist: the job has no such output"},
                {"{uses: ./" F
                 "a.yml}\n  d:\n    needs: c\n    runs-on: x\n    steps: [{run: 'x ${{ needs.c.outputs.q }}'}]",
                 "on: {workflow_call: {outputs: {o: {value: '${{ jobs.j.result }}'}}}}\njobs:\n  j:\n" STEPS,
                 F "ci.yml:9:22",
                 "needs.c.outputs.q does not exist: the workflow that the job calls has no such output (" F
                 "a.yml:1:6)"},
                {"{uses: ./" F
                 "a.yml}\n  d:\n    needs: c\n    if: needs.c.outputs.q == ''\n    runs-on: x\n    steps: [{run: a}]",
                 CALLED("  j:\n" STEPS), F "ci.yml:8:9", "needs.c.outputs.q does not exist"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const struct test_file files[] = {{F "a.yml", cases[i].called}, {0}};
                bool flow = *cases[i].call == '{';
                AUTO(auto_free)
                char *jobs = str_printf(flow ? "  c:\n   %s\n" : "  c:\n    %s\n", cases[i].call);
                refused(jobs, files, cases[i].place, cases[i].part);
        }
}

static void a_good_file_stays_good_behind_a_bad_one(void **state)
{
        (void)state;
        static const struct test_file files[] = {{F "a.yml", CALLED("  j:\n" STEPS)}, {F "b.yml", "on: [\n"}, {0}};
        struct world w;
        assert_int_equal(plan(&w, "  one:\n" CALL("b.yml") "  two:\n" CALL("a.yml") "  three:\n" CALL("b.yml"), files),
                         PLAN_E_REFUSED);
        assert_int_equal(diag_errors(w.problems), 2);
        assert_string_equal(diag_at(w.problems, 0)->message, "the called workflow '" F "b.yml' has errors");
        assert_int_equal(diag_at(w.problems, 0)->line, 9); /* whose errors were told at its first call */
        world_done(&w);
}

static void outputs_that_exist_are_read(void **state)
{
        (void)state;
        static const struct test_file files[] = {
                {F "a.yml", "on: {workflow_call: {outputs: {o: {value: '${{ jobs.j.outputs.y }}'}, p: {value: '${{ "
                            "jobs.k.outputs.O }}'},"
                            " r: {value: '${{ jobs.k.result }}'}}}}\n"
                            "jobs:\n  j:\n    outputs: {y: 1}\n" STEPS "  k:\n" CALL("b.yml")},
                {F "b.yml", "on: {workflow_call: {outputs: {o: {value: x}}}}\njobs:\n  j:\n" STEPS},
                {0}};
        struct world w;
        planned(&w,
                "  c:\n" CALL(
                        "a.yml") "  d:\n    needs: c\n    if: needs.c.outputs.R == 'success' && needs.c.result == "
                                 "'success'\n    env: {X: '${{ needs.c.outputs.o }}${{ needs.c.outputs.* }}', "
                                 "if: needs.c.outputs.text}\n" STEPS,
                files);
        world_done(&w);
}

static void inputs_that_are_not_known_yet_make_what_reads_them_wait(void **state)
{
        (void)state;
        static const struct test_file files[] = {
                {F "a.yml", INPUTS "jobs:\n  j:\n    name: on ${{ inputs.s }}\n" STEPS "  k:\n" STEPS
                                   "  l:\n" CALL("b.yml") "    with: {v: '${{ inputs.s }}'}\n"},
                {F "b.yml", "on: {workflow_call: {inputs: {v: {type: string}, w: {type: string, default: '${{ "
                            "inputs.own }}'}}}}\njobs:\n  m:\n    strategy: {matrix: {v: ['${{ inputs.v }}']}}\n" STEPS
                            "  n:\n" STEPS},
                {0}};
        static const char needs[] =
                "{\"github\":{\"actor\":\"ada\"},\"needs\":{\"z\":{\"outputs\":{\"o\":\"later\"}}}}";
        struct world w;
        AUTO(value_unrefp) struct value *contexts = NULL, *inner = NULL;
        planned(&w, "  z:\n" STEPS "  c:\n    needs: z\n" CALL("a.yml") "    with: {s: '${{ needs.z.outputs.o }}'}\n",
                files);
        const struct plan_instance *c = instance(w.plan, 1, 0);
        assert_false(w.plan->jobs[1].dynamic);
        assert_null(c->called->inputs);
        assert_true(c->called->jobs[0].dynamic);
        assert_string_equal(c->called->jobs[0].key, "c.j");
        assert_string_equal(c->called->jobs[0].name, "c / j");
        assert_false(c->called->jobs[1].dynamic);
        const struct plan_instance *l = instance(c->called, 2, 0);
        assert_null(l->called->inputs);
        assert_true(l->called->jobs[0].dynamic);
        assert_string_equal(instance(l->called, 1, 0)->name, "c / l / n");

        /* when the call begins */
        struct plan_expansion x;
        assert_int_equal(value_parse_json(needs, strlen(needs), NULL, &contexts, &w.e), 0);
        assert_int_equal(plan_call_contexts(w.plan, &w.plan->jobs[1], c, contexts, &inner, &w.e), 0);
        assert_string_equal(value_get_str(value_get(inner, "inputs"), "s"), "later");
        assert_null(value_get(inner, "needs"));
        assert_int_equal(plan_expand(c->called, &c->called->jobs[0], inner, &x, &w.e), 0);
        assert_string_equal(x.v[0]->name, "c / on later");
        plan_expansion_done(&x);
        world_done(&w);
}

static void a_matrix_of_calls_from_an_output_is_planned_when_it_is_known(void **state)
{
        (void)state;
        static const struct test_file files[] = {{F "a.yml", INPUTS "jobs:\n  j:\n    name: ${{ inputs.s }}\n" STEPS},
                                                 {0}};
        static const char needs[] = "{\"github\":{},\"needs\":{\"z\":{\"outputs\":{\"o\":\"[1,2]\"}}}}";
        struct world w;
        struct plan_expansion x;
        AUTO(value_unrefp) struct value *contexts = NULL;
        planned(&w,
                "  z:\n" STEPS
                "  c:\n    needs: z\n    strategy: {matrix: {v: '${{ fromJSON(needs.z.outputs.o) }}'}}\n" CALL(
                        "a.yml") "    with: {s: '${{ matrix.v }}', n: '${{ matrix.v }}'}\n",
                files);
        assert_true(w.plan->jobs[1].dynamic);
        assert_int_equal(value_parse_json(needs, strlen(needs), NULL, &contexts, &w.e), 0);
        assert_int_equal(plan_expand(w.plan, &w.plan->jobs[1], contexts, &x, &w.e), 0);
        assert_int_equal(x.n, 2);
        assert_string_equal(instance(x.v[1]->called, 0, 0)->name, "c (2) / 2");
        plan_expansion_done(&x);
        value_unref(contexts);
        contexts = NULL;
        static const char wrong[] = "{\"github\":{},\"needs\":{\"z\":{\"outputs\":{\"o\":\"[\\\"x\\\"]\"}}}}";
        assert_int_equal(value_parse_json(wrong, strlen(wrong), NULL, &contexts, &w.e), 0);
        assert_int_equal(plan_expand(w.plan, &w.plan->jobs[1], contexts, &x, &w.e), -1);
        assert_contains(w.e.msg, F "ci.yml:11:37: the input 'n': expected a number, found String 'x'");
        world_done(&w);
}

/* What a call makes of the names "A,B" or "*". */
static void expect_outer(const struct plan_job *caller, const char *inner, const char *expected)
{
        AUTO(strv_done) struct strv names = STRV_INIT, outer = STRV_INIT;
        AUTO(buf_done) struct buf got = BUF_INIT;
        struct err e = ERR_INIT;
        bool all = false;
        for (const char *at = inner; *at && *at != '*'; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
                AUTO(auto_free) char *name = str_ndup(at, strcspn(at, ","));
                assert_int_equal(strv_add(&names, name, &e), 0);
        }
        assert_int_equal(plan_call_secrets(caller, &names, *inner == '*', &outer, &all, &e), 0);
        for (size_t i = 0; i < outer.n; i++)
                buf_printf(&got, NULL, "%s%s", i ? "," : "", outer.v[i]);
        buf_printf(&got, NULL, "%s", all ? "*" : "");
        assert_string_equal(buf_cstr(&got), expected);
}

static const struct test_file secret_files[] = {
        {F "a.yml", CALLED("  j:\n" STEPS)},
        {F "b.yml", "on: {workflow_call: {secrets: {t: , u-v: , w: }}}\njobs:\n  j:\n" STEPS},
        {0}};
static const char secret_calls[] =
        "  none:\n" CALL("a.yml") "  all:\n" CALL("a.yml") "    secrets: inherit\n  some:\n" CALL(
                "b.yml") "    secrets: {t: 'a ${{ secrets.S }}', u-v: '${{ secrets[inputs.own] }}', w: '${{ secrets.X "
                         "|| secrets.s }}'}\n";

static void a_call_needs_the_secrets_that_what_it_passes_is_made_of(void **state)
{
        struct world w;
        (void)state;
        planned(&w, secret_calls, secret_files);
        const struct plan_job *none = &w.plan->jobs[0], *all = &w.plan->jobs[1], *some = &w.plan->jobs[2];
        expect_outer(none, "S", "");
        expect_outer(none, "*", "");
        expect_outer(all, "S,T", "S,T");
        expect_outer(all, "*", "*");
        expect_outer(some, "", "");
        expect_outer(some, "S", "");
        expect_outer(some, "T", "S");
        expect_outer(some, "T,W", "S,X");
        expect_outer(some, "u-v", "*");
        expect_outer(some, "*", "S,X*");
        world_done(&w);
}

static void what_a_call_passes_is_written_with_its_contexts_and_places(void **state)
{
        static const char outer[] =
                "{\"github\":{},\"needs\":{},\"matrix\":null,\"inputs\":{\"own\":\"S\"},\"vars\":{\"V\":\"7\"}}";
        struct world w;
        struct strv names = STRV_INIT;
        AUTO(value_unrefp) struct value *contexts = NULL;
        json_t *call = NULL;
        (void)state;
        planned(&w, secret_calls, secret_files);
        assert_int_equal(value_parse_json(outer, strlen(outer), NULL, &contexts, &w.e), 0);
        assert_int_equal(plan_call_passes(w.plan, &w.plan->jobs[1], &names, true, contexts, &call, &w.e), 0);
        assert_null(call); /* inherited */
        assert_int_equal(plan_call_passes(w.plan, &w.plan->jobs[0], &names, true, contexts, &call, &w.e), 0);
        assert_int_equal(json_array_size(json_object_get(call, "pass")), 0);
        json_decref(call);
        assert_int_equal(strv_add(&names, "T", &w.e), 0);
        assert_int_equal(plan_call_passes(w.plan, &w.plan->jobs[2], &names, false, contexts, &call, &w.e), 0);
        char *text = json_dumps(call, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(
                text,
                "{\"contexts\":{\"inputs\":{\"own\":\"S\"},\"matrix\":null,\"needs\":{}},\"file\":\"" F
                "ci.yml\",\"pass\":[{\"column\":18,\"line\":11,\"name\":\"t\",\"value\":\"a ${{ secrets.S }}\"}]}");
        free(text);
        json_decref(call);
        strv_done(&names);
        world_done(&w);
}

/* A chain of files, each of which calls the next; the last has a job. */
static struct test_file *chain(size_t n, const char *fan)
{
        struct test_file *files = calloc(n + 1, sizeof(*files));
        for (size_t i = 0; i < n; i++) {
                files[i].path = str_printf(F "c%zu.yml", i);
                files[i].text = i + 1 == n ? str_printf(CALLED("  last:\n" STEPS))
                                           : str_printf(CALLED("  next:\n%s    uses: ./" F "c%zu.yml\n  again:\n%s    "
                                                               "uses: ./" F "c%zu.yml\n"),
                                                        fan, i + 1, fan, i + 1);
        }
        return files;
}

static void chain_free(struct test_file *files)
{
        for (struct test_file *f = files; f->path; f++) {
                free((void *)(uintptr_t)f->path);
                free((void *)(uintptr_t)f->text);
        }
        free(files);
}

static void ten_levels_are_planned_and_eleven_refused(void **state)
{
        (void)state;
        struct world w;
        struct test_file *files = chain(PLAN_MAX_LEVELS - 1, "");
        planned(&w, "  top:\n" CALL("c0.yml"), files);
        const struct plan *p = w.plan;
        for (int i = 1; i < PLAN_MAX_LEVELS; i++)
                p = instance(p, 0, 0)->called;
        assert_string_equal(instance(p, 0, 0)->key, "top.next.next.next.next.next.next.next.next.last");
        world_done(&w);
        chain_free(files);
        files = chain(PLAN_MAX_LEVELS, "");
        refused("  top:\n" CALL("c0.yml"), files, F "c8.yml:5:11",
                "more than 10 levels of workflows that call each other (PLAN_MAX_LEVELS)");
        /* by way of a file that was walked through before */
        refused("  short:\n" CALL("c1.yml") "  long:\n" CALL("c0.yml"), files, F "c0.yml:5:11",
                "more than 10 levels of workflows that call each other (PLAN_MAX_LEVELS)");
        chain_free(files);
}

static void fifty_files_are_called_and_fifty_one_refused(void **state)
{
        (void)state;
        for (size_t n = PLAN_MAX_CALLED; n <= PLAN_MAX_CALLED + 1; n++) {
                struct world w;
                struct buf jobs = BUF_INIT;
                struct test_file *files = calloc(n + 1, sizeof(*files));
                for (size_t i = 0; i < n; i++) {
                        files[i].path = str_printf(F "c%zu.yml", i);
                        files[i].text = str_dup(CALLED("  j:\n" STEPS));
                        buf_printf(&jobs, NULL,
                                   "  j%zu:\n    uses: ./" F "c%zu.yml\n  k%zu:\n    uses: ./" F "c%zu.yml\n", i, i, i,
                                   i);
                }
                if (n == PLAN_MAX_CALLED) {
                        planned(&w, buf_cstr(&jobs), files);
                        world_done(&w);
                } else {
                        refused(buf_cstr(&jobs), files, F "ci.yml:205:11",
                                "more than 50 files, directly or not (PLAN_MAX_CALLED)");
                }
                buf_done(&jobs);
                chain_free(files);
        }
}

static void calls_that_would_explode_are_refused(void **state)
{
        (void)state;
        struct test_file *files =
                chain(9, "    strategy: {matrix: {a: [1, 2, 3, 4, 5, 6, 7, 8], b: [1, 2, 3, 4, 5, 6, 7, 8]}}\n");
        refused("  top:\n" CALL("c0.yml"), files, F "c7.yml:4:3",
                "the run has more than 4096 jobs (PLAN_MAX_INSTANCES)");
        chain_free(files);
}

static void a_run_has_at_most_so_many_jobs_those_of_calls_included(void **state)
{
        (void)state;
        struct buf numbers = BUF_INIT;
        for (int i = 0; i < 255; i++)
                buf_printf(&numbers, NULL, "%s%d", i ? ", " : "", i);
        AUTO(auto_free)
        char *file = str_printf(CALLED("  a:\n    strategy: {matrix: {v: [%s]}}\n" STEPS), buf_cstr(&numbers));
        const struct test_file files[] = {{F "a.yml", file}, {0}};
        struct world w;
        /* 16 times a call and 255 jobs are 4096 */
        planned(&w,
                "  c:\n    strategy: {matrix: {v: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}}\n" CALL(
                        "a.yml"),
                files);
        world_done(&w);
        refused("  c:\n    strategy: {matrix: {v: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}}\n" CALL(
                        "a.yml") "  one:\n" STEPS,
                files, F "a.yml:4:3", "more than 4096 jobs (PLAN_MAX_INSTANCES)");
        buf_done(&numbers);
}

static void files_that_are_called_are_bounded_together(void **state)
{
        (void)state;
        AUTO(auto_free) char *padding = calloc(1, WORKFLOW_MAX_SIZE);
        memset(padding, 'x', 490u << 10);
        struct test_file files[6] = {{0}};
        struct buf jobs = BUF_INIT;
        for (size_t i = 0; i < 5; i++) {
                files[i].path = str_printf(F "c%zu.yml", i);
                files[i].text = str_printf(CALLED("  j:\n" STEPS) "# %s\n", padding);
                buf_printf(&jobs, NULL, "  j%zu:\n    uses: ./" F "c%zu.yml\n", i, i);
        }
        refused(buf_cstr(&jobs), files, F "ci.yml:13:11", "larger than 2097152 bytes together (LIBRARY_MAX_BYTES)");
        for (size_t i = 0; i < 5; i++) {
                free((void *)(uintptr_t)files[i].path);
                free((void *)(uintptr_t)files[i].text);
        }
        buf_done(&jobs);
}

static void keys_stay_short_and_different(void **state)
{
        (void)state;
        char id[100];
        memset(id, 'j', sizeof(id) - 1);
        id[99] = '\0';
        struct test_file files[10] = {{0}};
        for (int i = 0; i < 9; i++) {
                files[i].path = str_printf(F "c%d.yml", i);
                files[i].text = i == 8 ? str_printf(CALLED("  %s:\n" STEPS "  x%.98s:\n" STEPS), id, id)
                                       : str_printf(CALLED("  %s:\n    uses: ./" F "c%d.yml\n"), id, i + 1);
        }
        struct world w;
        planned(&w, "  a:\n" CALL("c0.yml"), files);
        const struct plan *p = w.plan;
        for (int i = 1; i < PLAN_MAX_LEVELS; i++)
                p = instance(p, 0, 0)->called;
        const char *one = instance(p, 0, 0)->key, *two = instance(p, 1, 0)->key;
        assert_string_not_equal(one, two);
        assert_true(strlen(one) <= PLAN_MAX_KEY && strlen(two) <= PLAN_MAX_KEY);
        assert_int_equal(strspn(one, "aj.~0123456789"), strlen(one));
        assert_true(strlen(instance(p, 0, 0)->name) <= PLAN_MAX_NAME);
        world_done(&w);
        for (int i = 0; i < 9; i++) {
                free((void *)(uintptr_t)files[i].path);
                free((void *)(uintptr_t)files[i].text);
        }
}

/* Calls, each of which is given a text of two megabytes. */
static char *calls_with_large_inputs(int n)
{
        struct buf b = BUF_INIT;
        buf_append_str(&b, "  c:\n    strategy: {matrix: {v: [0", NULL);
        for (int i = 1; i < n; i++)
                buf_printf(&b, NULL, ", %d", i);
        buf_append_str(&b, "]}}\n" CALL("a.yml") "    with: {i: \"${{ ", NULL);
        for (int i = 0; i < 6; i++)
                buf_append_str(&b, "format('{0}{0}{0}{0}{0}{0}{0}{0}', ", NULL);
        buf_append_str(&b, "'12345678')))))) }}\"}\n", NULL);
        return buf_take_str(&b);
}

static void values_of_a_plan_are_bounded_together(void **state)
{
        (void)state;
        static const struct test_file files[] = {
                {F "a.yml", "on: {workflow_call: {inputs: {i: {type: string}}}}\njobs:\n  j:\n" STEPS}, {0}};
        AUTO(auto_free) char *fit = calls_with_large_inputs(27), *more = calls_with_large_inputs(29);
        struct world w;
        planned(&w, fit, files);
        world_done(&w);
        refused(more, files, F "ci.yml:7:15", "The maximum allowed memory size was exceeded");
}

static void the_specification_of_a_called_job_has_nothing_of_the_callers_env(void **state)
{
        (void)state;
        static const struct test_file files[] = {
                {F "a.yml", "on: workflow_call\nenv: {OWN: 2}\ndefaults: {run: {shell: sh}}\njobs:\n  j:\n" STEPS},
                {0}};
        struct world w;
        json_t *image = json_pack("{s:s,s:s}", "name", "default", "digest", "sha256:0"), *spec = NULL;
        planned(&w, "  c:\n" CALL("a.yml"), files);
        const struct plan *called = instance(w.plan, 0, 0)->called;
        struct plan_parts parts = {.run = "1",
                                   .attempt = "1",
                                   .contexts = w.contexts,
                                   .image = image,
                                   .accelerator = "tcg",
                                   .rootfs = "overlay",
                                   .workspace = "/w"};
        assert_int_equal(plan_job_spec(called, &called->jobs[0], instance(called, 0, 0), &parts, &spec, &w.e), 0);
        json_t *env = json_object_get(spec, "env"), *step = json_array_get(json_object_get(spec, "steps"), 0);
        assert_int_equal(json_array_size(env), 1);
        assert_string_equal(json_string_value(json_object_get(json_array_get(env, 0), "name")), "OWN");
        assert_string_equal(json_string_value(json_object_get(step, "file")), F "a.yml");
        assert_string_equal(json_string_value(json_object_get(json_object_get(spec, "defaults"), "shell")), "sh");
        assert_string_equal(json_string_value(json_object_get(json_object_get(spec, "job"), "name")), "c / j");
        json_decref(spec);
        json_decref(image);
        world_done(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(jobs_of_a_called_workflow_are_named_after_their_caller),
                cmocka_unit_test(inputs_have_their_types_and_defaults_of_the_callers_contexts),
                cmocka_unit_test(a_call_that_cannot_work_is_refused_with_both_places),
                cmocka_unit_test(a_good_file_stays_good_behind_a_bad_one),
                cmocka_unit_test(outputs_that_exist_are_read),
                cmocka_unit_test(inputs_that_are_not_known_yet_make_what_reads_them_wait),
                cmocka_unit_test(a_matrix_of_calls_from_an_output_is_planned_when_it_is_known),
                cmocka_unit_test(a_call_needs_the_secrets_that_what_it_passes_is_made_of),
                cmocka_unit_test(what_a_call_passes_is_written_with_its_contexts_and_places),
                cmocka_unit_test(ten_levels_are_planned_and_eleven_refused),
                cmocka_unit_test(fifty_files_are_called_and_fifty_one_refused),
                cmocka_unit_test(calls_that_would_explode_are_refused),
                cmocka_unit_test(a_run_has_at_most_so_many_jobs_those_of_calls_included),
                cmocka_unit_test(files_that_are_called_are_bounded_together),
                cmocka_unit_test(keys_stay_short_and_different),
                cmocka_unit_test(values_of_a_plan_are_bounded_together),
                cmocka_unit_test(the_specification_of_a_called_job_has_nothing_of_the_callers_env),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
