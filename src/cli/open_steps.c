#include "cli/open_steps.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

void open_steps_init(struct open_steps *o)
{
        *o = (struct open_steps){0};
        list_init(&o->all);
}

void open_steps_done(struct open_steps *o)
{
        list_for_safe (pos, next, &o->all)
                open_steps_remove(o, list_entry(pos, struct open_step, link));
}

struct open_step *open_steps_find(struct open_steps *o, long long index)
{
        list_for (pos, &o->all) {
                struct open_step *s = list_entry(pos, struct open_step, link);
                if (s->index == index)
                        return s;
        }
        return NULL;
}

int open_steps_add(struct open_steps *o, long long index, long long parent, bool background, char *name,
                   struct open_step **ret, struct err *e)
{
        struct open_step *s = o->n < OPEN_STEPS_MAX ? calloc(1, sizeof(*s)) : NULL;

        *ret = s;
        if (!s) {
                free(name);
                return o->n < OPEN_STEPS_MAX ? err_nomem(e) : 0;
        }
        s->index = index;
        s->parent = parent < 0 ? NULL : open_steps_find(o, parent);
        s->background = background;
        s->name = name;
        s->since_ms = clock_mono_ms();
        list_append(&o->all, &s->link);
        o->n++;
        o->n_background += background;
        return 0;
}

void open_steps_remove(struct open_steps *o, struct open_step *s)
{
        list_for (pos, &o->all) {
                struct open_step *other = list_entry(pos, struct open_step, link);
                if (other->parent == s)
                        other->parent = NULL;
        }
        list_remove(&s->link);
        o->n--;
        o->n_background -= s->background;
        while (s->n_tail > 0)
                free(s->tail[--s->n_tail]);
        free(s->name);
        free(s->group);
        free(s);
}

struct open_step *open_steps_last(struct open_steps *o)
{
        return list_is_empty(&o->all) ? NULL : list_entry(o->all.prev, struct open_step, link);
}

const struct open_step *open_step_shown(const struct open_step *s)
{
        while (s->parent && !s->background)
                s = s->parent;
        return s;
}

void open_step_remember(struct open_step *s, char *line)
{
        if (s->n_tail == OPEN_STEPS_TAIL) {
                free(s->tail[0]);
                memmove(&s->tail[0], &s->tail[1], (OPEN_STEPS_TAIL - 1) * sizeof(s->tail[0]));
                s->n_tail--;
        }
        s->tail[s->n_tail++] = line;
}
