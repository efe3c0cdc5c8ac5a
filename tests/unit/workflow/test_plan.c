/* From a workflow to jobs: order, matrix, names, refusals, the job specification. */
#include "test.h"

#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/diag.h"
#include "codec/uses.h"
#include "workflow/plan_priv.h"

struct world {
        struct workflow *workflow;
        struct plan *plan;
        struct diag_list *problems;
        struct value *contexts;
        struct err e;
        unsigned asked; /* about actions */
};

static void world_done(struct world *w)
{
        plan_free(w->plan);
        workflow_free(w->workflow);
        diag_free(w->problems);
        value_unref(w->contexts);
}

/* Everything is there but what belongs to `lost`. */
static int find_action(const struct uses *u, void *user, struct plan_refusal *ret, struct err *e)
{
        struct world *w = user;
        (void)e;
        w->asked++;
        if (!str_starts(u->repository, "lost/"))
                return 0;
        snprintf(ret->message, sizeof(ret->message), "%s is nowhere", u->repository);
        snprintf(ret->hint, sizeof(ret->hint), "look for %s@%s", u->path, u->ref);
        return PLAN_ACTION_E_REFUSED;
}

static int plan(struct world *w, const char *text, const char *job)
{
        static const char contexts[] = "{\"github\":{\"ref\":\"refs/heads/"
                                       "main\",\"actor\":\"ada\"},\"inputs\":{\"list\":[\"x\",\"y\"]},\"vars\":{}}";
        *w = (struct world){.e = ERR_INIT};
        assert_int_equal(diag_new("ci.yml", &w->problems, &w->e), 0);
        assert_int_equal(value_parse_json(contexts, strlen(contexts), NULL, &w->contexts, &w->e), 0);
        if (workflow_parse("ci.yml", text, strlen(text), w->problems, &w->workflow, &w->e))
                fail_msg("%u: %s", diag_at(w->problems, 0)->line, diag_at(w->problems, 0)->message);
        struct plan_options o = {.job = job, .contexts = w->contexts, .action = find_action, .action_user = w};
        return plan_new(w->workflow, &o, w->problems, &w->plan, &w->e);
}

static void planned(struct world *w, const char *text, const char *job)
{
        if (plan(w, text, job))
                fail_msg("%s%s", w->e.msg, diag_count(w->problems) ? diag_at(w->problems, 0)->message : "");
}

static void refused(const char *text, unsigned line, unsigned column, const char *part)
{
        struct world w;
        assert_int_equal(plan(&w, text, NULL), PLAN_E_REFUSED);
        assert_null(w.plan);
        assert_contains(diag_at(w.problems, 0)->message, part);
        assert_int_equal(diag_at(w.problems, 0)->line, line);
        assert_int_equal(diag_at(w.problems, 0)->column, column);
        world_done(&w);
}

/* "key=name|key=name" of a job's instances. */
static char *names(const struct plan_expansion *x)
{
        struct buf b = BUF_INIT;
        for (size_t i = 0; i < x->n; i++)
                buf_printf(&b, NULL, "%s%s=%s", i ? "|" : "", x->v[i]->key, x->v[i]->name);
        return buf_take_str(&b);
}

static void expect_names(const char *matrix, const char *expected)
{
        char text[1024];
        struct world w;
        snprintf(text, sizeof(text),
                 "on: push\njobs:\n  b:\n    runs-on: x\n    steps: [{run: a}]\n    strategy:\n      matrix: %s\n",
                 matrix);
        planned(&w, text, NULL);
        AUTO(auto_free) char *got = names(&w.plan->jobs[0].expansion);
        assert_string_equal(got, expected);
        world_done(&w);
}

#define STEPS "    runs-on: x\n    steps: [{run: a}]\n"
#define DIAMOND                                                                                                        \
        "on: push\njobs:\n  d:\n    needs: [b, c]\n" STEPS "  b:\n    needs: a\n" STEPS "  c:\n    needs: a\n" STEPS   \
        "  a:\n" STEPS "  e:\n" STEPS

static void jobs_come_after_what_they_need(void **state)
{
        struct world w;
        (void)state;
        planned(&w, DIAMOND, NULL);
        assert_int_equal(w.plan->n_jobs, 5);
        for (size_t i = 0; i < w.plan->n_jobs; i++)
                for (size_t k = 0; k < w.plan->jobs[i].n_needs; k++)
                        assert_true(w.plan->jobs[i].needs[k] < i);
        world_done(&w);
}

static void one_job_takes_its_needs_along(void **state)
{
        struct world w;
        (void)state;
        planned(&w, DIAMOND, "B");
        assert_int_equal(w.plan->n_jobs, 2);
        assert_string_equal(w.plan->jobs[0].job->id.text, "a");
        assert_string_equal(w.plan->jobs[1].job->id.text, "b");
        world_done(&w);
}

static void an_unknown_job_is_refused_with_the_known_ones(void **state)
{
        struct world w;
        (void)state;
        assert_int_equal(plan(&w, DIAMOND, "x"), -1);
        assert_string_equal(w.e.msg, "ci.yml: there is no job 'x'; the jobs are: d, b, c, a, e");
        assert_int_equal(w.e.code, ERR_USAGE);
        world_done(&w);
}

static void a_matrix_is_the_product_of_its_vectors(void **state)
{
        (void)state;
        expect_names("{os: [l, w], n: [1, 2]}", "b.1=b (l, 1)|b.2=b (l, 2)|b.3=b (w, 1)|b.4=b (w, 2)");
        expect_names("{os: [l]}", "b=b (l)");
        expect_names("{o: [{a: 1, b: [2, 3]}, true]}", "b.1=b (1, 2, 3)|b.2=b (true)");
        expect_names("{x: '${{ inputs.list }}'}", "b.1=b (x)|b.2=b (y)");
        expect_names("'${{ fromJSON(''{\"k\":[1.5]}'') }}'", "b=b (1.5)");
        expect_names("{v: [1.20, '1.20']}", "b.1=b (1.2)|b.2=b (1.20)");
}

