/* The files of a repository that workflows name: workflows (`uses: ./.github/workflows/NAME.yml`) and actions. Each is
 * read and parsed once, and kept until the library is freed. No I/O: the bytes come from a callback. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "codec/yaml.h"

struct action;
struct buf;
struct err;
struct diag_list;
struct library;
struct workflow;

#define LIBRARY_MAX_BYTES ((size_t)2 << 20) /* bytes of all files of a library */

#define LIBRARY_E_MISSING 1
#define LIBRARY_E_INVALID 2
#define LIBRARY_E_FULL 3

struct library_source {
        /* Append the bytes of a file of the repository. The path has no empty, "." or ".." part; no link that leads out
         * of the repository is followed.
         * LIBRARY_E_MISSING: there is none. Negative: it cannot be read, the message names it. */
        int (*read)(void *user, const char *path, struct buf *ret, struct err *e);
        void *user;
};

struct library_file {
        char *path;
        char *text;
        size_t len;
        struct workflow *workflow; /* of a workflow; NULL: it has errors */
        struct action *action;     /* of an action; the same */
        /* The planner's (plan_calls.c). */
        unsigned seen;   /* the walk that came by last */
        bool open;       /* it is on the path of that walk */
        bool checked;    /* its own problems were told */
        unsigned levels; /* of it and what it calls; 0: not known yet */
};

int library_new(const struct library_source *source, struct library **ret, struct err *e);
struct library *library_free(struct library *l); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct library, library_free)

/* The file at a path, which a file calls at a place. Its problems are added to the list as those of a called file,
 * once. 0; LIBRARY_E_MISSING; LIBRARY_E_FULL; LIBRARY_E_INVALID: it has errors (*ret is set); negative. *ret lives as
 * long as the library. */
int library_get(struct library *l, const char *path, struct yaml_pos called_at, struct diag_list *problems,
                struct library_file **ret, struct err *e);

/* The same for the action of a folder: FOLDER/action.yml, else FOLDER/action.yaml; "" is the top folder. */
int library_get_action(struct library *l, const char *folder, struct yaml_pos called_at, struct diag_list *problems,
                       struct library_file **ret, struct err *e);

/* The path that `uses` names, when it is one of a workflow of the same repository: "./.github/workflows/NAME.yml", or
 * with .forgejo, .gitea, and `$` for the point. NULL when it is not, then *reason is a static sentence. */
const char *library_path(const char *uses, const char **reason);
