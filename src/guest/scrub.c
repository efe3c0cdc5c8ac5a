#include "guest/scrub.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
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

#define CHUNK ((size_t)16 << 20)
#define FLOOR ((uint64_t)256 << 10) /* bytes that are left free */
#define NEAR ((uint64_t)32 << 20)   /* where the processors' lists are emptied once more */
#define LISTED (8 << 20)            /* bytes, more than a processor's lists hold at the watermarks below */

/* What the kernel holds back, and with it how much a processor keeps for itself: as little as it can be told to. */
static struct setting {
        const char *path, *least;
        char before[128];
} settings[] = {
        {.path = "/proc/sys/vm/min_free_kbytes", .least = "0"},
        {.path = "/proc/sys/vm/watermark_scale_factor", .least = "1"},
        {.path = "/proc/sys/vm/lowmem_reserve_ratio", .least = "0 0 0 0 0"},
};

static void set(const char *path, const char *text)
{
        AUTO(auto_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
                (void)!write(fd, text, strlen(text));
}

static void hold_back_least(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                struct setting *s = &settings[i];
                AUTO(auto_close) int fd = open(s->path, O_RDONLY | O_CLOEXEC);
                ssize_t n = fd < 0 ? -1 : read(fd, s->before, sizeof(s->before) - 1);
                s->before[MAX(n, 0)] = '\0';
                if (n > 0)
                        set(s->path, s->least);
        }
}

static void hold_back_as_before(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
                set(settings[i].path, settings[i].before);
}

static uint64_t free_memory(void)
{
        struct sysinfo info;
        return sysinfo(&info) < 0 ? 0 : (uint64_t)info.freeram * info.mem_unit;
}

/* Each processor keeps lists of pages that were freed on it, apart by size and by what they were for; those of kernel's
 * memory no process is given. Lists that are full go back to the others when a larger piece of memory is freed
 * (mm/page_alloc.c, nr_pcp_high), and larger pieces are what a socket of the host takes for long messages. */
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

/* The kernel zeroes a page before a process gets it. */
static void take_free_memory(uint64_t floor)
{
        for (uint64_t free = free_memory(); free > floor; free = free_memory()) {
                size_t chunk = (size_t)MIN(free - floor, (uint64_t)CHUNK) & ~(size_t)4095;
                if (!chunk || mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
                                   0) == MAP_FAILED)
                        break;
        }
}

/* Twice: of the upper zone of memory at first, of the lower when that is full. */
static __attribute__((noreturn)) void fill(void)
{
        set("/proc/self/oom_score_adj", "1000");
        processors_each(give_lists_back);
        set("/proc/sys/vm/compact_memory", "1");
        take_free_memory(NEAR);
        processors_each(give_lists_back);
        take_free_memory(FLOOR);
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
        set("/proc/sys/vm/drop_caches", "3");
        slab_shrink();
        hold_back_least();
        fill_pages();
        hold_back_as_before();
        slab_scrub();
}
