/* Users and groups of a root file system, from the text of /etc/passwd and /etc/group. Pure. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct err;

#define USERS_MAX_FILE ((size_t)1 << 20) /* bytes of passwd or group */
#define USERS_MAX_GROUPS 64              /* supplementary groups of a user; further ones are left out */
#define USERS_MAX_TEXT 256               /* bytes of a name or a home folder, NUL included */
#define USERS_E_UNKNOWN 1

struct user {
        uid_t uid;
        gid_t gid;
        char name[USERS_MAX_TEXT]; /* "" when passwd has no such number */
        char home[USERS_MAX_TEXT];
        gid_t groups[USERS_MAX_GROUPS]; /* gid first */
        size_t n_groups;
};

/* By name, or by number (then it need not be in passwd: gid is the same number). Lines that are broken are passed over.
 * USERS_E_UNKNOWN: no such name. */
int users_find(const char *passwd, const char *group, const char *user, struct user *ret, struct err *e);
/* The same from the files below an open root folder; a missing file counts as empty. */
int users_read(int root, const char *user, struct user *ret, struct err *e);
