/* A line of the log of records: one that is taken is written again to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "record/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        record_line_check(data, size, NULL);
        return 0;
}
