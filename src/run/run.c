/* Theory of operation. Nothing happens between calls: events change states, and run_next() looks at everything again
 * and gives one decision at a time, in this order: reports of what ended without running, cancellations, starts. A run
 * has at most a few thousand instances, so a scan per decision is cheap and needs no queues that could disagree with
 * the states. */
#include "run/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "run/run_priv.h"

static const char *const conclusion_names[] = {"", "success", "failure", "cancelled", "skipped", "timed_out"};

const char *run_conclusion_name(enum run_conclusion c)
{
        return conclusion_names[c];
}

enum run_conclusion run_conclusion_parse(const char *name)
{
        for (size_t i = 1; i < ARRAY_SIZE(conclusion_names); i++)
                if (str_eq(name, conclusion_names[i]))
                        return (enum run_conclusion)i;
        return RUN_NONE;
}

static struct node *node_of(struct run_job *j)
{
        return (struct node *)(void *)j;
}

struct run *run_free(struct run *r)
{
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n; i++) {
                struct group *g = &r->groups[i];
                for (size_t k = 0; k < g->n; k++) {
                        run_free(g->nodes[k]->child);
                        value_unref(g->nodes[k]->pub.outputs);
                        free(g->nodes[k]->reason);
                        free(g->nodes[k]);
                }
                free(g->nodes);
                free(g->ancestors);
                value_unref(g->outputs);
                plan_expansion_done(&g->own);
        }
        free(r->groups);
        free(r->all);
        value_unref(r->contexts);
        free(r);
        return NULL;
}

/* Needs come earlier in a plan, so their ancestors are known already. */
static int init_group(struct run *r, size_t at, struct err *e)
{
        struct group *g = &r->groups[at];
        const struct plan_job *j = &r->plan->jobs[at];
        g->run = r;
        g->job = j;
        g->nodes = calloc(1, sizeof(*g->nodes));
        g->ancestors = calloc(r->n, sizeof(bool));
        struct node *n = calloc(1, sizeof(*n));
        r->n = at + 1; /* run_free() walks the groups that were begun */
        if (!g->nodes || !g->ancestors || !n) {
                free(n);
                return err_nomem(e);
        }
        *n = (struct node){.pub = {.plan = r->plan, .job = j, .key = j->key, .name = j->name}, .group = g};
        g->nodes[g->n++] = n;
        if (j->job->condition.text && expr_condition_uses_status(j->job->condition.text, &g->asks_for_status, e) < 0)
                return -1;
        for (size_t i = 0; i < j->n_needs; i++) {
                const struct group *need = &r->groups[j->needs[i]];
                g->ancestors[j->needs[i]] = true;
                for (size_t k = 0; k < at; k++)
                        g->ancestors[k] |= need->ancestors[k];
        }
        return 0;
}

static size_t count_nodes(const struct run *r)
{
        size_t n = 0;
        for (size_t i = 0; i < r->n; i++) {
                n += r->groups[i].n;
                for (size_t k = 0; k < r->groups[i].n; k++)
                        n += r->groups[i].nodes[k]->child ? count_nodes(r->groups[i].nodes[k]->child) : 0;
        }
        return n;
}

static void list_nodes(struct run *root, const struct run *r)
{
        for (size_t i = 0; i < r->n; i++)
                for (size_t k = 0; k < r->groups[i].n; k++) {
                        struct node *n = r->groups[i].nodes[k];
                        n->pub.index = root->n_all;
                        root->all[root->n_all++] = n;
                        if (n->child)
                                list_nodes(root, n->child);
                }
}

int run_renumber(struct run *r, struct err *e)
{
        struct run *root = r->root;
        struct node **all = reallocarray(root->all, count_nodes(root) + 1, sizeof(struct node *));
        if (!all)
                return err_nomem(e);
        root->all = all;
        root->n_all = 0;
        list_nodes(root, root);
        return 0;
}

int run_make(const struct plan *plan, struct value *contexts, struct node *caller, struct run **ret, struct err *e)
{
        AUTO(run_freep) struct run *r = calloc(1, sizeof(*r));
        if (!r || !(r->groups = calloc(plan->n_jobs + 1, sizeof(*r->groups))))
                return err_nomem(e);
        r->plan = plan;
        r->caller = caller;
        r->root = caller ? caller->group->run->root : r;
        r->contexts = value_ref(contexts);
        int k = r->contexts ? 0 : value_object(&r->contexts, e);
        for (size_t i = 0; k == 0 && i < plan->n_jobs; i++) {
                r->n = plan->n_jobs; /* the width of the ancestors' array */
                k = init_group(r, i, e);
        }
        if (k == 0)
                *ret = TAKE_PTR(r);
        return k;
}

