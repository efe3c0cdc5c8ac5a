/* `devdep-cli run`: from options to a finished run. One process, one loop; the jobs are processes of their own
 * (process.h), the order is decided by src/run, the output is made by render.h. */
#pragma once

#include <stdbool.h>

#include "cli/launch.h"
#include "cli/secrets.h"
#include "vm/probe.h"
#include "vm/vm.h"

struct err;
struct json_t;

struct session_options {
        struct launch_options launch;
        const char *image;    /* --image, or NULL: by runs-on */
        const char *color;    /* "auto", "always", "never" */
        const char *progress; /* the same */
        const struct vm_driver *driver;
        enum vm_accel accel;
        enum vm_transport transport;
        struct vm_shape shape;         /* what is 0 is the profile's to say, or else the default */
        const char *vault;             /* how this host signs in to Vault; NULL: STATE/vault.conf, if it is there */
        const char *mirrors;           /* the file of package mirrors; NULL: STATE/mirrors.conf, if it is there */
        struct secret_options secrets; /* what the person who starts it gives */
        unsigned jobs;                 /* at a time; 0: as many as memory and processors allow */
        bool cold;                     /* boot every guest, whatever template there is */
        bool no_pool;                  /* take no parked one */
        bool keep_going, shell_on_failure, json;
        struct json_t *egress;     /* what the command line says of it (cli/egress.h) */
        const char *egress_report; /* FILE, or NULL */
        bool egress_syslog;
};

/* 0 when everything succeeded, else negative with the code of the first failure. */
int session_run(const struct session_options *o, struct err *e);
