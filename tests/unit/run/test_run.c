/* The state of a run: every (state, event) pair, and what GitHub's users expect of needs, matrices and cancellations.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/diag.h"
#include "run/run.h"
#include "run/state.h"
#include "test_files.h"

struct world {
        struct library *library;
        struct workflow *workflow;
        struct plan *plan;
        struct run *run;
        struct buf log; /* what run_next() decided: "start a\n" */
        struct err e;
};

/* files: what the jobs call. */
static void world_with(struct world *w, const struct test_file *files, const char *jobs, size_t capacity,
                       bool keep_going)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct buf text = BUF_INIT;
        *w = (struct world){.e = ERR_INIT};
        assert_int_equal(diag_new("ci.yml", &problems, &w->e), 0);
        buf_append_str(&text, "on: push\njobs:\n", &w->e);
        buf_append_str(&text, jobs, &w->e);
        if (workflow_parse("ci.yml", text.data, text.len, problems, &w->workflow, &w->e))
                fail_msg("%u: %s", diag_at(problems, 0)->line, diag_at(problems, 0)->message);
        assert_int_equal(test_files_library(files, &w->library, &w->e), 0);
        struct plan_options o = {.library = w->library};
        if (plan_new(w->workflow, &o, problems, &w->plan, &w->e))
                fail_msg("%s", diag_at(problems, 0)->message);
        struct run_options options = {.capacity = capacity, .keep_going = keep_going};
        assert_int_equal(run_new(w->plan, &options, &w->run, &w->e), 0);
        buf_done(&text);
}

static void world_new(struct world *w, const char *jobs, size_t capacity, bool keep_going)
{
        world_with(w, NULL, jobs, capacity, keep_going);
}

static void world_done(struct world *w)
{
        run_free(w->run);
        plan_free(w->plan);
        workflow_free(w->workflow);
        library_free(w->library);
        buf_done(&w->log);
}

/* Take decisions until the run waits or is done; started jobs begin to run. Gives the decisions since the last call. */
static const char *drain(struct world *w)
{
        static const char *const verbs[] = {"wait", "start", "cancel", "report", "done"};
        buf_clear(&w->log);
        for (int i = 0; i < 10000; i++) {
                struct run_decision d;
                assert_int_equal(run_next(w->run, &d, &w->e), 0);
                if (d.action == RUN_WAIT)
                        return buf_cstr(&w->log);
                buf_printf(&w->log, &w->e, "%s%s", w->log.len ? ", " : "", verbs[d.action]);
                if (d.action == RUN_DONE)
                        return buf_cstr(&w->log);
                buf_printf(&w->log, &w->e, " %s", d.job->key);
                if (d.action == RUN_REPORT)
                        buf_printf(&w->log, &w->e, "=%s", run_conclusion_name(d.job->conclusion));
                if (d.action == RUN_START)
                        assert_int_equal(run_started(w->run, d.job, &w->e), 0);
        }
        fail_msg("the run does not settle");
        return NULL;
}

static struct run_job *job(struct world *w, const char *key)
{
        for (size_t i = 0; i < run_job_count(w->run); i++) {
                assert_int_equal(run_job_at(w->run, i)->index, i);
                if (strcmp(run_job_at(w->run, i)->key, key) == 0)
                        return run_job_at(w->run, i);
        }
        fail_msg("no job %s", key);
        return NULL;
}

static void finish(struct world *w, const char *key, enum run_conclusion c)
{
        enum err_code code = c == RUN_FAILURE || c == RUN_TIMED_OUT ? ERR_RUN_FAILED : ERR_SUCCESS;
        assert_int_equal(run_finished(w->run, job(w, key), c, code, NULL, &w->e), 0);
}

static void expect(struct world *w, const char *decisions)
{
        assert_string_equal(drain(w), decisions);
}

static void expect_result(struct world *w, enum run_conclusion c, enum err_code code)
{
        enum err_code got;
        assert_int_equal(run_result(w->run, &got), c);
        assert_int_equal(got, code);
}

#define J "runs-on: x, steps: [{run: a}]"

static void every_state_meets_every_event(void **state)
{
        (void)state;
        enum {
                W = RUN_STATE_WAITING,
                R = RUN_STATE_READY,
                S = RUN_STATE_STARTING,
                U = RUN_STATE_RUNNING,
                D = RUN_STATE_DONE,
                N = RUN_N_STATES
        };
        static const int expected[RUN_N_STATES][RUN_N_EVENTS] = {
                {R, D, D, D, N, N, N}, {N, N, N, D, S, N, N}, {N, N, N, N, N, U, D},
                {N, N, N, N, N, N, D}, {N, N, N, N, N, N, N},
        };
        for (int s = 0; s < RUN_N_STATES; s++)
                for (int ev = 0; ev < RUN_N_EVENTS; ev++) {
                        enum run_state to = RUN_N_STATES;
                        int r = run_state_next((enum run_state)s, (enum run_event)ev, &to);
                        assert_int_equal(r, expected[s][ev] == N ? RUN_E_ILLEGAL : 0);
                        assert_int_equal(to, expected[s][ev]);
                }
        (void)W;
}

