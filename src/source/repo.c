/* Order matters: format and extensions are checked before anything of the repository is believed; refs are read loose
 * first, packed second, because `git pack-refs` writes the packed file before it removes the loose ones. */
#include "source/repo.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "source/gitfile.h"
#include "source/limits.h"
#include "source/names.h"
#include "source/refs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_REF_LEVELS 32
#define MAX_REF_FILE 4096
#define MAX_EXCLUDE (1u << 20)

/* What our git folder says. Everything that could run or fetch something is named although nothing sets it. */
static const char own_config[] = "[core]\n"
                                 "\trepositoryformatversion = %d\n"
                                 "\tbare = false\n"
                                 "\tfsmonitor = false\n"
                                 "\thooksPath = /dev/null\n"
                                 "\tattributesFile = /dev/null\n"
                                 "\texcludesFile = /dev/null\n"
                                 "\tuntrackedCache = false\n"
                                 "\tcheckStat = minimal\n" /* ids and inodes differ in the jail */
                                 "\tbigFileThreshold = 32m\n"
                                 "\tcompression = 1\n"
                                 "\tfsync = none\n" /* what is made here lives for one job */
                                 "[pack]\n"
                                 "\twindow = 0\n" /* deltas are reused, none are searched for a copy of one job */
                                 "\tthreads = 1\n"
                                 "\twriteReverseIndex = false\n"
                                 "[gc]\n"
                                 "\tauto = 0\n"
                                 "[tar]\n"
                                 "\tumask = 0022\n" /* of `git archive` */
                                 "[protocol]\n"
                                 "\tallow = never\n"
                                 "[submodule]\n"
                                 "\trecurse = false\n"
                                 "%s";

int repo_read_file(const char *folder, const char *path, size_t max, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        if (dir < 0)
                return err_errno(e, ERR_USAGE, errno, "open the git folder");
        AUTO(auto_close) int fd = fd_open_beneath(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, false);
        if (fd < 0 && errno == ENOENT)
                return FS_E_MISSING;
        if (fd < 0 && errno == ELOOP)
                return err_set(e, ERR_USAGE, "%s in the git folder is a symbolic link, which is not followed", path);
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "read %s in the git folder", path);
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s in the git folder: expected a regular file", path);
        return fd_read_all(fd, max, path, ret, e);
}

static int write_own(const struct repo *r, const char *name, const void *data, size_t len, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(r->own, name);
        if (!path)
                return err_nomem(e);
        AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make a private git folder");
        return fd_write_all(fd, data, len, name, e);
}

static int write_config(const struct repo *r, struct err *e)
{
        bool sha256 = r->config.hex_len == 64;
        AUTO(auto_free)
        char *text = str_printf(own_config, sha256 ? 1 : 0, sha256 ? "[extensions]\n\tobjectformat = sha256\n" : "");
        return text ? write_own(r, "config", text, strlen(text), e) : err_nomem(e);
}

static int make_own(struct repo *r, struct err *e)
{
        static const char *const folders[] = {"refs", "info", "objects/info", "objects/pack"};
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
                AUTO(auto_free) char *path = fs_join(r->own, folders[i]);
                int rc = path ? fs_mkdirs(path, 0700, e) : err_nomem(e);
                if (rc < 0)
                        return rc;
        }
        AUTO(auto_free) char *alternate = str_printf("%s/objects\n", r->common);
        if (!alternate)
                return err_nomem(e);
        r->config.hex_len = 40;
        int rc = write_own(r, "objects/info/alternates", alternate, strlen(alternate), e);
        if (rc == 0)
                rc = write_own(r, "HEAD", "ref: refs/heads/none\n", 21, e);
        return rc < 0 ? rc : write_config(r, e);
}

static int read_config(struct repo *r, struct err *e)
{
        /* From standard input: git opens no file of the repository for this, and includes are off. */
        static const char *const args[] = {"config", "--file", "-", "--no-includes", "--null", "--list", NULL};
        AUTO(buf_done) struct buf file = BUF_INIT, listed = BUF_INIT;
        int rc = repo_read_file(r->common, "config", SOURCE_MAX_CONFIG, &file, e);
        if (rc < 0)
                return rc;
        if (file.len > 0)
                rc = git_text(&r->git, args, file.data, file.len, SOURCE_MAX_CONFIG * 2, &listed, e);
        if (rc < 0)
                return err_wrap(e, rc, "read the repository's configuration");
        repo_config_done(&r->config);
        return repo_config_parse(listed.data, listed.len, &r->config, e);
}

static int check_back_link(const struct repo *r, const struct repo_view *view, struct err *e)
{
        AUTO(auto_free) char *named = r->config.worktree ? path_tidy(view->host_gitdir, r->config.worktree) : NULL;
        if (named && view->host_top && str_eq(named, view->host_top))
                return 0;
        return err_set(e, ERR_USAGE,
                       "the .git file leads to a git folder that does not name this work tree back (core.worktree); "
                       "make it do so: git config core.worktree \"$PWD\"");
}

