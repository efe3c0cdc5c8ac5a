/* The small files that tie git folders together, as text: `.git` files, `commondir`, `gitdir`. Pure. */
#pragma once

#include <stddef.h>

struct err;

/* A `.git` file: "gitdir: PATH". *ret is the path as written (malloc'd). `what` names the file in errors (ERR_USAGE).
 */
int gitfile_parse(const void *data, size_t len, const char *what, char **ret, struct err *e);
/* `commondir` and `gitdir`: one path, line ends after it ignored. */
int gitpath_parse(const void *data, size_t len, const char *what, char **ret, struct err *e);
