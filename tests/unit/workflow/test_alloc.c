/* Every allocation of workflow, of the YAML reader and of run fails once. */
#include "test.h"

#include <jansson.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "codec/diag.h"
#include "codec/json.h"
#include "run/run.h"
#include "test_files.h"
#include "workflow/action.h"
#include "workflow/answer.h"
#include "workflow/command.h"
#include "workflow/filecmd.h"
#include "workflow/plan.h"

static const char contexts_json[] =
        "{\"a\":{\"b\":[1,\"x\",{\"c\":true}]},\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}";

static int use_expressions(void *user, struct err *e)
{
        static const char *const texts[] = {
                "contains(join(a.b.*, '-'), 'X') && format('{0} {1}', a.b[1], toJSON(a)) || case(true, 1, 2)",
                "fromJSON('{\"k\":[1,2]}').k[1] == 2 && startsWith('abc', 'A') && !endsWith('a', b)"};
        AUTO(value_unrefp) struct value *contexts = NULL;
        int r = value_parse_json(contexts_json, strlen(contexts_json), NULL, &contexts, e);
        (void)user;
        const struct expr_env env = {.contexts = contexts};
        for (size_t i = 0; r == 0 && i < 2; i++) {
                AUTO(value_unrefp) struct value *v = NULL;
                r = expr_evaluate(texts[i], strlen(texts[i]), &env, &v, NULL, e);
        }
        AUTO(auto_free) char *text = NULL;
        return r < 0 ? r : expr_template_str("x ${{ a.b[0] }} y", &env, &text, NULL, e);
}

static int use_answers(void *user, struct err *e)
{
        static const char *const lines[] = {
                "{\"expr\": \"a.b[0]\", \"contexts\": {\"a\": {\"b\": [\"\\u00e9\\n\", 1]}}}",
                "{\"expr\": \"a.b\", \"contexts\": {\"a\": {\"b\": [\"\\u00e9\\n\", 1]}}}", "{\"expr\": \"1 @\"}",
                "[]"};
        AUTO(answers_freep) struct answers *a = NULL;
        struct buf out = BUF_INIT;
        int r = answers_new(&a, e);
        (void)user;
        for (size_t i = 0; r == 0 && i < sizeof(lines) / sizeof(lines[0]); i++)
                r = answers_line(a, lines[i], strlen(lines[i]), &out, e);
        buf_done(&out);
        return r;
}

static int use_commands(void *user, struct err *e)
{
        struct command_parser parser;
        struct command c;
        struct filecmd_pairs pairs;
        static const char file[] = "a=b\nc<<EOF\nd\nEOF\n1=1\n2=2\n3=3\n4=4\n5=5\n6=6\n7=7\n";
        (void)user;
        command_parser_init(&parser);
        static const char line[] = "::error file=a,title=b,line=3::text";
        int r = command_parse(&parser, line, strlen(line), &c, e);
        if (r < 0)
                return r;
        command_done(&c);
        r = filecmd_parse(FILECMD_OUTPUT, file, strlen(file), &pairs, e);
        if (r == 0)
                filecmd_pairs_done(&pairs);
        return r;
}

static const char workflow_text[] =
        "on: {push: {branches: [main]}, workflow_dispatch: {inputs: {i: {type: choice, options: [a]}}}}\n"
        "env: {A: 1.5}\nrun-name: r ${{ github.ref }}\njobs:\n"
        "  a: {runs-on: x, name: 'n ${{ matrix.v }}', outputs: {o: '${{ steps.s.outputs.o }}'}, strategy: {matrix: {v: "
        "[1, 2], exclude: [{v: 2}], include: [{w: 3}]}}, "
        "steps: [{id: s, run: 'echo ${{ github.ref }}', env: {B: c}}, {uses: actions/checkout@v4, with: {ref: x}}]}\n"
        "  b: {needs: a, if: always(), runs-on: '${{ needs.a.outputs.o }}', concurrency: g, steps: [{run: x}]}\n"
        "  c: {needs: a, uses: ./.github/workflows/a.yml, with: {i: '${{ needs.a.outputs.o }}'}, secrets: {t: x}}\n"
        "  d: {needs: c, uses: ./.github/workflows/a.yml, strategy: {matrix: {v: '${{ fromJSON(needs.c.outputs.o) "
        "}}'}}}\n";

static const struct test_file called[] = {
        {".github/workflows/a.yml",
         "on: {workflow_call: {inputs: {i: {type: string}}, secrets: {t: }, outputs: {o: {value: '[1,2]'}}}}\n"
         "jobs:\n  a: {runs-on: '${{ inputs.i }}x', steps: [{run: x}]}\n"},
        {0}};

static int use_run(const struct plan *p, struct value *outputs, struct err *e)
{
        AUTO(run_freep) struct run *run = NULL;
        struct run_options options = {.capacity = 2};
        int r = run_new(p, &options, &run, e);
        for (struct run_decision d = {0}; r == 0 && d.action != RUN_DONE;) {
                if ((r = run_next(run, &d, e)) == 0 && d.action == RUN_START)
                        r = run_finished(run, d.job, RUN_SUCCESS, ERR_SUCCESS, outputs, e);
        }
        AUTO(value_unrefp) struct value *contexts = NULL;
        return r < 0 ? r : run_contexts(run, run_job_at(run, 0), &contexts, e);
}

