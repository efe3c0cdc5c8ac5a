/* The operator's package mirrors, as the commands see them (docs/mirrors.md): where they are written down. */
#pragma once

#include "cli/mirrors_conf.h"

struct json_t;

/* file: --mirrors, or NULL: STATE/mirrors.conf, then /etc/devdep/mirrors.conf, whichever is there. No file: no mirrors,
 * and *ret_origin is NULL; else its path, malloc'd. ERR_USAGE: a named file that is not there, one that somebody else
 * could have written, or one that says something else. */
int mirrors_open(const char *state, const char *file, struct mirrors *ret, char **ret_origin, struct err *e);
/* Into an egress policy (net/policy.h). */
int mirrors_add(const struct mirrors *m, struct json_t *policy, struct err *e);
