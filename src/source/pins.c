#include "source/pins.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "codec/uses.h"
#include "source/names.h"

#define MAX_LINE 1024u
#define BLANKS " \t"

struct pins {
        struct map *by_key; /* "owner/repo@ref" to its struct pin */
};

static void pin_free(void *value)
{
        struct pin *p = value;
        if (!p)
                return;
        free(p->repository);
        free(p->ref);
        free(p->commit);
        free(p);
}

struct pins *pins_free(struct pins *p)
{
        if (!p)
                return NULL;
        map_free(p->by_key);
        free(p);
        return NULL;
}

/* ---- one line ---- */

static bool says_nothing(const char *line)
{
        line += strspn(line, BLANKS);
        return !*line || *line == '#';
}

/* The line's parts; its bytes are changed. False: it is no pin. */
static bool split(char *line, char **ret_repository, char **ret_ref, char **ret_commit)
{
        char *at = strchr(line, '@');
        size_t key = strcspn(line, BLANKS), blanks = strspn(line + key, BLANKS);
        if (!at || at > line + key || !blanks)
                return false;
        *at = line[key] = '\0';
        *ret_repository = line;
        *ret_ref = at + 1;
        *ret_commit = line + key + blanks;
        for (char *c = line; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        return true;
}

static bool is_id(const char *s)
{
        return oid_is_valid(s, 40) || oid_is_valid(s, 64);
}

/* NULL, or what is wrong. */
static const char *problem_of(const char *repository, const char *ref, const char *commit)
{
        if (!uses_is_repository(repository))
                return "expected OWNER/REPO in front of the '@'";
        if (!uses_is_ref(ref))
                return "expected a tag or a branch behind the '@'";
        if (is_id(ref))
                return "a commit needs no pin: it is taken as it is";
        return is_id(commit) ? NULL : "expected a full commit id, 40 digits in lower case, at the end of the line";
}

static int add(struct pins *p, const char *repository, const char *ref, const char *commit, struct err *e)
{
        AUTO(auto_free) char *key = str_printf("%s@%s", repository, ref);
        struct pin *pin = calloc(1, sizeof(*pin));
        if (!key || !pin) {
                free(pin);
                return err_nomem(e);
        }
        *pin = (struct pin){str_dup(repository), str_dup(ref), str_dup(commit)};
        int r = pin->repository && pin->ref && pin->commit ? map_set(p->by_key, key, pin, e) : err_nomem(e);
        if (r < 0)
                pin_free(pin);
        return r;
}

static int take_line(struct pins *p, char *line, const char *file, unsigned number, struct err *e)
{
        char *repository, *ref, *commit;
        if (says_nothing(line))
                return 0;
        if (!split(line, &repository, &ref, &commit))
                return err_set(e, ERR_USAGE, "%s:%u: expected OWNER/REPO@REF COMMIT", file, number);
        const char *problem = problem_of(repository, ref, commit);
        if (problem)
                return err_set(e, ERR_USAGE, "%s:%u: %s", file, number, problem);
        if (pins_get(p, repository, ref))
                return err_set(e, ERR_USAGE, "%s:%u: %s@%s is pinned twice", file, number, repository, ref);
        if (pins_count(p) == PINS_MAX)
                return err_set(e, ERR_USAGE, "%s:%u: more than %u pins (PINS_MAX)", file, number, PINS_MAX);
        return add(p, repository, ref, commit, e);
}

/* ---- the file ---- */

/* Copy the line at `at`, without its newline; how many bytes it takes, 0: it is too long or holds a NUL. */
static size_t next_line(const char *at, size_t left, char ret[MAX_LINE + 1])
{
        const char *end = memchr(at, '\n', left);
        size_t n = end ? (size_t)(end - at) : left;
        if (n > MAX_LINE || memchr(at, '\0', n))
                return 0;
        memcpy(ret, at, n);
        ret[n] = '\0';
        return n + (end != NULL);
}

static int read_lines(struct pins *p, const char *data, size_t len, const char *file, struct err *e)
{
        char line[MAX_LINE + 1];
        unsigned number = 0;
        for (size_t i = 0; i < len;) {
                size_t n = next_line(data + i, len - i, line);
                number++;
                if (!n)
                        return err_set(e, ERR_USAGE, "%s:%u: expected a line of at most %u bytes without NUL", file,
                                       number, MAX_LINE);
                int r = take_line(p, line, file, number, e);
                if (r < 0)
                        return r;
                i += n;
        }
        return 0;
}

int pins_parse(const void *data, size_t len, const char *file, struct pins **ret, struct err *e)
{
        if (len > PINS_MAX_SIZE)
                return err_set(e, ERR_USAGE, "%s: the file has %zu bytes, more than the limit of %zu (PINS_MAX_SIZE)",
                               file, len, PINS_MAX_SIZE);
        AUTO(pins_freep) struct pins *p = calloc(1, sizeof(*p));
        int r = p ? map_new(pin_free, &p->by_key, e) : err_nomem(e);
        if (r == 0 && len)
                r = read_lines(p, data, len, file, e);
        if (r == 0)
                *ret = TAKE_PTR(p);
        return r;
}

const char *pins_get(const struct pins *p, const char *repository, const char *ref)
{
        char key[MAX_LINE + 1];
        int n = snprintf(key, sizeof(key), "%s@%s", repository, ref);
        const struct pin *pin = n > 0 && (size_t)n < sizeof(key) ? map_get(p->by_key, key) : NULL;
        return pin ? pin->commit : NULL;
}

size_t pins_count(const struct pins *p)
{
        return map_count(p->by_key);
}

const struct pin *pins_at(const struct pins *p, size_t i)
{
        return map_value_at(p->by_key, i);
}

/* ---- changing one pin ---- */

static bool is_pin_of(char *line, const char *repository, const char *ref)
{
        char *its_repository, *its_ref, *commit;
        if (says_nothing(line) || !split(line, &its_repository, &its_ref, &commit))
                return false;
        return str_eq(its_repository, repository) && str_eq(its_ref, ref);
}

static int append_pin(struct buf *b, const char *repository, const char *ref, const char *commit, struct err *e)
{
        int r = b->len && b->data[b->len - 1] != '\n' ? buf_append_byte(b, '\n', e) : 0;
        return r < 0 ? r : buf_printf(b, e, "%s@%s %s\n", repository, ref, commit);
}

int pins_edit(const void *data, size_t len, const char *repository, const char *ref, const char *commit,
              struct buf *ret, struct err *e)
{
        char line[MAX_LINE + 1];
        const char *text = data;
        bool found = false;
        int r = 0;
        for (size_t i = 0, n; r == 0 && i < len; i += n) {
                n = next_line(text + i, len - i, line);
                if (!n)
                        return err_set(e, ERR_USAGE, "expected a valid file of pins");
                if (!is_pin_of(line, repository, ref)) {
                        r = buf_append(ret, text + i, n, e);
                        continue;
                }
                found = true;
                if (commit)
                        r = append_pin(ret, repository, ref, commit, e);
        }
        return r < 0 || found || !commit ? r : append_pin(ret, repository, ref, commit, e);
}
