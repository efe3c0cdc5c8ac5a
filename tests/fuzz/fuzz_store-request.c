/* A request of devdep-job to devdep-store; what is accepted is bounded and names nothing outside its own folder. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "blob/names.h"
#include "blob/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct store_request q;
        struct err e = ERR_INIT;
        if (store_request_parse(data, size, &q, &e) == 0) {
                assert(q.n_keys <= STORE_MAX_KEYS && q.id <= STORE_MAX_ID);
                for (size_t i = 0; i < q.n_keys; i++)
                        assert(!cache_key_problem(q.keys[i]) && digest_is_valid(q.version));
                if (q.op == STORE_OP_PUT_ARTIFACT)
                        assert(!strchr(q.name, '/') && strcmp(q.name, "..") != 0 && q.days >= 1);
        }
        store_request_done(&q);
        return 0;
}
