/* One step: what it is, what it has, and what the files that make it run may do with it.
 *
 * Theory of operation. A step is made when its turn comes (sequence.h), goes through the states of step_state.h, and
 * says everything about itself in events of the journal that carry its index. What happens to it arrives as events
 * (step_post), which are taken one after another; entering a state starts what it is there for. Its result is known
 * with step_finish() or step_refuse(), once; after that nothing but its memory is left, which lives until no call and
 * no operation in the guest can know it any more.
 *
 * Where a function returns an error with ERR_RUN_FAILED it is the step's own mistake: it goes through step_try(), which
 * refuses the step. Everything else ends the job. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "job/step_state.h"

struct action_fetch;
struct builtin;
struct exec_exit;
struct finder;
struct hash_files;
struct job;
struct loaded;
struct loop_timer;
struct map;
struct op;
struct output;
struct scope;
struct sequence;
struct spec_step;
struct variables;
struct view;

enum step_end { STEP_SUCCESS, STEP_FAILURE, STEP_CANCELLED, STEP_SKIPPED };

/* An action may have three parts, each a step of its own. */
enum step_part { STEP_MAIN, STEP_PRE, STEP_POST };

enum step_interrupt { STEP_GOES_ON, STEP_TOLD_INT, STEP_TOLD_TERM, STEP_TOLD_KILL };

#define STEP_INT_MS 7500u   /* between SIGINT and SIGTERM */
#define STEP_TERM_MS 2500u  /* between SIGTERM and SIGKILL */
#define STEP_KILL_MS 30000u /* between SIGKILL and the end of the session */

enum { STEP_FILE_OUTPUT, STEP_FILE_ENV, STEP_FILE_PATH, STEP_FILE_SUMMARY, STEP_FILE_STATE, STEP_FILES };

struct step;

/* The process of a step has ended, or the guest did not start it (x NULL, refusal says why). */
typedef int step_exit_fn(struct step *s, const struct exec_exit *x, const char *refusal, struct err *e);

struct step {
        /* What it is. */
        struct job *job;
        struct list link; /* of the job's steps, of those that ended, or of those that are over */
        const struct spec_step *spec;
        struct loaded *within; /* the action that spec is part of; counted; NULL: the job's specification */
        enum step_state state;
        int index;
        uint64_t begun;            /* how many steps had begun */
        bool is_open;              /* step_started was written, step_finished was not */
        struct step *parent;       /* the step whose action or block it is part of; NULL: none */
        struct sequence *sequence; /* the list that goes on behind it; NULL: its main part does */
        enum step_part part;
        int part_of;  /* index of the main part; of a main part unused */
        char *action; /* github.action */
        char *name;
        bool continue_on_error;

        /* What it sees, says and changes. */
        struct scope *scope;       /* the list of steps that it is one of; counted */
        struct variables *vars;    /* what it changes for later steps: the scope's, or its fork */
        struct view *view;         /* what it sees; from STEP_CHOOSE on */
        struct hash_files *hashes; /* what hashFiles() has given */
        struct output *output;
        struct finder *finder; /* of problems in the output */
        struct map *outputs;
        size_t outputs_bytes; /* of their names and values */

        /* Its process. */
        char *file[STEP_FILES]; /* in the guest */
        char *script, *text;    /* the script's path, and what is in it; text NULL: there is none */
        struct strv argv;
        char *folder;
        struct map *more; /* variables above its `env`; NULL: none */
        unsigned waiting; /* requests under way */
        struct op *exec;
        step_exit_fn *exited;

        /* Its action. */
        struct map *with;              /* inputs, evaluated: name to text; NULL unless it uses an action */
        const struct builtin *builtin; /* NULL: none */
        void *private;                 /* the built-in action's */
        char *action_folder;           /* in the guest, of an action that is not built in */
        struct action_fetch *fetch;    /* that makes it, of an action of another repository */
        struct loaded *loaded;         /* the action there */
        struct map *saved;             /* what it saved for its further parts */
        bool wants_post;               /* at the end of the job, whatever it comes to */

