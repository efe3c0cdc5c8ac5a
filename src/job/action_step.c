/* A step that `uses` an action which is not built in: where its files are, its action.yml, its inputs, and what it is.
 *
 *   fetch (another repository) -> read action.yml or action.yaml -> inputs -> composite: its steps (composite.c)
 *                                                                   node: its process (node_step.c)
 *
 * The file comes through the door, at most 1 MiB, and only a regular one counts. */
#include "job/action_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "job/action_fetch.h"
#include "job/context.h"
#include "job/guest_file.h"
#include "job/hash_files.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/loaded.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/scope.h"
#include "job/spec.h"
#include "job/texts.h"
#include "wire/guest.h"
#include "workflow/action.h"

/* ---- inputs ---- */

static int warn(struct step *s, char *text /* taken */, struct err *e)
{
        AUTO(auto_free) char *mine = text;
        return mine ? output_annotate(s->output, "warning", NULL, mine, e) : err_nomem(e);
}

/* Inputs that the action does not have go through all the same, as at GitHub. */
static int warn_unexpected(struct step *s, const struct action *a, struct err *e)
{
        AUTO(auto_free) const char **names = calloc(a->n_inputs + 1, sizeof(*names));
        if (!names)
                return err_nomem(e);
        for (size_t i = 0; i < a->n_inputs; i++)
                names[i] = a->inputs[i].name.text;
        return inputs_warn_unexpected(s, names, a->n_inputs, e);
}

static int warn_input(struct step *s, const struct action_input *in, bool given, struct err *e)
{
        const char *name = in->name.text;
        if (given && in->deprecation.text)
                return warn(s,
                            str_printf("Input '%s' has been deprecated with message: %s", name, in->deprecation.text),
                            e);
        if (!given && in->required && !in->default_value.text)
                return warn(s, str_printf("Input '%s' is required by the action and was not given", name), e);
        return 0;
}

static int warn_inputs(struct step *s, struct err *e)
{
        const struct action *a = loaded_action(s->loaded);
        int r = warn_unexpected(s, a, e);
        for (size_t i = 0; r == 0 && i < a->n_inputs; i++)
                r = warn_input(s, &a->inputs[i], inputs_given(s, a->inputs[i].name.text), e);
        return r;
}

/* The defaults of what was not given. */
static int complete_inputs(struct step *s, const struct action *a, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < a->n_inputs; i++) {
                const struct action_input *in = &a->inputs[i];
                char *value = NULL;
                if (inputs_given(s, in->name.text))
                        continue;
                r = step_text(s, in->default_value.text ? in->default_value.text : "", in->name.text, &value, e);
                if (r == 0)
                        r = texts_take(s->with, in->name.text, value, e);
        }
        return r;
}

/* ---- what it is ---- */

static int choose(struct step *s, struct err *e);

static int choose_again(struct step *s, struct err *e)
{
        return step_try(s, choose(s, e), e);
}

static int choose(struct step *s, struct err *e)
{
        const struct action *a = loaded_action(s->loaded);
        int r = complete_inputs(s, a, e);
        if (r < 0 && hash_files_wanted(s) && e->code == ERR_RUN_FAILED)
                return hash_files_resolve(s, choose_again, e);
        if (r < 0)
                return r;
        switch (a->kind) {
        case ACTION_COMPOSITE:
                return composite_begin(s, e);
        case ACTION_NODE:
                return node_step_begin(s, e);
        case ACTION_DOCKER:
                return err_set(e, ERR_RUN_FAILED,
                               "uses: %s: a Docker action cannot run in a microVM; install the tool in the image or in "
                               "a step, and call it with `run`",
                               s->spec->uses);
        }
        return 0;
}

/* ---- its file ---- */

static bool is_local(const struct step *s)
{
        return str_starts(s->spec->uses, "./");
}

static const char *const file_names[] = {"action.yml", "action.yaml"};

static char *path_of(const struct step *s, unsigned i)
{
        return str_printf("%s/%s", s->action_folder, file_names[i]);
}

/* The name of the file in messages: as the workspace or the mirror has it. */
static char *shown_name(const struct step *s, unsigned i)
{
        const char *uses = s->spec->uses;
        size_t n = strcspn(uses, "@");
        if (is_local(s)) {
                uses += 2;
                n -= 2;
        }
        while (n && uses[n - 1] == '/')
                n--;
        return str_printf("%.*s%s%s", (int)n, uses, n ? "/" : "", file_names[i]);
}

/* "owner/repo" of "owner/repo/path@ref". */
static char *repository_of(const char *uses)
{
        size_t owner = strcspn(uses, "/@");
        size_t n = uses[owner] == '/' ? owner + 1 + strcspn(uses + owner + 1, "/@") : owner;
        return str_ndup(uses, n);
}

