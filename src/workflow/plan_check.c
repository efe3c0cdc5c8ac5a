/* What is wrong with jobs and with the workflows that they call, whatever the event is: found by one walk over the
 * files, before anything is evaluated. Each file is walked through once, each call is looked at. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/place.h"
#include "workflow/plan_priv.h"
#include "workflow/workflow_priv.h"

#define MAX_NAMES 64 /* that a hint is chosen from */

/* A called file in this walk. */
struct visit {
        bool open;       /* it is being walked through: a call of it is a cycle */
        unsigned levels; /* of it and what it calls; 0: not walked through */
};

/* The file that is being walked through. */
struct at {
        const struct workflow *w;
        const char *source;
        size_t len;
        unsigned level; /* 1: the first */
        const struct at *caller;
};

struct check {
        struct check_options o;
        struct diag_list *problems;
        struct map *visits;  /* path to struct visit */
        struct map *actions; /* action files that were walked through */
        struct at first;
};

/* One look for accesses to contexts. */
struct look {
        struct check *c;
        const struct at *at;
        const struct wf_job *job;     /* whose expressions are looked at; NULL: outputs of a call */
        const struct yaml_node *node; /* the scalar */
};

int check_new(const struct check_options *o, struct diag_list *problems, struct check **ret, struct err *e)
{
        AUTO(check_freep) struct check *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        c->o = *o;
        c->problems = problems;
        c->first = (struct at){.w = o->w, .source = o->source, .len = o->len, .level = 1};
        int r = map_new(free, &c->visits, e);
        if (r == 0)
                r = map_new(NULL, &c->actions, e);
        if (r == 0)
                *ret = TAKE_PTR(c);
        return r;
}

struct check *check_free(struct check *c)
{
        if (!c)
                return NULL;
        map_free(c->visits);
        map_free(c->actions);
        free(c);
        return NULL;
}

static int tell(struct check *c, const struct wf_str *where, const char *hint, struct err *e, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

static int tell(struct check *c, const struct wf_str *where, const char *hint, struct err *e, const char *fmt, ...)
{
        char message[700];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);
        return diag_add(c->problems, DIAG_ERROR, where->pos.line, where->pos.column, (unsigned)strlen(where->text),
                        hint, e, "%s", message);
}

/* "did you mean 'x'?", or NULL. */
static const char *nearest(const char *name, const char *const *known, size_t n, char *hint, size_t size)
{
        const char *near = str_nearest(name, known, n);
        snprintf(hint, size, "did you mean '%s'?", near ? near : "");
        return near ? hint : NULL;
}

/* ---- what a call gives to the called workflow ---- */

static const struct wf_pair *find_pair(const struct wf_pairs *pairs, const char *name)
{
        for (size_t i = 0; i < pairs->n; i++)
                if (str_ieq(pairs->v[i].name.text, name))
                        return &pairs->v[i];
        return NULL;
}

static const struct wf_input *find_input(const struct wf_event *on, const char *name)
{
        for (size_t i = 0; i < on->n_inputs; i++)
                if (str_ieq(on->inputs[i].name.text, name))
                        return &on->inputs[i];
        return NULL;
}

/* A literal of `with` must have its input's type; an expression is judged when it is evaluated. */
static int check_literal(struct check *c, const struct wf_pair *p, const struct wf_input *in, const char *file,
                         struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL, *fits = NULL;
        struct err why = ERR_INIT;
        if (p->node->kind == YAML_KIND_STRING && expr_template_has_parts(p->node->text, p->node->len))
                return 0;
        int r = plan_scalar(p->node, NULL, &v, e);
        if (r < 0 || plan_input_value(in, v, &fits, &why) == 0)
                return r;
        if (why.code == ERR_RESOURCES)
                return err_nomem(e);
        return tell(c, &p->value, NULL, e, "%s (declared at %s:%u:%u)", why.msg, file, in->name.pos.line,
                    in->name.pos.column);
}

