/* Submodules: which ones a commit records, and where their git folders are in our view. */
#pragma once

#include <stddef.h>

struct err;
struct repo;
struct repo_view;

struct gitlink {
        char *path; /* inside its repository */
        char *commit;
};
struct gitlinks {
        struct gitlink *v;
        size_t n;
};
void gitlinks_done(struct gitlinks *g);
/* In tree order, at most SOURCE_MAX_SUBMODULES. Paths that no work tree can hold are ERR_USAGE. */
int gitlinks_of(const struct repo *r, const char *commit, struct gitlinks *ret, struct err *e);

/* Strings of a view that we own. */
struct own_view {
        char *top, *host_top, *gitdir, *host_gitdir;
        int back_link; /* a `.git` file: core.worktree must name the work tree */
};
void own_view_done(struct own_view *v);
/* The submodule at `path` of a repository with view `parent`; `top` is the view of the whole. Its git folder is either
 * inside the work tree or below `modules/` of the top's git folders; anything else is SUBMODULE_E_ABSENT with a
 * sentence in *ret_why (malloc'd). */
#define SUBMODULE_E_ABSENT 1
int submodule_find(const struct repo_view *top, const struct repo_view *parent, const char *path, struct own_view *ret,
                   char **ret_why, struct err *e);
