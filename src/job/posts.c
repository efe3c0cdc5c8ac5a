#include "job/posts.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "job/builtin.h"
#include "job/job_priv.h"
#include "job/loaded.h"
#include "job/scope.h"
#include "job/step.h"

struct post {
        struct list link;
        struct scope *scope;
        const struct spec_step *spec;
        struct loaded *within;         /* what spec is part of */
        const struct builtin *builtin; /* either */
        void *private;
        struct loaded *loaded; /* or */
        char *action_folder;
        struct map *saved; /* the state that its main part left */
        int of;            /* index of the main part */
        uint64_t begun;    /* when that began: the last one comes first */
        char *name, *action;
};

static void post_free(struct post *p)
{
        if (p->private)
                p->builtin->free(p->private);
        list_remove(&p->link);
        scope_unref(p->scope);
        loaded_unref(p->loaded);
        loaded_unref(p->within);
        map_free(p->saved);
        free(p->action_folder);
        free(p->name);
        free(p->action);
        free(p);
}

static void insert(struct list *posts, struct post *p)
{
        struct list *at = posts;
        while (at->prev != posts && list_entry(at->prev, struct post, link)->begun > p->begun)
                at = at->prev;
        list_append(at, &p->link);
}

int posts_keep(struct step *s, struct err *e)
{
        struct post *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        *p = (struct post){.scope = scope_ref(s->scope), .spec = s->spec, .builtin = s->builtin, .of = s->index};
        list_init(&p->link);
        p->name = str_printf("Post %s", s->name);
        p->action = str_dup(s->action);
        if (!p->name || !p->action) {
                post_free(p);
                return err_nomem(e);
        }
        p->private = TAKE_PTR(s->private);
        p->within = TAKE_PTR(s->within);
        p->loaded = TAKE_PTR(s->loaded);
        p->saved = TAKE_PTR(s->saved);
        p->action_folder = TAKE_PTR(s->action_folder);
        p->begun = s->begun;
        insert(&s->job->posts, p);
        return 0;
}

int posts_take(struct job *j, struct step **ret, struct err *e)
{
        struct post *p = list_entry(j->posts.prev, struct post, link);
        int r = step_new(j, p->scope, p->spec, (int)j->next_index++, ret, e);
        if (r < 0)
                return r;
        struct step *s = *ret;
        s->sequence = j->sequence;
        s->vars = scope_variables(j->scope);
        s->part = STEP_POST;
        s->part_of = p->of;
        s->builtin = p->builtin;
        s->private = TAKE_PTR(p->private);
        s->within = TAKE_PTR(p->within);
        s->loaded = TAKE_PTR(p->loaded);
        map_free(s->saved);
        s->saved = TAKE_PTR(p->saved);
        s->action_folder = TAKE_PTR(p->action_folder);
        s->name = TAKE_PTR(p->name);
        s->action = TAKE_PTR(p->action);
        post_free(p);
        return 0;
}

void posts_done(struct job *j)
{
        list_for_safe (pos, next, &j->posts)
                post_free(list_entry(pos, struct post, link));
}