static int use_spec(const struct plan *p, struct value *contexts, struct err *e)
{
        json_t *spec = NULL, *image = json_object();
        struct plan_parts parts = {.run = "1",
                                   .attempt = "1",
                                   .contexts = contexts,
                                   .image = image,
                                   .accelerator = "tcg",
                                   .rootfs = "overlay",
                                   .workspace = "/w"};
        int r = image ? plan_job_spec(p, &p->jobs[0], p->jobs[0].expansion.v[0], &parts, &spec, e) : err_nomem(e);
        json_decref(image);
        json_decref(spec);
        return r;
}

static int use_plan(const struct workflow *w, struct diag_list *problems, struct err *e)
{
        AUTO(value_unrefp) struct value *contexts = NULL, *github = NULL, *outputs = NULL;
        AUTO(library_freep) struct library *library = NULL;
        AUTO(plan_freep) struct plan *p = NULL;
        struct plan_github facts = {.ref = "refs/heads/main", .repository = "a/b"};
        int r = plan_github_context(&facts, &github, e);
        if (r < 0 || (r = value_object(&contexts, e)) < 0 || (r = value_set(contexts, "github", github, e)) < 0 ||
            (r = value_object(&outputs, e)) < 0 || (r = value_set_str(outputs, "o", "label", e)) < 0)
                return r;
        if ((r = test_files_library(called, &library, e)) < 0)
                return r;
        struct plan_options o = {.contexts = contexts, .library = library};
        r = plan_new(w, &o, problems, &p, e);
        assert_true(r <= 0);
        if (r == 0 && (r = use_run(p, outputs, e)) == 0)
                r = use_spec(p, contexts, e);
        return r;
}

static int use_workflow(void *user, struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(workflow_freep) struct workflow *w = NULL;
        (void)user;
        int r = diag_new("ci.yml", &problems, e);
        if (r == 0)
                r = workflow_parse("ci.yml", workflow_text, strlen(workflow_text), problems, &w, e);
        assert_true(r <= 0);
        return r < 0 ? r : use_plan(w, problems, e);
}

/* A workflow and an action that name others. */
static int use_warnings(void *user, struct err *e)
{
        static const char text[] = "on: push\njobs:\n  a: {uses: ./.github/workflows/a.yml, with: {q: 1}}\n"
                                   "  b: {runs-on: x, steps: [{uses: ./act, with: {x: 1}}]}\n";
        static const struct test_file files[] = {
                {".github/workflows/a.yml", "on: {workflow_call: {inputs: {i: {type: string, required: true}}}}\n"
                                            "jobs:\n  a: {container: x, runs-on: x, steps: [{run: x}]}\n"},
                {"act/action.yaml", "name: a\ninputs: {i: {required: true}}\n"
                                    "runs: {using: composite, steps: [{uses: ./act}, {uses: 'docker://x'}]}\n"},
                {0}};
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(workflow_freep) struct workflow *w = NULL;
        AUTO(library_freep) struct library *library = NULL;
        (void)user;
        int r = diag_new("ci.yml", &problems, e);
        if (r == 0)
                r = workflow_parse("ci.yml", text, strlen(text), problems, &w, e);
        if (r == 0)
                r = test_files_library(files, &library, e);
        const struct plan_options o = {.library = library};
        return r < 0 ? r : plan_warn(w, &o, problems, e);
}

static int use_problems(void *user, struct err *e)
{
        static const char text[] = "on: psh\nx: 1\njobs: {a: {runs_on: x, needs: b}}\n";
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(buf_done) struct buf out = BUF_INIT;
        struct workflow *w = NULL;
        (void)user;
        int r = diag_new("ci.yml", &problems, e);
        if (r == 0)
                r = workflow_parse("ci.yml", text, strlen(text), problems, &w, e);
        return r < 0 ? r : diag_render(problems, text, strlen(text), &out, e);
}

static int use_actions(void *user, struct err *e)
{
        static const char *const texts[] = {
                "name: a\ninputs: {a: {default: '${{ github.sha }}'}}\noutputs: {b: {value: '${{ steps.c.outputs.d "
                "}}'}}\n"
                "runs: {using: composite, steps: [{id: c, run: x, shell: sh}, {uses: ./y, with: {z: 1}}]}\n",
                "runs: {using: node20, main: x, pre-if: '1 =='}\n"};
        int r = 0;
        (void)user;
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(texts); i++) {
                AUTO(diag_freep) struct diag_list *problems = NULL;
                AUTO(action_freep) struct action *a = NULL;
                if ((r = diag_new("action.yml", &problems, e)) == 0)
                        r = action_parse("action.yml", texts[i], strlen(texts[i]), problems, &a, e);
                assert_true(r < 0 || r == (i ? ACTION_E_INVALID : 0));
        }
        return r < 0 ? r : 0;
}

static void every_allocation_may_fail(void **state)
{
        (void)state;
        json_init();
        assert_true(alloc_fail_each(use_expressions, NULL) > 50);
        assert_true(alloc_fail_each(use_answers, NULL) > 10);
        assert_true(alloc_fail_each(use_commands, NULL) > 10);
        assert_true(alloc_fail_each(use_workflow, NULL) > 200);
        assert_true(alloc_fail_each(use_actions, NULL) > 50);
        assert_true(alloc_fail_each(use_warnings, NULL) > 50);
        assert_true(alloc_fail_each_tolerant(use_problems, NULL) > 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
