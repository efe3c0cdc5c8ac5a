#include "guest/warm.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"
#include "guest/jobroot.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Shells with what they are linked to, and what names users and libraries. Links lead to where they lead in the image.
 */
static const char *const files[] = {
        "bin/sh",
        "bin/bash",
        "lib64/ld-linux-x86-64.so.2",
        "lib/x86_64-linux-gnu/libc.so.6",
        "lib/x86_64-linux-gnu/libtinfo.so.6",
        "lib/ld-musl-x86_64.so.1",
        "etc/ld.so.cache",
        "etc/passwd",
        "etc/group",
        "etc/nsswitch.conf",
};

/* Looked up when the job's root is made. */
static const char *const folders[] = {
        "proc", "sys", "dev", "run", "tmp", "var/tmp", "etc", "home/runner", &JOBROOT_WORKSPACE[1]};

static int open_in(int image, const char *path, uint64_t flags)
{
        struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
        return (int)syscall(SYS_openat2, image, path, &how, sizeof(how));
}

static void read_whole(int image, const char *path)
{
        static uint8_t data[64u << 10];
        AUTO(auto_close) int fd = open_in(image, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return;
        for (size_t done = 0; done < WARM_MAX_FILE;) {
                ssize_t n = read(fd, data, sizeof(data));
                if (n <= 0)
                        break;
                done += (size_t)n;
        }
}

void warm_up(const char *image)
{
        AUTO(auto_close) int dir = open(image, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
                fd_close(open_in(dir, folders[i], O_PATH));
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                read_whole(dir, files[i]);
}
