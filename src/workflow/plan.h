/* From a workflow and an event to jobs that can run.
 *
 * A plan has one plan_job per job of the file that was asked for, in an order in which every job comes after what it
 * needs. A job becomes one or more instances (one per combination of its matrix) by plan_expand(): at planning time
 * where nothing but the event is needed, and again when the job becomes ready, with the results of its needs.
 *
 * An instance of a job that calls a workflow of the repository has a plan of its own, of the called workflow: `called`.
 * Its jobs are named "CALLER / JOB" and keyed "CALLER.JOB". What the call gives is evaluated when it begins
 * (plan_call_contexts()), what it gives back when all of its jobs ended (plan_call_outputs()). Where `with` reads what
 * is not known yet, the called workflow is planned without `inputs`, and those of its jobs that read them wait.
 *
 * A workflow may hold what cannot run yet (containers, services, Docker actions, actions that nobody has, remote
 * workflows): plan_new() refuses it with a position. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "workflow/expr.h"
#include "workflow/value.h"
#include "workflow/workflow.h"

struct err;
struct action;
struct diag_list;
struct json_t;
struct library;
struct plan;
struct uses;

#define PLAN_MAX_MATRIX 256           /* combinations of one job */
#define PLAN_MAX_INSTANCES 4096       /* of one run, with the jobs of called workflows and the calls themselves */
#define PLAN_MAX_LEVELS 10            /* workflows that call each other, the first one included; GitHub's own limit */
#define PLAN_MAX_CALLED 50            /* files that a workflow calls, directly or not; GitHub's own limit */
#define PLAN_MAX_TIMEOUT_MINUTES 7200 /* 5 days */
#define PLAN_MAX_NAME 512             /* bytes of a job's name, longer is cut */
#define PLAN_MAX_KEY 160              /* bytes of a job's key, longer is cut and numbered */
#define PLAN_MAX_LABEL 256            /* bytes of a label of runs-on */
#define PLAN_MAX_ENVIRONMENT 255      /* bytes of its name; GitHub's own limit, in characters */
#define PLAN_MAX_GROUP 400            /* bytes of a concurrency group; GitHub's own limit, in characters */
#define PLAN_MAX_MATRIX_WORK 4000000  /* comparisons and members of the matrices of one planning */
#define PLAN_MAX_VALUES ((size_t)64 << 20) /* bytes of new values that planning makes */

struct plan_concurrency {
        char *group; /* NULL: none */
        bool cancel_in_progress;
        bool queue_max; /* queue: max: nobody gives way */
};

/* One combination. Owned by its expansion. */
struct plan_instance {
        char *key;              /* unique in the run, safe as a file name: "build", "build.2", "deploy.2.build" */
        char *name;             /* "build (linux, 1)", or the job's evaluated `name` */
        struct value *matrix;   /* an object, or null */
        struct value *strategy; /* an object: fail-fast, job-index, job-total, max-parallel */
        struct strv labels;     /* runs-on */
        uint64_t timeout_ms;
        bool continue_on_error;
        struct plan_concurrency concurrency;
        char *environment;   /* its name; NULL: none. Nothing waits for rules */
        struct plan *called; /* of a job that calls a workflow: its jobs; else NULL */
};

struct plan_expansion {
        struct plan_instance **v;
        size_t n;
        bool fail_fast;
        size_t max_parallel; /* 0: no bound */
};

struct plan_job {
        const struct wf_job *job;
        char *key, *name; /* of the job as a whole, before it has instances */
        size_t *needs;    /* indexes into plan->jobs */
        size_t n_needs;
        bool dynamic; /* what makes its instances is not known yet: the expansion is empty until the job is ready */
        struct plan_expansion expansion;
};

struct plan {
        const struct workflow *workflow; /* borrowed */
        struct plan_job *jobs;
        size_t n_jobs;
        char *run_name;           /* run-name evaluated, else NULL */
        struct value *inputs;     /* of a called workflow: an object, or NULL: known when the call begins */
        struct plan_scope *scope; /* the planner's */
};

/* Why an action cannot run, and what to do. */
struct plan_refusal {
        char message[600], hint[400];
};
/* Whoever knows which actions of other repositories there are. 0: it can run; PLAN_ACTION_E_REFUSED: *ret says why not;
 * negative: nobody knows. */
#define PLAN_ACTION_E_REFUSED 1
typedef int plan_action_fn(const struct uses *u, void *user, struct plan_refusal *ret, struct err *e);

struct plan_options {
        const char *job;         /* --job ID: this job and what it needs; NULL: all */
        struct value *contexts;  /* an object: github, inputs, vars (and what else is known before a job runs) */
        struct library *library; /* borrowed, outlives the plan; NULL: nothing can be called */
        const char *source;      /* the file's text, or NULL; then problems inside of a text are told at its start */
        size_t len;
        plan_action_fn *action; /* NULL: an action of another repository is taken for there */
        void *action_user;
};

/* The names of what devdep-job has built in, in lower case, up to a NULL; a version is not looked at. */
extern const char *const plan_builtins[];
bool plan_is_builtin(const struct uses *u);

