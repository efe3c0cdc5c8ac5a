/* What `run` and `plan` begin with: the repository, the event with its payload and inputs, the workflow files that it
 * selects and, for each of them, its contexts and its plan.
 *
 * Nothing is started but devdep-source, for facts. Problems of files are written to standard error with their places; a
 * file that is refused is ERR_USAGE. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/actions.h"
#include "cli/facts.h"
#include "cli/profile_file.h"
#include "cli/select.h"
#include "cli/vars.h"
#include "vm/image.h"
#include "workflow/event.h"
#include "workflow/plan.h"

struct args;
struct err;
struct library;

struct launch_options {
        const char *dir;        /* any folder of the repository */
        const char *workflow;   /* -W, or NULL: what the profile names, or else the event selects */
        const char *job;        /* --job, or NULL: all */
        const char *event;      /* "push" */
        const char *event_file; /* the payload, or NULL */
        const char *var_file;   /* --var-file, or NULL */
        const char *actions;    /* --actions, or NULL: as configured */
        struct profile_choice profile;
        bool anywhere;           /* with -W, a folder that is no repository will do */
        const struct args *args; /* --input and --var, which may be given more than once */
};

/* One workflow file. */
struct launch_workflow {
        const struct selected *file;
        const char *unselected; /* why the event does not start it (-W named it); NULL: it does */
        struct value *contexts;
        struct plan *plan;
};

struct launch {
        struct launch_options o;
        struct image_store store;
        struct source_place place;
        struct facts facts;
        struct actions actions;
        struct profile_file profile;
        struct value *payload; /* or NULL */
        struct value *inputs;  /* of --input: an object of texts */
        struct vars vars;      /* of --var and --var-file */
        struct event event;
        struct selection selection;
        struct library *library;           /* of the files that workflows call */
        struct launch_workflow *workflows; /* as many as the selection has */
};

/* The options that `run` and `plan` share, from the command line. ERR_USAGE: they contradict each other. */
int launch_options(const struct args *a, struct launch_options *ret, struct err *e);

/* In this order; launch_done() is due after launch_init(), whatever that returned. */
int launch_init(struct launch *l, const struct launch_options *o, struct err *e);
/* Facts, payload, profile, workflow files. */
int launch_find(struct launch *l, struct err *e);
/* Contexts and plans. run: its number as text. */
int launch_plan(struct launch *l, const char *run, struct err *e);
void launch_done(struct launch *l);

/* The repository's top folder: of its work tree, or the git folder of a bare one. */
const char *launch_top(const struct launch *l);
/* github.ref, or "". */
const char *launch_ref(const struct launch *l);
