/* What a tool started and left: while images are made this process is the reaper of its descendants, so that a tool's
 * own children come here when the tool is gone. Without that an ordinary user's mmdebstrap, which keeps its processes
 * in a user namespace and not in one of pids, could write into a folder that is being removed. */
#pragma once

#include <stdbool.h>

#define IMAGE_ORPHANS_MS 10000u /* for killed processes to end; only one that waits for a disk needs more than some */

/* Become the reaper of descendants; *ret_before is for image_orphans_restore(). */
void image_orphans_adopt(bool *ret_before);
void image_orphans_restore(bool before);
/* Kill and wait for every child that is left, and for those that come while it waits. This process must have no other
 * children. False when some did not end in time. */
bool image_orphans_end(void);
