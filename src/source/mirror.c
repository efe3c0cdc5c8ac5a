#include "source/mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "source/facts.h"
#include "source/git.h"
#include "source/limits.h"
#include "source/names.h"
#include "source/pins.h"
#include "source/repo.h"

struct entry {
        char *name; /* "owner/repo" */
        struct repo repo;
};

struct mirror {
        const struct mirror_config *config;
        struct pins *pins;
        struct entry entries[SOURCE_MAX_ACTIONS];
        unsigned n;
};

struct mirror *mirror_free(struct mirror *m)
{
        if (!m)
                return NULL;
        for (unsigned i = 0; i < m->n; i++) {
                repo_done(&m->entries[i].repo);
                free(m->entries[i].name);
        }
        pins_free(m->pins);
        free(m);
        return NULL;
}
CLEANUP_DEFINE(struct mirror, mirror_free)

int mirror_new(const struct mirror_config *c, struct mirror **ret, struct err *e)
{
        AUTO(mirror_freep) struct mirror *m = calloc(1, sizeof(*m));
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = m ? 0 : err_nomem(e);
        if (r == 0 && c->pins_fd >= 0)
                r = fd_read_all(c->pins_fd, PINS_MAX_SIZE, "the pins", &text, e);
        if (r == 0)
                r = pins_parse(text.data, text.len, "pins", &m->pins, e);
        if (r < 0)
                return r;
        m->config = c;
        *ret = TAKE_PTR(m);
        return 0;
}

/* ---- repositories ---- */

static bool is_folder(const char *path)
{
        struct stat st;
        return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* OWNER/REPO.git, or the git folder of a clone OWNER/REPO. */
static int find_folder(const struct mirror *m, const char *name, char **ret, struct err *e)
{
        static const char *const endings[] = {".git", "/.git"};
        for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
                AUTO(auto_free) char *path = str_printf("%s/%s%s", m->config->folder, name, endings[i]);
                if (!path)
                        return err_nomem(e);
                if (is_folder(path)) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        return err_set(e, ERR_USAGE, "%s is not in the mirror %s", name, m->config->host_folder);
}

static int open_entry(struct mirror *m, const char *name, struct entry *x, struct err *e)
{
        AUTO(auto_free) char *folder = NULL, *own = str_printf("%s/action-%u", m->config->own, m->n);
        int r = own ? find_folder(m, name, &folder, e) : err_nomem(e);
        if (r < 0)
                return r;
        const struct repo_view view = {
                .gitdir = folder, .common = folder, .host_gitdir = folder, .host_common = folder};
        x->name = str_dup(name);
        r = x->name ? repo_open(&view, own, false, m->config->peer_fd, &x->repo, e) : err_nomem(e);
        return r < 0 ? err_wrap(e, r, "%s in the mirror", name) : 0;
}

static int find_entry(struct mirror *m, const char *name, const struct repo **ret, struct err *e)
{
        for (unsigned i = 0; i < m->n; i++)
                if (str_eq(m->entries[i].name, name)) {
                        *ret = &m->entries[i].repo;
                        return 0;
                }
        if (m->n == SOURCE_MAX_ACTIONS)
                return err_set(e, ERR_USAGE, "actions of more than %u repositories (SOURCE_MAX_ACTIONS)",
                               SOURCE_MAX_ACTIONS);
        struct entry *x = &m->entries[m->n];
        *x = (struct entry){.repo = REPO_INIT};
        int r = open_entry(m, name, x, e);
        if (r < 0) {
                repo_done(&x->repo);
                free(x->name);
                return r;
        }
        m->n++;
        *ret = &x->repo;
        return 0;
}

int mirror_find(struct mirror *m, const char *repository, const char *ref, const struct repo **ret, char **ret_commit,
                struct err *e)
{
        int r = find_entry(m, repository, ret, e);
        if (r < 0)
                return r;
        bool is_commit = oid_is_valid(ref, (*ret)->config.hex_len);
        const char *commit = is_commit ? ref : pins_get(m->pins, repository, ref);
        if (!commit)
                return err_set(e, ERR_USAGE, "%s@%s is not pinned to a commit", repository, ref);
        r = facts_need_commit(*ret, commit, e);
        if (r < 0)
                return err_wrap(e, r, "%s@%s", repository, ref);
        *ret_commit = str_dup(commit);
        return *ret_commit ? 0 : err_nomem(e);
}

/* ---- action files ---- */

struct listing {
        const char *names[2];
        int found; /* -1: none; the first of the names wins */
        bool regular[2];
};

/* "MODE TYPE ID\tPATH" */
static int on_listed(const char *record, size_t len, void *user, struct err *e)
{
        struct listing *l = user;
        const char *path = memchr(record, '\t', len);
        (void)e;
        for (int i = 0; path && i < 2; i++) {
                if (!str_eq(path + 1, l->names[i]))
                        continue;
                l->regular[i] = str_starts(record, "100");
                l->found = l->found < 0 || i < l->found ? i : l->found;
        }
        return 0;
}

static int list(const struct repo *r, const char *commit, struct listing *l, struct err *e)
{
        AUTO(buf_done) struct buf part = BUF_INIT_MAX(64u << 10);
        const char *const args[] = {"ls-tree", "-z", "--full-tree", commit, "--", l->names[0], l->names[1], NULL};
        struct git_records records = {'\0', on_listed, l, &part};
        const struct git_call call = {.args = args, .output = git_records_feed, .user = &records};
        return git_must(&r->git, &call, e);
}

int mirror_manifest(const struct repo *r, const char *commit, const char *path, const char **ret_name, struct buf *ret,
                    struct err *e)
{
        static const char *const names[] = {"action.yml", "action.yaml"};
        const char *slash = *path ? "/" : "";
        AUTO(auto_free) char *first = str_printf("%s%s%s", path, slash, names[0]);
        AUTO(auto_free) char *second = str_printf("%s%s%s", path, slash, names[1]);
        if (!first || !second)
                return err_nomem(e);
        struct listing l = {.names = {first, second}, .found = -1};
        int rc = list(r, commit, &l, e);
        if (rc < 0)
                return rc;
        if (l.found < 0)
                return err_set(e, ERR_USAGE, "commit %.12s has neither %s nor %s", commit, first, second);
        *ret_name = names[l.found];
        if (!l.regular[l.found])
                return err_set(e, ERR_USAGE, "%s of commit %.12s is no regular file", l.names[l.found], commit);
        AUTO(auto_free) char *spec = str_printf("%s:%s", commit, l.names[l.found]);
        if (!spec)
                return err_nomem(e);
        const char *const args[] = {"cat-file", "blob", spec, NULL};
        return git_text(&r->git, args, NULL, 0, SOURCE_MAX_MANIFEST, ret, e);
}
