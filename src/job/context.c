#include "job/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "job/scope.h"
#include "job/spec.h"
#include "job/texts.h"
#include "job/variables.h"
#include "job/view.h"
#include "workflow/value.h"

#define TOOL_CACHE "/opt/hostedtoolcache"

struct context {
        const struct spec *spec;
        char *temp;
        enum context_status status;
        struct variables *variables;
        struct value *plain;                           /* needs, strategy, matrix, inputs, vars by name */
        struct value *github, *runner, *job, *secrets; /* secrets NULL: none */
        bool has_env;                                  /* the job's own `env` was evaluated */
};

const char *context_temp(const struct context *c)
{
        return c->temp;
}

const char *context_workspace(const struct context *c)
{
        return c->spec->workspace;
}

const struct policy *context_egress(const struct context *c)
{
        return c->spec->egress;
}

const char *context_github(const struct context *c, const char *key)
{
        return value_get_str(c->github, key);
}

bool context_debug(const struct context *c)
{
        const char *debug = value_get_str(c->runner, "debug");
        return debug && strcmp(debug, "1") == 0;
}

int context_event_json(const struct context *c, struct buf *ret, struct err *e)
{
        struct value *event = value_get(c->github, "event");
        return event ? value_to_json_text(event, VALUE_WRITE_PRETTY, ret, e) : buf_append_str(ret, "{}", e);
}

void context_set_status(struct context *c, enum context_status status)
{
        c->status = status;
}

enum context_status context_status(const struct context *c)
{
        return c->status;
}

struct variables *context_variables(struct context *c)
{
        return c->variables;
}

static int copy_object(const struct value *from, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *o = NULL;
        int r = value_object(&o, e);
        for (size_t i = 0; r == 0 && from && i < value_count(from); i++)
                r = value_set(o, value_key_at(from, i), value_at(from, i), e);
        if (r == 0)
                *ret = TAKE_PTR(o);
        return r;
}

const char *context_status_name(enum context_status status)
{
        static const char *const names[] = {"success", "failure", "cancelled"};
        return names[status];
}

static int add_job(const struct context *c, struct value *all, struct err *e)
{
        AUTO(value_unrefp) struct value *job = NULL;
        int r = copy_object(c->job, &job, e);
        if (r == 0)
                r = value_set_str(job, "status", context_status_name(c->status), e);
        return r < 0 ? r : value_set(all, "job", job, e);
}

static int add_secrets(const struct context *c, struct value *all, struct err *e)
{
        AUTO(value_unrefp) struct value *none = NULL;
        int r = c->secrets ? 0 : value_object(&none, e);
        return r < 0 ? r : value_set(all, "secrets", c->secrets ? c->secrets : none, e);
}

int context_values(const struct context *c, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *all = NULL;
        int r = copy_object(c->plain, &all, e);
        if (r == 0)
                r = value_set(all, "github", c->github, e);
        if (r == 0)
                r = value_set(all, "runner", c->runner, e);
        if (r == 0)
                r = add_secrets(c, all, e);
        if (r == 0)
                r = add_job(c, all, e);
        if (r == 0)
                *ret = TAKE_PTR(all);
        return r;
}

/* ---- making ---- */

static int set_default(struct value *o, const char *key, const char *value, struct err *e)
{
        return value_get(o, key) ? 0 : value_set_str(o, key, value, e);
}

/* Two levels above the workspace, as on GitHub's runners: /home/runner/work/_temp. */
static char *default_temp(const char *workspace)
{
        size_t n = strlen(workspace);
        for (int level = 0; level < 2; level++) {
                const char *slash = memrchr(workspace, '/', n);
                n = slash ? (size_t)(slash - workspace) : 0;
        }
        return str_printf("%.*s/_temp", (int)n, workspace);
}

/* RUNNER_WORKSPACE, the folder around the workspace. */
static int set_runner_workspace(struct context *c, struct err *e)
{
        AUTO(auto_free) char *folder = str_dup(c->spec->workspace);
        char *slash = folder ? strrchr(folder, '/') : NULL;
        if (!folder)
                return err_nomem(e);
        slash[slash == folder] = '\0';
        return set_default(c->runner, "workspace", folder, e);
}