static void an_event_out_of_turn_changes_nothing(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {" J "}\n", 1, false);
        assert_int_equal(run_started(w.run, job(&w, "a"), &w.e), -1);
        assert_int_equal(w.e.code, ERR_PROTOCOL);
        assert_int_equal(run_finished(w.run, job(&w, "a"), RUN_SUCCESS, ERR_SUCCESS, NULL, &w.e), -1);
        expect(&w, "start a");
        assert_int_equal(run_finished(w.run, job(&w, "a"), RUN_NONE, ERR_SUCCESS, NULL, &w.e), -1);
        finish(&w, "a", RUN_SUCCESS);
        assert_int_equal(run_finished(w.run, job(&w, "a"), RUN_FAILURE, ERR_RUN_FAILED, NULL, &w.e), -1);
        assert_int_equal(job(&w, "a")->conclusion, RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_SUCCESS, ERR_SUCCESS);
        world_done(&w);
}

static void a_diamond_runs_in_order_and_in_parallel(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {" J "}\n  b: {needs: a, " J "}\n  c: {needs: a, " J "}\n  d: {needs: [b, c], " J "}\n", 8,
                  false);
        expect(&w, "start a");
        finish(&w, "a", RUN_SUCCESS);
        expect(&w, "start b, start c");
        finish(&w, "c", RUN_SUCCESS);
        expect(&w, "");
        finish(&w, "b", RUN_SUCCESS);
        expect(&w, "start d");
        finish(&w, "d", RUN_SUCCESS);
        expect(&w, "done");
        world_done(&w);
}

static void capacity_bounds_what_runs(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {" J "}\n  b: {" J "}\n  c: {" J "}\n", 2, false);
        expect(&w, "start a, start b");
        finish(&w, "a", RUN_SUCCESS);
        run_set_capacity(w.run, 1);
        expect(&w, "");
        run_set_capacity(w.run, 2);
        expect(&w, "start c");
        world_done(&w);
}

static void a_failure_skips_what_needs_it(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {" J "}\n  b: {needs: a, " J "}\n  c: {needs: b, " J "}\n  d: {needs: a, if: failure(), " J
                  "}\n  e: {needs: c, if: always(), " J "}\n"
                  "  f: {needs: c, if: failure(), " J "}\n  g: {needs: a, if: '!cancelled()', " J "}\n",
                  8, true);
        expect(&w, "start a");
        finish(&w, "a", RUN_FAILURE);
        /* f: failure() looks at all ancestors, so at a through skipped b and c */
        expect(&w, "report b=skipped, report c=skipped, start d, start e, start f, start g");
        assert_string_equal(job(&w, "b")->reason, "a job that it needs did not succeed");
        finish(&w, "d", RUN_SUCCESS);
        finish(&w, "e", RUN_SUCCESS);
        finish(&w, "f", RUN_SUCCESS);
        finish(&w, "g", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_FAILURE, ERR_RUN_FAILED);
        world_done(&w);
}

static void a_skipped_ancestor_skips_everything_behind_it(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {if: false, " J "}\n  b: {needs: a, if: always(), " J "}\n  c: {needs: b, " J
                  "}\n  d: {needs: b, if: failure(), " J "}\n",
                  8, false);
        expect(&w, "report a=skipped, start b");
        assert_string_equal(job(&w, "a")->reason, "its `if` does not hold");
        finish(&w, "b", RUN_SUCCESS);
        expect(&w, "report c=skipped, report d=skipped, done");
        expect_result(&w, RUN_SUCCESS, ERR_SUCCESS);
        world_done(&w);
}

static void needs_and_outputs_are_in_the_contexts(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {" J "}\n  b: {needs: a, if: \"needs.a.outputs.v == '7' && needs.a.result == 'success'\", " J
                  "}\n",
                  8, false);
        expect(&w, "start a");
        AUTO(value_unrefp) struct value *outputs = NULL, *contexts = NULL;
        assert_int_equal(value_object(&outputs, &w.e), 0);
        assert_int_equal(value_set_str(outputs, "v", "7", &w.e), 0);
        assert_int_equal(run_finished(w.run, job(&w, "a"), RUN_SUCCESS, ERR_SUCCESS, outputs, &w.e), 0);
        expect(&w, "start b");
        assert_int_equal(run_contexts(w.run, job(&w, "b"), &contexts, &w.e), 0);
        struct value *a = value_get(value_get(contexts, "needs"), "a");
        assert_string_equal(value_get_str(a, "result"), "success");
        assert_string_equal(value_get_str(value_get(a, "outputs"), "v"), "7");
        assert_int_equal(value_kind(value_get(contexts, "matrix")), VALUE_NULL);
        assert_int_equal(value_kind(value_get(contexts, "strategy")), VALUE_OBJECT);
        world_done(&w);
}

