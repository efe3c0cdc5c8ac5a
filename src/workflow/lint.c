/* What GitHub accepts and nobody means. Every warning stands for something that is certain from the file alone: a
 * member that no step, job, matrix or event declares is empty in each run. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/expr.h"
#include "workflow/number.h"
#include "workflow/place.h"
#include "workflow/workflow_priv.h"

#define MAX_NAMES 256 /* known names that a hint is chosen from */

struct lint {
        const struct workflow *w;
        const char *source;
        size_t len;
        struct diag_list *problems;
        struct err *e;
        const struct wf_job *job; /* or NULL: outside of the jobs */
        size_t steps;             /* steps of the job whose results are known at this place */
        bool script;              /* the scalar is run by a shell or an interpreter */
        const struct yaml_node *node;
};

struct names {
        const char *v[MAX_NAMES];
        size_t n;
        bool open; /* there may be others */
};

static int warn(struct lint *l, struct yaml_pos pos, unsigned width, const char *hint, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

static int warn(struct lint *l, struct yaml_pos pos, unsigned width, const char *hint, const char *fmt, ...)
{
        char message[600];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);
        return diag_add(l->problems, DIAG_WARNING, pos.line, pos.column, width, hint, l->e, "%s", message);
}

/* Finding a place costs a walk through the scalar. */
static int warn_note(struct lint *l, const struct expr_note *note, const char *hint, const char *message)
{
        bool parts = expr_template_has_parts(l->node->text, l->node->len);
        struct yaml_pos pos = parts && !diag_is_full(l->problems)
                                      ? place_of_expression(l->source, l->len, l->node, note->offset)
                                      : l->node->pos;
        return warn(l, pos, parts ? 3 : 1, hint, "%s", message);
}

/* "github.event.*.title", cut. */
static void join_path(const struct expr_note *note, size_t n, char *ret, size_t size)
{
        size_t used = 0;
        for (size_t i = 0; i < n && used < size; i++)
                used += (size_t)snprintf(ret + used, size - used, "%s%s", i ? "." : "", note->path[i]);
}

static void add_name(struct names *to, const char *name)
{
        if (to->n < MAX_NAMES)
                to->v[to->n++] = name;
        else
                to->open = true;
}

static bool has_name(const struct names *names, const char *name)
{
        if (names->open || str_eq(name, "*"))
                return true;
        for (size_t i = 0; i < names->n; i++)
                if (str_ieq(names->v[i], name))
                        return true;
        return false;
}

/* The n-th name of the path is none of those known. */
static int check_name(struct lint *l, const struct expr_note *note, size_t n, const struct names *names,
                      const char *why)
{
        char path[200], message[400], hint[200];
        if (note->n <= n || has_name(names, note->path[n]))
                return 0;
        join_path(note, n + 1, path, sizeof(path));
        snprintf(message, sizeof(message), "%s is always empty: %s", path, why);
        const char *near = str_nearest(note->path[n], names->v, names->n);
        snprintf(hint, sizeof(hint), "did you mean '%s'?", near ? near : "");
        return warn_note(l, note, near ? hint : NULL, message);
}

static int check_fixed(struct lint *l, const struct expr_note *note, size_t n, const char *const *known)
{
        struct names names = {.n = 0};
        for (; *known; known++)
                add_name(&names, *known);
        return check_name(l, note, n, &names, "there is no such member");
}

static void add_step_ids(struct names *to, const struct wf_step *steps, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (steps[i].id.text)
                        add_name(to, steps[i].id.text);
                add_step_ids(to, steps[i].parallel, steps[i].n_parallel);
        }
}

static int check_steps(struct lint *l, const struct expr_note *note)
{
        static const char *const members[] = {"outputs", "outcome", "conclusion", NULL};
        struct names names = {.open = !l->job};
        if (l->job)
                add_step_ids(&names, l->job->steps, l->steps);
        int r = check_name(l, note, 1, &names, "no step before this one has that id");
        return r < 0 ? r : check_fixed(l, note, 2, members);
}

static int check_needs(struct lint *l, const struct expr_note *note)
{
        static const char *const members[] = {"outputs", "result", NULL};
        struct names names = {.open = !l->job};
        for (size_t i = 0; l->job && i < l->job->needs.n; i++)
                add_name(&names, l->job->needs.v[i].text);
        int r = check_name(l, note, 1, &names, "the job does not name it in `needs`");
        if (r == 0)
                r = check_fixed(l, note, 2, members);
        const struct wf_job *other =
                note->n > 3 && str_ieq(note->path[2], "outputs") && l->job && has_name(&names, note->path[1])
                        ? workflow_job(l->w, note->path[1])
                        : NULL;
        if (r < 0 || !other)
                return r;
        struct names outputs = {.open = other->uses.text || other->outputs.expression.text};
        for (size_t i = 0; i < other->outputs.n; i++)
                add_name(&outputs, other->outputs.v[i].name.text);
        return check_name(l, note, 3, &outputs, "that job has no such output");
}

