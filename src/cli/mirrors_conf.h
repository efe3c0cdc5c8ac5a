/* The operator's file of package mirrors (docs/mirrors.md): lines `NAME = SERVER [kind=WORD] [ca=FILE]`; blank lines
 * and lines that begin with '#' say nothing. Pure. */
#pragma once

#include <stddef.h>

#include "net/mirror.h"

struct err;

#define MIRRORS_MAX_CONF 32768u   /* bytes of the file */
#define MIRRORS_MAX_CA_PATH 1024u /* bytes of the path of a file of certificates */

struct mirrors {
        struct mirror v[MIRROR_MAX]; /* in the order of the file */
        size_t n;
        char ca[MIRROR_MAX][MIRRORS_MAX_CA_PATH]; /* of https: absolute; "": this host's own authorities */
};

/* what: the file's name for messages. ERR_USAGE names file, line and column (bytes, from 1). */
int mirrors_conf_parse(const void *data, size_t len, const char *what, struct mirrors *ret, struct err *e);
