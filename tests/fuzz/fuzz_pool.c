/* Requests and answers of devdep-pool: a request that parses is written again and must mean the same. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "wire/guest.h"
#include "wire/pool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct pool_request *q)
{
        struct pool_request second;
        struct fields *f = NULL;
        struct buf b = BUF_INIT;

        assert(strchr(q->image, '/') == NULL && q->image[0] != '-' && q->slot <= POOL_MAX_SLOT);
        assert(pool_request_write(q, &b, NULL) == 0 && b.len <= POOL_MAX_REQUEST);
        assert(fields_parse(b.data, b.len, &f, NULL) == 0);
        assert(pool_request_parse(f, &second, NULL) == 0);
        assert(memcmp(q, &second, sizeof(second)) == 0);
        fields_free(f);
        buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fields *f = NULL;
        struct pool_request q;
        struct pool_answer a;

        if (fields_parse(data, size, &f, NULL) == 0) {
                if (pool_request_parse(f, &q, NULL) == 0)
                        again(&q);
                (void)pool_answer_parse(f, &a, NULL);
                pool_answer_done(&a);
        }
        fields_free(f);
        return 0;
}