static void add_matrix_keys(struct names *to, const struct yaml_node *map)
{
        if (map->kind != YAML_KIND_MAP)
                to->open = true;
        for (size_t i = 0; map->kind == YAML_KIND_MAP && i < map->n; i++)
                if (!str_ieq(map->keys[i]->text, "include") && !str_ieq(map->keys[i]->text, "exclude"))
                        add_name(to, map->keys[i]->text);
}

static int check_matrix(struct lint *l, const struct expr_note *note)
{
        const struct yaml_node *matrix = l->job ? l->job->strategy.matrix : NULL;
        const struct yaml_node *include = matrix ? yaml_get(matrix, "include") : NULL;
        struct names names = {.open = !l->job || l->job->strategy.expression.text};
        if (matrix)
                add_matrix_keys(&names, matrix);
        if (include && include->kind != YAML_KIND_SEQ)
                names.open = true;
        for (size_t i = 0; include && include->kind == YAML_KIND_SEQ && i < include->n; i++)
                add_matrix_keys(&names, include->items[i]);
        return check_name(l, note, 1, &names, matrix ? "the matrix has no such key" : "the job has no matrix");
}

static int check_inputs(struct lint *l, const struct expr_note *note)
{
        struct names names = {.n = 0};
        for (size_t i = 0; i < l->w->n_events; i++)
                for (size_t k = 0; k < l->w->events[i].n_inputs; k++)
                        add_name(&names, l->w->events[i].inputs[k].name.text);
        return check_name(l, note, 1, &names, "no event of the workflow has an input of that name");
}

static const char *const github_members[] = {"action",
                                             "action_path",
                                             "action_ref",
                                             "action_repository",
                                             "action_status",
                                             "actor",
                                             "actor_id",
                                             "api_url",
                                             "artifact_cache_size_limit",
                                             "base_ref",
                                             "env",
                                             "event",
                                             "event_name",
                                             "event_path",
                                             "graphql_url",
                                             "head_ref",
                                             "job",
                                             "job_workflow_sha",
                                             "output",
                                             "path",
                                             "ref",
                                             "ref_name",
                                             "ref_protected",
                                             "ref_type",
                                             "repository",
                                             "repository_id",
                                             "repository_owner",
                                             "repository_owner_id",
                                             "repository_visibility",
                                             "repositoryUrl",
                                             "retention_days",
                                             "run_attempt",
                                             "run_id",
                                             "run_number",
                                             "secret_source",
                                             "server_url",
                                             "sha",
                                             "state",
                                             "step_summary",
                                             "token",
                                             "triggering_actor",
                                             "workflow",
                                             "workflow_ref",
                                             "workflow_sha",
                                             "workspace",
                                             NULL};
static const char *const runner_members[] = {"arch", "debug",      "environment", "name", "os",
                                             "temp", "tool_cache", "workspace",   NULL};
static const char *const strategy_members[] = {"fail-fast", "job-index", "job-total", "max-parallel", NULL};
static const char *const job_members[] = {
        "check_run_id", "container",           "services",     "status", "workflow_file_path",
        "workflow_ref", "workflow_repository", "workflow_sha", NULL};

static int check_members(struct lint *l, const struct expr_note *note)
{
        const char *context = note->path[0];
        if (str_ieq(context, "steps"))
                return check_steps(l, note);
        if (str_ieq(context, "needs"))
                return check_needs(l, note);
        if (str_ieq(context, "matrix"))
                return check_matrix(l, note);
        if (str_ieq(context, "inputs"))
                return check_inputs(l, note);
        if (str_ieq(context, "github"))
                return check_fixed(l, note, 1, github_members);
        if (str_ieq(context, "runner"))
                return check_fixed(l, note, 1, runner_members);
        if (str_ieq(context, "strategy"))
                return check_fixed(l, note, 1, strategy_members);
        return str_ieq(context, "job") ? check_fixed(l, note, 1, job_members) : 0;
}

