#include "job/view.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "job/context.h"
#include "job/scope.h"
#include "job/spec.h"
#include "job/texts.h"
#include "job/variables.h"
#include "net/mirror.h"
#include "net/policy.h"
#include "workflow/expr.h"
#include "workflow/value.h"

#define BASE_PATH VIEW_HOME "/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct view {
        struct scope *scope;
        struct variables *variables;
        bool of_job;
        struct value *all;    /* the contexts by name */
        struct value *github; /* a member of it, with the step's part */
        struct map *env;      /* the context `env` */
        struct map *own;      /* the step's own `env` */
        view_hash_fn *hash;   /* NULL: there is no hashFiles */
        void *hash_user;
};

/* Members of the github context that a process sees as GITHUB_NAME, as actions/runner has them. */
static const char *const github_variables[] = {
        "action",
        "action_path",
        "action_ref",
        "action_repository",
        "action_status",
        "actor",
        "actor_id",
        "api_url",
        "base_ref",
        "env",
        "event_name",
        "event_path",
        "graphql_url",
        "head_ref",
        "job",
        "output",
        "path",
        "ref",
        "ref_name",
        "ref_protected",
        "ref_type",
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "retention_days",
        "run_attempt",
        "run_id",
        "run_number",
        "server_url",
        "sha",
        "state",
        "step_summary",
        "triggering_actor",
        "workflow",
        "workflow_ref",
        "workflow_sha",
        "workspace",
};

static const char *const runner_variables[] = {"name",       "os",          "arch",  "temp",
                                               "tool_cache", "environment", "debug", "workspace"};

/* ---- evaluation ---- */

static int on_status(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        const struct view *v = user;
        enum context_status status = v->of_job ? context_status(scope_context(v->scope)) : scope_status(v->scope);
        (void)args;
        if (n)
                return err_set(e, ERR_USAGE, "a step's status function takes no arguments");
        *ret = status == (fn == EXPR_SUCCESS   ? CONTEXT_SUCCESS
                          : fn == EXPR_FAILURE ? CONTEXT_FAILURE
                                               : CONTEXT_CANCELLED);
        return 0;
}

static int on_hash(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e)
{
        const struct view *v = user;
        return v->hash(v->hash_user, patterns, n, ret, e);
}

static struct expr_env expr_env(struct view *v, bool status)
{
        return (struct expr_env){.contexts = v->all,
                                 .hash_files = v->hash ? on_hash : NULL,
                                 .status = status ? on_status : NULL,
                                 .user = v};
}

/* The workflow's fault, not ours: the step fails. */
static int wrap(struct err *e, int r, const char *what)
{
        if (r < 0 && e && e->code == ERR_USAGE)
                e->code = ERR_RUN_FAILED;
        return r < 0 ? err_wrap(e, r, "%s", what) : r;
}

int view_condition(struct view *v, const char *text, bool *ret, struct err *e)
{
        struct expr_env env = expr_env(v, true);
        struct expr_fault fault;
        return wrap(e, expr_condition(text, &env, ret, &fault, e), "if");
}

int view_text(struct view *v, const char *text, const char *what, char **ret, struct err *e)
{
        struct expr_env env = expr_env(v, false);
        struct expr_fault fault;
        *ret = NULL;
        return text ? wrap(e, expr_template_str(text, &env, ret, &fault, e), what) : 0;
}

int view_bool(struct view *v, const char *text, const char *what, bool *ret, struct err *e)
{
        struct expr_env env = expr_env(v, false);
        struct expr_fault fault;
        return wrap(e, expr_template_bool(text, &env, what, ret, &fault, e), what);
}

int view_number(struct view *v, const char *text, const char *what, double *ret, struct err *e)
{
        struct expr_env env = expr_env(v, false);
        struct expr_fault fault;
        return wrap(e, expr_template_number(text, &env, what, ret, &fault, e), what);
}

/* One ${{ }} whose value is an object. */
static int expand(struct view *v, const char *text, const char *what, struct map *into, struct err *e)
{
        struct expr_env env = expr_env(v, false);
        AUTO(value_unrefp) struct value *o = NULL;
        struct expr_fault fault;
        int r = wrap(e, expr_template(text, strlen(text), &env, &o, &fault, e), what);
        if (r < 0)
                return r;
        if (value_kind(o) != VALUE_OBJECT)
                return err_set(e, ERR_RUN_FAILED, "%s: the expression gives no object of texts", what);
        for (size_t i = 0; r == 0 && i < value_count(o); i++)
                r = texts_take(into, value_key_at(o, i), value_to_str(value_at(o, i)), e);
        return r;
}

