#include "job/scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "job/texts.h"
#include "workflow/value.h"

struct scope {
        unsigned references;
        struct context *context;
        struct scope *outer; /* NULL: it is the job's */
        struct variables *variables;
        struct map *env; /* of the calling steps */
        struct value *inputs, *github;
        struct map *steps; /* id to struct value */
        bool failed;
        size_t bytes;  /* of outputs, here */
        size_t *total; /* of all scopes of the job; in the job's own */
        size_t sum;
};

static void free_value(void *v)
{
        value_unref(v);
}

static int make(struct context *context, struct scope **ret, struct err *e)
{
        AUTO(scope_unrefp) struct scope *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->references = 1;
        s->context = context;
        s->total = &s->sum;
        int r = map_new(free_value, &s->steps, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

int scope_new(struct context *context, struct scope **ret, struct err *e)
{
        int r = make(context, ret, e);
        if (r == 0)
                (*ret)->variables = context_variables(context);
        return r;
}

int scope_action_value(const struct scope_action *a, struct value *github, struct err *e)
{
        int r = value_set_str(github, "action_path", a->path, e);
        if (r == 0)
                r = value_set_str(github, "action_repository", a->repository, e);
        return r < 0 ? r : value_set_str(github, "action_ref", a->ref, e);
}

int scope_new_action(struct scope *outer, const struct scope_action *action, struct variables *variables,
                     const struct map *env, struct value *inputs, struct scope **ret, struct err *e)
{
        AUTO(scope_unrefp) struct scope *s = NULL;
        int r = make(outer->context, &s, e);
        if (r < 0)
                return r;
        s->outer = scope_ref(outer);
        s->total = outer->total;
        s->variables = variables;
        s->inputs = value_ref(inputs);
        r = texts_new(&s->env, e);
        if (r == 0)
                r = texts_add(s->env, outer->env, e);
        if (r == 0)
                r = texts_add(s->env, env, e);
        if (r == 0)
                r = value_object(&s->github, e);
        if (r == 0)
                r = scope_action_value(action, s->github, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

struct scope *scope_ref(struct scope *s)
{
        s->references++;
        return s;
}

struct scope *scope_unref(struct scope *s)
{
        if (!s || --s->references)
                return NULL;
        *s->total -= s->bytes;
        scope_unref(s->outer);
        map_free(s->env);
        map_free(s->steps);
        value_unref(s->inputs);
        value_unref(s->github);
        free(s);
        return NULL;
}

struct context *scope_context(const struct scope *s)
{
        return s->context;
}

struct variables *scope_variables(const struct scope *s)
{
        return s->variables;
}

unsigned scope_depth(const struct scope *s)
{
        return s->outer ? scope_depth(s->outer) + 1 : 0;
}

const struct map *scope_env(const struct scope *s)
{
        return s->env;
}

struct value *scope_inputs(const struct scope *s)
{
        return s->inputs;
}

struct value *scope_github(const struct scope *s)
{
        return s->github;
}

int scope_steps(const struct scope *s, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *o = NULL;
        int r = value_object(&o, e);
        for (size_t i = 0; r == 0 && i < map_count(s->steps); i++)
                r = value_set(o, map_key_at(s->steps, i), map_value_at(s->steps, i), e);
        if (r == 0)
                *ret = TAKE_PTR(o);
        return r;
}

/* ---- what its steps came to ---- */

void scope_fail(struct scope *s)
{
        s->failed = true;
        if (!s->outer && context_status(s->context) == CONTEXT_SUCCESS)
                context_set_status(s->context, CONTEXT_FAILURE);
}

enum context_status scope_status(const struct scope *s)
{
        enum context_status job = context_status(s->context);
        if (!s->outer || job == CONTEXT_CANCELLED)
                return job;
        return s->failed ? CONTEXT_FAILURE : CONTEXT_SUCCESS;
}

int scope_keep(struct scope *s, size_t bytes, struct err *e)
{
        if (*s->total + bytes > SCOPE_MAX_OUTPUTS)
                return err_set(e, ERR_RUN_FAILED, "the outputs of all steps of the job are larger than %zu MiB",
                               SCOPE_MAX_OUTPUTS >> 20);
        s->bytes += bytes;
        *s->total += bytes;
        return 0;
}

int scope_step_result(struct scope *s, const char *id, const struct map *outputs, const char *outcome,
                      const char *conclusion, struct err *e)
{
        AUTO(value_unrefp) struct value *o = NULL, *texts = NULL;
        int r = texts_value(outputs, &texts, e);
        if (r == 0)
                r = value_object(&o, e);
        if (r == 0)
                r = value_set(o, "outputs", texts, e);
        if (r == 0)
                r = value_set_str(o, "outcome", outcome, e);
        if (r == 0)
                r = value_set_str(o, "conclusion", conclusion, e);
        if (r == 0)
                r = map_set(s->steps, id, o, e);
        if (r < 0)
                return r;
        (void)TAKE_PTR(o);
        return 0;
}
