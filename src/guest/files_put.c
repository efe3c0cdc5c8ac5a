/* put: unpack a tar stream beneath a folder. Run by a worker, as the request's user.
 *
 * Names come from the host, which took them from elsewhere: every one is opened beneath the target (openat2). A link is
 * made as it is and never made use of to leave the target. What is in a name's place is removed first, so that nothing
 * is written through it. Hard links and devices are refused, as are set-user-id bits. Folders get their modes and times
 * at the end, when nothing is put into them any more. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "codec/tar.h"
#include "guest/child.h"
#include "guest/users.h"
#include "guest/worker.h"
#include "wire/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUT_MAX_ENTRIES 2000000u
#define PUT_MAX_TOTAL ((uint64_t)1 << 40)
#define PUT_READ ((size_t)64 << 10)

struct folder {
        char *name;
        uint32_t mode;
        int64_t mtime;
};

struct put {
        int root;
        int parent;                     /* the folder of the last entry ... */
        char parent_name[TAR_MAX_NAME]; /* ... and its name */
        int file;                       /* of the entry under way, or -1 */
        int64_t mtime;
        struct folder *folders;
        size_t n_folders, cap_folders;
        uint64_t entries, bytes;
        int errnum; /* of the failure, 0 when it was no system call */
};

static int failed(struct put *p, const char *what, const char *name, struct err *e)
{
        p->errnum = errno;
        return err_errno(e, ERR_RESOURCES, errno, "%s %s", what, name);
}

/* Open the folder of `name`; missing folders above it are made. *ret_base: its last part. */
static int enter_parent(struct put *p, const char *name, const char **ret_base, struct err *e)
{
        const char *slash = strrchr(name, '/');
        char folder[TAR_MAX_NAME] = ".";
        if (slash) {
                memcpy(folder, name, (size_t)(slash - name));
                folder[slash - name] = 0;
        }
        *ret_base = slash ? slash + 1 : name;
        if (p->parent >= 0 && str_eq(folder, p->parent_name))
                return 0;
        p->parent = fd_close(p->parent);
        int r = fs_open_beneath(p->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, true, &p->parent, e);
        if (r == FS_E_MISSING) {
                const char *base;
                r = enter_parent(p, folder, &base, e);
                if (r == 0 && mkdirat(p->parent, base, 0755) < 0)
                        return failed(p, "make the folder", folder, e);
                p->parent = fd_close(p->parent);
                r = r < 0 ? r
                          : fs_open_beneath(p->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, true, &p->parent,
                                            e);
        }
        if (r != 0)
                return failed(p, "open the folder", folder, e);
        str_copy(p->parent_name, sizeof(p->parent_name), folder);
        return 0;
}

static int remember_folder(struct put *p, const struct tar_entry *t, struct err *e)
{
        if (p->n_folders == p->cap_folders) {
                size_t cap = p->cap_folders ? 2 * p->cap_folders : 64;
                struct folder *more = reallocarray(p->folders, cap, sizeof(*more));
                if (!more)
                        return err_nomem(e);
                p->folders = more;
                p->cap_folders = cap;
        }
        char *name = str_dup(t->name);
        if (!name)
                return err_nomem(e);
        p->folders[p->n_folders++] = (struct folder){name, t->mode & 0777, t->mtime};
        return 0;
}

static int put_folder(struct put *p, const struct tar_entry *t, const char *base, struct err *e)
{
        if (mkdirat(p->parent, base, 0700) < 0) {
                struct stat st;
                if (errno != EEXIST)
                        return failed(p, "make the folder", t->name, e);
                if (fstatat(p->parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)) {
                        if (unlinkat(p->parent, base, 0) < 0 || mkdirat(p->parent, base, 0700) < 0)
                                return failed(p, "make the folder", t->name, e);
                }
        }
        return remember_folder(p, t, e);
}

static int put_file(struct put *p, const struct tar_entry *t, const char *base, struct err *e)
{
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        mode_t mode = t->mode & 0777;
        p->file = openat(p->parent, base, flags, mode);
        if (p->file < 0 && errno == EEXIST && unlinkat(p->parent, base, 0) == 0)
                p->file = openat(p->parent, base, flags, mode);
        return p->file < 0 ? failed(p, "make the file", t->name, e) : 0;
}

static int put_link(struct put *p, const struct tar_entry *t, const char *base, struct err *e)
{
        int r = symlinkat(t->link, p->parent, base);
        if (r < 0 && errno == EEXIST && unlinkat(p->parent, base, 0) == 0)
                r = symlinkat(t->link, p->parent, base);
        if (r < 0)
                return failed(p, "make the link", t->name, e);
        const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = t->mtime}};
        utimensat(p->parent, base, times, AT_SYMLINK_NOFOLLOW);
        return 0;
}

static int on_entry(const struct tar_entry *t, void *user, struct err *e)
{
        struct put *p = user;
        const char *base;
        p->entries++;
        p->mtime = t->mtime;
        if (str_eq(t->name, "."))
                return remember_folder(p, t, e);
        int r = enter_parent(p, t->name, &base, e);
        if (r < 0)
                return r;
        if (t->type == TAR_FOLDER)
                return put_folder(p, t, base, e);
        return t->type == TAR_FILE ? put_file(p, t, base, e) : put_link(p, t, base, e);
}