int run_new(const struct plan *plan, const struct run_options *options, struct run **ret, struct err *e)
{
        AUTO(run_freep) struct run *r = NULL;
        int k = run_make(plan, options->contexts, NULL, &r, e);
        if (k < 0)
                return k;
        r->capacity = options->capacity;
        r->keep_going = options->keep_going;
        k = run_renumber(r, e);
        if (k == 0)
                *ret = TAKE_PTR(r);
        return k;
}

int node_apply(struct node *n, enum run_event event, enum run_conclusion c, const char *reason, struct err *e)
{
        enum run_state to;
        if (run_state_next(n->pub.state, event, &to))
                return err_set(e, ERR_PROTOCOL, "job '%s': event %d is not allowed in state %d", n->pub.key, event,
                               n->pub.state);
        if (reason) {
                char *copy = str_dup(reason);
                if (!copy)
                        return err_nomem(e);
                free(n->reason);
                n->reason = copy;
                n->pub.reason = copy;
        }
        n->pub.state = to;
        if (to != RUN_STATE_DONE)
                return 0;
        n->pub.conclusion = c;
        n->finished_at = ++n->group->run->root->n_finished;
        n->report = event != RUN_EVENT_FINISHED;
        n->cancel_wanted = n->holds = false;
        return 0;
}

bool node_is_active(const struct node *n)
{
        return n->pub.state == RUN_STATE_STARTING || n->pub.state == RUN_STATE_RUNNING;
}

/* A guest that starts or runs; a call is none. */
static bool is_guest(const struct node *n)
{
        return node_is_active(n) && !node_is_call(n);
}

static bool needs_are_done(const struct run *r, const struct group *g)
{
        for (size_t i = 0; i < g->job->n_needs; i++)
                if (!group_is_done(&r->groups[g->job->needs[i]]))
                        return false;
        return true;
}

static bool has_failed(const struct run *r)
{
        for (size_t i = 0; i < r->n; i++)
                for (size_t k = 0; k < r->groups[i].n; k++)
                        if (node_has_failed(r->groups[i].nodes[k]))
                                return true;
        return false;
}

bool node_has_failed(const struct node *n)
{
        bool allowed = n->pub.instance && n->pub.instance->continue_on_error;
        if (n->pub.state != RUN_STATE_DONE)
                return n->child && has_failed(n->child);
        return !allowed && (n->pub.conclusion == RUN_FAILURE || n->pub.conclusion == RUN_TIMED_OUT);
}

/* The jobs of one workflow: who runs is asked to end, nobody else starts but whose `if` holds under cancelled(). */
static void cancel_all(struct run *r)
{
        if (r->cancelled)
                return;
        r->cancelled = true;
        for (size_t i = 0; i < r->n; i++)
                for (size_t k = 0; k < r->groups[i].n; k++)
                        node_cancel(r->groups[i].nodes[k]);
}

void node_cancel(struct node *n)
{
        if (!node_is_active(n) || n->pub.cancel_asked)
                return;
        if (n->child) {
                n->pub.cancel_asked = true;
                cancel_all(n->child);
        } else {
                n->cancel_wanted = true;
        }
}

static bool has_started(const struct group *g)
{
        for (size_t i = 0; i < g->n; i++)
                if (g->nodes[i]->started)
                        return true;
        return false;
}

/* Give up every instance that did not start yet. */
static int drop_ready(struct group *g, const char *reason, struct err *e)
{
        int k = 0;
        for (size_t i = 0; k == 0 && i < g->n; i++)
                if (g->nodes[i]->pub.state == RUN_STATE_READY)
                        k = node_apply(g->nodes[i], RUN_EVENT_DROP, RUN_CANCELLED, reason, e);
        return k;
}

static bool has_ready(const struct group *g)
{
        for (size_t i = 0; i < g->n; i++)
                if (g->nodes[i]->pub.state == RUN_STATE_READY)
                        return true;
        return false;
}

/* After a cancellation what is ready runs only if its `if` holds under cancelled(). */
static int recheck_cancelled(struct group *g, struct err *e)
{
        struct err why = ERR_INIT;
        if (!g->run->cancelled || !has_ready(g) || group_condition(g, &why) > 0)
                return 0;
        return drop_ready(g, "the run was cancelled", e);
}

/* Does its `if` ask for the status, or that of a call around it? */
static bool asks_for_status(const struct group *g)
{
        for (; g; g = g->run->caller ? g->run->caller->group : NULL)
                if (g->asks_for_status)
                        return true;
        return false;
}

static int recheck_failed(struct group *g, bool failure, struct err *e)
{
        if (!failure || g->run->root->keep_going || !has_ready(g) || has_started(g) || asks_for_status(g))
                return 0;
        return drop_ready(g, "another job failed (--keep-going starts independent jobs all the same)", e);
}

