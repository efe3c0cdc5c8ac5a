/* go test, build and vet.
 *
 *   --- FAIL: TestAdd (0.00s)              or with -v:   === RUN   TestAdd
 *       add_test.go:7: got -1, want 3                        add_test.go:7: got -1, want 3
 *   FAIL    example.com/demo 0.004s                      --- FAIL: TestAdd (0.00s)
 *
 * A test's file is named without its folder, which is that of the package: known when the package is done, and from
 * go.mod. So these problems wait for the end of the step. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/reader_priv.h"

static void problem_done(struct go_problem *p)
{
        draft_clear(&p->draft);
        free(p->package);
        *p = (struct go_problem){0};
}

void go_done(struct go *g)
{
        for (size_t i = 0; i < g->n; i++)
                problem_done(&g->v[i]);
        free(g->test);
        free(g->panic);
        *g = (struct go){0};
}

/* Keep what a test wants; the others go. */
static void drop(struct go *g, const char *test)
{
        size_t kept = 0;
        for (size_t i = 0; i < g->n; i++) {
                struct go_problem *p = &g->v[i];
                if (!p->package && !p->failed && (!test || str_eq(p->draft.name, test))) {
                        problem_done(p);
                        continue;
                }
                struct go_problem moved = *p;
                *p = (struct go_problem){0};
                g->v[kept++] = moved;
        }
        g->n = kept;
}

static void fail_test(struct go *g, const char *test)
{
        for (size_t i = 0; i < g->n; i++)
                if (!g->v[i].package && str_eq(g->v[i].draft.name, test))
                        g->v[i].failed = true;
}

static int end_package(struct go *g, const char *name, size_t len, struct err *e)
{
        int n = 0;
        drop(g, NULL);
        for (size_t i = 0; n == 0 && i < g->n; i++)
                if (!g->v[i].package)
                        n = draft_set(&g->v[i].package, name, len, e);
        free(g->test);
        free(g->panic);
        g->test = g->panic = NULL;
        g->any_failed = g->in_trace = false;
        return n;
}

static int set_test(struct go *g, const char *name, bool failed, struct err *e)
{
        int n = draft_set(&g->test, name, strcspn(name, " "), e);
        g->test_failed = failed;
        return n;
}

/* Lines that say which test speaks, and how it ended. 1: it was one. */
static int control_line(struct go *g, const char *line, struct err *e)
{
        const char *s = line + strspn(line, " ");
        int n;
        if (!*s || !strchr("=-Fo", *s))
                return 0;
        if (reader_skip(&s, "=== RUN   ") || reader_skip(&s, "=== CONT  ") || reader_skip(&s, "=== NAME  "))
                n = set_test(g, s, false, e);
        else if (reader_skip(&s, "--- FAIL: ")) {
                n = set_test(g, s, true, e);
                g->any_failed = true;
                if (n == 0)
                        fail_test(g, g->test);
        } else if (reader_skip(&s, "--- PASS: ") || reader_skip(&s, "--- SKIP: ")) {
                n = set_test(g, s, false, e);
                if (n == 0)
                        drop(g, g->test);
        } else if (reader_skip(&s, "FAIL\t") || reader_skip(&s, "ok  \t"))
                n = end_package(g, s, strcspn(s, "\t "), e);
        else
                return 0;
        return n < 0 ? n : 1;
}

static bool is_go(const struct place *p)
{
        return p->path_len > 3 && memcmp(p->path + p->path_len - 3, ".go", 3) == 0 &&
               !memchr(p->path, ' ', p->path_len);
}

/* "add_test.go:7: text": the place, and the text behind it. */
static const char *read_message(const char *s, struct place *ret)
{
        const char *colon = strstr(s, ": ");
        return colon && reader_place(s, (size_t)(colon - s), ret) && is_go(ret) ? colon + 2 : NULL;
}

