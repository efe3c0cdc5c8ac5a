/* The output of one step: bytes to lines, workflow commands to their effects, everything else to masked `log` events.
 *
 * Standard output and standard error have their own line; their order at line granularity is kept. Text is collected
 * and written by output_flush(), which the owner calls a moment after output_is_pending() became true, so that a
 * thousand short lines become one event. A line longer than OUTPUT_MAX_LINE is broken, but a secret across the break is
 * masked.
 *
 * Every whole line that is no command is shown to `line` behind its text. While the owner waits for what a command
 * asked for (a problem matcher's file), the output is paused: what comes is held, up to OUTPUT_MAX_HELD, so that the
 * command counts for the very next line. Past that the output goes on, and the command counts from when it is done.
 *
 * Effects that need a job (add-mask, set-output, a refused command) are the owner's, through `command`; annotations,
 * groups and stop-commands are handled here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct err;
struct issue;
struct journal;
struct masks;
struct output;

#define OUTPUT_MAX_LINE ((size_t)32 << 10)    /* bytes of a line of text before it is broken */
#define OUTPUT_MAX_TEXT ((size_t)32 << 10)    /* bytes collected before they are written at once */
#define OUTPUT_MAX_ANNOTATIONS 100u           /* of one step; further ones are text */
#define OUTPUT_MAX_MESSAGE ((size_t)64 << 10) /* bytes of an annotation's message; the rest is cut */

#define OUTPUT_MAX_HELD ((size_t)1 << 20) /* bytes that are held while the output is paused */

enum output_stream { OUTPUT_OUT, OUTPUT_ERR, OUTPUT_STREAMS };

typedef int output_command_fn(const struct command *c, void *user, struct err *e);

/* A line without its newline, at most OUTPUT_MAX_LINE bytes; a longer one is not shown. */
typedef int output_line_fn(enum output_stream stream, const void *line, size_t len, void *user, struct err *e);
/* A command of the guest has made an annotation. */
typedef void output_annotated_fn(const struct issue *i, void *user);

struct output_config {
        struct journal *journal;
        struct masks *masks;
        const char
                *workspace; /* borrowed, absolute: what the files of annotations are made relative to; NULL: nothing */
        int step;
        bool debug; /* show ::debug:: lines */
        output_command_fn *command;
        output_line_fn *line; /* NULL: nobody looks */
        output_annotated_fn *annotated;
        void *user;
};

int output_new(const struct output_config *config, struct output **ret, struct err *e);
struct output *output_free(struct output *o); /* wipes; always NULL */
int output_feed(struct output *o, enum output_stream stream, const void *data, size_t len, struct err *e);
bool output_is_pending(const struct output *o);
int output_flush(struct output *o, struct err *e);
/* Both streams ended: what was no whole line becomes one. */
int output_finish(struct output *o, struct err *e);
/* Between these two calls lines are held. Pausing works from within `command` too. */
void output_pause(struct output *o);
int output_resume(struct output *o, struct err *e);
bool output_is_paused(const struct output *o);
/* An annotation found in the output. Left out when the step has had all of its own. */
int output_issue(struct output *o, const struct issue *i, struct err *e);
/* A line of our own between the lines of the step. */
int output_note(struct output *o, struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An annotation that we make: level is "error", "warning" or "notice". From within `command` it counts as one of the
 * step, and is left out when the step has had all of its own. */
int output_annotate(struct output *o, const char *level, const char *title, const char *message, struct err *e);
