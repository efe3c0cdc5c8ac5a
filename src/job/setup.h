/* The built-in setup actions: what their four rows share. A tool is not fetched, the image has it; the action looks for
 * it in the guest, compares versions as its real counterpart does, and makes what is chosen the job's.
 *
 *   inputs -> the version file, when one is named -> what there is, by a script in the guest -> the choice -> use()
 *
 * What the guest says is hostile: bounded, and only whole lines of the agreed form count (workflow/tool.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "workflow/tool.h"

struct err;
struct setup;
struct step;

struct setup_tool {
        enum tool tool;
        const char *what, *package; /* "Node.js", and what brings it into an image */
        const char *version_input, *file_input;
        const char *fallback_file; /* that is read when neither is given, and may be missing; NULL: none */
        bool must_ask;             /* a version has to be asked for */
        /* Inputs as in struct inputs_lists, beside those that all tools have. */
        const char *const *known, *const *ignored, *const *refused;
        const char *probe;        /* a script that says what there is (tool_list_parse()) */
        const char *default_kind; /* what is used when nothing is asked for */
        /* The kind that may be chosen, NULL: any; and inputs of the tool's own. May be NULL. */
        int (*inputs)(struct setup *u, const char **ret_kind, struct err *e);
        /* u->chosen is the job's from now on: ends with setup_finish(), perhaps after setup_run(). */
        int (*use)(struct setup *u, struct err *e);
};

typedef int setup_ran_fn(struct setup *u, struct err *e);

struct setup {
        struct step *step;
        const struct setup_tool *tool;
        struct strv wishes; /* as they are asked for; none: nothing is */
        char *file;         /* of the guest, that is read for them */
        const char *kind;   /* that may be chosen */
        struct buf told;    /* what the script under way has written */
        bool too_much;
        setup_ran_fn *ran;
        struct tool_list list;
        const struct tool_found *chosen; /* of the last wish */
};

int setup_start(struct step *s, const struct setup_tool *tool, struct err *e);
void setup_free(void *private);

/* A script of ours for the guest's sh, with what it may call $1, $2, ...; up to a NULL. What it writes is in u->told
 * when it has ended well; else the step fails. */
int setup_run(struct setup *u, const char *script, const char *const *args, setup_ran_fn *ran, struct err *e);
/* The i-th line of u->told as an absolute path of printable bytes; NULL: it is none. malloc'd. */
char *setup_told_path(const struct setup *u, unsigned i);
/* Version and cache outputs, a line for people, and the end of the step. version: what the action's output says. */
int setup_finish(struct setup *u, const char *version_output, const char *version, struct err *e);
/* Environment variable and PATH of later steps. */
int setup_set_env(struct setup *u, const char *name, const char *value, struct err *e);
/* The folder in which a program lies; malloc'd. */
char *setup_folder_of(const char *path);
