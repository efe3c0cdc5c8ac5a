#include "guest/reseed.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>

/* struct rand_pool_info with its bytes. */
struct entropy {
        int entropy_count; /* bits */
        int buf_size;      /* bytes */
        uint8_t buf[GUEST_ENTROPY_SIZE];
};

int reseed_kernel(const uint8_t entropy[GUEST_ENTROPY_SIZE], struct err *e)
{
        AUTO(auto_close) int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
        struct entropy pool = {.entropy_count = GUEST_ENTROPY_SIZE * 8, .buf_size = GUEST_ENTROPY_SIZE};
        memcpy(pool.buf, entropy, sizeof(pool.buf));
        /* Adding alone changes nothing that a clone draws soon: the generator's key must be made anew from the pool. */
        int r = fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0
                        ? err_errno(e, ERR_RESOURCES, errno, "seed the random device")
                        : 0;
        secret_wipe(&pool, sizeof(pool));
        return r;
}
