/* Problem matchers: regular expressions that a job registers (`::add-matcher::FILE`), looked for in every line that is
 * no command. Followed: actions/runner (IssueMatcher, OutputManager) and actions/toolkit docs/problem-matchers.md.
 *
 * A matcher has one pattern, or several that match lines following each other; only the last of several may loop. When
 * a matcher finds a problem, the others forget what they had begun. A line gives at most one problem; the matcher that
 * was added last is asked first. The matchers are those of a job; how far they are with what one step writes is that
 * step's progress, so that steps that run beside each other do not mix.
 *
 * Patterns are PCRE2's (docs/compatibility.md has what differs from .NET's ECMAScript mode), matched without JIT.
 * Patterns and lines are hostile: a match that needs more than MATCHER_MAX_STEPS steps, MATCHER_MAX_DEPTH or
 * MATCHER_MAX_HEAP counts as none, and after MATCHER_MAX_STRIKES of them the matcher is removed. All matchers together
 * have a credit of processor time, MATCHER_CREDIT_NS; each byte of a line brings MATCHER_NS_PER_BYTE, up to that again.
 * When it is used up, the matcher that has used most is removed, and the credit is whole again. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "workflow/issue.h"

struct err;
struct matchers;

#define MATCHER_MAX_FILE ((size_t)256 << 10) /* bytes of a matcher file */
#define MATCHER_MAX_COUNT 16u                /* matchers of a job at a time, and of one file */
#define MATCHER_MAX_PATTERNS 8u              /* of one matcher */
#define MATCHER_MAX_REGEXP 4096u             /* bytes of a pattern */
#define MATCHER_MAX_NESTING 50u              /* parentheses in each other */
#define MATCHER_MAX_OWNER 256u               /* bytes */
#define MATCHER_MAX_STEPS 500000u            /* of one match: PCRE2's match limit */
#define MATCHER_MAX_DEPTH 20000u             /* PCRE2's depth limit */
#define MATCHER_MAX_HEAP 8192u               /* KiB of one match: PCRE2's heap limit */
#define MATCHER_MAX_STRIKES 3u
#define MATCHER_CREDIT_NS 500000000u
#define MATCHER_NS_PER_BYTE 2000u

/* What the patterns have found in the lines of one step. */
struct matcher_progress;

/* What a problem was found by; strings as in struct issue, but `file` is as the line has it, and from_path may say what
 * it is relative to. line and column are 0 when they are no numbers. */
struct matcher_hit {
        struct issue issue;
        const char *from_path;
};

/* user: of the progress. */
typedef int matcher_hit_fn(const struct matcher_hit *h, void *user, struct err *e);
/* A matcher was removed; why: a sentence for a warning. */
typedef int matcher_removed_fn(const char *why, void *user, struct err *e);

struct matchers_config {
        uint64_t (*cpu_ns)(void); /* processor time of the caller */
        matcher_hit_fn *hit;
        matcher_removed_fn *removed;
};

int matchers_new(const struct matchers_config *config, struct matchers **ret, struct err *e);
struct matchers *matchers_free(struct matchers *m); /* always NULL */
int matcher_progress_new(void *user, struct matcher_progress **ret, struct err *e);
struct matcher_progress *matcher_progress_free(struct matcher_progress *p); /* NULL is fine; always NULL */

/* A matcher file (JSON). All of it or nothing is added, in front of the others; one of the same owner (case folded) is
 * replaced. ERR_RUN_FAILED says what is wrong with it, in GitHub's words where it has some. names: the owners, quoted,
 * for a note; appended. */
struct buf;
int matchers_add(struct matchers *m, const void *file, size_t len, struct buf *names, struct err *e);
/* 0 also when there is none of that name. */
void matchers_remove(struct matchers *m, const char *owner);
/* Remove every owner that a file names. */
int matchers_remove_file(struct matchers *m, const void *file, size_t len, struct err *e);
size_t matchers_count(const struct matchers *m);

/* One line as issue_clean() gives it. Returns 1 when it was a problem that `hit` was told, 0 when not. */
int matchers_line(struct matchers *m, struct matcher_progress *p, const char *line, size_t len, struct err *e);
