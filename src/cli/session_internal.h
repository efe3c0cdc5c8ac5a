/* The parts of a session, shared by session*.c. */
#pragma once

#include "base/str.h"
#include "blob/start.h"
#include "blob/store.h"
#include "cli/process.h"
#include "cli/session.h"
#include "run/run.h"
#include "vm/image.h"
#include "vm/probe.h"
#include "vm/template.h"

struct egress_log;
struct egress_sink;
struct json_t;
struct render;
struct render_job;
struct rundir;
struct shell;

/* An image of this session, opened once. */
struct session_image {
        char *ref;
        struct image *image;
        struct probe probe;
        struct probe_door door;
        struct template template; /* its guests are clones of it; memory_fd -1: they are booted */
        bool template_sought;
};

/* One workflow file of the session. */
struct session_workflow {
        struct session *session;
        const struct launch_workflow *launched;
        struct run *run;
        size_t active; /* jobs with a process */
};

/* One job that has a process, or had one. */
struct session_job {
        struct session_workflow *workflow;
        struct run_job *job;
        struct process *process;
        struct render_job *render;
        struct session_image *image;
        const char *origin; /* how its guest came to be; NULL before there was one */
        char *key;          /* unique in the session, safe as a file name */
        char *message;
        char *environment_url;  /* or NULL */
        struct json_t *actions; /* of other repositories: {uses, commit}, at most SESSION_MAX_ACTIONS; NULL: none yet */
        uint64_t ms;
        char spec_digest[80];       /* "" before there was a specification */
        struct json_t *protections; /* of the host's processes; NULL: none was started */
        struct process_segments segments;
        bool held; /* waits for a shell */
        struct egress_log *egress;
        struct json_t *secrets; /* `secrets` of its specification: what calls let through; NULL: nothing to say */
        struct json_t *egress_summary; /* of run.json, once the job has ended */
};

/* Where its artifacts and caches are. */
struct session_shelves {
        char *artifacts, *caches; /* paths */
        int caches_lock;          /* while it is open the shelf of caches stays */
        uid_t uid;                /* the store's */
};

/* Where the profile asks for what the command line does not give; NULL: it does not. */
struct session_asked {
        const struct yaml_pos *image, *vcpus, *memory, *scratch;
};

struct session {
        struct session_options o;
        struct loop *loop;
        struct launch launch;
        struct session_asked asked;
        struct wf_strs before, after; /* the profile's hooks */
        struct vault_account *vault;  /* NULL: none */
        struct secret_store *secrets;
        struct session_shelves shelves;
        struct session_workflow *workflows; /* as many as the launch has */
        struct session_image **images;
        size_t n_images;
        struct session_job **jobs;
        size_t n_jobs;
        unsigned capacity;
        struct rundir *rundir;
        struct render *render;
        struct loop_timer *ticker;
        struct json_t *policy;      /* of every job's egress */
        struct json_t *authorities; /* of its mirrors (cli/mirrors.h), or NULL */
        struct egress_sink *egress;
        struct shell *shell;
        struct session_job *shell_job;
        unsigned interrupts;
        uint64_t started_ms, started_real_ms;
        char run_name[24]; /* the number as text */
};

#define SESSION_MAX_ACTIONS 256u /* of one job, in its record; further ones are in its events alone */

/* session_plan.c: everything before the first guest. */
int session_prepare(struct session *s, struct err *e);
/* The image of an instance, opened and probed. */
int session_image_for(struct session *s, const struct strv *labels, struct session_image **ret, struct err *e);

/* session_profile.c: the launch's profile into the options; then what the host has room for. */
int session_profile(struct session *s, struct err *e);
int session_profile_bound(struct session *s, struct err *e);
void session_profile_done(struct session *s);
/* What it says of every job. */
void session_profile_parts(const struct session *s, struct plan_parts *ret);
struct json_t *session_profile_record(const struct session *s); /* for run.json; null: there is none */

/* session_template.c: find or make the template of an image, once. Without one after all: its guests are booted, with a
 * warning. */
int session_template(struct session *s, struct session_image *x, struct err *e);
/* The one that was found turned out to be none: make another one. */
int session_template_again(struct session *s, struct session_image *x, const struct err *why, struct err *e);

/* session_store.c: the run's artifacts, the repository's caches. */
int session_store_prepare(struct session *s, struct err *e);
void session_store_done(struct session *s);
/* How devdep-store is started for a job; scopes are filled, and belong to the caller as long as *ret. */
int session_store_start(const struct session_job *j, struct strv *scopes, struct store_start *ret, struct err *e);
/* What the run has uploaded. */
int session_store_list(const struct session *s, struct store_list *ret, struct err *e);
int session_store_record(const struct session *s, struct json_t **ret, struct err *e);
int session_store_summary(const struct session *s, struct err *e);
/* The bounds over all runs and repositories. */
int session_store_prune(const struct session *s, struct err *e);

/* session_record.c: run.json. conclusion NULL: it still runs. */
int session_record(const struct session *s, const char *conclusion, enum err_code code, struct err *e);
/* The same for a run that has ended, and its entry in the log of records. */
int session_seal(const struct session *s, const char *conclusion, enum err_code code, struct err *e);

/* session_job.c: one job. */
int session_job_start(struct session_workflow *w, struct run_job *j, struct err *e);
/* A job that ended without a process: skipped, cancelled, failed to evaluate. */
int session_job_report(struct session_workflow *w, struct run_job *j, struct err *e);
struct session_job *session_job_free(struct session_job *j);

/* session.c: decide what is next. */
int session_advance(struct session *s, struct err *e);
/* No job starts any more; those that run are asked to end. */
void session_cancel(struct session *s);
