/* read, which, mkdir and write: whole requests that fit a header. Run by a worker. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/child.h"
#include "guest/users.h"
#include "guest/worker.h"
#include "wire/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_MAX_PATHS 16
#define READ_MAX_BYTES ((uint64_t)1 << 20) /* of one file: with its path it fits a field list */
#define WHICH_MAX_NAMES 64
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int open_no_links(const char *path, int flags, mode_t mode)
{
        struct open_how how = {
                .flags = (uint64_t)flags | O_CLOEXEC,
                .mode = mode,
                .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static const char *kind_of(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:
                return "regular";
        case S_IFLNK:
                return "link";
        case S_IFIFO:
                return "fifo";
        default:
                return "other";
        }
}

/* Does some process still have the file open for writing? A read lease cannot be had then (fcntl(2)); it is given back
 * at once. Every process of the step is gone, so whoever does has left its control group, and would write after the
 * read. */
static bool is_being_written(int fd)
{
        if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
                return errno == EAGAIN;
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return false;
}

/* What is at the path, and its bytes when it is a regular file of at most max. A file is opened only once it is known
 * to be one: opening a device can act, opening a fifo can wait. */
static const char *read_path(const char *path, size_t max, struct buf *ret)
{
        struct stat st;
        AUTO(auto_close) int there = open_no_links(path, O_PATH | O_NOFOLLOW, 0);
        if (there < 0)
                return errno == ELOOP ? "link" : errno == ENOENT || errno == ENOTDIR ? "missing" : "other";
        if (fstat(there, &st) < 0 || !S_ISREG(st.st_mode))
                return kind_of(st.st_mode);
        AUTO(auto_close) int fd = open_no_links(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        struct stat again;
        if (fd < 0 || fstat(fd, &again) < 0 || again.st_ino != st.st_ino || again.st_dev != st.st_dev)
                return "other";
        if (is_being_written(fd))
                return "busy";
        if (st.st_size > (off_t)max || fd_read_all(fd, max, "file", ret, NULL) < 0) {
                buf_clear(ret);
                return "too-large";
        }
        return "regular";
}

static int answer_read(const char *path, size_t max, struct err *e)
{
        AUTO(buf_wipe) struct buf data = BUF_INIT;
        AUTO(buf_wipe) struct buf list = BUF_INIT;
        size_t mark;
        const char *kind = read_path(path, max, &data);
        int r = fields_begin(&list, &mark, e);
        r = r < 0 ? r : fields_add_str(&list, "path", path, e);
        r = r < 0 ? r : fields_add_str(&list, "kind", kind, e);
        r = r < 0 ? r : fields_add(&list, "data", data.data, data.len, e);
        r = r < 0 ? r : fields_end(&list, mark, e);
        return r < 0 ? r : fd_write_all(CHILD_REPORT, list.data, list.len, "answer", e);
}

/* The values of a repeated key as text, in order; ends the process when there are none or too many. */
static void texts(const struct fields *f, const char *key, size_t max, struct strv *ret)
{
        for (size_t i = 0; i < fields_count(f); i++) {
                const struct field *field = fields_at(f, i);
                if (!str_eq(field->key, key))
                        continue;
                if (!field->len || memchr(field->value, 0, field->len))
                        child_fail("invalid", "%s: expected text", key);
                if (ret->n == max)
                        child_fail("invalid", "more than %zu fields %s", max, key);
                if (strv_addf(ret, NULL, "%.*s", (int)field->len, (const char *)field->value) < 0)
                        child_fail("resources", "no memory");
        }
        if (!ret->n)
                child_fail("invalid", "expected a field %s", key);
}

int work_read(const struct fields *request, const struct user *user, struct err *e)
{
        AUTO(strv_done) struct strv paths = STRV_INIT;
        struct err why = ERR_INIT;
        uint64_t max;
        (void)user;
        if (fields_u64(request, "max", READ_MAX_BYTES, &max, &why) < 0)
                child_fail("invalid", "%s", why.msg);
        texts(request, "path", READ_MAX_PATHS, &paths);
        for (size_t i = 0; i < paths.n; i++)
                worker_check_path(paths.v[i]);
        signal(SIGIO, SIG_IGN); /* of a lease that somebody breaks while it is held */
        child_report_ok();
        int r = 0;
        for (size_t i = 0; r == 0 && i < paths.n; i++)
                r = answer_read(paths.v[i], (size_t)max, e);
        return r;
}

static bool find_program(const char *name, const char *search, char ret[PATH_MAX])
{
        struct stat st;
        for (const char *p = search; p;) {
                size_t len = strcspn(p, ":");
                if (len && *p == '/' && snprintf(ret, PATH_MAX, "%.*s/%s", (int)len, p, name) < PATH_MAX &&
                    access(ret, X_OK) == 0 && stat(ret, &st) == 0 && S_ISREG(st.st_mode))
                        return true;
                p = p[len] ? p + len + 1 : NULL;
        }
        ret[0] = 0;
        return false;
}

int work_which(const struct fields *request, const struct user *user, struct err *e)
{
        AUTO(strv_done) struct strv names = STRV_INIT;
        AUTO(buf_done) struct buf list = BUF_INIT;
        struct err why = ERR_INIT;
        const char *search;
        size_t mark;
        (void)user;
        texts(request, "name", WHICH_MAX_NAMES, &names);
        if (fields_str_opt(request, "search", DEFAULT_PATH, &search, &why) < 0)
                child_fail("invalid", "%s", why.msg);
        int r = fields_begin(&list, &mark, e);
        for (size_t i = 0; r == 0 && i < names.n; i++) {
                char path[PATH_MAX] = "";
                if (!strchr(names.v[i], '/'))
                        find_program(names.v[i], search, path);
                r = fields_add_str(&list, "path", path, e);
        }
        r = r < 0 ? r : fields_end(&list, mark, e);
        if (r < 0)
                child_fail("resources", "no memory");
        child_report_ok();
        return fd_write_all(CHILD_REPORT, list.data, list.len, "answer", e);
}

int work_mkdir(const struct fields *request, const struct user *user, struct err *e)
{
        AUTO(strv_done) struct strv paths = STRV_INIT;
        unsigned mode = worker_mode(request, 0755);
        (void)user;
        (void)e;
        texts(request, "path", GUEST_MAX_FIELDS, &paths);
        for (size_t i = 0; i < paths.n; i++) {
                AUTO(auto_close) int fd = worker_open_folder(worker_check_path(paths.v[i]), mode);
                if (fd < 0)
                        child_fail_errno(errno, "make the folder %s", paths.v[i]);
        }
        child_report_ok();
        return 0;
}

/* The folder above a path, without links on the way, and the last name. */
static int open_parent(const char *path, const char **ret_name)
{
        const char *slash = strrchr(path, '/');
        AUTO(auto_free) char *parent = str_ndup(path, slash == path ? 1 : (size_t)(slash - path));
        *ret_name = slash + 1;
        if (!parent)
                child_fail("resources", "no memory");
        int fd = open_no_links(parent, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                child_fail_errno(errno, "open the folder of %s", path);
        return fd;
}

static void fill_new(int folder, const char *name, const char *path, const struct field *data, unsigned mode)
{
        struct err e = ERR_INIT;
        AUTO(auto_close) int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                child_fail_errno(errno, "make the file %s", path);
        if (fd_write_all(fd, data->value, data->len, path, &e) < 0 || fchmod(fd, (mode_t)mode) < 0) {
                int errnum = errno;
                unlinkat(folder, name, 0);
                child_fail_errno(errnum, "write the file %s", path);
        }
}

int work_write(const struct fields *request, const struct user *user, struct err *e)
{
        const char *path = worker_path(request, "path"), *name;
        unsigned mode = worker_mode(request, 0644);
        const struct field *data = fields_get(request, "data");
        struct err why = ERR_INIT;
        uint64_t replace;
        (void)user;
        (void)e;
        if (!data)
                child_fail("invalid", "expected one field data");
        if (fields_u64_opt(request, "replace", 0, 1, &replace, &why) < 0)
                child_fail("invalid", "%s", why.msg);
        AUTO(auto_close) int folder = open_parent(path, &name);
        if (!*name)
                child_fail("invalid", "path: expected a file's name at its end");
        if (!replace) {
                fill_new(folder, name, path, data, mode);
        } else {
                char temporary[64];
                snprintf(temporary, sizeof(temporary), ".devdep-%d", (int)getpid());
                fill_new(folder, temporary, path, data, mode);
                if (renameat(folder, temporary, folder, name) < 0) {
                        int errnum = errno;
                        unlinkat(folder, temporary, 0);
                        child_fail_errno(errnum, "replace the file %s", path);
                }
        }
        child_report_ok();
        return 0;
}
