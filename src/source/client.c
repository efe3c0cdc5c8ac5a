/* What devdep-source answers, over the connection of serve/ask.h. */
#include "source/client.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "serve/ask.h"
#include "source/limits.h"
#include "source/names.h"
#include "wire/guest.h"

#include <stdlib.h>

enum kind { KIND_RESOLVE, KIND_SUBMODULES, KIND_FACTS, KIND_CHANGED, KIND_ACTION, KIND_CHECKOUT, KIND_TREE };

struct source {
        struct ask *ask;
        enum kind kind;
        bool totals; /* of a stream: its chunks are next, or behind us */
        union {
                source_commit_fn *commit;
                source_submodules_fn *submodules;
                source_facts_fn *facts;
                source_changed_fn *changed;
                source_action_fn *action;
        } fn;
        struct source_stream stream;
        void *user;
};

CLEANUP_DEFINE(struct source, source_free)

struct source *source_free(struct source *s)
{
        if (!s)
                return NULL;
        ask_free(s->ask);
        free(s);
        return NULL;
}

void source_pause(struct source *s)
{
        ask_pause(s->ask);
}

void source_resume(struct source *s)
{
        ask_resume(s->ask);
}

/* Tell the request's owner that it failed. */
static int on_failed(struct ask *a, const struct err *failure, void *user, struct err *e)
{
        struct source *s = user;
        (void)a;
        switch (s->kind) {
        case KIND_RESOLVE:
                return s->fn.commit(s, NULL, failure, s->user, e);
        case KIND_SUBMODULES:
                return s->fn.submodules(s, NULL, 0, failure, s->user, e);
        case KIND_FACTS:
                return s->fn.facts(s, NULL, failure, s->user, e);
        case KIND_CHANGED:
                return s->fn.changed(s, NULL, failure, s->user, e);
        case KIND_ACTION:
                return s->fn.action(s, NULL, failure, s->user, e);
        case KIND_CHECKOUT:
        case KIND_TREE:
                return s->stream.done(s, NULL, failure, s->user, e);
        }
        return 0;
}

static int take_id(const struct fields *f, const char **ret, struct err *broken)
{
        int r = fields_str(f, "commit", ret, broken);
        if (r == 0 && !oid_is_valid(*ret, 40) && !oid_is_valid(*ret, 64))
                r = err_set(broken, ERR_PROTOCOL, "devdep-source: expected a commit id");
        return r;
}

static int take_commit(struct source *s, const struct fields *f, struct err *broken, struct err *e)
{
        struct source_commit c;
        int r = take_id(f, &c.commit, broken);
        if (r == 0)
                r = fields_str(f, "ref", &c.ref, broken);
        if (r < 0)
                return ASK_E_BROKEN;
        ask_end(s->ask);
        return s->fn.commit(s, &c, NULL, s->user, e);
}

static int take_facts(struct source *s, const struct fields *f, struct err *broken, struct err *e)
{
        struct source_facts x = {0};
        const struct {
                const char *key;
                const char **to;
        } texts[] = {{"commit", &x.commit},
                     {"branch", &x.branch},
                     {"tag", &x.tag},
                     {"subject", &x.subject},
                     {"author_name", &x.author_name},
                     {"author_email", &x.author_email},
                     {"author_date", &x.author_date},
                     {"committer_name", &x.committer_name},
                     {"committer_email", &x.committer_email},
                     {"remote_url", &x.remote_url},
                     {"object_format", &x.object_format}};
        uint64_t dirty = 0, bare = 0, shallow = 0;
        int r = fields_u64(f, "dirty", 1, &dirty, broken);
        if (r == 0)
                r = fields_u64(f, "bare", 1, &bare, broken);
        if (r == 0)
                r = fields_u64(f, "shallow", 1, &shallow, broken);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
                r = fields_str(f, texts[i].key, texts[i].to, broken);
        x.dirty = dirty;
        x.bare = bare;
        x.shallow = shallow;
        if (r < 0)
                return ASK_E_BROKEN;
        ask_end(s->ask);
        return s->fn.facts(s, &x, NULL, s->user, e);
}