static int unknown_input(struct check *c, const struct wf_pair *p, const struct wf_event *on, const char *file,
                         struct err *e)
{
        const char *known[MAX_NAMES];
        char hint[160];
        size_t n = MIN(on->n_inputs, (size_t)MAX_NAMES);
        for (size_t i = 0; i < n; i++)
                known[i] = on->inputs[i].name.text;
        return tell(c, &p->value, nearest(p->name.text, known, n, hint, sizeof(hint)), e,
                    "Invalid input, %.100s is not defined in the referenced workflow (%s:%u:%u)", p->name.text, file,
                    on->name.pos.line, on->name.pos.column);
}

static int check_inputs(struct check *c, const struct wf_job *j, const struct wf_event *on, const char *file,
                        struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < j->with.n; i++) {
                const struct wf_pair *p = &j->with.v[i];
                const struct wf_input *in = find_input(on, p->name.text);
                r = in ? check_literal(c, p, in, file, e) : unknown_input(c, p, on, file, e);
        }
        for (size_t i = 0; r == 0 && i < on->n_inputs; i++) {
                const struct wf_input *in = &on->inputs[i];
                if (in->required && !find_pair(&j->with, in->name.text))
                        r = tell(c, &j->uses, NULL, e,
                                 "Input %.100s is required, but not provided while calling (declared at %s:%u:%u)",
                                 in->name.text, file, in->name.pos.line, in->name.pos.column);
        }
        return r;
}

static bool has_name(const struct wf_strs *names, const char *name)
{
        for (size_t i = 0; i < names->n; i++)
                if (str_ieq(names->v[i].text, name))
                        return true;
        return false;
}

static int check_secrets(struct check *c, const struct wf_job *j, const struct wf_event *on, const char *file,
                         struct err *e)
{
        int r = 0;
        if (j->secrets_inherit)
                return 0;
        for (size_t i = 0; r == 0 && i < j->secrets.n; i++)
                if (!has_name(&on->secrets, j->secrets.v[i].name.text))
                        r = tell(c, &j->secrets.v[i].value, NULL, e,
                                 "Invalid secret, %.100s is not defined in the referenced workflow (%s:%u:%u)",
                                 j->secrets.v[i].name.text, file, on->name.pos.line, on->name.pos.column);
        for (size_t i = 0; r == 0 && i < on->secrets.n; i++) {
                const struct wf_str *name = &on->secrets.v[i];
                if (on->secrets_required[i] && !find_pair(&j->secrets, name->text))
                        r = tell(c, &j->uses, NULL, e,
                                 "Secret %.100s is required, but not provided while calling (declared at %s:%u:%u)",
                                 name->text, file, name->pos.line, name->pos.column);
        }
        return r;
}

static int check_interface(struct check *c, const struct wf_job *j, const struct library_file *f, struct err *e)
{
        const struct wf_event *on = workflow_event(f->workflow, "workflow_call");
        const struct yaml_pos at = f->workflow->n_events ? f->workflow->events[0].name.pos : (struct yaml_pos){1, 1};
        if (!on)
                return tell(c, &j->uses, "add `workflow_call` to its `on`", e,
                            "workflow_call key is not defined in the referenced workflow (%s:%u:%u)", f->path, at.line,
                            at.column);
        int r = check_inputs(c, j, on, f->path, e);
        return r < 0 ? r : check_secrets(c, j, on, f->path, e);
}

/* ---- what a call gives back ---- */

/* The file that a job calls, when that can be read. */
static const struct library_file *called_file(struct check *c, const struct wf_job *j)
{
        struct library_file *f = NULL;
        const char *reason, *path = j && j->uses.text ? library_path(j->uses.text, &reason) : NULL;
        if (!path || !c->o.library || !map_get(c->visits, path))
                return NULL; /* it was not come by: that was told */
        return library_get(c->o.library, path, j->uses.pos, c->problems, &f, NULL) == 0 ? f : NULL;
}

static bool has_output(const struct wf_pairs *outputs, const char *name)
{
        return outputs->expression.text || find_pair(outputs, name);
}

