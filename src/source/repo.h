/* One repository as devdep-source sees it: a git folder of our own in memory that borrows the real one's objects and
 * index, with its refs copied and checked. Opening reads files and runs `git config` on bytes; nothing of the
 * repository decides what runs. */
#pragma once

#include <stdbool.h>

#include "source/config.h"
#include "source/git.h"

struct err;
struct buf;
struct refs;

/* Where a repository is, in two views: paths that can be opened (in the jail) and the host's, which the repository's
 * own files speak of. */
struct repo_view {
        const char *top, *host_top; /* the work tree; NULL when bare */
        const char *gitdir, *host_gitdir;
        const char *common, *host_common;
};

struct repo {
        char *top, *gitdir, *common; /* as in the view; owned */
        char *own;                   /* our git folder */
        struct repo_config config;
        struct refs *refs;
        char *head_id;   /* NULL: unborn */
        char *head_name; /* full ref name, NULL: detached */
        bool shallow;
        struct git git;
        int top_fd; /* the work tree, O_PATH; -1 when bare */
};
#define REPO_INIT                                                                                                      \
        {                                                                                                              \
                .top_fd = -1                                                                                           \
        }

/* own is a folder that is made here. *ret may be passed to repo_done() in any case. ERR_USAGE says why a repository
 * cannot be used. need_back_link: core.worktree must name host_top (a `.git` file led here). */
int repo_open(const struct repo_view *view, const char *own, bool need_back_link, int peer_fd, struct repo *ret,
              struct err *e);
void repo_done(struct repo *r);
/* Full id of the commit that an object id (or a prefix of one) leads to. REPO_E_MISSING: no such object, or not a
 * commit. */
#define REPO_E_MISSING 1
int repo_commit(const struct repo *r, const char *id, char **ret, struct err *e);
/* ERR_USAGE when a shallow clone ends at the commit: it has parents that are not here. */
int repo_need_whole(const struct repo *r, const char *commit, struct err *e);
/* A sentence for errors about missing objects of a partial clone or a shallow one, or "". */
const char *repo_missing_hint(const struct repo *r);
/* A regular file of at most max bytes beneath folder, no links on the way. FS_E_MISSING. */
int repo_read_file(const char *folder, const char *path, size_t max, struct buf *ret, struct err *e);