static int check_alternates(const struct repo *r, struct err *e)
{
        AUTO(buf_done) struct buf file = BUF_INIT;
        int rc = repo_read_file(r->common, "objects/info/alternates", SOURCE_MAX_GITFILE, &file, e);
        if (rc < 0)
                return rc;
        if (rc == FS_E_MISSING || file.len == 0)
                return 0;
        return err_set(e, ERR_USAGE,
                       "the repository borrows objects from another one (objects/info/alternates); "
                       "make it whole: git repack -a -d && rm .git/objects/info/alternates");
}

static int read_ref(struct repo *r, int dir, const char *entry, const char *name, struct err *e)
{
        AUTO(auto_close) int fd = fd_open_beneath(dir, entry, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, false);
        AUTO(buf_done) struct buf file = BUF_INIT;
        AUTO(auto_free) char *id = NULL, *target = NULL;
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 0; /* it was removed while we looked, or is nothing that git writes */
        int rc = fd_read_all(fd, MAX_REF_FILE, name, &file, e);
        if (rc < 0)
                return rc;
        /* An empty file is what a crash leaves; git, too, goes on with a warning. Symbolic refs are not copied. */
        if (file.len == 0)
                return 0;
        rc = ref_file_parse(file.data, file.len, r->config.hex_len, name, &id, &target, e);
        if (rc < 0 || target)
                return rc;
        return refs_set(r->refs, name, id, e);
}

