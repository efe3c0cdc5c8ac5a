/* Steps of a job or of a composite action. */
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "workflow/expr.h"
#include "workflow/workflow_priv.h"

/* Ids that a later step may name; a step of a parallel block shares the scope of its job. */
struct scope {
        const struct wf_str **v;
        size_t n, cap;
};

static int add_id(struct reader *r, struct scope *s, const struct wf_str *id)
{
        bool valid;
        int k = check_id(r, id, &valid);
        if (k < 0 || !valid)
                return k;
        for (size_t i = 0; i < s->n; i++)
                if (str_ieq(s->v[i]->text, id->text))
                        return complain(r, id->pos, strlen(id->text), "ids that differ only in case are one id",
                                        "The identifier '%s' may not be used more than once within the same scope.",
                                        id->text);
        if ((k = arena_grow(r->arena, &s->v, s->n, &s->cap, sizeof(*s->v), r->e)) == 0)
                s->v[s->n++] = id;
        return k;
}

static int check_targets(struct reader *r, const struct scope *s, const struct wf_strs *targets)
{
        int k = 0;
        for (size_t i = 0; k == 0 && i < targets->n; i++) {
                bool known = false;
                for (size_t m = 0; m < s->n; m++)
                        known |= str_ieq(s->v[m]->text, targets->v[i].text);
                if (!known)
                        k = complain(r, targets->v[i].pos, strlen(targets->v[i].text), NULL,
                                     "Step references unknown step ID '%.100s'", targets->v[i].text);
        }
        return k;
}

static int read_kind(struct reader *r, const struct yaml_node *n, struct scope *s, struct wf_step *ret)
{
        const struct yaml_node *target = yaml_get(n, "wait");
        if (yaml_get(n, "run"))
                ret->kind = WF_STEP_RUN;
        else if (yaml_get(n, "uses"))
                ret->kind = WF_STEP_USES;
        else if (target)
                ret->kind = WF_STEP_WAIT;
        else if (yaml_get(n, "wait-all"))
                ret->kind = WF_STEP_WAIT_ALL;
        else if ((target = yaml_get(n, "cancel")))
                ret->kind = WF_STEP_CANCEL;
        else if (yaml_get(n, "parallel"))
                ret->kind = WF_STEP_PARALLEL;
        int k = read_strs(r, target, &ret->targets);
        return k < 0 ? k : check_targets(r, s, &ret->targets);
}

/* What a step of a parallel block may not be; the words and the place are those of GitHub's parser. */
static int check_nested(struct reader *r, const struct yaml_node *block, const struct wf_step *s)
{
        static const char *const names[] = {
                [WF_STEP_WAIT] = "wait", [WF_STEP_WAIT_ALL] = "wait-all", [WF_STEP_CANCEL] = "cancel"};
        if (s->kind == WF_STEP_PARALLEL)
                return complain(r, block->pos, 1, NULL, "Nested 'parallel' blocks are not allowed.");
        if (s->kind != WF_STEP_RUN && s->kind != WF_STEP_USES)
                return complain(r, block->pos, 1, NULL, "'%s' is not allowed inside a parallel block.", names[s->kind]);
        if (!s->background.text)
                return 0;
        return complain(r, block->pos, 1, NULL,
                        "'background' is not allowed inside a parallel block. Steps in a parallel block are "
                        "automatically run as background steps.");
}

static int check_wait_all(struct reader *r, const struct yaml_node *n)
{
        bool no = n && n->kind == YAML_KIND_BOOL && !n->boolean;
        return no ? complain(r, n->pos, 1, NULL, "The value of 'wait-all' must be true or omitted") : 0;
}

static int read_all(struct reader *r, const struct yaml_node *n, struct scope *s, bool nested, struct wf_step **ret,
                    size_t *ret_n);

static int read_step(struct reader *r, const struct yaml_node *n, struct scope *s, bool nested, struct wf_step *ret)
{
        const struct {
                const char *key;
                struct wf_str *to;
        } members[] = {{"name", &ret->name},
                       {"if", &ret->condition},
                       {"run", &ret->run},
                       {"uses", &ret->uses},
                       {"shell", &ret->shell},
                       {"working-directory", &ret->working_directory},
                       {"id", &ret->id},
                       {"timeout-minutes", &ret->timeout_minutes},
                       {"background", &ret->background},
                       {"continue-on-error", &ret->continue_on_error}};
        int k = 0;
        ret->pos = n->pos;
        for (size_t i = 0; k == 0 && i < sizeof(members) / sizeof(members[0]); i++)
                k = read_member(r, n, members[i].key, members[i].to);
        if (k == 0)
                k = read_pairs(r, yaml_get(n, "with"), &ret->with);
        if (k == 0)
                k = read_pairs(r, yaml_get(n, "env"), &ret->env);
        if (k == 0)
                k = read_kind(r, n, s, ret);
        if (k == 0 && ret->id.text)
                k = add_id(r, s, &ret->id);
        if (k == 0)
                k = check_condition(r, &ret->condition);
        const struct yaml_node *parallel = yaml_get(n, "parallel");
        if (k == 0)
                k = check_wait_all(r, yaml_get(n, "wait-all"));
        if (k < 0 || !parallel || nested)
                return k;
        k = read_all(r, parallel, s, true, &ret->parallel, &ret->n_parallel);
        for (size_t i = 0; k == 0 && i < ret->n_parallel; i++)
                k = check_nested(r, n, &ret->parallel[i]);
        return k;
}

static int read_all(struct reader *r, const struct yaml_node *n, struct scope *s, bool nested, struct wf_step **ret,
                    size_t *ret_n)
{
        int k = 0;
        if (!n || n->kind != YAML_KIND_SEQ)
                return 0;
        if (n->n > WORKFLOW_MAX_STEPS)
                return complain(r, n->items[WORKFLOW_MAX_STEPS]->pos, 1, NULL,
                                "more than %d steps (WORKFLOW_MAX_STEPS)", WORKFLOW_MAX_STEPS);
        *ret = arena_array(r->arena, n->n, sizeof(**ret), r->e);
        if (!*ret)
                return -1;
        for (size_t i = 0; k == 0 && i < n->n; i++)
                if (n->items[i]->kind == YAML_KIND_MAP)
                        k = read_step(r, n->items[i], s, nested, &(*ret)[(*ret_n)++]);
        return k;
}

int read_steps(struct reader *r, const struct yaml_node *n, struct wf_step **ret, size_t *ret_n)
{
        struct scope s = {.n = 0};
        return read_all(r, n, &s, false, ret, ret_n);
}
