/* The list of `find`: records of one byte for the kind and an absolute path, each ended by a NUL. Kinds are those of
 * find's %y, and 'x' for a folder that cannot be read. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/fileset.h"
#include "workflow/fileglob.h"

struct fileset_list {
        struct fileset_want want;
        struct buf record; /* one that is not complete */
        size_t listed;
        struct strv paths;
        size_t bytes;
};

int fileset_list_new(const struct fileset_want *w, struct fileset_list **ret, struct err *e)
{
        struct fileset_list *l = calloc(1, sizeof(*l));
        if (!l)
                return err_nomem(e);
        l->want = *w;
        *ret = l;
        return 0;
}

struct fileset_list *fileset_list_free(struct fileset_list *l)
{
        if (!l)
                return NULL;
        buf_done(&l->record);
        strv_done(&l->paths);
        free(l);
        return NULL;
}

static int malformed(const char *record, const char *why, struct err *e)
{
        char shown[256];
        str_escape(shown, sizeof(shown), record, strlen(record));
        return err_set(e, ERR_RUN_FAILED, "the guest's list of files is malformed: '%s' %s", shown, why);
}

/* Behind the search path that it is at or below; NULL: none. */
static const char *below_search(const struct fileglob *g, const char *path)
{
        for (size_t i = 0; i < fileglob_searches(g); i++) {
                const char *search = fileglob_search_at(g, i);
                size_t n = str_eq(search, "/") ? 0 : strlen(search);
                if (strncmp(path, search, n) == 0 && (path[n] == '/' || !path[n]))
                        return path + n;
        }
        return NULL;
}

/* Absolute, and every part is a name. */
static bool is_tidy(const char *path)
{
        if (path[0] != '/')
                return false;
        for (const char *p = path + 1; *p || p == path + 1;) {
                size_t n = strcspn(p, "/");
                if ((n == 0 && path[1]) || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += n;
                if (!*p)
                        return true;
                if (!*++p)
                        return false;
        }
        return true;
}

/* From the search path's own name on: find was told to leave these out. */
static bool is_hidden(const char *path, const char *below)
{
        while (below > path && below[-1] != '/')
                below--;
        if (*below == '.')
                return true;
        return strstr(below, "/.") != NULL;
}

static int keep(struct fileset_list *l, const char *path, struct err *e)
{
        l->bytes += strlen(path) + 1;
        if (l->paths.n >= FILESET_MAX_FILES)
                return err_set(e, ERR_RUN_FAILED, "the patterns name more than %u files", FILESET_MAX_FILES);
        if (l->bytes > FILESET_MAX_BYTES)
                return err_set(e, ERR_RUN_FAILED, "the names of the files have more than %zu MiB",
                               FILESET_MAX_BYTES >> 20);
        return strv_add(&l->paths, path, e);
}

static int unreadable(const struct fileset_list *l, const char *path, struct err *e)
{
        char shown[512];
        if (!fileglob_match(l->want.patterns, path) && !fileglob_may_hold(l->want.patterns, path))
                return 0;
        str_escape(shown, sizeof(shown), path, strlen(path));
        return err_set(e, ERR_RUN_FAILED, "the folder '%s' cannot be read", shown);
}

static int take(struct fileset_list *l, const char *record, struct err *e)
{
        const char *path = record + 1;
        if (++l->listed > FILESET_MAX_LISTED)
                return err_set(e, ERR_RUN_FAILED, "below the paths there are more than %u files", FILESET_MAX_LISTED);
        if (!record[0] || !is_tidy(path))
                return malformed(record, "is no path", e);
        const char *below = below_search(l->want.patterns, path);
        if (!below)
                return malformed(record, "is outside of the paths", e);
        if (!l->want.hidden && is_hidden(path, below))
                return 0;
        if (record[0] == 'x')
                return unreadable(l, path, e);
        unsigned kind = record[0] == 'd' ? FILEGLOB_FOLDER : record[0] == 'f' ? FILEGLOB_FILE : 0;
        return kind & l->want.kinds & fileglob_match(l->want.patterns, path) ? keep(l, path, e) : 0;
}

int fileset_list_feed(struct fileset_list *l, const void *data, size_t len, struct err *e)
{
        const char *at = data;
        while (len) {
                const char *nul = memchr(at, '\0', len);
                size_t n = nul ? (size_t)(nul - at) : len;
                if (l->record.len + n > FILEGLOB_MAX_PATH + 1)
                        return malformed("", "is longer than a path", e);
                int r = buf_append(&l->record, at, n, e);
                if (r < 0 || !nul)
                        return r;
                const char *record = buf_cstr(&l->record);
                r = record ? take(l, record, e) : err_nomem(e);
                buf_clear(&l->record);
                if (r < 0)
                        return r;
                at += n + 1;
                len -= n + 1;
        }
        return 0;
}

/* '/' before every other character: what is in a folder comes right behind it. */
static int in_walk(const void *a, const void *b)
{
        const unsigned char *x = *(unsigned char *const *)a, *y = *(unsigned char *const *)b;
        while (*x && *x == *y) {
                x++;
                y++;
        }
        int cx = *x == '/' ? 1 : *x ? *x + 1 : 0, cy = *y == '/' ? 1 : *y ? *y + 1 : 0;
        return cx - cy;
}

int fileset_list_end(struct fileset_list *l, const char *const **ret, size_t *ret_n, struct err *e)
{
        size_t n = 0;
        if (l->record.len)
                return malformed("", "ends early", e);
        if (l->paths.n)
                qsort(l->paths.v, l->paths.n, sizeof(*l->paths.v), in_walk);
        for (size_t i = 0; i < l->paths.n; i++) {
                if (n && str_eq(l->paths.v[n - 1], l->paths.v[i]))
                        continue;
                char *path = l->paths.v[i];
                l->paths.v[i] = l->paths.v[n];
                l->paths.v[n++] = path;
        }
        *ret = (const char *const *)l->paths.v;
        *ret_n = n;
        return 0;
}
