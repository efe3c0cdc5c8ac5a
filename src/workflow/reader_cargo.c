/* rustc, clippy, the tests of cargo, rustfmt.
 *
 *   error[E0308]: mismatched types      thread 'tests::adds' (9365) panicked at src/lib.rs:12:9:
 *    --> src/lib.rs:7:5                  assertion `left == right` failed
 *
 *   Diff in /a/src/lib.rs:1:             thread 'tests::adds' panicked at 'text      (rustc before 1.73)
 *   Diff in /a/src/lib.rs at line 1:     of any length', src/lib.rs:12:9
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/reader_priv.h"

#define MAX_HEADER_LINES 8u /* of a message, before its place */
#define MAX_PANIC_LINES 64u

static int end(struct readers *r, struct cargo *c, struct err *e)
{
        int n = c->state == CARGO_PANIC_TEXT && !c->draft.message.len ? draft_add(&c->draft, "panicked", e) : 0;
        if (n == 0 && c->state == CARGO_PANIC_TEXT)
                n = reader_tell(r, "cargo", ISSUE_ERROR, r->folder, &c->draft, NULL, e);
        draft_clear(&c->draft);
        c->state = CARGO_IDLE;
        return n;
}

/* "error[E0308]: text", "warning: text". A header of another kind (note, help) is none. */
static int begin_header(struct cargo *c, const char *line, struct err *e)
{
        const char *s = line, *close;
        c->level = ISSUE_ERROR;
        if (!reader_skip(&s, "error")) {
                c->level = ISSUE_WARNING;
                if (!reader_skip(&s, "warning"))
                        return 0;
        }
        if (*s == '[' && (close = strchr(s, ']'))) {
                int n = draft_set(&c->draft.title, s + 1, (size_t)(close - s) - 1, e);
                if (n < 0)
                        return n;
                s = close + 1;
        }
        if (!reader_skip(&s, ": ") || !*s) {
                draft_clear(&c->draft);
                return 0;
        }
        c->state = CARGO_HEADER;
        c->lines = 0;
        return draft_add(&c->draft, s, e);
}

static int header_line(struct readers *r, struct cargo *c, const char *line, struct err *e)
{
        const char *s = line + strspn(line, " ");
        struct place p;
        if (s != line && reader_skip(&s, "--> ") && reader_place(s, strlen(s), &p) && p.column) {
                int n = draft_place(&c->draft, &p, e);
                c->state = CARGO_IDLE;
                AUTO(auto_free) char *code = str_dup(c->draft.title);
                return n < 0 ? n : reader_tell(r, "cargo", c->level, r->folder, &c->draft, code, e);
        }
        if (!*line || ++c->lines > MAX_HEADER_LINES)
                return end(r, c, e);
        return draft_add(&c->draft, line, e);
}

/* Before 1.73 the text stands in quotes, and its place behind them. */
static int quoted_text(struct readers *r, struct cargo *c, const char *s, struct err *e)
{
        struct place p;
        const char *close = NULL;
        for (const char *at = strstr(s, "', "); at; at = strstr(at + 1, "', "))
                close = at;
        c->state = CARGO_PANIC_OPEN;
        if (!close || !reader_place(close + 3, strlen(close + 3), &p) || !p.column)
                return ++c->lines > MAX_PANIC_LINES ? end(r, c, e) : draft_add(&c->draft, s, e);
        AUTO(auto_free) char *text = str_ndup(s, (size_t)(close - s));
        int n = text ? draft_add(&c->draft, text, e) : err_nomem(e);
        if (n == 0)
                n = draft_place(&c->draft, &p, e);
        c->state = CARGO_PANIC_TEXT;
        return n < 0 ? n : end(r, c, e);
}

static int panic_text(struct readers *r, struct cargo *c, const char *line, struct err *e)
{
        if (!*line || str_starts(line, "stack backtrace:") || str_starts(line, "note: ") || str_starts(line, "---- ") ||
            ++c->lines > MAX_PANIC_LINES)
                return end(r, c, e);
        return draft_add(&c->draft, line, e);
}