static int tell_note(const struct look *l, const struct expr_note *note, struct err *e, const char *message)
{
        bool parts = expr_template_has_parts(l->node->text, l->node->len);
        struct yaml_pos pos = parts && l->at->source
                                      ? place_of_expression(l->at->source, l->at->len, l->node, note->offset)
                                      : l->node->pos;
        return diag_add(l->c->problems, DIAG_ERROR, pos.line, pos.column, parts ? 3 : 1, NULL, e, "%s", message);
}

/* X.outputs.NAME, where X is a job that calls a workflow. */
static int check_call_output(const struct look *l, const struct expr_note *note, const struct wf_job *of, struct err *e)
{
        char message[600];
        const struct library_file *f = called_file(l->c, of);
        const struct wf_event *on = f ? workflow_event(f->workflow, "workflow_call") : NULL;
        if (!on || str_eq(note->path[3], "*") || has_output(&on->outputs, note->path[3]))
                return 0;
        snprintf(message, sizeof(message),
                 "%.20s.%.100s.outputs.%.100s does not exist: the workflow that the job calls has no such output "
                 "(%.200s:%u:%u)",
                 note->path[0], note->path[1], note->path[3], f->path, on->name.pos.line, on->name.pos.column);
        return tell_note(l, note, e, message);
}

/* jobs.X.outputs.NAME of a called workflow. */
static int check_jobs_note(const struct look *l, const struct expr_note *note, struct err *e)
{
        char message[600];
        const struct wf_job *of = note->n > 1 ? workflow_job(l->at->w, note->path[1]) : NULL;
        if (note->n < 2 || str_eq(note->path[1], "*"))
                return 0;
        if (!of) {
                snprintf(message, sizeof(message), "jobs.%.100s does not exist: the workflow has no such job",
                         note->path[1]);
                return tell_note(l, note, e, message);
        }
        if (note->n < 4 || !str_ieq(note->path[2], "outputs"))
                return 0;
        if (of->uses.text)
                return check_call_output(l, note, of, e);
        if (str_eq(note->path[3], "*") || has_output(&of->outputs, note->path[3]))
                return 0;
        snprintf(message, sizeof(message), "jobs.%.100s.outputs.%.100s does not exist: the job has no such output",
                 note->path[1], note->path[3]);
        return tell_note(l, note, e, message);
}

static int check_note(void *user, const struct expr_note *note, struct err *e)
{
        const struct look *l = user;
        if (!note->n)
                return 0;
        if (!l->job)
                return str_ieq(note->path[0], "jobs") ? check_jobs_note(l, note, e) : 0;
        const struct wf_job *of = str_ieq(note->path[0], "needs") && note->n > 3 && str_ieq(note->path[2], "outputs")
                                          ? workflow_job(l->at->w, note->path[1])
                                          : NULL;
        return of && has_name(&l->job->needs, note->path[1]) ? check_call_output(l, note, of, e) : 0;
}

static int look_at(struct look *l, const struct yaml_node *n, bool condition, struct err *e)
{
        int r = 0;
        l->node = n;
        if (n->kind == YAML_KIND_STRING)
                return expr_template_notes(n->text, n->len, condition, check_note, l, e);
        for (size_t i = 0; r == 0 && i < n->n; i++)
                r = look_at(l, n->items[i], false, e);
        return r;
}

/* A job or a step: its `if` is a condition, below `steps` and `parallel` there are steps. */
static int look_at_job(struct look *l, const struct yaml_node *map, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && map->kind == YAML_KIND_MAP && i < map->n; i++) {
                const char *key = map->keys[i]->text;
                const struct yaml_node *n = map->items[i];
                bool steps = (str_eq(key, "steps") || str_eq(key, "parallel")) && n->kind == YAML_KIND_SEQ;
                for (size_t k = 0; r == 0 && steps && k < n->n; k++)
                        r = look_at_job(l, n->items[k], e);
                if (r == 0 && !steps)
                        r = look_at(l, n, str_eq(key, "if"), e);
        }
        return r;
}

