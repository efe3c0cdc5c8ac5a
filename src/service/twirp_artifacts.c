/* github.actions.results.api.v1.ArtifactService, as npm @actions/artifact speaks to it. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/limits.h"
#include "net/name.h"
#include "service/artifacts.h"
#include "service/twirp.h"
#include "service/twirp_priv.h"

#define PATH TWIRP_PREFIX "github.actions.results.api.v1.ArtifactService/"
#define BASE_URL "http://" NAME_RESULTS
#define TYPE_ZIP "application/zip"
#define HASH_PREFIX "sha256:"

/* A text that may be missing: then NULL. */
static int opt_text(const json_t *o, const char *key, size_t max, const char **ret, struct err *e)
{
        const json_t *value = json_object_get(o, key);
        *ret = NULL;
        return !value || json_is_null(value) ? 0 : json_get_string(o, "", key, max, ret, e);
}

/* The run that a request names is the job's own: there is no other one here. */
static int take_name(const json_t *o, const char **ret_name, struct err *e)
{
        const char *run = NULL;
        int r = opt_text(o, "workflow_run_backend_id", STORE_MAX_NAME, &run, e);
        if (r == 0 && (!run || !str_eq(run, NAME_RESULTS_RUN)))
                r = err_set(e, ERR_USAGE, "workflow_run_backend_id: a job has the artifacts of its own run");
        return r < 0 || !ret_name ? r : json_get_string(o, "", "name", STORE_MAX_NAME, ret_name, e);
}

static int missing(const char *name, struct buf *ret, unsigned *ret_status, struct err *e)
{
        char text[STORE_MAX_NAME + 64];
        snprintf(text, sizeof(text), "this run has no artifact '%s'", name);
        return twirp_refuse(404, "not_found", text, ret, ret_status, e);
}

static int conflict(struct buf *ret, unsigned *ret_status, struct err *e)
{
        return twirp_refuse(409, "already_exists", "an artifact with this name already exists on the workflow run", ret,
                            ret_status, e);
}

/* Days from now, begun ones whole. */
static int take_days(const json_t *o, uint32_t *ret, struct err *e)
{
        const char *text = NULL;
        uint64_t end = 0, now = clock_real_ms();
        int r = opt_text(o, "expires_at", CLOCK_ISO_SIZE, &text, e);
        *ret = STORE_DEFAULT_DAYS;
        if (r < 0 || !text)
                return r;
        r = clock_parse_iso(text, &end, e);
        if (r < 0)
                return err_wrap(e, r, "expires_at");
        uint64_t days = end > now ? (end - now + STORE_DAY_MS - 1) / STORE_DAY_MS : 1;
        *ret = (uint32_t)MIN(days, (uint64_t)STORE_MAX_DAYS);
        return 0;
}

static int create(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        const char *name = "", *type = NULL;
        char token[UPLOADS_TOKEN_SIZE], url[256];
        uint32_t days = 0;
        int r = take_name(o, &name, e);
        if (r == 0)
                r = opt_text(o, "mime_type", STORE_MAX_TYPE, &type, e);
        if (r == 0)
                r = take_days(o, &days, e);
        if (r == 0)
                r = artifacts_create(s->artifacts, name, !type || str_ieq(type, TYPE_ZIP) ? "" : type, days, token, e);
        if (r == ARTIFACTS_E_EXISTS)
                return conflict(ret, ret_status, e);
        if (r < 0)
                return r;
        snprintf(url, sizeof(url), BASE_URL "/uploads/%s?sig=%s", token, token);
        return twirp_answer(json_pack("{s:b,s:s}", "ok", 1, "signed_upload_url", url), ret, e);
}

static int answer_id(uint64_t id, struct buf *ret, struct err *e)
{
        char text[24];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
        return twirp_answer(json_pack("{s:b,s:s}", "ok", 1, "artifact_id", text), ret, e);
}

