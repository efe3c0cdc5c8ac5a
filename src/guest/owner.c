#include "guest/owner.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "guest/packet.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINE 512

/* A socket's inode by its ports, out of one of the kernel's tables. 0: it is not there. The process waits for us with
 * the socket, so that its ports alone tell which it is. */
static unsigned long find_inode(const char *path, const struct packet *p)
{
        char line[MAX_LINE];
        unsigned long found = 0;
        FILE *f = fopen(path, "re");
        if (!f)
                return 0;
        while (!found && fgets(line, sizeof(line), f)) {
                unsigned from = 0, to = 0;
                unsigned long inode = 0;
                if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%x %*x %*x:%*x %*x:%*x %*x %*u %*u %lu", &from, &to,
                           &inode) != 3)
                        continue;
                if (from == p->from_port && (to == p->to_port || p->kind != PACKET_TCP))
                        found = inode;
        }
        fclose(f);
        return found;
}

static unsigned long socket_inode(const struct packet *p)
{
        static const char *const tables[][2] = {[PACKET_TCP] = {"/proc/net/tcp", "/proc/net/tcp6"},
                                                [PACKET_UDP] = {"/proc/net/udp", "/proc/net/udp6"},
                                                [PACKET_ECHO] = {"/proc/net/icmp", "/proc/net/icmp6"}};
        if (p->kind == PACKET_OTHER)
                return 0;
        /* A socket of version 6 may send by version 4. */
        unsigned long inode = p->from.v6 ? 0 : find_inode(tables[p->kind][0], p);
        return inode ? inode : find_inode(tables[p->kind][1], p);
}

static bool holds(pid_t pid, const char *link)
{
        char path[32], target[64];
        snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        AUTO(auto_closedir) DIR *d = opendir(path);
        for (struct dirent *entry; d && (entry = readdir(d));) {
                ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);
                target[MAX(n, 0)] = '\0';
                if (strcmp(target, link) == 0)
                        return true;
        }
        return false;
}

static size_t list_processes(pid_t v[OWNER_MAX_PROCESSES])
{
        AUTO(auto_closedir) DIR *d = opendir("/proc");
        size_t n = 0;
        for (struct dirent *entry; d && n < OWNER_MAX_PROCESSES && (entry = readdir(d));) {
                uint64_t pid;
                if (num_u64(entry->d_name, 2, INT32_MAX, "", &pid, NULL) == 0)
                        v[n++] = (pid_t)pid;
        }
        return n;
}

static void read_name(pid_t pid, char ret[OWNER_NAME])
{
        char path[32];
        snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, ret, OWNER_NAME - 1);
        ret[MAX(n, 0)] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
}

bool owner_find(const struct packet *p, struct owner *ret)
{
        static pid_t processes[OWNER_MAX_PROCESSES];
        char link[40];
        unsigned long inode = socket_inode(p);
        if (!inode)
                return false;
        snprintf(link, sizeof(link), "socket:[%lu]", inode);
        for (size_t n = list_processes(processes); n > 0; n--) {
                if (!holds(processes[n - 1], link))
                        continue;
                ret->pid = processes[n - 1];
                read_name(ret->pid, ret->name);
                return true;
        }
        return false;
}