/* The outputs of calls that the job reads. */
static int check_reads(struct check *c, const struct at *at, const struct wf_job *j, struct err *e)
{
        const struct yaml_node *jobs = yaml_get(workflow_root(at->w), "jobs");
        struct look l = {.c = c, .at = at, .job = j};
        bool calls = false;
        for (size_t i = 0; i < j->needs.n; i++)
                calls |= at->w->jobs[j->needs_index[i]].uses.text != NULL;
        return calls ? look_at_job(&l, jobs->items[j - at->w->jobs], e) : 0;
}

static int check_outputs(struct check *c, const struct at *at, struct err *e)
{
        const struct wf_event *on = workflow_event(at->w, "workflow_call");
        struct look l = {.c = c, .at = at};
        int r = 0;
        for (size_t i = 0; r == 0 && on && i < on->outputs.n; i++)
                r = look_at(&l, on->outputs.v[i].node, false, e);
        return r;
}

/* ---- the walk ---- */

static int check_job_at(struct check *c, const struct at *at, const struct wf_job *j, unsigned *levels, struct err *e);

static int walk_file(struct check *c, const struct at *caller, const struct wf_job *j, const struct library_file *f,
                     struct visit *v, struct err *e)
{
        const struct at at = {
                .w = f->workflow, .source = f->text, .len = f->len, .level = caller->level + 1, .caller = caller};
        unsigned below = 0;
        size_t outer;
        int r = diag_enter(c->problems, f->path, f->text, f->len, j->uses.pos.line, j->uses.pos.column, &outer, e);
        if (r < 0)
                return r;
        v->open = true;
        if (c->o.lint)
                r = workflow_lint(f->workflow, f->text, f->len, c->problems, e);
        if (r == 0)
                r = plan_refuse_workflow(f->workflow, c->problems, e);
        for (size_t i = 0; r == 0 && i < f->workflow->n_jobs; i++)
                r = check_job_at(c, &at, &f->workflow->jobs[i], &below, e);
        if (r == 0)
                r = check_outputs(c, &at, e);
        v->open = false;
        v->levels = 1 + below;
        diag_leave(c->problems, outer);
        return r;
}

/* "a.yml -> b.yml -> a.yml": from the file that is called again to the caller. */
static int tell_cycle(struct check *c, const struct at *at, const struct wf_job *j, const char *path, struct err *e)
{
        const struct at *chain[PLAN_MAX_LEVELS];
        AUTO(buf_done) struct buf b = BUF_INIT_MAX(600);
        size_t n = 0;
        for (; at && n < ARRAY_SIZE(chain); at = at->caller) {
                chain[n++] = at;
                if (str_eq(at->w->file, path))
                        break;
        }
        while (n-- > 0)
                buf_printf(&b, NULL, "%s -> ", chain[n]->w->file); /* past the limit the hint is cut */
        buf_append_str(&b, path, NULL);
        return tell(c, &j->uses, buf_cstr(&b), e, "the workflow calls itself through %s", path);
}

static int find_visit(struct check *c, const char *path, struct visit **ret, struct err *e)
{
        *ret = map_get(c->visits, path);
        if (*ret)
                return 0;
        struct visit *v = calloc(1, sizeof(*v));
        int r = v ? map_set(c->visits, path, v, e) : err_nomem(e);
        if (r < 0)
                free(v);
        else
                *ret = v;
        return r;
}

static int check_call(struct check *c, const struct at *at, const struct wf_job *j, const struct library_file *f,
                      unsigned *levels, struct err *e)
{
        struct visit *v = NULL;
        int r = find_visit(c, f->path, &v, e);
        if (r < 0)
                return r;
        if (v->open)
                return tell_cycle(c, at, j, f->path, e);
        if (map_count(c->visits) > PLAN_MAX_CALLED)
                return tell(c, &j->uses, NULL, e,
                            "the workflow calls more than %d files, directly or not (PLAN_MAX_CALLED)",
                            PLAN_MAX_CALLED);
        if ((r = check_interface(c, j, f, e)) < 0)
                return r;
        if (at->level + MAX(v->levels, 1u) > PLAN_MAX_LEVELS)
                return tell(c, &j->uses, NULL, e,
                            "more than %d levels of workflows that call each other (PLAN_MAX_LEVELS)", PLAN_MAX_LEVELS);
        if (!v->levels)
                r = walk_file(c, at, j, f, v, e);
        *levels = MAX(*levels, v->levels);
        return r;
}

