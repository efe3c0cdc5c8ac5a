/* A composite action: its steps run one after another in a scope of their own, then its outputs are evaluated there. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "job/action_step.h"
#include "job/job_priv.h"
#include "job/loaded.h"
#include "job/output.h"
#include "job/scope.h"
#include "job/sequence.h"
#include "job/texts.h"
#include "job/view.h"
#include "workflow/action.h"
#include "workflow/value.h"

int composite_begin(struct step *s, struct err *e)
{
        AUTO(value_unrefp) struct value *inputs = NULL;
        AUTO(scope_unrefp) struct scope *scope = NULL;
        size_t n = 0;
        const struct spec_step *steps = loaded_steps(s->loaded, &n);
        int r = texts_value(s->with, &inputs, e);
        if (r == 0)
                r = scope_new_action(s->scope, loaded_place(s->loaded), s->vars, view_own_env(s->view), inputs, &scope,
                                     e);
        if (r == 0)
                r = sequence_new(s->job, s, scope, steps, n, &s->inner, e);
        if (r == 0)
                step_post(s, STEP_EV_CHOSE_COMPOSITE);
        return r;
}

static int set_outputs(struct step *s, struct err *e)
{
        const struct action *a = loaded_action(s->loaded);
        AUTO(view_freep) struct view *v = NULL;
        int r = view_new(sequence_scope(s->inner), s->vars, false, &v, e);
        for (size_t i = 0; r == 0 && i < a->n_outputs; i++) {
                const struct action_output *o = &a->outputs[i];
                AUTO(auto_free) char *value = NULL;
                r = view_text(v, o->value.text, o->name.text, &value, e);
                if (r == 0)
                        r = step_set_output(s, o->name.text, value ? value : "", e);
        }
        return r;
}

static int finish(struct step *s, struct err *e)
{
        int r = set_outputs(s, e);
        if (r < 0)
                return r;
        if (s->timed_out)
                step_fail_later(s, "the step ran into its time limit");
        if (s->cancelled)
                return step_finish(s, STEP_CANCELLED, e);
        bool failed = s->failed || scope_status(sequence_scope(s->inner)) == CONTEXT_FAILURE;
        return step_finish(s, failed ? STEP_FAILURE : STEP_SUCCESS, e);
}

int composite_end(struct step *s, struct err *e)
{
        return step_try(s, finish(s, e), e);
}
