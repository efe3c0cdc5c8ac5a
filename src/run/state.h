/* The states of one instance of a job, as a table. */
#pragma once

#include "run/run.h"

enum run_event {
        RUN_EVENT_ADMIT, /* needs are done and `if` holds */
        RUN_EVENT_SKIP,  /* `if` does not hold */
        RUN_EVENT_FAIL,  /* could not be evaluated */
        RUN_EVENT_DROP,  /* cancelled before it started */
        RUN_EVENT_START, /* the caller was told to start it */
        RUN_EVENT_STARTED,
        RUN_EVENT_FINISHED,
        RUN_N_EVENTS
};

#define RUN_E_ILLEGAL 1

/* The state after an event; RUN_E_ILLEGAL when the state does not allow it. */
int run_state_next(enum run_state from, enum run_event event, enum run_state *ret);
