/* An instance that calls a workflow: its jobs are a run of their own inside of the run. */
#include "base/err.h"
#include "run/run_priv.h"

/* What the called workflow makes impossible is told as the call's failure; no memory is ours. */
static int fail_call(struct node *n, const struct err *why, struct err *e)
{
        if (why->code == ERR_RESOURCES)
                return err_nomem(e);
        n->pub.code = ERR_RUN_FAILED;
        int k = node_apply(n, RUN_EVENT_FINISHED, RUN_FAILURE, why->msg, e);
        n->report = true; /* nobody else tells of it */
        return k;
}

int call_begin(struct node *n, struct err *e)
{
        const struct run_job *j = &n->pub;
        AUTO(value_unrefp) struct value *outer = NULL, *contexts = NULL;
        struct err why = ERR_INIT;
        int k = node_apply(n, RUN_EVENT_START, RUN_NONE, NULL, e);
        if (k == 0)
                k = run_contexts(n->group->run->root, j, &outer, e);
        if (k < 0)
                return k;
        n->started = true;
        if (plan_call_contexts(j->plan, j->job, j->instance, outer, &contexts, &why) < 0)
                return fail_call(n, &why, e);
        k = run_make(j->instance->called, contexts, n, &n->child, e);
        if (k == 0)
                k = node_apply(n, RUN_EVENT_STARTED, RUN_NONE, NULL, e);
        return k < 0 ? k : run_renumber(n->child, e);
}

/* As a matrix counts: one failure makes it fail, one cancelled job cancelled, nothing but skipped ones skipped. */
static enum run_conclusion conclude(const struct run *child)
{
        bool cancelled = false, skipped = true;
        for (size_t i = 0; i < child->n; i++) {
                enum run_conclusion c = group_result(&child->groups[i]);
                if (c == RUN_FAILURE)
                        return c;
                cancelled |= c == RUN_CANCELLED;
                skipped &= c == RUN_SKIPPED;
        }
        return cancelled ? RUN_CANCELLED : skipped ? RUN_SKIPPED : RUN_SUCCESS;
}

/* The code of the failed job that ended first. */
static enum err_code first_code(const struct run *child)
{
        const struct node *first = NULL;
        for (size_t i = 0; i < child->n; i++)
                for (size_t k = 0; k < child->groups[i].n; k++) {
                        const struct node *n = child->groups[i].nodes[k];
                        if (node_has_failed(n) && (!first || n->finished_at < first->finished_at))
                                first = n;
                }
        return first && first->pub.code != ERR_SUCCESS ? first->pub.code : ERR_RUN_FAILED;
}

/* The contexts of the outputs: the call's own, and its jobs. */
static int outputs_contexts(const struct run *child, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *all = NULL, *jobs = NULL;
        int k = value_copy(child->contexts, &all, e);
        if (k == 0)
                k = value_object(&jobs, e);
        for (size_t i = 0; k == 0 && i < child->n; i++)
                k = group_describe(jobs, &child->groups[i], e);
        if (k == 0)
                k = value_set(all, "jobs", jobs, e);
        if (k == 0)
                *ret = TAKE_PTR(all);
        return k;
}

int call_end(struct node *n, struct err *e)
{
        AUTO(value_unrefp) struct value *contexts = NULL, *outputs = NULL;
        struct err why = ERR_INIT;
        int k = outputs_contexts(n->child, &contexts, e);
        if (k < 0)
                return k;
        if (plan_call_outputs(n->pub.instance->called, contexts, &outputs, &why) < 0)
                return fail_call(n, &why, e);
        enum run_conclusion c = conclude(n->child);
        n->pub.code = c == RUN_FAILURE ? first_code(n->child) : ERR_SUCCESS;
        k = node_apply(n, RUN_EVENT_FINISHED, c, NULL, e);
        if (k < 0)
                return k;
        n->pub.outputs = TAKE_PTR(outputs);
        return group_keep_outputs(n->group, n->pub.outputs, e);
}
