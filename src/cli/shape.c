#include "cli/shape.h"

#include "base/err.h"
#include "base/num.h"
#include "cli/command.h"
#include "profile/profile.h"
#include "vm/vm.h"

#define LEAST_MEMORY ((uint64_t)128 << 20)
#define MOST_MEMORY ((uint64_t)1 << 42)
#define MOST_CPUS 64u
#define WHOLE_MIB (~(((uint64_t)1 << 20) - 1))

int shape_parse(const struct args *a, struct vm_shape *ret, struct err *e)
{
        const char *cpus = args_get(a, "cpus"), *memory = args_get(a, "memory"), *scratch = args_get(a, "scratch");
        uint64_t n = ret->vcpus;

        if (cpus && num_u64(cpus, 1, MOST_CPUS, "--cpus", &n, e) < 0)
                return -1;
        ret->vcpus = (uint32_t)n;
        if (memory && num_size(memory, MOST_MEMORY, "--memory", &ret->memory, e) < 0)
                return -1;
        if (memory && ret->memory < LEAST_MEMORY)
                return err_set(e, ERR_USAGE, "--memory: expected at least 128M, found '%s'", memory);
        if (scratch && num_size(scratch, PROFILE_MAX_SCRATCH, "--scratch", &ret->scratch, e) < 0)
                return -1;
        if (scratch && ret->scratch < PROFILE_MIN_SCRATCH)
                return err_set(e, ERR_USAGE, "--scratch: expected at least 64M, found '%s'", scratch);
        ret->memory &= WHOLE_MIB;
        ret->scratch &= WHOLE_MIB;
        return 0;
}

void shape_fill(struct vm_shape *ret, const struct vm_shape *from)
{
        if (!ret->vcpus)
                ret->vcpus = from->vcpus;
        if (!ret->memory)
                ret->memory = from->memory;
        if (!ret->scratch)
                ret->scratch = from->scratch;
}
