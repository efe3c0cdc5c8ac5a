/* The job specification of an instance (docs/job-spec.md). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/plan_priv.h"

#define MAX_HOOK_NAME 200u /* bytes of its first line */

/* Every add goes through here, so that one check at the end finds any lack of memory. */
struct writer {
        bool failed;
        struct err *e;
};

static void set(struct writer *w, json_t *object, const char *key, json_t *v)
{
        if (json_object_set_new(object, key, v) < 0)
                w->failed = true;
}

static void set_str(struct writer *w, json_t *object, const char *key, const char *s)
{
        if (s)
                set(w, object, key, json_string(s));
}

static void append(struct writer *w, json_t *array, json_t *v)
{
        if (json_array_append_new(array, v) < 0)
                w->failed = true;
}

static json_t *pairs_object(struct writer *w, const struct wf_pairs *p)
{
        json_t *object = json_object();
        for (size_t i = 0; i < p->n; i++)
                set_str(w, object, p->v[i].name.text, p->v[i].value.text);
        return object;
}

static void append_all(struct writer *w, json_t *list, const struct wf_str *expression)
{
        append(w, list,
               json_pack("{s:s,s:i,s:i}", "all", expression->text, "line", (int)expression->pos.line, "column",
                         (int)expression->pos.column));
}

/* Entries of the mapping, or one that gives them all. */
static void append_env(struct writer *w, json_t *list, const struct wf_pairs *p)
{
        if (p->expression.text)
                append_all(w, list, &p->expression);
        for (size_t i = 0; i < p->n; i++) {
                json_t *entry = json_object();
                set_str(w, entry, "name", p->v[i].name.text);
                set_str(w, entry, "value", p->v[i].value.text);
                set(w, entry, "line", json_integer(p->v[i].value.pos.line));
                set(w, entry, "column", json_integer(p->v[i].value.pos.column));
                append(w, list, entry);
        }
}

/* A mapping, or the one expression that gives it. */
static void set_pairs(struct writer *w, json_t *o, const char *key, const struct wf_pairs *p, json_t *mapping)
{
        if (!p->expression.text) {
                set(w, o, key, mapping);
                return;
        }
        json_decref(mapping);
        set_str(w, o, key, p->expression.text);
}

static json_t *step_object(struct writer *w, const struct wf_step *s, const char *file);

static json_t *targets_array(struct writer *w, const struct wf_strs *targets)
{
        json_t *list = json_array();
        for (size_t i = 0; i < targets->n; i++)
                append(w, list, json_string(targets->v[i].text));
        return list;
}

static json_t *steps_array(struct writer *w, const struct wf_step *v, size_t n, const char *file)
{
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
                append(w, list, step_object(w, &v[i], file));
        return list;
}

static void set_control(struct writer *w, json_t *o, const struct wf_step *s, const char *file)
{
        if (s->kind == WF_STEP_WAIT)
                set(w, o, "wait", targets_array(w, &s->targets));
        else if (s->kind == WF_STEP_WAIT_ALL)
                set(w, o, "wait_all", json_true());
        else if (s->kind == WF_STEP_CANCEL)
                set_str(w, o, "cancel", s->targets.v[0].text);
        else if (s->kind == WF_STEP_PARALLEL)
                set(w, o, "parallel", steps_array(w, s->parallel, s->n_parallel, file));
}

static json_t *step_object(struct writer *w, const struct wf_step *s, const char *file)
{
        json_t *o = json_object(), *env = json_array();
        set_str(w, o, "id", s->id.text);
        set_str(w, o, "name", s->name.text);
        set_str(w, o, "if", s->condition.text);
        set_str(w, o, "run", s->run.text);
        set_str(w, o, "uses", s->uses.text);
        if (s->with.n || s->with.expression.text)
                set_pairs(w, o, "with", &s->with, pairs_object(w, &s->with));
        append_env(w, env, &s->env);
        set_pairs(w, o, "env", &s->env, env);
        set_str(w, o, "shell", s->shell.text);
        set_str(w, o, "working_directory", s->working_directory.text);
        set_str(w, o, "timeout_minutes", s->timeout_minutes.text);
        set_str(w, o, "continue_on_error", s->continue_on_error.text);
        if (str_eq(s->background.text, "true"))
                set(w, o, "background", json_true());
        set_control(w, o, s, file);
        set_str(w, o, "file", file);
        set(w, o, "line", json_integer(s->pos.line));
        set(w, o, "column", json_integer(s->pos.column));
        return o;
}

