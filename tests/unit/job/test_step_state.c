#include "test.h"

#include "job/step_state.h"

/* Which events lead on, state by state; everything not named is invalid. */
static const struct {
        enum step_state from;
        enum step_event event;
        enum step_state to;
} moves[] = {
        {STEP_NEW, STEP_EV_BEGIN, STEP_CHOOSE},
        {STEP_CHOOSE, STEP_EV_CHOSE_PROCESS, STEP_WRITE},
        {STEP_CHOOSE, STEP_EV_CHOSE_BUILTIN, STEP_BUILTIN},
        {STEP_CHOOSE, STEP_EV_CHOSE_ACTION, STEP_LOAD},
        {STEP_CHOOSE, STEP_EV_CHOSE_WAIT, STEP_WAIT},
        {STEP_CHOOSE, STEP_EV_QUEUE, STEP_QUEUED},
        {STEP_QUEUED, STEP_EV_CHOSE_PROCESS, STEP_WRITE},
        {STEP_QUEUED, STEP_EV_CHOSE_BUILTIN, STEP_BUILTIN},
        {STEP_QUEUED, STEP_EV_CHOSE_ACTION, STEP_LOAD},
        {STEP_LOAD, STEP_EV_CHOSE_PROCESS, STEP_WRITE},
        {STEP_LOAD, STEP_EV_CHOSE_COMPOSITE, STEP_COMPOSITE},
        {STEP_WRITE, STEP_EV_WRITTEN, STEP_RUN},
        {STEP_RUN, STEP_EV_EXITED, STEP_COLLECT},
};

static int expected(enum step_state s, enum step_event ev)
{
        for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
                if (moves[i].from == s && moves[i].event == ev)
                        return (int)moves[i].to;
        return ev == STEP_EV_OVER && s != STEP_NEW && s != STEP_OVER ? (int)STEP_OVER : STEP_STATE_INVALID;
}

static void every_pair_of_state_and_event_has_its_answer(void **state)
{
        (void)state;
        for (enum step_state s = 0; s < STEP_STATE_COUNT; s++)
                for (enum step_event ev = 0; ev < STEP_EVENT_COUNT; ev++)
                        if (step_state_next(s, ev) != expected(s, ev))
                                fail_msg("%s, %s: %d instead of %d", step_state_name(s), step_event_name(ev),
                                         step_state_next(s, ev), expected(s, ev));
}

static void nothing_happens_to_a_step_that_is_over(void **state)
{
        (void)state;
        for (enum step_event ev = 0; ev < STEP_EVENT_COUNT; ev++)
                assert_int_equal(step_state_next(STEP_OVER, ev), STEP_STATE_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_pair_of_state_and_event_has_its_answer),
                cmocka_unit_test(nothing_happens_to_a_step_that_is_over),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
