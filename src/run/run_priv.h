/* Inside of the run's state machine. Only src/run includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "run/run.h"
#include "run/state.h"

/* One instance with what only we need. */
struct node {
        struct run_job pub; /* first: the caller's pointer is cast back */
        struct group *group;
        struct run *child;   /* of a call that began: the jobs of the called workflow */
        char *reason;        /* owns pub.reason */
        bool cancel_wanted;  /* a RUN_CANCEL is to be given */
        bool report;         /* a RUN_REPORT is to be given */
        bool started;        /* a RUN_START was given, or the call began */
        bool arrived, holds; /* at its concurrency group; it has the group */
        size_t finished_at;  /* order of ending, from 1 */
};

/* One job of the plan. */
struct group {
        struct run *run;
        const struct plan_job *job;
        bool evaluated; /* needs done, `if` decided, instances made */
        struct plan_expansion own;
        const struct plan_expansion *expansion; /* the plan's, or `own` for a dynamic job */
        struct node **nodes;                    /* at least one */
        size_t n;
        bool asks_for_status; /* its `if` calls a status function */
        bool *ancestors;      /* per group of the run */
        struct value *outputs;
};

/* The jobs of one workflow: of the first, or of one call. */
struct run {
        const struct plan *plan;
        struct value *contexts;
        struct run *root;    /* of the first workflow; itself there */
        struct node *caller; /* of a called workflow, else NULL */
        bool cancelled;      /* a cancellation concerns its jobs */
        struct group *groups;
        size_t n; /* groups */
        /* Of the root alone. */
        size_t capacity;
        bool keep_going;
        struct node **all; /* every instance, in the order of the plan; a call stands before its jobs */
        size_t n_all;
        size_t n_finished;
};

/* run.c */
int run_make(const struct plan *plan, struct value *contexts, struct node *caller, struct run **ret, struct err *e);
/* Every instance of the tree in its order, after some were made. */
int run_renumber(struct run *r, struct err *e);
bool node_is_active(const struct node *n); /* it starts or runs */
/* Did it fail, without being allowed to? A call did as soon as one of its jobs did. */
bool node_has_failed(const struct node *n);
/* Whoever runs it is asked to end it; a call's jobs, and those that did not start, are cancelled. */
void node_cancel(struct node *n);
int group_keep_outputs(struct group *g, const struct value *outputs, struct err *e);

/* turn.c: concurrency groups, over the whole tree. */
/* An instance is ready: it has its group, or waits; who waited before it gives way. */
int turn_arrive(struct node *n, struct err *e);
/* May it start, as far as its group goes? Takes the group when that is free. */
bool turn_take(struct node *n);
/* Nothing runs and nothing can start: one instance that waits for its group is given up. False: there is none. */
int turn_break_deadlock(struct run *root, bool *ret, struct err *e);

/* call.c: instances that are calls of a workflow. */
static inline bool node_is_call(const struct node *n)
{
        return n->pub.instance && n->pub.instance->called;
}
/* A ready call begins: its jobs become part of the tree. */
int call_begin(struct node *n, struct err *e);
/* A call whose jobs have all ended, ends. */
int call_end(struct node *n, struct err *e);

/* Decide about a job whose needs are done: skip it, or make its instances ready. Negative: no memory. */
int group_evaluate(struct group *g, struct err *e);
/* Does the job's `if` hold now? 1, 0, or negative with a reason in *e. */
int group_condition(struct group *g, struct err *e);
bool group_is_done(const struct group *g);
/* How the job counts for those that need it. */
enum run_conclusion group_result(const struct group *g);
/* contexts of the run and `needs` of the job. */
int group_contexts(const struct group *g, struct value **ret, struct err *e);
/* Add {"result", "outputs"} of a job under its id. */
int group_describe(struct value *to, const struct group *g, struct err *e);
/* Was the run, or one that it is a part of, cancelled? */
bool run_is_cancelled(const struct run *r);

/* The one place where an instance changes its state. */
int node_apply(struct node *n, enum run_event event, enum run_conclusion c, const char *reason, struct err *e);
