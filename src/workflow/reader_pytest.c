/* pytest: from "=== FAILURES ===" or "=== ERRORS ===" to the next title.
 *
 *   ____ test_sum ____                            the test; `--tb=line` has none
 *   >       assert total == 3
 *   E       AssertionError: one and one           the message
 *   tests/test_sums.py:10: AssertionError         a place: the last one in the workspace is the problem's
 *     File "/a/tests/test_sums.py", line 10, in test_sum      the same with `--tb=native`
 */
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/reader_priv.h"

static int end(struct readers *r, struct pytest *p, struct err *e)
{
        struct draft *d = &p->draft;
        int n = 0;
        if (d->is_open && !d->message.len && d->path)
                n = draft_add(d, "failed", e);
        if (n == 0 && d->is_open && d->message.len)
                n = reader_tell(r, "pytest", ISSUE_ERROR, r->folder, d, NULL, e);
        draft_clear(d);
        p->is_captured = p->is_native = false;
        return n;
}

/* "===== FAILURES =====" with any sign: its words. */
static bool read_title(const char *line, char sign, const char **ret, size_t *ret_len)
{
        if (line[0] != sign)
                return false;
        size_t len = strlen(line), front = 0, back = len;
        while (line[front] == sign)
                front++;
        while (back > front && line[back - 1] == sign)
                back--;
        if (back == len || back < front + 3 || line[front] != ' ' || line[back - 1] != ' ')
                return false;
        *ret = line + front + 1;
        *ret_len = back - front - 2;
        return true;
}

static bool is_word(const char *s, size_t len, const char *word)
{
        return strlen(word) == len && memcmp(s, word, len) == 0;
}

static int begin(struct readers *r, struct pytest *p, const char *name, size_t len, struct err *e)
{
        int n = end(r, p, e);
        p->draft.is_open = true;
        return n < 0 ? n : draft_set(&p->draft.title, name, len, e);
}

/* "path.py:10: rest". */
static bool read_place(const char *line, struct place *ret, const char **ret_rest)
{
        const char *py = strstr(line, ".py:");
        if (!py || *line == ' ' || *line == '\t' || *line == '>')
                return false;
        size_t digits = strspn(py + 4, "0123456789");
        *ret = (struct place){.path = line, .path_len = (size_t)(py - line) + 3, .line = issue_number(py + 4, digits)};
        *ret_rest = py + 4 + digits;
        return ret->line && ret->path_len <= ISSUE_MAX_PATH && reader_skip(ret_rest, ":");
}

/* `File "path.py", line 10`. */
static bool read_file_place(const char *line, struct place *ret)
{
        const char *s = line + strspn(line, " "), *quote;
        if (!reader_skip(&s, "File \"") || !(quote = strchr(s, '"')))
                return false;
        const char *number = quote + 1;
        *ret = (struct place){.path = s, .path_len = (size_t)(quote - s)};
        if (!reader_skip(&number, ", line ") || !ret->path_len || ret->path_len > ISSUE_MAX_PATH)
                return false;
        ret->line = issue_number(number, strspn(number, "0123456789"));
        return ret->line;
}

static int take_place(struct readers *r, struct pytest *p, const struct place *place, struct err *e)
{
        return reader_is_inside(r, place->path, place->path_len) ? draft_place(&p->draft, place, e) : 0;
}

/* Behind the "E": as far to the left as the first of them. */
static int message_line(struct readers *r, struct pytest *p, const char *text, struct err *e)
{
        struct place place;
        size_t blanks = strspn(text, " ");
        if (!p->draft.message.len)
                p->indent = blanks;
        if (read_file_place(text, &place))
                return take_place(r, p, &place, e);
        return draft_add(&p->draft, text + MIN(blanks, p->indent), e);
}

static int test_line(struct readers *r, struct pytest *p, const char *line, struct err *e)
{
        struct place place;
        const char *rest;
        if (p->is_captured)
                return 0;
        if (line[0] == 'E' && line[1] == ' ')
                return message_line(r, p, line + 1, e);
        if (str_starts(line, "Traceback (most recent call last):")) {
                p->is_native = true;
                return 0;
        }
        if (p->is_native && read_file_place(line, &place))
                return take_place(r, p, &place, e);
        if (read_place(line, &place, &rest))
                return take_place(r, p, &place, e);
        return p->is_native && *line && *line != ' ' ? draft_add(&p->draft, line, e) : 0;
}

/* `--tb=line`: a problem a line. */
static int lone_line(struct readers *r, const char *line, struct err *e)
{
        struct draft d = {0};
        struct place place;
        const char *rest;
        if (!read_place(line, &place, &rest) || !reader_skip(&rest, " ") || !*rest)
                return 0;
        int n = draft_place(&d, &place, e);
        if (n == 0)
                n = draft_add(&d, rest, e);
        if (n == 0)
                n = reader_tell(r, "pytest", ISSUE_ERROR, r->folder, &d, NULL, e);
        draft_clear(&d);
        return n;
}

static int section_line(struct readers *r, struct pytest *p, const char *line, struct err *e)
{
        const char *name;
        size_t len;
        if (read_title(line, '_', &name, &len) && *name != '_')
                return begin(r, p, name, len, e);
        if (read_title(line, '-', &name, &len) && str_starts(name, "Captured ")) {
                p->is_captured = true;
                return 0;
        }
        return p->draft.is_open ? test_line(r, p, line, e) : lone_line(r, line, e);
}

int pytest_line(struct readers *r, struct pytest *p, const char *line, struct err *e)
{
        const char *name;
        size_t len;
        bool title = read_title(line, '=', &name, &len) || (p->is_section && read_title(line, '!', &name, &len));
        if (!title)
                return p->is_section ? section_line(r, p, line, e) : 0;
        int n = end(r, p, e);
        p->is_section = is_word(name, len, "FAILURES") || is_word(name, len, "ERRORS");
        return n;
}

int pytest_finish(struct readers *r, struct pytest *p, struct err *e)
{
        p->is_section = false;
        return end(r, p, e);
}
