/* A job of the plan: when its needs are done, whether it runs, with which instances, and how it counts. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "run/run_priv.h"

bool group_is_done(const struct group *g)
{
        for (size_t i = 0; i < g->n; i++)
                if (g->nodes[i]->pub.state != RUN_STATE_DONE)
                        return false;
        return g->evaluated;
}

static bool failed(const struct run_job *j)
{
        bool allowed = j->instance && j->instance->continue_on_error;
        return !allowed && (j->conclusion == RUN_FAILURE || j->conclusion == RUN_TIMED_OUT);
}

enum run_conclusion group_result(const struct group *g)
{
        bool cancelled = false, skipped = true;
        for (size_t i = 0; i < g->n; i++) {
                const struct run_job *j = &g->nodes[i]->pub;
                if (failed(j))
                        return RUN_FAILURE;
                cancelled |= j->conclusion == RUN_CANCELLED;
                skipped &= j->conclusion == RUN_SKIPPED;
        }
        return cancelled ? RUN_CANCELLED : skipped ? RUN_SKIPPED : RUN_SUCCESS;
}

int group_describe(struct value *to, const struct group *g, struct err *e)
{
        AUTO(value_unrefp) struct value *need = NULL, *none = NULL;
        int r = value_object(&need, e);
        if (r == 0)
                r = value_set_str(need, "result", run_conclusion_name(group_result(g)), e);
        if (r == 0 && !g->outputs)
                r = value_object(&none, e);
        if (r == 0)
                r = value_set(need, "outputs", g->outputs ? g->outputs : none, e);
        return r < 0 ? r : value_set(to, g->job->job->id.text, need, e);
}

int group_contexts(const struct group *g, struct value **ret, struct err *e)
{
        const struct run *r = g->run;
        AUTO(value_unrefp) struct value *all = NULL, *needs = NULL;
        int k = value_copy(r->contexts, &all, e);
        if (k == 0)
                k = value_object(&needs, e);
        for (size_t i = 0; k == 0 && i < g->job->n_needs; i++)
                k = group_describe(needs, &r->groups[g->job->needs[i]], e);
        if (k == 0)
                k = value_set(all, "needs", needs, e);
        if (k == 0)
                *ret = TAKE_PTR(all);
        return k;
}

static bool is_named(const char *id, const char *const *names, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (str_ieq(id, names[i]))
                        return true;
        return false;
}

bool run_is_cancelled(const struct run *r)
{
        for (; r; r = r->caller ? r->caller->group->run : NULL)
                if (r->cancelled)
                        return true;
        return false;
}

/* success() and failure() look at all ancestors, or at the named ones. What was started in a run that is cancelled,
 * because its caller asked for it, may succeed. */
static int answer_status(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        const struct group *asker = user;
        const struct run *r = asker->run;
        bool all = true, any_failed = false;
        (void)e;
        for (size_t i = 0; i < r->n; i++) {
                const struct group *g = &r->groups[i];
                if (!asker->ancestors[i] || (n && !is_named(g->job->job->id.text, args, n)))
                        continue;
                enum run_conclusion c = group_result(g);
                all &= c == RUN_SUCCESS;
                any_failed |= c == RUN_FAILURE;
        }
        *ret = fn == EXPR_SUCCESS ? all && !r->cancelled : fn == EXPR_FAILURE ? any_failed : run_is_cancelled(r);
        return 0;
}

int group_condition(struct group *g, struct err *e)
{
        struct run *r = g->run;
        AUTO(value_unrefp) struct value *contexts = NULL;
        bool holds = false;
        int k = group_contexts(g, &contexts, e);
        if (k < 0)
                return k;
        const struct expr_env env = {.contexts = contexts, .status = answer_status, .user = g};
        k = plan_condition(r->plan, g->job, &env, &holds, e);
        return k < 0 ? k : holds;
}

static int make_nodes(struct group *g, struct err *e)
{
        size_t n = g->expansion->n;
        struct node **nodes = reallocarray(g->nodes, n, sizeof(struct node *));
        if (!nodes)
                return err_nomem(e);
        g->nodes = nodes;
        for (; g->n < n; g->n++) {
                struct node *node = calloc(1, sizeof(*node));
                if (!node)
                        return err_nomem(e);
                *node = (struct node){.pub = {.plan = g->run->plan, .job = g->job}, .group = g};
                g->nodes[g->n] = node;
        }
        for (size_t i = 0; i < n; i++) {
                struct run_job *j = &g->nodes[i]->pub;
                j->instance = g->expansion->v[i];
                j->key = j->instance->key;
                j->name = j->instance->name;
        }
        return 0;
}

static int expand(struct group *g, struct err *e)
{
        AUTO(value_unrefp) struct value *contexts = NULL;
        g->expansion = &g->job->expansion;
        if (!g->job->dynamic)
                return 0;
        int k = group_contexts(g, &contexts, e);
        if (k == 0)
                k = plan_expand(g->run->plan, g->job, contexts, &g->own, e);
        g->expansion = &g->own;
        return k;
}

/* What evaluation brought up is the workflow's fault, unless memory ran out. */
static int fail_group(struct group *g, const struct err *why, struct err *e)
{
        if (why->code == ERR_RESOURCES) {
                if (e)
                        *e = *why;
                return -1;
        }
        g->nodes[0]->pub.code = ERR_RUN_FAILED;
        return node_apply(g->nodes[0], RUN_EVENT_FAIL, RUN_FAILURE, why->msg, e);
}

static const char *skip_reason(const struct group *g)
{
        const struct run *r = g->run;
        if (r->cancelled)
                return "the run was cancelled";
        for (size_t i = 0; i < r->n; i++)
                if (g->ancestors[i] && group_result(&r->groups[i]) != RUN_SUCCESS)
                        return "a job that it needs did not succeed";
        return "its `if` does not hold";
}

int group_evaluate(struct group *g, struct err *e)
{
        const bool cancelled = g->run->cancelled;
        struct err why = ERR_INIT;
        g->evaluated = true;
        int holds = group_condition(g, &why);
        if (holds < 0)
                return fail_group(g, &why, e);
        if (!holds)
                return node_apply(g->nodes[0], RUN_EVENT_SKIP, cancelled ? RUN_CANCELLED : RUN_SKIPPED, skip_reason(g),
                                  e);
        if (expand(g, &why) < 0)
                return fail_group(g, &why, e);
        if (!g->expansion->n)
                return node_apply(g->nodes[0], RUN_EVENT_SKIP, RUN_SKIPPED, "its matrix has no combination left", e);
        int k = make_nodes(g, e);
        for (size_t i = 0; k == 0 && i < g->n; i++)
                k = node_apply(g->nodes[i], RUN_EVENT_ADMIT, RUN_NONE, NULL, e);
        return k;
}
