/* In place of src/guest/reseed.c, in the agent devdep-guest-unseeded, which is for tests alone and never installed:
 * clones of one template then draw the same random bytes, and the tests of clones' identity must say so.
 *
 * The kernel reseeds its generator by itself, from the processor, when the last time was some seconds ago. So that
 * clones do not do that in their first moment, this agent does it just before its ready record: before the template is
 * saved. */
#include "guest/channel.h"
#include "guest/reseed.h"

#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <unistd.h>

int __real_channel_open(int *ret, struct err *e);
int __wrap_channel_open(int *ret, struct err *e);

int __wrap_channel_open(int *ret, struct err *e)
{
        int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
        if (fd >= 0) {
                ioctl(fd, RNDRESEEDCRNG);
                close(fd);
        }
        return __real_channel_open(ret, e);
}

int reseed_kernel(const uint8_t entropy[GUEST_ENTROPY_SIZE], struct err *e)
{
        (void)entropy;
        (void)e;
        return 0;
}
