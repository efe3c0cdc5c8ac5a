#include "guest/scrub.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "guest/child.h"
#include "guest/processors.h"
#include "guest/slab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((uint64_t)4096)
#define CHUNK ((uint64_t)16 << 20)
#define NEAR ((uint64_t)32 << 20) /* bytes left free where the processors' lists are emptied once more */
#define LISTED (8 << 20)          /* bytes, more than a processor's lists hold at the watermarks below */

/* What the kernel holds back, and with it how much a processor keeps for itself: as little as it can be told to. */
static struct setting {
        const char *path, *least;
        char before[128];
} settings[] = {
        {.path = "/proc/sys/vm/min_free_kbytes", .least = "0"},
        {.path = "/proc/sys/vm/watermark_scale_factor", .least = "1"},
        {.path = "/proc/sys/vm/lowmem_reserve_ratio", .least = "0 0 0 0 0"},
};

static void hold_back_least(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                struct setting *s = &settings[i];
                AUTO(auto_close) int fd = open(s->path, O_RDONLY | O_CLOEXEC);
                ssize_t n = fd < 0 ? -1 : read(fd, s->before, sizeof(s->before) - 1);
                s->before[MAX(n, 0)] = '\0';
                if (n > 0)
                        fs_put(AT_FDCWD, s->path, s->least, NULL);
        }
}

static void hold_back_as_before(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
                fs_put(AT_FDCWD, settings[i].path, settings[i].before, NULL);
}

static uint64_t free_memory(void)
{
        struct sysinfo info;
        return sysinfo(&info) < 0 ? 0 : (uint64_t)info.freeram * info.mem_unit;
}

/* Each processor keeps lists of pages that were freed on it, apart by size and by what they were for; those of the
 * kernel's memory no process is given. Lists that are full go back to the others when a larger piece of memory is freed
 * (mm/page_alloc.c, nr_pcp_high), and larger pieces are what a Unix socket takes for long messages. The kernel itself
 * empties them when memory runs out, but not each time: without this, 36 pages were left in 1 of 11 tries. */
static void give_lists_back(void)
{
        static const char zeros[64 << 10];
        struct err ignored = ERR_INIT;
        int room = LISTED, socks[2];
        if (fd_socketpair(SOCK_STREAM | SOCK_NONBLOCK, socks, &ignored) < 0)
                return;
        setsockopt(socks[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
        while (send(socks[0], zeros, sizeof(zeros), MSG_NOSIGNAL) > 0)
                ;
        close(socks[0]);
        close(socks[1]);
}

/* The kernel zeroes a page before a process gets it. 0 while there is more to take than `floor`. */
static int take_free_memory(uint64_t floor)
{
        uint64_t free = free_memory();
        if (free < floor)
                return -1;
        size_t chunk = (size_t)MIN(MAX(free - floor, PAGE), CHUNK) & ~(PAGE - 1);
        void *taken = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        return taken == MAP_FAILED ? -1 : 0;
}

/* The lists twice: of the upper zone of memory at first, of the lower when that is full. Without a floor this process
 * takes the very last page, and is killed. */
static __attribute__((noreturn)) void fill(void)
{
        fs_put(AT_FDCWD, "/proc/self/oom_score_adj", "1000", NULL);
        processors_each(give_lists_back);
        fs_put(AT_FDCWD, "/proc/sys/vm/compact_memory", "1", NULL);
        while (take_free_memory(NEAR) == 0)
                ;
        processors_each(give_lists_back);
        while (take_free_memory(0) == 0)
                ;
        _exit(0);
}

/* In a process of its own, for it is killed when the last of the memory is gone. */
static void fill_pages(void)
{
        pid_t pid = fork();
        if (pid == 0)
                fill();
        if (pid < 0)
                child_fail("resources", "no process to zero the memory");
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

void scrub_memory(void)
{
        sync();
        fs_put(AT_FDCWD, "/proc/sys/vm/drop_caches", "3", NULL);
        slab_shrink();
        hold_back_least();
        fill_pages();
        hold_back_as_before();
        slab_scrub();
}
