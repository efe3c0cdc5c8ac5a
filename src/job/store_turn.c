#include "job/store_turn.h"

#include "job/job_priv.h"

int store_turn_take(struct job *j, struct store_turn *t, struct err *e)
{
        bool first = list_is_empty(&j->store_turns);
        list_append(&j->store_turns, &t->link);
        return first ? t->begin(t->user, e) : 0;
}

int store_turn_end(struct job *j, struct store_turn *t, struct err *e)
{
        if (!t->link.next)
                return 0;
        bool had = j->store_turns.next == &t->link;
        list_remove(&t->link);
        t->link = (struct list){0};
        if (!had || list_is_empty(&j->store_turns))
                return 0;
        struct store_turn *next = list_entry(j->store_turns.next, struct store_turn, link);
        return next->begin(next->user, e);
}