/* Behind "thread 'NAME' panicked at ". In a run of tests only what the harness shows of failed ones counts: a test may
 * be meant to panic. */
static int begin_panic(struct readers *r, struct cargo *c, const char *name, size_t name_len, const char *s,
                       struct err *e)
{
        size_t len = strlen(s);
        struct place p;
        if (c->in_tests && !c->in_failure)
                return 0;
        int n = draft_set(&c->draft.title, name, name_len, e);
        c->lines = 0;
        if (n == 0 && *s == '\'')
                return quoted_text(r, c, s + 1, e);
        if (n == 0 && len && s[len - 1] == ':' && reader_place(s, len - 1, &p) && p.column) {
                c->state = CARGO_PANIC_TEXT;
                return draft_place(&c->draft, &p, e);
        }
        draft_clear(&c->draft);
        return n;
}

static int try_panic(struct readers *r, struct cargo *c, const char *line, struct err *e)
{
        const char *s = line, *quote;
        if (!reader_skip(&s, "thread '") || !(quote = strchr(s, '\'')))
                return 0;
        const char *name = s;
        s = quote + 1;
        if (*s == ' ' && s[1] == '(') {
                s += 2 + strspn(s + 2, "0123456789");
                if (*s != ')')
                        return 0;
                s++;
        }
        return reader_skip(&s, " panicked at ") ? begin_panic(r, c, name, (size_t)(quote - name), s, e) : 0;
}

static int try_format(struct readers *r, const char *line, struct err *e)
{
        struct draft d = {0};
        struct place p = {0};
        const char *s = line, *at;
        size_t len = strlen(line);
        if (!reader_skip(&s, "Diff in ") || line[len - 1] != ':')
                return 0;
        len = strlen(s) - 1;
        if ((at = strstr(s, " at line ")))
                p = (struct place){
                        .path = s, .path_len = (size_t)(at - s), .line = issue_number(at + 9, strlen(at + 9) - 1)};
        else if (!reader_place(s, len, &p) || p.column)
                return 0;
        if (!p.line || !p.path_len || p.path_len < 3 || memcmp(p.path + p.path_len - 3, ".rs", 3) != 0)
                return 0;
        int n = draft_place(&d, &p, e);
        if (n == 0)
                n = draft_add(&d, "not formatted as `cargo fmt` would", e);
        if (n == 0)
                n = reader_tell(r, "cargo", ISSUE_ERROR, r->folder, &d, NULL, e);
        draft_clear(&d);
        return n;
}

static void watch_tests(struct cargo *c, const char *line)
{
        if (!strchr("rt-f", line[0]))
                return;
        size_t len = strlen(line);
        if (str_starts(line, "running ") && (str_ends(line, " tests") || str_ends(line, " test")))
                c->in_tests = true;
        if (str_starts(line, "test result: "))
                c->in_tests = c->in_failure = false;
        if (len > 10 && str_starts(line, "---- ") && str_ends(line, " stdout ----"))
                c->in_failure = true;
        if (str_eq(line, "failures:"))
                c->in_failure = false;
}

int cargo_line(struct readers *r, struct cargo *c, const char *line, struct err *e)
{
        int n = 0;
        if (c->state == CARGO_PANIC_OPEN)
                return quoted_text(r, c, line, e);
        if (c->state == CARGO_PANIC_TEXT)
                n = panic_text(r, c, line, e);
        else if (c->state == CARGO_HEADER && !str_starts(line, "error") && !str_starts(line, "warning"))
                n = header_line(r, c, line, e);
        else
                n = end(r, c, e);
        watch_tests(c, line);
        if (n < 0 || c->state != CARGO_IDLE)
                return n;
        n = try_panic(r, c, line, e);
        if (n == 0 && c->state == CARGO_IDLE)
                n = begin_header(c, line, e);
        return n < 0 || c->state != CARGO_IDLE ? n : try_format(r, line, e);
}

int cargo_finish(struct readers *r, struct cargo *c, struct err *e)
{
        return end(r, c, e);
}
