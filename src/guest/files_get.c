/* get: a file or a folder as a tar stream. Run by a worker, as the request's user. Links are entries, not followed
 * below the path; sockets, pipes and devices are left out; entries of a folder come in byte order. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/tar.h"
#include "guest/child.h"
#include "guest/users.h"
#include "guest/worker.h"
#include "wire/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GET_MAX_DEPTH 128
#define GET_MAX_BYTES ((uint64_t)1 << 40)
#define GET_COPY ((size_t)64 << 10)

struct get {
        struct buf out; /* headers, and small files; sent when it is large */
        uint64_t left;  /* bytes of the stream that may still be sent */
};

static int flush(struct get *g, struct err *e)
{
        if (g->out.len > g->left)
                return err_set(e, ERR_RESOURCES, "more bytes than asked for");
        g->left -= g->out.len;
        int r = fd_write_all(CHILD_REPORT, g->out.data, g->out.len, "the stream", e);
        buf_clear(&g->out);
        return r;
}

static int write_header(struct get *g, const struct stat *st, enum tar_type type, const char *name, const char *link,
                        struct err *e)
{
        struct tar_entry t = {
                .type = type,
                .name = name,
                .link = link,
                .mode = st->st_mode & 07777,
                .uid = st->st_uid,
                .gid = st->st_gid,
                .size = type == TAR_FILE ? (uint64_t)st->st_size : 0,
                .mtime = st->st_mtime,
        };
        return tar_write_entry(&t, &g->out, e);
}

static int copy_file(struct get *g, int fd, uint64_t size, const char *name, struct err *e)
{
        for (uint64_t done = 0; done < size;) {
                size_t want = (size_t)MIN(size - done, GET_COPY);
                int r = buf_reserve(&g->out, want, e);
                if (r < 0)
                        return r;
                ssize_t n = read(fd, g->out.data + g->out.len, want);
                if (n <= 0) /* it shrank: the entry cannot be completed */
                        return err_set(e, ERR_RESOURCES, "read %s: expected %zu more bytes", name, want);
                g->out.len += (size_t)n;
                done += (uint64_t)n;
                r = g->out.len >= GET_COPY ? flush(g, e) : 0;
                if (r < 0)
                        return r;
        }
        static const uint8_t zeros[TAR_BLOCK];
        return buf_append(&g->out, zeros, tar_padding(size), e);
}

static int get_file(struct get *g, int folder, const char *base, const char *name, struct err *e)
{
        struct stat st;
        AUTO(auto_close) int fd = openat(folder, base, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open %s", name);
        if (!S_ISREG(st.st_mode))
                return 0; /* it changed under our eyes: left out as it would have been */
        int r = write_header(g, &st, TAR_FILE, name, "", e);
        return r < 0 ? r : copy_file(g, fd, (uint64_t)st.st_size, name, e);
}

static int get_link(struct get *g, int folder, const char *base, const char *name, const struct stat *st, struct err *e)
{
        char target[TAR_MAX_NAME];
        ssize_t n = readlinkat(folder, base, target, sizeof(target) - 1);
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the link %s", name);
        target[n] = 0;
        return write_header(g, st, TAR_SYMLINK, name, target, e);
}

static int get_folder(struct get *g, int folder, const char *name, unsigned depth, struct err *e);

static int get_entry(struct get *g, int folder, const char *base, const char *name, unsigned depth, struct err *e)
{
        struct stat st;
        if (fstatat(folder, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "look at %s", name);
        if (S_ISREG(st.st_mode))
                return get_file(g, folder, base, name, e);
        if (S_ISLNK(st.st_mode))
                return get_link(g, folder, base, name, &st, e);
        if (!S_ISDIR(st.st_mode))
                return 0;
        int r = write_header(g, &st, TAR_FOLDER, name, "", e);
        if (r < 0)
                return r;
        int fd = openat(folder, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? err_errno(e, ERR_RESOURCES, errno, "open %s", name) : get_folder(g, fd, name, depth + 1, e);
}

/* Everything in a folder; takes it over. */
static int get_folder(struct get *g, int folder, const char *name, unsigned depth, struct err *e)
{
        AUTO(auto_closedir) DIR *d = fdopendir(folder);
        AUTO(strv_done) struct strv names = STRV_INIT;
        if (!d) {
                fd_close(folder);
                return err_nomem(e);
        }
        if (depth > GET_MAX_DEPTH)
                return err_set(e, ERR_RESOURCES, "%s: more than %d folders deep", name, GET_MAX_DEPTH);
        int r = fs_names(d, name, &names, e);
        for (size_t i = 0; r == 0 && i < names.n; i++) {
                AUTO(auto_free)
                char *full = str_eq(name, ".") ? str_dup(names.v[i]) : str_printf("%s/%s", name, names.v[i]);
                r = full ? get_entry(g, dirfd(d), names.v[i], full, depth, e) : err_nomem(e);
        }
        return r;
}

static int finish(struct get *g, int r, struct err *e)
{
        r = r < 0 ? r : tar_write_end(&g->out, e);
        r = r < 0 ? r : flush(g, e);
        buf_done(&g->out);
        return r;
}

int work_get(const struct fields *request, const struct user *user, struct err *e)
{
        const char *path = worker_path(request, "path");
        struct get g = {.out = BUF_INIT};
        struct err why = ERR_INIT;
        struct stat st;
        char real[PATH_MAX];
        (void)user;
        if (fields_u64(request, "max", GET_MAX_BYTES, &g.left, &why) < 0)
                child_fail("invalid", "%s", why.msg);
        if (!realpath(path, real) || stat(real, &st) < 0)
                child_fail_errno(errno, "open %s", path);
        if (S_ISDIR(st.st_mode)) {
                int folder = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (folder < 0)
                        child_fail_errno(errno, "open %s", path);
                child_report_ok();
                int r = write_header(&g, &st, TAR_FOLDER, ".", "", e);
                return finish(&g, r < 0 ? r : get_folder(&g, folder, ".", 0, e), e);
        }
        if (!S_ISREG(st.st_mode))
                child_fail("invalid", "%s is neither a file nor a folder", path);
        if ((uint64_t)st.st_size + tar_padding((uint64_t)st.st_size) + 3 * TAR_BLOCK > g.left)
                child_fail("too-large", "%s is larger than asked for", path);
        if (access(real, R_OK) < 0)
                child_fail_errno(errno, "open %s", path);
        child_report_ok();
        const char *base = strrchr(path, '/') + 1;
        return finish(&g, get_file(&g, AT_FDCWD, real, base, e), e);
}
