#include "workflow/fileglob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

#define MAX_PARTS 512u /* of one pattern */

enum part_kind { PART_LITERAL, PART_WILD, PART_ANY /* ** */ };

struct part {
        enum part_kind kind;
        char *text;    /* PART_LITERAL: unescaped */
        char *literal; /* what it stands for when it is no wildcard, else "" */
};

struct pattern {
        bool negated, folders_only;
        struct part *parts;
        size_t n;
        char *search;
};

struct fileglob {
        struct pattern *v;
        size_t n;
        struct strv searches;
        bool literal;
};

/* ---- one part of a path ---- */

/* One character, or one byte that is none. */
static unsigned next(const char *s, uint32_t *ret)
{
        unsigned n = str_utf8_next(s, strlen(s), ret);
        if (n == 0) {
                *ret = 0x110000u + (uint8_t)*s; /* no character is equal to it */
                return 1;
        }
        return n;
}

/* One member of a set: a character, perhaps escaped. */
static const char *set_member(const char *p, uint32_t *ret)
{
        if (*p == '\\' && p[1])
                p++;
        return p + next(p, ret);
}

/* The end of a set that begins behind '[': behind its ']'. NULL: it is none, and '[' stands for itself. A ']' right
 * behind '[' is a member; a range whose ends are the wrong way round makes the whole no set, as in minimatch. */
static const char *set_end(const char *p)
{
        const char *first = p;
        if (*p == '!' || *p == '^')
                p++;
        while (*p && (*p != ']' || p == first)) {
                uint32_t from, to;
                p = set_member(p, &from);
                if (*p == '-' && p[1] && p[1] != ']') {
                        p = set_member(p + 1, &to);
                        if (to < from)
                                return NULL;
                }
        }
        return *p ? p + 1 : NULL;
}

static bool set_has(const char *p, const char *end, uint32_t c)
{
        bool negated = *p == '!' || *p == '^', found = false;
        if (negated)
                p++;
        for (end--; p < end;) {
                uint32_t from, to;
                p = set_member(p, &from);
                to = from;
                if (*p == '-' && p + 1 < end)
                        p = set_member(p + 1, &to);
                found |= c >= from && c <= to;
        }
        return found != negated;
}

/* One element of a pattern that is no star against one character: behind it, or NULL. */
static const char *match_one(const char *p, uint32_t c)
{
        const char *end = *p == '[' ? set_end(p + 1) : NULL;
        uint32_t own;
        if (end)
                return set_has(p + 1, end, c) ? end : NULL;
        if (*p == '?')
                return p + 1;
        if (*p == '\\' && p[1])
                p++;
        unsigned n = next(p, &own);
        return own == c ? p + n : NULL;
}

/* After a mismatch only the last star can take one character more. *steps counts what was looked at. */
static bool match_text(const char *p, const char *s, uint64_t *steps)
{
        const char *star = NULL, *taken = NULL;
        for (; *s; ++*steps) {
                uint32_t c;
                unsigned n = next(s, &c);
                const char *behind = *p == '*' || !*p ? NULL : match_one(p, c);
                if (*p == '*') {
                        star = ++p;
                        taken = s;
                } else if (behind) {
                        p = behind;
                        s += n;
                } else if (star) {
                        p = star;
                        s = taken += next(taken, &c);
                } else {
                        return false;
                }
        }
        while (*p == '*')
                p++;
        return !*p;
}

bool fileglob_name(const char *pattern, const char *name)
{
        uint64_t unused = 0;
        if (!*name || str_eq(name, ".") || str_eq(name, "..") || (name[0] == '.' && pattern[0] != '.'))
                return false;
        return match_text(pattern, name, &unused);
}

/* What a part stands for when it is no wildcard, malloc'd; "" when it is one. As getLiteral() of @actions/glob: a set
 * of one character is that character. */
