#include "blob/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"

#define PREFIX ".devdep-"
#define RANDOM_BYTES 8
#define MAX_TRIES 8 /* a cleaner may see the folder before it is locked, and takes it */

static bool is_stage(const char *name)
{
        const char *digits = name + strlen(PREFIX);
        return str_starts(name, PREFIX) && strlen(digits) == 2 * RANDOM_BYTES &&
               strspn(digits, "0123456789abcdef") == 2 * RANDOM_BYTES;
}

/* Only ours, and only when nobody has it locked. */
static int remove_leftover(const char *name, void *user, struct err *e)
{
        const struct stage *s = user;
        struct stat st;
        if (!is_stage(name))
                return 0;
        AUTO(auto_free) char *path = fs_join(s->above, name);
        if (!path)
                return err_nomem(e);
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || flock(fd, LOCK_EX | LOCK_NB) < 0)
                return 0;
        return fs_remove_tree(path, e);
}

static int remove_leftovers(struct stage *s, struct err *e)
{
        int r = fs_list(s->above, remove_leftover, s, e);
        return r < 0 ? r : 0;
}

/* 0: made and locked; 1: a cleaner was faster. */
static int try_make(const char *above, struct stage *ret, struct err *e)
{
        uint8_t random[RANDOM_BYTES];
        char hex[2 * sizeof(random) + 1];
        struct stat st, there;
        secret_random(random, sizeof(random));
        num_to_hex(random, sizeof(random), hex);
        AUTO(auto_free) char *path = str_printf("%s%s" PREFIX "%s", above, str_ends(above, "/") ? "" : "/", hex);
        if (!path)
                return err_nomem(e);
        if (mkdir(path, 0777) < 0)
                return err_errno(e, ERR_USAGE, errno, "make a folder in %s", above);
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return 1;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open the new folder %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 || lstat(path, &there) < 0 || there.st_ino != st.st_ino)
                return 1;
        ret->path = TAKE_PTR(path);
        ret->fd = TAKE_FD(fd);
        return 0;
}

int stage_make(const char *above, struct stage *ret, struct err *e)
{
        *ret = (struct stage)STAGE_INIT;
        ret->above = str_dup(above);
        int r = ret->above ? remove_leftovers(ret, e) : err_nomem(e);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < MAX_TRIES; i++)
                if ((r = try_make(above, ret, e)) <= 0)
                        return r;
        return err_set(e, ERR_RESOURCES, "somebody removes the new folders in %s", above);
}

int stage_publish(struct stage *s, const char *path, struct err *e)
{
        if (syncfs(s->fd) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "write %s to the disk", path);
        if (rename(s->path, path) < 0)
                return errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR
                               ? err_set(e, ERR_USAGE, "%s is there already", path)
                               : err_errno(e, ERR_RESOURCES, errno, "make the folder %s", path);
        s->fd = fd_close(s->fd);
        free(s->path);
        s->path = NULL;
        return fs_sync_folder_of(path, e);
}

void stage_done(struct stage *s)
{
        if (s->path)
                fs_remove_tree(s->path, NULL);
        s->fd = fd_close(s->fd);
        free(s->path);
        free(s->above);
        *s = (struct stage)STAGE_INIT;
}