static void exclude_removes_what_matches_in_part(void **state)
{
        (void)state;
        expect_names("{os: [l, w], n: [1, 2], exclude: [{os: w}, {os: l, n: 2}]}", "b=b (l, 1)");
        expect_names("{os: [l, w], exclude: [{os: l, zz: 1}]}", "b.1=b (l)|b.2=b (w)");
        expect_names("{os: [l, w], exclude: [{os: L}]}", "b=b (w)");
        expect_names("{o: [{a: 1}, {a: 2}], exclude: [{o: {a: 1}}]}", "b=b (2)");
        expect_names("{os: [l], exclude: [{os: l}]}", "");
}

static void include_adds_to_combinations_or_makes_new_ones(void **state)
{
        struct world w;
        (void)state;
        expect_names("{os: [l, w], include: [{os: m, x: 1}]}", "b.1=b (l)|b.2=b (w)|b.3=b (m, 1)");
        expect_names("{include: [{a: 1}, {a: 2}]}", "b.1=b (1)|b.2=b (2)");
        /* the example of GitHub's documentation */
        planned(&w,
                "on: push\njobs:\n  b:\n" STEPS "    strategy:\n      matrix:\n        fruit: [apple, pear]\n        "
                "animal: [cat, dog]\n        include:\n"
                "          - {color: green}\n          - {color: pink, animal: cat}\n          - {fruit: apple, shape: "
                "circle}\n"
                "          - {fruit: banana}\n          - {fruit: banana, animal: cat}\n",
                NULL);
        static const char *const expected[] = {
                "{\"fruit\":\"apple\",\"animal\":\"cat\",\"color\":\"pink\",\"shape\":\"circle\"}",
                "{\"fruit\":\"apple\",\"animal\":\"dog\",\"color\":\"green\",\"shape\":\"circle\"}",
                "{\"fruit\":\"pear\",\"animal\":\"cat\",\"color\":\"pink\"}",
                "{\"fruit\":\"pear\",\"animal\":\"dog\",\"color\":\"green\"}",
                "{\"fruit\":\"banana\"}",
                "{\"fruit\":\"banana\",\"animal\":\"cat\"}",
        };
        const struct plan_expansion *x = &w.plan->jobs[0].expansion;
        assert_int_equal(x->n, 6);
        for (size_t i = 0; i < 6; i++) {
                struct buf b = BUF_INIT;
                assert_int_equal(value_to_json_text(x->v[i]->matrix, 0, &b, NULL), 0);
                assert_string_equal(buf_cstr(&b), expected[i]);
                buf_done(&b);
        }
        world_done(&w);
}

static char *list_of(size_t n)
{
        struct buf b = BUF_INIT;
        for (size_t i = 0; i < n; i++)
                buf_printf(&b, NULL, "%s%zu", i ? ", " : "", i);
        return buf_take_str(&b);
}

static void a_matrix_is_bounded(void **state)
{
        struct world w;
        (void)state;
        AUTO(auto_free)
        char *at = list_of(PLAN_MAX_MATRIX), *past = list_of(PLAN_MAX_MATRIX + 1), *hundred = list_of(100);
        AUTO(auto_free)
        char *fits = str_printf("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {a: [%s]}}\n", at);
        AUTO(auto_free)
        char *more = str_printf("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {a: [%s]}}\n", past);
        AUTO(auto_free)
        char *million =
                str_printf("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {a: [%s], b: [%s], c: [%s]}}\n",
                           hundred, hundred, hundred);
        AUTO(auto_free)
        char *excluded = str_printf("on: push\njobs:\n  b:\n" STEPS
                                    "    strategy: {matrix: {z: [0], a: [%s], b: [%s], c: [%s], exclude: [{z: 0}]}}\n",
                                    hundred, hundred, hundred);
        refused(excluded, 6, 24,
                "more than 256 combinations (PLAN_MAX_MATRIX)"); /* bounded before anything is excluded */
        planned(&w, fits, NULL);
        assert_int_equal(w.plan->jobs[0].expansion.n, PLAN_MAX_MATRIX);
        world_done(&w);
        refused(more, 6, 24, "more than 256 combinations (PLAN_MAX_MATRIX)");
        refused(million, 6, 24, "more than 256 combinations (PLAN_MAX_MATRIX)");
        refused("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {a: []}}\n", 6, 24,
                "does not contain any values");
        refused("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: '${{ github.ref }}'}\n", 6, 24,
                "the matrix must be a mapping");
        refused("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {a: '${{ github.ref }}'}}\n", 6, 24,
                "'a' must be a list, found String");
}

