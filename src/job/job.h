/* One job in one VM, from the ready record to the end of the VMM.
 *
 * Theory of operation. Everything runs on one loop; an event of the guest, of the VMM, of a timer or of the control
 * socket becomes an event of the state machine (job_state.h), and entering a state starts what it is there for. Steps
 * come one after another (sequence.h), each with states of its own (step.h). The first
 * failure from below (301 to 304) is the verdict, whatever follows; only an EXIT frame with the seed's nonce makes a
 * step successful. The job ends with the event `job_finished` once the VMM is gone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "job/job_state.h"

struct job;
struct journal;
struct loop;
struct masks;
struct session_times;
struct spec;
struct vm_driver;
struct vm_handle;

#define JOB_CANCEL_MS 300000u /* for the steps that run after a cancellation or the job's own time limit */
#define JOB_CONSOLE_MS 3000u  /* to read the console after a failure */
#define JOB_STOP_MS 5000u     /* for the VMM to end */
#define JOB_SEED_FRESH_MS 40u /* between a clone's seed and its answer, else it is seeded again */
#define JOB_MAX_SEEDS 5u
#define JOB_HOLD_MS 86400000u             /* a held job is released after a day */
#define JOB_MAX_CONSOLE ((size_t)8 << 10) /* bytes of the console's end that are kept */
#define JOB_MAX_OUTPUTS ((size_t)1 << 20) /* bytes of all outputs of a job */
#define JOB_MAX_URL 2048u                 /* bytes of its environment's url */

/* Everything is borrowed. */
struct job_config {
        struct loop *loop;
        const struct spec *spec;
        const char *spec_digest; /* "sha256:..." */
        struct journal *journal;
        struct masks *masks;
        const struct vm_driver *driver;
        struct vm_handle *vm;
        const struct sandbox_report *report; /* which protections hold for devdep-job, or NULL */
        int source_fd;                       /* connected to devdep-source, or -1; taken over */
        int store_fd;                        /* connected to devdep-store, or -1; taken over */
        int service_fd;                      /* connected to devdep-service, or -1; taken over */
        int broker_fd;                       /* connected to devdep-broker, or -1; taken over */
        int secrets_fd, values_fd;           /* connected to devdep-secrets, and its memory file, or -1; taken over */
        const struct session_times *times;   /* NULL: the defaults */
};

int job_new(const struct job_config *config, struct job **ret, struct err *e);
struct job *job_free(struct job *j); /* always NULL */
/* After the loop has ended: the verdict. ERR_SUCCESS, or the code and message of the end. */
const struct err *job_verdict(const struct job *j);
bool job_is_done(const struct job *j);

/* Requests of the control socket. */
void job_cancel(struct job *j);
void job_kill(struct job *j);
int job_release(struct job *j, struct err *e); /* ERR_USAGE when it is not held */
int job_rotate(struct job *j, struct err *e);  /* ERR_USAGE when it has no secrets now */
/* A failure of ours, for example of the control socket: ends the job with it. */
void job_fail(struct job *j, const struct err *why);
/* The job cannot begin, through no failure of guest or host: the verdict is `why` as it is. */
void job_refuse(struct job *j, const struct err *why);

/* For terminals and dialled ports: the session while the guest is there, else NULL. */
struct session;
struct context;
struct session *job_session(struct job *j);
struct context *job_context(struct job *j);
