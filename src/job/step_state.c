#include "job/step_state.h"

#include <assert.h>

/* 0 in the table means invalid, so states are stored plus one. */
#define TO(state) ((state) + 1)

static const unsigned char table[STEP_STATE_COUNT][STEP_EVENT_COUNT] = {
        [STEP_NEW] = {[STEP_EV_BEGIN] = TO(STEP_CHOOSE)},
        [STEP_CHOOSE] = {[STEP_EV_CHOSE_PROCESS] = TO(STEP_WRITE),
                         [STEP_EV_CHOSE_BUILTIN] = TO(STEP_BUILTIN),
                         [STEP_EV_CHOSE_ACTION] = TO(STEP_LOAD),
                         [STEP_EV_CHOSE_WAIT] = TO(STEP_WAIT),
                         [STEP_EV_QUEUE] = TO(STEP_QUEUED),
                         [STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_WRITE] = {[STEP_EV_WRITTEN] = TO(STEP_RUN), [STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_RUN] = {[STEP_EV_EXITED] = TO(STEP_COLLECT), [STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_COLLECT] = {[STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_BUILTIN] = {[STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_LOAD] = {[STEP_EV_CHOSE_PROCESS] = TO(STEP_WRITE),
                       [STEP_EV_CHOSE_COMPOSITE] = TO(STEP_COMPOSITE),
                       [STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_COMPOSITE] = {[STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_WAIT] = {[STEP_EV_OVER] = TO(STEP_OVER)},
        [STEP_QUEUED] = {[STEP_EV_CHOSE_PROCESS] = TO(STEP_WRITE),
                         [STEP_EV_CHOSE_BUILTIN] = TO(STEP_BUILTIN),
                         [STEP_EV_CHOSE_ACTION] = TO(STEP_LOAD),
                         [STEP_EV_OVER] = TO(STEP_OVER)},
};

int step_state_next(enum step_state state, enum step_event event)
{
        assert(state < STEP_STATE_COUNT && event < STEP_EVENT_COUNT);
        return table[state][event] - 1;
}

const char *step_state_name(enum step_state state)
{
        static const char *const names[STEP_STATE_COUNT] = {
                [STEP_NEW] = "new",       [STEP_CHOOSE] = "choose",       [STEP_WRITE] = "write",
                [STEP_RUN] = "run",       [STEP_COLLECT] = "collect",     [STEP_BUILTIN] = "builtin",
                [STEP_LOAD] = "load",     [STEP_COMPOSITE] = "composite", [STEP_WAIT] = "wait",
                [STEP_QUEUED] = "queued", [STEP_OVER] = "over",
        };
        return names[state];
}

const char *step_event_name(enum step_event event)
{
        static const char *const names[STEP_EVENT_COUNT] = {
                [STEP_EV_BEGIN] = "begin",
                [STEP_EV_CHOSE_PROCESS] = "chose process",
                [STEP_EV_CHOSE_BUILTIN] = "chose builtin",
                [STEP_EV_CHOSE_ACTION] = "chose action",
                [STEP_EV_CHOSE_COMPOSITE] = "chose composite",
                [STEP_EV_CHOSE_WAIT] = "chose wait",
                [STEP_EV_QUEUE] = "queue",
                [STEP_EV_WRITTEN] = "written",
                [STEP_EV_EXITED] = "exited",
                [STEP_EV_OVER] = "over",
        };
        return names[event];
}
