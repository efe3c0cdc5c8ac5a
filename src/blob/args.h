/* The arguments with which store_start() starts devdep-store and devdep-service. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "blob/limits.h"

struct err;

#define STORE_PEER_FD 4

struct store_args {
        const char *artifacts, *caches, *run, *job; /* NULL: not given */
        bool peer; /* descriptor 4 is a socket between devdep-store and devdep-service */
        const char *scopes[STORE_MAX_SCOPES];
        size_t n_scopes;
};
/* argv up to its NULL, the program's name first; the texts stay its own. ERR_USAGE. */
int store_args_parse(char **argv, struct store_args *ret, struct err *e);