/* What `uses` names cannot be called: GitHub's service could, or nobody. */
static int tell_unusable(struct check *c, const struct wf_job *j, const char *reason, struct err *e)
{
        bool remote = !str_starts(j->uses.text, "./") && !str_starts(j->uses.text, "$/");
        return diag_add(c->problems, remote ? c->o.refusals : DIAG_ERROR, j->uses.pos.line, j->uses.pos.column,
                        (unsigned)strlen(j->uses.text),
                        remote ? "copy the workflow to .github/workflows and call it as ./.github/workflows/NAME.yml"
                               : NULL,
                        e, "the workflow '%.150s' cannot be called: %s", j->uses.text, reason);
}

static int check_uses(struct check *c, const struct at *at, const struct wf_job *j, unsigned *levels, struct err *e)
{
        const char *reason, *path = library_path(j->uses.text, &reason);
        struct library_file *f = NULL;
        if (!path)
                return tell_unusable(c, j, reason, e);
        if (str_eq(path, c->first.w->file))
                return tell_cycle(c, at, j, path, e);
        if (!c->o.library)
                return tell(c, &j->uses, NULL, e, "the workflow '%s' cannot be called: no repository is known", path);
        size_t before = diag_errors(c->problems);
        struct err why = ERR_INIT;
        int r = library_get(c->o.library, path, j->uses.pos, c->problems, &f, &why);
        if (r < 0)
                return why.code == ERR_USAGE ? tell(c, &j->uses, NULL, e, "%s", why.msg) : err_nomem(e);
        if (r == LIBRARY_E_MISSING)
                return tell(c, &j->uses, NULL, e, "the repository has no workflow '%s'", path);
        if (r == LIBRARY_E_FULL)
                return tell(c, &j->uses, NULL, e,
                            "the called workflows are larger than %zu bytes together (LIBRARY_MAX_BYTES)",
                            LIBRARY_MAX_BYTES);
        if (r == LIBRARY_E_INVALID)
                return diag_errors(c->problems) > before
                               ? 0
                               : tell(c, &j->uses, NULL, e, "the called workflow '%s' has errors", path);
        return check_call(c, at, j, f, levels, e);
}

static int check_job_at(struct check *c, const struct at *at, const struct wf_job *j, unsigned *levels, struct err *e)
{
        const struct follow follow = {&c->o, c->actions, c->problems};
        int r = plan_refuse_job(j, &c->o, c->problems, e);
        if (r == 0 && c->o.lint)
                r = follow_steps(&follow, j->steps, j->n_steps, 0, e);
        if (r == 0 && j->uses.text)
                r = check_uses(c, at, j, levels, e);
        return r < 0 ? r : check_reads(c, at, j, e);
}

int check_job(struct check *c, const struct wf_job *j, struct err *e)
{
        unsigned levels = 0;
        return check_job_at(c, &c->first, j, &levels, e);
}

int plan_warn(const struct workflow *w, const struct plan_options *options, struct diag_list *problems, struct err *e)
{
        AUTO(check_freep) struct check *c = NULL;
        const struct check_options o = {.w = w,
                                        .source = options->source,
                                        .len = options->len,
                                        .library = options->library,
                                        .refusals = DIAG_WARNING,
                                        .lint = true};
        int r = check_new(&o, problems, &c, e);
        for (size_t i = 0; r == 0 && i < w->n_jobs; i++)
                r = check_job(c, &w->jobs[i], e);
        return r < 0 ? r : check_outputs(c, &c->first, e);
}
