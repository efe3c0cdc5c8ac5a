#include "cli/repofile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/problems.h"
#include "source/start.h"
#include "workflow/library.h"

int repofile_open(const char *top, const char *name, int flags, int *ret, struct err *e)
{
        AUTO(auto_close) int top_fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (top_fd < 0)
                return err_errno(e, ERR_USAGE, errno, "open %s", top);
        int fd = fd_open_beneath(top_fd, name, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, true);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return FS_E_MISSING;
        if (fd < 0 && errno == EXDEV)
                return err_set(e, ERR_USAGE, "%s is a symbolic link out of the repository, which is not followed",
                               name);
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "open %s", name);
        *ret = fd;
        return 0;
}

int repofile_read(const char *top, const char *name, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = repofile_open(top, name, 0, &fd, e);

        return r == FS_E_MISSING ? LIBRARY_E_MISSING : r < 0 ? r : problems_read_fd(fd, name, ret, e);
}

/* How much of a folder's path stands before ".github/workflows" and the like; SIZE_MAX: it is no such folder. */
static size_t before_workflows(const char *folder)
{
        static const char *const folders[] = {".github/workflows", ".forgejo/workflows", ".gitea/workflows"};

        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                size_t len = strlen(folder), tail = strlen(folders[i]);

                if (str_ends(folder, folders[i]) && (len == tail || folder[len - tail - 1] == '/'))
                        return len - tail;
        }
        return SIZE_MAX;
}

int repofile_top(const char *path, char **ret, struct err *e)
{
        const char *slash = strrchr(path, '/');
        AUTO(auto_free) char *folder = slash ? str_ndup(path, (size_t)(slash - path) + 1) : str_dup(".");
        struct source_place place = {0};

        if (!folder)
                return err_nomem(e);
        if (slash && slash != path)
                folder[slash - path] = '\0';
        size_t before = before_workflows(folder);
        if (before != SIZE_MAX) {
                *ret = before > 0 ? str_ndup(folder, before) : str_dup(".");
        } else {
                bool found = source_place_find(folder, &place, NULL) == 0 && place.top;
                *ret = str_dup(found ? place.top : ".");
                source_place_done(&place);
        }
        return *ret ? 0 : err_nomem(e);
}
