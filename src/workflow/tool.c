#include "workflow/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"

#define BLANKS " \t\r"
#define DIGITS "0123456789"

/* ---- versions of other forms ---- */

/* "3.13.0rc1", "1.21rc2", "17.0.9+9-Debian", "1.8.0_392-b08": up to four numbers, then what follows them. */
struct loose {
        unsigned long number[4];
        unsigned n;
        const char *rest;
};

static bool read_loose(const char *s, struct loose *ret)
{
        *ret = (struct loose){.n = 0};
        for (; ret->n < 4; s++) {
                size_t digits = strspn(s, DIGITS);
                if (!digits || digits > 9)
                        return false;
                ret->number[ret->n++] = strtoul(s, NULL, 10);
                s += digits;
                if ((*s != '.' && *s != '_') || !strchr(DIGITS, s[1]) || !s[1])
                        break;
        }
        ret->rest = s;
        return true;
}

/* Java 8 and older say 1.8. */
static void drop_one(struct loose *v)
{
        if (v->n < 2 || v->number[0] != 1)
                return;
        memmove(v->number, v->number + 1, 3 * sizeof(v->number[0]));
        v->number[--v->n] = 0;
}

/* "rc1", "beta2" behind the numbers become "-rc1" (Python) or "-rc.1" (Go). */
static void prerelease(enum tool t, const char *rest, char ret[24])
{
        size_t letters = strspn(rest, "abcdefghijklmnopqrstuvwxyz"), digits = strspn(rest + letters, DIGITS);
        *ret = '\0';
        if (letters && letters < 8 && digits < 8)
                snprintf(ret, 24, "-%.*s%s%.*s", (int)letters, rest, t == TOOL_GO && digits ? "." : "", (int)digits,
                         rest + letters);
}

static void build(enum tool t, const char *rest, char ret[24])
{
        size_t digits = t == TOOL_JAVA && *rest == '+' ? strspn(rest + 1, DIGITS) : 0;
        *ret = '\0';
        if (digits && digits < 10)
                snprintf(ret, 24, "+%.*s", (int)digits, rest + 1);
}

/* What a tool says of itself as a version of semver.h. */
static bool normalize(enum tool t, const char *said, char ret[64])
{
        struct loose v;
        char pre[24], meta[24];
        said += *said == 'v';
        if (t == TOOL_NODE)
                return str_copy(ret, 64, said);
        if (!read_loose(said, &v))
                return false;
        prerelease(t, v.rest, pre);
        build(t, v.rest, meta);
        if (t == TOOL_JAVA)
                drop_one(&v);
        snprintf(ret, 64, "%lu.%lu.%lu%s%s", v.number[0], v.number[1], v.number[2], pre, meta);
        return true;
}

/* ---- wishes ---- */

static const struct {
        const char *name, *major;
} lts[] = {{"argon", "4"},   {"boron", "6"},    {"carbon", "8"},   {"dubnium", "10"},
           {"erbium", "12"}, {"fermium", "14"}, {"gallium", "16"}, {"hydrogen", "18"},
           {"iron", "20"},   {"jod", "22"},     {"krypton", "24"}};

static const char *node_range(const char *wish)
{
        static const char *const any[] = {"latest", "node", "current", "lts/*"};
        for (size_t i = 0; i < ARRAY_SIZE(any); i++)
                if (str_ieq(wish, any[i]))
                        return "*";
        for (size_t i = 0; str_starts(wish, "lts/") && i < ARRAY_SIZE(lts); i++)
                if (str_ieq(wish + strlen("lts/"), lts[i].name))
                        return lts[i].major;
        return wish;
}

