/* The files through which a step speaks: GITHUB_OUTPUT, GITHUB_ENV, GITHUB_STATE (`name=value` and `name<<DELIMITER`),
 * GITHUB_PATH (one folder a line) and GITHUB_STEP_SUMMARY (Markdown as it is, read by nobody here).
 *
 * Bytes to pairs; no I/O. A file that breaks the rules fails the step, with the wording that people know from GitHub.
 */
#pragma once

#include <stddef.h>

struct err;

#define FILECMD_MAX_SIZE ((size_t)1 << 20) /* bytes of one file; no more is read of what a step left */
#define FILECMD_MAX_PAIRS 10000
#define FILECMD_MAX_NAME 1024 /* bytes of a name */

enum filecmd_kind { FILECMD_OUTPUT, FILECMD_ENV, FILECMD_STATE, FILECMD_PATH };

struct filecmd_pair {
        char *name;  /* FILECMD_PATH: NULL */
        char *value; /* UTF-8 (invalid bytes replaced by U+FFFD), NUL-terminated */
        size_t len;
};

struct filecmd_pairs {
        struct filecmd_pair *v;
        size_t n;
        size_t cap;
        unsigned line; /* after a failure: where, from 1; 0: the file as a whole */
};

/* Parse a whole file. Pairs in order, a name may repeat (the last one wins). ERR_RUN_FAILED names the line and what is
 * wrong. ret is empty on failure, but for its `line`. */
int filecmd_parse(enum filecmd_kind kind, const void *data, size_t len, struct filecmd_pairs *ret, struct err *e);
void filecmd_pairs_done(struct filecmd_pairs *p);
/* May a workflow set this variable through GITHUB_ENV? NODE_OPTIONS, GITHUB_* and RUNNER_* are refused
 * (case-insensitive): negative, *e has GitHub's sentence. filecmd_parse() keeps such pairs; at GitHub each is an error
 * annotation, is not set, and the others are. */
int filecmd_env_allowed(const char *name, struct err *e);
