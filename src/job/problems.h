/* The problems in a job's output: its problem matchers, the built-in readers and JUnit files become annotations.
 *
 * Matchers are the job's and last until they are removed; how far they are, and the readers, are of each step. A
 * matcher's file and what is read at the end of a step come through the door (`read`), like the files of the step. A
 * problem is told once: not again by the same finder when everything is equal, and not by another one at the same
 * level, file and line. The last PROBLEMS_MAX_SEEN that were told are remembered. */
#pragma once

#include <stddef.h>

#include "job/output.h"

struct command;
struct err;
struct finder;
struct issue;
struct job;
struct problems;
struct step;
struct strv;

#define PROBLEMS_MAX_SEEN 4096u
#define PROBLEMS_MAX_JUNIT 8u             /* files of one step */
#define PROBLEMS_READERS "DEVDEP_READERS" /* of a step's environment: "off", or names of readers */
#define PROBLEMS_JUNIT "DEVDEP_JUNIT"     /* files of a step, each on its own line or behind a comma */

/* j is borrowed and outlives it. */
int problems_new(struct job *j, struct problems **ret, struct err *e);
struct problems *problems_free(struct problems *p); /* always NULL */

/* What looks at the output of one step; both are borrowed and outlive it. */
int finder_new(struct problems *all, struct step *s, struct finder **ret, struct err *e);
struct finder *finder_free(struct finder *f); /* NULL is fine; always NULL */
/* The step's process starts in `folder` (absolute) with this environment. */
int finder_begin(struct finder *f, const char *folder, const struct strv *env, struct err *e);
/* A line of the step that begins after this; hooks of struct output_config. */
int finder_line(struct finder *f, enum output_stream stream, const void *line, size_t len, struct err *e);
void finder_annotated(struct finder *f, const struct issue *i);
/* add-matcher, remove-matcher. The output is paused while a file is read. */
int finder_command(struct finder *f, const struct command *c, struct err *e);
/* The process has ended and its files were read. Calls done once nothing more is found, perhaps at once. While a
 * matcher's file is being read, finder_wait() does the same for that. */
typedef int problems_done_fn(struct step *s, struct err *e);
int finder_wait(struct finder *f, problems_done_fn *done, struct err *e);
int finder_end(struct finder *f, problems_done_fn *done, struct err *e);
