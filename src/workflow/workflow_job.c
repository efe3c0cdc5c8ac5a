/* Jobs, and the graph of their needs. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "workflow/expr.h"
#include "workflow/workflow_priv.h"

static int read_runs_on(struct reader *r, const struct yaml_node *n, struct wf_runs_on *ret)
{
        if (!n)
                return 0;
        ret->pos = n->pos;
        if (n->kind == YAML_KIND_STRING && expr_template_has_parts(n->text, n->len))
                return read_str(r, n, &ret->expression);
        if (n->kind != YAML_KIND_MAP)
                return read_strs(r, n, &ret->labels);
        int k = read_member(r, n, "group", &ret->group);
        return k < 0 ? k : read_strs(r, yaml_get(n, "labels"), &ret->labels);
}

static int read_strategy(struct reader *r, const struct yaml_node *n, struct wf_strategy *ret)
{
        if (!n)
                return 0;
        ret->given = true;
        ret->pos = n->pos;
        ret->matrix = yaml_get(n, "matrix");
        if (ret->matrix && ret->matrix->kind == YAML_KIND_NULL)
                ret->matrix = NULL;
        if (n->kind == YAML_KIND_STRING)
                return read_str(r, n, &ret->expression);
        int k = read_member(r, n, "fail-fast", &ret->fail_fast);
        return k < 0 ? k : read_member(r, n, "max-parallel", &ret->max_parallel);
}

static int read_environment(struct reader *r, const struct yaml_node *n, struct wf_job *ret)
{
        if (!n || n->kind != YAML_KIND_MAP)
                return read_str(r, n, &ret->environment);
        int k = read_member(r, n, "name", &ret->environment);
        return k < 0 ? k : read_member(r, n, "url", &ret->environment_url);
}

static int read_secrets(struct reader *r, const struct yaml_node *n, struct wf_job *ret)
{
        ret->secrets_inherit = n && n->kind == YAML_KIND_STRING && strcmp(n->text, "inherit") == 0;
        return n && n->kind == YAML_KIND_MAP ? read_pairs(r, n, &ret->secrets) : 0;
}

static int read_scalars(struct reader *r, const struct yaml_node *n, struct wf_job *ret)
{
        const struct {
                const char *key;
                struct wf_str *to;
        } members[] = {{"name", &ret->name},
                       {"if", &ret->condition},
                       {"timeout-minutes", &ret->timeout_minutes},
                       {"cancel-timeout-minutes", &ret->cancel_timeout_minutes},
                       {"continue-on-error", &ret->continue_on_error},
                       {"uses", &ret->uses}};
        int k = 0;
        for (size_t i = 0; k == 0 && i < sizeof(members) / sizeof(members[0]); i++)
                k = read_member(r, n, members[i].key, members[i].to);
        return k;
}

static bool has_expression(const struct yaml_node *n)
{
        if (n->kind == YAML_KIND_STRING)
                return expr_template_has_parts(n->text, n->len);
        for (size_t i = 0; i < n->n; i++)
                if (has_expression(n->items[i]) || (n->keys && has_expression(n->keys[i])))
                        return true;
        return false;
}

/* What an expression will make of a container is not judged, as at GitHub. */
static int check_container(struct reader *r, const struct yaml_node *n)
{
        if (!n || n->kind != YAML_KIND_MAP || yaml_get(n, "image") || has_expression(n))
                return 0;
        return complain(r, n->pos, 1, "add `image`", "Container image cannot be empty");
}

static int check_containers(struct reader *r, const struct wf_job *j)
{
        int k = check_container(r, j->container);
        for (size_t i = 0; k == 0 && j->services && j->services->kind == YAML_KIND_MAP && i < j->services->n; i++)
                k = check_container(r, j->services->items[i]);
        return k;
}

