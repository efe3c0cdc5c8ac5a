#include "source/server.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "serve/answer.h"
#include "serve/out.h"
#include "source/archive.h"
#include "source/facts.h"
#include "source/git.h"
#include "source/history.h"
#include "source/limits.h"
#include "source/mirror.h"
#include "source/notes.h"
#include "source/refs.h"
#include "source/repo.h"
#include "source/request.h"
#include "source/submodules.h"
#include "source/worktree.h"
#include "wire/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_REPOS (1u + SOURCE_MAX_SUBMODULES)

/* One repository that this connection may ask about: the top, or a submodule that an answer listed. */
struct node {
        char *path;
        struct own_view view; /* empty for the top */
        struct repo repo;
};

struct server {
        const struct server_config *config;
        struct mirror *mirror;
        struct out out;
        struct node nodes[MAX_REPOS];
        unsigned n;
};

static struct node *node_find(struct server *s, const char *path)
{
        for (unsigned i = 0; i < s->n; i++)
                if (str_eq(s->nodes[i].path, path))
                        return &s->nodes[i];
        return NULL;
}

static struct repo_view node_view(const struct server *s, const struct node *n)
{
        if (n == &s->nodes[0])
                return *s->config->view;
        return (struct repo_view){.top = n->view.top,
                                  .host_top = n->view.host_top,
                                  .gitdir = n->view.gitdir,
                                  .host_gitdir = n->view.host_gitdir,
                                  .common = n->view.gitdir,
                                  .host_common = n->view.host_gitdir};
}

/* path and view are taken over, also on failure. */
static int node_add(struct server *s, char *path, struct own_view *view, int back_link, struct node **ret,
                    struct err *e)
{
        AUTO(auto_free) char *own = str_printf("%s/%u", s->config->own, s->n);
        if (!path || !own || s->n >= MAX_REPOS) {
                free(path);
                own_view_done(view);
                return path && own ? err_set(e, ERR_RESOURCES, "the repository has more than %u submodules",
                                             SOURCE_MAX_SUBMODULES)
                                   : err_nomem(e);
        }
        struct node *n = &s->nodes[s->n];
        *n = (struct node){.path = path, .view = *view};
        *view = (struct own_view){0};
        struct repo_view v = node_view(s, n);
        int r = repo_open(&v, own, back_link, s->config->fd, &n->repo, e);
        if (r < 0) {
                repo_done(&n->repo);
                own_view_done(&n->view);
                free(n->path);
                n->path = NULL;
                return r;
        }
        s->n++;
        *ret = n;
        return 0;
}

static void server_done(struct server *s)
{
        for (unsigned i = 0; i < s->n; i++) {
                repo_done(&s->nodes[i].repo);
                own_view_done(&s->nodes[i].view);
                free(s->nodes[i].path);
        }
        mirror_free(s->mirror);
        out_done(&s->out);
}

static int need_node(struct server *s, const char *path, struct node **ret, struct err *e)
{
        *ret = node_find(s, path);
        if (*ret)
                return 0;
        if (s->n == 0)
                return err_set(e, ERR_USAGE, "there is no repository, only a mirror of actions");
        char shown[200];
        str_escape(shown, sizeof(shown), path, strlen(path));
        return err_set(e, ERR_USAGE, "'%s' is no submodule that is present", shown);
}

/* One submodule's five fields. A submodule that cannot be used is no failure of the request. */
static int add_submodule(struct server *s, struct node *parent, const struct gitlink *link, struct buf *answer,
                         struct err *e)
{
        AUTO(auto_free) char *path = parent->path[0] ? fs_join(parent->path, link->path) : str_dup(link->path);
        AUTO(auto_free) char *why = NULL;
        AUTO(own_view_done) struct own_view view = {0};
        struct err problem = ERR_INIT;
        if (!path)
                return err_nomem(e);
        struct node *n = node_find(s, path);
        struct repo_view v = node_view(s, parent);
        int r = n ? 0 : submodule_find(s->config->view, &v, link->path, &view, &why, &problem);
        if (!n && r == 0) {
                int back_link = view.back_link;
                r = node_add(s, str_dup(path), &view, back_link, &n, &problem);
        }
        if (r < 0 && problem.code != ERR_USAGE) {
                if (e)
                        *e = problem;
                return r;
        }
        const char *head = n && n->repo.head_id ? n->repo.head_id : "";
        r = fields_add_str(answer, "path", path, e);
        if (r == 0)
                r = fields_add_str(answer, "commit", link->commit, e);
        if (r == 0)
                r = fields_add_str(answer, "head", head, e);
        if (r == 0)
                r = fields_add_u64(answer, "present", head[0] != '\0', e);
        return r < 0 ? r : fields_add_str(answer, "why", why ? why : n ? "" : problem.msg, e);
}

