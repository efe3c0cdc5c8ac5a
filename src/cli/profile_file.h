/* The profile of a repository, found, read and checked: what run and plan go by. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "codec/hash.h"
#include "profile/profile.h"

struct err;

/* How the command line names it. */
struct profile_choice {
        const char *file;        /* --profile, or NULL: devdep.yaml of the repository's root, if there is one */
        const char *environment; /* --environment, or NULL */
        bool none;               /* --no-profile */
};

struct profile_file {
        char *path; /* as the user knows it */
        char *text;
        size_t len;
        char digest[sizeof("sha256:") + HASH_HEX_SIZE]; /* of the bytes that were read */
        struct profile *profile;                        /* NULL: there is none */
};
#define PROFILE_FILE_INIT                                                                                              \
        {                                                                                                              \
                0                                                                                                      \
        }
void profile_file_done(struct profile_file *f);

/* top: the repository's work tree, or NULL: only a file that is named is read. It is opened beneath `top`, links that
 * lead out are refused. Problems go to standard error with their place; errors are ERR_USAGE. */
int profile_file_load(const char *top, const struct profile_choice *choice, struct profile_file *ret, struct err *e);

/* Put "devdep.yaml:3:9: KEY: " before the message of an error that comes of the value at that place; NULL: it does not.
 * Returns r. */
int profile_file_blame(const struct profile_file *f, const struct yaml_pos *at, const char *key, int r, struct err *e);

/* --profile, --no-profile and --environment. ERR_USAGE: they contradict each other. */
struct args;
int profile_choice_parse(const struct args *a, struct profile_choice *ret, struct err *e);
