/* An action file: YAML, then GitHub's schema, then our reading of it. The words of what is missing are the runner's. */
#include "workflow/action.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/schema.h"
#include "workflow/workflow_priv.h"

struct holder {
        struct action action; /* first: action_free() casts back */
        struct document document;
};

struct action *action_free(struct action *a)
{
        struct holder *h = (struct holder *)(void *)a;
        if (!h)
                return NULL;
        document_done(&h->document);
        free(h);
        return NULL;
}

/* ---- inputs and outputs ---- */

static int read_input(struct reader *r, const struct yaml_node *key, const struct yaml_node *n,
                      struct action_input *ret)
{
        struct wf_str required;
        ret->name = (struct wf_str){key->text, key->pos};
        int k = read_member(r, n, "description", &ret->description);
        if (k == 0)
                k = read_member(r, n, "default", &ret->default_value);
        if (k == 0)
                k = read_member(r, n, "deprecationMessage", &ret->deprecation);
        if (k == 0)
                k = read_member(r, n, "required", &required);
        if (k == 0)
                ret->required = required.text && str_ieq(required.text, "true");
        return k;
}

static int read_inputs(struct reader *r, const struct yaml_node *n, struct action *ret)
{
        int k = 0;
        if (!n || n->kind != YAML_KIND_MAP)
                return 0;
        ret->inputs = arena_array(r->arena, n->n, sizeof(*ret->inputs), r->e);
        if (!ret->inputs)
                return -1;
        while (k == 0 && ret->n_inputs < n->n) {
                size_t i = ret->n_inputs++;
                k = read_input(r, n->keys[i], n->items[i], &ret->inputs[i]);
        }
        return k;
}

static int read_output(struct reader *r, const struct yaml_node *key, const struct yaml_node *n,
                       struct action_output *ret)
{
        ret->name = (struct wf_str){key->text, key->pos};
        int k = read_member(r, n, "description", &ret->description);
        return k < 0 ? k : read_member(r, n, "value", &ret->value);
}

static int read_outputs(struct reader *r, const struct yaml_node *n, struct action *ret)
{
        int k = 0;
        if (!n || n->kind != YAML_KIND_MAP)
                return 0;
        ret->outputs = arena_array(r->arena, n->n, sizeof(*ret->outputs), r->e);
        if (!ret->outputs)
                return -1;
        while (k == 0 && ret->n_outputs < n->n) {
                size_t i = ret->n_outputs++;
                k = read_output(r, n->keys[i], n->items[i], &ret->outputs[i]);
        }
        return k;
}

/* ---- what it runs ---- */

static const struct {
        const char *using;
        enum action_kind kind;
} kinds[] = {{"composite", ACTION_COMPOSITE}, {"docker", ACTION_DOCKER}, {"node12", ACTION_NODE},
             {"node16", ACTION_NODE},         {"node20", ACTION_NODE},   {"node24", ACTION_NODE}};

static int read_kind(struct reader *r, const struct yaml_node *runs, struct action *ret, bool *ret_known)
{
        static const char hint[] = "'composite', 'docker', 'node12', 'node16', 'node20' and 'node24' are known";
        *ret_known = false;
        if (!ret->using.text)
                return complain(r, runs->pos, 1, hint, "Missing 'using' value");
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (str_ieq(ret->using.text, kinds[i].using)) {
                        ret->kind = kinds[i].kind;
                        *ret_known = true;
                        return 0;
                }
        return complain(r, ret->using.pos, strlen(ret->using.text), hint, "'using: %.100s' is not supported",
                        ret->using.text);
}

static int check_kind(struct reader *r, const struct yaml_node *runs, const struct action *a)
{
        if (a->kind == ACTION_NODE && !a->main.text)
                return complain(r, runs->pos, 1, "add `main`",
                                "You are using a JavaScript Action but there is not an entry JavaScript file provided");
        if (a->kind == ACTION_DOCKER && !a->image.text)
                return complain(r, runs->pos, 1, "add `image`",
                                "You are using a Container Action but an image is not provided");
        if (a->kind == ACTION_COMPOSITE && !yaml_get(runs, "steps"))
                return complain(r, runs->pos, 1, "add `steps`",
                                "You are using a composite action but there are no steps provided");
        return 0;
}

