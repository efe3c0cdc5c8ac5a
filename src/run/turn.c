/* Concurrency groups: one instance of a group at a time. A call has its group as long as its jobs run. */
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "run/run_priv.h"

static const struct plan_concurrency *group_of(const struct node *n)
{
        return n->pub.instance && n->pub.instance->concurrency.group ? &n->pub.instance->concurrency : NULL;
}

static bool same_group(const struct node *a, const struct node *b)
{
        const struct plan_concurrency *x = group_of(a), *y = group_of(b);
        return a != b && x && y && str_ieq(x->group, y->group);
}

/* An instance arrives at its group: nobody there, it has the group; else it waits, and who waited before it gives way
 * (unless the queue keeps all). */
int turn_arrive(struct node *n, struct err *e)
{
        const struct run *root = n->group->run->root;
        const struct plan_concurrency *own = group_of(n);
        bool taken = false;
        for (size_t i = 0; own && i < root->n_all; i++) {
                struct node *other = root->all[i];
                if (!same_group(n, other) || !other->arrived || other->pub.state == RUN_STATE_DONE)
                        continue;
                taken |= other->holds;
                bool gives_way = other->pub.state == RUN_STATE_READY && !own->queue_max &&
                                 (!other->holds || own->cancel_in_progress);
                if (other->holds && own->cancel_in_progress)
                        node_cancel(other);
                if (!gives_way)
                        continue;
                taken &= !other->holds;
                int k = node_apply(other, RUN_EVENT_DROP, RUN_CANCELLED, "a later job of its concurrency group waits",
                                   e);
                if (k < 0)
                        return k;
        }
        n->arrived = true;
        n->holds = !taken;
        return 0;
}

bool turn_take(struct node *n)
{
        const struct run *root = n->group->run->root;
        if (n->holds || !group_of(n))
                return true;
        for (size_t i = 0; i < root->n_all; i++)
                if (same_group(n, root->all[i]) && root->all[i]->holds)
                        return false;
        n->holds = true;
        return true;
}

/* Calls hold their groups while their jobs wait for others: such a circle ends when one of the waiting gives up, as at
 * GitHub. */
int turn_break_deadlock(struct run *root, bool *ret, struct err *e)
{
        char reason[PLAN_MAX_GROUP + 100];
        *ret = false;
        for (size_t i = 0; i < root->n_all; i++) {
                struct node *n = root->all[i];
                if (n->pub.state != RUN_STATE_READY || n->holds || !group_of(n))
                        continue;
                *ret = true;
                str_copy(reason, sizeof(reason), "a deadlock: what has its concurrency group waits for it: ");
                str_copy(reason + strlen(reason), sizeof(reason) - strlen(reason), group_of(n)->group);
                return node_apply(n, RUN_EVENT_DROP, RUN_CANCELLED, reason, e);
        }
        return 0;
}
