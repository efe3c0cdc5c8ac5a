/* Files of a step: what is accepted is valid text within its limits. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "workflow/filecmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size)
                return 0;
        enum filecmd_kind kind = (enum filecmd_kind)(data[0] % 4);
        struct filecmd_pairs p;
        struct err e = ERR_INIT;
        if (filecmd_parse(kind, data + 1, size - 1, &p, &e) < 0) {
                assert(e.code == ERR_RUN_FAILED && !p.v && !p.n);
                return 0;
        }
        for (size_t i = 0; i < p.n; i++) {
                assert((p.v[i].name == NULL) == (kind == FILECMD_PATH));
                assert(!p.v[i].name || (*p.v[i].name && str_is_utf8(p.v[i].name, strlen(p.v[i].name))));
                assert(strlen(p.v[i].value) == p.v[i].len && str_is_utf8(p.v[i].value, p.v[i].len));
        }
        filecmd_pairs_done(&p);
        return 0;
}
