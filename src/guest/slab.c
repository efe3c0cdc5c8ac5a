#include "guest/slab.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"
#include "guest/processors.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CACHES "/sys/kernel/slab"
#define LARGEST 8192u
#define KEY_HEAD 24u     /* struct user_key_payload before its data */
#define MESSAGE_HEAD 48u /* struct msg_msg before its text; one piece has at most a page */
#define LARGEST_MESSAGE 4096u
#define DATAGRAM_TAIL 320u /* struct skb_shared_info behind its text */
#define MAX_PIECES 20000u  /* of a cache: a bound, never reached */
#define BATCH 16u
#define GROWTHS 3u
#define MAX_NAME 32u
#define GC_WAITS 250u /* for keys to be gone: 5 s */
#define GC_WAIT_US 20000u

static const unsigned sizes[] = {32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, LARGEST};

/* Zero bytes as a message of SysV has them, the largest. */
static struct {
        long type;
        char text[LARGEST];
} zeros = {.type = 1};

/* How many objects a cache has, free ones included; 0: there is no such cache, or nobody says. */
static unsigned long objects_of(const char *cache)
{
        char line[256], name[MAX_NAME];
        unsigned long active, all = 0, found = 0;
        FILE *f = fopen("/proc/slabinfo", "re");
        while (f && !found && fgets(line, sizeof(line), f))
                if (sscanf(line, "%31s %lu %lu", name, &active, &all) == 3 && strcmp(name, cache) == 0)
                        found = all;
        if (f)
                fclose(f);
        return found;
}

/* Take pieces of a cache until it has to grow: then none of those that were free is. It may grow for others meanwhile,
 * so that once proves nothing. */
static void take_all(const char *cache, unsigned size, int (*take)(unsigned size))
{
        unsigned long all = objects_of(cache);
        unsigned grown = 0;
        for (unsigned i = 0; all && grown < GROWTHS && i < MAX_PIECES; i++) {
                if (take(size) < 0)
                        return;
                unsigned long now = i % BATCH ? all : objects_of(cache);
                if (now > all) {
                        all = now;
                        grown++;
                }
        }
}

static int take_key(unsigned size)
{
        static unsigned n;
        char name[32];
        snprintf(name, sizeof(name), "%u", n++);
        return syscall(SYS_add_key, "user", name, zeros.text, (size_t)(size - KEY_HEAD), KEY_SPEC_SESSION_KEYRING) < 0
                       ? -1
                       : 0;
}

static int queue = -1;

static int take_message(unsigned size)
{
        return queue < 0 || size < MESSAGE_HEAD ? -1 : msgsnd(queue, &zeros, size - MESSAGE_HEAD, IPC_NOWAIT);
}

static int datagrams[2] = {-1, -1};

static int take_datagram(unsigned size)
{
        return send(datagrams[0], zeros.text, size - DATAGRAM_TAIL, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static unsigned keys_of_root(void)
{
        char text[256] = {0};
        unsigned usage, keys = 0;
        AUTO(auto_close) int fd = open("/proc/key-users", O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
                (void)sscanf(text, " 0: %u %u/", &usage, &keys);
        return keys;
}

/* The kernel zeroes what was a key's, by and by. */
static void give_keys_back(unsigned before)
{
        syscall(SYS_keyctl, KEYCTL_CLEAR, KEY_SPEC_SESSION_KEYRING);
        for (unsigned i = 0; i < GC_WAITS && keys_of_root() > before; i++)
                usleep(GC_WAIT_US);
}

static void write_text(const char *path, const char *text)
{
        AUTO(auto_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
                (void)!write(fd, text, strlen(text));
}

void slab_shrink(void)
{
        char path[512];
        DIR *d = opendir(CACHES);
        for (const struct dirent *entry; d && (entry = readdir(d));) {
                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), CACHES "/%s/shrink", entry->d_name);
                write_text(path, "1");
        }
        if (d)
                closedir(d);
}

static void cache_name(const char *kind, unsigned size, char ret[MAX_NAME])
{
        bool kib = size >= 1024;
        snprintf(ret, MAX_NAME, "%s-%u%s", kind, kib ? size / 1024 : size, kib ? "k" : "");
}

static void take_everything(void)
{
        char cache[MAX_NAME];
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                cache_name("kmalloc", sizes[i], cache);
                take_all(cache, sizes[i], take_key);
                cache_name("kmalloc-cg", sizes[i], cache);
                take_all(cache, sizes[i], sizes[i] > LARGEST_MESSAGE ? take_datagram : take_message);
        }
}

/* In namespaces of their own, whose limits are nobody else's. */
static void open_queues(void)
{
        static const int room = 256 << 20;
        if (unshare(CLONE_NEWIPC) == 0) {
                write_text("/proc/sys/kernel/msgmnb", "268435456");
                queue = msgget(IPC_PRIVATE, 0600);
        }
        if (unshare(CLONE_NEWNET) == 0) {
                write_text("/proc/sys/net/unix/max_dgram_qlen", "1000000");
                if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, datagrams) == 0)
                        setsockopt(datagrams[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
        }
}

static void close_queues(void)
{
        if (queue >= 0)
                msgctl(queue, IPC_RMID, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(datagrams); i++)
                datagrams[i] = fd_close(datagrams[i]);
}

void slab_scrub(void)
{
        slab_shrink();
        syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
        unsigned keys = keys_of_root();
        open_queues();
        processors_each(take_everything); /* each has a slab of its own */
        close_queues();
        give_keys_back(keys);
}
