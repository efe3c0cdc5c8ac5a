#include "cli/changed.h"

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/gitask.h"
#include "workflow/event.h"

#define MAX_COMMITS 1000u /* of a push whose files are looked at; GitHub's own limit */

/* base and head: commits, branches or HEAD. */
struct range {
        const char *base, *head;
        enum source_since since;
};

static struct range range_of(const struct event *ev)
{
        static const enum source_since since[] = {
                [EVENT_BASE_COMMIT] = SOURCE_SINCE_COMMIT,
                [EVENT_BASE_FIRST] = SOURCE_SINCE_PARENT,
                [EVENT_BASE_BRANCH] = SOURCE_SINCE_FORK,
        };
        const char *head = ev->head ? ev->head : "HEAD";

        if (!ev->base)
                return (struct range){head, head, SOURCE_SINCE_PARENT};
        return (struct range){ev->base, head, since[ev->base_is]};
}

static int ask(struct source_asker *asker, const struct range *range, struct source_changes_own *ret, struct err *e)
{
        AUTO(auto_free) char *base = NULL, *head = NULL;

        int r = source_asker_resolve(asker, range->base, &base, e);
        if (r == 0)
                r = source_asker_resolve(asker, range->head, &head, e);
        return r < 0 ? r : source_asker_changed(asker, base, range->since, head, ret, e);
}

static void take(struct event *ev, struct source_changes_own *changes)
{
        strv_done(&ev->paths);
        ev->paths_known = !str_eq(ev->name, "push") || changes->commits <= MAX_COMMITS;
        ev->paths = changes->paths;
        changes->paths = (struct strv)STRV_INIT;
}

void changed_find(const char *state, const struct source_place *place, struct event *ev)
{
        struct source_changes_own changes = {.paths = STRV_INIT};
        struct gitask git = GITASK_INIT;
        struct err why = ERR_INIT;

        if (ev->paths_known && !ev->base)
                return;
        const struct range range = range_of(ev);
        int r = place->gitdir ? gitask_open(state, place, &git, &why)
                              : err_set(&why, ERR_USAGE, "there is no repository");
        if (r == 0)
                r = ask(git.asker, &range, &changes, &why);
        gitask_done(&git);
        if (r == 0)
                take(ev, &changes);
        else if (!ev->paths_known)
                log_warning("path filters pass: which files the event changed is unknown (%s)", why.msg);
        source_changes_done(&changes);
}
