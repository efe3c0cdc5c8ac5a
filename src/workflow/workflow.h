/* A workflow file, parsed and checked: GitHub's syntax (docs/workflow.md says what runs today).
 *
 * The whole syntax is accepted here. What cannot run yet is refused by the planner (plan.h), with its position, and
 * never ignored. Strings keep their ${{ }} parts; they were checked for being well-formed, with the contexts that
 * GitHub allows at that place.
 *
 * Everything below belongs to the struct workflow and is constant. Optional strings and pointers are NULL when the key
 * is absent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "codec/yaml.h"

struct err;
struct diag_list;
struct value;
struct workflow;

#define WORKFLOW_MAX_SIZE ((size_t)500 << 10) /* bytes of a file */
#define WORKFLOW_MAX_JOBS 1000
#define WORKFLOW_MAX_STEPS 1000 /* per job or composite action */
#define WORKFLOW_MAX_ID 100     /* characters of a job or step id */
#define WORKFLOW_DEFAULT_TIMEOUT_MINUTES 360

/* A string of the file with its place. text is NULL when absent. */
struct wf_str {
        const char *text;
        struct yaml_pos pos;
};

struct wf_pair {
        struct wf_str name;
        struct wf_str value;          /* scalars as GitHub writes them: true, 1, text */
        const struct yaml_node *node; /* the value as written */
};

struct wf_pairs {
        struct wf_pair *v;
        size_t n;
        struct wf_str expression; /* a whole mapping given as one ${{ }}; then n is 0 */
};

struct wf_strs {
        struct wf_str *v;
        size_t n;
};

/* One event under `on`. The _ignore forms are given as ignore=true. Empty filters mean "no filter". */
struct wf_event {
        struct wf_str name;
        struct wf_strs types;
        struct wf_strs branches, tags, paths;
        bool branches_ignore, tags_ignore, paths_ignore;
        struct yaml_pos both; /* of an _ignore form beside its plain one, which cannot be told apart; line 0: none */
        struct wf_strs workflows; /* workflow_run */
        struct wf_strs crons;     /* schedule */
        struct wf_strs timezones; /* schedule: one per cron, text NULL when absent */
        struct wf_input *inputs;  /* workflow_dispatch, workflow_call */
        size_t n_inputs;
        struct wf_pairs outputs; /* workflow_call: output name to its value expression */
        struct wf_strs secrets;  /* workflow_call */
        bool *secrets_required;  /* one per secret */
};

struct wf_input {
        struct wf_str name, description, type; /* type: string, boolean, number, choice, environment */
        bool required;
        const struct yaml_node *default_value; /* or NULL */
        struct wf_strs options;
};

struct wf_defaults {
        struct wf_str shell, working_directory;
};

struct wf_concurrency {
        struct wf_str group;              /* text NULL: no concurrency key */
        struct wf_str cancel_in_progress; /* "true", "false" or an expression */
        struct wf_str queue;
};

/* Permissions are kept as written: name "contents" to "read"; or all ("read-all", "write-all"). */
struct wf_permissions {
        bool given;
        struct wf_str all;
        struct wf_pairs scopes;
};

enum wf_step_kind { WF_STEP_RUN, WF_STEP_USES, WF_STEP_WAIT, WF_STEP_WAIT_ALL, WF_STEP_CANCEL, WF_STEP_PARALLEL };

struct wf_step {
        enum wf_step_kind kind;
        struct yaml_pos pos;
        struct wf_str id, name, condition, run, uses, shell, working_directory, timeout_minutes, continue_on_error;
        struct wf_pairs with, env;
        struct wf_str background; /* "true", "false" or an expression */
        struct wf_strs targets;   /* wait, cancel: step ids */
        struct wf_step *parallel; /* parallel: its steps */
        size_t n_parallel;
};

struct wf_strategy {
        bool given;
        struct yaml_pos pos;
        const struct yaml_node *matrix; /* a mapping, or a string that is one expression; NULL: no matrix */
        struct wf_str fail_fast, max_parallel;
        struct wf_str expression; /* the whole strategy given as one ${{ }} */
};

struct wf_runs_on {
        struct yaml_pos pos;
        struct wf_str group;
        struct wf_strs labels;
        struct wf_str expression; /* the whole value is one expression that may give a list */
};

struct wf_job {
        struct wf_str id;
        struct yaml_pos pos;
        struct wf_str name, condition, timeout_minutes, cancel_timeout_minutes, continue_on_error;
        struct wf_strs needs;
        size_t *needs_index; /* one per needs: index into the workflow's jobs */
        struct wf_runs_on runs_on;
        struct wf_pairs env, outputs;
        struct wf_defaults defaults;
        struct wf_permissions permissions;
        struct wf_concurrency concurrency;
        struct wf_strategy strategy;
        struct wf_str environment, environment_url;
        const struct yaml_node *container, *services, *snapshot; /* as written; NULL: absent */
        struct wf_str uses;                                      /* a reusable workflow; then there are no steps */
        struct wf_pairs with, secrets;
        bool secrets_inherit;
        struct wf_step *steps;
        size_t n_steps;
};

struct workflow {
        const char *file;
        struct wf_str name, run_name, description;
        struct wf_event *events;
        size_t n_events;
        struct wf_pairs env;
        struct wf_defaults defaults;
        struct wf_permissions permissions;
        struct wf_concurrency concurrency;
        struct wf_job *jobs; /* in the order of the file */
        size_t n_jobs;
};

/* Parse a file. file: the name for messages. Problems, warnings too, are added to `problems`.
 * 0: *ret is a workflow without errors (there may be warnings). WORKFLOW_E_INVALID: `problems` has errors, *ret is
 * NULL. Negative: no memory. */
#define WORKFLOW_E_INVALID 1
int workflow_parse(const char *file, const void *data, size_t len, struct diag_list *problems, struct workflow **ret,
                   struct err *e);
struct workflow *workflow_free(struct workflow *w); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct workflow, workflow_free)

/* The name to show: `name`, or the file name without folders. */
const char *workflow_title(const struct workflow *w);
const struct wf_job *workflow_job(const struct workflow *w, const char *id); /* case-insensitive; NULL when absent */
const struct wf_event *workflow_event(const struct workflow *w, const char *name); /* NULL: not triggered by it */

/* Warnings about what is legal and surely wrong: a condition that never changes, a name that is always empty, a format
 * that can only fail, a field that anybody can write in a script, a command that is gone. source: the file's text. */
int workflow_lint(const struct workflow *w, const char *source, size_t len, struct diag_list *problems, struct err *e);

/* What happened, for workflow_selects(). Unknown parts are NULL. */
struct workflow_trigger {
        const char *event; /* "push", "pull_request", "workflow_dispatch", ... */
        const char *type;  /* activity type of the payload ("opened"), NULL: any */
        const char
                *ref; /* full ref: refs/heads/main, refs/tags/v1; for pull requests the base branch as refs/heads/... */
        const char *const *paths; /* changed files; NULL: unknown, then path filters pass */
        size_t n_paths;
};

/* Does this event start the workflow? *reason (may be NULL) gets a static sentence when it does not. */
bool workflow_selects(const struct workflow *w, const struct workflow_trigger *t, const char **reason);

/* Do the files that changed decide that? */
bool workflow_asks_paths(const struct workflow *w, const struct workflow_trigger *t);

/* GitHub's glob for refs and paths: * (not '/'), **, ?, +, [], ! handled by the caller, \ escapes. */
bool workflow_glob(const char *pattern, const char *text);
/* Is the pattern well-formed? On false *reason gets a static sentence. */
bool workflow_glob_check(const char *pattern, const char **reason);
