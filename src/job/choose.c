/* The beginning of a step: its name, what it sees, its condition and settings, and what it is. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/background.h"
#include "job/builtin.h"
#include "job/hash_files.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/loaded.h"
#include "job/mask.h"
#include "job/scope.h"
#include "job/sequence.h"
#include "job/spec.h"
#include "job/step.h"
#include "job/variables.h"
#include "job/view.h"
#include "loop/loop.h"
#include "workflow/action.h"

#define MAX_NAME 512u

/* ---- names ---- */

static const char *control_name(const struct spec_step *p)
{
        return p->parallel ? "Parallel group" : p->cancel ? "Cancel" : p->wait_all ? "Wait for all" : "Wait";
}

/* The first line, as a name begins with it. Masked before it is cut: half a secret is in no mask. */
static int run_name(struct step *s, const char *text, char **ret, struct err *e)
{
        AUTO(buf_done) struct buf masked = BUF_INIT;
        int r = masks_text(s->job->config.masks, text, strlen(text), &masked, e);
        const char *line = r == 0 ? buf_cstr(&masked) : NULL;
        if (line) {
                line += strspn(line, " \t\r\n");
                *ret = str_printf("Run %.*s", (int)MIN(strcspn(line, "\r\n"), MAX_NAME), line);
        }
        return *ret ? 0 : r < 0 ? r : err_nomem(e);
}

/* What it runs, with the values of expressions as in GitHub's runner. What cannot be evaluated stays as it is written,
 * and so does hashFiles(): no files are digested for the name of a step that may be skipped. */
static int default_name(struct step *s, char **ret, struct err *e)
{
        const char *written = s->spec->run ? s->spec->run : s->spec->uses;
        AUTO(auto_free) char *text = NULL;
        struct err ignored = ERR_INIT;
        if (!written) {
                *ret = str_dup(control_name(s->spec));
                return *ret ? 0 : err_nomem(e);
        }
        bool evaluates = strstr(written, "${{") && !strcasestr(written, "hashFiles");
        bool has_text = evaluates && step_text(s, written, "name", &text, &ignored) == 0;
        return run_name(s, has_text ? text : written, ret, e);
}

static int name_step(struct step *s, struct err *e)
{
        struct err ignored = ERR_INIT;
        if (s->name)
                return 0;
        int r = s->spec->name ? step_text(s, s->spec->name, "name", &s->name, &ignored) : 0;
        if (hash_files_wanted(s))
                return 0;
        if (r < 0)
                s->name = str_ndup(s->spec->name, MAX_NAME);
        if (s->name && *s->name)
                return 0;
        free(s->name);
        s->name = NULL;
        return default_name(s, &s->name, e);
}

/* "__run", "__actions_checkout", as GitHub's runner names what has no id. */
static char *action_kind(const struct spec_step *p)
{
        const char *name = p->run ? "run" : p->uses ? p->uses : control_name(p);
        char *kind = str_printf("__%.*s", (int)MIN(strcspn(name, "@"), MAX_NAME), name);
        for (char *c = kind; c && *c; c++)
                if (!isalnum((unsigned char)*c))
                        *c = '_';
        return kind;
}

/* github.action: the id, or the kind with a number from the second nameless step on. */
static int name_action(struct step *s, struct err *e)
{
        unsigned n = 0;
        if (s->action)
                return 0;
        AUTO(auto_free) char *kind = s->spec->id ? str_dup(s->spec->id) : action_kind(s->spec);
        if (!kind)
                return err_nomem(e);
        if (s->spec->id || (n = sequence_count_nameless(s->sequence)) == 1)
                s->action = TAKE_PTR(kind);
        else
                s->action = str_printf("%s_%u", kind, n);
        return s->action ? 0 : err_nomem(e);
}

/* ---- choosing ---- */

static const char *condition_of(const struct step *s)
{
        const char *own;
        if (s->part == STEP_MAIN)
                return s->spec->condition;
        if (s->builtin)
                own = s->builtin->post_if;
        else
                own = s->part == STEP_PRE ? loaded_action(s->loaded)->pre_if.text
                                          : loaded_action(s->loaded)->post_if.text;
        return own ? own : "always()";
}

/* Else it waits for others, whatever the status of the job. */
static bool is_work(const struct step *s)
{
        return s->spec->run || s->spec->uses;
}

bool step_may_go_on(struct step *s)
{
        struct err ignored = ERR_INIT;
        bool holds = false;
        return s->is_open && is_work(s) && view_condition(s->view, condition_of(s), &holds, &ignored) == 0 && holds;
}

static int write_started(struct step *s, struct err *e)
{
        struct journal *journal = s->job->journal;
        journal_begin(journal, "step_started");
        journal_i64(journal, "step", s->index);
        if (s->parent)
                journal_i64(journal, "parent", s->parent->index);
        if (s->part != STEP_MAIN)
                journal_i64(journal, s->part == STEP_PRE ? "pre_of" : "post_of", s->part_of);
        else
                journal_str(journal, "id", s->spec->id);
        if (s->background)
                journal_bool(journal, "background", true);
        journal_str(journal, "name", s->name);
        journal_str(journal, "if", condition_of(s));
        int r = journal_end(journal, e);
        s->is_open = r == 0;
        return r;
}

