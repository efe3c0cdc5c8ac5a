#include "cli/scopes.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"
#include "workflow/value.h"

/* Where an event does not say which branch is the default one: there is at most one of these. */
static const char *const default_branches[] = {"main", "master"};

static int add(struct strv *ret, char *scope, struct err *e)
{
        AUTO(auto_free) char *text = scope;
        if (!text)
                return err_nomem(e);
        return !cache_scope_is_valid(text) || strv_has(ret, text) ? 0 : strv_add(ret, text, e);
}

static int add_branch(struct strv *ret, const char *name, struct err *e)
{
        return name && *name ? add(ret, str_printf("refs/heads/%s", name), e) : 0;
}

/* refs/pull/N/merge as it is; of a branch that is run as a pull request: refs/pull/NAME/merge. */
static char *pull_scope(const char *ref)
{
        const char *branch = str_starts(ref, "refs/heads/") ? ref + strlen("refs/heads/") : NULL;
        return branch ? str_printf("refs/pull/%s/merge", branch) : str_dup(ref);
}

int scopes_of(const struct value *github, struct strv *ret, struct err *e)
{
        const char *event = value_get_str(github, "event_name"), *ref = value_get_str(github, "ref");
        const struct value *repository = value_get(value_get(github, "event"), "repository");
        const char *branch = value_get_str(repository, "default_branch");
        bool is_pull = str_eq(event, "pull_request");
        int r = add(ret, is_pull ? pull_scope(ref ? ref : "") : str_dup(ref ? ref : ""), e);
        if (r == 0 && ret->n == 0)
                return SCOPES_E_NONE;
        if (r == 0 && is_pull)
                r = add_branch(ret, value_get_str(github, "base_ref"), e);
        for (size_t i = 0; r == 0 && !branch && i < ARRAY_SIZE(default_branches); i++)
                r = add_branch(ret, default_branches[i], e);
        return r < 0 ? r : add_branch(ret, branch, e);
}