static int read_job(struct reader *r, const struct yaml_node *key, const struct yaml_node *n, struct wf_job *ret)
{
        bool valid;
        int k;
        ret->id = (struct wf_str){key->text, key->pos};
        ret->pos = key->pos;
        ret->container = yaml_get(n, "container");
        ret->services = yaml_get(n, "services");
        ret->snapshot = yaml_get(n, "snapshot");
        if ((k = check_id(r, &ret->id, &valid)) < 0 || (k = check_containers(r, ret)) < 0 ||
            (k = read_scalars(r, n, ret)) < 0 || (k = check_condition(r, &ret->condition)) < 0 ||
            (k = read_strs(r, yaml_get(n, "needs"), &ret->needs)) < 0 ||
            (k = read_runs_on(r, yaml_get(n, "runs-on"), &ret->runs_on)) < 0 ||
            (k = read_pairs(r, yaml_get(n, "env"), &ret->env)) < 0 ||
            (k = read_pairs(r, yaml_get(n, "outputs"), &ret->outputs)) < 0 ||
            (k = read_defaults(r, yaml_get(n, "defaults"), &ret->defaults)) < 0 ||
            (k = read_permissions(r, yaml_get(n, "permissions"), &ret->permissions)) < 0 ||
            (k = read_concurrency(r, yaml_get(n, "concurrency"), &ret->concurrency)) < 0 ||
            (k = read_strategy(r, yaml_get(n, "strategy"), &ret->strategy)) < 0 ||
            (k = read_environment(r, yaml_get(n, "environment"), ret)) < 0 ||
            (k = read_pairs(r, yaml_get(n, "with"), &ret->with)) < 0 ||
            (k = read_secrets(r, yaml_get(n, "secrets"), ret)) < 0)
                return k;
        return read_steps(r, yaml_get(n, "steps"), &ret->steps, &ret->n_steps);
}

static size_t find_job(const struct workflow *w, const char *id)
{
        for (size_t i = 0; i < w->n_jobs; i++)
                if (str_ieq(w->jobs[i].id.text, id))
                        return i;
        return SIZE_MAX;
}

static int unknown_need(struct reader *r, const struct workflow *w, const struct wf_job *j, const struct wf_str *need)
{
        const char *ids[200];
        char hint[256];
        size_t n = 0;
        for (; n < w->n_jobs && n < 200; n++)
                ids[n] = w->jobs[n].id.text;
        const char *near = str_nearest(need->text, ids, n);
        snprintf(hint, sizeof(hint), "did you mean '%s'?", near ? near : "");
        return complain(r, need->pos, strlen(need->text), near ? hint : NULL,
                        "Job '%s' depends on unknown job '%.100s'.", j->id.text, need->text);
}

/* Names to indexes; unknown and repeated ones are reported and left out. */
static int resolve_needs(struct reader *r, const struct workflow *w, struct wf_job *j)
{
        size_t known = 0;
        j->needs_index = arena_array(r->arena, j->needs.n, sizeof(size_t), r->e);
        if (!j->needs_index)
                return -1;
        for (size_t i = 0; i < j->needs.n; i++) {
                if (expr_template_has_parts(j->needs.v[i].text, strlen(j->needs.v[i].text)))
                        continue; /* reported: no expression is allowed here */
                size_t at = find_job(w, j->needs.v[i].text);
                int k = at == SIZE_MAX ? unknown_need(r, w, j, &j->needs.v[i]) : 0;
                if (k < 0)
                        return k;
                bool repeated = false;
                for (size_t m = 0; m < known; m++)
                        repeated |= j->needs_index[m] == at;
                if (at == SIZE_MAX || repeated)
                        continue;
                j->needs.v[known] = j->needs.v[i];
                j->needs_index[known++] = at;
        }
        j->needs.n = known;
        return 0;
}

struct walk {
        unsigned char *state; /* 0 not seen, 1 on the path, 2 done */
        size_t *path;         /* jobs on the path */
        size_t *next;         /* per job: its need to look at next */
        size_t depth;
};

