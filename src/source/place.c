/* Finding the repository of a folder by names and links alone. What is found here decides which folders of the host the
 * jail shows, and a `.git` file, a `commondir` and a link are written by whoever wrote the repository. So a git folder
 * outside the work tree is accepted only when it vouches for the work tree: REPO/.git/worktrees/NAME holds a file
 * `gitdir` that names our `.git`, and its common folder is the REPO/.git that it lies in. A submodule's git folder
 * vouches by core.worktree, which devdep-source checks in the jail (back_link). */
#include "source/start.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "source/gitfile.h"
#include "source/limits.h"
#include "source/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PLACE_E_NONE 1 /* no repository begins in this folder */

static int type_of(const char *folder, const char *name)
{
        AUTO(auto_free) char *path = fs_join(folder, name);
        struct stat st;
        return path && lstat(path, &st) == 0 ? (int)(st.st_mode & S_IFMT) : 0;
}

/* What git itself asks of a git folder, links refused. */
static bool is_git_folder(const char *path)
{
        if (type_of(path, "HEAD") != S_IFREG)
                return false;
        return type_of(path, "commondir") == S_IFREG ||
               (type_of(path, "objects") == S_IFDIR && type_of(path, "refs") == S_IFDIR);
}

static int resolve(const char *base, const char *path, char **ret, struct err *e)
{
        AUTO(auto_free) char *joined = path[0] == '/' ? str_dup(path) : fs_join(base, path);
        if (!joined)
                return err_nomem(e);
        *ret = realpath(joined, NULL);
        if (*ret)
                return 0;
        char shown[300];
        int errnum = errno;
        str_escape(shown, sizeof(shown), joined, strlen(joined));
        return err_errno(e, ERR_USAGE, errnum, "%s", shown);
}

/* The path that a small file holds, resolved from the folder it lies in. FS_E_MISSING. */
static int read_path(const char *folder, const char *name, char **ret, struct err *e)
{
        AUTO(auto_free) char *file = fs_join(folder, name), *text = NULL;
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = file ? fs_read(file, SOURCE_MAX_GITFILE, &b, e) : err_nomem(e);
        if (r != 0)
                return r;
        r = str_eq(name, ".git") ? gitfile_parse(b.data, b.len, file, &text, e)
                                 : gitpath_parse(b.data, b.len, file, &text, e);
        if (r == 0)
                r = resolve(folder, text, ret, e);
        return r < 0 ? err_wrap(e, r, "%s", file) : 0;
}

/* gitdir is REPO/worktrees/NAME and common is that REPO. */
static bool common_is_ours(const struct source_place *p)
{
        const char *rest = path_beneath(p->common, p->gitdir);
        return rest && str_starts(rest, "worktrees/") && !strchr(rest + strlen("worktrees/"), '/');
}

static int find_common(struct source_place *p, struct err *e)
{
        int r = read_path(p->gitdir, "commondir", &p->common, e);
        if (r == FS_E_MISSING) {
                p->common = str_dup(p->gitdir);
                return p->common ? 0 : err_nomem(e);
        }
        if (r < 0)
                return r;
        if (common_is_ours(p) && is_git_folder(p->common))
                return 0;
        return err_set(e, ERR_USAGE, "%s/commondir leads to a git folder that this one is not a work tree of",
                       p->gitdir);
}

/* A `.git` file led to p->gitdir, outside what the user named. */
static int check_back_link(struct source_place *p, struct err *e)
{
        AUTO(auto_free) char *named = NULL, *ours = fs_join(p->top, ".git");
        if (!ours)
                return err_nomem(e);
        int r = read_path(p->gitdir, "gitdir", &named, e);
        if (r < 0)
                return r;
        if (r == FS_E_MISSING) {
                p->back_link = true; /* a submodule */
                return 0;
        }
        if (str_eq(named, ours))
                return 0;
        return err_set(e, ERR_USAGE, "%s leads to %s, which belongs to another work tree; run: git worktree repair",
                       ours, p->gitdir);
}

static int from_gitfile(struct source_place *p, struct err *e)
{
        int r = read_path(p->top, ".git", &p->gitdir, e);
        if (r < 0)
                return r;
        if (!is_git_folder(p->gitdir))
                return err_set(e, ERR_USAGE, "%s/.git leads to %s, which is no git folder", p->top, p->gitdir);
        r = check_back_link(p, e);
        return r < 0 ? r : find_common(p, e);
}

/* Does a repository begin in this folder? */
static int look(const char *folder, struct source_place *p, struct err *e)
{
        int type = type_of(folder, ".git");
        if (type == S_IFLNK)
                return err_set(e, ERR_USAGE, "%s/.git is a symbolic link; use a .git file or a linked work tree",
                               folder);
        AUTO(auto_free) char *git = type ? fs_join(folder, ".git") : str_dup(folder);
        if (!git)
                return err_nomem(e);
        bool bare = !type && is_git_folder(folder);
        if (!bare && type != S_IFREG && !(type == S_IFDIR && is_git_folder(git)))
                return PLACE_E_NONE;
        if (!bare && !(p->top = str_dup(folder)))
                return err_nomem(e);
        if (type == S_IFREG)
                return from_gitfile(p, e);
        p->gitdir = TAKE_PTR(git);
        return find_common(p, e);
}

static int not_found(const char *dir, struct err *e)
{
        AUTO(auto_free) char *at = realpath(dir, NULL);

        return err_set(e, ERR_USAGE,
                       "%s is not in a git repository, and a run needs a commit; name a repository with --dir, or make "
                       "one there: git init && git add -A && git commit -m 'first'",
                       at ? at : dir);
}

int source_place_find(const char *dir, struct source_place *ret, struct err *e)
{
        struct stat first, st;
        *ret = (struct source_place){0};
        AUTO(auto_free) char *at = realpath(dir, NULL);
        if (!at || stat(at, &first) < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", dir);
        if (!S_ISDIR(first.st_mode))
                return err_set(e, ERR_USAGE, "%s: expected a folder", dir);
        for (;;) {
                int r = look(at, ret, e);
                if (r < 0)
                        source_place_done(ret);
                if (r != PLACE_E_NONE)
                        return r;
                char *slash = strrchr(at, '/');
                if (slash == at && at[1] == '\0')
                        return not_found(dir, e);
                slash[slash == at] = '\0';
                if (stat(at, &st) < 0 || st.st_dev != first.st_dev)
                        return not_found(dir, e);
        }
}

void source_place_done(struct source_place *p)
{
        free(p->top);
        free(p->gitdir);
        free(p->common);
        *p = (struct source_place){0};
}
