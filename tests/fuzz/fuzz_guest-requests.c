/* Requests that the guest reads: a field list as a seed, and as an exec. */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "guest/exec_child.h"
#include "guest/seed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err e = ERR_INIT;
        struct fields *list = NULL;
        struct seed seed;
        struct exec_request q;
        if (fields_parse(data, size, &list, &e) < 0)
                return 0;
        seed_parse(list, true, &seed, &e);
        if (exec_request_parse(list, size & 1, &q, &e) == 0) {
                if (!q.argv.n || q.argv.v[q.argv.n])
                        abort();
                exec_request_done(&q);
        }
        fields_free(list);
        return 0;
}
