/* The private tree of a jail. Every mount is first made detached (nothing on the host can see it), then given its
 * attributes, then attached to an empty tmpfs, and the process pivots into that. Nothing is ever mounted in the host's
 * own namespace. */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"

struct piece {
        const char *to; /* in the jail, absolute */
        int tree;       /* detached mount, or -1 for a link */
        char *link;     /* target of a symbolic link, owned */
        bool is_dir;
};

struct sandbox_root {
        const struct sandbox *s;
        bool root;
        struct piece pieces[SANDBOX_MAX_BINDS + 4];
        unsigned n;
};

static const struct sandbox_bind device_binds[] = {
        {.from = "/dev/null"},
        {.from = "/dev/zero"},
        {.from = "/dev/urandom"},
        {.from = "/dev/kvm"},
};

const struct sandbox_bind sandbox_binds_libraries[] = {
        {.from = "/usr/lib", .executable = true},       {.from = "/usr/lib64", .executable = true, .optional = true},
        {.from = "/lib", .executable = true},           {.from = "/lib64", .executable = true, .optional = true},
        {.from = "/etc/ld.so.cache", .optional = true},
};
const unsigned sandbox_n_binds_libraries = ARRAY_SIZE(sandbox_binds_libraries);

/* fsmount() of a new file system with up to three options given as "key=value". */
static int new_fs(const char *type, const char *const (*options)[2], unsigned n, unsigned attrs, int *ret,
                  struct err *e)
{
        AUTO(auto_close) int fs = fsopen(type, FSOPEN_CLOEXEC);

        if (fs < 0)
                return err_errno(e, ERR_RESOURCES, errno, "fsopen %s", type);
        for (unsigned i = 0; i < n; i++) {
                if (fsconfig(fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "%s option %s", type, options[i][0]);
        }
        if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "create a %s", type);
        *ret = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
        if (*ret < 0)
                return err_errno(e, ERR_RESOURCES, errno, "mount a %s", type);
        return 0;
}

/* The owner of a repository appears as the jail's user: git refuses other owners, and mode 0600 files stay readable. */
static int idmap_tree(const struct sandbox *s, const struct sandbox_bind *b, int tree, struct err *e)
{
        AUTO(auto_close) int ns = -1;
        struct stat st;
        int r;

        if (fstat(tree, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "stat %s", b->from);
        r = sandbox_idmap_ns(st.st_uid, st.st_gid, s->uid, s->gid, &ns, e);
        if (r < 0)
                return r;
        struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)ns};
        if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "map the owner of %s to the jail's user", b->from);
        return 0;
}

static int piece_attributes(const struct sandbox_root *t, const struct sandbox_bind *b, bool device, int tree,
                            struct err *e)
{
        struct mount_attr a = {.attr_set = MOUNT_ATTR_NOSUID};

        if (!b->executable)
                a.attr_set |= MOUNT_ATTR_NOEXEC;
        if (!device)
                a.attr_set |= MOUNT_ATTR_NODEV;
        if (!b->writable && !device)
                a.attr_set |= MOUNT_ATTR_RDONLY;
        if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "restrict the mount of %s", b->from);
        if (b->idmap_owner && t->root)
                return idmap_tree(t->s, b, tree, e);
        return 0;
}

static int piece_link(struct piece *p, const char *from, struct err *e)
{
        char target[256];
        ssize_t n = readlink(from, target, sizeof(target) - 1);

        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the link %s", from);
        target[n] = '\0';
        p->link = str_dup(target);
        return p->link ? 0 : err_nomem(e);
}

/* By path, or for an exact bind by a descriptor that no link led to. */
static int open_from(const struct sandbox_bind *b)
{
        const struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                                     .resolve = b->exact ? RESOLVE_NO_SYMLINKS : 0};

        return (int)syscall(SYS_openat2, AT_FDCWD, b->from, &how, sizeof(how));
}

