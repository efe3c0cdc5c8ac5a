/* The operator's mirror of actions, as devdep-source sees it (docs/actions-mirror.md): a folder of repositories,
 * OWNER/REPO.git or a clone OWNER/REPO, and the pins that say which commit a tag or a branch means. Only the commit
 * that a request's ref leads to is ever given out: a full id as it is, anything else by its pin alone, because a tag of
 * a repository can be moved. */
#pragma once

struct buf;
struct err;
struct mirror;
struct repo;

struct mirror_config {
        const char *folder;      /* where the jail shows it */
        const char *host_folder; /* for messages */
        const char *own;         /* a private folder for git folders */
        int pins_fd;             /* a file of pins; -1: none is pinned */
        int peer_fd;
};

int mirror_new(const struct mirror_config *c, struct mirror **ret, struct err *e);
struct mirror *mirror_free(struct mirror *m); /* NULL is fine; always NULL */

/* The repository, which stays the mirror's, and the full id of the commit (malloc'd), which is there. ERR_USAGE says
 * what is missing. */
int mirror_find(struct mirror *m, const char *repository, const char *ref, const struct repo **ret, char **ret_commit,
                struct err *e);
/* The action file of a folder of a commit: *ret_name is "action.yml" or "action.yaml". */
int mirror_manifest(const struct repo *r, const char *commit, const char *path, const char **ret_name, struct buf *ret,
                    struct err *e);