static void a_matrix_from_an_output_is_made_when_it_is_known(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {" J "}\n  b: {needs: a, strategy: {matrix: {v: '${{ fromJSON(needs.a.outputs.l) }}'}}, " J
                  "}\n  c: {needs: b, " J "}\n",
                  8, false);
        assert_int_equal(run_job_count(w.run), 3);
        expect(&w, "start a");
        struct run_job *placeholder = job(&w, "b");
        placeholder->user = &w;
        AUTO(value_unrefp) struct value *outputs = NULL;
        assert_int_equal(value_object(&outputs, &w.e), 0);
        assert_int_equal(value_set_str(outputs, "l", "[\"x\",\"y\"]", &w.e), 0);
        assert_int_equal(run_finished(w.run, job(&w, "a"), RUN_SUCCESS, ERR_SUCCESS, outputs, &w.e), 0);
        expect(&w, "start b.1, start b.2");
        assert_int_equal(run_job_count(w.run), 4);
        assert_ptr_equal(job(&w, "b.1"), placeholder);
        assert_string_equal(job(&w, "b.2")->name, "b (y)");
        assert_ptr_equal(job(&w, "b.1")->user, &w);
        finish(&w, "b.1", RUN_SUCCESS);
        finish(&w, "b.2", RUN_SUCCESS);
        expect(&w, "start c");
        world_done(&w);
}

static void what_cannot_be_evaluated_fails(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {if: \"fromJSON('x')\", " J "}\n  b: {needs: a, " J
                  "}\n  c: {strategy: {matrix: {v: '${{ fromJSON(needs.a.outputs.l) }}'}}, needs: a, if: always(), " J
                  "}\n",
                  8, true);
        expect(&w, "report a=failure, report b=skipped, report c=failure, done");
        assert_contains(job(&w, "a")->reason, "ci.yml:3:11: if: Error parsing JSON");
        assert_contains(job(&w, "c")->reason, "ci.yml:5:30: matrix: empty input");
        expect_result(&w, RUN_FAILURE, ERR_RUN_FAILED);
        world_done(&w);
}

#define MATRIX "strategy: {matrix: {v: [1, 2, 3]}}, "

static void fail_fast_cancels_the_siblings(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {" MATRIX J "}\n", 2, false);
        expect(&w, "start a.1, start a.2");
        finish(&w, "a.1", RUN_FAILURE);
        expect(&w, "report a.3=cancelled, cancel a.2");
        assert_true(job(&w, "a.2")->cancel_asked);
        assert_contains(job(&w, "a.3")->reason, "fail-fast");
        expect(&w, ""); /* asked once */
        finish(&w, "a.2", RUN_CANCELLED);
        expect(&w, "done");
        expect_result(&w, RUN_FAILURE, ERR_RUN_FAILED);
        world_done(&w);
}

static void without_fail_fast_the_siblings_run(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {strategy: {fail-fast: false, matrix: {v: [1, 2, 3]}}, " J "}\n", 1, false);
        expect(&w, "start a.1");
        finish(&w, "a.1", RUN_FAILURE);
        expect(&w, "start a.2");
        finish(&w, "a.2", RUN_SUCCESS);
        expect(&w, "start a.3");
        finish(&w, "a.3", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_FAILURE, ERR_RUN_FAILED);
        world_done(&w);
}

static void max_parallel_bounds_the_siblings(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {strategy: {max-parallel: 2, matrix: {v: [1, 2, 3]}}, " J "}\n  b: {" J "}\n", 8, false);
        expect(&w, "start a.1, start a.2, start b");
        finish(&w, "a.2", RUN_SUCCESS);
        expect(&w, "start a.3");
        world_done(&w);
}

static void a_job_that_may_fail_counts_as_success(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {continue-on-error: true, strategy: {matrix: {v: [1, 2]}}, " J "}\n  b: {needs: a, " J "}\n", 1,
                  false);
        expect(&w, "start a.1");
        finish(&w, "a.1", RUN_FAILURE);
        expect(&w, "start a.2"); /* no fail-fast, no stop */
        finish(&w, "a.2", RUN_TIMED_OUT);
        expect(&w, "start b");
        assert_int_equal(job(&w, "a.1")->conclusion, RUN_FAILURE); /* stays visible */
        finish(&w, "b", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_SUCCESS, ERR_SUCCESS);
        world_done(&w);
}

static void a_failure_stops_new_starts_unless_told_to_keep_going(void **state)
{
        static const char jobs[] = "  a: {" J "}\n  b: {" J "}\n  c: {" J "}\n  d: {needs: c, if: always(), " J "}\n";
        struct world w;
        (void)state;
        world_new(&w, jobs, 2, false);
        expect(&w, "start a, start b");
        finish(&w, "a", RUN_FAILURE);
        expect(&w, "report c=cancelled, start d"); /* b runs to its end; d asked for it */
        assert_contains(job(&w, "c")->reason, "--keep-going");
        finish(&w, "b", RUN_SUCCESS);
        finish(&w, "d", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_FAILURE, ERR_RUN_FAILED);
        world_done(&w);

        world_new(&w, jobs, 2, true);
        expect(&w, "start a, start b");
        finish(&w, "a", RUN_FAILURE);
        expect(&w, "start c");
        world_done(&w);
}

