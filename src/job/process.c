/* The process of a step, be it of `run` or of an action: its files in the guest, its start, its end. What is started
 * and how was decided before, in STEP_CHOOSE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "job/context.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/problems.h"
#include "job/secrets.h"
#include "job/view.h"

static const char *const file_names[STEP_FILES] = {"set_output", "set_env", "add_path", "step_summary", "save_state"};

/* Fresh names: no earlier step can have prepared what this one reads. */
int process_name_files(struct step *s, const char *extension, struct err *e)
{
        const char *temp = context_temp(s->job->context);
        uint8_t id[16];
        char hex[33];
        secret_random(id, sizeof(id));
        num_to_hex(id, sizeof(id), hex);
        for (size_t i = 0; i < STEP_FILES; i++) {
                s->file[i] = str_printf("%s/_runner_file_commands/%s_%s", temp, file_names[i], hex);
                if (!s->file[i])
                        return err_nomem(e);
        }
        s->script = str_printf("%s/%s%s", temp, hex, extension);
        return s->script ? 0 : err_nomem(e);
}

/* ---- its files ---- */

static int on_written(const char *refusal, void *user, struct err *e)
{
        struct step *s = user;
        if (refusal && s->reason.code == ERR_SUCCESS)
                err_set(&s->reason, ERR_RUN_FAILED, "write the step's files in the guest: %s", refusal);
        if (--s->waiting)
                return 0;
        if (s->reason.code != ERR_SUCCESS) {
                struct err why = s->reason;
                return step_refuse(s, &why, e);
        }
        step_post(s, STEP_EV_WRITTEN);
        return 0;
}

static int write_file(struct step *s, const char *path, unsigned mode, const char *text, struct err *e)
{
        int r = job_secrets_taint(s->job->secrets, path, text, e);
        s->waiting++;
        return r < 0 ? r : op_write(s->job->ops, path, mode, text, strlen(text), on_written, s, e);
}

static int on_folder(const char *refusal, void *user, struct err *e)
{
        struct step *s = user;
        if (refusal) {
                int r = err_set(e, ERR_RUN_FAILED, "make the folder of the step's files in the guest: %s", refusal);
                return step_try(s, r, e);
        }
        int r = s->text ? write_file(s, s->script, 0755, s->text, e) : 0;
        for (size_t i = 0; r == 0 && i < STEP_FILES; i++)
                r = write_file(s, s->file[i], 0644, "", e);
        return r;
}

/* An earlier step may have removed the folder: it is made again. */
int process_write(struct step *s, struct err *e)
{
        AUTO(auto_free) char *folder = str_printf("%s/_runner_file_commands", context_temp(s->job->context));
        const char *const paths[] = {folder};
        return folder ? op_mkdir(s->job->ops, paths, 1, 0755, on_folder, s, e) : err_nomem(e);
}

/* ---- its life ---- */

static void explain(struct step *s, const struct exec_exit *x)
{
        char text[128];
        s->exit_code = (int)(x->kind == EXEC_EXITED ? x->code : 128 + x->code);
        if (s->exit_code == 0 && !s->timed_out && !s->cancelled)
                return;
        if (s->timed_out)
                snprintf(text, sizeof(text), "the step ran into its time limit");
        else if (s->cancelled)
                snprintf(text, sizeof(text), "the step was cancelled");
        else if (x->kind == EXEC_SIGNALED)
                snprintf(text, sizeof(text), "the process was ended by signal %u", x->code);
        else
                snprintf(text, sizeof(text), "the process ended with exit code %u", x->code);
        if (s->reason.code == ERR_SUCCESS)
                err_set(&s->reason, ERR_RUN_FAILED, "%s%s", text,
                        x->oom ? "; the kernel killed a process for lack of memory" : "");
}

static int on_exited(struct step *s, const struct exec_exit *x, const char *refusal, struct err *e)
{
        if (refusal) {
                struct err why = ERR_INIT;
                err_set(&why, ERR_RUN_FAILED, "the step could not be started: %s", refusal);
                return step_refuse(s, &why, e);
        }
        explain(s, x);
        s->outcome = s->timed_out   ? STEP_FAILURE
                     : s->cancelled ? STEP_CANCELLED
                     : s->exit_code ? STEP_FAILURE
                                    : STEP_SUCCESS;
        step_post(s, STEP_EV_EXITED);
        return 0;
}

static int start(struct step *s, struct err *e)
{
        struct strv env = STRV_INIT;
        int r = view_environment(s->view, s->more, &env, e);
        if (r == 0)
                r = finder_begin(s->finder, s->folder, &env, e);
        if (r == 0)
                r = step_exec(s, &s->argv, &env, s->folder, on_exited, e);
        strv_done(&env);
        return r;
}

int process_start(struct step *s, struct err *e)
{
        return step_try(s, start(s, e), e);
}