/* What is compared, and what include adds, is bounded as a whole: what is excluded in the end has cost as much. */
static void the_work_on_a_matrix_is_bounded(void **state)
{
        static const char limit[] = "more than 4000000 steps to expand (PLAN_MAX_MATRIX_WORK)";
        struct buf excludes = BUF_INIT, includes = BUF_INIT;
        (void)state;
        for (int i = 0; i < 100; i++)
                buf_printf(&excludes, NULL, "{b: z}, ");
        for (int i = 0; i < 2000; i++)
                buf_printf(&includes, NULL, "{k%d: 1}, ", i);
        AUTO(auto_free) char *list = list_of(256), *tall = list_of(2000);
        AUTO(auto_free)
        char *many =
                str_printf("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {c: [1], a: [%s], b: [%s], exclude: "
                           "[%s {c: 1}]}}\n",
                           list, list, buf_cstr(&excludes));
        AUTO(auto_free)
        char *large = str_printf(
                "on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {c: [1], a: [&l [%s]], b: [%s], exclude: "
                "[{a: *l, b: z}, {a: *l, b: z}, {a: *l, b: z}, {a: *l, b: z}, {a: *l, b: z}, {c: 1}]}}\n",
                tall, list);
        AUTO(auto_free)
        char *wide = str_printf("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {a: [%s], include: [%s]}}\n",
                                list, buf_cstr(&includes));
        AUTO(auto_free)
        char *two = str_printf("on: push\njobs:\n  a:\n" STEPS
                               "    strategy: {matrix: &m {c: [1], a: [%s], b: [%s], exclude: "
                               "[{c: 1}]}}\n  b:\n" STEPS "    strategy: {matrix: *m}\n  c:\n" STEPS
                               "    strategy: {matrix: *m}\n  d:\n" STEPS "    strategy: {matrix: *m}\n  e:\n" STEPS
                               "    strategy: {matrix: *m}\n  f:\n" STEPS "    strategy: {matrix: *m}\n  g:\n" STEPS
                               "    strategy: {matrix: *m}\n  h:\n" STEPS "    strategy: {matrix: *m}\n  i:\n" STEPS
                               "    strategy: {matrix: *m}\n  j:\n" STEPS "    strategy: {matrix: *m}\n  k:\n" STEPS
                               "    strategy: {matrix: *m}\n",
                               list, list);
        refused(many, 6, 24, limit);
        refused(large, 6, 24, limit);
        refused(wide, 6, 24, limit);
        refused(two, 6, 24, limit); /* of all jobs together */
        buf_done(&excludes);
        buf_done(&includes);
}

static void a_name_takes_no_more_of_a_matrix_than_it_holds(void **state)
{
        struct world w;
        (void)state;
        AUTO(auto_free) char *list = list_of(5000);
        AUTO(auto_free)
        char *text =
                str_printf("on: push\njobs:\n  b:\n" STEPS "    strategy: {matrix: {a: [1, 2], b: [[%s]]}}\n", list);
        planned(&w, text, NULL);
        for (size_t i = 0; i < 2; i++) {
                char *name = w.plan->jobs[0].expansion.v[i]->name;
                assert_int_equal(strlen(name), PLAN_MAX_NAME);
                assert_string_equal(name + PLAN_MAX_NAME - 3, "...");
                assert_true(malloc_usable_size(name) < (size_t)2 * PLAN_MAX_NAME);
        }
        world_done(&w);
}

static void names_labels_and_limits_are_evaluated_per_instance(void **state)
{
        struct world w;
        (void)state;
        planned(&w,
                "on: push\nrun-name: by ${{ github.actor }}\njobs:\n  b:\n    name: on ${{ matrix.os }}\n    runs-on: "
                "[self-hosted, '${{ matrix.os }}']\n"
                "    timeout-minutes: ${{ matrix.t }}\n    continue-on-error: ${{ matrix.os == 'w' }}\n    steps: "
                "[{run: a}]\n"
                "    strategy: {fail-fast: false, max-parallel: 1, matrix: {os: [l, w], t: [0.5]}}\n"
                "  c:\n    name: plain\n    runs-on: ${{ fromJSON('[\"p\",\"q\"]') }}\n    steps: [{run: a}]\n",
                NULL);
        const struct plan_expansion *x = &w.plan->jobs[0].expansion;
        assert_string_equal(w.plan->run_name, "by ada");
        assert_string_equal(x->v[1]->name, "on w");
        assert_int_equal(x->v[1]->labels.n, 2);
        assert_string_equal(x->v[1]->labels.v[1], "w");
        assert_int_equal(x->v[1]->timeout_ms, 30000);
        assert_false(x->v[0]->continue_on_error);
        assert_true(x->v[1]->continue_on_error);
        assert_false(x->fail_fast);
        assert_int_equal(x->max_parallel, 1);
        assert_true(value_double(value_get(x->v[1]->strategy, "job-index")) == 1);
        assert_true(value_double(value_get(x->v[1]->strategy, "job-total")) == 2);
        const struct plan_instance *c = w.plan->jobs[1].expansion.v[0];
        assert_string_equal(c->name, "plain");
        assert_int_equal(c->labels.n, 2);
        assert_int_equal(c->timeout_ms, 360u * 60000);
        assert_int_equal(value_kind(c->matrix), VALUE_NULL);
        world_done(&w);
}

static void values_of_a_wrong_kind_are_refused_with_their_place(void **state)
{
        (void)state;
        refused("on: push\njobs:\n  b:\n    timeout-minutes: ${{ github.ref }}\n" STEPS, 4, 22,
                "timeout-minutes: expected a number, found 'refs/heads/main'");
        refused("on: push\njobs:\n  b:\n    timeout-minutes: 0\n" STEPS, 4, 22,
                "timeout-minutes: expected a number from 0.001 to 7200, found 0");
        refused("on: push\njobs:\n  b:\n    runs-on: ${{ github.nothing }}\n    steps: [{run: a}]\n", 4, 14,
                "runs-on: a label is empty");
        refused("on: push\njobs:\n  b:\n    runs-on: ${{ fromJSON('[]') }}\n    steps: [{run: a}]\n", 4, 14,
                "runs-on names no label");
        refused("on: push\njobs:\n  b:\n    continue-on-error: ${{ github.ref }}\n" STEPS, 4, 24,
                "expected true or false");
}

/* "b: {runs-on: LABEL, concurrency: GROUP}" with texts of these lengths. */
static char *job_with(size_t label, size_t group)
{
        AUTO(auto_free) char *texts = calloc(1, label + group + 1);
        memset(texts, 'x', label + group);
        return str_printf("on: push\njobs:\n  b:\n    runs-on: %.*s\n    concurrency: %.*s\n    steps: [{run: a}]\n",
                          (int)label, texts, (int)group, texts);
}

