#include "job/step.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "job/action_fetch.h"
#include "job/action_step.h"
#include "job/background.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/hash_files.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/loaded.h"
#include "job/mask.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/problems.h"
#include "job/scope.h"
#include "job/sequence.h"
#include "job/spec.h"
#include "job/texts.h"
#include "job/variables.h"
#include "job/view.h"
#include "loop/loop.h"
#include "workflow/command.h"
#include "workflow/filecmd.h"

#define FLUSH_MS 10u                       /* how long lines are collected before they are written */
#define MAX_STEP_OUTPUTS ((size_t)1 << 20) /* bytes of all outputs of one step */

static const char *end_name(enum step_end end)
{
        static const char *const names[] = {"success", "failure", "cancelled", "skipped"};
        return names[end];
}

/* ---- states ---- */

static int enter(struct step *s, struct err *e)
{
        switch (s->state) {
        case STEP_CHOOSE:
                return step_choose(s, e);
        case STEP_WRITE:
                return process_write(s, e);
        case STEP_RUN:
                return process_start(s, e);
        case STEP_COLLECT:
                return collect_start(s, e);
        case STEP_BUILTIN:
                return builtin_start(s, e);
        case STEP_LOAD:
                return action_step_start(s, e);
        case STEP_COMPOSITE:
                return sequence_next(s->inner, e);
        case STEP_WAIT:
                return background_wait(s, e);
        case STEP_OVER:
                return steps_over(s, e);
        default:
                return 0;
        }
}

/* The one place where the state changes. When the job is no longer at its steps nothing happens to them any more. */
static void change_state(struct step *s, enum step_event event)
{
        struct err e = ERR_INIT;
        int next = step_state_next(s->state, event);
        if (s->job->state != JOB_STEPS)
                return;
        if (next == STEP_STATE_INVALID)
                log_error("step %d: state %s cannot take %s", s->index, step_state_name(s->state),
                          step_event_name(event));
        assert(next >= 0);
        s->state = (enum step_state)next;
        if (enter(s, &e) < 0)
                job_fail(s->job, &e);
}

static void take_turns(struct job *j)
{
        if (j->stepping)
                return;
        j->stepping = true;
        while (j->n_turns) {
                struct step_turn turn = j->turns[0];
                memmove(j->turns, j->turns + 1, --j->n_turns * sizeof(j->turns[0]));
                change_state(turn.step, turn.event);
        }
        j->stepping = false;
}

void step_post(struct step *s, enum step_event event)
{
        struct job *j = s->job;
        assert(j->n_turns < STEP_MAX_QUEUED);
        j->turns[j->n_turns++] = (struct step_turn){s, event};
        take_turns(j);
}

bool steps_hold(struct job *j)
{
        bool held = j->stepping;
        j->stepping = true;
        return held;
}

void steps_go_on(struct job *j, bool held)
{
        j->stepping = held;
        take_turns(j);
}

/* ---- output ---- */

void step_fail_later(struct step *s, const char *message)
{
        s->failed = true;
        if (s->reason.code == ERR_SUCCESS)
                err_set(&s->reason, ERR_RUN_FAILED, "%s", message);
}

static int keep_output(struct step *s, const char *name, const char *value, struct err *e)
{
        const char *old = map_get(s->outputs, name);
        size_t bytes = s->outputs_bytes + strlen(value) + (old ? 0 : strlen(name)) - (old ? strlen(old) : 0);
        if (bytes > MAX_STEP_OUTPUTS)
                return err_set(e, ERR_RUN_FAILED, "the outputs of the step are larger than 1 MiB");
        int r = s->spec->id ? scope_keep(s->scope, strlen(name) + strlen(value), e) : 0;
        if (r == 0)
                r = texts_set(s->outputs, name, value, e);
        if (r == 0)
                s->outputs_bytes = bytes;
        return r;
}