static void a_time_out_is_a_failure(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {" J "}\n  b: {needs: a, if: failure(), " J "}\n", 1, false);
        expect(&w, "start a");
        finish(&w, "a", RUN_TIMED_OUT);
        expect(&w, "start b");
        finish(&w, "b", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_FAILURE, ERR_RUN_FAILED);
        world_done(&w);
}

static void the_code_is_that_of_the_first_failure(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {" J "}\n  b: {" J "}\n", 2, false);
        expect(&w, "start a, start b");
        assert_int_equal(run_finished(w.run, job(&w, "b"), RUN_FAILURE, ERR_GUEST_LOST, NULL, &w.e), 0);
        finish(&w, "a", RUN_FAILURE);
        expect(&w, "done");
        expect_result(&w, RUN_FAILURE, ERR_GUEST_LOST);
        world_done(&w);
}

static void a_cancelled_run_starts_only_what_asks_for_it(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {" J "}\n  b: {" J "}\n  c: {needs: a, " J "}\n  d: {needs: a, if: cancelled(), " J
                  "}\n  e: {needs: a, if: '!cancelled()', " J "}\n"
                  "  f: {needs: a, if: always(), " J "}\n",
                  1, false);
        expect(&w, "start a");
        run_cancel(w.run);
        run_cancel(w.run);
        expect(&w, "report b=cancelled, cancel a");
        finish(&w, "a", RUN_CANCELLED);
        expect(&w, "report c=cancelled, report e=cancelled, start d");
        finish(&w, "d", RUN_SUCCESS);
        expect(&w, "start f");
        finish(&w, "f", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_CANCELLED, ERR_CANCELLED);
        world_done(&w);
}

static void a_cancellation_reaches_a_job_that_is_starting(void **state)
{
        struct world w;
        struct run_decision d;
        (void)state;
        world_new(&w, "  a: {" J "}\n", 1, false);
        assert_int_equal(run_next(w.run, &d, &w.e), 0);
        assert_int_equal(d.action, RUN_START);
        run_cancel(w.run);
        expect(&w, "cancel a");
        finish(&w, "a", RUN_CANCELLED); /* it never came to run */
        expect(&w, "done");
        world_done(&w);
}

static void one_job_of_a_concurrency_group_at_a_time(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {concurrency: g, " J "}\n  b: {concurrency: G, " J "}\n  c: {concurrency: g, " J
                  "}\n  d: {concurrency: h, " J "}\n",
                  8, false);
        expect(&w, "report b=cancelled, start a, start d"); /* c came after b, and one may wait */
        finish(&w, "a", RUN_SUCCESS);
        expect(&w, "start c");
        finish(&w, "c", RUN_SUCCESS);
        finish(&w, "d", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_CANCELLED, ERR_CANCELLED);
        world_done(&w);
}

static void a_queue_keeps_all_that_wait(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {concurrency: {group: g, queue: max}, strategy: {matrix: {v: [1, 2, 3]}}, " J "}\n", 8,
                  false);
        expect(&w, "start a.1");
        finish(&w, "a.1", RUN_SUCCESS);
        expect(&w, "start a.2");
        finish(&w, "a.2", RUN_SUCCESS);
        expect(&w, "start a.3");
        world_done(&w);
}

static void cancel_in_progress_ends_the_job_that_runs(void **state)
{
        struct world w;
        (void)state;
        world_new(&w,
                  "  a: {concurrency: g, " J "}\n  b: {" J
                  "}\n  c: {needs: b, concurrency: {group: g, cancel-in-progress: true}, " J "}\n",
                  8, false);
        expect(&w, "start a, start b");
        finish(&w, "b", RUN_SUCCESS);
        expect(&w, "cancel a");
        finish(&w, "a", RUN_CANCELLED);
        expect(&w, "start c");
        world_done(&w);
}

static void a_matrix_without_combinations_is_skipped(void **state)
{
        struct world w;
        (void)state;
        world_new(&w, "  a: {strategy: {matrix: {v: [1], exclude: [{v: 1}]}}, " J "}\n", 8, false);
        expect(&w, "report a=skipped, done");
        world_done(&w);
}

/* ---- calls ---- */

#define A "uses: ./.github/workflows/a.yml"
#define B "uses: ./.github/workflows/b.yml"
#define CALLED                                                                                                         \
        "on: {workflow_call: {inputs: {i: {type: string}}, outputs: {o: {value: '${{ jobs.y.outputs.v "                \
        "}}'}}}}\njobs:\n"
#define PLAIN "on: {workflow_call: }\njobs:\n"

/* x, and then y, which gives an output. */
static const struct test_file pair[] = {
        {".github/workflows/a.yml", CALLED "  x: {" J "}\n  y: {needs: x, outputs: {v: z}, " J "}\n"}, {0}};

