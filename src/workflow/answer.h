/* Expressions in JSON Lines: a line {"expr": TEXT, "contexts": {NAME: VALUE, ...}} is answered by a line
 * {"kind": "String|Number|Boolean|Null|Array|Object", "value": ...} or
 * {"error": {"kind": "lexing|parsing|evaluation|request", "message": ...}}; "request" is a line that is no such object.
 *
 * `contexts` may be missing; other members are ignored. A name that is no context is an error of parsing. The status
 * functions are known where the context `job` has a `status` ("success", "failure" or "cancelled"), which they ask;
 * hashFiles is not known: there is no workspace here. NaN, infinities and -0 are null, null and 0, as toJSON has them.
 * An answer is ASCII. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "workflow/expr.h"

struct err;
struct buf;
struct value;
struct answers;

#define ANSWER_MAX_LINE ((size_t)4 << 20) /* bytes of a line; the caller cuts longer ones off */

int answers_new(struct answers **ret, struct err *e);
struct answers *answers_free(struct answers *a); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct answers, answers_free)
/* Append the answer to one line (without its newline), and a newline. Negative: no memory. */
int answers_line(struct answers *a, const char *line, size_t len, struct buf *ret, struct err *e);
/* The answer to a line that was not read. */
int answers_refuse(const char *why, struct buf *ret, struct err *e);

/* What an expression is evaluated with when all that is known is an object of contexts (borrowed). */
struct expr_env answer_env(struct value *contexts);