static int write_output(struct step *s, const char *name, const char *value, struct err *e)
{
        struct journal *journal = s->job->journal;
        if (journal_is_full(journal))
                return 0;
        journal_begin(journal, "output");
        journal_i64(journal, "step", s->index);
        journal_str(journal, "name", name);
        journal_str(journal, "value", value);
        return journal_end(journal, e);
}

/* The step's mistake in the middle of its output. */
static int or_fail_later(struct step *s, int r, const struct err *e)
{
        if (r >= 0 || e->code != ERR_RUN_FAILED)
                return r;
        step_fail_later(s, e->msg);
        return 0;
}

int step_set_output(struct step *s, const char *name, const char *value, struct err *e)
{
        bool secret = false;
        int r = masks_found(s->job->config.masks, value, strlen(value), &secret, e);
        if (r < 0)
                return r;
        if (secret) {
                AUTO(auto_free)
                char *text = str_printf("The output '%s' is left out: it may hold a masked value", name);
                return text ? output_annotate(s->output, "warning", NULL, text, e) : err_nomem(e);
        }
        r = keep_output(s, name, value, e);
        return r < 0 ? or_fail_later(s, r, e) : write_output(s, name, value, e);
}

int step_save_state(struct step *s, const char *name, const char *value, struct err *e)
{
        int r = scope_keep(s->scope, strlen(name) + strlen(value), e);
        return r < 0 ? r : texts_set(s->saved, name, value, e);
}

static int add_mask(struct job *j, const char *value, struct err *e)
{
        int r = masks_add(j->config.masks, value, strlen(value), e);
        return r == MASK_E_FULL ? err_set(e, ERR_RESOURCES, "the job masks more values than can be masked") : r;
}

static int on_command(const struct command *c, void *user, struct err *e)
{
        struct step *s = user;
        int r = 0;
        if (c->problem != COMMAND_PROBLEM_NONE && c->message)
                r = output_annotate(s->output, c->problem == COMMAND_PROBLEM_ERROR ? "error" : "warning", NULL,
                                    c->message, e);
        if (c->problem == COMMAND_PROBLEM_ERROR) {
                step_fail_later(s, c->message ? c->message : "a workflow command was refused");
                return r;
        }
        if (r < 0)
                return r;
        if (c->kind == COMMAND_ADD_MASK)
                return add_mask(s->job, c->data ? c->data : "", e);
        if (c->kind == COMMAND_SET_OUTPUT && c->name)
                return step_set_output(s, c->name, c->data ? c->data : "", e);
        if (c->kind == COMMAND_SAVE_STATE && c->name)
                return or_fail_later(s, step_save_state(s, c->name, c->data ? c->data : "", e), e);
        bool matcher = c->kind == COMMAND_ADD_MATCHER || c->kind == COMMAND_REMOVE_MATCHER;
        return matcher && c->problem == COMMAND_PROBLEM_NONE ? finder_command(s->finder, c, e) : 0;
}

static int on_line(enum output_stream stream, const void *line, size_t len, void *user, struct err *e)
{
        return finder_line(((struct step *)user)->finder, stream, line, len, e);
}

static void on_annotated(const struct issue *i, void *user)
{
        finder_annotated(((struct step *)user)->finder, i);
}

int step_on_output(struct step *s, bool is_err, const uint8_t *data, size_t len, struct err *e)
{
        if (!s->is_open)
                return 0;
        int r = output_feed(s->output, is_err ? OUTPUT_ERR : OUTPUT_OUT, data, len, e);
        if (r == 0 && output_is_pending(s->output) && !loop_timer_is_armed(s->flush))
                loop_timer_in(s->flush, FLUSH_MS);
        return r;
}

/* ---- what it stands in ---- */

int step_text(struct step *s, const char *text, const char *what, char **ret, struct err *e)
{
        return view_text(s->view, text, what, ret, e);
}

