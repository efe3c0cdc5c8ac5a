#include "blob/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/manifest.h"
#include "blob/merge.h"
#include "blob/names.h"
#include "blob/stage.h"
#include "blob/store.h"
#include "codec/hash.h"
#include "codec/tar.h"

#define CHUNK (64u << 10)
#define SHOWN 512 /* bytes of a name in a message */

CLEANUP_DEFINE(struct hash, hash_free)
CLEANUP_DEFINE(struct tar_reader, tar_reader_free)

struct unpack {
        const struct unpack_options *options;
        bool merging; /* into a folder that is there */
        struct stage stage;
        int file;          /* the one that is being written */
        char shown[SHOWN]; /* its name, for messages */
};

/* ---- one file ---- */

static bool lies_in_git(const char *name)
{
        for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
                if (strcspn(part, "/") == 4 && strncasecmp(part, ".git", 4) == 0)
                        return true;
        return false;
}

static int check_name(const struct unpack *u, const char *name, struct err *e)
{
        const char *problem = artifact_path_problem(name);
        if (problem)
                return err_set(e, ERR_USAGE, "the artifact has a file '%s', which %s", u->shown, problem);
        if (u->merging && lies_in_git(name))
                return err_set(e, ERR_USAGE,
                               "the artifact has a file '%s', which could change what git does in %s; have it in a "
                               "folder that is not there yet (--out)",
                               u->shown, u->options->folder);
        return 0;
}

static int in_the_way(const struct unpack *u, struct err *e)
{
        if (errno == EEXIST || errno == ENOTDIR || errno == EISDIR || errno == ELOOP)
                return err_set(e, ERR_USAGE, "the artifact has '%s' twice, or as a file and as a folder", u->shown);
        if (errno == ENAMETOOLONG)
                return err_set(e, ERR_USAGE, "the artifact has a file '%s', whose name is too long for this host",
                               u->shown);
        return err_errno(e, ERR_RESOURCES, errno, "make '%s'", u->shown);
}

