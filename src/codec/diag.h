/* Problems found in a file: where, what, and what to do. Collected, because a person wants all of them at once.
 *
 * Every text is made safe for a terminal when it is rendered (src/codec/terminal.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;
struct buf;
struct diag_list;

#define DIAG_MAX 100 /* problems kept of one file and those that it calls; further ones are counted */

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

struct diag {
        enum diag_severity severity;
        unsigned line, column; /* 1-based, in characters; 0: the whole file */
        unsigned width;        /* characters to underline, at least 1 */
        char *message;         /* one sentence without a full stop */
        char *hint;            /* what to do, or NULL */
        size_t file;           /* 0: the list's own; others in the order in which they were entered */
};

/* file: the name as the user knows it (copied). */
int diag_new(const char *file, struct diag_list **ret, struct err *e);
struct diag_list *diag_free(struct diag_list *l); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct diag_list, diag_free)

/* Problems of another file, which the file at hand calls at a line and column; what is added up to diag_leave() belongs
 * to it. source is borrowed until the list is freed. *ret_outer is for diag_leave(). */
int diag_enter(struct diag_list *l, const char *file, const char *source, size_t len, unsigned line, unsigned column,
               size_t *ret_outer, struct err *e);
void diag_leave(struct diag_list *l, size_t outer);
const char *diag_file(const struct diag_list *l, const struct diag *d); /* its name */
/* Where its file is called: "ci.yml:3:5", or a chain of them; NULL: it is the list's own. */
const char *diag_called_from(const struct diag_list *l, const struct diag *d);

/* Add one; hint may be NULL. 0 or no memory. */
int diag_add(struct diag_list *l, enum diag_severity severity, unsigned line, unsigned column, unsigned width,
             const char *hint, struct err *e, const char *fmt, ...) __attribute__((format(printf, 8, 9)));
size_t diag_count(const struct diag_list *l); /* kept ones, ordered by position once diag_sort() was called */
const struct diag *diag_at(const struct diag_list *l, size_t i);
bool diag_is_full(const struct diag_list *l);  /* a further problem is only counted: its place need not be found */
size_t diag_errors(const struct diag_list *l); /* errors, dropped ones included */
size_t diag_dropped(const struct diag_list *l);
void diag_sort(struct diag_list *l); /* by file, line, column; stable */

/* Append "FILE:LINE:COLUMN: error: MESSAGE", the source line with a caret below it, "hint: ..." and "called from ..."
 * for every problem. `source` is that of the list's own file, or NULL. */
int diag_render(const struct diag_list *l, const char *source, size_t source_len, struct buf *ret, struct err *e);
/* Fill *e (ERR_USAGE) with the first error in one line: "ci.yml:3:5: message (2 more problems)", or
 * "b.yml:7:1: message (called from ci.yml:3:5)". Returns -1, or 0 when there is no error. */
int diag_to_err(const struct diag_list *l, struct err *e);
