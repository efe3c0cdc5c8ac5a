/* The configuration file of the mirror of actions. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "cli/actions_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *folder = NULL;
        struct err e = ERR_INIT;
        int r = actions_conf_parse(data, size, "actions.conf", &folder, &e);
        assert(r == 0 ? folder && folder[0] == '/' : !folder && e.code == ERR_USAGE);
        free(folder);
        return 0;
}