static char *literal_of(const char *part)
{
        char *out = malloc(strlen(part) + 1), *to = out;
        for (const char *p = part; out && *p;) {
                const char *close = *p == '[' ? strchr(p + 1, ']') : NULL;
                if (*p == '\\' && p[1]) {
                        *to++ = p[1];
                        p += 2;
                } else if (*p == '*' || *p == '?' || (close && close - p > 2)) {
                        *out = '\0';
                        return out;
                } else if (close && close - p == 2) {
                        *to++ = p[1];
                        p += 3;
                } else {
                        *to++ = *p++;
                }
        }
        if (out)
                *to = '\0';
        return out;
}

/* ---- parsing ---- */

static void pattern_done(struct pattern *p)
{
        for (size_t i = 0; i < p->n; i++) {
                free(p->parts[i].text);
                free(p->parts[i].literal);
        }
        free(p->parts);
        free(p->search);
}

struct fileglob *fileglob_free(struct fileglob *g)
{
        if (!g)
                return NULL;
        for (size_t i = 0; i < g->n; i++)
                pattern_done(&g->v[i]);
        free(g->v);
        strv_done(&g->searches);
        free(g);
        return NULL;
}

static int invalid(const char *text, const char *why, struct err *e)
{
        char shown[256];
        str_escape(shown, sizeof(shown), text, strlen(text));
        return err_set(e, ERR_USAGE, "invalid pattern '%s': %s", shown, why);
}

/* '.' may be the first part only, '..' none. */
static int check_dots(const char *text, struct err *e)
{
        for (const char *p = text; *p;) {
                size_t n = strcspn(p, "/");
                if ((n == 2 && p[0] == '.' && p[1] == '.') || (n == 1 && *p == '.' && p != text))
                        return invalid(text, "relative pathing '.' and '..' is not allowed", e);
                p += n + (p[n] == '/');
        }
        return 0;
}

/* In front of a pattern: a folder's name, in which nothing is a wildcard. */
static char *escaped(const char *folder)
{
        char *out = malloc(2 * strlen(folder) + 1), *to = out;
        for (const char *p = folder; out && *p; p++) {
                if (strchr("\\*?[", *p))
                        *to++ = '\\';
                *to++ = *p;
        }
        if (out)
                *to = '\0';
        return out;
}

static int make_absolute(const char *text, const struct fileglob_options *o, char **ret, struct err *e)
{
        const char *folder = o->workdir, *rest = text;
        if (text[0] == '/') {
                *ret = str_dup(text);
                return *ret ? 0 : err_nomem(e);
        }
        if ((text[0] == '.' || text[0] == '~') && (!text[1] || text[1] == '/')) {
                folder = text[0] == '~' ? o->home : o->workdir;
                rest = text + 1;
        }
        AUTO(auto_free) char *front = escaped(folder);
        *ret = front ? str_printf("%s%s%s", front, rest == text ? "/" : "", rest) : NULL;
        return *ret ? 0 : err_nomem(e);
}

static int add_part(struct pattern *p, const char *text, size_t len, struct err *e)
{
        AUTO(auto_free) char *part = str_ndup(text, len);
        AUTO(auto_free) char *literal = part ? literal_of(part) : NULL;
        struct part *parts = literal ? reallocarray(p->parts, p->n + 1, sizeof(*parts)) : NULL;
        if (!parts)
                return err_nomem(e);
        p->parts = parts;
        /* A set is matched as one, even one that is taken literally where the walk begins. */
        enum part_kind kind = str_eq(part, "**")                       ? PART_ANY
                              : !*literal || strchr(part, '[') != NULL ? PART_WILD
                                                                       : PART_LITERAL;
        char *own = kind == PART_LITERAL ? str_dup(literal) : TAKE_PTR(part);
        if (!own)
                return err_nomem(e);
        parts[p->n++] = (struct part){kind, own, TAKE_PTR(literal)};
        return 0;
}

static int split(struct pattern *p, const char *absolute, struct err *e)
{
        int r = 0;
        for (const char *at = absolute + 1; r == 0 && *at;) {
                size_t n = strcspn(at, "/");
                if (n && p->n == MAX_PARTS)
                        return invalid(absolute, "it has more than 512 parts", e);
                if (n)
                        r = add_part(p, at, n, e);
                at += n + (at[n] == '/');
        }
        return r;
}