static int read_settings(struct step *s, struct err *e)
{
        const struct spec_step *p = s->spec;
        double minutes = 0;
        int r = 0;
        if (p->continue_on_error)
                r = view_bool(s->view, p->continue_on_error, "continue-on-error", &s->continue_on_error, e);
        if (r == 0 && p->timeout_minutes)
                r = view_number(s->view, p->timeout_minutes, "timeout-minutes", &minutes, e);
        if (r < 0 || !p->timeout_minutes)
                return r;
        if (!isfinite(minutes) || minutes <= 0 || minutes > (double)(SPEC_MAX_TIMEOUT_MS / 60000))
                return err_set(e, ERR_RUN_FAILED, "timeout-minutes: expected a number above 0, at most %llu",
                               SPEC_MAX_TIMEOUT_MS / 60000);
        s->limit_ms = (uint64_t)(minutes * 60000.0);
        return 0;
}

static int find_action(struct step *s, struct err *e)
{
        const char *uses = s->spec->uses;
        int r = inputs_evaluate(s, e);
        if (r == 0 && str_starts(uses, "docker://"))
                r = err_set(e, ERR_RUN_FAILED,
                            "uses: %s: a Docker action cannot run in a microVM; install the tool in the image or in a "
                            "step, and call it with `run`",
                            uses);
        return r;
}

/* The step's own part of what it sees. A mistake in its `env` is told once the step has its name. */
static int open_view(struct step *s, struct err *mistake, struct err *e)
{
        int r = s->background && !s->fork ? variables_fork(s->vars, &s->fork, e) : 0;
        if (s->fork)
                s->vars = s->fork;
        s->view = view_free(s->view);
        if (r == 0)
                r = view_new(s->scope, s->vars, s->part != STEP_MAIN, &s->view, e);
        if (r == 0)
                view_set_hash(s->view, hash_files_get, s);
        if (s->spec->uses && !s->loaded && !s->builtin)
                s->builtin = builtin_find(s->spec->uses);
        if (r == 0 && is_work(s) && !s->builtin && !s->script)
                r = process_name_files(s, s->spec->run ? run_step_extension(s) : "", e);
        if (r < 0)
                return r;
        const struct view_files files = {s->file[STEP_FILE_OUTPUT], s->file[STEP_FILE_ENV], s->file[STEP_FILE_PATH],
                                         s->file[STEP_FILE_SUMMARY], s->file[STEP_FILE_STATE]};
        r = view_begin(s->view, s->action, s->script ? &files : NULL, &s->spec->env, mistake);
        if (r < 0 && mistake->code != ERR_RUN_FAILED) {
                *e = *mistake;
                return r;
        }
        return 0;
}

/* The step's variables, name, condition and settings, in the order of GitHub's runner. ret_run false: skipped. */
static int begin(struct step *s, bool *ret_run, struct err *e)
{
        struct err mistake = ERR_INIT;
        int r = open_view(s, &mistake, e);
        if (r < 0)
                return r;
        r = name_step(s, e);
        if (r < 0 || hash_files_wanted(s))
                return r;
        r = s->is_open ? 0 : write_started(s, e);
        if (r == 0 && mistake.code != ERR_SUCCESS) {
                *e = mistake;
                return -1;
        }
        *ret_run = !is_work(s);
        if (r == 0 && is_work(s))
                r = view_condition(s->view, condition_of(s), ret_run, e);
        if (r == 0 && *ret_run)
                r = read_settings(s, e);
        if (r < 0 || !*ret_run || !is_work(s))
                return r;
        return s->spec->run ? run_step_evaluate(s, e) : find_action(s, e);
}

int step_choose(struct step *s, struct err *e)
{
        bool run = false;
        if (s->cancelled || s->timed_out) /* while its files were digested */
                return step_try(s, err_set(e, ERR_RUN_FAILED, "the step was interrupted"), e);
        int r = name_action(s, e);
        if (r < 0)
                return r;
        r = begin(s, &run, e);
        if (hash_files_wanted(s) && (r == 0 || e->code == ERR_RUN_FAILED))
                return step_try(s, hash_files_resolve(s, step_choose, e), e);
        if (r < 0)
                return step_try(s, r, e);
        if (!run)
                return step_finish(s, STEP_SKIPPED, e);
        enum step_event chosen = s->builtin      ? STEP_EV_CHOSE_BUILTIN
                                 : s->spec->run  ? STEP_EV_CHOSE_PROCESS
                                 : s->spec->uses ? STEP_EV_CHOSE_ACTION
                                                 : STEP_EV_CHOSE_WAIT;
        if (s->background)
                return background_start(s, chosen, e);
        step_start_limit(s);
        step_post(s, chosen);
        return 0;
}