static int piece_add(struct sandbox_root *t, const struct sandbox_bind *b, bool device, struct err *e)
{
        struct piece *p = &t->pieces[t->n];
        AUTO(auto_close) int from = open_from(b);
        struct stat st;

        p->to = b->to ? b->to : b->from;
        p->tree = -1;
        if (from < 0 || fstat(from, &st) < 0) {
                if (b->optional && errno == ENOENT)
                        return 0;
                return err_errno(e, ERR_RESOURCES, errno, "%s, needed in the jail '%s'", b->from, t->s->name);
        }
        t->n++;
        if (S_ISLNK(st.st_mode))
                return piece_link(p, b->from, e);
        p->is_dir = S_ISDIR(st.st_mode);
        /* Recursive: in a user namespace what is mounted below is locked to it and a plain clone is refused. */
        p->tree = open_tree(from, "",
                            AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (p->is_dir ? AT_RECURSIVE : 0));
        if (p->tree < 0)
                return err_errno(e, ERR_RESOURCES, errno, "clone the mount of %s", b->from);
        return piece_attributes(t, b, device, p->tree, e);
}

int sandbox_root_new(const struct sandbox *s, bool root, struct sandbox_root **ret, struct sandbox_report *r,
                     struct err *e)
{
        struct sandbox_root *t;
        int ret_code = 0;

        if (s->n_binds > SANDBOX_MAX_BINDS)
                return err_set(e, ERR_USAGE, "the jail '%s' has %u binds, at most %d are allowed", s->name, s->n_binds,
                               SANDBOX_MAX_BINDS);
        /* Without this what is mounted here would appear on the host. */
        if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make all mounts private");
        sandbox_held_ok(r, SANDBOX_MOUNT_NS);
        t = calloc(1, sizeof(*t));
        if (!t)
                return err_nomem(e);
        t->s = s;
        t->root = root;
        for (unsigned i = 0; i < s->n_binds && ret_code == 0; i++)
                ret_code = piece_add(t, &s->binds[i], false, e);
        for (unsigned i = 0; i < ARRAY_SIZE(device_binds) && ret_code == 0; i++) {
                if ((s->devices & (1u << i)) && !(root && (1u << i) == SANDBOX_DEV_KVM))
                        ret_code = piece_add(t, &device_binds[i], true, e);
        }
        if (ret_code < 0) {
                sandbox_root_free(t);
                return ret_code;
        }
        *ret = t;
        return 0;
}

struct sandbox_root *sandbox_root_free(struct sandbox_root *t)
{
        if (!t)
                return NULL;
        for (unsigned i = 0; i < t->n; i++) {
                fd_close(t->pieces[i].tree);
                free(t->pieces[i].link);
        }
        free(t);
        return NULL;
}