static int recheck_fail_fast(struct group *g, struct err *e)
{
        bool failure = false;
        if (!g->expansion || !g->expansion->fail_fast || g->n < 2)
                return 0;
        for (size_t i = 0; i < g->n; i++)
                failure |= node_has_failed(g->nodes[i]);
        if (!failure)
                return 0;
        for (size_t i = 0; i < g->n; i++)
                if (!node_has_failed(g->nodes[i]))
                        node_cancel(g->nodes[i]);
        return drop_ready(g, "another job of the matrix failed (fail-fast)", e);
}

static int evaluate_ready_groups(struct run *r, struct err *e)
{
        bool changed = true;
        while (changed) {
                changed = false;
                for (size_t i = 0; i < r->n; i++) {
                        struct group *g = &r->groups[i];
                        if (g->evaluated || !needs_are_done(r, g))
                                continue;
                        int k = group_evaluate(g, e);
                        if (k == 0)
                                k = run_renumber(r, e);
                        for (size_t m = 0; k == 0 && m < g->n; m++)
                                if (g->nodes[m]->pub.state == RUN_STATE_READY)
                                        k = turn_arrive(g->nodes[m], e);
                        if (k < 0)
                                return k;
                        changed = true;
                }
        }
        return 0;
}

static int recheck_groups(struct run *r, bool failure, struct err *e)
{
        int k = 0;
        for (size_t i = 0; k == 0 && i < r->n; i++) {
                struct group *g = &r->groups[i];
                if ((k = recheck_cancelled(g, e)) == 0 && (k = recheck_fail_fast(g, e)) == 0)
                        k = recheck_failed(g, failure, e);
        }
        return k;
}

static size_t count_active(const struct group *g)
{
        size_t n = 0;
        for (size_t i = 0; i < g->n; i++)
                n += node_is_active(g->nodes[i]);
        return n;
}

static bool may_start(struct node *n)
{
        const struct plan_expansion *x = n->group->expansion;
        if (n->pub.state != RUN_STATE_READY || (x->max_parallel && count_active(n->group) >= x->max_parallel))
                return false;
        return turn_take(n);
}

/* The first job that may start, whether there is room for it or not. */
static struct node *find_start(struct run *r)
{
        for (size_t i = 0; i < r->n_all; i++)
                if (!node_is_call(r->all[i]) && may_start(r->all[i]))
                        return r->all[i];
        return NULL;
}

static size_t count_guests(const struct run *r)
{
        size_t n = 0;
        for (size_t i = 0; i < r->n_all; i++)
                n += is_guest(r->all[i]);
        return n;
}

static struct node *find_report(struct run *r)
{
        for (size_t i = 0; i < r->n_all; i++)
                if (r->all[i]->report)
                        return r->all[i];
        return NULL;
}

static struct node *find_cancel(struct run *r)
{
        for (size_t i = 0; i < r->n_all; i++)
                if (r->all[i]->cancel_wanted)
                        return r->all[i];
        return NULL;
}

static int settle_run(struct run *r, bool failure, struct err *e);

/* Calls take no room: they begin as soon as they may, and end with their jobs. */
static int settle_call(struct node *n, bool failure, struct err *e)
{
        int k = may_start(n) ? call_begin(n, e) : 0;
        if (k < 0 || !n->child || !node_is_active(n))
                return k;
        k = settle_run(n->child, failure, e);
        return k == 0 && run_is_done(n->child) ? call_end(n, e) : k;
}

/* failure: a job of the whole run failed. */
static int settle_run(struct run *r, bool failure, struct err *e)
{
        int k = evaluate_ready_groups(r, e);
        if (k == 0)
                k = recheck_groups(r, failure, e);
        for (size_t i = 0; k == 0 && i < r->n; i++)
                for (size_t m = 0; k == 0 && m < r->groups[i].n; m++)
                        if (node_is_call(r->groups[i].nodes[m]))
                                k = settle_call(r->groups[i].nodes[m], failure, e);
        return k;
}

/* Until nothing moves: what ended may let others be evaluated, and those may be skipped at once. */
static int settle(struct run *r, struct err *e)
{
        size_t before;
        do {
                before = r->n_finished;
                int k = settle_run(r, has_failed(r), e);
                if (k < 0)
                        return k;
        } while (r->n_finished != before);
        return 0;
}

/* What is to be told or asked, if anything. */
static bool next_of_ended(struct run *r, struct run_decision *ret)
{
        struct node *n = find_report(r);
        if (n) {
                n->report = false;
                *ret = (struct run_decision){RUN_REPORT, &n->pub};
        } else if ((n = find_cancel(r))) {
                n->cancel_wanted = false;
                n->pub.cancel_asked = true;
                *ret = (struct run_decision){RUN_CANCEL, &n->pub};
        }
        return n != NULL;
}