static void labels_and_concurrency_groups_are_bounded(void **state)
{
        struct world w;
        (void)state;
        AUTO(auto_free)
        char *fits = job_with(PLAN_MAX_LABEL, PLAN_MAX_GROUP), *label = job_with(PLAN_MAX_LABEL + 1, 1),
             *group = job_with(1, PLAN_MAX_GROUP + 1);
        planned(&w, fits, NULL);
        assert_int_equal(strlen(w.plan->jobs[0].expansion.v[0]->concurrency.group), PLAN_MAX_GROUP);
        world_done(&w);
        refused(label, 4, 14, "a label is longer than 256 bytes (PLAN_MAX_LABEL)");
        refused(group, 5, 18, "the concurrency group is longer than 400 bytes (PLAN_MAX_GROUP)");
}

static void a_concurrency_group_is_that_of_its_combination(void **state)
{
        struct world w;
        (void)state;
        planned(&w,
                "on: push\njobs:\n  b:\n    concurrency: {group: 'g-${{ matrix.v }}', cancel-in-progress: '${{ "
                "matrix.v == "
                "2 }}'}\n    strategy: {matrix: {v: [1, 2]}}\n" STEPS,
                NULL);
        const struct plan_expansion *x = &w.plan->jobs[0].expansion;
        assert_string_equal(x->v[0]->concurrency.group, "g-1");
        assert_string_equal(x->v[1]->concurrency.group, "g-2");
        assert_false(x->v[0]->concurrency.cancel_in_progress);
        assert_true(x->v[1]->concurrency.cancel_in_progress);
        world_done(&w);
}

static const json_t *environment_of(const struct world *w, size_t i, json_t **spec)
{
        const struct plan_job *j = &w->plan->jobs[0];
        AUTO(json_decrefp) json_t *image = json_object();
        const struct plan_parts parts = {
                .run = "1", .attempt = "1", .contexts = w->contexts, .image = image, .workspace = "/w"};
        struct err e = ERR_INIT;
        assert_int_equal(plan_job_spec(w->plan, j, j->expansion.v[i], &parts, spec, &e), 0);
        return json_object_get(*spec, "environment");
}

static void an_environment_is_that_of_its_combination(void **state)
{
        AUTO(json_decrefp) json_t *one = NULL, *two = NULL, *three = NULL;
        struct world w;
        (void)state;
        planned(&w,
                "on: push\njobs:\n  b:\n    environment: {name: '${{ matrix.v }}', url: 'https://${{ steps.a.outputs.x "
                "}}',"
                " deployment: false}\n    strategy: {matrix: {v: [p, '']}}\n" STEPS,
                NULL);
        const json_t *p = environment_of(&w, 0, &one);
        assert_string_equal(json_string_value(json_object_get(p, "name")), "p");
        assert_string_equal(json_string_value(json_object_get(p, "url")), "https://${{ steps.a.outputs.x }}");
        assert_null(environment_of(&w, 1, &two)); /* no name: no environment */
        world_done(&w);
        planned(&w, "on: push\njobs:\n  b:\n    environment: a b\n" STEPS, NULL);
        p = environment_of(&w, 0, &three);
        assert_string_equal(json_string_value(json_object_get(p, "name")), "a b");
        assert_int_equal(json_object_size(p), 1);
        world_done(&w);
        planned(&w,
                "on: push\njobs:\n  a:\n" STEPS "  b:\n    needs: a\n    environment: ${{ needs.a.outputs.x }}\n" STEPS,
                NULL);
        assert_true(w.plan->jobs[1].dynamic);
        world_done(&w);
}

static void an_environments_name_is_bounded(void **state)
{
        char name[PLAN_MAX_ENVIRONMENT + 2];
        struct world w;
        (void)state;
        memset(name, 'n', sizeof(name));
        name[PLAN_MAX_ENVIRONMENT] = '\0';
        AUTO(auto_free) char *fits = str_printf("on: push\njobs:\n  b:\n    environment: %s\n" STEPS, name);
        planned(&w, fits, NULL);
        world_done(&w);
        AUTO(auto_free) char *longer = str_printf("on: push\njobs:\n  b:\n    environment: %sn\n" STEPS, name);
        refused(longer, 4, 18, "the environment's name is longer than 255 bytes (PLAN_MAX_ENVIRONMENT)");
}

static void what_depends_on_needs_waits(void **state)
{
        struct world w;
        (void)state;
        planned(&w,
                "on: push\njobs:\n  a:\n" STEPS "  b:\n    needs: a\n    runs-on: x\n    steps: [{run: a}]\n"
                "    strategy: {matrix: {v: '${{ fromJSON(needs.a.outputs.list) }}'}}\n",
                NULL);
        const struct plan_job *b = &w.plan->jobs[1];
        assert_true(b->dynamic);
        assert_int_equal(b->expansion.n, 0);
        AUTO(value_unrefp) struct value *contexts = NULL;
        static const char json[] = "{\"needs\":{\"a\":{\"outputs\":{\"list\":\"[1,2,3]\"}}}}";
        struct plan_expansion x;
        assert_int_equal(value_parse_json(json, strlen(json), NULL, &contexts, &w.e), 0);
        assert_int_equal(plan_expand(w.plan, b, contexts, &x, &w.e), 0);
        assert_int_equal(x.n, 3);
        plan_expansion_done(&x);
        assert_int_equal(plan_expand(w.plan, b, w.contexts, &x, &w.e), -1);
        assert_contains(w.e.msg, "ci.yml:10:28: matrix: empty input");
        world_done(&w);
}

#define WHOLE(json) "on: push\njobs:\n  b:\n    strategy: ${{ fromJSON('" json "') }}\n" STEPS

