#include "guest/processors.h"

#include <sched.h>
#include <stddef.h>
#include <unistd.h>

void processors_each(void (*work)(void))
{
        long n = sysconf(_SC_NPROCESSORS_CONF);
        for (long cpu = 0; cpu < n && cpu < CPU_SETSIZE; cpu++) {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET((size_t)cpu, &one);
                if (sched_setaffinity(0, sizeof(one), &one) == 0)
                        work();
        }
}
