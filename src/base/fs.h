/* Files and folders. Paths given here are ours; below a tree that others write use fs_open_beneath(). */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct buf;
struct strv;

/* Whom this host trusts, as Debian's ca-certificates keeps them. */
#define FS_HOST_AUTHORITIES "/etc/ssl/certs/ca-certificates.crt"

#define FS_E_MISSING 1 /* the file or folder does not exist */

/* Whole file into *ret (appended). FS_E_MISSING, or negative; more than max bytes is ERR_USAGE. Regular files only. */
int fs_read(const char *path, size_t max, struct buf *ret, struct err *e);
/* Write a temporary file beside, fsync, rename over, fsync the folder: readers see the old or the new one, never half.
 * The temporary file of a process that is killed meanwhile stays: NAME.new-XXXXXX. */
int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* Remove the temporary files of a folder in which nobody writes any more. FS_E_MISSING. */
int fs_remove_temporary(const char *folder, struct err *e);
/* fsync the folder that a path is in, so that its name there is on disk. */
int fs_sync_folder_of(const char *path, struct err *e);
int fs_mkdirs(const char *path, mode_t mode, struct err *e); /* like mkdir -p */
/* Remove a tree without following links or leaving the file system it began on. Missing is success. */
int fs_remove_tree(const char *path, struct err *e);
/* openat2 with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, and RESOLVE_NO_SYMLINKS when !follow. */
int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, bool follow, int *ret, struct err *e);
bool fs_exists(const char *path);
/* Free bytes for us on the file system that holds path. */
int fs_free_space(const char *path, uint64_t *ret, struct err *e);
/* An exclusive lock on a file that is made when missing; the lock is held while *ret, which cannot write, is open.
 * FS_E_LOCKED when somebody else holds it and !wait. */
#define FS_E_LOCKED 2
int fs_lock(const char *path, bool wait, int *ret, struct err *e);
/* The same for a shared lock, never waiting. */
int fs_lock_shared(const char *path, int *ret, struct err *e);
char *fs_join(const char *a, const char *b); /* "a/b", malloc'd, NULL when out of memory */
void auto_closedir(DIR **d);                 /* for AUTO */
/* Add the names in an open folder, except "." and "..", in byte order; `path` is for messages. */
int fs_names(DIR *d, const char *path, struct strv *ret, struct err *e);
/* Call fn for each entry name of a folder except "." and "..", in byte order; stops at the first non-zero return and
 * gives it back. FS_E_MISSING when there is no such folder. */
int fs_list(const char *path, int (*fn)(const char *name, void *user, struct err *e), void *user, struct err *e);
