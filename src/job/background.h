/* Steps that run beside others: `background: true`, the steps of a `parallel` block, and the steps that wait for them
 * (`wait`, `wait-all`, `cancel`, and the block itself).
 *
 * Theory of operation. A background step is judged in its turn, like any step; then its list goes on, and it runs when
 * one of BACKGROUND_MAX places is free, first come, first served. What it sets for later steps, its outputs and its
 * result stay with it when it is over, until a step takes them that waits for it, or the end of the job, which waits
 * for all before the post parts. A step of a `parallel` block begins only when there is a place; its block takes it.
 *
 * The failure of a background step is one of the job when it is taken by a step that waits, which fails with it. One
 * that was cancelled by `cancel` is no failure; one that had failed before that is, at the end of the job. */
#pragma once

#include <stdbool.h>

#include "job/step_state.h"

struct err;
struct job;
struct step;

#define BACKGROUND_MAX 10u      /* that run at a time in a job */
#define BACKGROUND_MAX_OPEN 64u /* with those that wait for a place */

/* The step is to run, and becomes what `chosen` says, here or later; its list goes on. */
int background_start(struct step *s, enum step_event chosen, struct err *e);
/* A step that was started here is over. */
int background_over(struct step *s, struct err *e);
/* Enter STEP_WAIT: a step that waits. */
int background_wait(struct step *s, struct err *e);
/* All steps of the block have begun. */
int background_all_begun(struct step *block, struct err *e);
/* The job's own steps are over. *ret_done: nothing runs any more and everything was taken; else sequence_next() follows
 * once that is so. */
int background_drain(struct job *j, bool *ret_done, struct err *e);