static int test_line(struct go *g, const char *line, struct err *e)
{
        size_t indent = strspn(line, " ");
        struct place p;
        const char *text = indent >= 4 ? read_message(line + indent, &p) : NULL;
        struct go_problem *last = g->n ? &g->v[g->n - 1] : NULL;
        if (!text && last && !last->package && indent > last->indent && str_eq(last->draft.name, g->test))
                return draft_add(&last->draft, line + MIN(indent, last->indent + 4), e);
        if (!text || p.column || g->n == READER_MAX_HELD)
                return 0;
        last = &g->v[g->n++];
        last->indent = indent;
        last->failed = g->test_failed;
        int n = draft_place(&last->draft, &p, e);
        if (n == 0)
                n = draft_set(&last->draft.name, g->test, strlen(g->test), e);
        return n < 0 ? n : draft_add(&last->draft, text, e);
}

/* Behind "panic: ": the first frame in the workspace is the place. */
static int trace_line(struct readers *r, struct go *g, const char *line, struct err *e)
{
        struct draft d = {0};
        struct place p;
        const char *plus = strstr(line, " +0x");
        if (line[0] != '\t' || !plus || !reader_place(line + 1, (size_t)(plus - line) - 1, &p) || !is_go(&p) ||
            !reader_is_inside(r, p.path, p.path_len))
                return 0;
        int n = draft_place(&d, &p, e);
        if (n == 0)
                n = draft_add(&d, g->panic, e);
        if (n == 0 && g->test)
                n = draft_set(&d.title, g->test, strlen(g->test), e);
        if (n == 0)
                n = reader_tell(r, "go", ISSUE_ERROR, r->folder, &d, NULL, e);
        draft_clear(&d);
        g->in_trace = false;
        return n;
}

/* Below "# example.com/demo": what the compiler and vet say. */
static int build_line(struct readers *r, struct go *g, const char *line, struct err *e)
{
        struct draft d = {0};
        struct place p;
        const char *s = line;
        reader_skip(&s, "vet: ");
        const char *text = read_message(s, &p);
        g->in_package = text || *line == '\t';
        if (!text || !*text || *line == ' ')
                return 0;
        int n = draft_place(&d, &p, e);
        if (n == 0)
                n = draft_add(&d, text, e);
        if (n == 0)
                n = reader_tell(r, "go", ISSUE_ERROR, r->folder, &d, NULL, e);
        draft_clear(&d);
        return n;
}

int go_line(struct readers *r, struct go *g, const char *line, struct err *e)
{
        int n = control_line(g, line, e);
        if (n)
                return n < 0 ? n : 0;
        if (line[0] == '#' && line[1] == ' ' && line[2] && line[2] != ' ') {
                const char *rest = line + 2 + strcspn(line + 2, " ");
                g->in_package = !*rest || str_starts(rest, " [");
                return 0;
        }
        if (g->in_package)
                return build_line(r, g, line, e);
        if (g->any_failed && !g->panic && str_starts(line, "panic: ")) {
                g->in_trace = true;
                return draft_set(&g->panic, line, strlen(line), e);
        }
        if (g->in_trace)
                return trace_line(r, g, line, e);
        return g->test ? test_line(g, line, e) : 0;
}

/* The folder of a package of our module, below that of go.mod; NULL when it is of another one. */
static const char *folder_of(const struct readers *r, const char *package)
{
        size_t len = r->go_module && package ? strlen(r->go_module) : 0;
        if (!len || strncmp(package, r->go_module, len) != 0 || (package[len] && package[len] != '/'))
                return NULL;
        return package[len] ? package + len + 1 : ".";
}

static int tell(struct readers *r, struct go_problem *p, struct err *e)
{
        const char *below = folder_of(r, p->package);
        AUTO(auto_free) char *folder = below ? issue_join(r->folder, below) : NULL;
        int n = draft_set(&p->draft.title, p->draft.name, strlen(p->draft.name), e);
        /* Without a folder the name alone would point somewhere else. */
        return n < 0 ? n : reader_tell(r, "go", ISSUE_ERROR, folder ? folder : "/", &p->draft, NULL, e);
}

int go_finish(struct readers *r, struct go *g, struct err *e)
{
        int n = 0;
        for (size_t i = 0; n == 0 && i < g->n; i++)
                if (g->v[i].failed)
                        n = tell(r, &g->v[i], e);
        go_done(g);
        return n;
}
