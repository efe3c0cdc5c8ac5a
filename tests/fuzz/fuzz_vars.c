/* A file of variables: read or refused; what was read can be looked at. */
#include <assert.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/vars.h"
#include "workflow/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(value_unrefp) struct value *all = NULL;
        struct vars v;
        struct err e = ERR_INIT;
        assert(vars_init(&v, &e) == 0);
        int r = vars_parse(&v, "vars", (const char *)data, size, &e);
        assert(r == 0 || e.code == ERR_USAGE);
        assert(vars_of(&v, "production", &all, &e) == 0);
        vars_done(&v);
        return 0;
}
