/* JUnit XML. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "workflow/junit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_issue(const struct issue *i, void *user, struct err *e)
{
        (void)user;
        (void)e;
        assert(i->source && i->message && *i->message);
        assert(!i->file || (i->file[0] != '/' && strncmp(i->file, "../", 3) != 0));
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct junit_config config = {"/tmp/ws/demo", "/tmp/ws/demo/sub", on_issue, NULL};
        struct err e = ERR_INIT;
        if (junit_read(&config, data, size, &e) < 0)
                assert(e.code == ERR_RUN_FAILED);
        return 0;
}