static int do_facts(struct server *s, const struct request *q, struct answer *a, struct err *e)
{
        struct node *n = NULL;
        int r = need_node(s, q->repository, &n, e);
        return r < 0 ? r : facts_add_head(&n->repo, &a->buf, e);
}

static int do_resolve(struct server *s, const struct request *q, struct answer *a, struct err *e)
{
        struct node *n = NULL;
        int r = need_node(s, q->repository, &n, e);
        return r < 0 ? r : facts_add_resolved(&n->repo, q->ref, &a->buf, e);
}

static int do_changed(struct server *s, const struct request *q, struct answer *a, struct err *e)
{
        struct node *n = NULL;
        int r = need_node(s, q->repository, &n, e);
        return r < 0 ? r : facts_add_changed(&n->repo, q, &a->buf, e);
}

static int do_submodules(struct server *s, const struct request *q, struct answer *a, struct err *e)
{
        AUTO(gitlinks_done) struct gitlinks links = {0};
        struct node *n = NULL;
        int r = need_node(s, q->repository, &n, e);
        if (r == 0)
                r = facts_need_commit(&n->repo, q->commit, e);
        if (r == 0)
                r = gitlinks_of(&n->repo, q->commit, &links, e);
        for (size_t i = 0; r == 0 && i < links.n; i++)
                r = add_submodule(s, n, &links.v[i], &a->buf, e);
        return r;
}

/* ---- actions of the mirror ---- */

static int find_action(struct server *s, const struct request *q, const struct repo **ret, char **ret_commit,
                       struct err *e)
{
        if (!s->mirror)
                return err_set(e, ERR_USAGE, "there is no mirror of actions");
        return mirror_find(s->mirror, q->action, q->ref, ret, ret_commit, e);
}

static int do_action(struct server *s, const struct request *q, struct answer *a, struct err *e)
{
        AUTO(auto_free) char *commit = NULL;
        AUTO(buf_done) struct buf manifest = BUF_INIT;
        const struct repo *repo;
        const char *name = NULL;
        int r = find_action(s, q, &repo, &commit, e);
        if (r == 0)
                r = mirror_manifest(repo, commit, q->path, &name, &manifest, e);
        if (r == 0)
                r = fields_add_str(&a->buf, "commit", commit, e);
        if (r == 0)
                r = fields_add_str(&a->buf, "file", name, e);
        return r < 0 ? r : fields_add(&a->buf, "manifest", manifest.data, manifest.len, e);
}

static int on_archive(const uint8_t *data, size_t len, void *user, struct err *e)
{
        return out_stream(user, data, len, e);
}

/* As GitHub's own archives are: without what the tree marks export-ignore. */
static int stream_action(struct server *s, const struct repo *repo, const char *commit, struct err *e)
{
        const char *const args[] = {"archive", "--format=tar", commit, NULL};
        const struct git_call call = {.args = args, .output = on_archive, .user = &s->out};
        s->out.bytes = 0;
        return git_must(&repo->git, &call, e);
}

static int send_action_totals(struct server *s, const char *commit, struct err *e)
{
        AUTO(answer_done) struct answer a;
        int r = answer_begin(&a, e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "bytes", s->out.bytes, e);
        if (r == 0)
                r = fields_add_str(&a.buf, "commit", commit, e);
        return r < 0 ? r : answer_send(&a, &s->out, e);
}

/* ---- checkouts ---- */

/* The guest's own configuration. The URL has passed url_public(): no byte of it needs quoting. */
static int guest_config(const struct repo *r, struct buf *ret, struct err *e)
{
        bool sha256 = r->config.hex_len == 64;
        int rc = buf_printf(ret, e,
                            "[core]\n\trepositoryformatversion = %d\n\tfilemode = true\n\tbare = false\n"
                            "\tlogallrefupdates = true\n%s",
                            sha256, sha256 ? "[extensions]\n\tobjectformat = sha256\n" : "");
        if (rc < 0 || !r->config.remote_url)
                return rc;
        return buf_printf(ret, e, "[remote \"origin\"]\n\turl = %s\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
                          r->config.remote_url);
}

