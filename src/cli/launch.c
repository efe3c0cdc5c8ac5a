#include "cli/launch.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "cli/changed.h"
#include "cli/command.h"
#include "cli/problems.h"
#include "cli/repofile.h"
#include "codec/diag.h"
#include "workflow/library.h"
#include "workflow/value.h"

int launch_options(const struct args *a, struct launch_options *ret, struct err *e)
{
        const char *dir = args_get(a, "dir"), *event = args_get(a, "event");

        *ret = (struct launch_options){
                .dir = dir ? dir : ".",
                .workflow = args_get(a, "workflow"),
                .job = args_get(a, "job"),
                .event = event                  ? event
                         : args_has(a, "input") ? "workflow_dispatch"
                                                : "push",
                .event_file = args_get(a, "event-file"),
                .var_file = args_get(a, "var-file"),
                .actions = args_get(a, "actions"),
                .args = a,
        };
        return profile_choice_parse(a, &ret->profile, e);
}

const char *launch_top(const struct launch *l)
{
        return l->place.top ? l->place.top : l->place.gitdir ? l->place.gitdir : l->o.dir;
}

const char *launch_ref(const struct launch *l)
{
        return l->event.ref ? l->event.ref : l->facts.ref;
}

static int read_payload(struct launch *l, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        const char *path = l->o.event_file;

        if (!path)
                return 0;
        int r = fs_read(path, EVENT_MAX_FILE, &text, e);
        if (r == FS_E_MISSING)
                r = err_set(e, ERR_USAGE, "--event-file: there is no file '%s'", path);
        if (r == 0 && (r = value_parse_json((const char *)text.data, text.len, NULL, &l->payload, e)) < 0)
                r = err_wrap(e, r, "%s", path);
        if (r == 0 && value_kind(l->payload) != VALUE_OBJECT)
                return err_set(e, ERR_USAGE, "%s: expected the event's payload, a JSON object", path);
        return r;
}

/* `inputs` of the payload, and NAME=VALUE of --input: texts, as a payload has them. */
static int read_inputs(struct launch *l, struct err *e)
{
        const struct value *given = value_get(l->payload, "inputs");
        int r = value_copy(given, &l->inputs, e);

        if (r == 0 && given && value_kind(given) != VALUE_OBJECT && value_kind(given) != VALUE_NULL)
                return err_set(e, ERR_USAGE, "%s: `inputs` of the payload are no object", l->o.event_file);
        for (size_t i = 0; r == 0; i++) {
                const char *pair = args_get_nth(l->o.args, "input", i), *equals = pair ? strchr(pair, '=') : NULL;

                if (!pair)
                        break;
                if (!equals || equals == pair)
                        return err_set(e, ERR_USAGE, "--input: expected NAME=VALUE, found '%s'", pair);
                AUTO(auto_free) char *name = str_ndup(pair, (size_t)(equals - pair));
                r = name ? value_set_str(l->inputs, name, equals + 1, e) : err_nomem(e);
        }
        return r;
}

/* The command line goes before the file. */
static int read_vars(struct launch *l, struct err *e)
{
        const char *pair;
        int r = vars_init(&l->vars, e);

        if (r == 0 && l->o.var_file)
                r = vars_read(&l->vars, l->o.var_file, e);
        for (size_t i = 0; r == 0 && (pair = args_get_nth(l->o.args, "var", i)); i++)
                if ((r = vars_add(&l->vars, pair, e)) < 0)
                        return err_wrap(e, r, "--var");
        return r;
}

static int set_text(char **to, const char *text, struct err *e)
{
        free(*to);
        *to = str_dup(text);
        return *to ? 0 : err_nomem(e);
}

/* A file that stands alone has no branch and no commit but those of the payload. */
static int know_nothing(struct facts *f, struct err *e)
{
        int r = set_text(&f->repository, "local/repository", e);

        if (r == 0)
                r = set_text(&f->name, "repository", e);
        if (r == 0)
                r = set_text(&f->ref, "", e);
        return r < 0 ? r : set_text(&f->workspace, "/home/runner/work/repository/repository", e);
}

static int read_facts(struct launch *l, struct err *e)
{
        struct err why = ERR_INIT;

        if (source_place_find(l->o.dir, &l->place, &why) == 0 &&
            facts_read(l->store.state, &l->place, &l->facts, &why) == 0)
                return 0;
        if (!l->o.workflow || !l->o.anywhere)
                return err_set(e, why.code, "%s", why.msg);
        if (l->place.gitdir)
                log_warning("branch and commit are unknown: %s", why.msg);
        return know_nothing(&l->facts, e);
}

static int read_called(void *user, const char *path, struct buf *ret, struct err *e)
{
        return repofile_read(launch_top(user), path, ret, e);
}

