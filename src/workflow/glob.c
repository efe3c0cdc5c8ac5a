/* GitHub's patterns for branches, tags and paths (docs.github.com "Filter pattern cheat sheet"):
 *   *    any characters but '/'         **   any characters
 *   ?    zero or one of the character before it      +   one or more of it
 *   [abc] [a-z]  one character          \    the next character as it is
 * A `**` followed by '/' also matches nothing, so that a double star between slashes may stand for no folder at all. */
#include <stdlib.h>
#include <string.h>

#include "workflow/workflow.h"

#define MAX_STEPS 200000 /* of one match: a hostile pattern ends as "no match" */

/* One element of a pattern: a character, a set or a star, and how often. */
struct element {
        const char *start, *end; /* of the character or set in the pattern */
        enum { ONE, STAR, STAR_STAR } kind;
        char repeat; /* 0, '?', '+' */
};

static bool read_element(const char **at, struct element *ret)
{
        const char *p = *at;
        *ret = (struct element){.start = p};
        if (*p == '*') {
                ret->kind = p[1] == '*' ? STAR_STAR : STAR;
                while (*p == '*')
                        p++;
                *at = ret->end = p;
                return true;
        }
        if (*p == '[') {
                const char *close = p[1] ? strchr(p + 2, ']') : NULL; /* a ] right after [ is a member */
                if (!close)
                        return false;
                p = close + 1;
        } else if (*p == '\\') {
                if (!p[1])
                        return false;
                p += 2;
        } else {
                p++;
                while (((unsigned char)*p & 0xc0) == 0x80)
                        p++;
        }
        ret->end = p;
        if (*p == '?' || *p == '+')
                ret->repeat = *p++;
        *at = p;
        return true;
}

/* Bytes of text that one character or set matches; 0 for none. */
static size_t match_one(const struct element *x, const char *text)
{
        if (!*text)
                return 0;
        if (*x->start == '[') {
                for (const char *p = x->start + 1; p < x->end - 1; p++) {
                        if (p + 2 < x->end - 1 && p[1] == '-') {
                                if (*text >= *p && *text <= p[2])
                                        return 1;
                                p += 2;
                        } else if (*text == *p) {
                                return 1;
                        }
                }
                return 0;
        }
        const char *from = *x->start == '\\' ? x->start + 1 : x->start;
        size_t len = (size_t)(x->end - from);
        return strncmp(from, text, len) == 0 ? len : 0;
}

static bool match_here(const char *pattern, const char *text, unsigned *steps);

static bool match_star(const struct element *x, const char *rest, const char *text, unsigned *steps)
{
        if (x->kind == STAR_STAR && *rest == '/' && match_here(rest + 1, text, steps))
                return true;
        for (;; text++) {
                if (match_here(rest, text, steps))
                        return true;
                if (!*text || (x->kind == STAR && *text == '/') || *steps == 0)
                        return false;
        }
}

static bool match_repeated(const struct element *x, const char *rest, const char *text, unsigned *steps)
{
        size_t n = match_one(x, text);
        if (x->repeat == '?')
                return (n && match_here(rest, text + n, steps)) || match_here(rest, text, steps);
        for (; n; n = match_one(x, text)) {
                text += n;
                if (match_here(rest, text, steps))
                        return true;
        }
        return false;
}

static bool match_here(const char *pattern, const char *text, unsigned *steps)
{
        while (*pattern) {
                struct element x;
                if (*steps == 0 || !read_element(&pattern, &x))
                        return false;
                --*steps;
                if (x.kind != ONE)
                        return match_star(&x, pattern, text, steps);
                if (x.repeat)
                        return match_repeated(&x, pattern, text, steps);
                size_t n = match_one(&x, text);
                if (!n)
                        return false;
                text += n;
        }
        return *text == '\0';
}

bool workflow_glob(const char *pattern, const char *text)
{
        unsigned steps = MAX_STEPS;
        return match_here(pattern, text, &steps);
}

bool workflow_glob_check(const char *pattern, const char **reason)
{
        *reason = NULL;
        if (!*pattern)
                *reason = "it is empty";
        else if (*pattern == '?' || *pattern == '+')
                *reason = "'?' and '+' repeat the character before them, and there is none";
        for (const char *p = pattern; !*reason && *p;) {
                struct element x;
                if (!read_element(&p, &x))
                        *reason = *p == '\\' ? "a '\\' at the end escapes nothing" : "a '[' has no ']'";
        }
        return *reason == NULL;
}