static int send_text(struct archive *a, const char *name, const struct buf *b, struct err *e)
{
        return archive_bytes(a, name, b->data, b->len, false, a->now, e);
}

static int send_disk_file(struct archive *a, const char *path, const char *name, struct err *e)
{
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open what git made");
        int r = archive_file(a, name, fd, (uint64_t)st.st_size, false, a->now, e);
        return r == ARCHIVE_E_SHRANK ? err_set(e, ERR_RESOURCES, "the pack was cut short on this host") : r;
}

static int send_pack(struct archive *a, const struct history *h, struct err *e)
{
        AUTO(auto_free) char *pack = str_printf(".git/objects/pack/%s.pack", h->pack_name);
        AUTO(auto_free) char *idx = str_printf(".git/objects/pack/%s.idx", h->pack_name);
        if (!pack || !idx)
                return err_nomem(e);
        int r = send_disk_file(a, h->pack_path, pack, e);
        return r < 0 ? r : send_disk_file(a, h->idx_path, idx, e);
}

/* The commit's tree as a git index without file times; the guest brings it up to date. */
static int send_index(struct archive *a, const struct repo *r, const char *commit, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/index.new", r->own);
        if (!path)
                return err_nomem(e);
        const char *const args[] = {"read-tree", commit, NULL};
        const struct git_call call = {.args = args};
        struct git git = r->git;
        git.index = path;
        int rc = git_must(&git, &call, e);
        if (rc == 0)
                rc = send_disk_file(a, path, ".git/index", e);
        unlink(path);
        return rc;
}

static int send_git_folder(struct archive *a, const struct repo *r, const char *commit, const struct history *h,
                           struct err *e)
{
        static const char *const folders[] = {".git",         ".git/refs",         ".git/refs/heads",  ".git/refs/tags",
                                              ".git/objects", ".git/objects/info", ".git/objects/pack"};
        AUTO(buf_done) struct buf head = BUF_INIT, config = BUF_INIT, packed = BUF_INIT;
        int rc = buf_printf(&head, e, "%s\n", commit);
        if (rc == 0)
                rc = guest_config(r, &config, e);
        if (rc == 0)
                rc = refs_write_packed(h->refs, &packed, e);
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(folders); i++)
                rc = archive_folder(a, folders[i], a->now, e);
        if (rc == 0)
                rc = send_text(a, ".git/HEAD", &head, e);
        if (rc == 0)
                rc = send_text(a, ".git/config", &config, e);
        if (rc == 0)
                rc = send_text(a, ".git/packed-refs", &packed, e);
        if (rc == 0 && h->shallow.len > 0)
                rc = send_text(a, ".git/shallow", &h->shallow, e);
        return rc < 0 ? rc : send_pack(a, h, e);
}

static int send_totals(struct server *s, const struct history *h, uint64_t files, const struct notes *notes,
                       struct err *e)
{
        AUTO(answer_done) struct answer a;
        int r = answer_begin(&a, e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "bytes", s->out.bytes, e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "files", files, e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "refs", refs_count(h->refs), e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "shallow", h->shallow.len > 0, e);
        for (size_t i = 0; r == 0 && i < notes->text.n; i++)
                r = fields_add_str(&a.buf, "note", notes->text.v[i], e);
        return r < 0 ? r : answer_send(&a, &s->out, e);
}

static int stream_checkout(struct server *s, struct node *n, const struct source_checkout *c, const struct history *h,
                           uint64_t *ret_files, struct notes *notes, struct err *e)
{
        struct archive a = {.out = &s->out, .now = (int64_t)(clock_real_ms() / 1000)};
        s->out.bytes = 0;
        int r = send_git_folder(&a, &n->repo, c->commit, h, e);
        if (r == 0 && c->working)
                r = send_index(&a, &n->repo, c->commit, e);
        if (r == 0 && c->working)
                r = worktree_send(&n->repo, &a, notes, ret_files, e);
        if (r == 0)
                r = notes_close(notes, e);
        return r < 0 ? r : archive_end(&a, e);
}

/* Everything that can fail before the first byte does so as an ordinary answer. */
static int prepare_checkout(struct server *s, const struct source_checkout *c, struct node **ret, struct history *h,
                            struct err *e)
{
        int r = need_node(s, c->repository, ret, e);
        if (r == 0)
                r = facts_need_commit(&(*ret)->repo, c->commit, e);
        if (r == 0 && c->working && !(*ret)->repo.top)
                r = err_set(e, ERR_USAGE, "a bare repository has no working tree; name a commit");
        return r < 0 ? r : history_make(&(*ret)->repo, c, h, e);
}