/* "3.13-dev" is the newest of 3.13, prereleases too; "3.13.0rc1" is written 3.13.0-rc1. */
static void python_range(const char *wish, char ret[TOOL_MAX_WISH + 16])
{
        struct loose v;
        char pre[24] = "";
        size_t len = strlen(wish);
        bool is_version = read_loose(wish, &v);
        if (is_version)
                prerelease(TOOL_PYTHON, v.rest, pre);
        if (is_version && v.n == 2 && str_eq(v.rest, "-dev"))
                snprintf(ret, TOOL_MAX_WISH + 16, "~%lu.%lu.0-0", v.number[0], v.number[1]);
        else if (is_version && v.n == 3 && *pre && strlen(pre) == 1 + strlen(v.rest))
                snprintf(ret, TOOL_MAX_WISH + 16, "%.*s%s", (int)(len - strlen(v.rest)), wish, pre);
        else
                snprintf(ret, TOOL_MAX_WISH + 16, "%s", wish);
        for (char *c = ret; *c; c++)
                if (*c == ',')
                        *c = ' ';
}

static void java_range(const char *wish, char ret[TOOL_MAX_WISH + 16])
{
        const char *old = str_starts(wish, "1.") && strspn(wish + 2, DIGITS) ? wish + 2 : wish;
        snprintf(ret, TOOL_MAX_WISH + 16, "%s", old);
}

bool tool_range(enum tool t, const char *wish, char ret[SEMVER_MAX_RANGE + 1], const char **ret_why)
{
        char range[TOOL_MAX_WISH + 16];
        *ret_why = "expected a version or a range of versions";
        if (strlen(wish) > TOOL_MAX_WISH)
                return false;
        if (t == TOOL_PYTHON)
                python_range(wish, range);
        else if (t == TOOL_JAVA)
                java_range(wish, range);
        else if (t == TOOL_GO && (str_eq(wish, "stable") || str_eq(wish, "oldstable")))
                snprintf(range, sizeof(range), "*");
        else
                snprintf(range, sizeof(range), "%s", t == TOOL_NODE ? node_range(wish) : wish);
        if (!semver_range_is_valid(range))
                return false;
        return str_copy(ret, SEMVER_MAX_RANGE + 1, range);
}

/* ---- version files ---- */

/* The next line without its end; false: there is none. */
static bool next_line(const char **at, const char **ret, size_t *ret_len)
{
        if (!**at)
                return false;
        size_t n = strcspn(*at, "\n");
        *ret = *at;
        *ret_len = n && (*at)[n - 1] == '\r' ? n - 1 : n;
        *at += n + ((*at)[n] == '\n');
        return true;
}

/* Up to a comment, without blanks at its ends. */
static char *trimmed(const char *s, size_t len)
{
        size_t skip = 0;
        for (size_t i = 0; i < len; i++)
                if (s[i] == '#')
                        len = i;
        while (skip < len && strchr(BLANKS, s[skip]))
                skip++;
        while (len > skip && strchr(BLANKS, s[len - 1]))
                len--;
        return str_ndup(s + skip, len - skip);
}

/* The text behind the first of the words that a line begins with; NULL: no memory, "": none. */
static char *after_word(const char *text, const char *const *words)
{
        const char *line;
        size_t n;
        while (next_line(&text, &line, &n))
                for (size_t i = 0; words[i]; i++) {
                        size_t word = strlen(words[i]);
                        if (n <= word || strncmp(line, words[i], word) != 0 || !strchr(" \t=", line[word]))
                                continue;
                        const char *rest = line + word + strspn(line + word, " \t=");
                        char *found = trimmed(rest, rest < line + n ? (size_t)(line + n - rest) : 0);
                        if (!found || *found)
                                return found;
                        free(found);
                }
        return str_dup("");
}

/* The first line that says something. */
static char *first_line(const char *text)
{
        const char *line;
        size_t n;
        while (next_line(&text, &line, &n)) {
                char *found = trimmed(line, n);
                if (!found || *found)
                        return found;
                free(found);
        }
        return str_dup("");
}

static const char *member(const json_t *o, const char *outer, const char *inner)
{
        return json_string_value(json_object_get(json_object_get(o, outer), inner));
}

