#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "wire/guest.h"

#define READY_MAGIC "DEVDEP-GUEST\0\0\0" /* 16 bytes with the terminating NUL */
#define AGENT_BUILD 1u

_Static_assert(sizeof(READY_MAGIC) == 16, "the magic fills its field");

void guest_ready_write(uint8_t ret[GUEST_READY_SIZE])
{
        memset(ret, 0, GUEST_READY_SIZE);
        memcpy(ret, READY_MAGIC, 16);
        ret[16] = GUEST_PROTOCOL >> 8;
        ret[17] = GUEST_PROTOCOL & 0xff;
        ret[23] = AGENT_BUILD;
}

int guest_ready_check(const uint8_t rec[GUEST_READY_SIZE], struct err *e)
{
        static const uint8_t zero[8];
        if (memcmp(rec, READY_MAGIC, 16) != 0)
                return err_set(e, ERR_PROTOCOL, "the guest's first bytes are not a ready record");
        if (num_be16(rec + 16) != GUEST_PROTOCOL)
                return err_set(e, ERR_PROTOCOL,
                               "the guest speaks protocol %u, this program speaks %u: rebuild the image",
                               num_be16(rec + 16), GUEST_PROTOCOL);
        if (num_be16(rec + 18) != 0)
                return err_set(e, ERR_PROTOCOL, "the guest's ready record has unknown flags 0x%04x",
                               num_be16(rec + 18));
        if (memcmp(rec + 24, zero, sizeof(zero)) != 0)
                return err_set(e, ERR_PROTOCOL, "the reserved bytes of the guest's ready record are not zero");
        return 0;
}