static void jobs_of_a_call_run_in_their_order_and_what_needs_it_waits(void **state)
{
        struct world w;
        (void)state;
        world_with(&w, pair, "  a: {" J "}\n  c: {needs: a, " A "}\n  d: {needs: c, " J "}\n  e: {" J "}\n", 1, false);
        expect(&w, "start a");
        finish(&w, "a", RUN_SUCCESS);
        expect(&w, "start c.x"); /* in the order of the file, though c takes no room of its own */
        assert_int_equal(job(&w, "c")->state, RUN_STATE_RUNNING);
        assert_int_equal(job(&w, "c.x")->index, job(&w, "c")->index + 1);
        assert_string_equal(job(&w, "c.x")->name, "c / x");
        assert_ptr_equal(job(&w, "c.x")->plan, job(&w, "c")->instance->called);
        finish(&w, "c.x", RUN_SUCCESS);
        expect(&w, "start c.y");
        finish(&w, "c.y", RUN_SUCCESS);
        expect(&w, "start d");
        assert_int_equal(job(&w, "c")->conclusion, RUN_SUCCESS);
        finish(&w, "d", RUN_SUCCESS);
        expect(&w, "start e");
        finish(&w, "e", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_SUCCESS, ERR_SUCCESS);
        world_done(&w);
}

static void inputs_go_in_and_outputs_come_out(void **state)
{
        struct world w;
        (void)state;
        world_with(&w, pair,
                   "  a: {" J "}\n  c: {needs: a, with: {i: '${{ needs.a.outputs.v }}'}, " A
                   "}\n  d: {needs: c, if: \"needs.c.outputs.o == 'out' && needs.c.result == 'success'\", " J "}\n",
                   8, false);
        AUTO(value_unrefp) struct value *in = NULL, *out = NULL, *contexts = NULL;
        assert_int_equal(value_object(&in, &w.e), 0);
        assert_int_equal(value_set_str(in, "v", "in", &w.e), 0);
        assert_int_equal(value_object(&out, &w.e), 0);
        assert_int_equal(value_set_str(out, "v", "out", &w.e), 0);
        expect(&w, "start a");
        assert_int_equal(run_finished(w.run, job(&w, "a"), RUN_SUCCESS, ERR_SUCCESS, in, &w.e), 0);
        expect(&w, "start c.x");
        assert_int_equal(run_contexts(w.run, job(&w, "c.x"), &contexts, &w.e), 0);
        assert_string_equal(value_get_str(value_get(contexts, "inputs"), "i"), "in");
        assert_int_equal(value_count(value_get(contexts, "needs")), 0);
        finish(&w, "c.x", RUN_SUCCESS);
        expect(&w, "start c.y");
        assert_int_equal(run_finished(w.run, job(&w, "c.y"), RUN_SUCCESS, ERR_SUCCESS, out, &w.e), 0);
        expect(&w, "start d");
        world_done(&w);
}

static void a_failure_in_a_call_is_the_calls(void **state)
{
        struct world w;
        (void)state;
        world_with(&w, pair,
                   "  c: {" A "}\n  d: {needs: c, " J "}\n  f: {needs: c, if: \"failure() && needs.c.result == "
                   "'failure'\", " J "}\n",
                   8, false);
        expect(&w, "start c.x");
        assert_int_equal(run_finished(w.run, job(&w, "c.x"), RUN_FAILURE, ERR_GUEST_LOST, NULL, &w.e), 0);
        expect(&w, "report c.y=skipped, report d=skipped, start f");
        assert_int_equal(job(&w, "c")->code, ERR_GUEST_LOST);
        finish(&w, "f", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_FAILURE, ERR_GUEST_LOST);
        world_done(&w);
}

static void status_functions_of_a_called_job_look_at_its_own_workflow(void **state)
{
        static const struct test_file files[] = {{".github/workflows/a.yml",
                                                  PLAIN "  x: {" J "}\n  y: {if: failure(), " J
                                                        "}\n  z: {if: always(), " J "}\n"},
                                                 {0}};
        struct world w;
        (void)state;
        world_with(&w, files, "  a: {" J "}\n  c: {needs: a, if: failure(), " A "}\n", 8, true);
        expect(&w, "start a");
        finish(&w, "a", RUN_FAILURE);
        expect(&w, "report c.y=skipped, start c.x, start c.z");
        world_done(&w);
}

static void a_skipped_call_has_no_jobs_and_one_whose_jobs_are_skipped_is_skipped(void **state)
{
        static const struct test_file files[] = {{".github/workflows/a.yml", PLAIN "  y: {if: false, " J "}\n"}, {0}};
        struct world w;
        (void)state;
        world_with(&w, files,
                   "  c: {if: false, " A "}\n  d: {" A
                   "}\n  e: {needs: d, if: \"always() && needs.d.result == 'skipped'\", " J "}\n",
                   8, false);
        expect(&w, "report c=skipped, report d.y=skipped, start e");
        assert_int_equal(run_job_count(w.run), 4);
        world_done(&w);
}

