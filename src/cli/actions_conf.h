/* The configuration file of the mirror of actions: one line, `mirror = FOLDER`; blank lines and lines that begin with
 * '#' say nothing (docs/actions-mirror.md). Pure. */
#pragma once

#include <stddef.h>

struct err;

#define ACTIONS_MAX_CONF 8192u /* bytes of the file */

/* what: the file's name for messages. *ret_mirror is an absolute path, malloc'd. ERR_USAGE names the line. */
int actions_conf_parse(const void *data, size_t len, const char *what, char **ret_mirror, struct err *e);
