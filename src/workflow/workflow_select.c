/* Does an event start a workflow? */
#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "workflow/workflow.h"

/* Patterns in order, the last one that matches decides; '!' excludes. */
static bool filter_matches(const struct wf_strs *patterns, const char *text)
{
        bool matched = false;
        for (size_t i = 0; i < patterns->n; i++) {
                const char *p = patterns->v[i].text;
                bool exclude = *p == '!';
                if (workflow_glob(exclude ? p + 1 : p, text))
                        matched = !exclude;
        }
        return matched;
}

static bool name_passes(const struct wf_strs *patterns, bool ignore, const char *name)
{
        return filter_matches(patterns, name) != ignore;
}

/* With paths: at least one changed file matches. With paths-ignore: at least one does not. */
static bool paths_pass(const struct wf_event *ev, const struct workflow_trigger *t)
{
        if (!ev->paths.n || !t->paths)
                return true;
        for (size_t i = 0; i < t->n_paths; i++)
                if (filter_matches(&ev->paths, t->paths[i]) != ev->paths_ignore)
                        return true;
        return false;
}

/* A filter for branches alone excludes all tags, and the other way round; with neither, both pass. */
static bool ref_passes(const struct wf_event *ev, const char *ref, bool *is_tag)
{
        *is_tag = ref && str_starts(ref, "refs/tags/");
        if (!ref)
                return true;
        if (*is_tag)
                return ev->tags.n ? name_passes(&ev->tags, ev->tags_ignore, ref + strlen("refs/tags/"))
                                  : !ev->branches.n;
        if (!str_starts(ref, "refs/heads/"))
                return true;
        return ev->branches.n ? name_passes(&ev->branches, ev->branches_ignore, ref + strlen("refs/heads/"))
                              : !ev->tags.n;
}

/* pull_request without `types` means these. */
static bool type_passes(const struct wf_event *ev, const char *type)
{
        static const char *const defaults[] = {"opened", "synchronize", "reopened"};
        bool pull = str_starts(ev->name.text, "pull_request") && !str_starts(ev->name.text, "pull_request_review");
        if (!type)
                return true;
        if (!ev->types.n && pull) {
                for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
                        if (str_eq(type, defaults[i]))
                                return true;
                return false;
        }
        for (size_t i = 0; i < ev->types.n; i++)
                if (str_eq(ev->types.v[i].text, type))
                        return true;
        return !ev->types.n;
}

bool workflow_asks_paths(const struct workflow *w, const struct workflow_trigger *t)
{
        bool is_tag;
        const struct wf_event *ev = workflow_event(w, t->event);
        return ev && ev->paths.n && type_passes(ev, t->type) && ref_passes(ev, t->ref, &is_tag) && !is_tag;
}

bool workflow_selects(const struct workflow *w, const struct workflow_trigger *t, const char **reason)
{
        const char *why = NULL;
        bool is_tag;
        const struct wf_event *ev = workflow_event(w, t->event);
        if (!ev)
                why = "the workflow is not triggered by this event";
        else if (!type_passes(ev, t->type))
                why = "the event's activity type is not among `types`";
        else if (!ref_passes(ev, t->ref, &is_tag))
                why = is_tag ? "the tag does not pass the filters" : "the branch does not pass the filters";
        else if (!is_tag && !paths_pass(ev, t))
                why = "no changed file passes the filters";
        if (reason)
                *reason = why;
        return why == NULL;
}
