/* What a `run` step starts: the script, the shell's command line, the folder. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "job/context.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/scope.h"
#include "job/shell.h"
#include "job/spec.h"

/* `defaults` are for the job's own steps. */
static const char *default_shell(const struct step *s)
{
        return scope_depth(s->scope) ? NULL : s->job->spec->default_shell;
}

static const char *shell_of(const struct step *s)
{
        return s->spec->shell ? s->spec->shell : default_shell(s);
}

const char *run_step_extension(const struct step *s)
{
        return shell_extension(shell_of(s));
}

/* Absolute, or below the workspace. The guest says when it does not exist. */
static int choose_folder(struct step *s, struct err *e)
{
        const char *workspace = context_workspace(s->job->context), *given = s->spec->working_directory;
        AUTO(auto_free) char *text = NULL;
        if (!given && !scope_depth(s->scope))
                given = s->job->spec->default_working_directory;
        int r = step_text(s, given, "working-directory", &text, e);
        if (r < 0)
                return r;
        if (text && text[0] == '/')
                s->folder = TAKE_PTR(text);
        else if (text && *text)
                s->folder = str_printf("%s/%s", workspace, text);
        else
                s->folder = str_dup(workspace);
        return s->folder ? 0 : err_nomem(e);
}

/* Of an evaluation before, which missed a digest. */
static void forget(struct step *s)
{
        free(s->text);
        free(s->folder);
        s->text = s->folder = NULL;
        strv_done(&s->argv);
}

int run_step_evaluate(struct step *s, struct err *e)
{
        AUTO(auto_free) char *shell = NULL;
        forget(s);
        int r = step_text(s, s->spec->run, "run", &s->text, e);
        if (r < 0)
                return r;
        if (strlen(s->text) > OPS_MAX_READ)
                return err_set(e, ERR_RUN_FAILED, "run: the script is larger than %zu KiB", OPS_MAX_READ >> 10);
        r = choose_folder(s, e);
        if (r == 0)
                r = step_text(s, shell_of(s), "shell", &shell, e);
        return r < 0 ? r : shell_command(shell, &s->job->programs, s->script, &s->argv, e);
}
