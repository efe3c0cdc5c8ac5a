#include "vm/memory.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

int memory_available(uint64_t *ret, struct err *e)
{
        struct buf text = BUF_INIT;
        unsigned long long kib = 0;

        int r = fs_read("/proc/meminfo", 65536, &text, e);
        const char *s = r == 0 ? buf_cstr(&text) : NULL;
        const char *line = s ? strstr(s, "MemAvailable:") : NULL;
        if (r == 0 && (!line || sscanf(line, "MemAvailable: %llu kB", &kib) != 1))
                r = err_set(e, ERR_RESOURCES, "/proc/meminfo does not tell the available memory");
        buf_done(&text);
        *ret = (uint64_t)kib * 1024;
        return r < 0 ? -1 : 0;
}