/* devEngines.runtime: one, or a list of them. */
static const char *dev_engine(const json_t *o)
{
        const json_t *runtime = json_object_get(json_object_get(o, "devEngines"), "runtime");
        size_t n = json_is_array(runtime) ? json_array_size(runtime) : 1;
        for (size_t i = 0; i < n; i++) {
                const json_t *one = json_is_array(runtime) ? json_array_get(runtime, i) : runtime;
                if (str_eq(json_string_value(json_object_get(one, "name")), "node"))
                        return json_string_value(json_object_get(one, "version"));
        }
        return NULL;
}

static char *node_file(const char *text, size_t len)
{
        static const char *const words[] = {"nodejs", "node", NULL};
        AUTO(json_decrefp) json_t *o = NULL;
        struct err ignored = ERR_INIT;
        if (json_parse(text, len, TOOL_MAX_FILE, "the file", &o, &ignored) == 0 && json_is_object(o)) {
                const char *volta = member(o, "volta", "node"), *dev = dev_engine(o);
                const char *found = volta ? volta : dev ? dev : member(o, "engines", "node");
                return str_dup(found ? found : "");
        }
        AUTO(auto_free) char *found = after_word(text, words);
        return found && !*found ? first_line(text) : TAKE_PTR(found);
}

/* KEY = "VALUE" of a section of TOML, which is all that is read of it. */
static char *toml_value(const char *text, const char *section, const char *key)
{
        const char *line;
        size_t n, key_len = strlen(key);
        bool inside = false;
        while (next_line(&text, &line, &n)) {
                if (*line == '[')
                        inside = n >= strlen(section) && strncmp(line, section, strlen(section)) == 0;
                if (!inside || n <= key_len || strncmp(line, key, key_len) != 0)
                        continue;
                const char *at = line + key_len, *end = line + n;
                at += strspn(at, " \t");
                if (*at++ != '=')
                        continue;
                at += strspn(at, " \t");
                if (at >= end || (*at != '"' && *at != '\''))
                        continue;
                const char *close = memchr(at + 1, *at, (size_t)(end - at - 1));
                if (close)
                        return str_ndup(at + 1, (size_t)(close - at - 1));
        }
        return str_dup("");
}

static char *python_file(const char *name, const char *text)
{
        static const char *const words[] = {"python", NULL};
        static const struct {
                const char *file, *section, *key;
        } tables[] = {{"pyproject.toml", "[project]", "requires-python"},
                      {"pyproject.toml", "[tool.poetry.dependencies]", "python"},
                      {"Pipfile", "[requires]", "python_full_version"},
                      {"Pipfile", "[requires]", "python_version"}};
        bool is_table = false;
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
                if (!str_eq(name, tables[i].file))
                        continue;
                is_table = true;
                char *found = toml_value(text, tables[i].section, tables[i].key);
                if (!found || *found)
                        return found;
                free(found);
        }
        if (is_table)
                return str_dup("");
        return str_eq(name, ".tool-versions") ? after_word(text, words) : first_line(text);
}

static char *go_file(const char *name, const char *text)
{
        static const char *const toolchain[] = {"toolchain", NULL}, *const go[] = {"go", NULL},
                                 *const golang[] = {"golang", NULL};
        if (str_eq(name, ".tool-versions"))
                return after_word(text, golang);
        if (!str_eq(name, "go.mod") && !str_eq(name, "go.work"))
                return first_line(text);
        char *found = after_word(text, toolchain);
        if (found && str_starts(found, "go") && strchr(DIGITS, found[2]) && found[2]) {
                memmove(found, found + 2, strlen(found) - 1);
                return found;
        }
        free(found);
        return after_word(text, go);
}

/* "temurin-17.0.9+9", "17.0.9-tem": the first part that is a number. */
static char *java_file(const char *name, const char *text)
{
        static const char *const words[] = {"java", NULL};
        bool has_word = str_eq(name, ".tool-versions") || str_eq(name, ".sdkmanrc");
        AUTO(auto_free) char *found = has_word ? after_word(text, words) : first_line(text);
        for (char *at = found; at && *at;) {
                size_t n = strcspn(at, "- \t");
                const char *number = at + (*at == 'v');
                if (strchr(DIGITS, *number) && *number)
                        return str_ndup(number, n - (size_t)(number - at));
                at += n + (at[n] != '\0');
        }
        return found ? str_dup("") : NULL;
}

