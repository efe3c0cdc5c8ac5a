/* Payloads of events: whatever JSON says, refs, paths and inputs come out or an error of usage does. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "codec/diag.h"
#include "workflow/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "on:\n  workflow_dispatch:\n    inputs:\n      c: {type: choice, options: [a]}\n"
                           "      n: {type: number}\n      b: {type: boolean}\n      s: {required: true}\n"
                           "jobs:\n  a:\n    runs-on: x\n    steps: [{run: a}]\n";

static void read_event(const char *name, const struct value *payload, const struct workflow *w)
{
        struct workflow_trigger trigger;
        struct event ev;
        struct err e = ERR_INIT;
        assert(event_read(name, payload, &ev, &e) == 0);
        event_trigger(&ev, &trigger);
        (void)workflow_selects(w, &trigger, NULL);
        event_done(&ev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(workflow_freep) struct workflow *w = NULL;
        AUTO(value_unrefp) struct value *payload = NULL, *inputs = NULL;
        struct err e = ERR_INIT;
        assert(diag_new("ci.yml", &problems, &e) == 0);
        assert(workflow_parse("ci.yml", text, strlen(text), problems, &w, &e) == 0);
        if (value_parse_json((const char *)data, size, NULL, &payload, &e) < 0) {
                assert(e.code == ERR_USAGE);
                return 0;
        }
        read_event("push", payload, w);
        read_event("pull_request", payload, w);
        read_event("pull_request_target", payload, w);
        if (event_inputs(workflow_event(w, "workflow_dispatch"), value_get(payload, "inputs"), &inputs, &e) < 0)
                assert(e.code == ERR_USAGE);
        return 0;
}
