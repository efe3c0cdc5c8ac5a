/* STATE: the folder of this user (ARCHITECTURE.md, "Where things are kept"). */
#pragma once

struct err;

/* $DEVDEP_STATE, else /var/lib/devdep for root, else ${XDG_STATE_HOME:-~/.local/state}/devdep; made when missing;
 * malloc'd. */
int state_path(char **ret, struct err *e);
