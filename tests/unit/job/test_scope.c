/* Scopes, views and variables: what the expressions and the process of a step see. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "job/scope.h"
#include "job/spec.h"
#include "job/texts.h"
#include "job/variables.h"
#include "job/view.h"
#include "workflow/value.h"

#define SPEC                                                                                                           \
        "{\"version\":1,\"run\":\"7\",\"attempt\":1,\"job\":{\"id\":\"build\",\"timeout_ms\":1},"                      \
        "\"image\":{\"name\":\"default\",\"digest\":\"d\"},\"accelerator\":\"tcg\",\"boot_timeout_ms\":1,"             \
        "\"workspace\":\"/home/runner/work/a/a\",\"env\":[{\"name\":\"JOB\",\"value\":\"job\"}],"                      \
        "\"contexts\":{\"github\":{\"ref\":\"main\",\"repository\":\"a/b\"},\"inputs\":{\"in\":\"of the job\"}},"      \
        "\"steps\":[]}"

struct scene {
        struct spec *spec;
        struct context *context;
        struct scope *job;
        struct err e;
};

static int set_up(void **state)
{
        struct scene *s = calloc(1, sizeof(*s));
        AUTO(value_unrefp) struct value *secrets = NULL;
        assert_int_equal(spec_parse(SPEC, strlen(SPEC), &s->spec, &s->e), 0);
        assert_int_equal(context_new(s->spec, &s->context, &s->e), 0);
        assert_int_equal(scope_new(s->context, &s->job, &s->e), 0);
        assert_int_equal(value_object(&secrets, &s->e), 0);
        assert_int_equal(context_set_secrets(s->context, secrets, &s->e), 0);
        *state = s;
        return 0;
}

static int tear_down(void **state)
{
        struct scene *s = *state;
        scope_unref(s->job);
        context_free(s->context);
        spec_free(s->spec);
        free(s);
        return 0;
}

static struct view *view_of(struct scene *s, struct scope *scope, bool of_job)
{
        struct view *v = NULL;
        assert_int_equal(view_new(scope, scope_variables(scope), of_job, &v, &s->e), 0);
        return v;
}

static void assert_text(struct scene *s, struct view *v, const char *text, const char *expected)
{
        char *got = NULL;
        assert_int_equal(view_text(v, text, "text", &got, &s->e), 0);
        assert_string_equal(got, expected);
        free(got);
}

static bool holds(struct scene *s, struct view *v, const char *condition)
{
        bool ret = false;
        assert_int_equal(view_condition(v, condition, &ret, &s->e), 0);
        return ret;
}

/* An action of the scope, with one input `in` and one variable of the calling step. */
static struct scope *call(struct scene *s, struct scope *outer, const char *in)
{
        const struct scope_action action = {"/home/runner/work/a/a/act", NULL, NULL};
        struct value *inputs = NULL;
        struct map *env = NULL;
        struct scope *scope = NULL;
        assert_int_equal(value_object(&inputs, &s->e), 0);
        assert_int_equal(value_set_str(inputs, "in", in, &s->e), 0);
        assert_int_equal(texts_new(&env, &s->e), 0);
        assert_int_equal(texts_set(env, "CALLED", in, &s->e), 0);
        assert_int_equal(scope_new_action(outer, &action, scope_variables(outer), env, inputs, &scope, &s->e), 0);
        value_unref(inputs);
        map_free(env);
        return scope;
}

static void an_action_has_inputs_and_steps_of_its_own(void **state)
{
        struct scene *s = *state;
        assert_int_equal(scope_step_result(s->job, "outer", NULL, "success", "success", &s->e), 0);
        struct scope *action = call(s, s->job, "first");
        assert_int_equal(scope_step_result(action, "inner", NULL, "failure", "success", &s->e), 0);
        struct view *inside = view_of(s, action, false), *outside = view_of(s, s->job, false);
        assert_text(s, inside, "${{ inputs.in }} ${{ steps.inner.outcome }} ${{ steps.outer }}", "first failure ");
        assert_text(s, outside, "${{ inputs.in }} ${{ steps.inner }}${{ steps.outer.outcome }}", "of the job success");
        assert_text(s, inside, "${{ github.action_path }} ${{ github.ref }}", "/home/runner/work/a/a/act main");
        assert_text(s, outside, "[${{ github.action_path }}]", "[]");
        assert_int_equal(scope_depth(action), 1);
        view_free(inside);
        view_free(outside);
        scope_unref(action);
}

