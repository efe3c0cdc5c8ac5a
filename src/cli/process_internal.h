/* Between the files of a job's processes; nobody else includes this. */
#pragma once

#include "cli/process.h"

#include "base/err.h"
#include "broker/start.h"
#include "cli/journal.h"
#include "cli/secrets.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "loop/watch.h"
#include "vm/slot_info.h"

struct process {
        struct loop *loop;
        const struct process_callbacks *callbacks;
        void *user;
        struct slot *slot;
        struct slot_info info;
        struct vm_handle vm;
        struct source_process source;
        struct sandbox_child store, service, broker;
        struct secrets_process secrets;
        struct job_order order;           /* empty: no secrets */
        struct loop_child *secrets_child; /* until it was reaped */
        struct loop_timer *secrets_timer; /* its end has a deadline once devdep-job has ended */
        char *socket_path;
        int listen_fd, spec_fd, journal_fd;
        /* Standard error of devdep-job and devdep-source: a memfd. Never our own: a terminal can be read and steered
         * through any descriptor of it. */
        int log_fd;
        int owner_fd[2]; /* devdep-job has the first; it ends when the second is closed, by whatever end of ours */
        char *journal_path;
        struct journal_reader *journal;
        struct loop_watch *watch;
        struct loop_timer *again; /* more of the journal is there than one turn reads */
        struct loop_child *child;
        struct process_segments segments;
        char spec_digest[sizeof("sha256:") + HASH_HEX_SIZE];
        uint64_t started_ms;
        bool held;                /* events wait */
        bool ended;               /* devdep-job was reaped */
        bool killed;              /* by process_kill() */
        json_t *last;             /* the job_finished event */
        struct err broken;        /* why the journal could not be read to its end */
        struct cgroup *job_group; /* until devdep-job is in it */
        bool job_out_of_memory;
        char vm_end[256]; /* what ended the VMM, where that is more than its owner's wish; "" */
        int exit_code, term_signal;
};

/* More of the journal may be there; ends the job once everything was read and its processes are gone. */
int process_read_journal(struct process *p, struct err *e);

/* In this order, after p->slot and p->log_fd are there; each does nothing where the job needs none of it. */
int process_start_source(struct process *p, const struct process_config *c, struct err *e);
int process_start_broker(struct process *p, const struct process_config *c, struct err *e);
/* devdep-store, and where there are caches devdep-service, which has nothing else. */
int process_start_store(struct process *p, const struct process_config *c, struct err *e);
/* devdep-secrets is not tied to our life: what was lent is given back after a kill of ours, too. It keeps the slot
 * meanwhile. */
int process_start_secrets(struct process *p, const struct process_config *c, struct err *e);
int process_start_vm(struct process *p, const struct process_config *c, struct err *e);
/* ERR_RESOURCES: the guest's memory, where secrets will be, can reach swap in clear, and nobody allowed it. */
int process_refuse_swap(const struct process *p, const struct process_config *c, struct err *e);
