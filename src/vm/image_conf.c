#include "vm/image_conf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/program.h"

#define MAX_WORD 127
#define GAPS " \t,\r"

void image_conf_done(struct image_conf *c)
{
        strv_done(&c->packages);
}

int image_conf_folder(char **ret, struct err *e)
{
        static const char *const places[] = {"images", "../share/devdep/images"};
        AUTO(auto_free) char *self = NULL;
        int r = program_path("devdep-cli", &self, e);
        if (r < 0)
                return r;
        *strrchr(self, '/') = 0;
        for (unsigned i = 0; i < 2; i++) {
                AUTO(auto_free) char *path = fs_join(self, places[i]);
                AUTO(auto_free) char *hook = path ? fs_join(path, "customize.sh") : NULL;
                if (!hook)
                        return err_nomem(e);
                if (access(hook, R_OK) == 0) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        return err_set(e, ERR_RESOURCES,
                       "the definitions of images are neither in %s/images nor in %s/%s; install again", self, self,
                       places[1]);
}

/* Names of packages and suites: Debian policy 5.6.1, and what a suite's folder may be called. */
static bool is_word(const char *s)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-:~";
        size_t n = strlen(s);
        return n > 0 && n <= MAX_WORD && s[0] != '-' && s[0] != '.' && strspn(s, allowed) == n;
}

int image_conf_set_suite(struct image_conf *c, const char *suite, const char *what, struct err *e)
{
        if (!is_word(suite) || !str_copy(c->suite, sizeof(c->suite), suite))
                return err_set(e, ERR_USAGE, "%s: expected a Debian suite, found '%.40s'", what, suite);
        return 0;
}

static int add_package(struct image_conf *c, const char *word, const char *what, struct err *e)
{
        if (!is_word(word))
                return err_set(e, ERR_USAGE, "%s: expected the name of a package, found '%.40s'", what, word);
        if (strv_has(&c->packages, word))
                return 0;
        if (c->packages.n >= IMAGE_MAX_PACKAGES)
                return err_set(e, ERR_USAGE, "%s: more than %u packages", what, IMAGE_MAX_PACKAGES);
        return strv_add(&c->packages, word, e);
}

/* The words of one line, up to a comment. */
static int add_words(struct image_conf *c, char *line, const char *what, struct err *e)
{
        char *comment = strchr(line, '#');
        if (comment)
                *comment = 0;
        for (char *w = line + strspn(line, GAPS); *w;) {
                char *end = w + strcspn(w, GAPS), *next = end + strspn(end, GAPS);
                *end = 0;
                int r = add_package(c, w, what, e);
                if (r < 0)
                        return r;
                w = next;
        }
        return 0;
}

static char *trim(char *s)
{
        s += strspn(s, " \t");
        for (size_t n = strlen(s); n && strchr(" \t\r", s[n - 1]); n--)
                s[n - 1] = 0;
        return s;
}

struct parse {
        struct image_conf *conf;
        image_conf_include_fn *include;
        void *user;
};

static int take_setting(const struct parse *p, char *key, char *value, const char *what, struct err *e)
{
        if (str_eq(key, "suite"))
                return image_conf_set_suite(p->conf, value, what, e);
        if (str_eq(key, "package"))
                return add_words(p->conf, value, what, e);
        if (!str_eq(key, "include"))
                return err_set(e, ERR_USAGE, "%s: expected 'suite', 'include' or 'package', found '%.40s'", what, key);
        if (!str_is_name(value, IMAGE_MAX_NAME))
                return err_set(e, ERR_USAGE, "%s: expected the name of a definition, found '%.40s'", what, value);
        return p->include(value, p->user, e);
}

static int parse_line(const struct parse *p, char *line, const char *what, struct err *e)
{
        line = trim(line);
        if (!*line || *line == '#')
                return 0;
        char *eq = strchr(line, '=');
        if (!eq)
                return err_set(e, ERR_USAGE, "%s: expected 'KEY = VALUE', found '%.40s'", what, line);
        *eq = 0;
        return take_setting(p, trim(line), trim(eq + 1), what, e);
}

/* Call fn for each line of a text that must be free of NUL. */
static int each_line(const char *text, size_t len, const char *what,
                     int (*fn)(const struct parse *p, char *line, const char *what, struct err *e),
                     const struct parse *p, struct err *e)
{
        if (len > IMAGE_MAX_CONF || memchr(text, 0, len) || !str_is_utf8(text, len))
                return err_set(e, ERR_USAGE, "%s: expected at most %u bytes of text", what, IMAGE_MAX_CONF);
        AUTO(auto_free) char *copy = str_ndup(text, len);
        if (!copy)
                return err_nomem(e);
        unsigned number = 0;
        for (char *at = copy; at;) {
                char *line = at, *end = strchr(at, '\n');
                at = end ? end + 1 : NULL;
                if (end)
                        *end = 0;
                AUTO(auto_free) char *where = str_printf("%s:%u", what, ++number);
                int r = where ? fn(p, line, where, e) : err_nomem(e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int words_line(const struct parse *p, char *line, const char *what, struct err *e)
{
        return add_words(p->conf, trim(line), what, e);
}

int image_conf_add_packages(struct image_conf *c, const char *text, size_t len, const char *what, struct err *e)
{
        struct parse p = {.conf = c};
        return each_line(text, len, what, words_line, &p, e);
}

int image_conf_parse(const char *text, size_t len, const char *what, image_conf_include_fn *fn, void *user,
                     struct image_conf *c, struct err *e)
{
        struct parse p = {.conf = c, .include = fn, .user = user};
        return each_line(text, len, what, parse_line, &p, e);
}

struct loading {
        const char *folder;
        struct image_conf *conf;
        unsigned depth;
};

static int load_file(const char *name, void *user, struct err *e)
{
        struct loading *x = user;
        AUTO(auto_free) char *path = str_printf("%s/%s.conf", x->folder, name);
        AUTO(buf_done) struct buf text = BUF_INIT_MAX(IMAGE_MAX_CONF);
        if (!path)
                return err_nomem(e);
        if (x->depth >= IMAGE_MAX_INCLUDES)
                return err_set(e, ERR_USAGE, "%s: definitions include one another more than %u deep", path,
                               IMAGE_MAX_INCLUDES);
        int r = fs_read(path, IMAGE_MAX_CONF, &text, e);
        if (r == FS_E_MISSING)
                return x->depth == 0 ? IMAGE_CONF_E_MISSING
                                     : err_set(e, ERR_USAGE, "include = %s: there is no %s", name, path);
        if (r < 0)
                return r;
        x->depth++;
        r = image_conf_parse(text.data ? (const char *)text.data : "", text.len, path, load_file, x, x->conf, e);
        x->depth--;
        return r;
}

int image_conf_load(const char *name, struct image_conf *ret, struct err *e)
{
        AUTO(auto_free) char *folder = NULL;
        int r = image_conf_folder(&folder, e);
        if (r < 0)
                return r;
        struct loading x = {.folder = folder, .conf = ret};
        return load_file(name, &x, e);
}