static void fail_fast_and_max_parallel_count_calls(void **state)
{
        static const char jobs[] = "  c: {strategy: {max-parallel: 2, matrix: {v: [1, 2, 3]}}, " A "}\n";
        struct world w;
        (void)state;
        world_with(&w, pair, jobs, 8, false);
        expect(&w, "start c.1.x, start c.2.x");
        finish(&w, "c.2.x", RUN_SUCCESS);
        expect(&w, "start c.2.y");
        finish(&w, "c.2.y", RUN_SUCCESS);
        expect(&w, "start c.3.x"); /* a call ended */
        finish(&w, "c.1.x", RUN_FAILURE);
        expect(&w, "report c.1.y=skipped, cancel c.3.x");
        finish(&w, "c.3.x", RUN_CANCELLED);
        expect(&w, "report c.3.y=cancelled, done");
        expect_result(&w, RUN_FAILURE, ERR_RUN_FAILED);
        world_done(&w);

        /* what did not begin is given up */
        world_with(&w, pair, "  c: {strategy: {max-parallel: 1, matrix: {v: [1, 2]}}, " A "}\n", 8, true);
        expect(&w, "start c.1.x");
        finish(&w, "c.1.x", RUN_FAILURE);
        expect(&w, "report c.1.y=skipped, report c.2=cancelled, done");
        world_done(&w);

        world_with(&w, pair, "  c: {strategy: {fail-fast: false, matrix: {v: [1, 2]}}, " A "}\n", 8, true);
        expect(&w, "start c.1.x, start c.2.x");
        finish(&w, "c.1.x", RUN_FAILURE);
        expect(&w, "report c.1.y=skipped");
        finish(&w, "c.2.x", RUN_SUCCESS);
        expect(&w, "start c.2.y");
        world_done(&w);
}

static void capacity_counts_guests_and_no_calls(void **state)
{
        struct world w;
        (void)state;
        world_with(&w, pair, "  c: {strategy: {matrix: {v: [1, 2, 3]}}, " A "}\n  d: {" J "}\n", 2, false);
        expect(&w, "start c.1.x, start c.2.x");
        finish(&w, "c.1.x", RUN_SUCCESS);
        expect(&w, "start c.1.y");
        world_done(&w);
}

static void a_failure_stops_jobs_of_calls_that_did_not_start(void **state)
{
        static const struct test_file files[] = {{".github/workflows/a.yml", PLAIN "  x: {" J "}\n  y: {" J "}\n"},
                                                 {0}};
        static const char jobs[] = "  a: {" J "}\n  c: {" A "}\n  d: {needs: a, if: always(), " A "}\n";
        struct world w;
        (void)state;
        world_with(&w, files, jobs, 1, false);
        expect(&w, "start a");
        finish(&w, "a", RUN_FAILURE);
        expect(&w, "report c.x=cancelled, report c.y=cancelled, start d.x"); /* d asked for it, so its jobs may run */
        finish(&w, "d.x", RUN_SUCCESS);
        expect(&w, "start d.y");
        world_done(&w);

        world_with(&w, files, jobs, 1, true);
        expect(&w, "start a");
        finish(&w, "a", RUN_FAILURE);
        expect(&w, "start c.x");
        world_done(&w);
}

static void a_cancelled_run_cancels_jobs_of_calls(void **state)
{
        static const struct test_file files[] = {{".github/workflows/a.yml",
                                                  PLAIN "  x: {" J "}\n  y: {needs: x, " J
                                                        "}\n  z: {needs: x, if: cancelled(), " J "}\n"},
                                                 {0}};
        struct world w;
        (void)state;
        world_with(&w, files, "  c: {" A "}\n  d: {needs: c, if: always(), " A "}\n  e: {needs: c, " A "}\n", 1, false);
        expect(&w, "start c.x");
        run_cancel(w.run);
        expect(&w, "cancel c.x");
        assert_true(job(&w, "c")->cancel_asked);
        finish(&w, "c.x", RUN_CANCELLED);
        expect(&w, "report c.y=cancelled, start c.z");
        finish(&w, "c.z", RUN_SUCCESS);
        expect(&w, "report e=cancelled, start d.x"); /* whose `if` asked for it */
        assert_int_equal(job(&w, "c")->conclusion, RUN_CANCELLED);
        finish(&w, "d.x", RUN_SUCCESS);
        expect(&w, "start d.y"); /* in it success() holds, and cancelled() does */
        finish(&w, "d.y", RUN_SUCCESS);
        expect(&w, "start d.z");
        finish(&w, "d.z", RUN_SUCCESS);
        expect(&w, "done");
        expect_result(&w, RUN_CANCELLED, ERR_CANCELLED);
        world_done(&w);
}

