#include "source/refs.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "source/limits.h"
#include "source/names.h"

#include <stdlib.h>
#include <string.h>

struct refs {
        struct map *ids; /* name to id, both owned */
        size_t hex_len;
};

CLEANUP_DEFINE(struct refs, refs_free)

int refs_new(size_t hex_len, struct refs **ret, struct err *e)
{
        AUTO(refs_freep) struct refs *r = calloc(1, sizeof(*r));
        if (!r)
                return err_nomem(e);
        r->hex_len = hex_len;
        int rc = map_new(free, &r->ids, e);
        if (rc < 0)
                return rc;
        *ret = TAKE_PTR(r);
        return 0;
}

struct refs *refs_free(struct refs *r)
{
        if (r)
                map_free(r->ids);
        free(r);
        return NULL;
}

int refs_set(struct refs *r, const char *name, const char *id, struct err *e)
{
        if (!ref_name_is_valid(name))
                return err_set(e, ERR_USAGE,
                               "a ref of the repository has an invalid name; `git for-each-ref` shows it");
        if (!oid_is_valid(id, r->hex_len))
                return err_set(e, ERR_USAGE, "ref %s: expected an object id of %zu hexadecimal digits", name,
                               r->hex_len);
        if (str_starts(name, "refs/replace/"))
                return 0;
        if (map_count(r->ids) >= SOURCE_MAX_REFS && !map_get(r->ids, name))
                return err_set(e, ERR_RESOURCES, "the repository has more than %u refs", SOURCE_MAX_REFS);
        char *copy = str_dup(id);
        if (!copy)
                return err_nomem(e);
        int rc = map_set(r->ids, name, copy, e);
        if (rc < 0)
                free(copy);
        return rc;
}

int refs_add(struct refs *r, const char *name, const char *id, struct err *e)
{
        return map_get(r->ids, name) ? 0 : refs_set(r, name, id, e);
}

/* One line without its end: a comment, a peeled id (which git works out itself), or "ID NAME". */
static int packed_line(struct refs *r, char *line, size_t number, struct err *e)
{
        if (line[0] == '#')
                return 0;
        if (line[0] == '^' && oid_is_valid(line + 1, r->hex_len))
                return 0;
        char *space = strchr(line, ' ');
        if (!space)
                return err_set(e, ERR_USAGE, "packed-refs, line %zu: expected 'ID NAME'", number);
        *space = '\0';
        int rc = refs_add(r, space + 1, line, e);
        return rc < 0 ? err_wrap(e, rc, "packed-refs, line %zu", number) : 0;
}

int refs_add_packed(struct refs *r, const void *data, size_t len, struct err *e)
{
        char line[SOURCE_MAX_REF_NAME + OID_MAX_HEX + 2];
        size_t number = 0;
        for (const char *at = data, *end = at + len; at < end;) {
                const char *newline = memchr(at, '\n', (size_t)(end - at));
                size_t n = newline ? (size_t)(newline - at) : (size_t)(end - at);
                number++;
                if (n >= sizeof(line) || memchr(at, '\0', n))
                        return err_set(e, ERR_USAGE, "packed-refs, line %zu: too long, or a NUL byte", number);
                memcpy(line, at, n);
                line[n] = '\0';
                int rc = packed_line(r, line, number, e);
                if (rc < 0)
                        return rc;
                at += n + 1;
        }
        return 0;
}

const char *refs_get(const struct refs *r, const char *name)
{
        return map_get(r->ids, name);
}

size_t refs_count(const struct refs *r)
{
        return map_count(r->ids);
}

struct ref refs_at(const struct refs *r, size_t i)
{
        return (struct ref){.name = map_key_at(r->ids, i), .id = map_value_at(r->ids, i)};
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct ref *)a)->name, ((const struct ref *)b)->name);
}

int refs_write_packed(const struct refs *r, struct buf *ret, struct err *e)
{
        size_t n = refs_count(r);
        AUTO(auto_free) struct ref *sorted = calloc(n ? n : 1, sizeof(*sorted));
        if (!sorted)
                return err_nomem(e);
        for (size_t i = 0; i < n; i++)
                sorted[i] = refs_at(r, i);
        qsort(sorted, n, sizeof(*sorted), by_name);
        int rc = buf_append_str(ret, "# pack-refs with: sorted \n", e);
        for (size_t i = 0; rc == 0 && i < n; i++)
                rc = buf_printf(ret, e, "%s %s\n", sorted[i].id, sorted[i].name);
        return rc;
}

int ref_file_parse(const void *data, size_t len, size_t hex_len, const char *what, char **ret_id, char **ret_name,
                   struct err *e)
{
        static const char word[] = "ref:";
        AUTO(auto_free) char *text = str_ndup(data, len);
        if (!text)
                return err_nomem(e);
        *ret_id = *ret_name = NULL;
        text[strcspn(text, "\r\n")] = '\0';
        if (str_starts(text, word)) {
                const char *name = text + sizeof(word) - 1;
                name += strspn(name, " \t");
                if (!ref_name_is_valid(name))
                        return err_set(e, ERR_USAGE, "%s: expected 'ref: refs/...' with a valid name", what);
                *ret_name = str_dup(name);
                return *ret_name ? 0 : err_nomem(e);
        }
        if (!oid_is_valid(text, hex_len))
                return err_set(e, ERR_USAGE, "%s: expected an object id of %zu digits or 'ref: NAME'", what, hex_len);
        *ret_id = str_dup(text);
        return *ret_id ? 0 : err_nomem(e);
}