static void find_changed(void *user, struct workflow_trigger *trigger)
{
        struct launch *l = user;
        struct workflow_trigger found;

        changed_find(l->store.state, &l->place, &l->event);
        event_trigger(&l->event, &found);
        trigger->paths = found.paths;
        trigger->n_paths = found.n_paths;
}

/* The command line goes before the profile. */
static int find_files(struct launch *l, struct selection_event *event, struct err *e)
{
        const struct profile *p = l->profile.profile;
        const bool profiles = !l->o.workflow && p && p->workflow.text;
        const struct selection_want want = {profiles ? p->workflow.text : l->o.workflow, profiles};
        int r = select_workflows(launch_top(l), &want, event, &l->selection, e);

        return r < 0 && profiles ? profile_file_blame(&l->profile, &p->workflow.pos, "workflow", r, e) : r;
}

static int find_workflows(struct launch *l, struct err *e)
{
        struct selection_event event = {.changed = find_changed, .user = l};

        event_trigger(&l->event, &event.trigger);
        if (!event.trigger.ref && strcmp(l->o.event, "push") == 0 && *l->facts.ref)
                event.trigger.ref = l->facts.ref;
        int r = find_files(l, &event, e);
        if (r == 0 && l->o.job)
                r = selection_keep_job(&l->selection, l->o.job, e);
        if (r < 0)
                return r;
        l->workflows = calloc(l->selection.n, sizeof(*l->workflows));
        if (!l->workflows)
                return err_nomem(e);
        for (size_t i = 0; i < l->selection.n; i++) {
                l->workflows[i].file = &l->selection.v[i];
                workflow_selects(l->selection.v[i].workflow, &event.trigger, &l->workflows[i].unselected);
        }
        return 0;
}

int launch_init(struct launch *l, const struct launch_options *o, struct err *e)
{
        *l = (struct launch){.o = *o, .actions = ACTIONS_INIT, .profile = PROFILE_FILE_INIT};
        return image_store_init(&l->store, NULL, e);
}

int launch_find(struct launch *l, struct err *e)
{
        const struct library_source source = {read_called, l};

        int r = read_payload(l, e);
        if (r == 0)
                r = read_inputs(l, e);
        if (r == 0)
                r = read_vars(l, e);
        if (r == 0)
                r = read_facts(l, e);
        if (r == 0)
                r = profile_file_load(l->place.top, &l->o.profile, &l->profile, e);
        if (r == 0)
                r = event_read(l->o.event, l->payload, &l->event, e);
        if (r == 0)
                r = library_new(&source, &l->library, e);
        if (r == 0)
                r = find_workflows(l, e);
        return r < 0 ? r : actions_open(l->store.state, l->o.actions, &l->actions, e);
}

static int make_contexts(struct launch *l, struct launch_workflow *w, const char *run, struct err *e)
{
        const struct workflow *workflow = w->file->workflow;
        struct facts_event about = {.event = &l->event, .payload = l->payload, .workflow = workflow, .run = run};

        AUTO(value_unrefp) struct value *vars = NULL;
        int r = vars_of(&l->vars, NULL, &vars, e);

        about.vars = vars;
        if (r == 0)
                r = facts_contexts(&l->facts, &about, &w->contexts, e);
        if (r == 0)
                r = value_set(w->contexts, "vars", vars, e);
        return r < 0 ? r : facts_inputs(w->contexts, workflow, l->o.event, l->inputs, e);
}

static int plan_one(struct launch *l, struct launch_workflow *w, const char *run, struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct plan_options options = {.job = l->o.job,
                                       .library = l->library,
                                       .source = w->file->text,
                                       .len = w->file->len,
                                       .action = actions_check,
                                       .action_user = &l->actions};

        int r = make_contexts(l, w, run, e);
        if (r == 0)
                r = diag_new(w->file->file, &problems, e);
        options.contexts = w->contexts;
        if (r == 0)
                r = plan_new(w->file->workflow, &options, problems, &w->plan, e);
        if (r < 0)
                return r;
        bool refused = r == PLAN_E_REFUSED;
        r = problems_report(problems, w->file->text, w->file->len, e);
        return r == 0 && refused ? diag_to_err(problems, e) : r;
}

int launch_plan(struct launch *l, const char *run, struct err *e)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < l->selection.n; i++)
                r = plan_one(l, &l->workflows[i], run, e);
        actions_end_asking(&l->actions);
        return r;
}

void launch_done(struct launch *l)
{
        for (size_t i = 0; l->workflows && i < l->selection.n; i++) {
                plan_free(l->workflows[i].plan);
                value_unref(l->workflows[i].contexts);
        }
        free(l->workflows);
        library_free(l->library);
        selection_done(&l->selection);
        event_done(&l->event);
        vars_done(&l->vars);
        value_unref(l->inputs);
        value_unref(l->payload);
        facts_done(&l->facts);
        actions_done(&l->actions);
        profile_file_done(&l->profile);
        source_place_done(&l->place);
        image_store_done(&l->store);
}
