/* The job specification. */
#include "base/err.h"
#include "job/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct spec *s = NULL;
        struct err e = ERR_INIT;
        if (spec_parse(data, size, &s, &e) == 0)
                spec_free(s);
        return 0;
}
