/* The states of one step and what may happen in each: a table and nothing else. step.c changes state in one function,
 * by step_state_next(); a test walks every pair.
 *
 *  NEW -> CHOOSE -> WRITE -> RUN -> COLLECT -> OVER      a process: `run`
 *           |   |-> BUILTIN ------------------> OVER      a built-in action (builtin.h)
 *           |   \-> LOAD -> WRITE ...                     an action that node runs (action_step.h)
 *           |           \-> COMPOSITE --------> OVER      a composite action
 *           |-> WAIT -----------------------> OVER      it waits for others (background.h)
 *           |-> QUEUED -> WRITE, BUILTIN, LOAD          it runs beside others, when there is a place
 *           \---------------------------------> OVER      skipped, or refused before anything was done */
#pragma once

enum step_state {
        STEP_NEW,       /* made, has not had its turn */
        STEP_CHOOSE,    /* it is named, and its condition decides */
        STEP_WRITE,     /* its files are written */
        STEP_RUN,       /* its process runs */
        STEP_COLLECT,   /* its files are read */
        STEP_BUILTIN,   /* a built-in action runs */
        STEP_LOAD,      /* its action is fetched and read */
        STEP_COMPOSITE, /* the steps of its action run */
        STEP_WAIT,      /* for steps that run beside it */
        STEP_QUEUED,    /* there is no place for it yet */
        STEP_OVER,      /* its result is known */
        STEP_STATE_COUNT,
};

enum step_event {
        STEP_EV_BEGIN,
        STEP_EV_CHOSE_PROCESS,
        STEP_EV_CHOSE_BUILTIN,
        STEP_EV_CHOSE_ACTION,
        STEP_EV_CHOSE_COMPOSITE,
        STEP_EV_CHOSE_WAIT,
        STEP_EV_QUEUE,
        STEP_EV_WRITTEN,
        STEP_EV_EXITED,
        STEP_EV_OVER, /* collected, refused on the way, or told by the built-in action */
        STEP_EVENT_COUNT,
};

#define STEP_STATE_INVALID (-1) /* a bug of ours */

int step_state_next(enum step_state state, enum step_event event);
const char *step_state_name(enum step_state state);
const char *step_event_name(enum step_event event);
