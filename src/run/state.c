#include "run/state.h"

#define NO RUN_N_STATES

int run_state_next(enum run_state from, enum run_event event, enum run_state *ret)
{
        /* clang-format off */
        static const enum run_state table[RUN_N_STATES][RUN_N_EVENTS] = {
                /*                       ADMIT            SKIP            FAIL            DROP            START               STARTED            FINISHED */
                [RUN_STATE_WAITING]  = { RUN_STATE_READY, RUN_STATE_DONE, RUN_STATE_DONE, RUN_STATE_DONE, NO,                 NO,                NO },
                [RUN_STATE_READY]    = { NO,              NO,             NO,             RUN_STATE_DONE, RUN_STATE_STARTING, NO,                NO },
                [RUN_STATE_STARTING] = { NO,              NO,             NO,             NO,             NO,                 RUN_STATE_RUNNING, RUN_STATE_DONE },
                [RUN_STATE_RUNNING]  = { NO,              NO,             NO,             NO,             NO,                 NO,                RUN_STATE_DONE },
                [RUN_STATE_DONE]     = { NO,              NO,             NO,             NO,             NO,                 NO,                NO },
        };
        /* clang-format on */
        enum run_state to = table[from][event];
        if (to == NO)
                return RUN_E_ILLEGAL;
        *ret = to;
        return 0;
}