static int report_cycle(struct reader *r, const struct workflow *w, const struct walk *walk, size_t back)
{
        struct buf b = BUF_INIT_MAX(400);
        size_t from = walk->path[walk->depth - 1], start = 0;
        const struct wf_job *j = &w->jobs[from];
        const struct wf_str *need = &j->needs.v[walk->next[from] - 1];
        while (walk->path[start] != back)
                start++;
        buf_append_str(&b, "the cycle: ", NULL); /* past the limit the hint is cut */
        for (size_t i = start; i < walk->depth; i++)
                buf_printf(&b, NULL, "%s -> ", w->jobs[walk->path[i]].id.text);
        buf_append_str(&b, w->jobs[back].id.text, NULL);
        const char *hint = buf_cstr(&b);
        int k = complain(r, need->pos, strlen(need->text), hint,
                         "Job '%s' depends on job '%s' which creates a cycle in the dependency graph.", j->id.text,
                         need->text);
        buf_done(&b);
        return k;
}

/* Depth first, without recursion; the first cycle met from a job is reported. */
static int walk_from(struct reader *r, const struct workflow *w, struct walk *walk, size_t start)
{
        walk->path[0] = start;
        walk->depth = 1;
        walk->state[start] = 1;
        while (walk->depth) {
                size_t at = walk->path[walk->depth - 1];
                if (walk->next[at] == w->jobs[at].needs.n) {
                        walk->state[at] = 2;
                        walk->depth--;
                        continue;
                }
                size_t to = w->jobs[at].needs_index[walk->next[at]++];
                if (walk->state[to] == 1) {
                        int k = report_cycle(r, w, walk, to);
                        if (k < 0)
                                return k;
                } else if (walk->state[to] == 0) {
                        walk->state[to] = 1;
                        walk->path[walk->depth++] = to;
                }
        }
        return 0;
}

static int check_cycles(struct reader *r, const struct workflow *w)
{
        struct walk walk = {.state = arena_array(r->arena, w->n_jobs, 1, r->e),
                            .path = arena_array(r->arena, w->n_jobs, sizeof(size_t), r->e),
                            .next = arena_array(r->arena, w->n_jobs, sizeof(size_t), r->e)};
        int k = 0;
        if (!walk.state || !walk.path || !walk.next)
                return -1;
        for (size_t i = 0; k == 0 && i < w->n_jobs; i++)
                if (walk.state[i] == 0)
                        k = walk_from(r, w, &walk, i);
        return k;
}

static bool has_first_job(const struct workflow *w)
{
        for (size_t i = 0; i < w->n_jobs; i++)
                if (!w->jobs[i].needs.n)
                        return true;
        return false;
}

int read_jobs(struct reader *r, const struct yaml_node *n, struct workflow *ret)
{
        int k = 0;
        if (!n || n->kind != YAML_KIND_MAP)
                return 0;
        if (!n->n)
                return complain(r, n->pos, 1, NULL, "The workflow must contain at least one job with no dependencies.");
        if (n->n > WORKFLOW_MAX_JOBS)
                return complain(r, n->keys[WORKFLOW_MAX_JOBS]->pos, 1, NULL,
                                "more than %d jobs in a workflow (WORKFLOW_MAX_JOBS)", WORKFLOW_MAX_JOBS);
        ret->jobs = arena_array(r->arena, n->n, sizeof(*ret->jobs), r->e);
        if (!ret->jobs)
                return -1;
        for (size_t i = 0; k == 0 && i < n->n; i++)
                k = read_job(r, n->keys[i], n->items[i], &ret->jobs[ret->n_jobs++]);
        if (k == 0 && !has_first_job(ret))
                k = complain(r, n->pos, 1, "every job needs another one",
                             "The workflow must contain at least one job with no dependencies.");
        for (size_t i = 0; k == 0 && i < ret->n_jobs; i++)
                k = resolve_needs(r, ret, &ret->jobs[i]);
        return k < 0 ? k : check_cycles(r, ret);
}