        /* Steps inside of it, and steps beside it (background.h). */
        struct sequence *inner;  /* of a composite action or a block */
        bool stopped;            /* no further one begins */
        bool stalled, all_begun; /* of a block: one more is to begin when there is a place; all have */
        bool background;         /* it runs beside others */
        bool detached;           /* its list went on without it; somebody takes what it comes to */
        bool has_place;          /* among those that run */
        enum step_event chosen;  /* what it becomes when it has */
        struct variables *fork;  /* what it changes until it is taken */

        /* Its end. */
        uint64_t started_ms, limit_ms; /* limit 0: none */
        struct loop_timer *limit, *escalation, *flush;
        enum step_interrupt interrupt;
        bool cancelled, timed_out, failed; /* failed: by a command, a file command, or a part of it */
        int exit_code;                     /* -1: none */
        enum step_end outcome, conclusion; /* conclusion: once it is over */
        struct err reason;                 /* the first one */
};

/* ---- step.c: life and result ---- */

/* scope: a reference is taken. *ret is NULL on failure. */
int step_new(struct job *j, struct scope *scope, const struct spec_step *spec, int index, struct step **ret,
             struct err *e);
struct step *step_free(struct step *s); /* always NULL */
void step_post(struct step *s, enum step_event event);
/* Between these two calls nothing that is posted is taken, so that lists of steps stay as they are. */
bool steps_hold(struct job *j); /* what to give to steps_go_on() */
void steps_go_on(struct job *j, bool held);
/* A step's own mistake (ERR_RUN_FAILED) refuses the step, and the result is 0; anything else is passed on. The step may
 * be over behind it. */
int step_try(struct step *s, int r, struct err *e);
/* The step is refused or has failed before its result was known. */
int step_refuse(struct step *s, const struct err *why, struct err *e);
/* Its result: writes step_finished; STEP_EV_OVER follows. */
int step_finish(struct step *s, enum step_end outcome, struct err *e);
/* The context `steps` gets its result. */
int step_record(struct step *s, struct err *e);
/* What a job that ends otherwise still says about an open step. */
int step_abandon(struct step *s, struct err *e);
/* It will fail, whatever its process says; the first reason counts. */
void step_fail_later(struct step *s, const char *message);
/* An output that holds a masked value is left out with a warning; too many fail the step. */
int step_set_output(struct step *s, const char *name, const char *value, struct err *e);
/* For its post part. */
int step_save_state(struct step *s, const char *name, const char *value, struct err *e);
/* For later steps, as GITHUB_ENV and GITHUB_PATH have it: a name that the job's variables may not have is a mistake. */
int step_set_env(struct step *s, const char *name, const char *value, struct err *e);
int step_add_path(struct step *s, const char *folder, struct err *e);
/* Text of the workflow with its expressions evaluated where the step stands; NULL stays NULL. what: for messages. */
int step_text(struct step *s, const char *text, const char *what, char **ret, struct err *e);
/* What a process of the step gets: NAME=VALUE. */
int step_environment(struct step *s, struct strv *ret, struct err *e);
/* Bytes of its process, or none: then what is there is written soon. */
int step_on_output(struct step *s, bool is_err, const uint8_t *data, size_t len, struct err *e);
/* The process of the step, one at a time, in the step's own control group: its output is the step's, an interruption
 * reaches it. The guest that loses it ends the job. */
int step_exec(struct step *s, const struct strv *argv, const struct strv *env, const char *cwd, step_exit_fn *exited,
              struct err *e);

/* ---- interrupt.c: cancelled, or out of time ---- */

int step_make_timers(struct step *s, struct err *e);
void step_stop_timers(struct step *s);
void step_start_limit(struct step *s);
/* Tell what runs in it, harder and harder; a step that is not open is left alone. */
void step_interrupt(struct step *s);

/* ---- what the states do ---- */

/* choose.c: named, judged, and what it is */
int step_choose(struct step *s, struct err *e);
/* The job is cancelled: does the condition of an open step still hold? */
bool step_may_go_on(struct step *s);
/* run_step.c: what to start, from the specification */
const char *run_step_extension(const struct step *s); /* of its script's name */
int run_step_evaluate(struct step *s, struct err *e);
/* process.c */
int process_name_files(struct step *s, const char *extension, struct err *e);
int process_write(struct step *s, struct err *e);
int process_start(struct step *s, struct err *e);
/* collect.c */
int collect_start(struct step *s, struct err *e);
