#include "cli/gitask.h"

#include "vm/slot.h"

int gitask_open(const char *state, const struct source_place *place, struct gitask *ret, struct err *e)
{
        struct source_start start = SOURCE_START_INIT;
        int r = slot_take(state, &ret->slot, e);

        if (r < 0)
                return r;
        start.place = place;
        start.uid = ret->slot->uid[SLOT_SOURCE];
        start.gid = ret->slot->uid[SLOT_SOURCE];
        return source_asker_new(&start, &ret->asker, e);
}

void gitask_done(struct gitask *g)
{
        g->asker = source_asker_free(g->asker);
        if (g->slot)
                slot_release(g->slot);
        g->slot = NULL;
}
