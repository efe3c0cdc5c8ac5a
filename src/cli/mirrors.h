/* The operator's package mirrors, as the commands see them (docs/mirrors.md): where they are written down. */
#pragma once

#include "cli/mirrors_conf.h"

#define MIRRORS_MAX_CA ((size_t)1 << 20) /* bytes of all files of certificates */

struct json_t;

/* file: --mirrors, or NULL: STATE/mirrors.conf, then /etc/devdep/mirrors.conf, whichever is there. No file: no mirrors,
 * and *ret_origin is NULL; else its path, malloc'd. ERR_USAGE: a named file that is not there, one that somebody else
 * could have written, or one that says something else. */
int mirrors_open(const char *state, const char *file, struct mirrors *ret, char **ret_origin, struct err *e);
/* Into an egress policy (net/policy.h). *ret: its `authorities`, for devdep-broker: what the certificates of servers
 * must come from, a new reference; NULL: no server has one. ERR_USAGE: a file of them that is not there, that somebody
 * else could have written, or that has none. */
int mirrors_add(struct mirrors *m, struct json_t *policy, struct json_t **ret, struct err *e);
