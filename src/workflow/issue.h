/* A problem that somebody's output tells: what problem matchers (matcher.h), the built-in readers (reader.h) and JUnit
 * files (junit.h) find, and what becomes an annotation.
 *
 * Text from outside: names and messages are the job's, unmasked and unescaped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;

#define ISSUE_MAX_LINE ((size_t)4 << 10)     /* bytes of a line that are looked at; the rest is not */
#define ISSUE_MAX_MESSAGE ((size_t)16 << 10) /* bytes of a message collected over several lines */
#define ISSUE_MAX_PATH 4096u                 /* bytes of a file name; a longer one is none */

enum issue_level { ISSUE_ERROR, ISSUE_WARNING, ISSUE_NOTICE };

/* Strings are borrowed for the time of a call; NULL when absent, numbers 0. */
struct issue {
        enum issue_level level;
        const char *source; /* the matcher's owner, or the reader's name */
        const char *file;   /* relative to the workspace, without "." and ".." */
        const char *title, *code, *message;
        unsigned line, column, end_line, end_column;
};

typedef int issue_fn(const struct issue *i, void *user, struct err *e);

/* Where a path that a program printed is in the workspace: joined to `folder` when it is relative, "." and ".." taken
 * out as text (no link is looked at), then relative to `workspace`. Both are absolute. malloc'd; NULL when it is
 * outside, the workspace itself, empty, longer than ISSUE_MAX_PATH, or memory is out: an annotation without a file. */
char *issue_path(const char *workspace, const char *folder, const char *path);
/* The same without the workspace: an absolute path. */
char *issue_join(const char *folder, const char *path);

/* The line as matchers and readers see it: without escape sequences (colours, links, sets of characters), at most
 * ISSUE_MAX_LINE bytes, UTF-8 with U+FFFD for bytes that are none and for NUL, without a CR at its end. Replaces what
 * is in *ret; ret->data[ret->len] is NUL. */
int issue_clean(const void *line, size_t len, struct buf *ret, struct err *e);

/* "12" as a number from 1 to INT32_MAX without sign, blank or leading zero; 0 when it is none. */
unsigned issue_number(const char *s, size_t len);
