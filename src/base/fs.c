#include "base/fs.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TEMPORARY ".new-"  /* then six letters of mkostemp() */
#define REMOVE_MAX_OPEN 64 /* folders open at once while a tree is removed; deeper ones are moved up first */

int fs_read(const char *path, size_t max, struct buf *ret, struct err *e)
{
        /* O_NONBLOCK: a fifo in the file's place must not hang us before it is refused. */
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        if (fd < 0 && errno == ENOENT)
                return FS_E_MISSING;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open %s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s: expected a regular file", path);
        return fd_read_all(fd, max, path, ret, e);
}

int fs_sync_folder_of(const char *path, struct err *e)
{
        const char *slash = strrchr(path, '/');
        AUTO(auto_free)
        char *folder = !slash ? str_dup(".") : str_ndup(path, slash == path ? 1 : (size_t)(slash - path));
        if (!folder)
                return err_nomem(e);
        AUTO(auto_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "sync %s", folder);
        return 0;
}

static int fill_temporary(int fd, const void *data, size_t len, mode_t mode, const char *name, struct err *e)
{
        int r = fd_write_all(fd, data, len, name, e);
        if (r < 0)
                return r;
        if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "write %s", name);
        return 0;
}

int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
        AUTO(auto_free) char *temporary = str_printf("%s" TEMPORARY "XXXXXX", path);
        if (!temporary)
                return err_nomem(e);
        AUTO(auto_close) int fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "create a file beside %s", path);
        int r = fill_temporary(fd, data, len, mode, path, e);
        if (r == 0 && rename(temporary, path) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "rename a new file to %s", path);
        if (r < 0) {
                unlink(temporary);
                return r;
        }
        return fs_sync_folder_of(path, e);
}

static bool is_temporary(const char *name)
{
        size_t len = strlen(name), end = sizeof(TEMPORARY) - 1 + 6;
        return len > end && strncmp(name + len - end, TEMPORARY, sizeof(TEMPORARY) - 1) == 0;
}

static int remove_if_temporary(const char *name, void *user, struct err *e)
{
        const char *folder = user;
        if (!is_temporary(name))
                return 0;
        AUTO(auto_free) char *path = fs_join(folder, name);
        if (!path)
                return err_nomem(e);
        return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(e, ERR_RESOURCES, errno, "remove %s", path);
}

int fs_remove_temporary(const char *folder, struct err *e)
{
        return fs_list(folder, remove_if_temporary, (void *)(uintptr_t)folder, e);
}

static int make_folder(const char *path, mode_t mode, struct err *e)
{
        struct stat st;
        if (mkdir(path, mode) == 0)
                return 0;
        int errnum = errno;
        /* A read-only or unwritable parent answers EROFS or EACCES also for a folder that is there. */
        if (stat(path, &st) == 0) {
                if (S_ISDIR(st.st_mode))
                        return 0;
                errnum = ENOTDIR;
        }
        return err_errno(e, ERR_RESOURCES, errnum, "make the folder %s", path);
}

int fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
        AUTO(auto_free) char *copy = str_dup(path);
        if (!copy)
                return err_nomem(e);
        for (char *p = copy + 1; *copy && *p; p++) {
                if (*p != '/')
                        continue;
                *p = 0;
                int r = make_folder(copy, mode, e);
                if (r < 0)
                        return r;
                *p = '/';
        }
        return make_folder(copy, mode, e);
}

struct removal {
        int top;        /* the tree's own folder */
        dev_t dev;      /* the file system that it began on */
        unsigned moved; /* folders moved up to `top` so far */
        const char *path;
};

static int remove_below(struct removal *r, int fd, unsigned depth, struct err *e);

static int remove_folder(struct removal *r, int parent, const char *name, unsigned depth, struct err *e)
{
        if (depth >= REMOVE_MAX_OPEN) {
                char up[32];
                snprintf(up, sizeof(up), ".removed-%u", r->moved++);
                if (renameat(parent, name, r->top, up) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "remove %s: a folder deep in it", r->path);
                return 0;
        }
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "remove %s: open a folder in it", r->path);
        int result = remove_below(r, fd, depth, e);
        if (result == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return err_errno(e, ERR_RESOURCES, errno, "remove %s: a folder in it", r->path);
        return result;
}

static int remove_entry(struct removal *r, int parent, const char *name, unsigned depth, struct err *e)
{
        struct stat st;
        if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
                return 0;
        int errnum = errno;
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
                return err_errno(e, ERR_RESOURCES, errnum, "remove %s: a file in it", r->path);
        if (st.st_dev != r->dev)
                return err_set(e, ERR_RESOURCES, "remove %s: another file system is mounted in it", r->path);
        return remove_folder(r, parent, name, depth + 1, e);
}

