/* Reading the journal of a job (docs/events.md) from an offset, also while it grows.
 *
 * The writer is less trusted than the reader: lines, depth and sizes are bounded, and what is no event of version 1 is
 * an error. An unfinished last line is left for the next call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct json_t;
struct journal_reader;

#define JOURNAL_MAX_LINE ((size_t)8 << 20)

/* One event; the object is valid during the call. Negative ends the reading. */
typedef int journal_fn(const char *type, const struct json_t *event, void *user, struct err *e);

int journal_open(const char *path, journal_fn *fn, void *user, struct journal_reader **ret, struct err *e);
struct journal_reader *journal_close(struct journal_reader *j); /* always NULL */
CLEANUP_DEFINE(struct journal_reader, journal_close)
/* Read what is there now, at most JOURNAL_MAX_TURN bytes, so that a job that writes without end starves nobody.
 * JOURNAL_E_BROKEN: a line is no event; *e names the file and line (it is filled for this condition). JOURNAL_E_MORE:
 * call again. */
#define JOURNAL_E_BROKEN 1
#define JOURNAL_E_MORE 2
#define JOURNAL_MAX_TURN ((size_t)4 << 20)
int journal_read(struct journal_reader *j, struct err *e);