/* What anybody who opens an issue, a pull request or a discussion can write. */
static const char *const untrusted[] = {
        "github.head_ref",
        "github.event.issue.title",
        "github.event.issue.body",
        "github.event.pull_request.title",
        "github.event.pull_request.body",
        "github.event.pull_request.head.ref",
        "github.event.pull_request.head.label",
        "github.event.pull_request.head.repo.default_branch",
        "github.event.pull_request.head.repo.description",
        "github.event.comment.body",
        "github.event.review.body",
        "github.event.review_comment.body",
        "github.event.discussion.title",
        "github.event.discussion.body",
        "github.event.pages.*.page_name",
        "github.event.commits.*.message",
        "github.event.commits.*.author.email",
        "github.event.commits.*.author.name",
        "github.event.head_commit.message",
        "github.event.head_commit.author.email",
        "github.event.head_commit.author.name",
        "github.event.workflow_run.head_branch",
        "github.event.workflow_run.display_title",
        "github.event.workflow_run.head_commit.message",
        "github.event.workflow_run.head_commit.author.email",
        "github.event.workflow_run.head_commit.author.name",
};

static bool is_path(const struct expr_note *note, const char *path)
{
        for (size_t i = 0; i < note->n; i++) {
                size_t len = strcspn(path, ".");
                bool any = str_eq(note->path[i], "*") || (len == 1 && *path == '*');
                if (!any && (strlen(note->path[i]) != len || strncasecmp(note->path[i], path, len) != 0))
                        return false;
                path += len;
                if (*path == '\0')
                        return i + 1 == note->n;
                path++;
        }
        return false;
}

static int check_trust(struct lint *l, const struct expr_note *note)
{
        char message[300];
        if (!l->script || !note->shown)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(untrusted); i++) {
                if (!is_path(note, untrusted[i]))
                        continue;
                snprintf(message, sizeof(message),
                         "%s is written by anybody and becomes part of the script: it can run commands here",
                         untrusted[i]);
                return warn_note(l, note, "give it to the step in `env`, and use the variable in quotes: \"$NAME\"",
                                 message);
        }
        return 0;
}

static int check_note(void *user, const struct expr_note *note, struct err *e)
{
        struct lint *l = user;
        (void)e;
        if (note->problem)
                return warn_note(l, note, "this format fails whenever it is evaluated", note->problem);
        int r = check_members(l, note);
        return r < 0 ? r : check_trust(l, note);
}

static int check_constant(struct lint *l)
{
        bool constant, value;
        int r = expr_condition_constant(l->node->text, &constant, &value, l->e);
        if (r < 0 || !constant)
                return r;
        return warn(l, l->node->pos, (unsigned)MIN(l->node->len, (size_t)80), "leave `if` out, or ask a context",
                    "this condition is always %s", value ? "true" : "false");
}

static int lint_scalar(struct lint *l, const struct yaml_node *n, bool condition)
{
        l->node = n;
        if (n->kind == YAML_KIND_MAP || n->kind == YAML_KIND_SEQ || n->kind == YAML_KIND_NULL)
                return 0;
        int r = condition ? check_constant(l) : 0;
        if (r < 0 || n->kind != YAML_KIND_STRING)
                return r;
        return expr_template_notes(n->text, n->len, condition, check_note, l, l->e);
}

static int lint_tree(struct lint *l, const struct yaml_node *n)
{
        int r = lint_scalar(l, n, false);
        for (size_t i = 0; r == 0 && i < n->n; i++)
                r = lint_tree(l, n->items[i]);
        return r;
}