/* The schema takes them for any text: GitHub's runner evaluates them, and only then complains. */
static int check_runs_if(struct reader *r, const struct yaml_node *runs, const char *key)
{
        const struct yaml_node *n = yaml_get(runs, key);
        if (!n || n->kind == YAML_KIND_MAP || n->kind == YAML_KIND_SEQ)
                return 0;
        return schema_check(n, schema_action_if, r->source, r->len, r->problems, r->e);
}

static int read_scalars(struct reader *r, const struct yaml_node *runs, struct action *ret)
{
        const struct {
                const char *key;
                struct wf_str *to;
        } members[] = {{"using", &ret->using},   {"main", &ret->main}, {"pre", &ret->pre},
                       {"pre-if", &ret->pre_if}, {"post", &ret->post}, {"post-if", &ret->post_if},
                       {"image", &ret->image}};
        int k = 0;
        for (size_t i = 0; k == 0 && i < ARRAY_SIZE(members); i++)
                k = read_member(r, runs, members[i].key, members[i].to);
        return k;
}

static int read_runs(struct reader *r, const struct yaml_node *runs, struct action *ret)
{
        bool known = false;
        int k = read_scalars(r, runs, ret);
        if (k == 0)
                k = read_kind(r, runs, ret, &known);
        if (k == 0 && known)
                k = check_kind(r, runs, ret);
        if (k == 0)
                k = check_runs_if(r, runs, "pre-if");
        if (k == 0)
                k = check_runs_if(r, runs, "post-if");
        return k < 0 ? k : read_steps(r, yaml_get(runs, "steps"), &ret->steps, &ret->n_steps);
}

/* ---- the file ---- */

static int read_root(struct reader *r, const struct yaml_node *root, struct action *ret)
{
        const struct yaml_node *runs = yaml_get(root, "runs");
        int k = read_member(r, root, "name", &ret->name);
        if (k == 0)
                k = read_member(r, root, "description", &ret->description);
        if (k == 0)
                k = read_inputs(r, yaml_get(root, "inputs"), ret);
        if (k == 0)
                k = read_outputs(r, yaml_get(root, "outputs"), ret);
        if (k < 0)
                return k;
        if (runs && runs->kind == YAML_KIND_MAP)
                return read_runs(r, runs, ret);
        if (runs || root->kind != YAML_KIND_MAP)
                return 0; /* reported: it is of the wrong type */
        return complain(r, root->pos, 1, "add `runs`", "Top level 'runs:' section is required");
}

static int parse(struct holder *h, const char *file, struct reader *r)
{
        static const struct document_kind kind = {ACTION_MAX_SIZE, "ACTION_MAX_SIZE", &schema_action};
        const size_t before = diag_errors(r->problems); /* of other files */
        int k = document_open(&h->document, r, &kind);
        if (k)
                return k;
        h->action.file = arena_str(r->arena, file, strlen(file), r->e);
        k = h->action.file ? read_root(r, yaml_root(h->document.doc), &h->action) : -1;
        diag_sort(r->problems);
        return k < 0 ? k : diag_errors(r->problems) > before ? ACTION_E_INVALID : 0;
}

int action_parse(const char *file, const void *data, size_t len, struct diag_list *problems, struct action **ret,
                 struct err *e)
{
        struct reader reader = {.source = data ? data : "", .len = len, .problems = problems, .e = e};
        struct holder *h = calloc(1, sizeof(*h));
        if (!h)
                return err_nomem(e);
        int r = parse(h, file, &reader);
        if (r)
                action_free(&h->action);
        else
                *ret = &h->action;
        return r;
}

const struct action_input *action_input(const struct action *a, const char *name)
{
        for (size_t i = 0; i < a->n_inputs; i++)
                if (str_ieq(a->inputs[i].name.text, name))
                        return &a->inputs[i];
        return NULL;
}
