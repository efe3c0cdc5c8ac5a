/* devdep-cli plan: what a run would start, without starting anything. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/forecast.h"
#include "cli/output.h"

static json_t *labels_json(const struct strv *labels)
{
        json_t *list = json_array();

        for (size_t i = 0; list && i < labels->n; i++)
                json_array_append_new(list, json_string(labels->v[i]));
        return list;
}

static json_t *matrix_json(const struct value *matrix)
{
        json_t *json = NULL;

        return value_to_json(matrix, &json, NULL) == 0 ? json : NULL;
}

static json_t *job_json(const struct forecast_job *j);

static json_t *jobs_json(const struct forecast_jobs *jobs)
{
        json_t *list = json_array();

        for (size_t i = 0; list && i < jobs->n; i++)
                json_array_append_new(list, job_json(&jobs->v[i]));
        return list;
}

/* An instance that calls a workflow has its jobs, another one its image. */
static json_t *instance_json(const struct forecast_job *j, size_t i)
{
        const struct plan_instance *x = j->job->expansion.v[i];

        if (x->called)
                return json_pack("{s:s,s:s,s:o,s:s?,s:s,s:o,s:o}", "key", x->key, "name", x->name, "matrix",
                                 matrix_json(x->matrix), "concurrency_group", x->concurrency.group, "calls",
                                 x->called->workflow->file, "inputs",
                                 x->called->inputs ? matrix_json(x->called->inputs) : json_null(), "jobs",
                                 jobs_json(&j->calls[i]));
        return json_pack("{s:s,s:s,s:o,s:s?,s:o,s:s,s:s?,s:f,s:b}", "key", x->key, "name", x->name, "matrix",
                         matrix_json(x->matrix), "concurrency_group", x->concurrency.group, "runs_on",
                         labels_json(&x->labels), "image", j->images[i], "environment", x->environment,
                         "timeout_minutes", (double)x->timeout_ms / 60000, "continue_on_error", x->continue_on_error);
}

static json_t *job_json(const struct forecast_job *j)
{
        const struct plan_expansion *x = &j->job->expansion;
        json_t *needs = json_array(), *instances = json_array();

        for (size_t i = 0; needs && i < j->job->n_needs; i++)
                json_array_append_new(needs, json_string(j->plan->jobs[j->job->needs[i]].job->id.text));
        for (size_t i = 0; instances && j->state != FORECAST_SKIPPED && i < x->n; i++)
                json_array_append_new(instances, instance_json(j, i));
        return json_pack("{s:s,s:I,s:s,s:s?,s:o,s:b,s:b,s:I,s:o}", "id", j->job->job->id.text, "line",
                         (json_int_t)j->job->job->pos.line, "state", forecast_state_name(j->state), "reason", j->reason,
                         "needs", needs, "dynamic", j->job->dynamic, "fail_fast", x->fail_fast, "max_parallel",
                         (json_int_t)x->max_parallel, "instances", instances);
}

static json_t *workflow_json(const struct launch_workflow *w, const struct forecast_jobs *jobs)
{
        return json_pack("{s:s,s:s,s:s?,s:s?,s:o}", "file", w->file->file, "name", workflow_title(w->file->workflow),
                         "run_name", w->plan->run_name, "not_selected_because", w->unselected, "jobs", jobs_json(jobs));
}

static int print_json(const struct forecast *f, struct err *e)
{
        json_t *workflows = json_array();

        const char *ref = launch_ref(&f->launch);

        for (size_t i = 0; workflows && i < f->launch.selection.n; i++)
                json_array_append_new(workflows, workflow_json(&f->launch.workflows[i], &f->jobs[i]));
        return output_json(json_pack("{s:s,s:s?,s:o}", "event", f->launch.o.event, "ref", *ref ? ref : NULL,
                                     "workflows", workflows),
                           e);
}

static int append_list(struct buf *out, const char *before, const struct plan *plan, const struct plan_job *j,
                       struct err *e)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < j->n_needs; i++)
                r = buf_printf(out, e, "%s%s", i ? ", " : before, plan->jobs[j->needs[i]].job->id.text);
        return r;
}

static int append_jobs(struct buf *out, const struct forecast_jobs *jobs, int indent, struct err *e);

static int append_labels(struct buf *out, const struct plan_instance *x, struct err *e)
{
        int r = buf_append_str(out, "  [", e);

        for (size_t i = 0; r == 0 && i < x->labels.n; i++) {
                if (i)
                        r = buf_append_str(out, ", ", e);
                if (r == 0)
                        r = buf_append_escaped(out, x->labels.v[i], strlen(x->labels.v[i]), e);
        }
        return r;
}

static int append_environment(struct buf *out, const struct plan_instance *x, struct err *e)
{
        int r = x->environment ? buf_append_str(out, "  environment ", e) : 0;

        if (r == 0 && x->environment)
                r = buf_append_escaped(out, x->environment, strlen(x->environment), e);
        return r == 0 ? buf_append_byte(out, '\n', e) : r;
}

static int append_instance(struct buf *out, const struct forecast_job *j, size_t i, int indent, struct err *e)
{
        const struct plan_instance *x = j->job->expansion.v[i];
        int r = buf_printf(out, e, "%*s", indent, "");

        if (r == 0)
                r = buf_append_escaped(out, x->name, strlen(x->name), e);
        if (r == 0 && !x->called && (r = append_labels(out, x, e)) == 0 &&
            (r = buf_printf(out, e, " -> %s]", j->images[i])) == 0)
                return append_environment(out, x, e);
        if (r == 0)
                r = buf_append_str(out, "  calls ", e);
        if (r == 0)
                r = buf_append_escaped(out, x->called->workflow->file, strlen(x->called->workflow->file), e);
        if (r == 0)
                r = buf_append_byte(out, '\n', e);
        return r < 0 ? r : append_jobs(out, &j->calls[i], indent + 2, e);
}

