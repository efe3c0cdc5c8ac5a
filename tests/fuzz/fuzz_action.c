/* Action files: parsed, rendered when refused. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/diag.h"
#include "workflow/action.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the one who runs it relies on. */
static void check(const struct action *a)
{
        assert(a->using.text && (a->kind != ACTION_NODE || a->main.text) &&
               (a->kind != ACTION_DOCKER || a->image.text));
        for (size_t i = 0; i < a->n_steps; i++)
                assert(a->steps[i].kind == WF_STEP_RUN ? a->steps[i].run.text && a->steps[i].shell.text
                                                       : a->steps[i].kind == WF_STEP_USES && a->steps[i].uses.text);
        for (size_t i = 0; i < a->n_inputs; i++)
                assert(action_input(a, a->inputs[i].name.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(action_freep) struct action *a = NULL;
        AUTO(buf_done) struct buf out = BUF_INIT;
        struct err e = ERR_INIT;
        assert(diag_new("action.yml", &problems, &e) == 0);
        int r = action_parse("action.yml", data, size, problems, &a, &e);
        assert(r == 0 || (r == ACTION_E_INVALID && diag_errors(problems) > 0));
        if (r == 0)
                check(a);
        assert(diag_render(problems, (const char *)data, size, &out, &e) == 0);
        assert(!memchr(out.data ? out.data : data, '\x1b', out.len));
        return 0;
}
