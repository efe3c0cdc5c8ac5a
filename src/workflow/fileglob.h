/* The patterns that actions name files with: @actions/glob, which stands on minimatch with its options dot, nobrace,
 * noext, nocomment and nonegate. Pure: whoever has the files walks them.
 *
 *   *   any characters but '/'        ?   one        [a-z] [!a-z]   one of a set, or none of it
 *   **  as a whole part of a path: any number of parts, also none   \   the next character as it is
 *
 * A text holds a pattern per line; empty lines and those that begin with '#' are left out. '!' in front takes out what
 * the lines before it named. "~" is the home folder, a relative pattern begins at the working folder, '.' and '..' are
 * refused elsewhere. A pattern that ends in '/' names folders only. All is matched as UTF-8, a byte that is none as
 * itself. Names that begin with a dot are like others.
 *
 * Matching is linear in the path for each star of a pattern: no pattern is slow. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct fileglob;

#define FILEGLOB_MAX_TEXT ((size_t)64 << 10) /* bytes of all patterns */
#define FILEGLOB_MAX_PATTERNS 1000u
#define FILEGLOB_MAX_PATH 4096u /* bytes of one, made absolute */

struct fileglob_options {
        const char *home, *workdir; /* absolute, without '.' and '..' */
        bool descendants;           /* what is named by a folder's name is everything in it, too */
};

/* ERR_USAGE says what is wrong with which pattern. A text without any pattern is one that names nothing. */
int fileglob_new(const char *text, const struct fileglob_options *o, struct fileglob **ret, struct err *e);
struct fileglob *fileglob_free(struct fileglob *g); /* always NULL */
CLEANUP_DEFINE(struct fileglob, fileglob_free)

/* Where the walk begins: the parts of each pattern in front of its first wildcard; none lies below another one. */
size_t fileglob_searches(const struct fileglob *g);
const char *fileglob_search_at(const struct fileglob *g, size_t i);
/* No pattern has a wildcard: what is named are the search paths themselves (and all in them, with `descendants`). */
bool fileglob_is_literal(const struct fileglob *g);
/* The deepest folder above all search paths, or the only one; malloc'd. NULL: no memory, or no pattern. */
char *fileglob_common(const struct fileglob *g);

enum { FILEGLOB_FOLDER = 1, FILEGLOB_FILE = 2 };
/* What is named by this absolute path: bits; 0: nothing. */
unsigned fileglob_match(const struct fileglob *g, const char *path);
/* The same; what it took is added to *steps: a few nanoseconds each, up to millions for one path of many parts. */
unsigned fileglob_match_counted(const struct fileglob *g, const char *path, uint64_t *steps);
/* Can something below this folder be named? */
bool fileglob_may_hold(const struct fileglob *g, const char *path);

/* One pattern against one name without parts, as minimatch alone does it: for names of artifacts. A name that begins
 * with a dot needs a pattern that does. */
bool fileglob_name(const char *pattern, const char *name);
