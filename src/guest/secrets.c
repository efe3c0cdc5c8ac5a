#include "guest/secrets.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/users.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define NEW_FILE ".new" /* no name of a secret begins with a dot */
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

int secrets_mount(const struct user *owner, int *ret, struct err *e)
{
        mkdir(SECRETS_MOUNT, 0700);
        if (mount("ramfs", SECRETS_MOUNT, "ramfs", FLAGS, "mode=0500") < 0)
                return err_errno(e, ERR_RESOURCES, errno, "mount %s", SECRETS_MOUNT);
        if (owner && chown(SECRETS_MOUNT, owner->uid, owner->gid) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "give %s to its user", SECRETS_MOUNT);
        *ret = open(SECRETS_MOUNT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "open %s", SECRETS_MOUNT) : 0;
}

int secrets_show(const char *target, struct err *e)
{
        mkdir(target, 0755);
        if (mount(SECRETS_MOUNT, target, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | FLAGS, NULL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "show the job its secrets");
        return 0;
}

static bool is_name(const char *name)
{
        size_t len = strlen(name);
        return len && len <= SECRETS_MAX_NAME && strchr(LETTERS, name[0]) && strspn(name, LETTERS "0123456789") == len;
}

int secrets_write(int folder, const char *name, const void *value, size_t len, struct err *e)
{
        struct stat st;
        if (!is_name(name))
                return err_set(e, ERR_USAGE, "name: expected 1 to %d of [A-Za-z0-9_]", SECRETS_MAX_NAME);
        if (fstat(folder, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "look at the folder of secrets");
        AUTO(auto_close) int fd = openat(folder, NEW_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
        int r = fd < 0 ? err_errno(e, ERR_RESOURCES, errno, "make the file of secret %s", name)
                       : fd_write_all(fd, value, len, "the file of a secret", e);
        if (r == 0 && (fchown(fd, st.st_uid, st.st_gid) < 0 || renameat(folder, NEW_FILE, folder, name) < 0))
                r = err_errno(e, ERR_RESOURCES, errno, "put the file of secret %s in its place", name);
        if (r < 0)
                unlinkat(folder, NEW_FILE, 0);
        return r;
}

static int wipe_file(int folder, const char *name, struct err *e)
{
        static const char zeros[4096];
        struct stat st;
        AUTO(auto_close) int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        int r = fd < 0 || fstat(fd, &st) < 0 ? err_errno(e, ERR_RESOURCES, errno, "open the file of secret %s", name)
                                             : 0;
        for (off_t left = r == 0 ? st.st_size : 0; r == 0 && left > 0; left -= (off_t)sizeof(zeros))
                r = fd_write_all(fd, zeros, (size_t)MIN(left, (off_t)sizeof(zeros)), "the file of a secret", e);
        if (unlinkat(folder, name, 0) < 0 && r == 0)
                r = err_errno(e, ERR_RESOURCES, errno, "remove the file of secret %s", name);
        return r;
}

static void close_dir(DIR **d)
{
        if (*d)
                closedir(*d);
}

int secrets_wipe(int folder, struct err *e)
{
        AUTO(close_dir) DIR *d = NULL;
        int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        d = copy < 0 ? NULL : fdopendir(copy);
        if (!d)
                return err_errno(e, ERR_RESOURCES, errno, "read the folder of secrets");
        for (const struct dirent *entry; r == 0 && (entry = readdir(d));)
                if (entry->d_name[0] != '.')
                        r = wipe_file(folder, entry->d_name, e);
        return r;
}