int step_environment(struct step *s, struct strv *ret, struct err *e)
{
        return view_environment(s->view, s->more, ret, e);
}

/* What waits to be taken counts like outputs. */
static int keep_until_taken(struct step *s, size_t bytes, struct err *e)
{
        return s->vars == scope_variables(s->job->scope) ? 0 : scope_keep(s->scope, bytes, e);
}

int step_set_env(struct step *s, const char *name, const char *value, struct err *e)
{
        int r = filecmd_env_allowed(name, e);
        if (r == 0)
                r = keep_until_taken(s, strlen(name) + strlen(value), e);
        return r < 0 ? r : variables_set(s->vars, name, value, e);
}

int step_add_path(struct step *s, const char *folder, struct err *e)
{
        int r = keep_until_taken(s, strlen(folder), e);
        return r < 0 ? r : variables_add_path(s->vars, folder, e);
}

/* ---- its process ---- */

static int on_exec_output(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        return step_on_output(user, is_err, data, len, e);
}

static int on_exec_done(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct step *s = user;
        s->exec = NULL;
        if (x && x->kind == EXEC_LOST)
                return err_set(e, ERR_GUEST_LOST, "the guest lost the process of the step");
        return s->exited(s, x, refusal, e);
}

int step_exec(struct step *s, const struct strv *argv, const struct strv *env, const char *cwd, step_exit_fn *exited,
              struct err *e)
{
        static const struct exec_fns fns = {.output = on_exec_output, .done = on_exec_done};
        char group[32];
        snprintf(group, sizeof(group), "step-%d", s->index);
        assert(!s->exec);
        s->exited = exited;
        int r = op_exec(s->job->ops, &(struct exec){.argv = argv, .env = env, .cwd = cwd, .step = group}, &fns, s,
                        &s->exec, e);
        if (r == 0 && (s->cancelled || s->timed_out))
                step_interrupt(s);
        return r;
}

/* ---- results ---- */

static int write_finished(struct step *s, enum step_end outcome, enum step_end conclusion, struct err *e)
{
        struct journal *journal = s->job->journal;
        s->is_open = false;
        journal_begin(journal, "step_finished");
        journal_i64(journal, "step", s->index);
        journal_word(journal, "outcome", end_name(outcome));
        journal_word(journal, "conclusion", end_name(conclusion));
        if (s->exit_code >= 0)
                journal_i64(journal, "exit_code", s->exit_code);
        journal_i64(journal, "ms", (int64_t)(clock_mono_ms() - s->started_ms));
        if (s->reason.code != ERR_SUCCESS)
                journal_str(journal, "reason", s->reason.msg);
        return journal_end(journal, e);
}

/* A failure of the job's own step is one of the job; that of a part of a step explains why that failed. */
static void take_failure(struct step *s)
{
        struct err why = ERR_INIT;
        err_set(&why, ERR_RUN_FAILED, "step '%s' failed: %s", s->name ? s->name : "?", s->reason.msg);
        if (s->parent)
                step_fail_later(s->parent, why.msg);
        if (s->within)
                scope_fail(s->scope);
        else
                job_fail_step(s->job, &why);
}

int step_record(struct step *s, struct err *e)
{
        if (!s->spec->id || s->part != STEP_MAIN)
                return 0;
        return scope_step_result(s->scope, s->spec->id, s->outputs, end_name(s->outcome), end_name(s->conclusion), e);
}

/* What a step came to that others run beside is taken later. */
static int take_result(struct step *s, struct err *e)
{
        if (s->detached)
                return 0;
        if (s->conclusion == STEP_FAILURE)
                take_failure(s);
        return step_record(s, e);
}

int step_finish(struct step *s, enum step_end outcome, struct err *e)
{
        s->outcome = outcome;
        s->conclusion = outcome == STEP_FAILURE && s->continue_on_error ? STEP_SUCCESS : outcome;
        step_stop_timers(s);
        int r = output_finish(s->output, e);
        if (r == 0)
                r = write_finished(s, outcome, s->conclusion, e);
        if (r == 0)
                r = take_result(s, e);
        if (r == 0)
                step_post(s, STEP_EV_OVER);
        return r;
}

