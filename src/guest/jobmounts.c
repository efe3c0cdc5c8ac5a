#include "guest/jobmounts.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/cgroup.h"
#include "guest/identity.h"
#include "guest/jobroot.h"
#include "guest/secrets.h"
#include "guest/users.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NEW "/newroot"
#define LAYER "upper" /* the overlay's upper layer; of a read-only root, the layer above the image */

struct job_mount {
        const char *source, *target, *type, *options;
        unsigned long flags;
};

/* Sizes are shares of the memory: a full /dev/shm or /run must leave a step room to run. */
static const struct job_mount mounts[] = {
        {"proc", "/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {IDENTITY_BOOT_ID, "/proc/sys/kernel/random/boot_id", NULL, NULL, MS_BIND},
        {"sysfs", "/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"cgroup2", "/sys/fs/cgroup", "cgroup2", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"tmpfs", "/dev", "tmpfs", "mode=0755,size=1m", MS_NOSUID | MS_NOEXEC},
        {"devpts", "/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC},
        {"tmpfs", "/dev/shm", "tmpfs", "mode=1777,size=40%", MS_NOSUID | MS_NODEV},
        {"mqueue", "/dev/mqueue", "mqueue", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"tmpfs", "/run", "tmpfs", "mode=0755,size=10%", MS_NOSUID | MS_NODEV},
        /* The kernel lets a user namespace mount /proc only where one without anything mounted over it is in sight:
         * this one, for jobs' own containers. */
        {"proc", "/run/.proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
};

/* Folders of the scratch disk itself, not of the overlay: the upper layer of a container must not be on an overlay. */
static const struct scratch_folder {
        const char *name, *target;
        mode_t mode;
        bool of_overlay; /* not with a read-only root */
} scratch_folders[] = {
        {"/work", JOBROOT_WORKSPACE, 0755, false},
        {"/tmp", "/tmp", 01777, false},
        {"/var-tmp", "/var/tmp", 01777, true},
};

static bool is_wanted(const struct jobmounts *m, const struct scratch_folder *f)
{
        return !(f->of_overlay && m->read_only);
}

struct job_node {
        const char *path;
        mode_t mode;
        unsigned major, minor;
};

static const struct job_node nodes[] = {
        {"/dev/null", 0666, 1, 3},       {"/dev/zero", 0666, 1, 5},
        {"/dev/full", 0666, 1, 7},       {"/dev/random", 0666, 1, 8},
        {"/dev/urandom", 0666, 1, 9},    {"/dev/kmsg", 0640, 1, 11},
        {"/dev/tty", 0666, 5, 0},        {"/dev/fuse", 0666, 10, 229},
        {"/dev/net/tun", 0666, 10, 200}, {"/dev/loop-control", 0660, 10, 237},
};

static const char *const links[][2] = {
        {"pts/ptmx", "/dev/ptmx"},          {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
};

/* base + path, cut at PATH_MAX, which the kernel then refuses. */
static void join(char ret[PATH_MAX], const char *base, const char *path)
{
        str_copy(ret, PATH_MAX, base);
        size_t len = strlen(ret);
        str_copy(ret + len, PATH_MAX - len, path);
}

static int make_folder(const char *base, const char *path, mode_t mode, struct err *e)
{
        char full[PATH_MAX];
        join(full, base, path);
        if (mkdir(full, mode) < 0 && errno != EEXIST)
                return err_errno(e, ERR_RESOURCES, errno, "make the folder %s", full);
        return 0;
}

/* Make every folder of `path` in the layer as it is in the image (mode and owner); one that the image lacks is root's.
 */
static int mirror_folders(const char *image, const char *layer, const char *path, struct err *e)
{
        char piece[PATH_MAX], in_image[PATH_MAX], in_layer[PATH_MAX];
        for (size_t len = 1; len && len < sizeof(piece);) {
                size_t next = strcspn(path + len, "/");
                len = len + next;
                memcpy(piece, path, len);
                piece[len] = 0;
                join(in_image, image, piece);
                join(in_layer, layer, piece);
                struct stat st = {.st_mode = S_IFDIR | 0755};
                if (lstat(in_image, &st) == 0 && !S_ISDIR(st.st_mode))
                        return err_set(e, ERR_IMAGE_REFUSED, "the image's %s is no folder", piece);
                if (mkdir(in_layer, 0755) < 0 && errno != EEXIST)
                        return err_errno(e, ERR_RESOURCES, errno, "make the folder %s", in_layer);
                if (chown(in_layer, st.st_uid, st.st_gid) < 0 || chmod(in_layer, st.st_mode & 07777) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "set the owner of %s", in_layer);
                if (!path[len])
                        break;
                len++;
        }
        return 0;
}

/* What belongs to the job's user: its workspace, its secrets. Of an image without that user they stay root's. */
static int give_to_user(const struct jobmounts *m, int *ret_secrets, struct err *e)
{
        AUTO(auto_close) int image = open(m->image, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct user user;
        char path[PATH_MAX];
        if (image < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open %s", m->image);
        int r = users_read(image, JOBROOT_USER, &user, e);
        if (r != 0)
                return r < 0 ? r : secrets_mount(NULL, ret_secrets, e);
        join(path, m->scratch, "/work");
        if (chown(path, user.uid, user.gid) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "give the workspace to its user");
        return secrets_mount(&user, ret_secrets, e);
}

int jobmounts_prepare(const struct jobmounts *m, int *ret_etc, int *ret_secrets, struct err *e)
{
        static const char *const folders[] = {"/proc", "/sys", "/dev", "/run", "/etc"};
        char layer[PATH_MAX];
        join(layer, m->scratch, "/" LAYER);
        int r = make_folder(m->scratch, "/" LAYER, 0755, e);
        r = r < 0 ? r : make_folder(m->scratch, "/overlay", 0700, e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
                r = mirror_folders(m->image, layer, folders[i], e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(scratch_folders); i++) {
                const struct scratch_folder *f = &scratch_folders[i];
                if (!is_wanted(m, f))
                        continue;
                r = make_folder(m->scratch, f->name, f->mode, e);
                r = r < 0 ? r : mirror_folders(m->image, layer, f->target, e);
        }
        r = r < 0 ? r : give_to_user(m, ret_secrets, e);
        if (r < 0)
                return r;
        join(layer, m->scratch, "/" LAYER "/etc");
        *ret_etc = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret_etc < 0 ? err_errno(e, ERR_RESOURCES, errno, "open %s", layer) : 0;
}

static int mount_root(const struct jobmounts *m, struct err *e)
{
        char options[PATH_MAX];
        /* volatile: a sync of the job need not reach a disk that ends with the job. */
        if (m->read_only)
                snprintf(options, sizeof(options), "lowerdir=%s/" LAYER ":%s", m->scratch, m->image);
        else
                snprintf(options, sizeof(options),
                         "lowerdir=%s,upperdir=%s/" LAYER ",workdir=%s/overlay,volatile,redirect_dir=on", m->image,
                         m->scratch, m->scratch);
        mkdir(NEW, 0755);
        if (mount("overlay", NEW, "overlay", MS_NOATIME | (m->read_only ? MS_RDONLY : 0), options) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "mount the job's root");
        return 0;
}

static int mount_kernel(struct err *e)
{
        char target[PATH_MAX];
        for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
                const struct job_mount *m = &mounts[i];
                join(target, NEW, m->target);
                if (str_starts(m->target, "/dev/") || str_starts(m->target, "/run/"))
                        mkdir(target, 0755);
                if (mount(m->source, target, m->type, m->flags, m->options) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "mount %s for the job", m->target);
        }
        return 0;
}

static int make_nodes(struct err *e)
{
        char path[PATH_MAX];
        mkdir(NEW "/dev/net", 0755);
        mode_t mask = umask(0);
        for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
                const struct job_node *n = &nodes[i];
                join(path, NEW, n->path);
                if (mknod(path, S_IFCHR | n->mode, makedev(n->major, n->minor)) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "make %s for the job", n->path);
        }
        umask(mask);
        for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
                join(path, NEW, links[i][1]);
                if (symlink(links[i][0], path) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "make %s for the job", links[i][1]);
        }
        return mkdir(NEW "/run/lock", 01777) < 0 || chmod(NEW "/run/lock", 01777) < 0
                       ? err_errno(e, ERR_RESOURCES, errno, "make /run/lock for the job")
                       : 0;
}

static int bind_scratch(const struct jobmounts *m, struct err *e)
{
        char from[PATH_MAX], to[PATH_MAX];
        for (size_t i = 0; i < ARRAY_SIZE(scratch_folders); i++) {
                const struct scratch_folder *f = &scratch_folders[i];
                if (!is_wanted(m, f))
                        continue;
                join(from, m->scratch, f->name);
                join(to, NEW, f->target);
                if (mount(from, to, NULL, MS_BIND, NULL) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "mount %s for the job", f->target);
        }
        return 0;
}

/* Process 1's own mounts have no business in the job's namespace; the overlay keeps hold of what it needs. */
static int switch_root(const struct jobmounts *m, struct err *e)
{
        const char *const old[] = {m->image, m->scratch, "/run", "/sys/fs/cgroup", "/sys", "/dev", "/proc"};
        for (size_t i = 0; i < ARRAY_SIZE(old); i++)
                if (umount2(old[i], MNT_DETACH) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "unmount %s of the job's namespace", old[i]);
        /* pivot_root(2) refuses to leave the initramfs; moving the mount over it is what every initramfs does. */
        if (chdir(NEW) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the job's root the root");
        /* As systemd leaves it: what a job mounts is seen by the namespaces that its programs made before. */
        if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "share the job's mounts with its own namespaces");
        return 0;
}

int jobmounts_make(const struct jobmounts *m, struct err *e)
{
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the job's mounts private");
        int r = mount_root(m, e);
        r = r < 0 ? r : mount_kernel(e);
        r = r < 0 ? r : make_nodes(e);
        r = r < 0 ? r : bind_scratch(m, e);
        r = r < 0 ? r : secrets_show(NEW SECRETS_MOUNT, e);
        return r < 0 ? r : switch_root(m, e);
}
