/* The arguments with which store_start() starts devdep-store and devdep-service. */
#pragma once

#include <stddef.h>

#include "blob/limits.h"

struct err;

struct store_args {
        const char *artifacts, *caches, *run, *job; /* NULL: not given */
        const char *scopes[STORE_MAX_SCOPES];
        size_t n_scopes;
};
/* argv up to its NULL, the program's name first; the texts stay its own. ERR_USAGE. */
int store_args_parse(char **argv, struct store_args *ret, struct err *e);
