/* Events as text for people: one line of output per line of a job, with the job's name before it, and the summary at
 * the end. The steps of an action are shown inside of the step that uses it; while steps run beside each other, each
 * line says whose it is.
 *
 * Everything that comes from a job is foreign: it passes codec/terminal, so only colours reach the terminal; names and
 * titles lose even those and stay on their line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"

struct err;
struct json_t;
struct render;
struct render_job;

/* What a silence of RENDER_SILENCE_MS is filled with: nothing, a line that is replaced (a terminal), or lines. */
enum render_progress { RENDER_PROGRESS_NONE, RENDER_PROGRESS_STATUS, RENDER_PROGRESS_LINES };
#define RENDER_SILENCE_MS 1500u

struct render_options {
        FILE *out;
        bool color;  /* write colours, ours and the jobs' */
        bool prefix; /* the job's name before each line */
        bool quiet;  /* collect for the summary only */
        enum render_progress progress;
        size_t width; /* columns of the longest job name */
};

int render_new(const struct render_options *o, struct render **ret, struct err *e);
struct render *render_free(struct render *r); /* its jobs too; always NULL */
CLEANUP_DEFINE(struct render, render_free)

int render_job_new(struct render *r, const char *name, struct render_job **ret, struct err *e);
int render_job_start(struct render_job *j, const char *image, const char *origin, struct err *e);
/* One event of docs/events.md. Unknown types are ignored. */
int render_event(struct render_job *j, const char *type, const struct json_t *event, struct err *e);
/* A sentence of ours about a job ("waits for test", "cannot start: ..."), on its own line. */
int render_note(struct render_job *j, struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* To be called about twice a second: fills silence with what the running jobs are doing. */
int render_tick(struct render *r, struct err *e);
/* A line without a job. */
int render_line(struct render *r, struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The end of a job as the caller knows it (conclusion "success", "failure", "skipped", ...; reason may be NULL). */
int render_job_end(struct render_job *j, const char *conclusion, uint64_t ms, const char *reason, struct err *e);
/* The table of all jobs that ended, then every failed step with its last lines, and annotations of level error. */
int render_summary(struct render *r, struct err *e);

/* Foreign text on one line, without colours; appended. */
struct buf;
int render_plain(const char *text, struct buf *ret, struct err *e);
/* `when` of --progress: "auto" (a status line on a terminal), "always" (lines elsewhere), "never". */
int render_use_progress(const char *when, FILE *out, enum render_progress *ret, struct err *e);
/* Colours for a terminal? `when` is "auto", "always" or "never" (ERR_USAGE otherwise); NULL is "auto", which honours
 * NO_COLOR and TERM=dumb. */
int render_use_color(const char *when, FILE *out, bool *ret, struct err *e);