static int take_submodules(struct source *s, const struct fields *f, struct err *broken, struct err *e)
{
        AUTO(strv_done) struct strv keep = STRV_INIT;
        size_t n = (fields_count(f) - 1) / 5;
        AUTO(auto_free) struct source_submodule *v = calloc(n ? n : 1, sizeof(*v));
        bool ok = v && fields_count(f) == 1 + 5 * n;
        for (size_t i = 0; ok && i < n; i++) {
                size_t at = 1 + 5 * i;
                const char *present = "";
                ok = ask_text_at(f, at, "path", &v[i].path, &keep) &&
                     ask_text_at(f, at + 1, "commit", &v[i].commit, &keep) &&
                     ask_text_at(f, at + 2, "head", &v[i].head, &keep) &&
                     ask_text_at(f, at + 3, "present", &present, &keep) &&
                     ask_text_at(f, at + 4, "why", &v[i].why, &keep) && tree_path_is_valid(v[i].path);
                v[i].present = str_eq(present, "1");
        }
        if (!ok) {
                err_set(broken, ERR_PROTOCOL, "devdep-source: the list of submodules is malformed");
                return ASK_E_BROKEN;
        }
        ask_end(s->ask);
        return s->fn.submodules(s, v, n, NULL, s->user, e);
}

/* Every value of a key that repeats. */
static int texts_of(const struct fields *f, const char *key, struct strv *ret, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < fields_count(f); i++) {
                const char *ignored;
                if (str_eq(fields_at(f, i)->key, key) && !ask_text_at(f, i, key, &ignored, ret))
                        r = err_set(e, ERR_PROTOCOL, "devdep-source: field '%s' is malformed", key);
        }
        return r;
}

static int take_changed(struct source *s, const struct fields *f, struct err *broken, struct err *e)
{
        AUTO(strv_done) struct strv paths = STRV_INIT;
        struct source_changes c = {0};
        uint64_t truncated;
        int r = fields_u64(f, "truncated", 1, &truncated, broken);
        if (r == 0)
                r = fields_u64(f, "commits", SOURCE_MAX_COUNTED, &c.commits, broken);
        if (r == 0)
                r = texts_of(f, "path", &paths, broken);
        if (r < 0)
                return ASK_E_BROKEN;
        c.paths = (const char *const *)paths.v;
        c.n = paths.n;
        c.truncated = truncated;
        ask_end(s->ask);
        return s->fn.changed(s, &c, NULL, s->user, e);
}

static int take_action(struct source *s, const struct fields *f, struct err *broken, struct err *e)
{
        struct source_action a;
        const struct field *manifest = fields_get(f, "manifest");
        int r = take_id(f, &a.commit, broken);
        if (r == 0)
                r = fields_str(f, "file", &a.file, broken);
        if (r == 0 && !str_eq(a.file, "action.yml") && !str_eq(a.file, "action.yaml"))
                r = err_set(broken, ERR_PROTOCOL, "devdep-source: expected the name of an action file");
        if (r == 0 && (!manifest || manifest->len > SOURCE_MAX_MANIFEST))
                r = err_set(broken, ERR_PROTOCOL, "devdep-source: expected an action file");
        if (r < 0)
                return ASK_E_BROKEN;
        a.manifest = manifest->value;
        a.manifest_len = manifest->len;
        ask_end(s->ask);
        return s->fn.action(s, &a, NULL, s->user, e);
}

static int take_tree_totals(struct source *s, const struct fields *f, struct err *broken, struct err *e)
{
        struct source_totals t = {0};
        int r = fields_u64(f, "bytes", UINT64_MAX, &t.bytes, broken);
        if (r == 0)
                r = take_id(f, &t.commit, broken);
        if (r < 0)
                return ASK_E_BROKEN;
        ask_end(s->ask);
        return s->stream.done(s, &t, NULL, s->user, e);
}

static int take_totals(struct source *s, const struct fields *f, struct err *broken, struct err *e)
{
        AUTO(strv_done) struct strv notes = STRV_INIT;
        struct source_totals t = {0};
        uint64_t shallow = 0;
        int r = fields_u64(f, "bytes", UINT64_MAX, &t.bytes, broken);
        if (r == 0)
                r = fields_u64(f, "files", UINT64_MAX, &t.files, broken);
        if (r == 0)
                r = fields_u64(f, "refs", UINT64_MAX, &t.refs, broken);
        if (r == 0)
                r = fields_u64(f, "shallow", 1, &shallow, broken);
        if (r == 0)
                r = texts_of(f, "note", &notes, broken);
        t.shallow = shallow;
        t.notes = (const char *const *)notes.v;
        t.n_notes = notes.n;
        if (r < 0)
                return ASK_E_BROKEN;
        ask_end(s->ask);
        return s->stream.done(s, &t, NULL, s->user, e);
}

