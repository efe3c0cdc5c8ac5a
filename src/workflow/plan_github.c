/* The `github` context. */
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "workflow/plan.h"

static const char *after(const char *s, const char *prefix)
{
        return s && str_starts(s, prefix) ? s + strlen(prefix) : NULL;
}

/* "main" of refs/heads/main, "v1" of refs/tags/v1, "7/merge" of refs/pull/7/merge. */
static const char *ref_name(const char *ref)
{
        static const char *const prefixes[] = {"refs/heads/", "refs/tags/", "refs/pull/"};
        for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
                if (after(ref, prefixes[i]))
                        return after(ref, prefixes[i]);
        return ref;
}

static const char *ref_type(const char *ref)
{
        if (!ref)
                return NULL;
        return after(ref, "refs/tags/") ? "tag" : "branch";
}

static int set_owner(struct value *o, const char *repository, struct err *e)
{
        const char *slash = repository ? strchr(repository, '/') : NULL;
        AUTO(value_unrefp) struct value *owner = NULL;
        if (!slash)
                return value_set_str(o, "repository_owner", NULL, e);
        int r = value_string(repository, (size_t)(slash - repository), &owner, e);
        return r < 0 ? r : value_set(o, "repository_owner", owner, e);
}

static int set_event(struct value *o, struct value *event, struct err *e)
{
        AUTO(value_unrefp) struct value *none = NULL;
        if (event)
                return value_set(o, "event", event, e);
        int r = value_object(&none, e);
        return r < 0 ? r : value_set(o, "event", none, e);
}

static int set_strings(const struct plan_github *f, struct value *o, struct err *e)
{
        const struct {
                const char *key, *value;
        } members[] = {
                {"token", ""},
                {"job", f->job},
                {"ref", f->ref},
                {"sha", f->sha},
                {"repository", f->repository},
                {"repository_id", f->repository_id},
                {"repositoryUrl", f->repository_url},
                {"repository_owner_id", f->repository_owner_id},
                {"run_id", f->run_id},
                {"run_number", f->run_number},
                {"run_attempt", f->run_attempt},
                {"retention_days", "90"},
                {"actor", f->actor},
                {"actor_id", f->actor_id},
                {"triggering_actor", f->triggering_actor ? f->triggering_actor : f->actor},
                {"workflow", f->workflow},
                {"workflow_ref", f->workflow_ref},
                {"workflow_sha", f->workflow_sha},
                {"head_ref", f->head_ref ? f->head_ref : ""},
                {"base_ref", f->base_ref ? f->base_ref : ""},
                {"event_name", f->event_name},
                {"server_url", f->server_url},
                {"api_url", f->api_url},
                {"graphql_url", f->graphql_url},
                {"ref_name", ref_name(f->ref)},
                {"ref_type", ref_type(f->ref)},
                {"secret_source", "None"},
                {"workspace", f->workspace},
        };
        int r = 0;
        for (size_t i = 0; r == 0 && i < sizeof(members) / sizeof(members[0]); i++)
                r = value_set_str(o, members[i].key, members[i].value, e);
        return r;
}

int plan_github_context(const struct plan_github *facts, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *o = NULL;
        int r = value_object(&o, e);
        if (r == 0)
                r = set_strings(facts, o, e);
        if (r == 0)
                r = set_owner(o, facts->repository, e);
        if (r == 0)
                r = value_set_bool(o, "ref_protected", false, e);
        if (r == 0)
                r = set_event(o, facts->event, e);
        if (r == 0)
                *ret = TAKE_PTR(o);
        return r;
}