static void the_variables_of_callers_reach_inwards_and_the_nearest_wins(void **state)
{
        struct scene *s = *state;
        struct scope *one = call(s, s->job, "one"), *two = call(s, one, "two");
        assert_int_equal(variables_set(scope_variables(two), "CALLED", "by a step", &s->e), 0);
        assert_int_equal(variables_set(scope_variables(two), "SET", "by a step", &s->e), 0);
        struct view *v1 = view_of(s, one, false), *v2 = view_of(s, two, false), *v0 = view_of(s, s->job, false);
        assert_text(s, v1, "${{ env.JOB }} ${{ env.CALLED }} ${{ env.SET }}", "job one by a step");
        assert_text(s, v2, "${{ env.JOB }} ${{ env.CALLED }}", "job two");
        assert_text(s, v0, "${{ env.CALLED }}", "by a step");
        view_free(v0);
        view_free(v1);
        view_free(v2);
        scope_unref(one); /* the inner one keeps it */
        assert_int_equal(scope_depth(two), 2);
        scope_unref(two);
}

static void status_functions_look_at_the_scope_and_at_the_jobs_cancellation(void **state)
{
        struct scene *s = *state;
        struct scope *action = call(s, s->job, "x");
        struct view *inside = view_of(s, action, false), *outside = view_of(s, s->job, false);
        struct view *post = view_of(s, action, true);
        assert_true(holds(s, inside, NULL) && holds(s, outside, "success()") && holds(s, post, "success()"));
        scope_fail(action);
        assert_true(holds(s, inside, "failure()") && !holds(s, inside, NULL));
        assert_true(holds(s, outside, "success()") && holds(s, post, "success()"));
        scope_fail(s->job);
        assert_true(holds(s, outside, "failure()") && holds(s, post, "failure()"));
        struct scope *fresh = call(s, s->job, "y");
        struct view *later = view_of(s, fresh, false);
        assert_true(holds(s, later, "success()") && !holds(s, later, "failure()"));
        context_set_status(s->context, CONTEXT_CANCELLED);
        scope_fail(s->job);
        assert_true(holds(s, inside, "cancelled()") && holds(s, outside, "cancelled()") &&
                    holds(s, post, "cancelled()"));
        assert_false(holds(s, later, "success()") || holds(s, inside, "failure()") || holds(s, outside, "failure()"));
        view_free(inside);
        view_free(outside);
        view_free(post);
        view_free(later);
        scope_unref(action);
        scope_unref(fresh);
}

static void a_step_sees_its_own_env_behind_what_was_there(void **state)
{
        struct scene *s = *state;
        struct spec_pair pairs[] = {
                {"A", "${{ env.JOB }}-1", 0, 0}, {"JOB", "own", 0, 0}, {"B", "[${{ env.A }}]", 0, 0}};
        const struct spec_pairs env = {pairs, 3};
        const struct view_files files = {"/o", "/e", "/p", "/s", "/t"};
        struct view *v = view_of(s, s->job, false);
        assert_int_equal(view_begin(v, "__run", &files, &env, &s->e), 0);
        assert_text(s, v, "${{ env.A }} ${{ env.JOB }} ${{ env.B }} ${{ github.output }} ${{ github.action }}",
                    "job-1 own [] /o __run");
        struct strv list = STRV_INIT;
        assert_int_equal(view_environment(v, NULL, &list, &s->e), 0);
        assert_true(strv_has(&list, "A=job-1") && strv_has(&list, "GITHUB_OUTPUT=/o") && strv_has(&list, "CI=true"));
        strv_done(&list);
        view_free(v);
}

static void a_bad_variable_is_a_mistake_of_the_step(void **state)
{
        struct scene *s = *state;
        struct spec_pair pairs[] = {{"A=B", "x", 0, 0}};
        const struct spec_pairs env = {pairs, 1};
        struct view *v = view_of(s, s->job, false);
        assert_true(view_begin(v, "__run", NULL, &env, &s->e) < 0);
        assert_int_equal(s->e.code, ERR_RUN_FAILED);
        assert_true(holds(s, v, "always()"));
        view_free(v);
        assert_true(variables_set(scope_variables(s->job), "", "x", &s->e) < 0);
        assert_int_equal(s->e.code, ERR_RUN_FAILED);
}

