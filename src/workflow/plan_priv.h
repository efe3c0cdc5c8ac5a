/* Inside of the planner. Only plan*.c includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/map.h"
#include "codec/diag.h"
#include "codec/yaml.h"
#include "workflow/action.h"
#include "workflow/expr.h"
#include "workflow/library.h"
#include "workflow/plan.h"

/* What a workflow and all that it calls share; it belongs to the plan of the first. */
struct plan_shared {
        struct library *library; /* or NULL */
        size_t jobs;             /* jobs, and what their matrices add: at most PLAN_MAX_INSTANCES */
        bool full;               /* there were more */
        size_t keys;             /* that were cut */
        size_t values;           /* bytes of new values that may still be made */
        size_t matrix_work;      /* steps that expanding matrices may still take */
};

struct plan_scope {
        struct plan_shared *shared;
        const struct plan_instance *caller; /* of a called workflow; NULL: of the first */
        bool inputs_later;                  /* `inputs` are not known before the call begins */
};

/* What went wrong and where; the caller makes a diagnostic or an error of it. */
struct plan_fault {
        enum err_code code; /* ERR_USAGE, or ERR_RESOURCES: no memory */
        struct yaml_pos pos;
        char message[600];
};

/* Fill the fault; returns -1. */
int plan_fail(struct plan_fault *f, struct yaml_pos pos, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Carry an error of a lower layer over, with a position. */
int plan_fail_err(struct plan_fault *f, struct yaml_pos pos, const char *what, const struct err *e);
int plan_no_memory(struct plan_fault *f); /* fill the fault; returns -1 */
/* Add it to the problems of the file at hand. Negative: no memory. */
int plan_tell(const struct plan_fault *f, struct diag_list *problems, struct err *e);

/* The combinations of a matrix in order; each an object. `base` counts the vectors' keys: the first members of a
 * combination made of vectors. *extra[i] is true for a combination that an include made. */
struct matrix {
        struct value **v;
        bool *extra;
        size_t n;
        size_t base;
};

/* *work: steps that it may take, those that it took are subtracted. */
int matrix_expand(const struct value *matrix, struct yaml_pos pos, size_t *work, struct matrix *ret,
                  struct plan_fault *f);
/* The matrix of the file with its expressions evaluated: a new reference. */
int matrix_value(const struct yaml_node *node, const struct expr_env *env, struct value **ret, struct plan_fault *f);
void matrix_done(struct matrix *m);
/* The value of a scalar of the file: text with ${{ }} is evaluated. */
int plan_scalar(const struct yaml_node *n, const struct expr_env *env, struct value **ret, struct err *e);
/* Does any text below the node read the context? Negative: no memory. */
int plan_node_uses(const struct yaml_node *node, const char *context, bool *ret, struct err *e);

/* plan_spec.c: the texts of a job as the specification has them: env, defaults, outputs, the environment's url, steps.
 * A new reference. */
struct json_t;
int plan_job_texts(const struct plan *p, const struct plan_job *j, struct json_t **ret, struct err *e);

/* plan.c: so many jobs more; a fault at a place when the run has too many. */
int plan_count(const struct plan *p, size_t more, struct yaml_pos at, struct plan_fault *f);

/* plan_expand.c: plan_expand() with the fault in parts, and without the plans of what is called. */
int plan_expand_at(const struct plan *p, const struct plan_job *j, struct value *contexts, struct plan_expansion *ret,
                   struct plan_fault *f);

/* plan_call.c: is a value what an input takes? ERR_USAGE with a sentence. */
int plan_input_value(const struct wf_input *in, struct value *v, struct value **ret, struct err *e);
/* The `inputs` that a job gives to a workflow; env: the caller's contexts. */
int plan_call_inputs(const struct wf_job *caller, const struct workflow *called, const struct expr_env *env,
                     struct value **ret, struct plan_fault *f);

/* plan_refuse.c: problems of what cannot run yet, for one job, and for what stands around the jobs. */
struct check_options;
int plan_refuse_job(const struct wf_job *j, const struct check_options *o, struct diag_list *problems, struct err *e);
int plan_refuse_step(const struct wf_step *s, const struct check_options *o, struct diag_list *problems, struct err *e);
int plan_refuse_workflow(const struct workflow *w, struct diag_list *problems, struct err *e);

/* plan_check.c: everything that is wrong with a workflow's jobs and what they call whatever the event is. */
struct check;
struct check_options {
        const struct workflow *w;
        const char *source; /* its text, or NULL */
        size_t len;
        struct library *library;     /* or NULL */
        enum diag_severity refusals; /* of what GitHub accepts and cannot run here */
        plan_action_fn *action;      /* plan_options.action */
        void *action_user;
        bool lint; /* the called files, too */
};
int check_new(const struct check_options *o, struct diag_list *problems, struct check **ret, struct err *e);
struct check *check_free(struct check *c); /* always NULL */
CLEANUP_DEFINE(struct check, check_free)
int check_job(struct check *c, const struct wf_job *j, struct err *e);

/* plan_action.c: the actions of the repository that steps use, where their files are there. level: how many actions the
 * steps are in. */
struct follow {
        const struct check_options *o;
        struct map *seen; /* action files that were walked through */
        struct diag_list *problems;
};
int follow_steps(const struct follow *f, const struct wf_step *steps, size_t n, unsigned level, struct err *e);
int follow_action(const struct follow *f, const struct action *a, unsigned level, struct err *e);
