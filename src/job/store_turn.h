/* Whose turn it is with devdep-store, which answers one request at a time, while steps may run beside each other. A
 * step takes its turn for as long as it puts, gets and asks. */
#pragma once

#include <stdbool.h>

#include "base/list.h"

struct err;
struct job;

struct store_turn {
        struct list link;                        /* of those that wait or have it, the first has it */
        int (*begin)(void *user, struct err *e); /* it is this one's turn */
        void *user;
};

/* begin is called from within this, or later. The turn is borrowed until its end. */
int store_turn_take(struct job *j, struct store_turn *t, struct err *e);
/* The next one begins from within this. A turn that was not taken is no harm. */
int store_turn_end(struct job *j, struct store_turn *t, struct err *e);