static void one_expression_may_give_the_whole_strategy(void **state)
{
        struct world w;
        (void)state;
        planned(&w,
                WHOLE("{\"fail-fast\":false, \"max-parallel\":2, \"matrix\":{\"os\":[\"a\", \"b\"], \"exclude\":"
                      "[{\"os\":\"a\"}], \"include\":[{\"os\":\"c\"}]}}"),
                NULL);
        const struct plan_expansion *x = &w.plan->jobs[0].expansion;
        AUTO(auto_free) char *all = names(x);
        assert_string_equal(all, "b.1=b (b)|b.2=b (c)");
        assert_false(x->fail_fast);
        assert_int_equal(x->max_parallel, 2);
        assert_int_equal((int)value_double(value_get(x->v[1]->strategy, "max-parallel")), 2);
        world_done(&w);
        planned(&w, WHOLE("{\"matrix\":null}"), NULL);
        assert_int_equal(w.plan->jobs[0].expansion.n, 1);
        assert_true(w.plan->jobs[0].expansion.fail_fast);
        world_done(&w);
        planned(&w, WHOLE("{\"matrix\":{\"v\":[1], \"exclude\":[{\"v\":1}]}}"), NULL);
        assert_int_equal(w.plan->jobs[0].expansion.n, 0);
        world_done(&w);
        planned(&w,
                "on: push\njobs:\n  a:\n" STEPS
                "  b:\n    needs: a\n    strategy: ${{ fromJSON(needs.a.outputs.s) }}\n" STEPS,
                NULL);
        assert_true(w.plan->jobs[1].dynamic);
        world_done(&w);
}

static void a_whole_strategy_that_is_none_is_refused_with_its_place(void **state)
{
        (void)state;
        refused(WHOLE("[1]"), 4, 15, "strategy: expected a mapping, found Array");
        refused(WHOLE("{"), 4, 15, "strategy: ");
        refused(WHOLE("{\"matrix\":{}}"), 4, 15, "Matrix must define at least one vector");
        refused(WHOLE("{\"matrix\":\"x\"}"), 4, 15, "the matrix must be a mapping, found String");
        refused(WHOLE("{\"fail-fast\":\"true\"}"), 4, 15, "fail-fast: expected true or false, found String");
        refused(WHOLE("{\"max-parallel\":\"2\"}"), 4, 15, "max-parallel: expected a number, found String");
        refused(WHOLE("{\"max-parallel\":0}"), 4, 15, "max-parallel: expected a number from 1 to 10000, found 0");
        refused(WHOLE("{\"os\":[]}"), 4, 15, "strategy: expected matrix, fail-fast and max-parallel, found 'os'");
}

static void one_expression_may_give_the_env_of_the_workflow_and_of_a_job(void **state)
{
        struct world w;
        (void)state;
        planned(&w, "on: push\nenv: ${{ fromJSON(secrets.A) }}\njobs:\n  b:\n    env: ${{ vars }}\n" STEPS, NULL);
        struct strv secrets = STRV_INIT;
        json_t *texts = NULL;
        bool all = true;
        assert_int_equal(plan_job_texts(w.plan, &w.plan->jobs[0], &texts, &w.e), 0);
        json_t *expected = json_pack("[{s:s,s:i,s:i},{s:s,s:i,s:i}]", "all", "${{ fromJSON(secrets.A) }}", "line", 2,
                                     "column", 6, "all", "${{ vars }}", "line", 5, "column", 10);
        assert_true(json_equal(json_object_get(texts, "env"), expected));
        json_decref(expected);
        json_decref(texts);
        assert_int_equal(plan_job_secrets(w.plan, &w.plan->jobs[0], &secrets, &all, &w.e), 0);
        assert_int_equal(secrets.n, 1);
        assert_string_equal(secrets.v[0], "A");
        assert_false(all);
        strv_done(&secrets);
        world_done(&w);
}

static void what_cannot_run_yet_is_refused_not_ignored(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                unsigned line, column;
                const char *part;
        } cases[] = {
                {"    container: debian\n" STEPS, 4, 16, "`container` cannot be run yet"},
                {"    services: {db: {image: x}}\n" STEPS, 4, 15, "`services` cannot be run yet"},
                {"    runs-on: {group: g}\n    steps: [{run: a}]\n", 4, 22, "a runner group"},
                {"    snapshot: x\n" STEPS, 4, 15, "`snapshot`"},
                {"    runs-on: x\n    steps: [{uses: lost/action/sub@v1}]\n", 5, 20, "lost/action is nowhere"},
                {"    runs-on: x\n    steps: [{uses: docker://x}]\n", 5, 20, "a Docker action"},
                {"    runs-on: x\n    steps: [{uses: ./a/../../b}]\n", 5, 20, "leads out of the repository"},
                {"    runs-on: x\n    steps: [{uses: ../a}]\n", 5, 20,
                 "Expected format {org}/{repo}[/path]@ref. Actual '../a'"},
                {"    runs-on: x\n    steps: [{uses: actions/checkout}]\n", 5, 20, "Expected format"},
                {"    runs-on: x\n    steps: [{parallel: [{uses: docker://x}]}]\n", 5, 32, "a Docker action"},
                {"    runs-on: x\n    steps: [{run: a, env: {'${{ github.ref }}': c}}]\n", 5, 28,
                 "an expression for the name of a variable"},
                {"    runs-on: x\n    steps: [{uses: ./a, with: {'${{ github.ref }}': c}}]\n", 5, 32,
                 "an expression for the name of an input"},
                {"    env: {A: b, '${{ github.ref }}': c}\n" STEPS, 4, 17, "an expression for the name of a variable"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AUTO(auto_free) char *text = str_printf("on: push\njobs:\n  b:\n%s", cases[i].text);
                refused(text, cases[i].line, cases[i].column, cases[i].part);
        }
        struct world w;
        planned(&w,
                "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{uses: actions/checkout@v4}]\n  b:\n    container: "
                "y\n" STEPS,
                "a");
        world_done(&w); /* a job that is not asked for is not refused */
}

