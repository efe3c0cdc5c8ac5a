/* A folder in which something is made before it appears at its place: beside the place, on the same file system.
 *
 * It is locked (flock(2)) for as long as its maker has it open. What a maker that was killed left behind is removed by
 * the next one that works in the same folder. */
#pragma once

#include "base/cleanup.h"

struct err;

struct stage {
        char *above, *path; /* the folder that it is in; its own path */
        int fd;             /* of the new folder, empty at first */
};
#define STAGE_INIT                                                                                                     \
        {                                                                                                              \
                .fd = -1                                                                                               \
        }

/* above must exist. Safe to pass to stage_done() in any case. */
int stage_make(const char *above, struct stage *ret, struct err *e);
/* It becomes `path`, where nothing, or an empty folder, may be: at once and on disk. ERR_USAGE: something is there. */
int stage_publish(struct stage *s, const char *path, struct err *e);
/* Remove what is left of it. */
void stage_done(struct stage *s);