/* Make the parents of an absolute path below dir, and its last part with `leaf` when that is not NULL. */
static int make_path(int dir, const char *path, bool leaf_is_dir, struct err *e)
{
        char part[512];

        if (path[0] != '/' || !str_copy(part, sizeof(part), path + 1))
                return err_set(e, ERR_USAGE, "a path in a jail is absolute and short, found '%s'", path);
        for (char *p = strchr(part, '/'); p; p = strchr(p + 1, '/')) {
                *p = '\0';
                if (mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
                        return err_errno(e, ERR_RESOURCES, errno, "make /%s in the jail", part);
                *p = '/';
        }
        if (leaf_is_dir) {
                if (mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
                        return err_errno(e, ERR_RESOURCES, errno, "make %s in the jail", path);
        } else if (mknodat(dir, part, S_IFREG | 0444, 0) < 0 && errno != EEXIST) {
                return err_errno(e, ERR_RESOURCES, errno, "make %s in the jail", path);
        }
        return 0;
}

static int attach(int dir, const char *to, int tree, bool is_dir, struct err *e)
{
        int r = make_path(dir, to, is_dir, e);

        if (r < 0)
                return r;
        if (move_mount(tree, "", dir, to + 1, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "mount %s in the jail", to);
        return 0;
}

static int attach_piece(int dir, struct piece *p, struct err *e)
{
        char parent[512];
        char *slash;
        int r;

        if (!p->link)
                return attach(dir, p->to, p->tree, p->is_dir, e);
        if (!str_copy(parent, sizeof(parent), p->to) || !(slash = strrchr(parent, '/')))
                return err_set(e, ERR_USAGE, "a path in a jail is absolute and short, found '%s'", p->to);
        *slash = '\0';
        r = parent[0] ? make_path(dir, parent, true, e) : 0;
        if (r < 0)
                return r;
        if (symlinkat(p->link, dir, p->to + 1) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "link %s in the jail", p->to);
        return 0;
}

/* proc is the new pid namespace's: it needs CLONE_NEWPID and, in a container, a host proc that is not masked. */
static int attach_proc(int dir, struct sandbox_report *r, struct err *e)
{
        static const char *const options[][2] = {{"subset", "pid"}, {"hidepid", "invisible"}};
        AUTO(auto_close) int proc = -1;
        struct err why = ERR_INIT;

        /* Read-only: oom_score_adj and its kin are files that the process itself might write. */
        if (new_fs("proc", options, ARRAY_SIZE(options),
                   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &proc, &why) < 0) {
                sandbox_held_less(r, SANDBOX_PROC_SUBSET, SANDBOX_MISSING, "no /proc in the jail: %.100s", why.msg);
                return 0;
        }
        sandbox_held_ok(r, SANDBOX_PROC_SUBSET);
        return attach(dir, "/proc", proc, true, e);
}

/* As root the node is made anew and given to the jail's user, because the host's is root's or a group's. */
static int make_kvm_node(const struct sandbox_root *t, int dir, struct err *e)
{
        struct stat st;

        if (stat("/dev/kvm", &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "/dev/kvm");
        if (mknodat(dir, "kvm", S_IFCHR | 0600, st.st_rdev) < 0 || fchownat(dir, "kvm", t->s->uid, t->s->gid, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make /dev/kvm in the jail");
        return 0;
}

static int attach_dev(const struct sandbox_root *t, int dir, int *ret_dev, struct err *e)
{
        static const char *const options[][2] = {{"size", "64k"}, {"nr_inodes", "64"}, {"mode", "0755"}};
        int r;

        r = new_fs("tmpfs", options, ARRAY_SIZE(options), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, ret_dev, e);
        if (r < 0)
                return r;
        r = attach(dir, "/dev", *ret_dev, true, e);
        if (r == 0 && t->root && (t->s->devices & SANDBOX_DEV_KVM))
                r = make_kvm_node(t, *ret_dev, e);
        return r;
}

static int attach_shm(int dir, struct err *e)
{
        static const char *const options[][2] = {{"size", "16m"}, {"nr_inodes", "64"}, {"mode", "1777"}};
        AUTO(auto_close) int shm = -1;
        int r = new_fs("tmpfs", options, ARRAY_SIZE(options), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                       &shm, e);

        return r < 0 ? r : attach(dir, "/dev/shm", shm, true, e);
}

static int make_readonly(int mount_fd, struct err *e)
{
        struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY};

        if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the jail's root read-only");
        return 0;
}

static int fill(struct sandbox_root *t, int dir, struct sandbox_report *r, struct err *e)
{
        AUTO(auto_close) int dev = -1;
        int ret = 0;

        if (t->s->devices)
                ret = attach_dev(t, dir, &dev, e);
        for (unsigned i = 0; i < t->n && ret == 0; i++)
                ret = attach_piece(dir, &t->pieces[i], e);
        if (ret == 0 && (t->s->devices & SANDBOX_DEV_SHM))
                ret = attach_shm(dir, e);
        if (ret == 0 && t->s->proc)
                ret = attach_proc(dir, r, e);
        if (ret == 0 && dev >= 0)
                ret = make_readonly(dev, e);
        return ret == 0 ? make_readonly(dir, e) : ret;
}

/* Any folder that surely exists will do as the place to attach: the mount is gone with the old root. */
static int attach_somewhere(int tmpfs, struct err *e)
{
        static const char *const places[] = {"/tmp", "/run", "/proc", "/"};

        for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
                if (move_mount(tmpfs, "", AT_FDCWD, places[i], MOVE_MOUNT_F_EMPTY_PATH) == 0)
                        return 0;
        }
        return err_errno(e, ERR_RESOURCES, errno, "attach the jail's root");
}

int sandbox_root_enter(struct sandbox_root *t, struct sandbox_report *r, struct err *e)
{
        static const char *const options[][2] = {{"size", "256k"}, {"nr_inodes", "512"}, {"mode", "0755"}};
        AUTO(auto_close) int dir = -1;
        int ret;

        ret = new_fs("tmpfs", options, ARRAY_SIZE(options), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                     &dir, e);
        if (ret == 0)
                ret = attach_somewhere(dir, e);
        if (ret == 0)
                ret = fill(t, dir, r, e);
        if (ret < 0)
                return ret;
        if (fchdir(dir) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
                return err_errno(e, ERR_RESOURCES, errno, "pivot into the jail's root");
        /* The old root now lies on top of the new one. */
        if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
                return err_errno(e, ERR_RESOURCES, errno, "leave the old root");
        sandbox_held_ok(r, SANDBOX_PRIVATE_ROOT);
        return 0;
}