int tool_read_file(enum tool t, const char *name, const void *data, size_t len, char **ret, struct err *e)
{
        AUTO(auto_free) char *text = str_ndup(len ? data : "", len);
        if (!text)
                return err_nomem(e);
        AUTO(auto_free)
        char *wish = t == TOOL_NODE     ? node_file(text, strlen(text))
                     : t == TOOL_PYTHON ? python_file(name, text)
                     : t == TOOL_GO     ? go_file(name, text)
                                        : java_file(name, text);
        if (!wish)
                return err_nomem(e);
        if (!*wish)
                return TOOL_E_NONE;
        *ret = TAKE_PTR(wish);
        return 0;
}

/* ---- what there is ---- */

static bool is_plain(const char *s, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (s[i] < ' ' || s[i] > '~')
                        return false;
        return len > 0;
}

/* False: the line says nothing of use. */
static bool split(const char *line, size_t len, const char *parts[3], size_t lens[3])
{
        for (int i = 0; i < 3; i++) {
                const char *tab = memchr(line, '\t', len);
                if ((i < 2) != (tab != NULL))
                        return false;
                parts[i] = line;
                lens[i] = tab ? (size_t)(tab - line) : len;
                if (!is_plain(line, lens[i]))
                        return false;
                line += lens[i] + 1;
                len -= lens[i] + (tab != NULL);
        }
        return *parts[1] == '/' && lens[1] <= TOOL_MAX_PATH && lens[2] <= SEMVER_MAX_LENGTH;
}

static int add(enum tool t, struct tool_list *l, const char *parts[3], const size_t lens[3], struct err *e)
{
        struct tool_found *x = &l->v[l->n];
        *x = (struct tool_found){.kind = str_ndup(parts[0], lens[0]),
                                 .path = str_ndup(parts[1], lens[1]),
                                 .version = str_ndup(parts[2], lens[2])};
        l->n++;
        if (!x->kind || !x->path || !x->version)
                return err_nomem(e);
        if (normalize(t, x->version, x->text) && semver_parse(x->text, &x->semver))
                return 0;
        l->n--;
        free(x->kind);
        free(x->path);
        free(x->version);
        return 0;
}

int tool_list_parse(enum tool t, const void *data, size_t len, struct tool_list *ret, struct err *e)
{
        const char *at = data;
        int r = 0;
        ret->n = 0;
        while (r == 0 && len && ret->n < TOOL_MAX_FOUND) {
                const char *end = memchr(at, '\n', len), *parts[3];
                size_t n = end ? (size_t)(end - at) : len, lens[3];
                if (split(at, n, parts, lens))
                        r = add(t, ret, parts, lens, e);
                at += n + (end != NULL);
                len -= n + (end != NULL);
        }
        if (r < 0)
                tool_list_done(ret);
        return r;
}

void tool_list_done(struct tool_list *l)
{
        for (size_t i = 0; i < l->n; i++) {
                free(l->v[i].kind);
                free(l->v[i].path);
                free(l->v[i].version);
        }
        l->n = 0;
}

/* A full version of java with its build, "17.0.9+9", means that build. */
static bool fits(enum tool t, const struct semver *v, const char *range)
{
        struct semver exact;
        if (!semver_satisfies(v, range))
                return false;
        if (t != TOOL_JAVA || !semver_parse(range, &exact) || !exact.build_len)
                return true;
        return exact.build_len == v->build_len && memcmp(exact.build, v->build, v->build_len) == 0;
}

const struct tool_found *tool_choose(enum tool t, const struct tool_list *l, const char *kind, const char *range)
{
        const struct tool_found *best = NULL;
        for (size_t i = 0; i < l->n; i++) {
                const struct tool_found *x = &l->v[i];
                if ((kind && !str_eq(kind, x->kind)) || !fits(t, &x->semver, range))
                        continue;
                if (!best || semver_compare(&x->semver, &best->semver) > 0)
                        best = x;
        }
        return best;
}