static int lint_commands(struct lint *l, const struct yaml_node *run)
{
        static const char *const commands[][2] = {
                {"::set-output ", "write NAME=VALUE to \"$GITHUB_OUTPUT\""},
                {"::save-state ", "write NAME=VALUE to \"$GITHUB_STATE\""},
                {"::set-env ", "write NAME=VALUE to \"$GITHUB_ENV\""},
                {"::add-path::", "write the folder to \"$GITHUB_PATH\""},
        };
        for (size_t i = 0; run && run->kind == YAML_KIND_STRING && i < ARRAY_SIZE(commands); i++)
                if (strstr(run->text, commands[i][0])) {
                        int r = warn(l, run->pos, 1, commands[i][1], "the command %.*s is given up at GitHub",
                                     (int)strcspn(commands[i][0] + 2, " :") + 2, commands[i][0]);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int lint_shell(struct lint *l, const struct yaml_node *shell)
{
        static const char *const known[] = {"bash", "sh", "pwsh", "python", "cmd", "powershell"};
        char hint[80] = "a shell of your own needs {0} where the script's file goes: 'perl {0}'";
        if (!shell || shell->kind != YAML_KIND_STRING || strstr(shell->text, "{0}") || strstr(shell->text, "${{"))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (str_eq(shell->text, known[i]))
                        return 0;
        const char *near = str_nearest(shell->text, known, ARRAY_SIZE(known));
        if (near)
                snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
        return warn(l, shell->pos, 1, hint, "the shell '%.100s' is not known", shell->text);
}

static bool runs_script(const struct yaml_node *step, const char *key)
{
        const struct yaml_node *uses = yaml_get(step, "uses");
        if (str_eq(key, "run"))
                return true;
        return str_eq(key, "with") && uses && uses->kind == YAML_KIND_STRING &&
               str_starts(uses->text, "actions/github-script@");
}

static int lint_step(struct lint *l, const struct yaml_node *step)
{
        int r = lint_commands(l, yaml_get(step, "run"));
        if (r == 0)
                r = lint_shell(l, yaml_get(step, "shell"));
        for (size_t i = 0; r == 0 && step->kind == YAML_KIND_MAP && i < step->n; i++) {
                const char *key = step->keys[i]->text;
                const struct yaml_node *nested = step->items[i];
                if (str_eq(key, "parallel") && nested->kind == YAML_KIND_SEQ) {
                        for (size_t k = 0; r == 0 && k < nested->n; k++)
                                r = lint_step(l, nested->items[k]);
                        continue;
                }
                l->script = runs_script(step, key);
                r = str_eq(key, "if") ? lint_scalar(l, nested, true) : lint_tree(l, nested);
                l->script = false;
        }
        return r;
}

static int lint_job(struct lint *l, const struct yaml_node *job)
{
        const struct yaml_node *steps = yaml_get(job, "steps");
        int r = 0;
        for (size_t i = 0; r == 0 && job->kind == YAML_KIND_MAP && i < job->n; i++) {
                const char *key = job->keys[i]->text;
                l->steps = str_eq(key, "outputs") || str_eq(key, "environment") ? l->job->n_steps : 0;
                if (str_eq(key, "if"))
                        r = lint_scalar(l, job->items[i], true);
                else if (job->items[i] != steps)
                        r = lint_tree(l, job->items[i]);
        }
        const struct yaml_node *defaults = yaml_get(yaml_get(job, "defaults"), "run");
        if (r == 0)
                r = lint_shell(l, yaml_get(defaults, "shell"));
        for (size_t i = 0; r == 0 && steps && steps->kind == YAML_KIND_SEQ && i < steps->n; i++) {
                l->steps = MIN(i + (yaml_get(steps->items[i], "parallel") != NULL), l->job->n_steps);
                r = lint_step(l, steps->items[i]);
        }
        return r;
}

/* A default that event_inputs() will refuse. */
static int lint_input(struct lint *l, const struct wf_input *in)
{
        const struct yaml_node *d = in->default_value;
        bool number = str_eq(in->type.text, "number"), choice = str_eq(in->type.text, "choice");
        if (!d || d->kind == YAML_KIND_SEQ || d->kind == YAML_KIND_MAP || !d->len ||
            expr_template_has_parts(d->text, d->len))
                return 0;
        if (number && (d->kind == YAML_KIND_BOOL || isnan(number_parse(d->text, d->len))))
                return warn(l, d->pos, (unsigned)d->len, NULL, "the default '%.100s' is no number", d->text);
        for (size_t i = 0; choice && i < in->options.n; i++)
                choice = !str_eq(in->options.v[i].text, d->text);
        return choice ? warn(l, d->pos, (unsigned)d->len, NULL, "the default '%.100s' is none of the options", d->text)
                      : 0;
}

static int lint_inputs(struct lint *l)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < l->w->n_events; i++)
                for (size_t k = 0; r == 0 && k < l->w->events[i].n_inputs; k++)
                        r = lint_input(l, &l->w->events[i].inputs[k]);
        return r;
}

int workflow_lint(const struct workflow *w, const char *source, size_t len, struct diag_list *problems, struct err *e)
{
        struct lint l = {.w = w, .source = source, .len = len, .problems = problems, .e = e};
        const struct yaml_node *root = workflow_root(w);
        int r = lint_shell(&l, yaml_get(yaml_get(yaml_get(root, "defaults"), "run"), "shell"));
        if (r == 0)
                r = lint_inputs(&l);
        for (size_t i = 0; r == 0 && i < root->n; i++) {
                const struct yaml_node *n = root->items[i];
                if (!str_eq(root->keys[i]->text, "jobs")) {
                        r = lint_tree(&l, n);
                        continue;
                }
                for (size_t k = 0; r == 0 && k < n->n && k < w->n_jobs; k++) {
                        l.job = &w->jobs[k];
                        r = lint_job(&l, n->items[k]);
                }
                l.job = NULL;
        }
        diag_sort(problems);
        return r;
}
