/* TAP, and what Test::More says beside it:
 *
 *   not ok 2 - adds wrongly                   not ok 1 - adds
 *   #   Failed test 'adds wrongly'              ---
 *   #   at t/sums.t line 4.                     location: '/a/sums.test.js:4:1'
 *   #          got: '2'                         error: |-
 *   #     expected: '3'                           Expected values to be strictly equal
 *
 * `prove` shows only the second part of the left form. A line `not ok` counts when a plan (1..N) or a version was
 * seen, and nobody said more about that test; so these problems wait for the end of the step. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/reader_priv.h"

void tap_done(struct tap *t)
{
        for (size_t i = 0; i < t->n; i++)
                draft_clear(&t->held[i]);
        for (size_t i = 0; i < t->n_known; i++)
                free(t->known[i]);
        draft_clear(&t->diagnosis);
        *t = (struct tap){0};
}

/* ---- diagnoses of Test::More ---- */

static int remember(struct tap *t, const char *name, struct err *e)
{
        if (t->n_known == READER_MAX_HELD)
                return 0;
        t->known[t->n_known] = str_dup(name ? name : "");
        if (!t->known[t->n_known])
                return err_nomem(e);
        t->n_known++;
        return 0;
}

static bool is_known(const struct tap *t, const char *name)
{
        for (size_t i = 0; i < t->n_known; i++)
                if (str_eq(t->known[i], name))
                        return true;
        return false;
}

static int end_diagnosis(struct readers *r, struct tap *t, struct err *e)
{
        struct draft *d = &t->diagnosis;
        int n = 0;
        if (d->path) {
                n = remember(t, d->title, e);
                if (n == 0 && !d->message.len)
                        n = draft_add(d, "failed", e);
                if (n == 0)
                        n = reader_tell(r, "tap", ISSUE_ERROR, r->folder, d, NULL, e);
        }
        draft_clear(d);
        return n;
}

/* "at t/sums.t line 4." */
static int diagnosis_place(struct draft *d, const char *s, struct err *e)
{
        const char *at = NULL;
        struct place p = {.path = s};
        for (const char *x = strstr(s, " line "); x; x = strstr(x + 1, " line "))
                at = x;
        size_t digits = at ? strspn(at + 6, "0123456789") : 0;
        if (!digits || !str_eq(at + 6 + digits, "."))
                return 0;
        p.path_len = (size_t)(at - s);
        p.line = issue_number(at + 6, digits);
        return p.line && p.path_len && p.path_len <= ISSUE_MAX_PATH ? draft_place(d, &p, e) : 0;
}

/* Behind "#   Failed test ". */
static int begin_diagnosis(struct readers *r, struct tap *t, const char *s, struct err *e)
{
        struct draft *d = &t->diagnosis;
        size_t len = strlen(s);
        int n = end_diagnosis(r, t, e);
        if (n < 0)
                return n;
        d->is_open = true;
        if (reader_skip(&s, "at "))
                return diagnosis_place(d, s, e);
        return *s == '\'' && len > 2 && s[len - 1] == '\'' ? draft_set(&d->title, s + 1, len - 2, e) : 0;
}

static int diagnosis_line(struct readers *r, struct tap *t, const char *line, struct err *e)
{
        struct draft *d = &t->diagnosis;
        const char *s = line;
        if (reader_skip(&s, "#   Failed test "))
                return begin_diagnosis(r, t, s, e);
        if (!d->is_open)
                return 0;
        if (reader_skip(&s, "#   at ") && !d->path)
                return diagnosis_place(d, s, e);
        if (reader_skip(&s, "#    ") && d->path)
                return draft_add(d, s + strspn(s, " "), e);
        return end_diagnosis(r, t, e);
}

/* ---- the lines of TAP ---- */