static void a_call_holds_its_concurrency_group_as_long_as_its_jobs_run(void **state)
{
        struct world w;
        (void)state;
        world_with(&w, pair, "  c: {concurrency: g, " A "}\n  d: {concurrency: g, " J "}\n", 8, false);
        expect(&w, "start c.x");
        finish(&w, "c.x", RUN_SUCCESS);
        expect(&w, "start c.y");
        finish(&w, "c.y", RUN_SUCCESS);
        expect(&w, "start d");
        world_done(&w);

        world_with(&w, pair,
                   "  c: {concurrency: g, " A "}\n  b: {" J "}\n  d: {needs: b, concurrency: {group: g, "
                   "cancel-in-progress: true}, " J "}\n",
                   8, false);
        expect(&w, "start c.x, start b");
        finish(&w, "b", RUN_SUCCESS);
        expect(&w, "cancel c.x");
        finish(&w, "c.x", RUN_CANCELLED);
        expect(&w, "report c.y=cancelled, start d");
        world_done(&w);
}

static void a_circle_of_concurrency_groups_ends(void **state)
{
        static const struct test_file files[] = {{".github/workflows/a.yml", PLAIN "  y: {concurrency: g, " J "}\n"},
                                                 {".github/workflows/b.yml", PLAIN "  y: {concurrency: h, " J "}\n"},
                                                 {0}};
        struct world w;
        (void)state;
        world_with(&w, files, "  c: {concurrency: g, " A "}\n", 8, false);
        expect(&w, "report c.y=cancelled, done");
        assert_string_equal(job(&w, "c.y")->reason, "a deadlock: what has its concurrency group waits for it: g");
        expect_result(&w, RUN_CANCELLED, ERR_CANCELLED);
        world_done(&w);

        world_with(&w, files, "  c: {concurrency: h, " A "}\n  d: {concurrency: g, " B "}\n", 8, false);
        expect(&w, "report c.y=cancelled, start d.y"); /* c gave up, so h is free */
        world_done(&w);
}

static void a_call_that_cannot_begin_or_end_fails_and_says_why(void **state)
{
        static const struct test_file files[] = {{".github/workflows/a.yml",
                                                  "on: {workflow_call: {inputs: {n: {type: number}}, outputs: {o: "
                                                  "{value: \"${{ fromJSON(jobs.y.outputs.v) }}\"}}}}\n"
                                                  "jobs:\n  y: {outputs: {v: z}, " J "}\n"},
                                                 {0}};
        struct world w;
        (void)state;
        world_with(&w, files,
                   "  a: {" J "}\n  c: {needs: a, with: {n: '${{ needs.a.outputs.v }}'}, " A "}\n  d: {needs: c, " J
                   "}\n  e: {" A "}\n",
                   8, true);
        expect(&w, "start a, start e.y");
        finish(&w, "a", RUN_SUCCESS);
        expect(&w, "report c=failure, report d=skipped");
        assert_contains(job(&w, "c")->reason, "ci.yml:4:27: the input 'n': expected a number, found Null ''");
        assert_int_equal(job(&w, "c")->code, ERR_RUN_FAILED);
        finish(&w, "e.y", RUN_SUCCESS);
        expect(&w, "report e=failure, done");
        assert_contains(job(&w, "e")->reason, "a.yml:1:72: the output 'o': empty input");
        world_done(&w);
}

static void calls_in_calls_are_cancelled_and_ended_too(void **state)
{
        static const struct test_file files[] = {
                {".github/workflows/a.yml", PLAIN "  y: {" B "}\n  z: {needs: y, " J "}\n"},
                {".github/workflows/b.yml", PLAIN "  y: {" J "}\n"},
                {0}};
        struct world w;
        (void)state;
        world_with(&w, files, "  c: {strategy: {matrix: {v: [1, 2]}}, " A "}\n", 8, false);
        expect(&w, "start c.1.y.y, start c.2.y.y");
        finish(&w, "c.1.y.y", RUN_FAILURE);
        expect(&w, "report c.1.z=skipped, cancel c.2.y.y");
        finish(&w, "c.2.y.y", RUN_CANCELLED);
        expect(&w, "report c.2.z=cancelled, done");
        world_done(&w);
}

