/* A request of devdep-job to devdep-source; what is accepted holds no option and no expression. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "codec/uses.h"
#include "source/names.h"
#include "source/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct request q;
        struct err e = ERR_INIT;
        if (request_parse(data, size, &q, &e) == 0) {
                assert(q.repository[0] != '-' || tree_path_is_valid(q.repository));
                if (q.op == REQUEST_CHECKOUT)
                        assert(q.checkout.commit[0] != '-' && (!q.checkout.ref || ref_name_is_valid(q.checkout.ref)));
                bool action = q.op == REQUEST_ACTION || q.op == REQUEST_ACTION_TREE;
                assert(!action || (uses_is_repository(q.action) && uses_is_ref(q.ref)));
                assert(q.op != REQUEST_ACTION || !*q.path || tree_path_is_valid(q.path));
        }
        request_done(&q);
        return 0;
}
