#include "source/history.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "source/limits.h"
#include "source/names.h"
#include "source/refs.h"
#include "source/repo.h"

#include <string.h>
#include <unistd.h>

/* Breadth first from the commit: git's own notion of depth (get_shallow_commits() of upload-pack). */
struct cut {
        struct map *seen;           /* commits that the guest gets */
        struct strv frontier, next; /* of this level and of the one below */
        struct buf *shallow;
        bool last; /* the commits of this level lose their parents */
};

/* "COMMIT PARENT PARENT..." */
static int on_parents(const char *line, size_t len, void *user, struct err *e)
{
        struct cut *c = user;
        const char *space = memchr(line, ' ', len);
        if (!space)
                return 0;
        if (c->last)
                return buf_printf(c->shallow, e, "%.*s\n", (int)(space - line), line);
        for (const char *at = space + 1; *at;) {
                char id[OID_MAX_HEX + 1];
                size_t n = strcspn(at, " ");
                if (n >= sizeof(id))
                        return err_set(e, ERR_RESOURCES, "git rev-list wrote a line that is not understood");
                memcpy(id, at, n);
                id[n] = '\0';
                int r = map_get(c->seen, id) ? 0 : map_set(c->seen, id, c->seen, e);
                if (r == 0 && map_count(c->seen) > SOURCE_MAX_SHALLOW_COMMITS)
                        r = err_set(e, ERR_RESOURCES, "fetch-depth: the cut history has more than %u commits",
                                    SOURCE_MAX_SHALLOW_COMMITS);
                if (r == 0)
                        r = strv_add(&c->next, id, e);
                if (r < 0)
                        return r;
                at += n + (at[n] == ' ');
        }
        return 0;
}

static int cut_level(const struct repo *r, struct cut *c, struct err *e)
{
        static const char *const args[] = {"rev-list", "--no-walk=unsorted", "--parents", "--stdin", NULL};
        AUTO(buf_done) struct buf input = BUF_INIT, part = BUF_INIT_MAX(1u << 20);
        int rc = 0;
        for (size_t i = 0; rc == 0 && i < c->frontier.n; i++)
                rc = buf_printf(&input, e, "%s\n", c->frontier.v[i]);
        struct git_records records = {'\n', on_parents, c, &part};
        const struct git_call call = {args, input.data, input.len, git_records_feed, &records};
        if (rc == 0)
                rc = git_must(&r->git, &call, e);
        strv_done(&c->frontier);
        c->frontier = c->next;
        c->next = (struct strv)STRV_INIT;
        return rc;
}

static int cut_history(const struct repo *r, const char *commit, uint32_t depth, struct cut *c, struct err *e)
{
        int rc = map_new(NULL, &c->seen, e);
        if (rc == 0)
                rc = map_set(c->seen, commit, c->seen, e);
        if (rc == 0)
                rc = strv_add(&c->frontier, commit, e);
        for (uint32_t level = 1; rc == 0 && level <= depth && c->frontier.n > 0; level++) {
                c->last = level == depth;
                rc = cut_level(r, c, e);
        }
        return rc;
}

struct tags {
        struct refs *into;
        const struct map *only; /* commits whose tags are wanted; NULL: all that are listed */
};

/* "ID PEELED-ID NAME"; PEELED-ID is empty for a lightweight tag. */
static int on_tag(const char *line, size_t len, void *user, struct err *e)
{
        struct tags *t = user;
        char id[OID_MAX_HEX + 1] = "", commit[OID_MAX_HEX + 1] = "";
        size_t n = strcspn(line, " ");
        if (n >= len || n > OID_MAX_HEX)
                return 0;
        memcpy(id, line, n);
        const char *rest = line + n + 1;
        size_t peeled = strcspn(rest, " ");
        if (rest[peeled] != ' ' || peeled > OID_MAX_HEX)
                return 0;
        memcpy(commit, peeled ? rest : id, peeled ? peeled : n);
        if (t->only && !map_get(t->only, commit))
                return 0;
        return refs_set(t->into, rest + peeled + 1, id, e);
}

static int add_tags(const struct repo *r, const char *merged, const struct map *only, struct refs *into, struct err *e)
{
        AUTO(auto_free) char *reach = merged ? str_printf("--merged=%s", merged) : str_dup("--sort=refname");
        AUTO(buf_done) struct buf part = BUF_INIT_MAX(16u << 10);
        if (!reach)
                return err_nomem(e);
        const char *const args[] = {"for-each-ref", reach, "--format=%(objectname) %(*objectname) %(refname)",
                                    "refs/tags", NULL};
        struct tags tags = {into, only};
        struct git_records records = {'\n', on_tag, &tags, &part};
        const struct git_call call = {.args = args, .output = git_records_feed, .user = &records};
        return git_must(&r->git, &call, e);
}

/* What a clone of this repository would have: its branches as those of origin. Where only origin's own copy of a branch
 * is here, that one. */
