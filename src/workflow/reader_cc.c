/* gcc and clang. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/reader_priv.h"

/* What may be compiled: a time stamp, an address or a module's name before a number is no such file. */
static bool is_source(const char *path, size_t len)
{
        static const char *const endings[] = {"c",   "h",   "cc",  "cpp", "cxx", "c++", "C",   "hh",  "hpp",
                                              "hxx", "h++", "H",   "inl", "ipp", "tcc", "i",   "ii",  "m",
                                              "mm",  "S",   "s",   "cu",  "f",   "F",   "f90", "F90", "f95",
                                              "f03", "f08", "ads", "adb", "d",   "l",   "y",   "ll",  "yy"};
        const char *dot = memrchr(path, '.', len);
        size_t n = dot ? (size_t)(path + len - dot) - 1 : 0;
        if (!n || dot == path || memchr(path, ' ', len) || memchr(path, '\t', len) || memchr(path, '(', len))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
                if (strlen(endings[i]) == n && memcmp(endings[i], dot + 1, n) == 0)
                        return true;
        return false;
}

/* What stands behind the place, and how bad it is. */
static bool read_level(const char **s, enum issue_level *ret)
{
        *ret = ISSUE_ERROR;
        if (reader_skip(s, "error: ") || reader_skip(s, "fatal error: "))
                return true;
        if (str_starts(*s, "undefined reference to ") || str_starts(*s, "multiple definition of "))
                return true;
        *ret = ISSUE_WARNING;
        return reader_skip(s, "warning: ");
}

/* "[-Wunused]" at the end: the option, for the code. */
static char *option_of(const char *message)
{
        const char *open = strrchr(message, '[');
        size_t n = open ? strlen(open) : 0;
        return n > 4 && open[1] == '-' && open[n - 1] == ']' ? str_ndup(open + 1, n - 2) : NULL;
}

static int tell(struct readers *r, const struct place *p, enum issue_level level, const char *message, struct err *e)
{
        const struct cc *c = &r->cc;
        struct draft d = {0};
        AUTO(auto_free) char *code = option_of(message);
        int n = draft_place(&d, p, e);
        if (n == 0)
                n = draft_add(&d, message, e);
        if (n == 0)
                n = reader_tell(r, "cc", level, c->n ? c->folder[c->n - 1] : r->folder, &d, code, e);
        draft_clear(&d);
        return n;
}

static int enter(struct readers *r, const char *s, struct err *e)
{
        struct cc *c = &r->cc;
        size_t n = strlen(s);
        AUTO(auto_free) char *name = n > 1 && s[n - 1] == '\'' ? str_ndup(s, n - 1) : NULL;
        char *folder =
                name && c->n < READER_MAX_FOLDERS ? issue_join(c->n ? c->folder[c->n - 1] : r->folder, name) : NULL;
        (void)e;
        if (folder)
                c->folder[c->n++] = folder;
        return 0;
}

/* "make[1]: Entering directory '/a'", "ninja: Entering directory `build'". */
static int follow(struct readers *r, const char *line, struct err *e)
{
        const char *s = line;
        while ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '[' || *s == ']')
                s++;
        if (reader_skip(&s, ": Entering directory '") || reader_skip(&s, ": Entering directory `"))
                return enter(r, s, e);
        if (r->cc.n && str_starts(s, ": Leaving directory "))
                free(r->cc.folder[--r->cc.n]);
        return 0;
}

int cc_line(struct readers *r, const char *line, struct err *e)
{
        enum issue_level level;
        struct place p;
        if (strstr(line, "directory "))
                return follow(r, line, e);
        for (const char *at = strstr(line, ": "); at; at = strstr(at + 2, ": ")) {
                const char *rest = at + 2;
                if (!read_level(&rest, &level))
                        continue;
                if (!*rest || !reader_place(line, (size_t)(at - line), &p) || !is_source(p.path, p.path_len))
                        return 0;
                return tell(r, &p, level, rest, e);
        }
        return 0;
}

void cc_done(struct cc *c)
{
        while (c->n)
                free(c->folder[--c->n]);
}
