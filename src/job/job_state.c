#include "job/job_state.h"

#include <assert.h>

/* 0 in the table means invalid, so states are stored plus one. */
#define TO(state) ((state) + 1)
#define IGNORE (JOB_STATE_COUNT + 1)

/* What a state answers to a failure, an order to end, and the end of the VMM. */
#define ALIVE [JOB_EV_FAIL] = TO(JOB_CONSOLE), [JOB_EV_END] = TO(JOB_STOP), [JOB_EV_GONE] = TO(JOB_DONE)

static const unsigned char table[JOB_STATE_COUNT][JOB_EVENT_COUNT] = {
        [JOB_BOOT] = {ALIVE, [JOB_EV_READY] = TO(JOB_SEED)},
        [JOB_SEED] = {ALIVE, [JOB_EV_SEEDED] = TO(JOB_PREPARE)},
        [JOB_PREPARE] = {ALIVE, [JOB_EV_PREPARED] = TO(JOB_STEPS)},
        [JOB_STEPS] = {ALIVE, [JOB_EV_STEPS_DONE] = TO(JOB_STOP), [JOB_EV_HOLD] = TO(JOB_HELD)},
        /* The verdict stands already: a lost guest changes nothing. */
        [JOB_HELD] = {[JOB_EV_FAIL] = TO(JOB_STOP), [JOB_EV_END] = TO(JOB_STOP), [JOB_EV_GONE] = TO(JOB_DONE)},
        [JOB_CONSOLE] = {[JOB_EV_FAIL] = IGNORE,
                         [JOB_EV_END] = TO(JOB_STOP),
                         [JOB_EV_CONSOLE] = TO(JOB_STOP),
                         [JOB_EV_GONE] = TO(JOB_DONE)},
        [JOB_STOP] = {[JOB_EV_FAIL] = IGNORE,
                      [JOB_EV_END] = IGNORE,
                      [JOB_EV_CONSOLE] = IGNORE,
                      [JOB_EV_GONE] = TO(JOB_DONE)},
        [JOB_DONE] = {[JOB_EV_FAIL] = IGNORE, [JOB_EV_END] = IGNORE, [JOB_EV_CONSOLE] = IGNORE, [JOB_EV_GONE] = IGNORE},
};

int job_state_next(enum job_state state, enum job_event event)
{
        assert(state < JOB_STATE_COUNT && event < JOB_EVENT_COUNT);
        int next = table[state][event];
        return next == 0 ? JOB_STATE_INVALID : next == IGNORE ? JOB_STATE_IGNORED : next - 1;
}

const char *job_state_name(enum job_state state)
{
        static const char *const names[JOB_STATE_COUNT] = {
                [JOB_BOOT] = "boot", [JOB_SEED] = "seed",       [JOB_PREPARE] = "prepare", [JOB_STEPS] = "steps",
                [JOB_HELD] = "held", [JOB_CONSOLE] = "console", [JOB_STOP] = "stop",       [JOB_DONE] = "done",
        };
        return names[state];
}

const char *job_event_name(enum job_event event)
{
        static const char *const names[JOB_EVENT_COUNT] = {
                [JOB_EV_READY] = "ready",       [JOB_EV_SEEDED] = "seeded",
                [JOB_EV_PREPARED] = "prepared", [JOB_EV_STEPS_DONE] = "steps done",
                [JOB_EV_HOLD] = "hold",         [JOB_EV_FAIL] = "fail",
                [JOB_EV_END] = "end",           [JOB_EV_CONSOLE] = "console",
                [JOB_EV_GONE] = "gone",
        };
        return names[event];
}
