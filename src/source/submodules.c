#include "source/submodules.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "source/gitfile.h"
#include "source/limits.h"
#include "source/names.h"
#include "source/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void gitlinks_done(struct gitlinks *g)
{
        for (size_t i = 0; i < g->n; i++) {
                free(g->v[i].path);
                free(g->v[i].commit);
        }
        free(g->v);
        *g = (struct gitlinks){0};
}

static int gitlink_add(struct gitlinks *g, const char *commit, size_t commit_len, const char *path, struct err *e)
{
        if (g->n >= SOURCE_MAX_SUBMODULES)
                return err_set(e, ERR_RESOURCES, "the commit has more than %u submodules", SOURCE_MAX_SUBMODULES);
        struct gitlink *v = reallocarray(g->v, g->n + 1, sizeof(*v));
        if (!v)
                return err_nomem(e);
        g->v = v;
        struct gitlink *added = &v[g->n++];
        *added = (struct gitlink){.path = str_dup(path), .commit = str_ndup(commit, commit_len)};
        return added->path && added->commit ? 0 : err_nomem(e);
}

/* "MODE TYPE ID\tPATH" */
static int on_tree_entry(const char *line, size_t len, void *user, struct err *e)
{
        static const char gitlink[] = "160000 commit ";
        (void)len;
        if (!str_starts(line, gitlink))
                return 0;
        const char *id = line + sizeof(gitlink) - 1;
        const char *tab = strchr(id, '\t');
        if (!tab || !tree_path_is_valid(tab + 1))
                return err_set(e, ERR_USAGE, "the commit has a submodule at a path that no work tree can hold");
        return gitlink_add(user, id, (size_t)(tab - id), tab + 1, e);
}

int gitlinks_of(const struct repo *r, const char *commit, struct gitlinks *ret, struct err *e)
{
        AUTO(buf_done) struct buf part = BUF_INIT_MAX(64u << 10);
        const char *const args[] = {"ls-tree", "-r", "-z", "--full-tree", commit, NULL};
        struct git_records records = {'\0', on_tree_entry, ret, &part};
        const struct git_call call = {.args = args, .output = git_records_feed, .user = &records};
        *ret = (struct gitlinks){0};
        return git_must(&r->git, &call, e);
}

void own_view_done(struct own_view *v)
{
        free(v->top);
        free(v->host_top);
        free(v->gitdir);
        free(v->host_gitdir);
        *v = (struct own_view){0};
}

static int absent(char **ret_why, const char *why, struct err *e)
{
        *ret_why = str_dup(why);
        return *ret_why ? SUBMODULE_E_ABSENT : err_nomem(e);
}

/* A host path in our view: beneath `modules/` of the top's git folder, or NULL. */
static char *in_view(const struct repo_view *top, const char *host_path)
{
        const char *const pairs[][2] = {{top->host_gitdir, top->gitdir}, {top->host_common, top->common}};
        for (size_t i = 0; i < 2; i++) {
                const char *rest = path_beneath(pairs[i][0], host_path);
                if (rest && str_starts(rest, "modules/"))
                        return fs_join(pairs[i][1], rest);
        }
        return NULL;
}

static int from_gitfile(const struct repo_view *top, int fd, struct own_view *v, char **ret_why, struct err *e)
{
        AUTO(buf_done) struct buf file = BUF_INIT;
        AUTO(auto_free) char *path = NULL;
        int r = fd_read_all(fd, SOURCE_MAX_GITFILE, "the submodule's .git file", &file, e);
        if (r == 0)
                r = gitfile_parse(file.data, file.len, "the submodule's .git file", &path, e);
        if (r < 0)
                return r;
        v->back_link = 1;
        v->host_gitdir = path_tidy(v->host_top, path);
        if (!v->host_gitdir)
                return err_nomem(e);
        v->gitdir = in_view(top, v->host_gitdir);
        return v->gitdir ? 0 : absent(ret_why, "its git folder is not below .git/modules of the top repository", e);
}

int submodule_find(const struct repo_view *top, const struct repo_view *parent, const char *path, struct own_view *ret,
                   char **ret_why, struct err *e)
{
        AUTO(auto_free) char *git = str_printf("%s/.git", path);
        AUTO(auto_close) int work = parent->top ? open(parent->top, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        *ret = (struct own_view){.top = fs_join(parent->top ? parent->top : "", path),
                                 .host_top = fs_join(parent->host_top ? parent->host_top : "", path)};
        if (!git || !ret->top || !ret->host_top)
                return err_nomem(e);
        if (work < 0)
                return absent(ret_why, "a bare repository has no submodules on disk", e);
        AUTO(auto_close) int fd = fd_open_beneath(work, git, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, false);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return absent(ret_why, "it is not initialised; run: git submodule update --init --recursive", e);
        if (S_ISREG(st.st_mode))
                return from_gitfile(top, fd, ret, ret_why, e);
        if (!S_ISDIR(st.st_mode))
                return absent(ret_why, "its .git is neither a file nor a folder", e);
        ret->gitdir = fs_join(ret->top, ".git");
        ret->host_gitdir = fs_join(ret->host_top, ".git");
        return ret->gitdir && ret->host_gitdir ? 0 : err_nomem(e);
}