static int on_bytes(const void *data, size_t len, void *user, struct err *e)
{
        struct put *p = user;
        p->bytes += len;
        int r = fd_write_all(p->file, data, len, "a file", e);
        if (r < 0)
                p->errnum = e->errnum;
        return r;
}

static int on_entry_end(void *user, struct err *e)
{
        struct put *p = user;
        if (p->file < 0)
                return 0;
        const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = p->mtime}};
        int r = futimens(p->file, times) < 0 ? failed(p, "set the time of", "a file", e) : 0;
        p->file = fd_close(p->file);
        return r;
}

static int finish_folders(struct put *p, struct err *e)
{
        for (size_t i = p->n_folders; i-- > 0;) {
                const struct folder *f = &p->folders[i];
                const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = f->mtime}};
                AUTO(auto_close) int fd = -1;
                if (fs_open_beneath(p->root, f->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false, &fd, e) != 0)
                        return failed(p, "open the folder", f->name, e);
                /* The target itself may be another user's. */
                if ((fchmod(fd, f->mode) < 0 || futimens(fd, times) < 0) && !str_eq(f->name, "."))
                        return failed(p, "set the mode of", f->name, e);
        }
        return 0;
}

static int unpack(struct put *p, struct err *e)
{
        const struct tar_limits limits = {
                .types = TAR_FILE | TAR_FOLDER | TAR_SYMLINK,
                .max_name = TAR_MAX_NAME - 1,
                .max_entries = PUT_MAX_ENTRIES,
                .max_size = PUT_MAX_TOTAL,
                .max_total = PUT_MAX_TOTAL,
        };
        const struct tar_sink sink = {.entry = on_entry, .data = on_bytes, .end = on_entry_end};
        static uint8_t data[PUT_READ];
        struct tar_reader *reader = NULL;
        ssize_t n = 0;
        int r = tar_reader_new(&limits, &sink, p, "put", &reader, e);
        while (r == 0 && (n = read(CHILD_REPORT, data, sizeof(data))) > 0)
                r = tar_reader_feed(reader, data, (size_t)n, e);
        if (r == 0 && n < 0)
                r = failed(p, "read", "the stream", e);
        r = r < 0 ? r : tar_reader_finish(reader, e);
        tar_reader_free(reader);
        return r < 0 ? r : finish_folders(p, e);
}

/* The closing field list: what became of it. */
static int conclude(const struct put *p, int failure, const struct err *why, struct err *e)
{
        AUTO(buf_done) struct buf list = BUF_INIT;
        size_t mark;
        int r = fields_begin(&list, &mark, e);
        r = r < 0 ? r : fields_add_str(&list, "status", failure < 0 ? "error" : "ok", e);
        if (r == 0 && failure < 0)
                r = fields_add_str(&list, "code", p->errnum ? child_code(p->errnum) : "invalid", e);
        if (r == 0 && failure < 0)
                r = fields_add_str(&list, "message", why->msg, e);
        r = r < 0 ? r : fields_add_u64(&list, "entries", p->entries, e);
        r = r < 0 ? r : fields_add_u64(&list, "bytes", p->bytes, e);
        r = r < 0 ? r : fields_end(&list, mark, e);
        return r < 0 ? r : fd_write_all(CHILD_REPORT, list.data, list.len, "answer", e);
}

/* After a failure the opener may be in the middle of its stream; a socket that is closed with bytes in it would take
 * the answer along. */
static void throw_rest_away(void)
{
        static uint8_t data[PUT_READ];
        while (read(CHILD_REPORT, data, sizeof(data)) > 0)
                continue;
}

static void empty_folder(int root)
{
        struct err e = ERR_INIT;
        char path[NAME_MAX + 64];
        int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO(auto_closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
        if (!d)
                child_fail_errno(errno, "read the folder");
        for (struct dirent *entry; (entry = readdir(d));) {
                if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
                        continue;
                snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", root, entry->d_name);
                if (fs_remove_tree(path, &e) < 0)
                        child_fail_errno(e.errnum ? e.errnum : EIO, "empty the folder");
        }
}

int work_put(const struct fields *request, const struct user *user, struct err *e)
{
        const char *path = worker_path(request, "path");
        struct err why = ERR_INIT;
        uint64_t wipe;
        (void)user;
        if (fields_u64_opt(request, "wipe", 0, 1, &wipe, &why) < 0)
                child_fail("invalid", "%s", why.msg);
        struct put p = {.parent = -1, .file = -1};
        p.root = worker_open_folder(path, 0755);
        if (p.root < 0)
                child_fail_errno(errno, "make the folder %s", path);
        if (wipe)
                empty_folder(p.root);
        child_report_ok();
        int r = unpack(&p, &why);
        r = conclude(&p, r, &why, e);
        throw_rest_away();
        return r;
}