/* fd is taken over. prefix: "refs" or "refs/heads/feature". */
static int walk_refs(struct repo *r, int fd, const char *prefix, unsigned level, struct err *e)
{
        AUTO(auto_closedir) DIR *dir = fdopendir(fd);
        if (!dir) {
                fd_close(fd);
                return err_errno(e, ERR_RESOURCES, errno, "list %s", prefix);
        }
        AUTO(strv_done) struct strv entries = STRV_INIT;
        int rc = fs_names(dir, prefix, &entries, e);
        if (rc < 0)
                return rc;
        for (size_t i = 0; i < entries.n; i++) {
                AUTO(auto_free) char *name = fs_join(prefix, entries.v[i]);
                if (!name)
                        return err_nomem(e);
                if (!ref_name_is_valid(name)) /* lock files, and what no ref can be called */
                        continue;
                int sub = fd_open_beneath(dirfd(dir), entries.v[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false);
                if (sub < 0)
                        rc = read_ref(r, dirfd(dir), entries.v[i], name, e);
                else if (level < MAX_REF_LEVELS)
                        rc = walk_refs(r, sub, name, level + 1, e);
                else
                        fd_close(sub);
                if (rc < 0)
                        return rc;
        }
        return 0;
}

static int read_refs(struct repo *r, struct err *e)
{
        AUTO(buf_done) struct buf packed = BUF_INIT, out = BUF_INIT;
        AUTO(auto_close) int common = open(r->common, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int rc = refs_new(r->config.hex_len, &r->refs, e);
        if (rc < 0)
                return rc;
        int fd = fd_open_beneath(common, "refs", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false);
        rc = fd >= 0 ? walk_refs(r, fd, "refs", 0, e) : 0;
        if (rc == 0)
                rc = repo_read_file(r->common, "packed-refs", SOURCE_MAX_PACKED_REFS, &packed, e);
        if (rc == 0)
                rc = refs_add_packed(r->refs, packed.data, packed.len, e);
        if (rc >= 0)
                rc = refs_write_packed(r->refs, &out, e);
        return rc < 0 ? rc : write_own(r, "packed-refs", out.data, out.len, e);
}

static int read_head(struct repo *r, struct err *e)
{
        AUTO(buf_done) struct buf file = BUF_INIT;
        int rc = repo_read_file(r->gitdir, "HEAD", MAX_REF_FILE, &file, e);
        if (rc < 0)
                return err_wrap(e, rc, "read HEAD");
        if (rc == FS_E_MISSING)
                return err_set(e, ERR_USAGE, "the git folder has no file HEAD; is this a git repository?");
        rc = ref_file_parse(file.data, file.len, r->config.hex_len, "HEAD", &r->head_id, &r->head_name, e);
        if (rc < 0)
                return rc;
        const char *id = r->head_name ? refs_get(r->refs, r->head_name) : NULL;
        if (id && !(r->head_id = str_dup(id)))
                return err_nomem(e);
        return r->head_id ? write_own(r, "HEAD", r->head_id, strlen(r->head_id), e) : 0;
}

static int read_shallow(struct repo *r, struct err *e)
{
        AUTO(buf_done) struct buf file = BUF_INIT;
        int rc = repo_read_file(r->common, "shallow", SOURCE_MAX_SHALLOW, &file, e);
        if (rc < 0 || rc == FS_E_MISSING || file.len == 0)
                return rc < 0 ? rc : 0;
        size_t n = r->config.hex_len + 1;
        for (size_t at = 0; at < file.len; at += n) {
                char id[OID_MAX_HEX + 1] = "";
                if (file.len - at >= n && file.data[at + n - 1] == '\n')
                        memcpy(id, file.data + at, n - 1);
                if (!oid_is_valid(id, n - 1))
                        return err_set(e, ERR_USAGE, "the repository's file 'shallow' is damaged at byte %zu", at);
        }
        r->shallow = true;
        return write_own(r, "shallow", file.data, file.len, e);
}

static int read_exclude(struct repo *r, struct err *e)
{
        AUTO(buf_done) struct buf file = BUF_INIT;
        int rc = repo_read_file(r->common, "info/exclude", MAX_EXCLUDE, &file, e);
        return rc < 0 ? rc : rc == FS_E_MISSING ? 0 : write_own(r, "info/exclude", file.data, file.len, e);
}

/* A split index names its other half "sharedindex.ID" in the git folder. */
static int link_shared_index(const char *name, void *user, struct err *e)
{
        const struct repo *r = user;
        if (!str_starts(name, "sharedindex.") || !oid_is_prefix(name + 12, OID_MAX_HEX))
                return 0;
        AUTO(auto_free) char *from = fs_join(r->gitdir, name), *to = fs_join(r->own, name);
        if (!from || !to)
                return err_nomem(e);
        return symlink(from, to) < 0 ? err_errno(e, ERR_RESOURCES, errno, "make a private git folder") : 0;
}

static int open_view(struct repo *r, const struct repo_view *view, const char *own, int peer_fd, struct err *e)
{
        r->top = str_dup(view->top);
        r->gitdir = str_dup(view->gitdir);
        r->common = str_dup(view->common);
        r->own = str_dup(own);
        if ((view->top && !r->top) || !r->gitdir || !r->common || !r->own)
                return err_nomem(e);
        if (r->top && (r->top_fd = open(r->top, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
                return err_errno(e, ERR_USAGE, errno, "open the work tree");
        r->git = (struct git){.gitdir = r->own, .peer_fd = peer_fd};
        return make_own(r, e);
}

int repo_open(const struct repo_view *view, const char *own, bool need_back_link, int peer_fd, struct repo *ret,
              struct err *e)
{
        *ret = (struct repo)REPO_INIT;
        int r = open_view(ret, view, own, peer_fd, e);
        if (r == 0)
                r = read_config(ret, e);
        if (r == 0 && need_back_link)
                r = check_back_link(ret, view, e);
        if (r == 0)
                r = write_config(ret, e);
        if (r == 0)
                r = check_alternates(ret, e);
        if (r == 0)
                r = read_refs(ret, e);
        if (r == 0)
                r = read_head(ret, e);
        if (r == 0)
                r = read_shallow(ret, e);
        if (r == 0)
                r = read_exclude(ret, e);
        if (r == 0)
                r = fs_list(ret->gitdir, link_shared_index, ret, e);
        return r < 0 ? r : 0;
}

void repo_done(struct repo *r)
{
        fd_close(r->top_fd);
        free(r->top);
        free(r->gitdir);
        free(r->common);
        free(r->own);
        free(r->head_id);
        free(r->head_name);
        repo_config_done(&r->config);
        refs_free(r->refs);
        *r = (struct repo)REPO_INIT;
}

static int append_output(const uint8_t *data, size_t len, void *user, struct err *e)
{
        return buf_append(user, data, len, e);
}

int repo_commit(const struct repo *r, const char *id, char **ret, struct err *e)
{
        AUTO(auto_free) char *spec = str_printf("%s^{commit}", id), *message = NULL;
        AUTO(buf_done) struct buf out = BUF_INIT_MAX(1024);
        if (!spec)
                return err_nomem(e);
        const char *const args[] = {"rev-parse", "--verify", "--quiet", spec, NULL};
        const struct git_call call = {.args = args, .output = append_output, .user = &out};
        int rc = git_call(&r->git, &call, &message, e);
        if (rc != 0)
                return rc == GIT_E_FAILED ? REPO_E_MISSING : rc;
        AUTO(auto_free) char *line = buf_take_str(&out);
        if (!line)
                return err_nomem(e);
        line[strcspn(line, "\n")] = '\0';
        if (!oid_is_valid(line, r->config.hex_len))
                return REPO_E_MISSING;
        *ret = TAKE_PTR(line);
        return 0;
}

const char *repo_missing_hint(const struct repo *r)
{
        if (r->config.partial)
                return "; this is a partial clone, and devdep never fetches: git fetch --refetch --no-filter brings "
                       "the missing objects";
        if (r->shallow)
                return "; this is a shallow clone: git fetch --unshallow brings the rest of the history";
        return "";
}

int repo_need_whole(const struct repo *r, const char *commit, struct err *e)
{
        AUTO(buf_done) struct buf file = BUF_INIT;
        size_t n = r->config.hex_len;
        int rc = r->shallow ? repo_read_file(r->own, "shallow", SOURCE_MAX_SHALLOW, &file, e) : FS_E_MISSING;
        if (rc != 0)
                return rc == FS_E_MISSING ? 0 : rc;
        for (size_t at = 0; at + n < file.len; at += n + 1)
                if (memcmp(file.data + at, commit, n) == 0)
                        return err_set(e, ERR_USAGE, "the history ends at the commit %.12s%s", commit,
                                       repo_missing_hint(r));
        return 0;
}
