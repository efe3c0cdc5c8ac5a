/* The job specification (docs/job-spec.md): one JSON object, strict and bounded.
 *
 * Every string is borrowed from the parsed document and lives as long as the struct spec. Optional strings are NULL
 * when absent. Unknown keys, wrong types and values past a limit are ERR_USAGE and name the field: "steps[3].shell:
 * expected a string". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct json_t;
struct policy;

#define SPEC_VERSION 1
#define SPEC_MAX_SIZE ((size_t)8 << 20)   /* bytes */
#define SPEC_MAX_STEPS 1100u              /* a workflow's 1,000, those in `parallel` included, and 100 hooks */
#define SPEC_MAX_ENTRIES 10000u           /* of a list or an object of strings */
#define SPEC_MAX_TIMEOUT_MS 2592000000ull /* 30 days: job.timeout_ms, boot_timeout_ms */
#define SPEC_MAX_PATH 4096u               /* bytes of `workspace` */
#define SPEC_MAX_NAME 1024u               /* bytes of a name or an id */
#define SPEC_MAX_PIDS 16384u              /* what a guest takes */
#define SPEC_MAX_CALLS 10u                /* workflows that call each other */

struct spec_pair {
        const char *name; /* NULL: `value` is an expression that gives an object of names and values */
        const char *value;
        unsigned line, column; /* of an `env` entry; 0: unknown */
};

struct spec_pairs {
        struct spec_pair *v;
        size_t n;
        const char *expression; /* one expression that gives them all; then n is 0 */
};

struct spec_ids {
        const char **v;
        size_t n;
};

struct spec_step {
        const char *id, *name, *condition, *run, *uses, *shell, *working_directory, *timeout_minutes,
                *continue_on_error;
        struct spec_pairs with, env;
        bool background;      /* of a `run` or `uses` */
        struct spec_ids wait; /* n 0: it does not */
        bool wait_all;
        const char *cancel;         /* an id */
        struct spec_step *parallel; /* `run` and `uses` steps that run beside each other; NULL: it is none of those */
        size_t n_parallel;
        const char *file; /* of the workflow, for messages */
        unsigned line, column;
};

/* A call of a workflow around the job that names one by one the secrets that it lets through. */
struct spec_call {
        const char *file;              /* of the workflow that calls */
        const struct json_t *contexts; /* that its expressions read: an object; github and vars are the job's */
        struct spec_pairs pass;
};

struct spec {
        const char *run;
        unsigned attempt;
        const char *job_id, *job_name;
        uint64_t timeout_ms;
        bool continue_on_error;
        const char *image_name, *image_digest, *measurement, *verity;
        const char *accelerator, *rootfs;
        unsigned pids; /* processes and threads of the job; 0: the guest's own bound */
        const char *profile_digest, *profile_environment;
        const char *environment, *environment_url; /* NULL: none; the url is evaluated at the job's end */
        struct spec_pairs protections;
        uint64_t boot_timeout_ms;
        bool hold_on_failure;
        const char *workspace; /* absolute, without "." and ".." */
        struct spec_pairs env;
        const char *default_shell, *default_working_directory;
        const struct json_t *contexts; /* an object whose members are objects, `strategy` and `matrix` perhaps null */
        struct spec_pairs outputs;
        const char *source_commit; /* NULL: no source */
        bool source_working;       /* the working tree, not only the commit */
        struct policy *egress;     /* never NULL; sealed where the document says nothing */
        struct spec_call *calls;   /* from the first workflow inwards */
        size_t n_calls;
        const char **secret_names; /* of those that the innermost call lets through the job has these; NULL: all */
        size_t n_secret_names;
        const char **mask;
        size_t n_mask;
        struct spec_step *steps;
        size_t n_steps, n_all_steps; /* all: those in `parallel` included */
        struct json_t *document;     /* owns the strings */
};

int spec_parse(const void *data, size_t len, struct spec **ret, struct err *e);
struct spec *spec_free(struct spec *s); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct spec, spec_free)