/* Empties the folder; fd is taken over. */
static int remove_below(struct removal *r, int fd, unsigned depth, struct err *e)
{
        AUTO(auto_closedir) DIR *d = fdopendir(fd);
        if (!d) {
                int errnum = errno;
                fd_close(fd);
                return err_errno(e, ERR_RESOURCES, errnum, "remove %s", r->path);
        }
        unsigned before;
        do {
                before = r->moved;
                rewinddir(d);
                for (struct dirent *entry; (entry = readdir(d));) {
                        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
                                continue;
                        int result = remove_entry(r, dirfd(d), entry->d_name, depth, e);
                        if (result < 0)
                                return result;
                }
        } while (depth == 0 && r->moved != before);
        return 0;
}

int fs_remove_tree(const char *path, struct err *e)
{
        struct stat st;
        if (unlink(path) == 0 || errno == ENOENT)
                return 0;
        int errnum = errno;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
                fd_close(fd);
                return err_errno(e, ERR_RESOURCES, errnum, "remove %s", path);
        }
        AUTO(auto_close) int top = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (top < 0) {
                fd_close(fd);
                return err_errno(e, ERR_RESOURCES, errno, "remove %s", path);
        }
        struct removal removal = {.top = top, .dev = st.st_dev, .path = path};
        int r = remove_below(&removal, fd, 0, e);
        if (r < 0)
                return r;
        return rmdir(path) < 0 && errno != ENOENT ? err_errno(e, ERR_RESOURCES, errno, "remove %s", path) : 0;
}

int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, bool follow, int *ret, struct err *e)
{
        int fd = fd_open_beneath(dirfd, path, flags, mode, follow);
        if (fd < 0 && errno == ENOENT)
                return FS_E_MISSING;
        if (fd < 0) {
                int errnum = errno;
                char shown[256];
                str_escape(shown, sizeof(shown), path, strlen(path));
                return err_errno(e, ERR_RESOURCES, errnum, "open '%s' beneath its folder", shown);
        }
        *ret = fd;
        return 0;
}

bool fs_exists(const char *path)
{
        struct stat st;
        return lstat(path, &st) == 0;
}

int fs_free_space(const char *path, uint64_t *ret, struct err *e)
{
        struct statvfs st;
        if (statvfs(path, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "ask for the free space of %s", path);
        if (!num_mul((uint64_t)st.f_bavail, (uint64_t)st.f_frsize, ret))
                *ret = UINT64_MAX;
        return 0;
}

/* Whoever held the lock may have removed the file before we got it: then we hold the lock of a file that nobody else
 * sees. */
static bool lock_is_current(int fd, const char *path)
{
        struct stat ours, now;
        return fstat(fd, &ours) == 0 && stat(path, &now) == 0 && ours.st_ino == now.st_ino && ours.st_dev == now.st_dev;
}

static int lock(const char *path, int operation, int *ret, struct err *e)
{
        for (;;) {
                AUTO(auto_close) int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (fd < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "open the lock %s", path);
                int r;
                do
                        r = flock(fd, operation);
                while (r < 0 && errno == EINTR);
                if (r < 0 && errno == EWOULDBLOCK)
                        return FS_E_LOCKED;
                if (r < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "lock %s", path);
                if (lock_is_current(fd, path)) {
                        *ret = TAKE_FD(fd);
                        return 0;
                }
        }
}

int fs_lock(const char *path, bool wait, int *ret, struct err *e)
{
        return lock(path, LOCK_EX | (wait ? 0 : LOCK_NB), ret, e);
}

int fs_lock_shared(const char *path, int *ret, struct err *e)
{
        return lock(path, LOCK_SH | LOCK_NB, ret, e);
}

char *fs_join(const char *a, const char *b)
{
        return str_printf("%s%s%s", a, *a && !str_ends(a, "/") ? "/" : "", b);
}

void auto_closedir(DIR **d)
{
        if (*d)
                closedir(*d);
}

static int by_bytes(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int fs_names(DIR *d, const char *path, struct strv *ret, struct err *e)
{
        for (;;) {
                errno = 0;
                const struct dirent *entry = readdir(d);
                if (!entry && errno)
                        return err_errno(e, ERR_RESOURCES, errno, "list %s", path);
                if (!entry)
                        break;
                if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
                        continue;
                int r = strv_add(ret, entry->d_name, e);
                if (r < 0)
                        return r;
        }
        if (ret->n)
                qsort(ret->v, ret->n, sizeof(*ret->v), by_bytes);
        return 0;
}

int fs_list(const char *path, int (*fn)(const char *name, void *user, struct err *e), void *user, struct err *e)
{
        AUTO(auto_closedir) DIR *d = opendir(path);
        if (!d && errno == ENOENT)
                return FS_E_MISSING;
        if (!d)
                return err_errno(e, ERR_RESOURCES, errno, "list %s", path);
        AUTO(strv_done) struct strv names = STRV_INIT;
        int r = fs_names(d, path, &names, e);
        for (size_t i = 0; r == 0 && i < names.n; i++)
                r = fn(names.v[i], user, e);
        return r;
}