static int add_all(const struct repo *r, struct refs *into, struct err *e)
{
        static const char heads[] = "refs/heads/", origin[] = "refs/remotes/origin/";
        int rc = 0;
        for (size_t i = 0; rc == 0 && i < refs_count(r->refs); i++) {
                struct ref ref = refs_at(r->refs, i);
                if (str_starts(ref.name, "refs/tags/"))
                        rc = refs_set(into, ref.name, ref.id, e);
                else if (str_starts(ref.name, origin) && !str_eq(ref.name, "refs/remotes/origin/HEAD"))
                        rc = refs_add(into, ref.name, ref.id, e);
                if (rc < 0 || !str_starts(ref.name, heads))
                        continue;
                AUTO(auto_free) char *name = str_printf("%s%s", origin, ref.name + sizeof(heads) - 1);
                rc = name ? refs_set(into, name, ref.id, e) : err_nomem(e);
        }
        return rc;
}

/* The ref that the commit came from: a branch becomes origin's, a tag stays one. */
static int add_own_ref(const struct repo *r, const struct source_checkout *w, struct refs *into, struct err *e)
{
        if (!w->ref)
                return 0;
        if (str_starts(w->ref, "refs/tags/")) {
                const char *id = refs_get(r->refs, w->ref);
                return id ? refs_set(into, w->ref, id, e) : 0;
        }
        if (!str_starts(w->ref, "refs/heads/"))
                return 0;
        AUTO(auto_free) char *name = str_printf("refs/remotes/origin/%s", w->ref + strlen("refs/heads/"));
        return name ? refs_set(into, name, w->commit, e) : err_nomem(e);
}

static int choose_refs(const struct repo *r, const struct source_checkout *w, const struct cut *cut, struct refs *into,
                       struct err *e)
{
        int rc = 0;
        if (w->refs == SOURCE_REFS_ALL)
                rc = add_all(r, into, e);
        else if (w->refs == SOURCE_REFS_TAGS)
                rc = add_tags(r, w->depth ? NULL : w->commit, w->depth ? cut->seen : NULL, into, e);
        return rc < 0 ? rc : add_own_ref(r, w, into, e);
}

/* A commit's history is never pulled in past the cut: the lines "--shallow ID" make git take those commits as roots. */
static int pack_input(const struct history *h, const char *commit, struct buf *ret, struct err *e)
{
        int rc = 0;
        for (size_t at = 0; rc == 0 && at < h->shallow.len;) {
                const uint8_t *line = h->shallow.data + at;
                size_t n = (size_t)((const uint8_t *)memchr(line, '\n', h->shallow.len - at) - line);
                rc = buf_printf(ret, e, "--shallow %.*s\n", (int)n, (const char *)line);
                at += n + 1;
        }
        if (rc == 0)
                rc = buf_printf(ret, e, "%s\n", commit);
        for (size_t i = 0; rc == 0 && i < refs_count(h->refs); i++)
                rc = buf_printf(ret, e, "%s\n", refs_at(h->refs, i).id);
        return rc;
}

static int make_pack(const struct repo *r, const char *commit, struct history *h, struct err *e)
{
        AUTO(buf_done) struct buf input = BUF_INIT, out = BUF_INIT;
        AUTO(auto_free) char *base = str_printf("%s/objects/pack/pack", r->own), *id = NULL;
        if (!base)
                return err_nomem(e);
        const char *const args[] = {"pack-objects", "--revs", "--delta-base-offset", "-q", base, NULL};
        int rc = pack_input(h, commit, &input, e);
        if (rc == 0)
                rc = git_text(&r->git, args, input.data, input.len, 4096, &out, e);
        if (rc < 0)
                return rc;
        id = buf_take_str(&out);
        if (!id)
                return err_nomem(e);
        id[strcspn(id, "\n")] = '\0';
        if (!oid_is_valid(id, r->config.hex_len))
                return err_set(e, ERR_RESOURCES, "git pack-objects did not name its pack");
        h->pack_name = str_printf("pack-%s", id);
        h->pack_path = str_printf("%s-%s.pack", base, id);
        h->idx_path = str_printf("%s-%s.idx", base, id);
        return h->pack_name && h->pack_path && h->idx_path ? 0 : err_nomem(e);
}

int history_make(const struct repo *r, const struct source_checkout *w, struct history *ret, struct err *e)
{
        *ret = (struct history){0};
        struct cut cut = {.shallow = &ret->shallow};
        int rc = refs_new(r->config.hex_len, &ret->refs, e);
        if (rc == 0 && w->depth)
                rc = cut_history(r, w->commit, w->depth, &cut, e);
        if (rc == 0)
                rc = choose_refs(r, w, &cut, ret->refs, e);
        if (rc == 0)
                rc = make_pack(r, w->commit, ret, e);
        map_free(cut.seen);
        strv_done(&cut.frontier);
        strv_done(&cut.next);
        /* The repository's own cuts are the guest's too; git knows them from our git folder. */
        if (rc == 0 && r->shallow)
                rc = repo_read_file(r->own, "shallow", SOURCE_MAX_SHALLOW, &ret->shallow, e);
        if (rc < 0 && (r->config.partial || r->shallow) && e->code == ERR_USAGE)
                return err_set(e, ERR_USAGE, "not all objects of %s are there%s", w->commit, repo_missing_hint(r));
        return rc;
}

void history_done(struct history *h)
{
        if (h->pack_path)
                unlink(h->pack_path);
        if (h->idx_path)
                unlink(h->idx_path);
        refs_free(h->refs);
        buf_done(&h->shallow);
        free(h->pack_name);
        free(h->pack_path);
        free(h->idx_path);
        *h = (struct history){0};
}