/* "before: make prepare": the command's first line, cut between characters. */
static char *hook_name(const char *command, const char *when)
{
        const char *line = command + strspn(command, " \t\r\n");
        size_t len = MIN(strcspn(line, "\r\n"), MAX_HOOK_NAME);
        while (len && ((unsigned char)line[len] & 0xc0) == 0x80)
                len--;
        return str_printf("%s: %.*s", when, (int)len, line);
}

/* In the workspace, by bash: whatever the workflow's defaults are. */
static void append_hooks(struct writer *w, json_t *steps, const struct wf_strs *hooks, const char *when,
                         const char *condition, const char *file)
{
        for (size_t i = 0; i < hooks->n; i++) {
                const struct wf_str *h = &hooks->v[i];
                AUTO(auto_free) char *name = hook_name(h->text, when);
                append(w, steps,
                       json_pack("{s:s,s:s*,s:s,s:s,s:s,s:s,s:i,s:i}", "name", name ? name : when, "if", condition,
                                 "run", h->text, "shell", "bash", "working_directory", ".", "file", file, "line",
                                 (int)h->pos.line, "column", (int)h->pos.column));
        }
}

static void append_steps(struct writer *w, json_t *steps, const struct wf_job *j, const char *file)
{
        AUTO(json_decrefp) json_t *own = steps_array(w, j->steps, j->n_steps, file);
        if (!own || json_array_extend(steps, own) < 0)
                w->failed = true;
}

static json_t *defaults_object(struct writer *w, const struct wf_defaults *outer, const struct wf_defaults *inner)
{
        json_t *o = json_object();
        set_str(w, o, "shell", inner->shell.text ? inner->shell.text : outer->shell.text);
        set_str(w, o, "working_directory",
                inner->working_directory.text ? inner->working_directory.text : outer->working_directory.text);
        return o;
}

static void set_value(struct writer *w, json_t *object, const char *key, const struct value *v)
{
        json_t *json = NULL;
        if (!v || value_to_json(v, &json, w->e) < 0)
                w->failed |= v != NULL;
        else
                set(w, object, key, json);
}

/* The workflow file that the job is in: of a called workflow that one, where `github` tells of the caller's. */
static json_t *job_context(struct writer *w, const struct plan *p, const struct value *github)
{
        const char *of = value_get_str(github, "repository"), *ref = value_get_str(github, "ref");
        const char *repository = of ? of : "";
        AUTO(auto_free) char *full = str_printf("%s/%s@%s", repository, p->workflow->file, ref ? ref : "");
        json_t *o = json_object();
        w->failed |= !full;
        set_str(w, o, "workflow_ref", full);
        set_str(w, o, "workflow_sha", value_get_str(github, "workflow_sha"));
        set_str(w, o, "workflow_repository", repository);
        set_str(w, o, "workflow_file_path", p->workflow->file);
        return o;
}

static json_t *contexts_object(struct writer *w, const struct plan *p, const struct plan_instance *i,
                               const struct plan_parts *parts)
{
        static const char *const names[] = {"github", "needs", "inputs", "vars", "runner"};
        json_t *o = json_object();
        for (size_t k = 0; k < ARRAY_SIZE(names); k++)
                set_value(w, o, names[k], value_get(parts->contexts, names[k]));
        set(w, o, "job", job_context(w, p, value_get(parts->contexts, "github")));
        set_value(w, o, "strategy", i->strategy);
        set_value(w, o, "matrix", i->matrix);
        return o;
}

static json_t *job_object(struct writer *w, const struct plan_job *j, const struct plan_instance *i,
                          const struct plan_parts *parts)
{
        json_t *o = json_object();
        uint64_t timeout_ms = parts->most_ms ? MIN(i->timeout_ms, parts->most_ms) : i->timeout_ms;
        set_str(w, o, "id", j->job->id.text);
        set_str(w, o, "name", i->name);
        set(w, o, "timeout_ms", json_integer((json_int_t)timeout_ms));
        set(w, o, "continue_on_error", json_boolean(i->continue_on_error));
        return o;
}

