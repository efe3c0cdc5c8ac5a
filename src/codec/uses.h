/* What a step's `uses:` names: an action of the work tree (./x), of another repository (owner/repo/path@ref), or an
 * image (docker://x). Pure.
 *
 * What comes out is safe in paths: owner, repository, path and ref have no empty, "." or ".." part, and no byte that a
 * shell, a URL or git reads as something else stands in owner, repository and ref. */
#pragma once

#include <stdbool.h>

struct err;

#define USES_MAX 1024u     /* bytes */
#define USES_MAX_NAME 100u /* bytes of an owner or a repository */
#define USES_MAX_REF 255u  /* bytes of a ref */

enum uses_kind { USES_LOCAL, USES_REMOTE, USES_DOCKER };

struct uses {
        enum uses_kind kind;
        char *repository; /* remote: "owner/repo" in lower case: GitHub's names fold case */
        char *path;       /* remote: the action's folder, "" is the top; local: what follows "./" */
        char *ref;        /* remote: branch, tag or commit */
};

/* ERR_USAGE says what is expected, in the words of GitHub's service. */
int uses_parse(const char *text, struct uses *ret, struct err *e);
void uses_done(struct uses *u);

/* Is it "owner/repo" as uses_parse() gives it? */
bool uses_is_repository(const char *s);
/* Is it a ref that a `uses:` may have? */
bool uses_is_ref(const char *s);
