#include "cli/facts.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/gitask.h"
#include "workflow/event.h"
#include "workflow/plan.h"
#include "workflow/value.h"

#define WORK_FOLDER "/home/runner/work"

void facts_done(struct facts *f)
{
        source_facts_done(&f->git);
        free(f->repository);
        free(f->name);
        free(f->ref);
        free(f->workspace);
        *f = (struct facts){0};
}

static const char *last_component(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* Foreign text to a folder's name: other characters become '-'. */
static char *safe_name(const char *text, size_t len)
{
        char *name = str_ndup(text, len < 100 ? len : 100);

        for (char *c = name; c && *c; c++)
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *c))
                        *c = '-';
        if (name && (name[0] == '.' || name[0] == '-'))
                name[0] = '_';
        if (name && !*name) {
                free(name);
                return str_dup("repository");
        }
        return name;
}

/* "https://host/owner/name.git" and "git@host:owner/name" give owner and name; otherwise local/FOLDER. */
static int name_repository(struct facts *f, const char *top, struct err *e)
{
        const char *url = f->git.remote_url ? f->git.remote_url : "";
        size_t len = strlen(url);

        while (len > 0 && url[len - 1] == '/')
                len--;
        if (len > 4 && strncmp(url + len - 4, ".git", 4) == 0)
                len -= 4;
        size_t name = len;
        while (name > 0 && !strchr("/:", url[name - 1]))
                name--;
        size_t owner = name > 0 ? name - 1 : 0;
        while (owner > 0 && !strchr("/:@", url[owner - 1]))
                owner--;
        bool usable = name > 1 && owner + 1 < name && name < len;
        AUTO(auto_free) char *owner_name = usable ? safe_name(url + owner, name - 1 - owner) : str_dup("local");
        const char *folder = last_component(top);
        f->name = usable ? safe_name(url + name, len - name) : safe_name(folder, strlen(folder));
        if (!owner_name || !f->name)
                return err_nomem(e);
        f->repository = str_printf("%s/%s", owner_name, f->name);
        f->workspace = str_printf(WORK_FOLDER "/%s/%s", f->name, f->name);
        return f->repository && f->workspace ? 0 : err_nomem(e);
}

static int ask_git(const char *state, const struct source_place *place, struct source_facts_own *ret, struct err *e)
{
        struct gitask git = GITASK_INIT;
        int r = gitask_open(state, place, &git, e);

        if (r == 0)
                r = source_asker_facts(git.asker, ret, e);
        gitask_done(&git);
        return r;
}

int facts_read(const char *state, const struct source_place *place, struct facts *ret, struct err *e)
{
        *ret = (struct facts){0};
        int r = ask_git(state, place, &ret->git, e);

        if (r == 0)
                r = name_repository(ret, place->top ? place->top : place->gitdir, e);
        if (r == 0) {
                if (*ret->git.branch)
                        ret->ref = str_printf("refs/heads/%s", ret->git.branch);
                else
                        ret->ref = *ret->git.tag ? str_printf("refs/tags/%s", ret->git.tag) : str_dup("");
                if (!ret->ref)
                        r = err_nomem(e);
        }
        if (r < 0)
                facts_done(ret);
        return r;
}

/* An object of texts; a text that is NULL is left out. */
struct text_member {
        const char *key, *text;
};

static int set_texts(struct value *to, const char *key, const struct text_member *members, size_t n, struct err *e)
{
        AUTO(value_unrefp) struct value *o = NULL;
        int r = value_object(&o, e);

        for (size_t i = 0; r == 0 && i < n; i++)
                if (members[i].text)
                        r = value_set_str(o, members[i].key, members[i].text, e);
        return r < 0 ? r : value_set(to, key, o, e);
}

static const char *user_name(void)
{
        const struct passwd *p = getpwuid(getuid());

        return p && p->pw_name ? p->pw_name : "unknown";
}

