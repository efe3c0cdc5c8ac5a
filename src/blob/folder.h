/* Files of one open folder, by name alone: no link is followed, what is made is 0600 or 0700, names are ours. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct strv;

#define FOLDER_E_MISSING 1
#define FOLDER_E_LOCKED 2

/* A folder in an open one; made when it is missing and `create` is set. FOLDER_E_MISSING. */
int folder_open(int dirfd, const char *name, int create, int *ret, struct err *e);
/* The names in it, in byte order, without those that begin with a dot. More than max is ERR_RESOURCES. */
int folder_names(int dirfd, size_t max, struct strv *ret, struct err *e);
/* A regular file for reading; *ret_size is its size. FOLDER_E_MISSING also for what is no regular file. */
int folder_open_file(int dirfd, const char *name, int *ret, uint64_t *ret_size, struct err *e);
int folder_read(int dirfd, const char *name, size_t max, struct buf *ret, struct err *e);
/* A new file, open for reading and writing, with an exclusive lock on it that lasts as long as *ret is open. The name
 * is random and begins with `prefix`; ret_name holds FOLDER_MAX_TEMPORARY bytes. */
#define FOLDER_MAX_TEMPORARY 48
int folder_make_temporary(int dirfd, const char *prefix, char *ret_name, int *ret, struct err *e);
/* Sync a file and give it a name in another folder; sync that folder. */
int folder_move(int fd, int from, const char *name, int to, const char *new_name, struct err *e);
/* Remove one name; missing is success. The folder is not synced. */
int folder_remove(int dirfd, const char *name, struct err *e);
int folder_sync(int dirfd, struct err *e);
/* Remove every file whose lock can be taken: who made it is gone. */
int folder_remove_leftovers(int dirfd, size_t max, struct err *e);

/* An exclusive lock on the file `lock` of the folder, until folder_unlock(). FOLDER_E_LOCKED when somebody else holds
 * it for longer than FOLDER_LOCK_MS: it must be stopped, or hostile. */
#define FOLDER_LOCK_MS 10000u
int folder_lock(int lock_fd, struct err *e);
void folder_unlock(int lock_fd);
/* The file to lock, made when missing and `create` is set. FOLDER_E_MISSING. */
int folder_open_lock(int dirfd, int create, int *ret, struct err *e);