static int do_checkout(struct server *s, const struct source_checkout *c, struct err *e)
{
        AUTO(answer_done) struct answer ok = {0};
        AUTO(history_done) struct history h = {0};
        AUTO(notes_done) struct notes notes = {.text = STRV_INIT};
        struct node *n = NULL;
        uint64_t files = 0;
        int r = prepare_checkout(s, c, &n, &h, e);
        if (r == 0)
                r = answer_begin(&ok, e);
        if (r == 0)
                r = answer_send(&ok, &s->out, e);
        if (r < 0)
                return r;
        r = stream_checkout(s, n, c, &h, &files, &notes, e);
        r = answer_end_stream(&s->out, r, e);
        return r < 0 ? r : send_totals(s, &h, files, &notes, e);
}

static int do_action_tree(struct server *s, const struct request *q, struct err *e)
{
        AUTO(answer_done) struct answer ok = {0};
        AUTO(auto_free) char *commit = NULL;
        const struct repo *repo;
        int r = find_action(s, q, &repo, &commit, e);
        if (r == 0)
                r = answer_begin(&ok, e);
        if (r == 0)
                r = answer_send(&ok, &s->out, e);
        if (r < 0)
                return r;
        r = stream_action(s, repo, commit, e);
        r = answer_end_stream(&s->out, r, e);
        return r < 0 ? r : send_action_totals(s, commit, e);
}

static int do_answer(struct server *s, const struct request *q, struct err *e)
{
        static int (*const fns[])(struct server * s, const struct request *q, struct answer *a, struct err *e) = {
                [REQUEST_FACTS] = do_facts,     [REQUEST_RESOLVE] = do_resolve, [REQUEST_SUBMODULES] = do_submodules,
                [REQUEST_CHANGED] = do_changed, [REQUEST_ACTION] = do_action,
        };
        AUTO(answer_done) struct answer a;
        int r = answer_begin(&a, e);
        if (r == 0)
                r = fns[q->op](s, q, &a, e);
        return r < 0 ? r : answer_send(&a, &s->out, e);
}

static int do_request(struct server *s, const struct request *q, struct err *e)
{
        switch (q->op) {
        case REQUEST_CHECKOUT:
                return do_checkout(s, &q->checkout, e);
        case REQUEST_ACTION_TREE:
                return do_action_tree(s, q, e);
        default:
                return do_answer(s, q, e);
        }
}

/* A failed request is answered and the connection goes on; a broken protocol or a lost client ends it. */
static int serve(struct server *s, const struct buf *data, struct err *e)
{
        AUTO(request_done) struct request q = {0};
        struct err failure = ERR_INIT;
        int r = request_parse(data->data, data->len, &q, &failure);
        if (r == 0)
                r = do_request(s, &q, &failure);
        if (r == 0)
                return 0;
        if (failure.code != ERR_CANCELLED)
                r = answer_failure(&s->out, &failure, e);
        if (r == 0 && failure.code != ERR_PROTOCOL)
                return 0;
        *e = failure;
        return -1;
}

static int open_all(struct server *s, struct err *e)
{
        struct own_view none = {0};
        struct node *top;
        int r = s->config->view ? node_add(s, str_dup(""), &none, s->config->need_back_link, &top, e) : 0;
        return r == 0 && s->config->mirror ? mirror_new(s->config->mirror, &s->mirror, e) : r;
}

static int run(struct server *s, struct err *e)
{
        struct err failure = ERR_INIT;
        int r = open_all(s, &failure);
        if (r < 0) {
                if (failure.code != ERR_CANCELLED)
                        answer_failure(&s->out, &failure, e);
                *e = failure;
                return -1;
        }
        for (r = answer_greet(&s->out, SOURCE_PROTOCOL, e); r == 0;) {
                AUTO(buf_done) struct buf request = BUF_INIT;
                r = serve_read(s->config->fd, SOURCE_MAX_REQUEST, &request, e);
                if (r == 0)
                        r = serve(s, &request, e);
        }
        return r == SERVE_E_CLOSED ? 0 : r;
}

int server_run(const struct server_config *c, struct err *e)
{
        struct server *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->config = c;
        s->out.fd = c->fd;
        int r = run(s, e);
        server_done(s);
        free(s);
        return r;
}