/* The folder of a file, made; *ret_base is the file's own name. */
static int open_parent(const struct unpack *u, const char *name, int *ret, const char **ret_base, struct err *e)
{
        AUTO(auto_close) int at = fcntl(u->stage.fd, F_DUPFD_CLOEXEC, 3);
        const char *slash;
        for (; at >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
                AUTO(auto_free) char *part = str_ndup(name, (size_t)(slash - name));
                if (!part)
                        return err_nomem(e);
                if (mkdirat(at, part, 0777) < 0 && errno != EEXIST)
                        return in_the_way(u, e);
                int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (next < 0)
                        return in_the_way(u, e);
                fd_close(at);
                at = next;
        }
        if (at < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make '%s'", u->shown);
        *ret = TAKE_FD(at);
        *ret_base = name;
        return 0;
}

static int on_entry(const struct tar_entry *t, void *user, struct err *e)
{
        struct unpack *u = user;
        AUTO(auto_close) int parent = -1;
        const char *base = "";
        str_escape(u->shown, sizeof(u->shown), t->name, strlen(t->name));
        int r = check_name(u, t->name, e);
        if (r == 0)
                r = open_parent(u, t->name, &parent, &base, e);
        if (r < 0)
                return r;
        u->file = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        return u->file < 0 ? in_the_way(u, e) : 0;
}

static int on_data(const void *data, size_t len, void *user, struct err *e)
{
        struct unpack *u = user;
        return fd_write_all(u->file, data, len, u->shown, e);
}

static int on_end(void *user, struct err *e)
{
        struct unpack *u = user;
        (void)e;
        u->file = fd_close(u->file);
        return 0;
}

/* ---- the archive ---- */

static int read_on(struct unpack *u, int fd, struct hash *h, struct tar_reader *tar, struct err *e)
{
        uint8_t chunk[CHUNK];
        for (;;) {
                if (u->options->stop && *u->options->stop)
                        return err_set(e, ERR_CANCELLED, "interrupted; nothing was written");
                ssize_t n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read an archive of the store");
                if (n == 0)
                        return 0;
                int r = hash_add(h, chunk, (size_t)n, e);
                if (r == 0)
                        r = tar_reader_feed(tar, chunk, (size_t)n, e);
                if (r < 0)
                        return r;
        }
}

static int read_archive(struct unpack *u, int fd, const struct store_entry *x, struct err *e)
{
        static const struct tar_sink sink = {.entry = on_entry, .data = on_data, .end = on_end};
        const struct tar_limits limits = {.types = TAR_FILE,
                                          .max_name = TAR_MAX_NAME,
                                          .max_entries = ARTIFACT_MAX_FILES,
                                          .max_size = ARTIFACT_MAX_BYTES,
                                          .max_total = ARTIFACT_MAX_BYTES};
        AUTO(hash_freep) struct hash *h = NULL;
        AUTO(tar_reader_freep) struct tar_reader *tar = NULL;
        int r = hash_new(&h, e);
        if (r == 0)
                r = tar_reader_new(&limits, &sink, u, "artifact", &tar, e);
        if (r == 0)
                r = read_on(u, fd, h, tar, e);
        if (r == 0)
                r = tar_reader_finish(tar, e);
        if (r == 0)
                r = store_verify(h, x, e);
        return r == 0 ? 0 : -1;
}

/* ---- the place ---- */

/* The folder that a path is in. malloc'd; NULL: no memory. */
static char *folder_of(const char *path)
{
        const char *slash = strrchr(path, '/');
        return !slash ? str_dup(".") : str_ndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* The nearest folder above it that is there: what does not exist yet is made when it is filled. */
static int existing_above(const char *path, char **ret, struct err *e)
{
        AUTO(auto_free) char *at = folder_of(path);
        struct stat st;
        while (at && stat(at, &st) < 0) {
                if (errno != ENOENT || str_eq(at, "/") || str_eq(at, "."))
                        return err_errno(e, ERR_USAGE, errno, "look at %s", at);
                char *up = folder_of(at);
                free(at);
                at = up;
        }
        if (!at)
                return err_nomem(e);
        if (!S_ISDIR(st.st_mode))
                return err_set(e, ERR_USAGE, "%s is no folder", at);
        *ret = TAKE_PTR(at);
        return 0;
}

static int publish_new(struct unpack *u, const char *folder, struct err *e)
{
        AUTO(auto_free) char *above = folder_of(folder);
        int r = above ? fs_mkdirs(above, 0777, e) : err_nomem(e);
        return r < 0 ? r : stage_publish(&u->stage, folder, e);
}

static int unpack_to(struct unpack *u, int fd, const struct store_entry *x, const char *folder, struct err *e)
{
        AUTO(auto_free) char *above = NULL;
        int r = 0;
        if (!u->merging)
                r = existing_above(folder, &above, e);
        if (r == 0)
                r = stage_make(u->merging ? folder : above, &u->stage, e);
        if (r == 0)
                r = read_archive(u, fd, x, e);
        if (r < 0)
                return r;
        return u->merging ? merge_folder(&u->stage, u->options->force, e) : publish_new(u, folder, e);
}

int unpack_artifact(int archive_fd, const struct store_entry *x, const struct unpack_options *o, struct err *e)
{
        AUTO(auto_free) char *folder = str_dup(o->folder);
        struct unpack u = {.options = o, .stage = STAGE_INIT, .file = -1};
        struct stat st;
        if (!folder)
                return err_nomem(e);
        for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
                folder[n - 1] = '\0';
        u.merging = stat(folder, &st) == 0;
        if (u.merging && !S_ISDIR(st.st_mode))
                return err_set(e, ERR_USAGE, "%s is no folder", folder);
        int r = unpack_to(&u, archive_fd, x, folder, e);
        fd_close(u.file);
        stage_done(&u.stage);
        return r;
}