static int find_search(struct pattern *p, struct err *e)
{
        char path[FILEGLOB_MAX_PATH + 2] = "";
        size_t used = 0;
        for (size_t i = 0; i < p->n && *p->parts[i].literal; i++) {
                size_t n = strlen(p->parts[i].literal);
                path[used++] = '/';
                memcpy(path + used, p->parts[i].literal, n + 1);
                used += n;
        }
        p->search = str_dup(used ? path : "/");
        return p->search ? 0 : err_nomem(e);
}

static int parse_pattern(struct pattern *p, const char *text, const struct fileglob_options *o, struct err *e)
{
        AUTO(auto_free) char *absolute = NULL;
        if (!*text)
                return invalid("!", "a pattern cannot be empty", e);
        int r = check_dots(text, e);
        if (r == 0)
                r = make_absolute(text, o, &absolute, e);
        if (r == 0 && strlen(absolute) > FILEGLOB_MAX_PATH)
                r = invalid(text, "it is longer than 4096 bytes", e);
        if (r < 0)
                return r;
        p->folders_only = str_ends(absolute, "/");
        r = split(p, absolute, e);
        return r < 0 ? r : find_search(p, e);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Without blanks at either end, in place. */
static char *trim(char *s)
{
        size_t n = strlen(s);
        while (n && is_blank(s[n - 1]))
                s[--n] = '\0';
        while (is_blank(*s))
                s++;
        return s;
}

static int grow(struct fileglob *g, struct pattern **ret, struct err *e)
{
        if (g->n >= FILEGLOB_MAX_PATTERNS)
                return err_set(e, ERR_USAGE, "more than %u patterns", FILEGLOB_MAX_PATTERNS);
        struct pattern *v = reallocarray(g->v, g->n + 1, sizeof(*v));
        if (!v)
                return err_nomem(e);
        g->v = v;
        v[g->n] = (struct pattern){0};
        *ret = &v[g->n++];
        return 0;
}

/* GLOB/ and GLOB name what is in them, too, unless they say so already. */
static int add_descendants(struct fileglob *g, const char *text, bool negated, const struct fileglob_options *o,
                           struct err *e)
{
        const struct pattern *own = &g->v[g->n - 1];
        struct pattern *p = NULL;
        bool any = own->n && own->parts[own->n - 1].kind == PART_ANY;
        if (!o->descendants || (any && !own->folders_only))
                return 0;
        AUTO(auto_free) char *deeper = str_printf("%s/**", text);
        int r = deeper ? grow(g, &p, e) : err_nomem(e);
        if (r == 0)
                r = parse_pattern(p, deeper, o, e);
        if (r == 0)
                p->negated = negated;
        return r;
}

static int add_line(struct fileglob *g, char *line, const struct fileglob_options *o, struct err *e)
{
        struct pattern *p = NULL;
        bool negated = false;
        line = trim(line);
        if (!*line || *line == '#')
                return 0;
        for (; *line == '!'; line = trim(line + 1))
                negated = !negated;
        int r = grow(g, &p, e);
        if (r == 0)
                r = parse_pattern(p, line, o, e);
        if (r < 0)
                return r;
        p->negated = negated;
        for (size_t i = 0; i < p->n; i++)
                g->literal &= *p->parts[i].literal != '\0';
        return add_descendants(g, line, negated, o, e);
}

static bool is_below(const char *path, const char *folder)
{
        size_t n = str_eq(folder, "/") ? 0 : strlen(folder);
        return strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1];
}

static int find_searches(struct fileglob *g, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < g->n; i++) {
                bool below = g->v[i].negated || strv_has(&g->searches, g->v[i].search);
                for (size_t k = 0; k < g->n && !below; k++)
                        below = !g->v[k].negated && is_below(g->v[i].search, g->v[k].search);
                if (!below)
                        r = strv_add(&g->searches, g->v[i].search, e);
        }
        return r;
}

