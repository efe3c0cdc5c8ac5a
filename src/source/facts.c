#include "source/facts.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "source/limits.h"
#include "source/names.h"
#include "source/refs.h"
#include "source/repo.h"
#include "source/request.h"
#include "source/worktree.h"
#include "wire/guest.h"

#include <string.h>

#define MAX_LINE 512u /* bytes of a name or a subject in an answer */
#define MAX_ANSWER (GUEST_MAX_HEADER - 64u * 1024u)

static int add_line(struct buf *answer, const char *key, const char *value, size_t max, struct err *e)
{
        AUTO(auto_free) char *line = text_line(value, strlen(value), max);
        return line ? fields_add_str(answer, key, line, e) : err_nomem(e);
}

static int unborn(const struct repo *r, struct err *e)
{
        (void)r;
        return err_set(e, ERR_USAGE,
                       "the repository has no commit yet, and a run needs one: git add -A && git commit -m 'first'");
}

static int missing(const struct repo *r, const char *what, struct err *e)
{
        char shown[200];
        str_escape(shown, sizeof(shown), what, strlen(what));
        return err_set(e, ERR_USAGE, "the repository has no commit '%s'%s", shown, repo_missing_hint(r));
}

int facts_need_commit(const struct repo *r, const char *id, struct err *e)
{
        AUTO(auto_free) char *commit = NULL;
        if (!oid_is_valid(id, r->config.hex_len))
                return missing(r, id, e);
        int rc = repo_commit(r, id, &commit, e);
        if (rc < 0)
                return rc;
        return rc == REPO_E_MISSING || !str_eq(commit, id) ? missing(r, id, e) : 0;
}

static int add_commit(const struct repo *r, const char *id, struct buf *answer, struct err *e)
{
        static const char *const keys[] = {"subject",     "author_name",    "author_email",
                                           "author_date", "committer_name", "committer_email"};
        const char *const args[] = {"log", "-1", "--format=%s%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00", id, "--", NULL};
        AUTO(buf_done) struct buf out = BUF_INIT;
        int rc = git_text(&r->git, args, NULL, 0, 1u << 20, &out, e);
        const char *at = rc == 0 ? buf_cstr(&out) : "";
        if (rc < 0 || !at)
                return rc < 0 ? rc : err_nomem(e);
        const char *end = at + out.len;
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(keys); i++) {
                rc = add_line(answer, keys[i], at, MAX_LINE, e);
                at += strlen(at);
                at += at < end; /* over the NUL, not past what git wrote */
        }
        return rc;
}

static int add_tag(const struct repo *r, const char *id, struct buf *answer, struct err *e)
{
        AUTO(auto_free) char *points = str_printf("--points-at=%s", id);
        AUTO(buf_done) struct buf out = BUF_INIT;
        if (!points)
                return err_nomem(e);
        const char *const args[] = {"for-each-ref",        points,      "--count=1", "--sort=-creatordate",
                                    "--format=%(refname)", "refs/tags", NULL};
        int rc = git_text(&r->git, args, NULL, 0, 1u << 20, &out, e);
        if (rc < 0)
                return rc;
        const char *name = buf_cstr(&out);
        if (!name)
                return err_nomem(e);
        out.data[strcspn(name, "\n")] = '\0';
        return add_line(answer, "tag", str_starts(name, "refs/tags/") ? name + 10 : "", SOURCE_MAX_REF_NAME, e);
}

int facts_add_head(const struct repo *r, struct buf *answer, struct err *e)
{
        static const char heads[] = "refs/heads/";
        int dirty = 0;
        if (!r->head_id)
                return unborn(r, e);
        int rc = facts_need_commit(r, r->head_id, e);
        if (rc == 0 && r->top)
                rc = worktree_is_dirty(r, &dirty, e);
        if (rc == 0)
                rc = fields_add_str(answer, "commit", r->head_id, e);
        bool on_branch = r->head_name && str_starts(r->head_name, heads);
        if (rc == 0)
                rc = add_line(answer, "branch", on_branch ? r->head_name + sizeof(heads) - 1 : "", SOURCE_MAX_REF_NAME,
                              e);
        if (rc == 0)
                rc = add_tag(r, r->head_id, answer, e);
        if (rc == 0)
                rc = add_commit(r, r->head_id, answer, e);
        if (rc == 0)
                rc = fields_add_str(answer, "remote_url", r->config.remote_url ? r->config.remote_url : "", e);
        if (rc == 0)
                rc = fields_add_str(answer, "object_format", r->config.hex_len == 64 ? "sha256" : "sha1", e);
        if (rc == 0)
                rc = fields_add_u64(answer, "dirty", (uint64_t)dirty, e);
        if (rc == 0)
                rc = fields_add_u64(answer, "bare", !r->top, e);
        return rc < 0 ? rc : fields_add_u64(answer, "shallow", r->shallow, e);
}

/* The full name of a ref that a short one means: a branch before a tag, as actions/checkout; *ret_id is borrowed. */
static int find_ref(const struct repo *r, const char *ref, char **ret_name, const char **ret_id, struct err *e)
{
        static const char *const prefixes[] = {"", "refs/heads/", "refs/tags/", "refs/remotes/origin/",
                                               "refs/remotes/"};
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
                AUTO(auto_free) char *name = str_printf("%s%s", prefixes[i], ref);
                if (!name)
                        return err_nomem(e);
                *ret_id = refs_get(r->refs, name);
                if (!*ret_id)
                        continue;
                *ret_name = TAKE_PTR(name);
                return 0;
        }
        return 0;
}