static int add_repository(const struct facts *f, struct value *event, struct err *e)
{
        AUTO(value_unrefp) struct value *repository = NULL;
        AUTO(auto_free) char *owner = str_ndup(f->repository, strcspn(f->repository, "/"));
        const struct text_member members[] = {{"login", owner}, {"name", owner}};
        int r = owner ? value_object(&repository, e) : err_nomem(e);

        if (r == 0)
                r = value_set_str(repository, "full_name", f->repository, e);
        if (r == 0)
                r = value_set_str(repository, "name", f->name, e);
        if (r == 0)
                r = set_texts(repository, "owner", members, ARRAY_SIZE(members), e);
        return r < 0 ? r : value_set(event, "repository", repository, e);
}

static int add_commit(const struct facts *f, struct value *event, struct err *e)
{
        AUTO(value_unrefp) struct value *commit = NULL;
        const struct text_member author[] = {{"name", f->git.author_name}, {"email", f->git.author_email}};
        const struct text_member committer[] = {{"name", f->git.committer_name}, {"email", f->git.committer_email}};
        int r = value_object(&commit, e);

        if (r == 0)
                r = value_set_str(commit, "id", f->git.commit, e);
        if (r == 0)
                r = value_set_str(commit, "message", f->git.subject, e);
        if (r == 0)
                r = value_set_str(commit, "timestamp", f->git.author_date, e);
        if (r == 0)
                r = set_texts(commit, "author", author, ARRAY_SIZE(author), e);
        if (r == 0)
                r = set_texts(commit, "committer", committer, ARRAY_SIZE(committer), e);
        return r < 0 ? r : value_set(event, "head_commit", commit, e);
}

/* The payload of a push, as far as it can be known here. */
static int event_payload(const struct facts *f, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *event = NULL;
        const char *user = user_name();
        const struct text_member sender[] = {{"login", user}, {"type", "User"}}, pusher[] = {{"name", user}};
        int r = value_object(&event, e);

        if (r == 0)
                r = value_set_str(event, "ref", f->ref, e);
        if (r == 0)
                r = value_set_str(event, "after", f->git.commit, e);
        if (r == 0)
                r = add_repository(f, event, e);
        if (r == 0)
                r = add_commit(f, event, e);
        if (r == 0)
                r = set_texts(event, "sender", sender, ARRAY_SIZE(sender), e);
        if (r == 0)
                r = set_texts(event, "pusher", pusher, ARRAY_SIZE(pusher), e);
        if (r == 0)
                *ret = TAKE_PTR(event);
        return r;
}

/* As at GitHub: the variable ACTIONS_STEP_DEBUG turns it on. */
static int set_debug(struct value *runner, const struct value *vars, struct err *e)
{
        const char *wanted = value_get_str(vars, "ACTIONS_STEP_DEBUG");

        return wanted && str_ieq(wanted, "true") ? value_set_str(runner, "debug", "1", e) : 0;
}

static int runner_context(const struct value *vars, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *runner = NULL;

        if (value_object(&runner, e) < 0 || value_set_str(runner, "name", "devdep", e) < 0 ||
            value_set_str(runner, "os", "Linux", e) < 0 || value_set_str(runner, "arch", "X64", e) < 0 ||
            value_set_str(runner, "temp", WORK_FOLDER "/_temp", e) < 0 ||
            value_set_str(runner, "tool_cache", "/opt/hostedtoolcache", e) < 0 ||
            value_set_str(runner, "environment", "self-hosted", e) < 0 || set_debug(runner, vars, e) < 0)
                return -1;
        *ret = TAKE_PTR(runner);
        return 0;
}

/* github.workflow: the name, or the file as it stands in the repository. */
static const char *workflow_name(const struct workflow *w)
{
        return w->name.text && *w->name.text ? w->name.text : w->file;
}

