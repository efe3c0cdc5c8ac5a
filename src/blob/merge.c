#include "blob/merge.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/limits.h"
#include "blob/stage.h"

struct merge {
        bool force, moving; /* or only looking */
        struct buf path;    /* of the one under way, from the top */
};

static int walk(struct merge *m, int from, int to, unsigned depth, struct err *e);

/* A sentence about the one under way. */
static int in_the_way(struct merge *m, const char *what, struct err *e)
{
        char shown[512];
        str_escape(shown, sizeof(shown), m->path.data, m->path.len);
        return err_set(e, ERR_USAGE, "'%s' is there already%s", shown, what);
}

static int failed(struct merge *m, const char *what, struct err *e)
{
        int errnum = errno;
        char shown[512];
        str_escape(shown, sizeof(shown), m->path.data, m->path.len);
        return err_errno(e, ERR_RESOURCES, errnum, "%s '%s'", what, shown);
}

static int open_folder(int at, const char *name)
{
        return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int one_folder(struct merge *m, int from, int to, const char *name, unsigned depth, struct err *e)
{
        AUTO(auto_close) int below = open_folder(from, name);
        if (below < 0)
                return failed(m, "open", e);
        if (m->moving && mkdirat(to, name, 0777) < 0 && errno != EEXIST)
                return failed(m, "make the folder", e);
        AUTO(auto_close) int target = open_folder(to, name);
        if (target < 0 && errno == ENOENT && !m->moving)
                return 0;
        if (target < 0 && (errno == ENOTDIR || errno == ELOOP))
                return in_the_way(m, ", and is no folder", e);
        return target < 0 ? failed(m, "open", e) : walk(m, below, target, depth + 1, e);
}

static int look_at_file(struct merge *m, int to, const char *name, struct err *e)
{
        struct stat st;
        if (fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : failed(m, "look at", e);
        if (S_ISDIR(st.st_mode))
                return in_the_way(m, ", as a folder", e);
        return m->force ? 0 : in_the_way(m, "; nothing was written (--force replaces files)", e);
}

static int move_file(struct merge *m, int from, int to, const char *name, struct err *e)
{
        if (renameat2(from, name, to, name, m->force ? 0 : RENAME_NOREPLACE) == 0)
                return 0;
        return errno == EEXIST ? in_the_way(m, ", since a moment ago", e) : failed(m, "put in place", e);
}

static int one(struct merge *m, int from, int to, const char *name, unsigned depth, struct err *e)
{
        struct stat st;
        if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return failed(m, "look at", e);
        if (S_ISDIR(st.st_mode))
                return one_folder(m, from, to, name, depth, e);
        return m->moving ? move_file(m, from, to, name, e) : look_at_file(m, to, name, e);
}

static int list(int folder, struct strv *ret, struct err *e)
{
        int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO(auto_closedir) DIR *d = own < 0 ? NULL : fdopendir(own);
        if (!d) {
                fd_close(own);
                return err_errno(e, ERR_RESOURCES, errno, "list a folder");
        }
        return fs_names(d, "a folder", ret, e);
}

static int walk(struct merge *m, int from, int to, unsigned depth, struct err *e)
{
        AUTO(strv_done) struct strv names = STRV_INIT;
        size_t len = m->path.len;
        int r = list(from, &names, e);
        assert(depth <= ARTIFACT_MAX_DEPTH);
        for (size_t i = 0; r == 0 && i < names.n; i++) {
                m->path.len = len;
                r = buf_printf(&m->path, e, "%s%s", len ? "/" : "", names.v[i]);
                if (r == 0)
                        r = one(m, from, to, names.v[i], depth, e);
        }
        m->path.len = len;
        if (r == 0 && m->moving && fsync(to) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "write a folder to the disk");
        return r;
}

int merge_folder(struct stage *s, bool force, struct err *e)
{
        AUTO(auto_close) int to = open(s->above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct merge m = {.force = force, .path = BUF_INIT};
        if (to < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open %s", s->above);
        int r = walk(&m, s->fd, to, 0, e);
        if (r == 0 && syncfs(s->fd) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "write to the disk");
        m.moving = true;
        if (r == 0)
                r = walk(&m, s->fd, to, 0, e);
        buf_done(&m.path);
        return r;
}
