#include "cli/host.h"

#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "vm/memory.h"

int host_capacity(const struct vm_shape *shape, const char *state, unsigned *ret, struct err *e)
{
        uint64_t memory = 0, disk = 0, need;

        if (memory_available(&memory, e) < 0 || fs_free_space(state, &disk, e) < 0)
                return -1;
        if (!num_add(shape->memory, HOST_MEMORY_MARGIN, &need) || memory < need)
                return err_set(
                        e, ERR_RESOURCES,
                        "not enough memory for one guest: %llu MiB are available, a guest of %llu MiB needs %llu "
                        "MiB; end other programs or use a smaller --memory",
                        (unsigned long long)memory >> 20, (unsigned long long)shape->memory >> 20,
                        (unsigned long long)need >> 20);
        if (disk < HOST_DISK_LEAST)
                return err_set(e, ERR_RESOURCES,
                               "not enough disk: %llu MiB are free in %s, %llu MiB are needed; 'devdep-cli rm --all' "
                               "removes old runs",
                               (unsigned long long)disk >> 20, state, (unsigned long long)HOST_DISK_LEAST >> 20);
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        uint64_t n = MIN(memory / need, (uint64_t)MAX(processors, 1));
        *ret = (unsigned)MIN(n, (uint64_t)HOST_MAX_JOBS);
        return 0;
}
