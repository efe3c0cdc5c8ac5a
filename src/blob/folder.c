#include "blob/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"

#define LOCK_RETRY_MS 10

static int failed(const char *what, const char *name, struct err *e)
{
        return err_errno(e, ERR_RESOURCES, errno, "%s %s in the store", what, name);
}

int folder_open(int dirfd, const char *name, int create, int *ret, struct err *e)
{
        if (create && mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
                return failed("make the folder", name, e);
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? FOLDER_E_MISSING : failed("open the folder", name, e);
        *ret = fd;
        return 0;
}

static int by_bytes(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int folder_names(int dirfd, size_t max, struct strv *ret, struct err *e)
{
        /* A description of its own: the position of a shared one would be shared as well. */
        int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO(auto_closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
        if (!d) {
                fd_close(fd);
                return failed("list", "a folder", e);
        }
        int r = 0;
        for (struct dirent *entry; r == 0 && (entry = readdir(d));) {
                if (entry->d_name[0] == '.')
                        continue;
                if (ret->n == max)
                        return err_set(e, ERR_RESOURCES, "a folder of the store holds more than %zu names", max);
                r = strv_add(ret, entry->d_name, e);
        }
        if (ret->n)
                qsort(ret->v, ret->n, sizeof(*ret->v), by_bytes);
        return r;
}

int folder_open_file(int dirfd, const char *name, int *ret, uint64_t *ret_size, struct err *e)
{
        /* O_NONBLOCK: a fifo in the file's place must not hang us before it is refused. */
        AUTO(auto_close) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct stat st;
        if (fd < 0)
                return errno == ENOENT || errno == ELOOP || errno == ENXIO ? FOLDER_E_MISSING : failed("open", name, e);
        if (fstat(fd, &st) < 0)
                return failed("look at", name, e);
        if (!S_ISREG(st.st_mode))
                return FOLDER_E_MISSING;
        *ret = TAKE_FD(fd);
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

int folder_read(int dirfd, const char *name, size_t max, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint64_t size;
        int r = folder_open_file(dirfd, name, &fd, &size, e);
        return r == 0 ? fd_read_all(fd, max, name, ret, e) : r;
}

int folder_make_temporary(int dirfd, const char *prefix, char *ret_name, int *ret, struct err *e)
{
        uint8_t random[8];
        char hex[2 * sizeof(random) + 1];
        secret_random(random, sizeof(random));
        num_to_hex(random, sizeof(random), hex);
        snprintf(ret_name, FOLDER_MAX_TEMPORARY, "%.16s-%s", prefix, hex);
        AUTO(auto_close) int fd = openat(dirfd, ret_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return failed("make a file", ret_name, e);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                int r = failed("lock the new file", ret_name, e);
                unlinkat(dirfd, ret_name, 0);
                return r;
        }
        *ret = TAKE_FD(fd);
        return 0;
}

int folder_sync(int dirfd, struct err *e)
{
        return fsync(dirfd) < 0 ? failed("sync", "a folder", e) : 0;
}

int folder_move(int fd, int from, const char *name, int to, const char *new_name, struct err *e)
{
        if (fsync(fd) < 0)
                return failed("sync", name, e);
        if (renameat(from, name, to, new_name) < 0)
                return failed("name", new_name, e);
        return folder_sync(to, e);
}

int folder_remove(int dirfd, const char *name, struct err *e)
{
        return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? failed("remove", name, e) : 0;
}

/* What cannot be opened as a file has no maker that writes it. */
static bool is_left(int dirfd, const char *name)
{
        AUTO(auto_close) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;
}

int folder_remove_leftovers(int dirfd, size_t max, struct err *e)
{
        AUTO(strv_done) struct strv names = STRV_INIT;
        int r = folder_names(dirfd, max, &names, e);
        for (size_t i = 0; r == 0 && i < names.n; i++)
                if (is_left(dirfd, names.v[i]))
                        r = folder_remove(dirfd, names.v[i], e);
        return r;
}

int folder_open_lock(int dirfd, int create, int *ret, struct err *e)
{
        int fd = openat(dirfd, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
        if (fd < 0)
                return errno == ENOENT ? FOLDER_E_MISSING : failed("open", "lock", e);
        *ret = fd;
        return 0;
}

/* Not flock() that waits: nothing would end it when the holder is stopped. */
int folder_lock(int lock_fd, struct err *e)
{
        const struct timespec pause = {.tv_nsec = LOCK_RETRY_MS * 1000000l};
        uint64_t deadline = clock_mono_ms() + FOLDER_LOCK_MS;
        while (flock(lock_fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return failed("take", "the lock", e);
                if (clock_mono_ms() >= deadline)
                        return FOLDER_E_LOCKED;
                nanosleep(&pause, NULL);
        }
        return 0;
}

void folder_unlock(int lock_fd)
{
        flock(lock_fd, LOCK_UN);
}
