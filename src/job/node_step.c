/* A JavaScript action: node runs its main file, before that its pre file when the action is of another repository, and
 * at the end of the job its post file.
 *
 * Whatever version the action asks for, it gets the image's; that is said when it is another major version, which is
 * asked of node once per job. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "job/action_step.h"
#include "job/context.h"
#include "job/egress.h"
#include "job/job_priv.h"
#include "job/loaded.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/scope.h"
#include "job/sequence.h"
#include "job/spec.h"
#include "job/texts.h"
#include "job/view.h"
#include "workflow/action.h"

/* INPUT_NAME: upper case, blanks become '_'. */
static int put_input(struct map *m, const char *name, const char *value, struct err *e)
{
        AUTO(auto_free) char *variable = str_printf("INPUT_%s", name);
        if (!variable)
                return err_nomem(e);
        for (char *p = variable; *p; p++)
                *p = *p == ' ' ? '_' : (char)toupper((unsigned char)*p);
        return strchr(variable, '=') ? 0 : texts_set(m, variable, value, e);
}

static int put_state(struct map *m, const char *name, const char *value, struct err *e)
{
        AUTO(auto_free) char *variable = str_printf("STATE_%s", name);
        if (!variable)
                return err_nomem(e);
        return strchr(variable, '=') ? 0 : texts_set(m, variable, value, e);
}

static int make_variables(struct step *s, struct err *e)
{
        int r = texts_new(&s->more, e);
        for (size_t i = 0; r == 0 && i < map_count(s->with); i++)
                r = put_input(s->more, map_key_at(s->with, i), map_value_at(s->with, i), e);
        for (size_t i = 0; r == 0 && i < map_count(s->saved); i++)
                r = put_state(s->more, map_key_at(s->saved, i), map_value_at(s->saved, i), e);
        return r < 0 ? r : egress_variables(s->job->egress, s->more, e);
}

static int make_command(struct step *s, struct err *e)
{
        const struct action *a = loaded_action(s->loaded);
        const char *file = s->part == STEP_PRE ? a->pre.text : s->part == STEP_POST ? a->post.text : a->main.text;
        int r = strv_add(&s->argv, s->job->programs.node, e);
        if (r == 0)
                r = strv_addf(&s->argv, e, "%s/%s", loaded_place(s->loaded)->path, file);
        s->folder = str_dup(context_workspace(s->job->context));
        return r < 0 || s->folder ? r : err_nomem(e);
}

/* ---- the version ---- */

static int note_version(struct step *s, struct err *e)
{
        const char *using = loaded_action(s->loaded)->using.text;
        uint64_t wanted = 0;
        unsigned has = s->job->node_major;
        if (s->part == STEP_POST || !has || num_u64(using + strlen("node"), 1, 999, "using", &wanted, NULL) < 0 ||
            wanted == has)
                return 0;
        return output_note(s->output, e, "The action asks for %s; it runs with node %u of the image.", using, has);
}

static int begin(struct step *s, struct err *e)
{
        int r = s->cancelled || s->timed_out ? err_set(e, ERR_RUN_FAILED, "the step was interrupted") : 0;
        if (r == 0)
                r = note_version(s, e);
        if (r == 0)
                r = view_set_action(s->view, loaded_place(s->loaded), e);
        if (r == 0)
                r = make_variables(s, e);
        if (r == 0)
                r = make_command(s, e);
        if (r == 0)
                step_post(s, STEP_EV_CHOSE_PROCESS);
        return r;
}

/* "v18.19.0"; what is something else is not known. */
static int on_version(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct step *s = user;
        unsigned major = 0;
        (void)e;
        if (is_err || s->job->node_major || len < 2 || data[0] != 'v')
                return 0;
        for (size_t i = 1; i < len && isdigit(data[i]) && major < 1000; i++)
                major = major * 10 + (unsigned)(data[i] - '0');
        s->job->node_major = major;
        return 0;
}

static int on_asked(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct step *s = user;
        (void)x;
        (void)refusal;
        s->job->node_asked = true;
        return step_try(s, begin(s, e), e);
}

static int ask_version(struct step *s, struct err *e)
{
        static const struct exec_fns fns = {.output = on_version, .done = on_asked};
        struct strv argv = STRV_INIT, env = STRV_INIT;
        struct op *unused = NULL;
        char group[32];
        snprintf(group, sizeof(group), "node-%d", s->index);
        int r = strv_add(&argv, s->job->programs.node, e);
        if (r == 0)
                r = strv_add(&argv, "--version", e);
        if (r == 0)
                r = op_exec(s->job->ops, &(struct exec){.argv = &argv, .env = &env, .cwd = "/", .step = group}, &fns, s,
                            &unused, e);
        strv_done(&argv);
        strv_done(&env);
        return r;
}

/* ---- parts ---- */

/* In the words of GitHub's runner, which runs `pre` before all steps, when the repository is not there yet. */
static int warn_pre(struct step *s, struct err *e)
{
        AUTO(auto_free)
        char *text = str_printf("`pre` execution is not supported for local action from '%s'", s->spec->uses);
        return text ? output_annotate(s->output, "warning", NULL, text, e) : err_nomem(e);
}

/* A step of its own, before the main part goes on. */
static int run_pre(struct step *s, struct err *e)
{
        struct step *pre = NULL;
        int r = step_new(s->job, s->scope, s->spec, (int)s->job->next_index++, &pre, e);
        if (r < 0)
                return r;
        pre->vars = s->vars;
        pre->parent = s;
        pre->part = STEP_PRE;
        pre->part_of = s->index;
        pre->loaded = loaded_ref(s->loaded);
        pre->within = s->within ? loaded_ref(s->within) : NULL;
        pre->name = str_printf("Pre %s", s->name);
        pre->action = str_dup(s->action);
        sequence_begin(pre);
        return pre->name && pre->action ? 0 : err_nomem(e);
}

static int go_on(struct step *s, struct err *e)
{
        if (s->failed)
                return step_finish(s, STEP_FAILURE, e);
        return step_try(s, s->job->node_asked ? begin(s, e) : ask_version(s, e), e);
}

int node_step_pre_over(struct step *pre, struct err *e)
{
        struct step *s = pre->parent;
        int r = texts_add(s->saved, pre->saved, e);
        return r < 0 ? r : go_on(s, e);
}

int node_step_begin(struct step *s, struct err *e)
{
        const struct action *a = loaded_action(s->loaded);
        int r = 0;
        if (!s->job->programs.node)
                return err_set(e, ERR_RUN_FAILED, "uses: %s: the image has no node", s->spec->uses);
        if (s->part != STEP_MAIN)
                return go_on(s, e);
        s->wants_post = a->post.text;
        if (a->pre.text && loaded_place(s->loaded)->repository)
                return run_pre(s, e);
        if (a->pre.text)
                r = warn_pre(s, e);
        return r < 0 ? r : go_on(s, e);
}
