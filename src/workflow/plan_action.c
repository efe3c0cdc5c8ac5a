/* For `validate`: the actions of the repository that steps use. Their files are looked for as they are now; at run time
 * a step before may have made others, so a file that is not there is no problem. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/uses.h"
#include "workflow/plan_priv.h"

#define MAX_LEVELS 10u /* actions that use each other; the same when they run */
#define MAX_NAMES 64   /* that a hint is chosen from */

static int warn(const struct follow *f, const struct wf_str *at, const char *hint, const char *message, struct err *e)
{
        return diag_add(f->problems, DIAG_WARNING, at->pos.line, at->pos.column, (unsigned)strlen(at->text), hint, e,
                        "%s", message);
}

static int unknown_input(const struct follow *f, const struct wf_str *given, const char *const *known, size_t n,
                         const char *action, struct err *e)
{
        char hint[160], message[400];
        const char *near = str_nearest(given->text, known, n);
        snprintf(hint, sizeof(hint), "did you mean '%s'?", near ? near : "");
        snprintf(message, sizeof(message), "the action has no input '%.100s' (%.200s)", given->text, action);
        return warn(f, given, near ? hint : NULL, message, e);
}

static int unknown_of_file(const struct follow *f, const struct wf_str *given, const struct library_file *file,
                           struct err *e)
{
        const struct action *a = file->action;
        const char *known[MAX_NAMES];
        size_t n = MIN(a->n_inputs, (size_t)MAX_NAMES);
        for (size_t i = 0; i < n; i++)
                known[i] = a->inputs[i].name.text;
        return unknown_input(f, given, known, n, file->path, e);
}

static int check_builtin(const struct follow *f, const struct wf_step *s, const struct plan_builtin *b, struct err *e)
{
        const char *known[PLAN_MAX_BUILTIN_INPUTS];
        size_t n = plan_builtin_inputs(b, known);
        int r = 0;
        for (size_t i = 0; r == 0 && i < s->with.n; i++)
                if (s->with.v[i].name.text && !str_iin(s->with.v[i].name.text, known, n))
                        r = unknown_input(f, &s->with.v[i].name, known, n, b->name, e);
        return r;
}

/* As the runner, which warns too and runs the action all the same. */
static int check_inputs(const struct follow *f, const struct wf_step *s, const struct library_file *file, struct err *e)
{
        const struct action *a = file->action;
        char message[400];
        int r = 0;
        for (size_t i = 0; r == 0 && i < s->with.n; i++)
                if (!action_input(a, s->with.v[i].name.text))
                        r = unknown_of_file(f, &s->with.v[i].name, file, e);
        for (size_t i = 0; r == 0 && i < a->n_inputs; i++) {
                const struct action_input *in = &a->inputs[i];
                bool given = in->default_value.text != NULL || s->with.expression.text != NULL;
                for (size_t k = 0; !given && k < s->with.n; k++)
                        given = str_ieq(s->with.v[k].name.text, in->name.text);
                if (given || !in->required)
                        continue;
                snprintf(message, sizeof(message),
                         "the action's input '%.100s' is required and not given (%.200s:%u:%u)", in->name.text,
                         file->path, in->name.pos.line, in->name.pos.column);
                r = warn(f, &s->uses, NULL, message, e);
        }
        return r;
}

/* The problems of an action's own steps, inside of its file. */
static int walk_action(const struct follow *f, const struct wf_step *s, const struct library_file *file, unsigned level,
                       struct err *e)
{
        size_t outer;
        int r = map_set(f->seen, file->path, f->seen, e);
        if (r == 0)
                r = diag_enter(f->problems, file->path, file->text, file->len, s->uses.pos.line, s->uses.pos.column,
                               &outer, e);
        if (r < 0)
                return r;
        r = follow_action(f, file->action, level, e);
        diag_leave(f->problems, outer);
        return r;
}

/* The folder that "./path" names, without "." and empty parts; NULL: it leads upwards, which is told elsewhere. */
static int clean_folder(const char *path, char **ret, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = buf_append_str(&b, "", e);
        for (const char *p = path; r == 0 && *p;) {
                size_t n = strcspn(p, "/");
                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return 0;
                if (n && !(n == 1 && *p == '.'))
                        r = buf_printf(&b, e, "%s%.*s", b.len ? "/" : "", (int)n, p);
                p += n + (p[n] == '/');
        }
        if (r < 0)
                return r;
        *ret = buf_take_str(&b);
        return *ret ? 0 : err_nomem(e);
}

static int follow_local(const struct follow *f, const struct wf_step *s, const char *path, unsigned level,
                        struct err *e)
{
        AUTO(auto_free) char *folder = NULL;
        struct library_file *file = NULL;
        struct err why = ERR_INIT;
        int r = clean_folder(path, &folder, e);
        if (r < 0 || !folder)
                return r;
        r = library_get_action(f->o->library, folder, s->uses.pos, f->problems, &file, &why);
        if (r < 0)
                return why.code == ERR_USAGE ? warn(f, &s->uses, NULL, why.msg, e) : err_nomem(e);
        if (r)
                return 0; /* it is not there, or its errors were told */
        r = check_inputs(f, s, file, e);
        if (r < 0 || map_get(f->seen, file->path))
                return r;
        if (level == MAX_LEVELS)
                return warn(f, &s->uses, NULL, "more than 10 levels of actions that use each other", e);
        return walk_action(f, s, file, level + 1, e);
}

static int follow_step(const struct follow *f, const struct wf_step *s, unsigned level, struct err *e)
{
        struct err why = ERR_INIT;
        struct uses u;
        if (s->kind == WF_STEP_PARALLEL)
                return follow_steps(f, s->parallel, s->n_parallel, level, e);
        if (s->kind != WF_STEP_USES)
                return 0;
        if (uses_parse(s->uses.text, &u, &why) < 0)
                return why.code == ERR_USAGE ? 0 : err_nomem(e); /* what is no `uses` was told */
        const struct plan_builtin *b = plan_builtin_of(&u);
        int r = b ? check_builtin(f, s, b, e) : u.kind == USES_LOCAL ? follow_local(f, s, u.path, level, e) : 0;
        uses_done(&u);
        return r;
}

int follow_steps(const struct follow *f, const struct wf_step *steps, size_t n, unsigned level, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && f->o->library && i < n; i++)
                r = follow_step(f, &steps[i], level, e);
        return r;
}

int follow_action(const struct follow *f, const struct action *a, unsigned level, struct err *e)
{
        int r = 0;
        if (a->kind == ACTION_DOCKER)
                return warn(f, &a->using, "install the tool in the image or in a step, and call it with `run`",
                            "a Docker action cannot be run yet", e);
        for (size_t i = 0; r == 0 && i < a->n_steps; i++)
                r = plan_refuse_step(&a->steps[i], f->o, f->problems, e);
        return r < 0 ? r : follow_steps(f, a->steps, a->n_steps, level, e);
}

int plan_warn_action(const struct action *a, const struct plan_options *options, struct diag_list *problems,
                     struct err *e)
{
        const struct check_options o = {.library = options->library, .refusals = DIAG_WARNING};
        struct map *seen = NULL;
        int r = map_new(NULL, &seen, e);
        const struct follow f = {&o, seen, problems};
        if (r == 0)
                r = follow_action(&f, a, 1, e);
        map_free(seen);
        return r;
}
