#include "vm/kmodule.h"

#include <string.h>

#include "base/num.h"

#define MARKER "~Module signature appended~\n"
#define MARKER_SIZE (sizeof(MARKER) - 1)
#define TRAILER_SIZE 12 /* its last four bytes: the signature's length, big-endian */

size_t kmodule_unsigned_size(const uint8_t *data, size_t len)
{
        if (len < MARKER_SIZE + TRAILER_SIZE || memcmp(data + len - MARKER_SIZE, MARKER, MARKER_SIZE) != 0)
                return len;
        size_t rest = len - MARKER_SIZE - TRAILER_SIZE;
        size_t signature = num_be32(data + rest + TRAILER_SIZE - 4);
        return signature <= rest ? rest - signature : len;
}
