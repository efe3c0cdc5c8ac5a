/* Starting devdep-source: for devdep-cli (later devdep-runner), which is trusted more than the process it starts.
 *
 * The starter finds the repository of a folder by names and links alone (it parses a `.git` file and a `commondir`
 * file, nothing else) and starts devdep-source in a jail that shows the work tree and the git folders read-only and not
 * executable, git's own program, and one private scratch folder. git's configuration is never read by the starter. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "sandbox/child.h"

struct err;

/* Which folders of the host make a repository. All paths are absolute and without symbolic links. */
struct source_place {
        char *top;      /* the work tree's top folder; NULL when bare */
        char *gitdir;   /* its git folder: of a linked work tree, REPO/.git/worktrees/NAME */
        char *common;   /* where objects and refs are: gitdir itself, or REPO/.git */
        bool back_link; /* a `.git` file led to gitdir: devdep-source must see it name `top` back */
};
/* From any folder of a work tree, or a bare repository, upwards as git does (not past a mount point). ERR_USAGE: not in
 * a git repository (the message says what to do), a `.git` file that names something that is no git folder or does not
 * name the work tree back. */
int source_place_find(const char *dir, struct source_place *ret, struct err *e);
void source_place_done(struct source_place *p);

struct source_start {
        const struct source_place *place; /* NULL: no repository, the mirror alone */
        const char *mirror;               /* a folder of actions (docs/actions-mirror.md), absolute; NULL: none */
        const void *pins;                 /* the bytes of its file of pins: what they say now holds for this process */
        size_t n_pins;
        const char *program; /* path of devdep-source; NULL: beside the running program, else the libexec folder */
        uid_t uid;           /* as root: ids of the slot; an ordinary user: (uid_t)-1 */
        gid_t gid;
        const char *scratch; /* an existing folder for spooled packs, a private folder is made in it; NULL: memory */
        const int *enter;    /* entries of a control group (sandbox/cgroup.h) */
        unsigned n_enter;
        int log_fd; /* its standard error, for example a memfd; -1: none. Never a terminal: git could read and steer it
                     */
};
#define SOURCE_START_INIT                                                                                              \
        {                                                                                                              \
                .uid = (uid_t)-1, .gid = (gid_t)-1, .log_fd = -1                                                       \
        }

struct source_process {
        struct sandbox_child child; /* its socket: for devdep-job's descriptor 8, or source_new() */
        char *scratch;              /* the private folder, removed by source_process_done() */
};
#define SOURCE_PROCESS_INIT                                                                                            \
        {                                                                                                              \
                .child = SANDBOX_CHILD_INIT                                                                            \
        }
/* Failure to open the repository is not reported here but by the first answer. */
int source_start(const struct source_start *s, struct source_process *ret, struct err *e);
/* sandbox_child_end(), and remove the scratch folder. Safe on SOURCE_PROCESS_INIT. */
void source_process_done(struct source_process *p);