/* The workflow must outlive the plan. 0; PLAN_E_REFUSED: `problems` has errors; negative: ERR_USAGE for an unknown
 * --job (names the known ones), or no memory. */
#define PLAN_E_REFUSED 1
int plan_new(const struct workflow *w, const struct plan_options *options, struct diag_list *problems,
             struct plan **ret, struct err *e);
struct plan *plan_free(struct plan *p); /* NULL is fine; always NULL */
/* What the run is called: its run-name, else the title of the workflow. */
const char *plan_title(const struct plan *p);
CLEANUP_DEFINE(struct plan, plan_free)

/* For `validate`: what plan_new() would refuse and GitHub accepts as warnings, calls that cannot work as errors, and
 * what workflow_lint() says of the files that are called. Of `options` only library, source and len count. */
int plan_warn(const struct workflow *w, const struct plan_options *options, struct diag_list *problems, struct err *e);
/* The same of an action. Both follow the actions of the repository that steps use, where their files are there. */
int plan_warn_action(const struct action *a, const struct plan_options *options, struct diag_list *problems,
                     struct err *e);

/* Expand a job with contexts (github, inputs, vars, needs). Errors are ERR_USAGE with file, line and column. */
int plan_expand(const struct plan *p, const struct plan_job *j, struct value *contexts, struct plan_expansion *ret,
                struct err *e);
void plan_expansion_done(struct plan_expansion *x);
/* A job's own `if`: env carries the contexts and the status functions. */
int plan_condition(const struct plan *p, const struct plan_job *j, const struct expr_env *env, bool *ret,
                   struct err *e);

/* The contexts of the workflow that an instance calls: github, vars and runner as they are, its own inputs and secrets.
 * contexts: the caller's, with needs, strategy and matrix. Errors as of plan_expand(). */
int plan_call_contexts(const struct plan *p, const struct plan_job *j, const struct plan_instance *i,
                       struct value *contexts, struct value **ret, struct err *e);
/* The outputs of a called workflow, an object of strings; contexts: its own, with `jobs`. */
int plan_call_outputs(const struct plan *called, struct value *contexts, struct value **ret, struct err *e);

/* What the caller knows of a job when it starts; everything is borrowed, strings are required unless marked. */
struct plan_parts {
        const char *run, *attempt;
        struct value *contexts;     /* github, needs, inputs, vars, runner: copied into the specification */
        const struct json_t *image; /* objects and values as docs/job-spec.md names them */
        const struct json_t *protections;
        const char *accelerator, *rootfs, *workspace;
        uint64_t boot_timeout_ms;
        bool hold_on_failure;
        const char *source_commit, *source_tree; /* commit may be NULL: no source */
        const char *const *mask;
        size_t n_mask;
        /* Of the repository's profile; NULL: there is none. */
        const char *profile_file, *profile_digest, *profile_environment;
        unsigned pids;                /* 0: the guest's own bound */
        uint64_t most_ms;             /* for a job; 0: its own limit alone */
        struct wf_strs before, after; /* commands that are steps around every job's; the latter whatever happened */
};

/* The job specification (docs/job-spec.md); a new reference in *ret. */
int plan_job_spec(const struct plan *p, const struct plan_job *j, const struct plan_instance *i,
                  const struct plan_parts *parts, struct json_t **ret, struct err *e);

/* The names of the secrets that the texts of a job name, each once, as the job spells them first: by an expression
 * (secrets.NAME), or by the path of its file (PLAN_SECRETS_FOLDER "NAME"). *ret_all: an expression names them in a way
 * that only its evaluation can tell (secrets[...], toJSON(secrets)): then it is all of them. */
#define PLAN_SECRETS_FOLDER "/run/secrets/"
int plan_job_secrets(const struct plan *p, const struct plan_job *j, struct strv *ret, bool *ret_all, struct err *e);
/* Of a job that calls a workflow: what of the caller's own secrets these names in the called workflow are made of.
 * `secrets: inherit` keeps names; a mapping has the names of its expressions; without either there are none. */
int plan_call_secrets(const struct plan_job *caller, const struct strv *names, bool all, struct strv *ret,
                      bool *ret_all, struct err *e);
/* How they are made: an entry of `secrets.calls` of the job specification, with the contexts (the caller's) that its
 * expressions read; a new reference, or NULL: they are inherited. */
int plan_call_passes(const struct plan *p, const struct plan_job *caller, const struct strv *names, bool all,
                     struct value *contexts, struct json_t **ret, struct err *e);

/* Facts of the `github` context. NULL strings become null or are derived (ref_name from ref, owner from repository). */
struct plan_github {
        const char *event_name;
        struct value *event; /* payload, or NULL: {} */
        const char *workflow, *workflow_ref, *workflow_sha, *job;
        const char *ref, *sha, *head_ref, *base_ref;
        const char *repository, *repository_id, *repository_owner_id, *repository_url;
        const char *actor, *actor_id, *triggering_actor;
        const char *run_id, *run_number, *run_attempt;
        const char *workspace, *server_url, *api_url, *graphql_url;
};
int plan_github_context(const struct plan_github *facts, struct value **ret, struct err *e);
