#include "source/ask.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

struct source_asker {
        struct source_process process;
        struct loop *loop;
        struct loop_timer *timer;
        struct source *client;
        void *ret; /* of the question under way */
        int (*data)(const void *data, size_t len, void *user, struct err *e);
        void *user;
        struct err failure;
};

struct source_asker *source_asker_free(struct source_asker *a)
{
        if (!a)
                return NULL;
        source_free(a->client);
        loop_free(a->loop);
        source_process_done(&a->process);
        free(a);
        return NULL;
}

static int on_timeout(struct loop_timer *t, void *user, struct err *e)
{
        struct source_asker *a = user;
        (void)t;
        (void)e;
        err_set(&a->failure, ERR_RESOURCES, "git did not answer within %u seconds", ASK_TIMEOUT_MS / 1000);
        loop_quit(a->loop);
        return 0;
}

static int start(struct source_asker *a, const struct source_start *s, struct err *e)
{
        int r = source_start(s, &a->process, e);
        if (r == 0)
                r = loop_new(&a->loop, e);
        if (r == 0)
                r = loop_timer_new(a->loop, on_timeout, a, &a->timer, e);
        if (r == 0)
                r = source_new(a->loop, a->process.child.socket_fd, &a->client, e);
        if (r == 0)
                a->process.child.socket_fd = -1;
        return r;
}

int source_asker_new(const struct source_start *s, struct source_asker **ret, struct err *e)
{
        AUTO(source_asker_freep) struct source_asker *a = calloc(1, sizeof(*a));
        if (!a)
                return err_nomem(e);
        a->process = (struct source_process)SOURCE_PROCESS_INIT;
        int r = start(a, s, e);
        if (r == 0)
                *ret = TAKE_PTR(a);
        return r;
}

/* ---- waiting ---- */

/* The answer has come, or will not. */
static int answered(struct source_asker *a, const struct err *failure)
{
        if (failure)
                a->failure = *failure;
        loop_quit(a->loop);
        return 0;
}

/* A client that lost its process knows no reason; how it ended says more. */
static void explain(struct source_asker *a)
{
        char why[256];
        a->client = source_free(a->client);
        source_process_done(&a->process);
        if (sandbox_child_explain(&a->process.child, why, sizeof(why)))
                err_set(&a->failure, ERR_RESOURCES, "%s", why);
}

/* r: of the request that was made. */
static int wait_answer(struct source_asker *a, int r, struct err *e)
{
        a->failure = (struct err)ERR_INIT;
        loop_timer_in(a->timer, ASK_TIMEOUT_MS);
        if (r == 0)
                r = loop_run(a->loop, e);
        loop_timer_off(a->timer);
        if (r < 0 || a->failure.code == ERR_SUCCESS)
                return r;
        if (a->failure.code == ERR_RESOURCES)
                explain(a);
        *e = a->failure;
        return -1;
}

static int need_client(const struct source_asker *a, struct err *e)
{
        return a->client ? 0 : err_set(e, ERR_RESOURCES, "devdep-source ended");
}

/* ---- questions ---- */

static int keep(struct source_facts_own *to, const struct source_facts *f, struct err *e)
{
        *to = (struct source_facts_own){.commit = str_dup(f->commit),
                                        .branch = str_dup(f->branch),
                                        .tag = str_dup(f->tag),
                                        .subject = str_dup(f->subject),
                                        .author_name = str_dup(f->author_name),
                                        .author_email = str_dup(f->author_email),
                                        .author_date = str_dup(f->author_date),
                                        .committer_name = str_dup(f->committer_name),
                                        .committer_email = str_dup(f->committer_email),
                                        .remote_url = str_dup(f->remote_url),
                                        .object_format = str_dup(f->object_format),
                                        .dirty = f->dirty,
                                        .bare = f->bare,
                                        .shallow = f->shallow};
        bool whole = to->commit && to->branch && to->tag && to->subject && to->author_name && to->author_email &&
                     to->author_date && to->committer_name && to->committer_email && to->remote_url &&
                     to->object_format;
        return whole ? 0 : err_nomem(e);
}

static int on_facts(struct source *s, const struct source_facts *f, const struct err *failure, void *user,
                    struct err *e)
{
        struct source_asker *a = user;
        (void)s;
        (void)e;
        if (!failure)
                keep(a->ret, f, &a->failure);
        return answered(a, failure);
}