static int add_pair(struct view *v, const struct spec_pair *p, const char *what, struct map *into, struct err *e)
{
        char *value = NULL;
        if (!p->name)
                return expand(v, p->value, what, into, e);
        int r = view_text(v, p->value, p->name, &value, e);
        if (r == 0)
                r = texts_take(into, p->name, value, e);
        return r < 0 ? err_wrap(e, r, "%s", what) : 0;
}

int view_pairs(struct view *v, const struct spec_pairs *pairs, const char *what, struct map *into, struct err *e)
{
        int r = pairs->expression ? expand(v, pairs->expression, what, into, e) : 0;
        for (size_t i = 0; r == 0 && i < pairs->n; i++)
                r = add_pair(v, &pairs->v[i], what, into, e);
        return r;
}

/* ---- making ---- */

static int set_env(struct view *v, struct err *e)
{
        AUTO(value_unrefp) struct value *o = NULL;
        int r = texts_value(v->env, &o, e);
        return r < 0 ? r : value_set(v->all, "env", o, e);
}

/* A copy that the step's part goes into. */
static int copy_github(struct view *v, struct err *e)
{
        const struct value *from[] = {value_get(v->all, "github"), scope_github(v->scope)};
        int r = value_object(&v->github, e);
        for (size_t k = 0; k < ARRAY_SIZE(from); k++)
                for (size_t i = 0; r == 0 && from[k] && i < value_count(from[k]); i++)
                        r = value_set(v->github, value_key_at(from[k], i), value_at(from[k], i), e);
        if (r == 0 && from[1]) /* of a composite action */
                r = value_set_str(v->github, "action_status", context_status_name(scope_status(v->scope)), e);
        return r;
}

static int make(struct view *v, struct err *e)
{
        AUTO(value_unrefp) struct value *steps = NULL;
        struct value *inputs = scope_inputs(v->scope);
        int r = context_values(scope_context(v->scope), &v->all, e);
        if (r == 0)
                r = scope_steps(v->scope, &steps, e);
        if (r == 0)
                r = value_set(v->all, "steps", steps, e);
        if (r == 0 && inputs)
                r = value_set(v->all, "inputs", inputs, e);
        if (r == 0)
                r = copy_github(v, e);
        if (r == 0)
                r = value_set(v->all, "github", v->github, e);
        if (r == 0)
                r = texts_new(&v->own, e);
        if (r == 0)
                r = texts_new(&v->env, e);
        if (r == 0)
                r = texts_add(v->env, variables_env(v->variables), e);
        if (r == 0)
                r = texts_add(v->env, scope_env(v->scope), e);
        return r < 0 ? r : set_env(v, e);
}

int view_new(struct scope *scope, struct variables *variables, bool of_job, struct view **ret, struct err *e)
{
        AUTO(view_freep) struct view *v = calloc(1, sizeof(*v));
        if (!v)
                return err_nomem(e);
        v->scope = scope_ref(scope);
        v->variables = variables;
        v->of_job = of_job;
        int r = make(v, e);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

struct view *view_free(struct view *v)
{
        if (!v)
                return NULL;
        value_unref(v->all);
        value_unref(v->github);
        map_free(v->env);
        map_free(v->own);
        scope_unref(v->scope);
        free(v);
        return NULL;
}

void view_set_hash(struct view *v, view_hash_fn *fn, void *user)
{
        v->hash = fn;
        v->hash_user = user;
}

/* ---- the step's part ---- */

static int set_files(struct value *github, const struct view_files *f, struct err *e)
{
        int r = value_set_str(github, "output", f->output, e);
        if (r == 0)
                r = value_set_str(github, "env", f->env, e);
        if (r == 0)
                r = value_set_str(github, "path", f->path, e);
        if (r == 0)
                r = value_set_str(github, "step_summary", f->summary, e);
        return r < 0 ? r : value_set_str(github, "state", f->state, e);
}

static int check_names(const struct map *m, struct err *e)
{
        for (size_t i = 0; i < map_count(m); i++) {
                const char *name = map_key_at(m, i);
                if (!*name || strchr(name, '='))
                        return err_set(e, ERR_RUN_FAILED, "env: '%s' is no name of a variable", name);
        }
        return 0;
}

/* All of them see what was there before any of them. */
static int eval_env(struct view *v, const struct spec_pairs *pairs, struct err *e)
{
        int r = view_pairs(v, pairs, "env", v->own, e);
        return r < 0 ? r : check_names(v->own, e);
}

int view_begin(struct view *v, const char *action, const struct view_files *files, const struct spec_pairs *env,
               struct err *e)
{
        int r = action ? value_set_str(v->github, "action", action, e) : 0;
        if (r == 0 && files)
                r = set_files(v->github, files, e);
        if (r == 0)
                r = eval_env(v, env, e);
        if (r == 0)
                r = texts_add(v->env, v->own, e);
        return r < 0 ? r : set_env(v, e);
}

int view_set_action(struct view *v, const struct scope_action *a, struct err *e)
{
        return scope_action_value(a, v->github, e);
}

const struct map *view_own_env(const struct view *v)
{
        return v->own;
}

/* ---- the environment of a process ---- */

static int put_variables(struct map *m, const struct value *context, const char *prefix, const char *const *names,
                         size_t n, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++) {
                struct value *v = value_get(context, names[i]);
                if (!v || value_kind(v) == VALUE_NULL || value_kind(v) >= VALUE_ARRAY)
                        continue;
                AUTO(auto_free) char *name = str_printf("%s%s", prefix, names[i]);
                if (!name)
                        return err_nomem(e);
                for (char *p = name; *p; p++)
                        *p = (char)toupper((unsigned char)*p);
                r = texts_take(m, name, value_to_str(v), e);
        }
        return r;
}