int step_refuse(struct step *s, const struct err *why, struct err *e)
{
        if (s->reason.code == ERR_SUCCESS)
                s->reason = *why;
        int r = output_annotate(s->output, "error", NULL, why->msg, e);
        return r < 0 ? r : step_finish(s, s->cancelled ? STEP_CANCELLED : STEP_FAILURE, e);
}

/* The message names where the step stands in the workflow. */
int step_try(struct step *s, int r, struct err *e)
{
        const struct spec_step *p = s->spec;
        if (r >= 0 || !e || e->code != ERR_RUN_FAILED)
                return r;
        if (p->file && p->line)
                err_wrap(e, r, "%s:%u:%u", p->file, p->line, p->column);
        struct err why = *e;
        return step_refuse(s, &why, e);
}

int step_abandon(struct step *s, struct err *e)
{
        const struct job *j = s->job;
        if (!s->is_open)
                return 0;
        step_stop_timers(s);
        bool cancelled = j->killed || (j->cancelled && j->verdict.code == ERR_SUCCESS);
        if (!cancelled && s->reason.code == ERR_SUCCESS)
                s->reason = j->verdict;
        int r = output_finish(s->output, e);
        enum step_end end = cancelled ? STEP_CANCELLED : STEP_FAILURE;
        return r < 0 ? r : write_finished(s, end, end, e);
}

/* ---- life ---- */

CLEANUP_DEFINE(struct step, step_free)

static int open_output(struct step *s, struct err *e)
{
        struct job *j = s->job;
        const struct output_config config = {.journal = j->journal,
                                             .masks = j->config.masks,
                                             .workspace = context_workspace(j->context),
                                             .step = s->index,
                                             .debug = context_debug(j->context),
                                             .command = on_command,
                                             .line = on_line,
                                             .annotated = on_annotated,
                                             .user = s};
        return output_new(&config, &s->output, e);
}

int step_new(struct job *j, struct scope *scope, const struct spec_step *spec, int index, struct step **ret,
             struct err *e)
{
        AUTO(step_freep) struct step *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        list_init(&s->link);
        s->job = j;
        s->scope = scope_ref(scope);
        s->vars = scope_variables(scope);
        s->spec = spec;
        s->index = index;
        s->exit_code = -1;
        s->started_ms = clock_mono_ms();
        int r = texts_new(&s->outputs, e);
        if (r == 0)
                r = texts_new(&s->saved, e);
        if (r == 0)
                r = open_output(s, e);
        if (r == 0)
                r = finder_new(j->problems, s, &s->finder, e);
        if (r == 0)
                r = step_make_timers(s, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

struct step *step_free(struct step *s)
{
        if (!s)
                return NULL;
        list_remove(&s->link);
        struct loop_timer *timers[] = {s->limit, s->escalation, s->flush};
        for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
                if (timers[i])
                        loop_timer_free(timers[i]);
        builtin_free_private(s);
        action_fetch_free(s->fetch);
        hash_files_free(s->hashes);
        sequence_free(s->inner);
        loaded_unref(s->loaded);
        loaded_unref(s->within);
        map_free(s->with);
        map_free(s->saved);
        free(s->action_folder);
        finder_free(s->finder);
        output_free(s->output);
        map_free(s->outputs);
        for (size_t i = 0; i < STEP_FILES; i++)
                free(s->file[i]);
        free(s->script);
        free(s->text);
        free(s->folder);
        strv_done(&s->argv);
        map_free(s->more);
        view_free(s->view);
        variables_free(s->fork);
        scope_unref(s->scope);
        free(s->name);
        free(s->action);
        free(s);
        return NULL;
}
