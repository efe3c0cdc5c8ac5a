/* Asking devdep-source about the user's repository, in its jail, under the ids of a slot that is held meanwhile. */
#pragma once

#include "source/ask.h"

struct err;
struct slot;
struct source_place;

struct gitask {
        struct source_asker *asker;
        struct slot *slot;
};
#define GITASK_INIT                                                                                                    \
        {                                                                                                              \
                0                                                                                                      \
        }
int gitask_open(const char *state, const struct source_place *place, struct gitask *ret, struct err *e);
void gitask_done(struct gitask *g); /* safe on GITASK_INIT and on what gitask_open() left */