static void set_parts(struct writer *w, json_t *o, const struct plan_parts *parts)
{
        set_str(w, o, "run", parts->run);
        set(w, o, "attempt", json_integer(strtol(parts->attempt, NULL, 10)));
        set(w, o, "image", json_deep_copy(parts->image));
        set_str(w, o, "accelerator", parts->accelerator);
        set_str(w, o, "rootfs", parts->rootfs);
        if (parts->pids)
                set(w, o, "pids", json_integer(parts->pids));
        if (parts->profile_digest)
                set(w, o, "profile",
                    json_pack("{s:s,s:s*}", "digest", parts->profile_digest, "environment",
                              parts->profile_environment));
        if (parts->protections)
                set(w, o, "protections", json_deep_copy(parts->protections));
        set(w, o, "boot_timeout_ms", json_integer((json_int_t)parts->boot_timeout_ms));
        set(w, o, "hold_on_failure", json_boolean(parts->hold_on_failure));
        set_str(w, o, "workspace", parts->workspace);
        if (parts->source_commit)
                set(w, o, "source", json_pack("{s:s,s:s}", "commit", parts->source_commit, "tree", parts->source_tree));
        json_t *mask = json_array();
        for (size_t k = 0; k < parts->n_mask; k++)
                append(w, mask, json_string(parts->mask[k]));
        set(w, o, "mask", mask);
}

static int written(const struct writer *w, const struct plan_job *j, json_t *o, json_t **ret)
{
        if (w->failed) {
                json_decref(o);
                return err_set(w->e, ERR_RESOURCES, "the specification of job '%s' could not be written",
                               j->job->id.text);
        }
        *ret = o;
        return 0;
}

int plan_job_texts(const struct plan *p, const struct plan_job *j, struct json_t **ret, struct err *e)
{
        struct writer w = {.e = e};
        json_t *o = json_object(), *env = json_array(), *steps = json_array();
        append_env(&w, env, &p->workflow->env);
        append_env(&w, env, &j->job->env);
        set(&w, o, "env", env);
        set(&w, o, "defaults", defaults_object(&w, &p->workflow->defaults, &j->job->defaults));
        set(&w, o, "outputs", pairs_object(&w, &j->job->outputs));
        set(&w, o, "environment", json_pack("{s:s*}", "url", j->job->environment_url.text));
        append_steps(&w, steps, j->job, p->workflow->file);
        set(&w, o, "steps", steps);
        return written(&w, j, o, ret);
}

/* Its url stands there; an instance gives it the name, or has none. */
static void set_environment(struct writer *w, json_t *o, const struct plan_instance *i)
{
        if (i->environment)
                set_str(w, json_object_get(o, "environment"), "name", i->environment);
        else
                json_object_del(o, "environment");
}

/* The job's steps with the profile's hooks around them. */
static json_t *all_steps(struct writer *w, json_t *steps, const struct plan_parts *parts)
{
        json_t *all = json_array();
        append_hooks(w, all, &parts->before, "before", NULL, parts->profile_file);
        if (json_array_extend(all, steps) < 0)
                w->failed = true;
        append_hooks(w, all, &parts->after, "after", "always()", parts->profile_file);
        return all;
}

int plan_job_spec(const struct plan *p, const struct plan_job *j, const struct plan_instance *i,
                  const struct plan_parts *parts, struct json_t **ret, struct err *e)
{
        struct writer w = {.e = e};
        json_t *o = NULL;
        int r = plan_job_texts(p, j, &o, e);
        if (r < 0)
                return r;
        set(&w, o, "version", json_integer(1));
        set_parts(&w, o, parts);
        set(&w, o, "job", job_object(&w, j, i, parts));
        set(&w, o, "contexts", contexts_object(&w, p, i, parts));
        set_environment(&w, o, i);
        set(&w, o, "steps", all_steps(&w, json_object_get(o, "steps"), parts));
        return written(&w, j, o, ret);
}