static int append_job(struct buf *out, const struct forecast_job *j, int indent, struct err *e)
{
        int r = buf_printf(out, e, "%*s%s", indent, "", j->job->job->id.text);

        if (r == 0)
                r = append_list(out, " after ", j->plan, j->job, e);
        if (r == 0 && j->state != FORECAST_RUNS)
                r = buf_printf(out, e, ": %s", j->state == FORECAST_SKIPPED ? "skipped: " : "");
        if (r == 0 && j->state != FORECAST_RUNS)
                r = buf_append_escaped(out, j->reason, strlen(j->reason), e);
        if (r == 0)
                r = buf_append_byte(out, '\n', e);
        if (r == 0 && j->job->dynamic && j->state != FORECAST_SKIPPED)
                r = buf_printf(out, e, "%*sexpanded when the jobs that it needs are done: it reads their results\n",
                               indent + 4, "");
        for (size_t i = 0; r == 0 && j->state != FORECAST_SKIPPED && i < j->job->expansion.n; i++)
                r = append_instance(out, j, i, indent + 4, e);
        return r;
}

static int append_jobs(struct buf *out, const struct forecast_jobs *jobs, int indent, struct err *e)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < jobs->n; i++)
                r = append_job(out, &jobs->v[i], indent, e);
        return r;
}

static int append_run_name(struct buf *out, const char *name, struct err *e)
{
        int r = buf_append_str(out, "  run name: ", e);
        if (r == 0)
                r = buf_append_escaped(out, name, strlen(name), e);
        return r < 0 ? r : buf_append_byte(out, '\n', e);
}

static int append_workflow(struct buf *out, const struct launch_workflow *w, const struct forecast_jobs *jobs,
                           struct err *e)
{
        const char *title = workflow_title(w->file->workflow);

        int r = buf_append_escaped(out, w->file->file, strlen(w->file->file), e);
        if (r == 0)
                r = buf_append_str(out, ": ", e);
        if (r == 0)
                r = buf_append_escaped(out, title, strlen(title), e);
        if (r == 0)
                r = buf_append_byte(out, '\n', e);
        if (r == 0 && !str_eq(plan_title(w->plan), title))
                r = append_run_name(out, plan_title(w->plan), e);
        if (r == 0 && w->unselected)
                r = buf_printf(out, e, "  (the event does not start it: %s; planned because it was named)\n",
                               w->unselected);
        return r < 0 ? r : append_jobs(out, jobs, 2, e);
}

static int print_text(const struct forecast *f, struct err *e)
{
        struct buf out = BUF_INIT;
        int r = 0;

        for (size_t i = 0; r == 0 && i < f->launch.selection.n; i++)
                r = append_workflow(&out, &f->launch.workflows[i], &f->jobs[i], e);
        if (r == 0)
                r = fd_write_all(STDOUT_FILENO, out.data, out.len, "standard output", e);
        buf_done(&out);
        return r;
}

static int run_plan(const struct args *a, struct err *e)
{
        struct launch_options o;
        struct forecast f;

        if (launch_options(a, &o, e) < 0)
                return -1;
        o.anywhere = true;
        int r = forecast_make(&o, &f, e);
        if (r == 0)
                r = args_has(a, "json") ? print_json(&f, e) : print_text(&f, e);
        forecast_done(&f);
        return r;
}

static const struct command_option options[] = {
        {"workflow", 'W', "FILE", "plan this workflow file, whatever event it names", false},
        {"dir", 0, "DIR", "the repository (default: the current folder's)", false},
        {"job", 0, "ID", "plan this job and what it needs", false},
        {"event", 0, "NAME", "the event (default: push)", false},
        {"event-file", 0, "FILE", "the event's payload, a JSON object as GitHub sends it", false},
        {"input", 0, "NAME=VALUE", "an input; the event is then workflow_dispatch unless --event names another", true},
        {"var", 0, "NAME=VALUE", "a variable (vars.NAME); ENVIRONMENT/NAME=VALUE: for the jobs of one environment",
         true},
        {"var-file", 0, "FILE", "variables, a NAME=VALUE a line; those below [ENVIRONMENT] are of one environment",
         false},
        {"actions", 0, "DIR", "the mirror of actions (default: STATE/actions.conf says where)", false},
        {"profile", 0, "FILE", "go by this profile instead of the repository's " PROFILE_FILE, false},
        {"no-profile", 0, NULL, "go by no profile", false},
        {"environment", 0, "NAME", "the environment of the profile (default: none)", false},
        {"json", 0, NULL, "print the plan as JSON", false},
};

const struct command command_plan = {
        .name = "plan",
        .summary = "Print the jobs that a run would start, and why others would not",
        .options = options,
        .n_options = ARRAY_SIZE(options),
        .details =
                "Nothing is started. Jobs stand in the order in which they can start, each matrix expanded; a matrix "
                "that\n"
                "reads an earlier job's results is shown as such. Conditions are decided as if every job succeeded.\n"
                "Outside of a repository -W plans a file alone; branch and commit are then those of the payload.",
        .examples = "  devdep-cli plan\n  devdep-cli plan -W ci.yml --event pull_request --event-file event.json\n"
                    "  devdep-cli plan --json | jq -r '.workflows[].jobs[] | select(.state == \"skipped\").id'\n",
        .run = run_plan,
};
