/* Artifacts and caches of a session: its shelves, what is recorded of them, and the bounds over all runs. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "blob/shelves.h"
#include "cli/output.h"
#include "cli/render.h"
#include "cli/rundir.h"
#include "cli/scopes.h"
#include "cli/session_internal.h"
#include "codec/json.h"
#include "vm/slot.h"
#include "workflow/value.h"

int session_store_prepare(struct session *s, struct err *e)
{
        struct session_shelves *x = &s->shelves;
        int r = slot_store_uid(s->launch.store.state, &x->uid, e);

        if (r == 0)
                r = shelf_make_artifacts(s->launch.store.state, s->run_name, x->uid, &x->artifacts, e);
        if (r == 0)
                r = shelf_make_caches(s->launch.store.state, s->launch.place.common, x->uid, &x->caches,
                                      &x->caches_lock, e);
        return r;
}

void session_store_done(struct session *s)
{
        struct session_shelves *x = &s->shelves;

        free(x->artifacts);
        free(x->caches);
        x->caches_lock = fd_close(x->caches_lock);
}

int session_store_start(const struct session_job *j, struct strv *scopes, struct store_start *ret, struct err *e)
{
        const struct session *s = j->workflow->session;
        int r = scopes_of(value_get(j->workflow->launched->contexts, "github"), scopes, e);

        if (r < 0)
                return r;
        if (r == SCOPES_E_NONE)
                log_warning(
                        "the jobs have no caches: the name of the branch holds what the name of a cache's scope may "
                        "not hold");
        *ret = (struct store_start)STORE_START_INIT;
        ret->artifacts = s->shelves.artifacts;
        ret->caches = r == SCOPES_E_NONE ? NULL : s->shelves.caches;
        ret->scopes = (const char *const *)scopes->v;
        ret->n_scopes = scopes->n;
        ret->run = s->run_name;
        ret->job = j->key;
        ret->uid = ret->gid = s->shelves.uid;
        return 0;
}

static json_t *artifact_record(const struct store_entry *x)
{
        AUTO(auto_free) char *digest = str_printf("sha256:%s", x->digest);

        return !digest ? NULL
                       : json_pack("{s:s,s:I,s:s,s:I,s:I,s:I,s:s,s:I}", "name", x->name, "id", (json_int_t)x->id,
                                   "digest", digest, "bytes", (json_int_t)x->bytes, "files", (json_int_t)x->files,
                                   "content", (json_int_t)x->content, "job", x->job, "expires_ms",
                                   (json_int_t)x->expires_ms);
}

int session_store_list(const struct session *s, struct store_list *ret, struct err *e)
{
        AUTO(store_freep) struct store *store = NULL;
        int r = shelf_open_artifacts(s->launch.store.state, s->run_name, &store, e);

        *ret = (struct store_list){0};
        return r == 0 ? store_list(store, ret, e) : r < 0 ? r : 0;
}

/* From the manifests: what devdep-job says of its artifacts is not asked. */
int session_store_record(const struct session *s, struct json_t **ret, struct err *e)
{
        AUTO(json_decrefp) json_t *artifacts = json_array();
        AUTO(store_list_done) struct store_list list = {0};
        int r = artifacts ? session_store_list(s, &list, e) : err_nomem(e);

        for (size_t i = list.n; r == 0 && i-- > 0;)
                if (json_array_append_new(artifacts, artifact_record(&list.v[i])) < 0)
                        r = err_nomem(e);
        if (r == 0)
                *ret = TAKE_PTR(artifacts);
        return r;
}

int session_store_summary(const struct session *s, struct err *e)
{
        AUTO(store_list_done) struct store_list list = {0};
        int r = session_store_list(s, &list, e);

        for (size_t i = list.n; r == 0 && i-- > 0;) {
                AUTO(buf_done) struct buf name = BUF_INIT;
                char size[OUTPUT_SIZE_TEXT];

                output_size(list.v[i].bytes, size);
                r = render_plain(list.v[i].name, &name, e);
                const char *text = r == 0 ? buf_cstr(&name) : NULL;
                if (text)
                        r = render_line(s->render, e, "artifact %s  %s  sha256:%s", text, size, list.v[i].digest);
        }
        return r;
}

static bool is_kept(const char *run, void *user)
{
        AUTO(auto_free) char *path = str_printf("%s/runs/%s", (const char *)user, run);

        return !path || fs_exists(path);
}

int session_store_prune(const struct session *s, struct err *e)
{
        static const struct shelves_limits limits = SHELVES_LIMITS;
        struct shelves_pruned pruned;
        int r = shelves_prune(s->launch.store.state, &limits, is_kept, s->launch.store.state, s->run_name, &pruned, e);

        if (r == 0 && pruned.runs + pruned.caches > 0)
                log_info("removed the artifacts of %u runs and %u caches, %llu bytes", pruned.runs, pruned.caches,
                         (unsigned long long)pruned.bytes);
        return r;
}