/* Random runs: whatever ends in whatever way, a run settles, obeys its bounds and reports every job once. */
static void any_order_of_events_settles(void **state)
{
        (void)state;
        static const char jobs[] =
                "  a: {strategy: {max-parallel: 2, matrix: {v: [1, 2, 3, 4]}}, " J
                "}\n  b: {needs: a, if: '!cancelled()', " J "}\n  c: {" J "}\n"
                "  d: {needs: [b, c], if: always(), continue-on-error: true, strategy: {matrix: {v: [1, 2]}}, " J "}\n"
                "  e: {needs: c, concurrency: g, strategy: {fail-fast: false, matrix: {v: [1, 2, 3]}}, " J
                "}\n  f: {needs: d, if: failure(), " J
                "}\n  g: {needs: c, if: '!cancelled()', concurrency: g, strategy: {max-parallel: 2, matrix: "
                "{v: [1, 2, 3]}}, " A "}\n  h: {needs: g, if: always(), " B "}\n";
        static const struct test_file called[] = {
                {".github/workflows/a.yml",
                 PLAIN "  x: {" J "}\n  y: {needs: x, concurrency: h, if: always(), " J "}\n  z: {" B "}\n"},
                {".github/workflows/b.yml",
                 PLAIN "  y: {strategy: {matrix: {v: [1, 2]}}, concurrency: {group: h, queue: max}, " J "}\n"},
                {0}};
        for (unsigned seed = 1; seed <= 400; seed++) {
                struct world w;
                unsigned r = seed * 2654435761u;
                size_t capacity = 1 + seed % 4, active = 0;
                struct run_job *running[16];
                world_with(&w, called, jobs, capacity, seed % 2);
                for (int i = 0; i < 1000 && !run_is_done(w.run); i++) {
                        struct run_decision d;
                        r = r * 1103515245u + 12345u;
                        assert_int_equal(run_next(w.run, &d, &w.e), 0);
                        if (d.action == RUN_START) {
                                running[active++] = d.job;
                                assert_true(active <= capacity);
                                if (r >> 16 & 1)
                                        assert_int_equal(run_started(w.run, d.job, &w.e), 0);
                        } else if (d.action == RUN_WAIT) {
                                assert_true(active > 0);
                                size_t at = (r >> 16) % active;
                                static const enum run_conclusion ends[] = {RUN_SUCCESS, RUN_SUCCESS, RUN_FAILURE,
                                                                           RUN_CANCELLED, RUN_TIMED_OUT};
                                assert_int_equal(run_finished(w.run, running[at], ends[(r >> 20) % 5], ERR_RUN_FAILED,
                                                              NULL, &w.e),
                                                 0);
                                running[at] = running[--active];
                        } else if ((r >> 16) % 29 == 0) {
                                run_cancel(w.run);
                        }
                }
                assert_true(run_is_done(w.run));
                assert_int_equal(active, 0);
                for (size_t i = 0; i < run_job_count(w.run); i++)
                        assert_int_not_equal(run_job_at(w.run, i)->conclusion, RUN_NONE);
                world_done(&w);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_state_meets_every_event),
                cmocka_unit_test(an_event_out_of_turn_changes_nothing),
                cmocka_unit_test(a_diamond_runs_in_order_and_in_parallel),
                cmocka_unit_test(capacity_bounds_what_runs),
                cmocka_unit_test(a_failure_skips_what_needs_it),
                cmocka_unit_test(a_skipped_ancestor_skips_everything_behind_it),
                cmocka_unit_test(needs_and_outputs_are_in_the_contexts),
                cmocka_unit_test(a_matrix_from_an_output_is_made_when_it_is_known),
                cmocka_unit_test(what_cannot_be_evaluated_fails),
                cmocka_unit_test(fail_fast_cancels_the_siblings),
                cmocka_unit_test(without_fail_fast_the_siblings_run),
                cmocka_unit_test(max_parallel_bounds_the_siblings),
                cmocka_unit_test(a_job_that_may_fail_counts_as_success),
                cmocka_unit_test(a_failure_stops_new_starts_unless_told_to_keep_going),
                cmocka_unit_test(a_time_out_is_a_failure),
                cmocka_unit_test(the_code_is_that_of_the_first_failure),
                cmocka_unit_test(a_cancelled_run_starts_only_what_asks_for_it),
                cmocka_unit_test(a_cancellation_reaches_a_job_that_is_starting),
                cmocka_unit_test(one_job_of_a_concurrency_group_at_a_time),
                cmocka_unit_test(a_queue_keeps_all_that_wait),
                cmocka_unit_test(cancel_in_progress_ends_the_job_that_runs),
                cmocka_unit_test(a_matrix_without_combinations_is_skipped),
                cmocka_unit_test(jobs_of_a_call_run_in_their_order_and_what_needs_it_waits),
                cmocka_unit_test(inputs_go_in_and_outputs_come_out),
                cmocka_unit_test(a_failure_in_a_call_is_the_calls),
                cmocka_unit_test(status_functions_of_a_called_job_look_at_its_own_workflow),
                cmocka_unit_test(a_skipped_call_has_no_jobs_and_one_whose_jobs_are_skipped_is_skipped),
                cmocka_unit_test(fail_fast_and_max_parallel_count_calls),
                cmocka_unit_test(capacity_counts_guests_and_no_calls),
                cmocka_unit_test(a_failure_stops_jobs_of_calls_that_did_not_start),
                cmocka_unit_test(a_cancelled_run_cancels_jobs_of_calls),
                cmocka_unit_test(a_call_holds_its_concurrency_group_as_long_as_its_jobs_run),
                cmocka_unit_test(a_circle_of_concurrency_groups_ends),
                cmocka_unit_test(a_call_that_cannot_begin_or_end_fails_and_says_why),
                cmocka_unit_test(calls_in_calls_are_cancelled_and_ended_too),
                cmocka_unit_test(any_order_of_events_settles),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