static int finalize(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        const char *name = "", *hash = NULL;
        uint64_t size = 0, id = 0;
        int r = take_name(o, &name, e);
        if (r == 0)
                r = twirp_take_u64(o, "size", &size, e);
        if (r == 0)
                r = opt_text(o, "hash", HASH_HEX_SIZE + strlen(HASH_PREFIX), &hash, e);
        if (r == 0 && hash && !str_starts(hash, HASH_PREFIX))
                r = err_set(e, ERR_USAGE, "hash: expected one that begins with " HASH_PREFIX);
        if (r == 0)
                r = artifacts_finalize(s->artifacts, name, size, hash ? hash + strlen(HASH_PREFIX) : NULL, &id, e);
        if (r == ARTIFACTS_E_EXISTS)
                return conflict(ret, ret_status, e);
        if (r == ARTIFACTS_E_MISSING)
                return twirp_refuse(404, "not_found", "there is no upload of this artifact", ret, ret_status, e);
        return r < 0 ? r : answer_id(id, ret, e);
}

static json_t *describe(const struct artifact *x)
{
        char id[24], size[24], created[CLOCK_ISO_SIZE], digest[sizeof(HASH_PREFIX) + HASH_HEX_SIZE];
        snprintf(id, sizeof(id), "%llu", (unsigned long long)x->entry.id);
        snprintf(size, sizeof(size), "%llu", (unsigned long long)x->bytes);
        snprintf(digest, sizeof(digest), HASH_PREFIX "%s", x->digest);
        clock_iso(x->entry.created_ms, created);
        return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "workflow_run_backend_id", NAME_RESULTS_RUN,
                         "workflow_job_run_backend_id", NAME_RESULTS_JOB, "database_id", id, "name", x->entry.name,
                         "size", size, "created_at", created, "digest", digest);
}

static int answer_list(const struct artifact_list *l, struct buf *ret, struct err *e)
{
        AUTO(json_decrefp) json_t *all = json_array();
        for (size_t i = 0; all && i < l->n; i++)
                if (json_array_append_new(all, describe(&l->v[i])) < 0)
                        return err_nomem(e);
        return twirp_answer(all ? json_pack("{s:O}", "artifacts", all) : NULL, ret, e);
}

static int list(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        AUTO(artifact_list_done) struct artifact_list l = {0};
        const char *name = NULL;
        uint64_t id = 0;
        (void)ret_status;
        int r = take_name(o, NULL, e);
        if (r == 0)
                r = opt_text(o, "name_filter", STORE_MAX_NAME, &name, e);
        if (r == 0)
                r = twirp_take_u64(o, "id_filter", &id, e);
        if (r == 0)
                r = artifacts_list(s->artifacts, name, id, &l, e);
        return r < 0 ? r : answer_list(&l, ret, e);
}

static int sign(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        AUTO(artifact_list_done) struct artifact_list l = {0};
        const char *name = "";
        char url[256];
        int r = take_name(o, &name, e);
        if (r == 0)
                r = artifacts_list(s->artifacts, name, 0, &l, e);
        if (r < 0)
                return r;
        if (l.n == 0)
                return missing(name, ret, ret_status, e);
        snprintf(url, sizeof(url), BASE_URL "/artifacts/%llu", (unsigned long long)l.v[0].entry.id);
        return twirp_answer(json_pack("{s:s}", "signed_url", url), ret, e);
}

static int delete (struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        const char *name = "";
        uint64_t id = 0;
        int r = take_name(o, &name, e);
        if (r == 0)
                r = artifacts_remove(s->artifacts, name, &id, e);
        if (r == ARTIFACTS_E_MISSING)
                return missing(name, ret, ret_status, e);
        return r < 0 ? r : answer_id(id, ret, e);
}

const struct twirp_call twirp_artifact_calls[] = {{PATH "CreateArtifact", create, "name"},
                                                  {PATH "FinalizeArtifact", finalize},
                                                  {PATH "ListArtifacts", list},
                                                  {PATH "GetSignedArtifactURL", sign},
                                                  {PATH "DeleteArtifact", delete}};
const size_t twirp_n_artifact_calls = ARRAY_SIZE(twirp_artifact_calls);
