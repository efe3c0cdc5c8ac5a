#include <assert.h>

#include "pool/pool.h"

static const char *const names[] = {
        [ENTRY_PREPARING] = "preparing", [ENTRY_PARKED] = "parked", [ENTRY_CLAIMED] = "claimed",
        [ENTRY_HANDED] = "running",      [ENTRY_ENDING] = "ending", [ENTRY_CLEANING] = "cleaning",
        [ENTRY_NONE] = "none",
};

const char *entry_state_name(enum entry_state s)
{
        return names[s];
}

#define NEVER ENTRY_STATES
static const unsigned char table[ENTRY_STATES][ENTRY_HAPPENINGS] = {
        /* made, failed, taken, sent, broken, stop, gone, buried */
        [ENTRY_PREPARING] = {ENTRY_PARKED, ENTRY_CLEANING, NEVER, NEVER, NEVER, ENTRY_ENDING, NEVER, NEVER},
        [ENTRY_PARKED] = {NEVER, NEVER, ENTRY_CLAIMED, NEVER, NEVER, ENTRY_ENDING, ENTRY_CLEANING, NEVER},
        [ENTRY_CLAIMED] = {NEVER, NEVER, NEVER, ENTRY_HANDED, ENTRY_ENDING, NEVER, ENTRY_ENDING, NEVER},
        [ENTRY_HANDED] = {NEVER, NEVER, NEVER, NEVER, NEVER, ENTRY_HANDED, ENTRY_CLEANING, NEVER},
        [ENTRY_ENDING] = {ENTRY_ENDING, ENTRY_CLEANING, NEVER, NEVER, NEVER, ENTRY_ENDING, ENTRY_CLEANING, NEVER},
        [ENTRY_CLEANING] = {NEVER, NEVER, NEVER, NEVER, NEVER, ENTRY_CLEANING, NEVER, ENTRY_NONE},
        [ENTRY_NONE] = {NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER},
};

enum entry_state entry_state_next(enum entry_state s, enum entry_happens h)
{
        assert(s < ENTRY_STATES && h < ENTRY_HAPPENINGS);
        return (enum entry_state)table[s][h];
}
