#include "job/turn.h"

#include "base/err.h"
#include "job/job_priv.h"
#include "loop/loop.h"

void turn_init(struct turn *t)
{
        list_init(&t->link);
        t->job = NULL;
}

static struct turn *first(struct job *j)
{
        return list_is_empty(&j->turns_of_source) ? NULL : list_entry(j->turns_of_source.next, struct turn, link);
}

int turn_take(struct turn *t, struct job *j, int (*begin)(void *user, struct err *e), void *user, struct err *e)
{
        t->job = j;
        t->begin = begin;
        t->user = user;
        list_append(&j->turns_of_source, &t->link);
        return first(j) == t && !loop_timer_is_armed(j->next_turn) ? begin(user, e) : 0;
}

void turn_give(struct turn *t)
{
        struct job *j = t->job;
        if (!j)
                return;
        bool had_it = first(j) == t;
        list_remove(&t->link);
        turn_init(t);
        if (had_it && first(j))
                loop_timer_in(j->next_turn, 0);
}

static int on_next(struct loop_timer *timer, void *user, struct err *e)
{
        struct job *j = user;
        struct turn *t = first(j);
        (void)timer;
        return t ? t->begin(t->user, e) : 0;
}

int turns_init(struct job *j, struct err *e)
{
        list_init(&j->turns_of_source);
        return loop_timer_new(j->config.loop, on_next, j, &j->next_turn, e);
}

void turns_done(struct job *j)
{
        if (j->next_turn)
                loop_timer_free(j->next_turn);
}