static int next_start(struct run *r, struct node *n, struct run_decision *ret, struct err *e)
{
        *ret = (struct run_decision){.action = RUN_WAIT};
        if (count_guests(r) >= r->capacity)
                return 0;
        int k = node_apply(n, RUN_EVENT_START, RUN_NONE, NULL, e);
        if (k < 0)
                return k;
        n->started = true;
        *ret = (struct run_decision){RUN_START, &n->pub};
        return 0;
}

int run_next(struct run *r, struct run_decision *ret, struct err *e)
{
        bool broken;
        do {
                struct node *n;
                int k = settle(r, e);
                *ret = (struct run_decision){.action = RUN_WAIT};
                if (k < 0 || next_of_ended(r, ret))
                        return k;
                if ((n = find_start(r)))
                        return next_start(r, n, ret, e);
                if (run_is_done(r)) {
                        ret->action = RUN_DONE;
                        return 0;
                }
                broken = false;
                if (!count_guests(r) && (k = turn_break_deadlock(r, &broken, e)) < 0)
                        return k;
        } while (broken);
        return 0;
}

int run_started(struct run *r, struct run_job *j, struct err *e)
{
        (void)r;
        return node_apply(node_of(j), RUN_EVENT_STARTED, RUN_NONE, NULL, e);
}

/* The outputs of a matrix are those of its instances, the later ending one wins; an empty value wins over nothing. */
int group_keep_outputs(struct group *g, const struct value *outputs, struct err *e)
{
        int k = g->outputs ? 0 : value_object(&g->outputs, e);
        for (size_t i = 0; k == 0 && i < value_count(outputs); i++) {
                const char *key = value_key_at(outputs, i);
                struct value *v = value_at(outputs, i);
                if (value_truthy(v) || !value_get(g->outputs, key))
                        k = value_set(g->outputs, key, v, e);
        }
        return k;
}

int run_finished(struct run *r, struct run_job *j, enum run_conclusion c, enum err_code code, struct value *outputs,
                 struct err *e)
{
        if (c == RUN_NONE)
                return err_set(e, ERR_PROTOCOL, "job '%s' ended without a conclusion", j->key);
        (void)r;
        int k = node_apply(node_of(j), RUN_EVENT_FINISHED, c, NULL, e);
        if (k < 0)
                return k;
        j->code = code;
        if (!outputs || value_kind(outputs) != VALUE_OBJECT)
                return 0;
        j->outputs = value_ref(outputs);
        return group_keep_outputs(node_of(j)->group, outputs, e);
}

void run_cancel(struct run *r)
{
        cancel_all(r);
}

void run_set_capacity(struct run *r, size_t capacity)
{
        r->capacity = capacity;
}

int run_contexts(struct run *r, const struct run_job *j, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *all = NULL;
        (void)r;
        int k = group_contexts(((const struct node *)(const void *)j)->group, &all, e);
        if (k == 0 && j->instance)
                k = value_set(all, "strategy", j->instance->strategy, e);
        if (k == 0 && j->instance)
                k = value_set(all, "matrix", j->instance->matrix, e);
        if (k == 0)
                *ret = TAKE_PTR(all);
        return k;
}

const struct run_job *run_job_caller(const struct run_job *j)
{
        const struct node *n = (const struct node *)(const void *)j;
        return n->group->run->caller ? &n->group->run->caller->pub : NULL;
}

size_t run_job_count(const struct run *r)
{
        return r->n_all;
}

struct run_job *run_job_at(const struct run *r, size_t i)
{
        return i < r->n_all ? &r->all[i]->pub : NULL;
}

bool run_is_done(const struct run *r)
{
        for (size_t i = 0; i < r->n; i++)
                if (!group_is_done(&r->groups[i]))
                        return false;
        return true;
}

/* The failed instance that ended first. */
static const struct node *first_failed(const struct run *r)
{
        const struct node *first = NULL;
        for (size_t i = 0; i < r->n_all; i++) {
                const struct node *n = r->all[i];
                if (n->pub.state == RUN_STATE_DONE && node_has_failed(n) &&
                    (!first || n->finished_at < first->finished_at))
                        first = n;
        }
        return first;
}

enum run_conclusion run_result(const struct run *r, enum err_code *ret_code)
{
        const struct node *failure = first_failed(r);
        bool cancelled = r->cancelled;
        for (size_t i = 0; !failure && i < r->n_all; i++)
                cancelled |= r->all[i]->pub.conclusion == RUN_CANCELLED;
        enum run_conclusion c = cancelled ? RUN_CANCELLED : failure ? RUN_FAILURE : RUN_SUCCESS;
        if (ret_code) {
                enum err_code code = failure && failure->pub.code != ERR_SUCCESS ? failure->pub.code : ERR_RUN_FAILED;
                *ret_code = c == RUN_CANCELLED ? ERR_CANCELLED : c == RUN_FAILURE ? code : ERR_SUCCESS;
        }
        return c;
}
