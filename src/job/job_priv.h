/* What the files of a job share. */
#pragma once

#include "base/list.h"
#include "job/job.h"
#include "job/session.h"
#include "job/shell.h"
#include "job/step.h"

#define JOB_MAX_QUEUED 8u /* events posted while one is handled */

struct context;
struct egress;
struct job_secrets;
struct map;
struct ops;
struct problems;
struct scope;
struct source;
struct store_client;
struct strv;
struct vm;

#define STEP_MAX_QUEUED 256u /* events of all steps, posted while one is handled */

struct step_turn {
        struct step *step;
        enum step_event event;
};

struct job {
        struct job_config config;
        const struct spec *spec;
        struct journal *journal;
        struct session *session;
        struct ops *ops;
        struct vm *vm;
        struct source *source;
        struct store_client *store;
        struct job_secrets *secrets;
        struct list store_turns; /* store_turn.h */
        struct context *context;
        struct scope *scope; /* of the job's own steps */
        struct problems *problems;
        struct egress *egress;
        struct shell_programs programs;

        enum job_state state;
        enum job_event queue[JOB_MAX_QUEUED];
        unsigned n_queued;
        bool dispatching;

        struct loop_timer *limit;  /* the job's own, then that of a cancelled job, then of a held one */
        struct loop_timer *ending; /* console, stop */
        uint64_t started_ms;
        uint64_t seed_ms; /* when the last seed was sent */
        unsigned n_seeds;
        bool guest_ready, running; /* what the seed waits for: the session, and the processor of a clone */
        bool cancelled, timed_out, killed, failed, held, finished;
        bool vm_gone;       /* it has ended, or had its time to */
        struct err verdict; /* from below: 301 to 304 */
        struct err result;
        unsigned waiting;  /* requests of PREPARE under way */
        struct list steps; /* under way */
        struct list ended; /* over, and nobody has taken what they came to */
        struct list over;  /* freed by the reaper */
        struct list posts; /* post parts that are to run at the end */
        struct loop_timer *reaper;
        struct step_turn turns[STEP_MAX_QUEUED];
        unsigned n_turns;
        bool stepping;
        struct sequence *sequence;   /* the job's own steps */
        size_t next_index;           /* of a step that the specification does not have */
        uint64_t begun;              /* steps so far */
        unsigned nested;             /* of them, steps of actions */
        unsigned background;         /* steps that run beside others */
        bool draining, drained;      /* the job's own steps are over: those beside them are waited for; were */
        struct err late;             /* a failure that counts when all steps are over */
        size_t loaded_bytes;         /* of action files that are held */
        bool node_asked;             /* what version it is */
        unsigned node_major;         /* 0: not known */
        struct map *outputs;         /* of the job: name to text */
        char *environment_url;       /* NULL: none */
        struct list turns_of_source; /* turn.h */
        struct loop_timer *next_turn;
        struct map *actions; /* of other repositories, in the guest: folder to commit; NULL: none yet */
};

/* job.c */
/* One of the job's own steps failed. */
void job_fail_step(struct job *j, const struct err *why);
/* The guest tried what its profile does not allow. That counts to the last moment, when the steps are over as well;
 * what whoever looks into a held guest tries ends the holding alone. */
void job_violate(struct job *j, const struct err *why);
void job_post(struct job *j, enum job_event event);

/* sequence.c */
int steps_init(struct job *j, struct err *e);
void steps_done(struct job *j);
/* Enter JOB_STEPS. */
int steps_begin(struct job *j, struct err *e);
/* Enter STEP_OVER. */
int steps_over(struct step *s, struct err *e);
/* The job is cancelled. */
void steps_cancel(struct job *j);
/* What a process gets that belongs to no step: the environment of a step under way, else the job's. */
int steps_environment(struct job *j, struct strv *ret, struct err *e);
/* What a job that ends otherwise still says about its open steps. */
int steps_abandon(struct job *j, struct err *e);
/* outputs.c: the job's outputs and its environment's url, once no step is left. What cannot be given is noted in the
 * log. */
int outputs_evaluate(struct job *j, struct err *e);
/* prepare.c */
int prepare_start(struct job *j, struct err *e);