static void actions_are_asked_for_unless_they_are_built_in_or_local(void **state)
{
        struct world w;
        (void)state;
        planned(&w,
                "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: Actions/Checkout@v4\n      - uses: "
                "./x\n"
                "      - uses: there/action@v1\n      - uses: actions/checkout/sub@v1\n",
                NULL);
        assert_int_equal(w.asked, 2);
        world_done(&w);
        assert_int_equal(
                plan(&w, "on: push\njobs:\n  b:\n    runs-on: x\n    steps: [{uses: lost/action/sub@v1}]\n", NULL),
                PLAN_E_REFUSED);
        assert_string_equal(diag_at(w.problems, 0)->hint, "look for sub@v1");
        assert_int_equal(diag_at(w.problems, 0)->width, strlen("lost/action/sub@v1"));
        world_done(&w);
}

static json_t *steps_of(struct world *w, const char *steps)
{
        AUTO(auto_free) char *text = str_printf("on: push\njobs:\n  b:\n    runs-on: x\n    steps:\n%s", steps);
        planned(w, text, NULL);
        json_t *image = json_pack("{s:s,s:s}", "name", "default", "digest", "sha256:0"), *spec = NULL;
        struct plan_parts parts = {.run = "1",
                                   .attempt = "1",
                                   .contexts = w->contexts,
                                   .image = image,
                                   .accelerator = "tcg",
                                   .rootfs = "overlay",
                                   .workspace = "/w"};
        const struct plan_job *j = &w->plan->jobs[0];
        assert_int_equal(plan_job_spec(w->plan, j, j->expansion.v[0], &parts, &spec, &w->e), 0);
        json_t *list = json_incref(json_object_get(spec, "steps"));
        json_decref(spec);
        json_decref(image);
        return list;
}

static void the_specification_carries_steps_beside_others_and_whole_expressions(void **state)
{
        struct world w;
        (void)state;
        json_t *steps =
                steps_of(&w, "      - {run: a, id: s, background: true}\n      - {run: a, background: false}\n"
                             "      - {wait: s}\n      - {wait: [s]}\n      - {wait-all: }\n      - {cancel: s}\n"
                             "      - {parallel: [{run: a}, {uses: ./b}]}\n"
                             "      - {uses: ./b, with: '${{ fromJSON(vars.X) }}', env: '${{ matrix }}'}\n");
        assert_true(json_is_true(json_object_get(json_array_get(steps, 0), "background")));
        assert_null(json_object_get(json_array_get(steps, 1), "background"));
        for (size_t i = 2; i < 4; i++)
                assert_string_equal(
                        json_string_value(json_array_get(json_object_get(json_array_get(steps, i), "wait"), 0)), "s");
        assert_true(json_is_true(json_object_get(json_array_get(steps, 4), "wait_all")));
        assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 5), "cancel")), "s");
        json_t *block = json_object_get(json_array_get(steps, 6), "parallel");
        assert_int_equal(json_array_size(block), 2);
        assert_string_equal(json_string_value(json_object_get(json_array_get(block, 1), "uses")), "./b");
        assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 7), "with")),
                            "${{ fromJSON(vars.X) }}");
        assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 7), "env")), "${{ matrix }}");
        json_decref(steps);
        world_done(&w);
}

static void steps_of_parallel_blocks_are_counted(void **state)
{
        struct buf b = BUF_INIT;
        (void)state;
        assert_int_equal(buf_append_str(&b, "on: push\njobs:\n  b:\n    runs-on: x\n    steps:\n", NULL), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(buf_append_str(&b, "      - parallel:\n", NULL), 0);
                for (int k = 0; k < 500; k++)
                        assert_int_equal(buf_append_str(&b, "        - run: a\n", NULL), 0);
        }
        refused(buf_cstr(&b), 3, 3, "more than 1000 steps");
        buf_done(&b);
}

static void the_specification_carries_the_job(void **state)
{
        struct world w;
        (void)state;
        planned(&w,
                "on: push\nenv: {A: 1, B: x}\ndefaults: {run: {shell: bash}}\njobs:\n  b:\n    runs-on: x\n    env: "
                "{B: '${{ matrix.n }}'}\n"
                "    defaults: {run: {working-directory: sub}}\n    outputs: {v: '${{ steps.s.outputs.v }}'}\n    "
                "strategy: {matrix: {n: [1, 2]}}\n"
                "    steps:\n      - {id: s, name: S, if: always(), run: make, shell: sh, env: {C: d}, "
                "timeout-minutes: 5, continue-on-error: true}\n"
                "      - {uses: actions/checkout@v4, with: {fetch-depth: 0}}\n",
                NULL);
        json_t *image = json_pack("{s:s,s:s}", "name", "default", "digest", "sha256:0"), *spec = NULL;
        const char *mask[] = {"secret"};
        struct plan_parts parts = {.run = "12",
                                   .attempt = "3",
                                   .contexts = w.contexts,
                                   .image = image,
                                   .accelerator = "tcg",
                                   .rootfs = "overlay",
                                   .workspace = "/w",
                                   .boot_timeout_ms = 1000,
                                   .source_commit = "abc",
                                   .source_tree = "commit",
                                   .mask = mask,
                                   .n_mask = 1};
        const struct plan_job *j = &w.plan->jobs[0];
        assert_int_equal(plan_job_spec(w.plan, j, j->expansion.v[1], &parts, &spec, &w.e), 0);
        json_t *expected = json_pack(
                "{s:i,s:s,s:i,s:O,s:s,s:s,s:i,s:b,s:s,s:{s:s,s:s},s:[s],s:{s:s,s:s,s:i,s:b},s:[o,o,o],s:{s:s,s:s},"
                "s:{s:{s:s,s:s},s:{s:[s,s]},s:{},s:{s:s,s:s,s:s},s:{s:b,s:i,s:i,s:i},s:{s:i}},s:{s:s},s:[o,o]}",
                "version", 1, "run", "12", "attempt", 3, "image", image, "accelerator", "tcg", "rootfs", "overlay",
                "boot_timeout_ms", 1000, "hold_on_failure", 0, "workspace", "/w", "source", "commit", "abc", "tree",
                "commit", "mask", "secret", "job", "id", "b", "name", "b (2)", "timeout_ms", 21600000,
                "continue_on_error", 0, "env",
                json_pack("{s:s,s:s,s:i,s:i}", "name", "A", "value", "1", "line", 2, "column", 10),
                json_pack("{s:s,s:s,s:i,s:i}", "name", "B", "value", "x", "line", 2, "column", 16),
                json_pack("{s:s,s:s,s:i,s:i}", "name", "B", "value", "${{ matrix.n }}", "line", 7, "column", 14),
                "defaults", "shell", "bash", "working_directory", "sub", "contexts", "github", "ref", "refs/heads/main",
                "actor", "ada", "inputs", "list", "x", "y", "vars", "job", "workflow_ref", "/ci.yml@refs/heads/main",
                "workflow_repository", "", "workflow_file_path", "ci.yml", "strategy", "fail-fast", 1, "job-index", 1,
                "job-total", 2, "max-parallel", 2, "matrix", "n", 2, "outputs", "v", "${{ steps.s.outputs.v }}",
                "steps",
                json_pack("{s:s,s:s,s:s,s:s,s:[{s:s,s:s,s:i,s:i}],s:s,s:s,s:s,s:s,s:i,s:i}", "id", "s", "name", "S",
                          "if", "always()", "run", "make", "env", "name", "C", "value", "d", "line", 12, "column", 71,
                          "shell", "sh", "timeout_minutes", "5", "continue_on_error", "true", "file", "ci.yml", "line",
                          12, "column", 9),
                json_pack("{s:s,s:{s:s},s:[],s:s,s:i,s:i}", "uses", "actions/checkout@v4", "with", "fetch-depth", "0",
                          "env", "file", "ci.yml", "line", 13, "column", 9));
        assert_non_null(expected);
        if (!json_equal(spec, expected)) {
                char *a = json_dumps(spec, JSON_SORT_KEYS), *b = json_dumps(expected, JSON_SORT_KEYS);
                fail_msg("%s\n\n%s", a, b);
        }
        json_decref(expected);
        json_decref(spec);
        json_decref(image);
        world_done(&w);
}