static int use_file(struct step *s, unsigned i, const struct field *data, struct err *e)
{
        const char *at = strchr(s->spec->uses, '@');
        AUTO(auto_free) char *name = shown_name(s, i);
        AUTO(auto_free) char *repository = is_local(s) ? NULL : repository_of(s->spec->uses);
        if (!name || (!is_local(s) && !repository))
                return err_nomem(e);
        const struct scope_action what = {s->action_folder, repository, repository && at ? at + 1 : NULL};
        return loaded_new(&what, name, data->value, data->len, &s->job->loaded_bytes, &s->loaded, e);
}

/* The first of the two that is there decides. */
static int on_file(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct step *s = user;
        AUTO(auto_free) char *path = path_of(s, i);
        const struct field *data;
        const char *kind;
        int r = path ? guest_file_take(list, path, &kind, &data, e) : err_nomem(e);
        if (r < 0 || s->loaded || s->reason.code != ERR_SUCCESS || strcmp(kind, "missing") == 0)
                return r;
        if (data)
                r = use_file(s, i, data, e);
        else
                r = err_set(e, ERR_RUN_FAILED, "uses: %s: %s: %s", s->spec->uses, file_names[i],
                            guest_file_problem(kind));
        if (r < 0 && e->code == ERR_RUN_FAILED) {
                s->reason = *e;
                return 0;
        }
        return r;
}

static int judge(struct step *s, const char *refusal, struct err *e)
{
        if (s->cancelled || s->timed_out)
                return err_set(e, ERR_RUN_FAILED, "the step was interrupted");
        if (refusal)
                return err_set(e, ERR_RUN_FAILED, "uses: %s: %s", s->spec->uses, refusal);
        if (s->reason.code != ERR_SUCCESS) {
                *e = s->reason;
                return -1;
        }
        if (s->loaded) {
                int r = warn_inputs(s, e);
                return r < 0 ? r : choose(s, e);
        }
        return err_set(e, ERR_RUN_FAILED, "uses: %s: there is no action.yml and no action.yaml%s", s->spec->uses,
                       is_local(s) ? "; does actions/checkout come before?" : "");
}

static int on_read(const char *refusal, void *user, struct err *e)
{
        struct step *s = user;
        return step_try(s, judge(s, refusal, e), e);
}

static int read_files(struct step *s, struct err *e)
{
        AUTO(auto_free) char *yml = path_of(s, 0);
        AUTO(auto_free) char *yaml = path_of(s, 1);
        const char *const paths[] = {yml, yaml};
        if (!yml || !yaml)
                return err_nomem(e);
        return op_read(s->job->ops, paths, ARRAY_SIZE(paths), on_file, on_read, s, e);
}

/* ---- where it is ---- */

/* "./a//b/./" below the workspace; nothing may lead out of it. */
static int local_folder(struct step *s, struct err *e)
{
        struct buf b = BUF_INIT;
        int r = buf_append_str(&b, context_workspace(s->job->context), e);
        for (const char *p = s->spec->uses; r == 0 && *p;) {
                size_t n = strcspn(p, "/");
                if (n == 2 && p[0] == '.' && p[1] == '.')
                        r = err_set(e, ERR_RUN_FAILED, "uses: %s: an action of the repository lies below it",
                                    s->spec->uses);
                else if (n && !(n == 1 && p[0] == '.'))
                        r = buf_printf(&b, e, "/%.*s", (int)n, p);
                p += n + (p[n] == '/');
        }
        if (r == 0 && b.len > SPEC_MAX_PATH)
                r = err_set(e, ERR_RUN_FAILED, "uses: a path of more than %u bytes", SPEC_MAX_PATH);
        s->action_folder = r == 0 ? buf_take_str(&b) : NULL;
        buf_done(&b);
        return r < 0 || s->action_folder ? r : err_nomem(e);
}

static int on_fetched(struct step *s, const char *folder, const char *refusal, struct err *e)
{
        if (refusal)
                return step_try(s, err_set(e, ERR_RUN_FAILED, "uses: %s: %s", s->spec->uses, refusal), e);
        s->action_folder = str_dup(folder);
        return s->action_folder ? step_try(s, read_files(s, e), e) : err_nomem(e);
}

static int start(struct step *s, struct err *e)
{
        if (s->loaded) /* a post part has what its main part read */
                return choose(s, e);
        if (scope_depth(s->scope) >= SCOPE_MAX_DEPTH)
                return err_set(e, ERR_RUN_FAILED, "uses: %s: actions are nested deeper than %u", s->spec->uses,
                               SCOPE_MAX_DEPTH);
        if (!is_local(s))
                return action_fetch(s, on_fetched, e);
        int r = local_folder(s, e);
        return r < 0 ? r : read_files(s, e);
}

int action_step_start(struct step *s, struct err *e)
{
        return step_try(s, start(s, e), e);
}