/* "not ok 2 - adds wrongly # TODO": the name; NULL for what is no failure. */
static const char *read_failure(const char *line, size_t *ret_len)
{
        const char *s = line + strspn(line, " ");
        if (!reader_skip(&s, "not ok"))
                return NULL;
        if (*s == ' ' && s[1] >= '0' && s[1] <= '9')
                s += 1 + strspn(s + 1, "0123456789");
        if (*s && *s != ' ')
                return NULL;
        reader_skip(&s, " ");
        reader_skip(&s, "- ");
        const char *directive = strstr(s, "# ");
        if (directive && (strncasecmp(directive + 2, "todo", 4) == 0 || strncasecmp(directive + 2, "skip", 4) == 0))
                return NULL;
        *ret_len = strlen(s);
        return s;
}

static int hold(struct tap *t, const char *name, size_t len, struct err *e)
{
        if (t->n == READER_MAX_HELD)
                return 0;
        struct draft *d = &t->held[t->n++];
        d->is_open = t->after_failure = true;
        return draft_set(&d->title, name, len, e);
}

/* The text of a key, without its quotes. */
static int yaml_place(struct draft *d, const char *s, struct err *e)
{
        size_t len = strlen(s);
        struct place p;
        if (len > 2 && (*s == '\'' || *s == '"') && s[len - 1] == *s) {
                s++;
                len -= 2;
        }
        return reader_place(s, len, &p) ? draft_place(d, &p, e) : 0;
}

static int yaml_line(struct tap *t, const char *line, struct err *e)
{
        struct draft *d = &t->held[t->n - 1];
        size_t indent = strspn(line, " ");
        const char *s = line + indent;
        if (t->in_block && (indent > t->block_indent || !*s))
                return *s ? draft_add(d, s, e) : 0;
        t->in_block = false;
        if (str_eq(s, "..."))
                t->in_yaml = false;
        else if (str_starts(s, "failureType: 'subtestsFailed'"))
                d->is_open = false; /* the inner one says it */
        else if (reader_skip(&s, "location: ") || (!d->path && reader_skip(&s, "at: ")))
                return yaml_place(d, s, e);
        else if (!d->message.len && (reader_skip(&s, "error: ") || reader_skip(&s, "message: "))) {
                t->in_block = *s == '|' || *s == '>';
                t->block_indent = indent;
                return t->in_block ? 0 : draft_add(d, s, e);
        }
        return 0;
}

int tap_line(struct readers *r, struct tap *t, const char *line, struct err *e)
{
        size_t len;
        const char *s = line, *name;
        bool was_failure = t->after_failure;
        if (t->in_yaml)
                return yaml_line(t, line, e);
        t->after_failure = false;
        if (line[0] == '#' || t->diagnosis.is_open) {
                int n = diagnosis_line(r, t, line, e);
                if (n < 0 || line[0] == '#')
                        return n;
        }
        if (reader_skip(&s, "1..") || reader_skip(&s, "TAP version 1")) {
                t->has_plan |= s[strspn(s, "0123456789")] == '\0' || s[strspn(s, "0123456789")] == ' ';
                return 0;
        }
        if ((name = read_failure(line, &len)))
                return hold(t, name, len, e);
        s += strspn(s, " ");
        t->in_yaml = str_eq(s, "---") && s != line && was_failure;
        return 0;
}

static int tell(struct readers *r, struct draft *d, struct err *e)
{
        int n = d->message.len ? 0 : draft_add(d, *d->title ? d->title : "not ok", e);
        return n < 0 ? n : reader_tell(r, "tap", ISSUE_ERROR, r->folder, d, NULL, e);
}

int tap_finish(struct readers *r, struct tap *t, struct err *e)
{
        int n = end_diagnosis(r, t, e);
        for (size_t i = 0; n == 0 && i < t->n; i++)
                if (t->has_plan && t->held[i].is_open && t->held[i].title && !is_known(t, t->held[i].title))
                        n = tell(r, &t->held[i], e);
        tap_done(t);
        return n;
}
