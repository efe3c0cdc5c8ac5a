#include "cli/mirrors_conf.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#define BLANKS " \t\r"
#define FORM "NAME = SERVER [kind=npm|pypi|go] [ca=FILE]"

struct line {
        const char *what, *start;
        unsigned number;
};

/* The error that is in e, with the place of `at`. */
static int blame(const struct line *l, const char *at, struct err *e)
{
        return err_wrap(e, -1, "%s:%u:%zu", l->what, l->number, (size_t)(at - l->start) + 1);
}

/* The word at *at, which is cut off behind it; *at goes on to what follows the blanks. "" at the end. */
static char *next_word(char **at, const char *ends)
{
        char *word = *at, *end = word + strcspn(word, ends);

        *at = end + strspn(end, BLANKS);
        if (*at > end)
                *end = '\0';
        return word;
}

static int take_name(const struct line *l, char **at, struct mirror *ret, struct err *e)
{
        char *word = next_word(at, BLANKS "="), *equals = *at;

        if (*equals != '=') {
                err_set(e, ERR_USAGE, "expected " FORM);
                return blame(l, equals, e);
        }
        *equals = '\0';
        *at = equals + 1 + strspn(equals + 1, BLANKS);
        if (mirror_name_check(word, e) < 0)
                return blame(l, word, e);
        str_copy(ret->name, sizeof(ret->name), word);
        return 0;
}

static int take_server(const struct line *l, char **at, struct mirror *ret, struct err *e)
{
        char *word = next_word(at, BLANKS);
        size_t where;

        return mirror_server_parse(word, ret, &where, e) < 0 ? blame(l, word + where, e) : 0;
}

/* path: of MIRRORS_MAX_CA_PATH bytes. */
static int take_ca(const char *value, const struct mirror *m, char *path, struct err *e)
{
        if (path[0])
                return err_set(e, ERR_USAGE, "'ca' stands twice");
        if (!m->tls)
                return err_set(e, ERR_USAGE, "only a server of https:// has a certificate");
        if (value[0] != '/' || !str_copy(path, MIRRORS_MAX_CA_PATH, value))
                return err_set(e, ERR_USAGE, "expected ca= and a file by its path from '/', of less than %u bytes",
                               MIRRORS_MAX_CA_PATH);
        return 0;
}

static int take_option(const struct line *l, char **at, struct mirror *ret, char *ca, struct err *e)
{
        char *word = next_word(at, BLANKS);
        int r = 0;

        if (str_starts(word, "ca="))
                r = take_ca(word + strlen("ca="), ret, ca, e);
        else if (!str_starts(word, "kind="))
                r = err_set(e, ERR_USAGE, "expected " FORM);
        else if (ret->kind != MIRROR_PLAIN)
                r = err_set(e, ERR_USAGE, "'kind' stands twice");
        else
                r = mirror_kind_parse(word + strlen("kind="), &ret->kind, e);
        return r < 0 ? blame(l, word, e) : 0;
}

static int refuse_twice(const struct mirrors *all, const struct mirror *m, struct err *e)
{
        for (size_t i = 0; i < all->n; i++) {
                if (str_eq(all->v[i].name, m->name))
                        return err_set(e, ERR_USAGE, "'%s' stands twice", m->name);
                if (m->kind != MIRROR_PLAIN && all->v[i].kind == m->kind)
                        return err_set(e, ERR_USAGE, "'%s' is of kind %s already, and clients look for one",
                                       all->v[i].name, mirror_kind_name(m->kind));
        }
        return 0;
}

static int take_line(const struct line *l, char *at, struct mirrors *ret, struct err *e)
{
        struct mirror m = {.kind = MIRROR_PLAIN};

        at += strspn(at, BLANKS);
        if (!*at || *at == '#')
                return 0;
        const char *begin = at;
        if (ret->n == MIRROR_MAX) {
                err_set(e, ERR_USAGE, "more than %u mirrors (MIRROR_MAX)", MIRROR_MAX);
                return blame(l, at, e);
        }
        ret->ca[ret->n][0] = '\0';
        int r = take_name(l, &at, &m, e);
        if (r == 0)
                r = take_server(l, &at, &m, e);
        while (r == 0 && *at)
                r = take_option(l, &at, &m, ret->ca[ret->n], e);
        if (r < 0)
                return r;
        if (refuse_twice(ret, &m, e) < 0)
                return blame(l, begin, e);
        ret->v[ret->n++] = m;
        return 0;
}

int mirrors_conf_parse(const void *data, size_t len, const char *what, struct mirrors *ret, struct err *e)
{
        struct line l = {.what = what};

        ret->n = 0;
        if (len > MIRRORS_MAX_CONF || (len && (memchr(data, 0, len) || !str_is_utf8(data, len))))
                return err_set(e, ERR_USAGE, "%s: expected at most %u bytes of text (MIRRORS_MAX_CONF)", what,
                               MIRRORS_MAX_CONF);
        AUTO(auto_free) char *copy = str_ndup(len ? data : "", len);
        if (!copy)
                return err_nomem(e);
        for (char *at = copy, *line; (line = strsep(&at, "\n"));) {
                l.start = line;
                l.number++;
                if (take_line(&l, line, ret, e) < 0)
                        return -1;
        }
        return 0;
}
