/* Adding to a mirror of actions: commits of a repository on this host become commits of MIRROR/OWNER/REPO.git, and pins
 * name them. git reads the repository in the jail of devdep-source, as for a run; what arrives is one pack per commit,
 * without its history. */
#pragma once

#include <stddef.h>

struct err;

struct actions_add {
        const char *state;
        const char *folder;     /* the mirror; made when it is not there */
        const char *from;       /* any folder of the repository */
        const char *repository; /* "owner/repo", in lower case */
        const char *const *pins;
        size_t n_pins;
        const char *revision; /* what the pins mean in `from`; NULL: each its own name, without pins HEAD */
};

/* Each pin that was set, or "" when there was none to set, with its commit. */
typedef int actions_added_fn(const char *pin, const char *commit, void *user, struct err *e);
/* Readers see each pin before or after, never without its commit. Also for several at a time. ERR_USAGE: what cannot be
 * added, and why. */
int actions_add(const struct actions_add *x, actions_added_fn *fn, void *user, struct err *e);
/* Take a pin away (ref), or a repository with all its pins (ref NULL). ERR_USAGE: it is not there, or a clone, which
 * somebody else keeps. */
int actions_remove(const char *folder, const char *repository, const char *ref, struct err *e);
