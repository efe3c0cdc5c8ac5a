#include "test.h"

#include "job/job_state.h"

/* Which events lead on, state by state; everything not named is invalid or ignored as the second test says. */
static const struct {
        enum job_state from;
        enum job_event event;
        enum job_state to;
} moves[] = {
        {JOB_BOOT, JOB_EV_READY, JOB_SEED},        {JOB_SEED, JOB_EV_SEEDED, JOB_PREPARE},
        {JOB_PREPARE, JOB_EV_PREPARED, JOB_STEPS}, {JOB_STEPS, JOB_EV_STEPS_DONE, JOB_STOP},
        {JOB_STEPS, JOB_EV_HOLD, JOB_HELD},        {JOB_CONSOLE, JOB_EV_CONSOLE, JOB_STOP},
        {JOB_HELD, JOB_EV_FAIL, JOB_STOP},
};

static int expected(enum job_state s, enum job_event ev)
{
        for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
                if (moves[i].from == s && moves[i].event == ev)
                        return (int)moves[i].to;
        if (s == JOB_DONE || (s == JOB_STOP && ev != JOB_EV_GONE) || (s == JOB_CONSOLE && ev == JOB_EV_FAIL))
                return ev == JOB_EV_FAIL || ev == JOB_EV_END || ev == JOB_EV_CONSOLE || ev == JOB_EV_GONE
                               ? JOB_STATE_IGNORED
                               : JOB_STATE_INVALID;
        if (ev == JOB_EV_GONE)
                return JOB_DONE;
        if (ev == JOB_EV_END)
                return JOB_STOP;
        return ev == JOB_EV_FAIL ? JOB_CONSOLE : JOB_STATE_INVALID;
}

static void every_pair_of_state_and_event_has_its_answer(void **state)
{
        (void)state;
        for (enum job_state s = 0; s < JOB_STATE_COUNT; s++)
                for (enum job_event ev = 0; ev < JOB_EVENT_COUNT; ev++)
                        if (job_state_next(s, ev) != expected(s, ev))
                                fail_msg("%s, %s: %d instead of %d", job_state_name(s), job_event_name(ev),
                                         job_state_next(s, ev), expected(s, ev));
}

static void every_state_can_end(void **state)
{
        (void)state;
        for (enum job_state s = 0; s < JOB_DONE; s++)
                assert_int_equal(job_state_next(s, JOB_EV_GONE), JOB_DONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_pair_of_state_and_event_has_its_answer),
                cmocka_unit_test(every_state_can_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
