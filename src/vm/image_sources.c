#include "vm/image_sources.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

#define DEBIAN_KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"
#define GAPS " \t\r"

static const char *const endings[] = {"", "-updates", "-security"};

void image_sources_done(struct image_sources *s)
{
        for (size_t i = 0; i < s->n; i++) {
                free(s->v[i].uri);
                free(s->v[i].suite);
                free(s->v[i].components);
                free(s->v[i].signed_by);
        }
        free(s->v);
        *s = (struct image_sources)IMAGE_SOURCES_INIT;
}

/* Is `word` one of the words of `list`? */
static bool has_word(const char *list, const char *word)
{
        size_t len = strlen(word);
        for (const char *at = list + strspn(list, GAPS); *at; at += strspn(at, GAPS)) {
                size_t n = strcspn(at, GAPS);
                if (n == len && strncmp(at, word, n) == 0)
                        return true;
                at += n;
        }
        return false;
}

static bool is_debian_address(const char *uri)
{
        static const char *const known[] = {"debian", "debian-security", "debian.list", "debian-security.list"};
        size_t len = strlen(uri);
        while (len && uri[len - 1] == '/')
                len--;
        size_t start = len;
        while (start && uri[start - 1] != '/')
                start--;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (strlen(known[i]) == len - start && strncmp(known[i], uri + start, len - start) == 0)
                        return true;
        return false;
}

static bool is_debian(const char *uri, const char *components, const char *signed_by)
{
        if (!has_word(components, "main") || strchr(uri, '"') || str_starts(uri, "cdrom:"))
                return false;
        if (!signed_by)
                return is_debian_address(uri);
        const char *slash = strrchr(signed_by, '/');
        return slash && str_starts(slash, "/debian-archive-");
}

static int add(struct image_sources *s, const char *uri, const char *suite, const char *components,
               const char *signed_by, struct err *e)
{
        if (!is_debian(uri, components, signed_by))
                return 0;
        struct image_source *more = realloc(s->v, (s->n + 1) * sizeof(*more));
        if (!more)
                return err_nomem(e);
        s->v = more;
        struct image_source *x = &s->v[s->n++];
        *x = (struct image_source){str_dup(uri), str_dup(suite), str_dup(components), str_dup(signed_by)};
        return x->uri && x->suite && x->components && (x->signed_by || !signed_by) ? 0 : err_nomem(e);
}

/* Cut the next word off a line; NULL at its end. */
static char *next_word(char **at)
{
        char *word = *at + strspn(*at, GAPS);
        if (!*word)
                return NULL;
        char *end = word + strcspn(word, GAPS);
        *at = *end ? end + 1 : end;
        *end = 0;
        return word;
}

/* deb [signed-by=FILE arch=amd64] URI SUITE COMPONENT... */
static int add_line(struct image_sources *s, char *line, struct err *e)
{
        char *comment = strchr(line, '#'), *signed_by = NULL;
        if (comment)
                *comment = 0;
        char *type = next_word(&line);
        if (!type || !str_eq(type, "deb"))
                return 0;
        line += strspn(line, GAPS);
        if (*line == '[') {
                char *end = strchr(line, ']'), *options = line + 1;
                if (!end)
                        return 0;
                *end = 0;
                line = end + 1;
                for (char *o; (o = next_word(&options));)
                        if (str_starts(o, "signed-by="))
                                signed_by = o + strlen("signed-by=");
        }
        char *uri = next_word(&line), *suite = next_word(&line);
        return uri && suite ? add(s, uri, suite, line, signed_by, e) : 0;
}

