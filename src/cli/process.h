/* One job's processes, seen from the command: a slot, the VM in its jail, devdep-source and devdep-job.
 *
 * The command starts them and hands everything that faces the guest to devdep-job; what it learns it reads from the
 * journal. When devdep-job has ended its journal is read to the end, the VM is gone, the slot is given back, and
 * `ended` is called. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/start.h"
#include "secrets/start.h"
#include "source/start.h"
#include "vm/image.h"
#include "vm/vm.h"

struct actions;
struct err;
struct json_t;
struct loop;
struct process;
struct rundir;
struct claim;
struct job_order;
struct template;

/* How long the three segments of a job took: what the host did before devdep-job had the guest, what devdep-job did,
 * and what the host did until nothing was left. */
struct process_segments {
        uint64_t bootstrap_ms, command_ms, teardown_ms;
};

/* The end of a job, from its last event, or made here when there was none. */
struct process_verdict {
        const char *conclusion;       /* "success", "failure", "cancelled", "timed_out" */
        int code;                     /* enum err_code */
        const char *message;          /* "" when there is nothing to say */
        const struct json_t *outputs; /* an object, or NULL */
        const char *environment_url;  /* or NULL */
        uint64_t ms;
        struct process_segments segments;
};

struct process_callbacks {
        /* One event of docs/events.md. */
        int (*event)(struct process *p, const char *type, const struct json_t *event, void *user, struct err *e);
        /* The last call; the process may be freed in it. */
        int (*ended)(struct process *p, const struct process_verdict *v, void *user, struct err *e);
};

/* What holds for each process of a job; NULL: there is none. */
struct process_reports {
        const struct sandbox_report *vmm, *source, *broker, *store, *service, *secrets, *job;
};

/* All borrowed for the call, except what is said otherwise. */
struct process_config {
        struct loop *loop; /* for the life of the process */
        const char *state;
        const struct vm_driver *driver;
        enum vm_accel accel;
        bool vsock; /* the door's transport; else virtio-serial */
        struct vm_shape shape;
        const struct image *image;
        struct template *template;        /* the guest is a clone of it; no memory in it: it is booted */
        struct claim *claim;              /* or this one, which is taken out of it on success; NULL: none was claimed */
        const char *job;                  /* for `vm ls` */
        const struct source_place *place; /* NULL: no source */
        const struct actions *actions;    /* a mirror that the source shows, too; its folder may be NULL: none */
        const struct store_start *store;  /* NULL: no artifacts and caches. Without control group and log */
        struct job_order *secrets;        /* of devdep-secrets; its area is zeroed once that has ended. NULL: none */
        const struct rundir *rundir;
        bool swap_allowed;          /* secrets may reach a swap area that is not encrypted */
        struct json_t *egress;      /* the policy (net/policy.h): sealed without mirrors needs no devdep-broker */
        struct json_t *authorities; /* of the policy's mirrors, for devdep-broker alone; NULL: none */
        const char *key;            /* of the job, safe as a file name */
        /* The template turned out to be none (template_finish()): make another one, or leave it without memory. */
        int (*template_lost)(const struct err *why, void *user, struct err *e);
        /* Makes the specification once the protections are known: a new reference. */
        int (*spec)(const struct process_reports *reports, void *user, struct json_t **ret, struct err *e);
        const struct process_callbacks *callbacks;
        void *user;
};
int process_start(const struct process_config *c, struct process **ret, struct err *e);
/* Ends what still runs, without a verdict; always NULL. */
struct process *process_free(struct process *p);
/* Ask devdep-job: "cancel" (steps that want it still run), "kill" (the guest ends now), "release" (of a held job). One
 * that does not take the request is killed. */
void process_ask(struct process *p, const char *op);
/* End devdep-job itself, which ends the guest; the verdict is `cancelled`. */
void process_kill(struct process *p);
enum vm_origin process_origin(const struct process *p);
const char *process_spec_digest(const struct process *p); /* "sha256:..." */
uint64_t process_bootstrap_ms(const struct process *p);
/* A connection to the control socket (docs/control.md), non-blocking: a devdep-job that takes none (its queue is full)
 * is an error, and holds up no other job of the command. */
int process_connect(const struct process *p, int *ret_fd, struct err *e);
/* Stop and go on with reading the journal: events wait on disk. */
void process_hold_events(struct process *p, bool hold);