static const char *member(const json_t *o, const char *key)
{
        const char *s = json_string_value(json_object_get(o, key));
        return s ? s : "";
}

static void a_profile_adds_steps_and_bounds(void **state)
{
        struct wf_str before[] = {{"make prepare\nmake more", {7, 5}}, {"\n echo b", {9, 5}}};
        struct wf_str after[] = {{"make report", {11, 5}}};
        struct world w;
        json_t *image = json_object(), *spec = NULL;
        struct plan_parts parts = {.run = "1",
                                   .attempt = "1",
                                   .image = image,
                                   .accelerator = "tcg",
                                   .rootfs = "read-only",
                                   .workspace = "/w",
                                   .profile_file = "devdep.yaml",
                                   .profile_digest = "sha256:0",
                                   .profile_environment = "p",
                                   .pids = 300,
                                   .most_ms = 60000,
                                   .before = {.v = before, .n = 2},
                                   .after = {.v = after, .n = 1}};
        (void)state;
        planned(&w, "on: push\njobs: {a: {runs-on: x, steps: [{run: make}]}}\n", NULL);
        parts.contexts = w.contexts;
        const struct plan_job *j = &w.plan->jobs[0];
        assert_int_equal(plan_job_spec(w.plan, j, j->expansion.v[0], &parts, &spec, &w.e), 0);
        const json_t *steps = json_object_get(spec, "steps"), *first = json_array_get(steps, 0),
                     *last = json_array_get(steps, 3);
        assert_int_equal(json_array_size(steps), 4);
        assert_string_equal(member(first, "name"), "before: make prepare");
        assert_string_equal(member(first, "run"), "make prepare\nmake more");
        assert_string_equal(member(first, "if"), "");
        assert_string_equal(member(first, "file"), "devdep.yaml");
        assert_int_equal(json_integer_value(json_object_get(first, "line")), 7);
        assert_string_equal(member(json_array_get(steps, 1), "name"), "before: echo b");
        assert_string_equal(member(json_array_get(steps, 2), "run"), "make");
        assert_string_equal(member(last, "name"), "after: make report");
        assert_string_equal(member(last, "if"), "always()");
        assert_string_equal(member(last, "shell"), "bash");
        assert_int_equal(json_integer_value(json_object_get(spec, "pids")), 300);
        assert_string_equal(member(json_object_get(spec, "profile"), "environment"), "p");
        assert_int_equal(json_integer_value(json_object_get(json_object_get(spec, "job"), "timeout_ms")), 60000);
        json_decref(spec);
        json_decref(image);
        world_done(&w);
}

static void the_smaller_limit_of_time_holds(void **state)
{
        struct world w;
        json_t *image = json_object(), *spec = NULL;
        struct plan_parts parts = {.run = "1",
                                   .attempt = "1",
                                   .image = image,
                                   .accelerator = "tcg",
                                   .workspace = "/w",
                                   .most_ms = 7200000};
        (void)state;
        planned(&w, "on: push\njobs: {a: {runs-on: x, timeout-minutes: 5, steps: [{run: make}]}}\n", NULL);
        parts.contexts = w.contexts;
        const struct plan_job *j = &w.plan->jobs[0];
        assert_int_equal(plan_job_spec(w.plan, j, j->expansion.v[0], &parts, &spec, &w.e), 0);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(spec, "job"), "timeout_ms")), 300000);
        assert_null(json_object_get(spec, "profile"));
        json_decref(spec);
        json_decref(image);
        world_done(&w);
}

