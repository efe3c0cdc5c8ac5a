/* "VERSION\nRANGE": what holds is valid, and a valid version holds itself. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "workflow/semver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = str_ndup((const char *)data, size);
        struct semver v;
        assert(text);
        char *range = text + strcspn(text, "\n");
        if (*range)
                *range++ = '\0';
        bool valid = semver_range_is_valid(range);
        if (semver_parse(text, &v)) {
                assert(semver_compare(&v, &v) == 0);
                assert(valid || !semver_satisfies(&v, range));
                assert(!strpbrk(text, "\t\n\r\f\v ") ? semver_satisfies(&v, text) : true);
        }
        free(text);
        return 0;
}