static int on_list(struct ask *a, const struct fields *f, struct err *broken, void *user, struct err *e)
{
        static int (*const takers[])(struct source * s, const struct fields *f, struct err *broken, struct err *e) = {
                [KIND_RESOLVE] = take_commit,  [KIND_SUBMODULES] = take_submodules, [KIND_FACTS] = take_facts,
                [KIND_CHANGED] = take_changed, [KIND_ACTION] = take_action,         [KIND_CHECKOUT] = take_totals,
                [KIND_TREE] = take_tree_totals};
        struct source *s = user;
        bool streams = s->kind == KIND_CHECKOUT || s->kind == KIND_TREE;
        if (!streams || s->totals)
                return takers[s->kind](s, f, broken, e);
        s->totals = true;
        ask_expect(a, ASK_CHUNKS);
        return 0;
}

static int on_data(struct ask *a, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct source *s = user;
        (void)a;
        return s->stream.data(s, data, len, s->user, e);
}

int source_new(struct loop *l, int fd, struct source **ret, struct err *e)
{
        static const struct ask_fns fns = {.list = on_list, .data = on_data, .failed = on_failed};
        AUTO(source_freep) struct source *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        int r = ask_new(l, fd, "devdep-source", &fns, s, &s->ask, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

static int begin(struct source *s, enum kind kind, const char *op, void *user, struct buf **ret, struct err *e)
{
        s->kind = kind;
        s->user = user;
        s->totals = false;
        return ask_begin(s->ask, op, ret, e);
}

int source_resolve(struct source *s, const char *repository, const char *ref, source_commit_fn *fn, void *user,
                   struct err *e)
{
        struct buf *q;
        int r = begin(s, KIND_RESOLVE, "resolve", user, &q, e);
        s->fn.commit = fn;
        if (r == 0)
                r = fields_add_str(q, "repository", repository, e);
        if (r == 0)
                r = fields_add_str(q, "ref", ref, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int source_submodules(struct source *s, const char *repository, const char *id, source_submodules_fn *fn, void *user,
                      struct err *e)
{
        struct buf *q;
        int r = begin(s, KIND_SUBMODULES, "submodules", user, &q, e);
        s->fn.submodules = fn;
        if (r == 0)
                r = fields_add_str(q, "repository", repository, e);
        if (r == 0)
                r = fields_add_str(q, "commit", id, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int source_ask_facts(struct source *s, source_facts_fn *fn, void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, KIND_FACTS, "facts", user, &q, e);
        s->fn.facts = fn;
        return r < 0 ? r : ask_send(s->ask, e);
}

const char *const source_refs_words[SOURCE_WORDS] = {
        [SOURCE_REFS_TAGS] = "tags", [SOURCE_REFS_NONE] = "none", [SOURCE_REFS_ALL] = "all"};
const char *const source_since_words[SOURCE_WORDS] = {
        [SOURCE_SINCE_COMMIT] = "commit", [SOURCE_SINCE_PARENT] = "parent", [SOURCE_SINCE_FORK] = "fork"};

int source_changed(struct source *s, const char *base, enum source_since since, const char *head, source_changed_fn *fn,
                   void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, KIND_CHANGED, "changed", user, &q, e);
        s->fn.changed = fn;
        if (r == 0)
                r = fields_add_str(q, "base", base, e);
        if (r == 0)
                r = fields_add_str(q, "since", source_since_words[since], e);
        if (r == 0)
                r = fields_add_str(q, "head", head, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int source_checkout(struct source *s, const struct source_checkout *c, const struct source_stream *fns, void *user,
                    struct err *e)
{
        struct buf *q;
        int r = begin(s, KIND_CHECKOUT, "checkout", user, &q, e);
        s->stream = *fns;
        if (r == 0)
                r = fields_add_str(q, "repository", c->repository, e);
        if (r == 0)
                r = fields_add_str(q, "commit", c->commit, e);
        if (r == 0)
                r = fields_add_str(q, "ref", c->ref ? c->ref : "", e);
        if (r == 0)
                r = fields_add_u64(q, "working", c->working, e);
        if (r == 0)
                r = fields_add_u64(q, "depth", c->depth, e);
        if (r == 0)
                r = fields_add_str(q, "refs", source_refs_words[c->refs], e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int source_action(struct source *s, const char *repository, const char *ref, const char *path, source_action_fn *fn,
                  void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, KIND_ACTION, "action", user, &q, e);
        s->fn.action = fn;
        if (r == 0)
                r = fields_add_str(q, "action", repository, e);
        if (r == 0)
                r = fields_add_str(q, "ref", ref, e);
        if (r == 0)
                r = fields_add_str(q, "path", path, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int source_action_tree(struct source *s, const char *repository, const char *ref, const struct source_stream *fns,
                       void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, KIND_TREE, "action_tree", user, &q, e);
        s->stream = *fns;
        if (r == 0)
                r = fields_add_str(q, "action", repository, e);
        if (r == 0)
                r = fields_add_str(q, "ref", ref, e);
        return r < 0 ? r : ask_send(s->ask, e);
}
