/* The pins of a mirror of actions: which commit a tag or a branch means (docs/actions-mirror.md). Pure.
 *
 * One pin per line, `OWNER/REPO@REF COMMIT`; blank lines and lines that begin with '#' say nothing. A pin that stands
 * twice, and anything else, is an error that names the line: a file that is half understood decides nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct buf;
struct err;
struct pins;

#define PINS_MAX_SIZE ((size_t)1 << 20) /* bytes of a file */
#define PINS_MAX 10000u                 /* pins of a file */

struct pin {
        char *repository; /* "owner/repo", lower case */
        char *ref;
        char *commit; /* full id */
};

/* file: the name for messages. ERR_USAGE: "FILE:LINE: expected ..." */
int pins_parse(const void *data, size_t len, const char *file, struct pins **ret, struct err *e);
struct pins *pins_free(struct pins *p); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct pins, pins_free)

/* The commit, or NULL. repository is in lower case, as uses_parse() gives it. */
const char *pins_get(const struct pins *p, const char *repository, const char *ref);
size_t pins_count(const struct pins *p);
const struct pin *pins_at(const struct pins *p, size_t i); /* in the order of the file */

/* The text of a valid file with one pin set (commit NULL: removed); every other line stays as it is. */
int pins_edit(const void *data, size_t len, const char *repository, const char *ref, const char *commit,
              struct buf *ret, struct err *e);
