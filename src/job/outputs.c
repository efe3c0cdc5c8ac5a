/* The outputs of a job. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/scope.h"
#include "job/spec.h"
#include "job/texts.h"
#include "job/view.h"

/* What holds a secret does not leave the job, as at GitHub. */
static int evaluate(struct job *j, struct view *v, const char *template, const char *name, char **ret, struct err *e)
{
        AUTO(auto_free) char *value = NULL;
        bool secret = false;
        int r = view_text(v, template, name, &value, e);
        if (r == 0)
                r = masks_found(j->config.masks, value, strlen(value), &secret, e);
        if (r < 0)
                return r;
        if (secret)
                return err_set(e, ERR_RUN_FAILED, "it may hold a masked value");
        *ret = TAKE_PTR(value);
        return 0;
}

static int evaluate_output(struct job *j, struct view *v, const struct spec_pair *p, size_t *total, struct err *e)
{
        AUTO(auto_free) char *value = NULL;
        int r = evaluate(j, v, p->value, p->name, &value, e);
        if (r < 0)
                return r;
        *total += strlen(p->name) + strlen(value);
        if (*total > JOB_MAX_OUTPUTS)
                return err_set(e, ERR_RUN_FAILED, "the outputs of the job are larger than 1 MiB");
        return texts_take(j->outputs, p->name, TAKE_PTR(value), e);
}

static int evaluate_outputs(struct job *j, struct view *v, struct err *e)
{
        size_t total = 0;
        int r = 0;
        for (size_t i = 0; r == 0 && i < j->spec->outputs.n; i++) {
                const struct spec_pair *p = &j->spec->outputs.v[i];
                struct err why = ERR_INIT;
                r = evaluate_output(j, v, p, &total, &why);
                if (r < 0 && why.code == ERR_RUN_FAILED)
                        r = journal_note(j->journal, -1, e, "The output '%s' of the job is left out: %s.", p->name,
                                         why.msg);
                else if (r < 0)
                        *e = why;
        }
        return r;
}

static int evaluate_url(struct job *j, struct view *v, struct err *e)
{
        AUTO(auto_free) char *value = NULL;
        struct err why = ERR_INIT;
        if (!j->spec->environment_url)
                return 0;
        int r = evaluate(j, v, j->spec->environment_url, "environment.url", &value, &why);
        if (r == 0 && strlen(value) > JOB_MAX_URL)
                r = err_set(&why, ERR_RUN_FAILED, "it is longer than %u bytes", JOB_MAX_URL);
        if (r < 0 && why.code == ERR_RUN_FAILED)
                return journal_note(j->journal, -1, e, "The url of the environment '%s' is left out: %s.",
                                    j->spec->environment, why.msg);
        if (r < 0)
                *e = why;
        else if (*value)
                j->environment_url = TAKE_PTR(value);
        return r;
}

int outputs_evaluate(struct job *j, struct err *e)
{
        AUTO(view_freep) struct view *v = NULL;
        int r = texts_new(&j->outputs, e);
        if (r == 0)
                r = view_new(j->scope, scope_variables(j->scope), true, &v, e);
        if (r == 0)
                r = evaluate_outputs(j, v, e);
        return r < 0 ? r : evaluate_url(j, v, e);
}