static void a_process_cannot_replace_what_the_contexts_say(void **state)
{
        struct scene *s = *state;
        struct spec_pair pairs[] = {{"GITHUB_REF", "forged", 0, 0}, {"INPUT_X", "forged", 0, 0}};
        const struct spec_pairs env = {pairs, 2};
        struct view *v = view_of(s, s->job, false);
        struct map *more = NULL;
        struct strv list = STRV_INIT;
        assert_int_equal(texts_new(&more, &s->e), 0);
        assert_int_equal(texts_set(more, "INPUT_X", "given", &s->e), 0);
        assert_int_equal(texts_set(more, "GITHUB_REF", "forged", &s->e), 0);
        assert_int_equal(view_begin(v, "__run", NULL, &env, &s->e), 0);
        assert_int_equal(view_environment(v, more, &list, &s->e), 0);
        assert_true(strv_has(&list, "GITHUB_REF=main") && strv_has(&list, "INPUT_X=given"));
        strv_done(&list);
        map_free(more);
        view_free(v);
}

static void a_fork_is_seen_by_others_when_it_is_joined(void **state)
{
        struct scene *s = *state;
        struct variables *all = scope_variables(s->job), *fork = NULL;
        assert_int_equal(variables_add_path(all, "/before", &s->e), 0);
        assert_int_equal(variables_fork(all, &fork, &s->e), 0);
        assert_int_equal(variables_set(fork, "A", "fork", &s->e), 0);
        assert_int_equal(variables_add_path(fork, "/fork", &s->e), 0);
        assert_int_equal(variables_set(all, "JOB", "changed meanwhile", &s->e), 0);
        assert_null(map_get(variables_env(all), "A"));
        assert_string_equal(map_get(variables_env(fork), "JOB"), "job");
        assert_int_equal(variables_join(all, fork, &s->e), 0);
        assert_string_equal(map_get(variables_env(all), "A"), "fork");
        assert_string_equal(map_get(variables_env(all), "JOB"), "changed meanwhile");
        assert_int_equal(variables_paths(all)->n, 2);
        assert_string_equal(variables_paths(all)->v[1], "/fork");
        variables_free(fork);
}

static void folders_of_the_path_are_counted(void **state)
{
        struct scene *s = *state;
        struct variables *all = scope_variables(s->job);
        for (unsigned i = 0; i < VARIABLES_MAX_PATHS; i++)
                assert_int_equal(variables_add_path(all, "/x", &s->e), 0);
        assert_true(variables_add_path(all, "/x", &s->e) < 0);
        assert_int_equal(s->e.code, ERR_RUN_FAILED);
}

static void outputs_of_a_job_are_bounded_and_an_action_gives_its_own_back(void **state)
{
        struct scene *s = *state;
        struct scope *action = call(s, s->job, "x");
        assert_int_equal(scope_keep(s->job, SCOPE_MAX_OUTPUTS - 10, &s->e), 0);
        assert_int_equal(scope_keep(action, 10, &s->e), 0);
        assert_true(scope_keep(s->job, 1, &s->e) < 0);
        assert_int_equal(s->e.code, ERR_RUN_FAILED);
        scope_unref(action);
        assert_int_equal(scope_keep(s->job, 10, &s->e), 0);
        assert_true(scope_keep(s->job, 1, &s->e) < 0);
}

static void an_environment_that_fits_no_request_is_refused(void **state)
{
        struct scene *s = *state;
        struct strv list = STRV_INIT;
        AUTO(auto_free) char *half = malloc(VIEW_MAX_ENVIRONMENT / 2);
        memset(half, 'x', VIEW_MAX_ENVIRONMENT / 2);
        half[VIEW_MAX_ENVIRONMENT / 2 - 1] = 0;
        assert_int_equal(variables_set(scope_variables(s->job), "ONE", half, &s->e), 0);
        struct view *v = view_of(s, s->job, false);
        assert_int_equal(view_environment(v, NULL, &list, &s->e), 0);
        strv_done(&list);
        view_free(v);
        assert_int_equal(variables_set(scope_variables(s->job), "TWO", half, &s->e), 0);
        v = view_of(s, s->job, false);
        assert_true(view_environment(v, NULL, &list, &s->e) < 0);
        assert_int_equal(s->e.code, ERR_RUN_FAILED);
        strv_done(&list);
        view_free(v);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENE(an_action_has_inputs_and_steps_of_its_own),
                SCENE(the_variables_of_callers_reach_inwards_and_the_nearest_wins),
                SCENE(status_functions_look_at_the_scope_and_at_the_jobs_cancellation),
                SCENE(a_step_sees_its_own_env_behind_what_was_there),
                SCENE(a_bad_variable_is_a_mistake_of_the_step),
                SCENE(a_process_cannot_replace_what_the_contexts_say),
                SCENE(a_fork_is_seen_by_others_when_it_is_joined),
                SCENE(folders_of_the_path_are_counted),
                SCENE(outputs_of_a_job_are_bounded_and_an_action_gives_its_own_back),
                SCENE(an_environment_that_fits_no_request_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