int fileglob_new(const char *text, const struct fileglob_options *o, struct fileglob **ret, struct err *e)
{
        AUTO(fileglob_freep) struct fileglob *g = calloc(1, sizeof(*g));
        AUTO(auto_free) char *copy = str_dup(text);
        if (!g || !copy)
                return err_nomem(e);
        if (strlen(text) > FILEGLOB_MAX_TEXT)
                return err_set(e, ERR_USAGE, "patterns of more than %zu KiB", FILEGLOB_MAX_TEXT >> 10);
        g->literal = true;
        int r = 0;
        for (char *line = copy, *rest; r == 0 && line; line = rest) {
                rest = strchr(line, '\n');
                if (rest)
                        *rest++ = '\0';
                r = add_line(g, line, o, e);
        }
        if (r == 0)
                r = find_searches(g, e);
        if (r == 0)
                *ret = TAKE_PTR(g);
        return r;
}

size_t fileglob_searches(const struct fileglob *g)
{
        return g->searches.n;
}

const char *fileglob_search_at(const struct fileglob *g, size_t i)
{
        return g->searches.v[i];
}

bool fileglob_is_literal(const struct fileglob *g)
{
        return g->literal;
}

char *fileglob_common(const struct fileglob *g)
{
        if (!g->searches.n)
                return NULL;
        size_t n = strlen(g->searches.v[0]);
        for (size_t i = 1; i < g->searches.n; i++) {
                const char *a = g->searches.v[0], *b = g->searches.v[i];
                size_t same = 0, whole = 0;
                while (same < n && a[same] == b[same])
                        same++;
                for (size_t k = 0; k <= same; k++)
                        if ((k == n || a[k] == '/') && (!b[k] || b[k] == '/'))
                                whole = k;
                n = whole;
        }
        return n ? str_ndup(g->searches.v[0], n) : str_dup("/");
}

/* ---- matching ---- */

/* A path's next part. */
struct piece {
        char text[FILEGLOB_MAX_PATH + 1];
};

static const char *take_piece(const char *path, struct piece *ret)
{
        size_t n = strcspn(path, "/");
        memcpy(ret->text, path, n);
        ret->text[n] = '\0';
        return path + n + (path[n] == '/');
}

static bool match_part(const struct part *p, const char *text, uint64_t *steps)
{
        ++*steps;
        return p->kind == PART_LITERAL ? str_eq(p->text, text) : match_text(p->text, text, steps);
}

/* As match_text(), with parts for characters and ** for stars. partial: is there something that begins with the path
 * and matches? */
static bool match_path(const struct pattern *p, const char *path, bool partial, uint64_t *steps)
{
        struct piece piece;
        const char *at = path + 1, *taken = NULL;
        size_t i = 0, star = 0;
        if (strlen(path) > FILEGLOB_MAX_PATH)
                return false;
        while (*at) {
                if (i < p->n && p->parts[i].kind == PART_ANY) {
                        star = ++i;
                        taken = at;
                        continue;
                }
                const char *behind = take_piece(at, &piece);
                if (i < p->n && match_part(&p->parts[i], piece.text, steps)) {
                        i++;
                        at = behind;
                } else if (taken) {
                        i = star;
                        at = taken = take_piece(taken, &piece);
                } else {
                        return false;
                }
        }
        while (i < p->n && p->parts[i].kind == PART_ANY)
                i++;
        return partial || i == p->n;
}

unsigned fileglob_match_counted(const struct fileglob *g, const char *path, uint64_t *steps)
{
        unsigned found = 0;
        for (size_t i = 0; i < g->n; i++) {
                const struct pattern *p = &g->v[i];
                unsigned kind = p->folders_only ? FILEGLOB_FOLDER : FILEGLOB_FOLDER | FILEGLOB_FILE;
                if (!match_path(p, path, false, steps))
                        continue;
                found = p->negated ? found & ~kind : found | kind;
        }
        return found;
}

unsigned fileglob_match(const struct fileglob *g, const char *path)
{
        uint64_t unused = 0;
        return fileglob_match_counted(g, path, &unused);
}

bool fileglob_may_hold(const struct fileglob *g, const char *path)
{
        uint64_t unused = 0;
        for (size_t i = 0; i < g->n; i++)
                if (!g->v[i].negated && match_path(&g->v[i], path, true, &unused))
                        return true;
        return false;
}
