/* What a `uses:` names: whatever is accepted is safe in a path. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "codec/uses.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const char *s)
{
        for (const char *at = s;; at++) {
                size_t n = strcspn(at, "/");
                assert(n && !(n == 1 && at[0] == '.') && !(n == 2 && at[0] == '.' && at[1] == '.'));
                at += n;
                if (!*at)
                        return;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = str_ndup((const char *)data, size);
        struct err e = ERR_INIT;
        struct uses u;
        assert(text);
        if (uses_parse(text, &u, &e) < 0) {
                assert(e.code == ERR_USAGE && !u.repository && !u.path && !u.ref);
        } else if (u.kind == USES_REMOTE) {
                assert(uses_is_repository(u.repository) && uses_is_ref(u.ref));
                check_parts(u.repository);
                check_parts(u.ref);
                if (*u.path)
                        check_parts(u.path);
        }
        uses_done(&u);
        free(text);
        return 0;
}