static int github_context(const struct facts *f, const struct facts_event *about, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *made = NULL;
        const struct event *ev = about->event;
        const char *ref = ev->ref ? ev->ref : f->ref, *sha = ev->sha ? ev->sha : f->git.commit;
        const char *repository = ev->repository ? ev->repository : f->repository;
        const char *actor = ev->actor ? ev->actor : user_name();
        const char *remote = f->git.remote_url && *f->git.remote_url ? f->git.remote_url : NULL;
        AUTO(auto_free) char *workflow_ref = str_printf("%s/%s@%s", repository, about->workflow->file, ref);

        if (!workflow_ref)
                return err_nomem(e);
        if (!about->payload && event_payload(f, &made, e) < 0)
                return -1;
        const struct plan_github g = {
                .event_name = ev->name,
                .event = about->payload ? about->payload : made,
                .workflow = workflow_name(about->workflow),
                .workflow_ref = workflow_ref,
                .workflow_sha = sha,
                .ref = *ref ? ref : NULL,
                .sha = sha,
                .head_ref = ev->head_ref,
                .base_ref = ev->base_ref,
                .repository = repository,
                .repository_id = ev->repository_id,
                .repository_owner_id = ev->repository_owner_id,
                .repository_url = ev->repository_url ? ev->repository_url : remote,
                .actor = actor,
                .actor_id = ev->actor_id,
                .triggering_actor = actor,
                .run_id = about->run,
                .run_number = about->run,
                .run_attempt = "1",
                .server_url = "https://github.com",
                .api_url = "https://api.github.com",
                .graphql_url = "https://api.github.com/graphql",
                .workspace = f->workspace,
        };
        return plan_github_context(&g, ret, e);
}

int facts_contexts(const struct facts *f, const struct facts_event *about, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *all = NULL, *github = NULL, *runner = NULL, *empty = NULL;

        if (github_context(f, about, &github, e) < 0 || runner_context(about->vars, &runner, e) < 0 ||
            value_object(&empty, e) < 0 || value_object(&all, e) < 0 || value_set(all, "github", github, e) < 0 ||
            value_set(all, "runner", runner, e) < 0 || value_set(all, "inputs", empty, e) < 0)
                return -1;
        *ret = TAKE_PTR(all);
        return 0;
}

/* A payload carries the inputs of a dispatch, those with defaults as well, as texts. */
static int set_event_inputs(struct value *contexts, const struct value *inputs, struct err *e)
{
        AUTO(value_unrefp) struct value *github = NULL, *event = NULL, *texts = NULL;
        int r = value_copy(value_get(contexts, "github"), &github, e);

        if (r == 0)
                r = value_copy(value_get(github, "event"), &event, e);
        if (r == 0)
                r = value_object(&texts, e);
        for (size_t i = 0; r == 0 && i < value_count(inputs); i++) {
                AUTO(auto_free) char *text = value_to_str(value_at(inputs, i));
                r = text ? value_set_str(texts, value_key_at(inputs, i), text, e) : err_nomem(e);
        }
        if (r == 0)
                r = value_set(event, "inputs", texts, e);
        if (r == 0)
                r = value_set(github, "event", event, e);
        return r < 0 ? r : value_set(contexts, "github", github, e);
}

int facts_inputs(struct value *contexts, const struct workflow *w, const char *event, const struct value *given,
                 struct err *e)
{
        AUTO(value_unrefp) struct value *inputs = NULL;
        const struct wf_event *declared = workflow_event(w, event);
        bool none = !declared || declared->n_inputs == 0;

        if (none && value_count(given) > 0)
                return err_set(e, ERR_USAGE,
                               "%s: the workflow has no input '%.100s': it declares none for the event '%s'", w->file,
                               value_key_at(given, 0), event);
        if (none)
                return 0;
        int r = event_inputs(declared, given, &inputs, e);
        if (r < 0)
                return err_wrap(e, r, "%s:%u:%u", w->file, declared->name.pos.line, declared->name.pos.column);
        if (str_eq(event, "workflow_dispatch") && set_event_inputs(contexts, inputs, e) < 0)
                return -1;
        return value_set(contexts, "inputs", inputs, e);
}