static void the_github_context_is_derived_from_facts(void **state)
{
        (void)state;
        struct plan_github facts = {.event_name = "push",
                                    .ref = "refs/tags/v1",
                                    .sha = "abc",
                                    .repository = "ada/hello",
                                    .actor = "ada",
                                    .repository_url = "git://x/hello.git"};
        AUTO(value_unrefp) struct value *v = NULL;
        assert_int_equal(plan_github_context(&facts, &v, NULL), 0);
        assert_string_equal(value_get_str(v, "ref_name"), "v1");
        assert_string_equal(value_get_str(v, "ref_type"), "tag");
        assert_string_equal(value_get_str(v, "repository_owner"), "ada");
        assert_string_equal(value_get_str(v, "triggering_actor"), "ada");
        assert_string_equal(value_get_str(v, "head_ref"), "");
        assert_string_equal(value_get_str(v, "repositoryUrl"), "git://x/hello.git");
        assert_int_equal(value_kind(value_get(v, "event")), VALUE_OBJECT);
        assert_int_equal(value_kind(value_get(v, "run_id")), VALUE_NULL);
}

/* What the only job of the steps (YAML, one line) names: "A,B", "*" behind it for all. */
static void expect_secrets(const char *top, const char *steps, const char *expected)
{
        struct world w;
        struct strv names = STRV_INIT;
        struct buf got = BUF_INIT;
        bool all = false;
        AUTO(auto_free)
        char *text = str_printf("on: push\n%s\njobs:\n  b:\n    runs-on: x\n    steps: %s\n", top, steps);
        planned(&w, text, NULL);
        assert_int_equal(plan_job_secrets(w.plan, &w.plan->jobs[0], &names, &all, &w.e), 0);
        for (size_t i = 0; i < names.n; i++)
                buf_printf(&got, NULL, "%s%s", i ? "," : "", names.v[i]);
        buf_printf(&got, NULL, "%s", all ? "*" : "");
        assert_string_equal(buf_cstr(&got), expected);
        buf_done(&got);
        strv_done(&names);
        world_done(&w);
}

static void a_job_names_its_secrets_in_expressions_and_paths(void **state)
{
        (void)state;
        expect_secrets("", "[{run: 'echo secrets.A'}]", "");
        expect_secrets("", "[{run: 'echo ${{ secrets.A }} ${{ secrets.b }}'}, {run: '${{ SECRETS.a }}'}]", "A,b");
        expect_secrets("", "[{run: x, env: {T: \"${{ secrets['TOKEN'] || 'none' }}\"}}]", "TOKEN");
        expect_secrets("", "[{run: x, name: \"${{ format('{0}', secrets.N) }}\"}]", "N");
        expect_secrets("env: {T: '${{ secrets.TOP }}'}", "[{run: x}]", "TOP");
        expect_secrets("", "[{run: 'curl -d @/run/secrets/TOKEN https://x; cat /run/secrets/OTHER.txt'}]",
                       "TOKEN,OTHER");
        expect_secrets("", "[{uses: actions/checkout@v4, with: {token: '${{ secrets.GH }}'}}]", "GH");
        expect_secrets("", "[{run: 'ls /run/secrets/'}]", "");
}

static void a_job_that_names_its_secrets_by_evaluation_names_all(void **state)
{
        (void)state;
        expect_secrets("", "[{run: x, env: {T: '${{ toJSON(secrets) }}'}}]", "*");
        expect_secrets("", "[{run: x, env: {T: '${{ secrets[matrix.name] }}'}}]", "*");
        expect_secrets("", "[{run: x, env: {T: '${{ secrets.* }}'}}]", "*");
        expect_secrets("", "[{run: x, env: {T: \"${{ secrets[format('A_{0}', github.ref)] }} ${{ secrets.B }}\"}}]",
                       "B*");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_job_names_its_secrets_in_expressions_and_paths),
                cmocka_unit_test(a_job_that_names_its_secrets_by_evaluation_names_all),
                cmocka_unit_test(jobs_come_after_what_they_need),
                cmocka_unit_test(one_job_takes_its_needs_along),
                cmocka_unit_test(an_unknown_job_is_refused_with_the_known_ones),
                cmocka_unit_test(a_matrix_is_the_product_of_its_vectors),
                cmocka_unit_test(exclude_removes_what_matches_in_part),
                cmocka_unit_test(include_adds_to_combinations_or_makes_new_ones),
                cmocka_unit_test(a_matrix_is_bounded),
                cmocka_unit_test(the_work_on_a_matrix_is_bounded),
                cmocka_unit_test(a_name_takes_no_more_of_a_matrix_than_it_holds),
                cmocka_unit_test(names_labels_and_limits_are_evaluated_per_instance),
                cmocka_unit_test(values_of_a_wrong_kind_are_refused_with_their_place),
                cmocka_unit_test(labels_and_concurrency_groups_are_bounded),
                cmocka_unit_test(a_concurrency_group_is_that_of_its_combination),
                cmocka_unit_test(an_environment_is_that_of_its_combination),
                cmocka_unit_test(an_environments_name_is_bounded),
                cmocka_unit_test(what_depends_on_needs_waits),
                cmocka_unit_test(one_expression_may_give_the_whole_strategy),
                cmocka_unit_test(a_whole_strategy_that_is_none_is_refused_with_its_place),
                cmocka_unit_test(one_expression_may_give_the_env_of_the_workflow_and_of_a_job),
                cmocka_unit_test(what_cannot_run_yet_is_refused_not_ignored),
                cmocka_unit_test(actions_are_asked_for_unless_they_are_built_in_or_local),
                cmocka_unit_test(the_specification_carries_the_job),
                cmocka_unit_test(a_profile_adds_steps_and_bounds),
                cmocka_unit_test(the_smaller_limit_of_time_holds),
                cmocka_unit_test(the_specification_carries_steps_beside_others_and_whole_expressions),
                cmocka_unit_test(steps_of_parallel_blocks_are_counted),
                cmocka_unit_test(the_github_context_is_derived_from_facts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
