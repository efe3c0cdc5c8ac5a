#include "job/loaded.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "codec/diag.h"
#include "job/scope.h"
#include "job/spec.h"
#include "workflow/action.h"

struct loaded {
        unsigned references;
        struct action *action;
        char *folder, *repository, *ref;
        struct scope_action place; /* the three */
        struct spec_step *steps;
        size_t n_steps;
        size_t bytes, *total;
};

struct loaded *loaded_ref(struct loaded *l)
{
        l->references++;
        return l;
}

struct loaded *loaded_unref(struct loaded *l)
{
        if (!l || --l->references)
                return NULL;
        *l->total -= l->bytes;
        for (size_t i = 0; i < l->n_steps; i++) {
                free(l->steps[i].with.v);
                free(l->steps[i].env.v);
        }
        free(l->steps);
        free(l->folder);
        free(l->repository);
        free(l->ref);
        action_free(l->action);
        free(l);
        return NULL;
}

const struct action *loaded_action(const struct loaded *l)
{
        return l->action;
}

const struct scope_action *loaded_place(const struct loaded *l)
{
        return &l->place;
}

const struct spec_step *loaded_steps(const struct loaded *l, size_t *ret_n)
{
        *ret_n = l->n_steps;
        return l->steps;
}

/* ---- making ---- */

static int take_pairs(const struct wf_pairs *from, struct spec_pairs *ret, struct err *e)
{
        if (from->n && from->expression.text)
                return err_set(e, ERR_RUN_FAILED, "%u:%u: an expression for a name", from->expression.pos.line,
                               from->expression.pos.column);
        ret->expression = from->expression.text;
        ret->v = calloc(from->n + 1, sizeof(*ret->v));
        if (!ret->v)
                return err_nomem(e);
        for (; ret->n < from->n; ret->n++) {
                const struct wf_pair *p = &from->v[ret->n];
                ret->v[ret->n] =
                        (struct spec_pair){p->name.text, p->value.text, p->value.pos.line, p->value.pos.column};
        }
        return 0;
}

static int take_step(const struct wf_step *from, const char *file, struct spec_step *ret, struct err *e)
{
        *ret = (struct spec_step){.id = from->id.text,
                                  .name = from->name.text,
                                  .condition = from->condition.text,
                                  .run = from->run.text,
                                  .uses = from->uses.text,
                                  .shell = from->shell.text,
                                  .working_directory = from->working_directory.text,
                                  .continue_on_error = from->continue_on_error.text,
                                  .file = file,
                                  .line = from->pos.line,
                                  .column = from->pos.column};
        int r = take_pairs(&from->with, &ret->with, e);
        return r < 0 ? r : take_pairs(&from->env, &ret->env, e);
}

static int take_steps(struct loaded *l, struct err *e)
{
        const struct action *a = l->action;
        int r = 0;
        l->steps = calloc(a->n_steps + 1, sizeof(*l->steps));
        if (!l->steps)
                return err_nomem(e);
        for (size_t i = 0; r == 0 && i < a->n_steps; i++) {
                l->n_steps++;
                r = take_step(&a->steps[i], a->file, &l->steps[i], e);
                if (r < 0)
                        err_wrap(e, r, "%s", a->file);
        }
        return r;
}

static int parse(struct loaded *l, const char *name, const void *data, size_t len, struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        int r = diag_new(name, &problems, e);
        if (r == 0)
                r = action_parse(name, data, len, problems, &l->action, e);
        if (r == ACTION_E_INVALID) {
                r = diag_to_err(problems, e);
                e->code = ERR_RUN_FAILED;
        }
        return r;
}

static int take_place(struct loaded *l, const struct scope_action *what, struct err *e)
{
        l->folder = str_dup(what->path);
        l->repository = str_dup(what->repository);
        l->ref = str_dup(what->ref);
        l->place = (struct scope_action){l->folder, l->repository, l->ref};
        return l->folder && !what->repository == !l->repository && !what->ref == !l->ref ? 0 : err_nomem(e);
}

int loaded_new(const struct scope_action *what, const char *name, const void *data, size_t len, size_t *total,
               struct loaded **ret, struct err *e)
{
        if (len > LOADED_MAX_BYTES - *total)
                return err_set(e, ERR_RUN_FAILED, "%s: more than %zu MiB of action files at a time", name,
                               LOADED_MAX_BYTES >> 20);
        AUTO(loaded_unrefp) struct loaded *l = calloc(1, sizeof(*l));
        if (!l)
                return err_nomem(e);
        l->references = 1;
        l->total = total;
        l->bytes = len;
        *total += len;
        int r = take_place(l, what, e);
        if (r == 0)
                r = parse(l, name, data, len, e);
        if (r == 0)
                r = take_steps(l, e);
        if (r == 0)
                *ret = TAKE_PTR(l);
        return r;
}