int image_sources_add_list(struct image_sources *s, const char *text, struct err *e)
{
        AUTO(auto_free) char *copy = str_dup(text);
        if (!copy)
                return err_nomem(e);
        for (char *at = copy; at;) {
                char *line = at, *end = strchr(at, '\n');
                at = end ? end + 1 : NULL;
                if (end)
                        *end = 0;
                int r = add_line(s, line, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

struct stanza {
        char *types, *uris, *suites, *components, *signed_by, *enabled;
};

static int add_stanza(struct image_sources *s, const struct stanza *x, struct err *e)
{
        if (!x->types || !x->uris || !x->suites || !x->components || !has_word(x->types, "deb"))
                return 0;
        if (x->enabled && strcasecmp(x->enabled, "no") == 0)
                return 0;
        AUTO(auto_free) char *uris = str_dup(x->uris);
        if (!uris)
                return err_nomem(e);
        for (char *u_at = uris, *uri; (uri = next_word(&u_at));) {
                AUTO(auto_free) char *suites = str_dup(x->suites);
                if (!suites)
                        return err_nomem(e);
                for (char *s_at = suites, *suite; (suite = next_word(&s_at));) {
                        int r = add(s, uri, suite, x->components, x->signed_by, e);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static void take_field(struct stanza *x, char *line)
{
        const struct {
                const char *name;
                char **to;
        } fields[] = {{"types", &x->types},           {"uris", &x->uris},           {"suites", &x->suites},
                      {"components", &x->components}, {"signed-by", &x->signed_by}, {"enabled", &x->enabled}};
        char *colon = strchr(line, ':');
        if (!colon)
                return;
        *colon = 0;
        char *value = colon + 1 + strspn(colon + 1, GAPS);
        for (size_t n = strlen(value); n && strchr(GAPS, value[n - 1]); n--)
                value[n - 1] = 0;
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (strcasecmp(line, fields[i].name) == 0)
                        *fields[i].to = value;
}

/* Continuation lines are joined with their field; a key that is written into the file itself so becomes a Signed-By
 * that is no path, and is not Debian's. */
static void join_lines(char *text)
{
        for (char *c = text; *c; c++)
                if (*c == '\n' && (c[1] == ' ' || c[1] == '\t'))
                        *c = ' ';
}

/* Comment lines may stand between the lines of one field. */
static void drop_comments(char *text)
{
        char *to = text;
        for (char *at = text; *at;) {
                size_t n = strcspn(at, "\n");
                n += at[n] == '\n';
                if (*at != '#') {
                        memmove(to, at, n);
                        to += n;
                }
                at += n;
        }
        *to = 0;
}

int image_sources_add_deb822(struct image_sources *s, const char *text, struct err *e)
{
        AUTO(auto_free) char *copy = str_dup(text);
        if (!copy)
                return err_nomem(e);
        drop_comments(copy);
        join_lines(copy);
        struct stanza x = {0};
        for (char *at = copy; at;) {
                char *line = at, *end = strchr(at, '\n');
                at = end ? end + 1 : NULL;
                if (end)
                        *end = 0;
                take_field(&x, line);
                if (line[strspn(line, GAPS)] && at)
                        continue;
                int r = add_stanza(s, &x, e);
                if (r < 0)
                        return r;
                x = (struct stanza){0};
        }
        return 0;
}

struct reading {
        struct image_sources *s;
        const char *folder;
};

static int read_one(struct image_sources *s, const char *path, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT_MAX(IMAGE_MAX_SOURCES);
        int r = fs_read(path, IMAGE_MAX_SOURCES, &b, e);
        if (r == FS_E_MISSING)
                return 0;
        const char *text = r < 0 ? NULL : buf_cstr(&b);
        if (!text)
                return r < 0 ? r : err_nomem(e);
        return str_ends(path, ".sources") ? image_sources_add_deb822(s, text, e) : image_sources_add_list(s, text, e);
}

static int read_part(const char *name, void *user, struct err *e)
{
        struct reading *x = user;
        if (!str_ends(name, ".list") && !str_ends(name, ".sources"))
                return 0;
        AUTO(auto_free) char *path = fs_join(x->folder, name);
        return path ? read_one(x->s, path, e) : err_nomem(e);
}

int image_sources_read(const char *etc, struct image_sources *ret, struct err *e)
{
        AUTO(auto_free) char *list = fs_join(etc, "sources.list");
        AUTO(auto_free) char *parts = fs_join(etc, "sources.list.d");
        if (!list || !parts)
                return err_nomem(e);
        int r = read_one(ret, list, e);
        struct reading x = {ret, parts};
        if (r >= 0)
                r = fs_list(parts, read_part, &x, e);
        return r == FS_E_MISSING ? 0 : r;
}

/* Which ending has this suite, and how long is the name before it? "bookworm/updates" is the security suite of old. */
static size_t ending_of(const char *suite, size_t *ret_len)
{
        const char *cut = strpbrk(suite, "-/");
        *ret_len = cut ? (size_t)(cut - suite) : strlen(suite);
        for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
                if (str_eq(suite + *ret_len, endings[i]))
                        return i;
        return str_eq(suite + *ret_len, "/updates") ? 2 : ARRAY_SIZE(endings);
}

static int write_stanza(struct buf *ret, const struct image_source *x, const char *suite, const char *ending,
                        struct err *e)
{
        const char *key = x->signed_by ? x->signed_by : fs_exists(DEBIAN_KEYRING) ? DEBIAN_KEYRING : NULL;
        return buf_printf(ret, e, "Types: deb\nURIs: %s\nSuites: %s%s\nComponents:%s%s\n%s%s%s\n", x->uri, suite,
                          ending, x->components[0] == ' ' ? "" : " ", x->components, key ? "Signed-By: " : "",
                          key ? key : "", key ? "\n" : "");
}

int image_sources_write(const struct image_sources *s, const char *suite, struct buf *ret, struct err *e)
{
        bool exact = false;
        size_t len, written = 0;
        for (size_t i = 0; i < s->n; i++)
                exact |= str_eq(s->v[i].suite, suite);
        for (size_t i = 0; i < s->n; i++) {
                size_t kind = ending_of(s->v[i].suite, &len);
                bool same = strlen(suite) == len && strncmp(s->v[i].suite, suite, len) == 0;
                if (kind == ARRAY_SIZE(endings) || (exact && !same))
                        continue;
                int r = write_stanza(ret, &s->v[i], suite, endings[kind], e);
                if (r < 0)
                        return r;
                written++;
        }
        if (written)
                return 0;
        return err_set(e, ERR_USAGE,
                       "none of this host's apt sources is Debian's: add one for '%s' to /etc/apt/sources.list.d "
                       "(Signed-By: " DEBIAN_KEYRING ")",
                       suite);
}
