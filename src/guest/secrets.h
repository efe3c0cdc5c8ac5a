/* The files of secrets: a ramfs of which process 1 has the writable mount, outside of the job's root, and the job a
 * read-only one at /run/secrets. Its pages never go to a disk.
 *
 * A file is 0400 and belongs to JOBROOT_USER, as their folder does. */
#pragma once

#include <stddef.h>

struct err;
struct user;

#define SECRETS_MOUNT "/run/secrets" /* in process 1's own mount namespace, and in the job's root */
#define SECRETS_MAX_NAME 128         /* [A-Za-z_][A-Za-z0-9_]* */

/* Mount it; owner NULL: root's. *ret is the folder. */
int secrets_mount(const struct user *owner, int *ret, struct err *e);
/* Show it read-only at `target`, a folder of the job's root that is made. In the job's new mount namespace. */
int secrets_show(const char *target, struct err *e);
/* Write or replace a file: a reader sees the old one or the new one, never half. ERR_USAGE: no such name can be. */
int secrets_write(int folder, const char *name, const void *value, size_t len, struct err *e);
/* Zero and remove every file. A process that still has one open reads zeros. */
int secrets_wipe(int folder, struct err *e);