static int make_runner(struct context *c, const struct value *given, struct err *e)
{
        const char *temp = value_get_str(given, "temp");
        c->temp = temp && temp[0] == '/' ? str_dup(temp) : default_temp(c->spec->workspace);
        if (!c->temp)
                return err_nomem(e);
        int r = copy_object(given, &c->runner, e);
        if (r == 0)
                r = set_default(c->runner, "os", "Linux", e);
        if (r == 0)
                r = set_default(c->runner, "arch", "X64", e);
        if (r == 0)
                r = set_default(c->runner, "name", "devdep", e);
        if (r == 0)
                r = set_default(c->runner, "environment", "self-hosted", e);
        if (r == 0)
                r = set_default(c->runner, "tool_cache", TOOL_CACHE, e);
        if (r == 0)
                r = set_runner_workspace(c, e);
        return r < 0 ? r : value_set_str(c->runner, "temp", c->temp, e);
}

static int make_github(struct context *c, const struct value *given, struct err *e)
{
        AUTO(auto_free) char *event = str_printf("%s/_github_workflow/event.json", c->temp);
        if (!event)
                return err_nomem(e);
        int r = copy_object(given, &c->github, e);
        if (r == 0)
                r = value_set_str(c->github, "workspace", c->spec->workspace, e);
        if (r == 0)
                r = value_set_str(c->github, "event_path", event, e);
        return r < 0 ? r : value_set_str(c->github, "job", c->spec->job_id, e);
}

static int take_contexts(struct context *c, struct err *e)
{
        static const char *const plain[] = {"needs", "strategy", "matrix", "inputs", "vars"};
        AUTO(value_unrefp) struct value *all = NULL;
        int r = c->spec->contexts ? value_from_json(c->spec->contexts, &all, e) : value_object(&all, e);
        if (r == 0)
                r = value_object(&c->plain, e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(plain); i++) {
                struct value *v = value_get(all, plain[i]);
                r = value_set(c->plain, plain[i], v ? v : value_null(), e);
        }
        if (r == 0)
                r = copy_object(value_get(all, "job"), &c->job, e);
        if (r == 0)
                r = make_runner(c, value_get(all, "runner"), e);
        return r < 0 ? r : make_github(c, value_get(all, "github"), e);
}

/* The job's own `env`, by the expressions of a step that has none itself. */
static int take_env(struct context *c, struct err *e)
{
        AUTO(scope_unrefp) struct scope *scope = NULL;
        AUTO(view_freep) struct view *view = NULL;
        int r = scope_new(c, &scope, e);
        if (r == 0)
                r = view_new(scope, c->variables, true, &view, e);
        if (r == 0)
                r = view_begin(view, NULL, NULL, &c->spec->env, e);
        c->has_env = r == 0;
        const struct map *env = r == 0 ? view_own_env(view) : NULL;
        for (size_t i = 0; env && r == 0 && i < map_count(env); i++)
                r = variables_set(c->variables, map_key_at(env, i), map_value_at(env, i), e);
        return r;
}

int context_set_secrets(struct context *c, struct value *secrets, struct err *e)
{
        value_unref(c->secrets);
        c->secrets = value_ref(secrets);
        return c->has_env ? 0 : take_env(c, e);
}

void context_forget_secrets(struct context *c, struct masks *m)
{
        c->secrets = value_unref(c->secrets);
        variables_forget(c->variables, m);
}

int context_new(const struct spec *spec, struct context **ret, struct err *e)
{
        AUTO(context_freep) struct context *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        c->spec = spec;
        int r = variables_new(&c->variables, e);
        if (r == 0)
                r = take_contexts(c, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

struct context *context_free(struct context *c)
{
        if (!c)
                return NULL;
        value_unref(c->plain);
        value_unref(c->github);
        value_unref(c->runner);
        value_unref(c->job);
        value_unref(c->secrets);
        variables_free(c->variables);
        free(c->temp);
        free(c);
        return NULL;
}
