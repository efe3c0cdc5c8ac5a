/* Running the host's git on a git folder of our own: exact environment, no configuration but ours, no shell.
 *
 * Blocking: devdep-source does one thing at a time. While git works the client's socket is watched, and its hang-up
 * ends git and the call. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;

#define GIT_PROGRAM "/usr/bin/git"

struct git {
        const char *gitdir;   /* of our own making: repo.c */
        const char *worktree; /* NULL: none; also the working directory */
        const char *index;    /* NULL: gitdir/index */
        int peer_fd;          /* the client's socket, or -1 */
};

/* Bytes of git's standard output. Positive: enough, git is ended and the call succeeds. */
typedef int git_output_fn(const uint8_t *data, size_t len, void *user, struct err *e);

struct git_call {
        const char *const *args; /* after "git", NULL-terminated; args[0] is the command, which errors name */
        const void *input;       /* standard input, or NULL */
        size_t input_len;
        git_output_fn *output; /* NULL: discarded */
        void *user;
};
#define GIT_E_FAILED                                                                                                   \
        1 /* git ended with a status other than 0; *ret_message (malloc'd, one line) says what it wrote                \
           */
int git_call(const struct git *g, const struct git_call *c, char **ret_message, struct err *e);
/* The same with GIT_E_FAILED turned into ERR_USAGE with git's message. */
int git_must(const struct git *g, const struct git_call *c, struct err *e);
/* git_must() with the output collected, at most max bytes. */
int git_text(const struct git *g, const char *const *args, const void *input, size_t input_len, size_t max,
             struct buf *ret, struct err *e);

/* Splits a stream of NUL- or newline-terminated records for a git_output_fn: feed it, it calls fn for each. */
struct git_records {
        char end;                                                             /* '\0' or '\n' */
        int (*fn)(const char *record, size_t len, void *user, struct err *e); /* record is NUL-terminated */
        void *user;
        struct buf *part; /* what is not complete yet; its limit is that of a record */
};
int git_records_feed(const uint8_t *data, size_t len, void *records, struct err *e);
