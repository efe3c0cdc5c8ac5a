/* The journal of a job: events as JSON Lines (docs/events.md), appended to one descriptor.
 *
 * An event is built between journal_begin() and journal_end() and written as one whole line. Every foreign string is
 * masked on its way in, except the text of journal_log(), which its maker masked as a stream. Errors while building are
 * kept and reported by journal_end(), so that callers need one check per event.
 *
 * On a regular file the space for what comes next is reserved ahead, so a full host is noticed (ERR_RESOURCES) while
 * there is room for the verdict; a line that was written in part is cut off again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct journal;
struct masks;

#define JOURNAL_MAX_LINE ((size_t)8 << 20)      /* bytes of an event; a longer one is an error */
#define JOURNAL_MAX_LOG ((size_t)64 << 10)      /* bytes of the text of one `log` event */
#define JOURNAL_MAX_BYTES ((uint64_t)512 << 20) /* past it `log` events are left out */
#define JOURNAL_RESERVE ((uint64_t)1 << 20)     /* bytes kept free for the events that end a job */

/* fd stays the caller's. masks is borrowed. */
int journal_new(int fd, struct masks *masks, struct journal **ret, struct err *e);
struct journal *journal_free(struct journal *j); /* always NULL */

void journal_begin(struct journal *j, const char *type);
void journal_word(struct journal *j, const char *key, const char *word); /* a constant of docs/events.md: not masked */
void journal_str(struct journal *j, const char *key, const char *value); /* NULL: the key is left out */
void journal_member(struct journal *j, const char *name, const char *value); /* a foreign name: masked like its value */
void journal_text(struct journal *j, const char *key, const void *value, size_t len);
void journal_i64(struct journal *j, const char *key, int64_t value);
void journal_bool(struct journal *j, const char *key, bool value);
void journal_open(struct journal *j, const char *key); /* an object; nests up to JOURNAL_MAX_DEPTH */
void journal_close(struct journal *j);
#define JOURNAL_MAX_DEPTH 8
int journal_end(struct journal *j, struct err *e);
/* The last event may use what was reserved. */
void journal_use_reserve(struct journal *j);

/* A `log` event. text: masked, whole lines, at most JOURNAL_MAX_LOG bytes; invalid UTF-8 is replaced here. group may be
 * NULL. Past JOURNAL_MAX_BYTES one note is written and 0 returned. */
int journal_log(struct journal *j, int step, const char *stream, const char *group, const void *text, size_t len,
                struct err *e);
/* One line of our own in the log of a step (`stream` "note"): masked here. */
int journal_note(struct journal *j, int step, struct err *e, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
bool journal_is_full(const struct journal *j); /* past JOURNAL_MAX_BYTES: leave out what may be left out */
