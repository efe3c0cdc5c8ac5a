/* git lists, we read. Between the two anything may have been replaced by anything: every open goes through openat2
 * beneath the top folder with no link followed, the type is that of the opened descriptor, and a small file is read
 * whole before its size is written down. */
#include "source/worktree.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "source/archive.h"
#include "source/limits.h"
#include "source/names.h"
#include "source/notes.h"
#include "source/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL_FILE (256u << 10) /* read whole, so that its size is that of its bytes */

struct sending {
        const struct repo *repo;
        struct archive *archive;
        struct notes *notes;
        char folder[SOURCE_MAX_PATH + 1]; /* the last one that was written, "" for the top */
        struct buf content;
        uint64_t files, entries;
};

/* Folders come before what is in them. Equal entries may come twice, as git lists untracked files first. */
static int send_folders(struct sending *s, const char *path, struct err *e)
{
        char folder[SOURCE_MAX_PATH + 1];
        const char *last = strrchr(path, '/');
        size_t len = last ? (size_t)(last - path) : 0;
        memcpy(folder, path, len);
        folder[len] = '\0';
        if (str_eq(folder, s->folder))
                return 0;
        for (size_t at = 0; at < len;) {
                at += strcspn(folder + at, "/");
                char end = folder[at];
                folder[at] = '\0';
                bool known = path_beneath(folder, s->folder) != NULL;
                int r = known ? 0 : archive_folder(s->archive, folder, s->archive->now, e);
                if (r < 0)
                        return r;
                folder[at++] = end;
        }
        memcpy(s->folder, folder, len + 1);
        return 0;
}

static int send_link(struct sending *s, const char *path, int fd, const struct stat *st, struct err *e)
{
        char target[SOURCE_MAX_PATH + 1];
        ssize_t n = readlinkat(fd, "", target, sizeof(target));
        if (n <= 0 || (size_t)n >= sizeof(target))
                return notes_add(s->notes, path, "left out: a link that cannot be read", e);
        target[n] = '\0';
        s->files++;
        return archive_link(s->archive, path, target, st->st_mtime, e);
}

static int send_regular(struct sending *s, const char *path, struct err *e)
{
        AUTO(auto_close)
        int fd = fd_open_beneath(s->repo->top_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC, 0,
                                 false);
        struct stat st;
        if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
                return 0; /* replaced or removed since it was looked at */
        if (fd < 0 && (errno == EACCES || errno == EPERM))
                return notes_add(s->notes, path, "left out: the file cannot be read", e);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open a file of the work tree");
        if (!S_ISREG(st.st_mode))
                return 0;
        bool executable = st.st_mode & 0100;
        s->files++;
        if (st.st_size <= (off_t)SMALL_FILE) {
                buf_clear(&s->content);
                int r = fd_read_all(fd, 2 * SMALL_FILE, path, &s->content, e);
                return r < 0 ? r
                             : archive_bytes(s->archive, path, s->content.data, s->content.len, executable, st.st_mtime,
                                             e);
        }
        int r = archive_file(s->archive, path, fd, (uint64_t)st.st_size, executable, st.st_mtime, e);
        if (r != ARCHIVE_E_SHRANK)
                return r;
        char shown[256];
        str_escape(shown, sizeof(shown), path, strlen(path));
        return err_set(e, ERR_USAGE, "%s became shorter while it was read; run again when nothing writes to it", shown);
}

static int send_path(struct sending *s, const char *path, struct err *e)
{
        AUTO(auto_close) int fd = fd_open_beneath(s->repo->top_fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, false);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return 0; /* deleted, or a folder on the way is a link by now: not there */
        int r = send_folders(s, path, e);
        if (r < 0)
                return r;
        if (S_ISLNK(st.st_mode))
                return send_link(s, path, fd, &st, e);
        if (S_ISREG(st.st_mode))
                return send_regular(s, path, e);
        if (S_ISDIR(st.st_mode)) /* a submodule */
                return archive_folder(s->archive, path, st.st_mtime, e);
        return notes_add(s->notes, path, "left out: neither a file nor a link", e);
}

static int on_path(const char *path, size_t len, void *user, struct err *e)
{
        struct sending *s = user;
        if (++s->entries > SOURCE_MAX_ENTRIES)
                return err_set(e, ERR_RESOURCES, "the work tree has more than %u files", SOURCE_MAX_ENTRIES);
        if (len > 0 && path[len - 1] == '/')
                return notes_add(s->notes, path, "left out: a repository of its own that is no submodule", e);
        if (!tree_path_is_valid(path))
                return notes_add(s->notes, path, "left out: a name that no work tree can hold", e);
        return send_path(s, path, e);
}

int worktree_send(const struct repo *r, struct archive *a, struct notes *notes, uint64_t *ret_files, struct err *e)
{
        static const char *const args[] = {"ls-files",      "-z", "--cached", "--others", "--exclude-standard",
                                           "--deduplicate", NULL};
        AUTO(auto_free) struct sending *s = calloc(1, sizeof(*s));
        AUTO(auto_free) char *index = str_printf("%s/index", r->gitdir);
        AUTO(buf_done) struct buf part = BUF_INIT_MAX(64u << 10);
        if (!s || !index)
                return err_nomem(e);
        *s = (struct sending){.repo = r, .archive = a, .notes = notes};
        struct git_records records = {'\0', on_path, s, &part};
        const struct git_call call = {.args = args, .output = git_records_feed, .user = &records};
        struct git git = r->git;
        git.worktree = r->top;
        git.index = index;
        int rc = git_must(&git, &call, e);
        buf_done(&s->content);
        *ret_files = s->files;
        return rc;
}

static int any_output(const uint8_t *data, size_t len, void *user, struct err *e)
{
        (void)data;
        (void)e;
        *(int *)user = len > 0;
        return len > 0;
}

int worktree_is_dirty(const struct repo *r, int *ret, struct err *e)
{
        /* Submodules are not looked into: git would start itself in them, with their configuration. */
        static const char *const args[] = {
                "status",       "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=all",
                "--no-renames", NULL};
        AUTO(auto_free) char *index = str_printf("%s/index", r->gitdir);
        if (!index)
                return err_nomem(e);
        const struct git_call call = {.args = args, .output = any_output, .user = ret};
        struct git git = r->git;
        git.worktree = r->top;
        git.index = index;
        *ret = 0;
        return git_must(&git, &call, e);
}