int facts_add_resolved(const struct repo *r, const char *ref, struct buf *answer, struct err *e)
{
        AUTO(auto_free) char *name = NULL, *commit = NULL;
        const char *id = NULL;
        int rc = 0;
        if (ref[0] == '\0' || str_eq(ref, "HEAD")) {
                id = r->head_id;
                if (!id)
                        return unborn(r, e);
                if (r->head_name && !(name = str_dup(r->head_name)))
                        return err_nomem(e);
        } else if (oid_is_valid(ref, r->config.hex_len)) {
                id = ref; /* whatever branch has the same name, as for git */
        } else {
                rc = find_ref(r, ref, &name, &id, e);
        }
        if (rc == 0 && !id && oid_is_prefix(ref, r->config.hex_len))
                id = ref;
        if (rc == 0)
                rc = id ? repo_commit(r, id, &commit, e) : REPO_E_MISSING;
        if (rc != 0)
                return rc == REPO_E_MISSING ? missing(r, ref, e) : rc;
        rc = fields_add_str(answer, "commit", commit, e);
        return rc < 0 ? rc : fields_add_str(answer, "ref", name ? name : "", e);
}

struct changed {
        struct buf *answer;
        struct buf paths; /* fields, added after `truncated` is known */
        size_t n;
        bool truncated;
};

static int on_changed(const char *path, size_t len, void *user, struct err *e)
{
        struct changed *c = user;
        if (c->n >= SOURCE_MAX_CHANGED || c->paths.len + len + 16 > MAX_ANSWER) {
                c->truncated = true;
                return 1;
        }
        c->n++;
        return fields_add(&c->paths, "path", path, len, e);
}

static int diff(const struct repo *r, const char *base, const char *head, struct changed *c, struct err *e)
{
        AUTO(buf_done) struct buf part = BUF_INIT_MAX(64u << 10);
        const char *const two[] = {"diff-tree", "-r", "-z", "--name-only", "--no-renames", base, head, "--", NULL};
        const char *const root[] = {"diff-tree",      "-r", "-z", "--name-only", "--no-renames", "--root",
                                    "--no-commit-id", head, "--", NULL};
        struct git_records records = {'\0', on_changed, c, &part};
        const struct git_call call = {.args = base ? two : root, .output = git_records_feed, .user = &records};
        return git_must(&r->git, &call, e);
}

/* What is compared with: NULL is nothing, the parent of the first commit of all. */
static int find_base(const struct repo *r, const struct request *q, char **ret, struct err *e)
{
        AUTO(auto_free) char *parent = str_printf("%s^1", q->base);
        AUTO(buf_done) struct buf out = BUF_INIT;
        if (!parent)
                return err_nomem(e);
        if (q->since == SOURCE_SINCE_COMMIT)
                return (*ret = str_dup(q->base)) ? 0 : err_nomem(e);
        if (q->since == SOURCE_SINCE_PARENT) {
                int rc = repo_commit(r, parent, ret, e);
                return rc == REPO_E_MISSING ? repo_need_whole(r, q->base, e) : rc;
        }
        const char *const args[] = {"merge-base", q->base, q->head, NULL};
        int rc = git_text(&r->git, args, NULL, 0, 1024, &out, e);
        if (rc < 0 && e->code == ERR_USAGE)
                return err_set(e, ERR_USAGE, "the commits %.12s and %.12s have no common ancestor here%s", q->base,
                               q->head, repo_missing_hint(r));
        if (rc == 0 && !(*ret = buf_take_str(&out)))
                rc = err_nomem(e);
        if (rc == 0)
                (*ret)[strcspn(*ret, "\n")] = '\0';
        return rc;
}

static int add_count(const struct repo *r, const char *base, const char *head, struct buf *answer, struct err *e)
{
        AUTO(auto_free) char *max = str_printf("--max-count=%u", SOURCE_MAX_COUNTED);
        AUTO(auto_free) char *without = base ? str_printf("^%s", base) : NULL;
        AUTO(buf_done) struct buf out = BUF_INIT;
        uint64_t n;
        if (!max || (base && !without))
                return err_nomem(e);
        const char *const args[] = {"rev-list", "--count", max, head, base ? without : "--", base ? "--" : NULL, NULL};
        int rc = git_text(&r->git, args, NULL, 0, 64, &out, e);
        const char *text = rc == 0 ? buf_cstr(&out) : "";
        if (rc < 0 || !text)
                return rc < 0 ? rc : err_nomem(e);
        out.data[strcspn(text, "\n")] = '\0';
        rc = num_u64(text, 0, SOURCE_MAX_COUNTED, "git rev-list", &n, e);
        return rc < 0 ? rc : fields_add_u64(answer, "commits", n, e);
}

int facts_add_changed(const struct repo *r, const struct request *q, struct buf *answer, struct err *e)
{
        AUTO(auto_free) char *base = NULL;
        struct changed c = {.answer = answer};
        int rc = facts_need_commit(r, q->head, e);
        if (rc == 0)
                rc = facts_need_commit(r, q->base, e);
        if (rc == 0)
                rc = find_base(r, q, &base, e);
        if (rc == 0)
                rc = diff(r, base, q->head, &c, e);
        if (rc == 0)
                rc = fields_add_u64(answer, "truncated", c.truncated, e);
        if (rc == 0)
                rc = add_count(r, base, q->head, answer, e);
        if (rc == 0)
                rc = buf_append(answer, c.paths.data, c.paths.len, e);
        buf_done(&c.paths);
        return rc;
}