int source_asker_facts(struct source_asker *a, struct source_facts_own *ret, struct err *e)
{
        *ret = (struct source_facts_own){0};
        int r = need_client(a, e);
        if (r < 0)
                return r;
        a->ret = ret;
        r = wait_answer(a, source_ask_facts(a->client, on_facts, a, e), e);
        if (r < 0)
                source_facts_done(ret);
        return r;
}

void source_facts_done(struct source_facts_own *f)
{
        char *const owned[] = {f->commit,          f->branch,       f->tag,          f->subject,
                               f->author_name,     f->author_email, f->author_date,  f->committer_name,
                               f->committer_email, f->remote_url,   f->object_format};
        for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
                free(owned[i]);
        *f = (struct source_facts_own){0};
}

static int on_commit(struct source *s, const struct source_commit *c, const struct err *failure, void *user,
                     struct err *e)
{
        struct source_asker *a = user;
        char **ret = a->ret;
        (void)s;
        (void)e;
        if (!failure && !(*ret = str_dup(c->commit)))
                err_nomem(&a->failure);
        return answered(a, failure);
}

int source_asker_resolve(struct source_asker *a, const char *ref, char **ret_commit, struct err *e)
{
        int r = need_client(a, e);
        if (r < 0)
                return r;
        a->ret = ret_commit;
        return wait_answer(a, source_resolve(a->client, "", ref, on_commit, a, e), e);
}

static int on_changed(struct source *s, const struct source_changes *c, const struct err *failure, void *user,
                      struct err *e)
{
        struct source_asker *a = user;
        struct source_changes_own *ret = a->ret;
        int r = 0;
        (void)s;
        (void)e;
        if (failure)
                return answered(a, failure);
        ret->truncated = c->truncated;
        ret->commits = c->commits;
        for (size_t i = 0; r == 0 && i < c->n; i++)
                r = strv_add(&ret->paths, c->paths[i], &a->failure);
        return answered(a, NULL);
}

int source_asker_changed(struct source_asker *a, const char *base, enum source_since since, const char *head,
                         struct source_changes_own *ret, struct err *e)
{
        *ret = (struct source_changes_own){.paths = STRV_INIT};
        int r = need_client(a, e);
        if (r < 0)
                return r;
        a->ret = ret;
        r = wait_answer(a, source_changed(a->client, base, since, head, on_changed, a, e), e);
        if (r < 0)
                source_changes_done(ret);
        return r;
}

void source_changes_done(struct source_changes_own *c)
{
        strv_done(&c->paths);
}

static int on_action(struct source *s, const struct source_action *x, const struct err *failure, void *user,
                     struct err *e)
{
        struct source_asker *a = user;
        struct source_action_own *ret = a->ret;
        (void)s;
        (void)e;
        if (failure)
                return answered(a, failure);
        ret->commit = str_dup(x->commit);
        ret->file = str_dup(x->file);
        if (!ret->commit || !ret->file)
                err_nomem(&a->failure);
        else
                buf_append(&ret->manifest, x->manifest, x->manifest_len, &a->failure);
        return answered(a, NULL);
}

int source_asker_action(struct source_asker *a, const char *repository, const char *ref, const char *path,
                        struct source_action_own *ret, struct err *e)
{
        *ret = (struct source_action_own){.manifest = BUF_INIT};
        int r = need_client(a, e);
        if (r < 0)
                return r;
        a->ret = ret;
        r = wait_answer(a, source_action(a->client, repository, ref, path, on_action, a, e), e);
        if (r < 0)
                source_action_done(ret);
        return r;
}

void source_action_done(struct source_action_own *a)
{
        free(a->commit);
        free(a->file);
        buf_done(&a->manifest);
        *a = (struct source_action_own){.manifest = BUF_INIT};
}

static int on_data(struct source *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct source_asker *a = user;
        (void)s;
        loop_timer_in(a->timer, ASK_TIMEOUT_MS);
        return a->data(data, len, a->user, e);
}

static int on_done(struct source *s, const struct source_totals *t, const struct err *failure, void *user,
                   struct err *e)
{
        (void)s;
        (void)t;
        (void)e;
        return answered(user, failure);
}

int source_asker_checkout(struct source_asker *a, const struct source_checkout *c,
                          int (*fn)(const void *data, size_t len, void *user, struct err *e), void *user, struct err *e)
{
        static const struct source_stream stream = {.data = on_data, .done = on_done};
        int r = need_client(a, e);
        if (r < 0)
                return r;
        a->data = fn;
        a->user = user;
        return wait_answer(a, source_checkout(a->client, c, &stream, a, e), e);
}