static int put_path(const struct view *v, struct map *m, struct err *e)
{
        const struct strv *paths = variables_paths(v->variables);
        const char *rest = map_get(m, "PATH");
        struct buf b = BUF_INIT;
        int r = 0;
        for (size_t i = paths->n; r == 0 && i > 0; i--)
                r = buf_printf(&b, e, "%s:", paths->v[i - 1]);
        if (r == 0)
                r = buf_append_str(&b, rest ? rest : BASE_PATH, e);
        if (r < 0) {
                buf_done(&b);
                return r;
        }
        return texts_take(m, "PATH", buf_take_str(&b), e);
}

static int put_defaults(struct map *m, struct err *e)
{
        static const char *const pairs[][2] = {
                {"HOME", VIEW_HOME},    {"USER", "runner"},  {"LOGNAME", "runner"},
                {"SHELL", "/bin/bash"}, {"LANG", "C.UTF-8"}, {"CI", "true"},
        };
        int r = 0;
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(pairs); i++)
                if (!map_get(m, pairs[i][0]))
                        r = texts_set(m, pairs[i][0], pairs[i][1], e);
        return r < 0 ? r : texts_set(m, "GITHUB_ACTIONS", "true", e);
}

/* npm reads its variables whatever their case, and which of two it takes is not said. */
static int put_mirror_variable(const char *name, const char *value, void *user, struct err *e)
{
        struct map *m = user;
        for (size_t i = 0; i < map_count(m); i++)
                if (str_ieq(map_key_at(m, i), name))
                        return 0;
        return texts_set(m, name, value, e);
}

static int put_mirrors(const struct view *v, struct map *m, struct err *e)
{
        const struct policy *egress = context_egress(scope_context(v->scope));
        int r = 0;
        for (size_t i = 0; r == 0 && i < egress->n_mirrors; i++)
                r = mirror_variables(&egress->mirrors[i], put_mirror_variable, m, e);
        return r;
}

static int list_environment(const struct map *m, struct strv *ret, struct err *e)
{
        size_t total = 0;
        for (size_t i = 0; i < map_count(m); i++) {
                const char *name = map_key_at(m, i), *value = map_value_at(m, i);
                total += strlen(name) + strlen(value) + 16;
                if (total > VIEW_MAX_ENVIRONMENT)
                        return err_set(e, ERR_RUN_FAILED, "the environment of the step is larger than %zu KiB",
                                       VIEW_MAX_ENVIRONMENT >> 10);
                int r = strv_addf(ret, e, "%s=%s", name, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

int view_environment(struct view *v, const struct map *more, struct strv *ret, struct err *e)
{
        const struct value *runner = value_get(v->all, "runner");
        struct map *m = NULL;
        int r = texts_new(&m, e);
        if (r == 0)
                r = texts_add(m, v->env, e);
        if (r == 0)
                r = texts_add(m, more, e);
        if (r == 0)
                r = put_defaults(m, e);
        if (r == 0)
                r = put_mirrors(v, m, e);
        if (r == 0)
                r = put_path(v, m, e);
        if (r == 0)
                r = put_variables(m, v->github, "GITHUB_", github_variables, ARRAY_SIZE(github_variables), e);
        if (r == 0)
                r = put_variables(m, runner, "RUNNER_", runner_variables, ARRAY_SIZE(runner_variables), e);
        if (r == 0)
                r = list_environment(m, ret, e);
        map_free(m);
        return r;
}
