/* The states of a job and what may happen in each: a table and nothing else. job.c changes state in one function, by
 * job_state_next(); a test walks every pair.
 *
 *  BOOT -> SEED -> PREPARE -> STEPS     what each step goes through is in step_state.h
 *                               |
 *                               v
 *  STOP <- HELD <- STEPS        a failed job waits when it was asked to
 *  CONSOLE <- any               the VM or the guest failed: the console's last lines are read
 *  DONE <- STOP                 the VMM is gone */
#pragma once

enum job_state {
        JOB_BOOT,    /* the ready record has not arrived */
        JOB_SEED,    /* the seed is not yet answered */
        JOB_PREPARE, /* folders are made, programs looked up */
        JOB_STEPS,   /* its steps run */
        JOB_HELD,    /* failed, waits for release */
        JOB_CONSOLE, /* the console is read */
        JOB_STOP,    /* the VMM is being ended */
        JOB_DONE,
        JOB_STATE_COUNT,
};

enum job_event {
        JOB_EV_READY,
        JOB_EV_SEEDED,
        JOB_EV_PREPARED,
        JOB_EV_STEPS_DONE, /* no step is left */
        JOB_EV_HOLD,       /* no step is left, and the failed job is to wait */
        JOB_EV_FAIL,       /* a verdict from below: 301 to 304 */
        JOB_EV_END,        /* killed, released, out of time: end the VM now */
        JOB_EV_CONSOLE,    /* the console was read, or cannot be */
        JOB_EV_GONE,       /* the VMM is gone */
        JOB_EVENT_COUNT,
};

#define JOB_STATE_INVALID (-1) /* a bug of ours */
#define JOB_STATE_IGNORED (-2) /* comes too late to matter: nothing happens */

int job_state_next(enum job_state state, enum job_event event);
const char *job_state_name(enum job_state state);
const char *job_event_name(enum job_event event);
