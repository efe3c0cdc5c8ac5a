#include "guest/modprobe.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "guest/jobroot.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define NAMESPACE "/run/job-root" /* the job's mount namespace, held by a mount */
#define PROGRAM "/init"           /* this program, in the initramfs */

int modprobe_serve(const struct jobroot *j, struct err *e)
{
        char from[64];
        snprintf(from, sizeof(from), "/proc/self/fd/%d", j->mnt_ns);
        AUTO(auto_close) int target = open(NAMESPACE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (target < 0 || mount(from, NAMESPACE, NULL, MS_BIND, NULL) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "keep the job's root at " NAMESPACE);
        AUTO(auto_close) int fd = open("/proc/sys/kernel/modprobe", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, PROGRAM, strlen(PROGRAM)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "name the kernel's modprobe");
        return 0;
}

int modprobe_main(char **argv)
{
        static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        static char name[] = "modprobe"; /* kmod looks at it to know what it is */
        char *const env[] = {path, NULL};
        AUTO(auto_close) int ns = open(NAMESPACE, O_RDONLY | O_CLOEXEC);
        if (ns < 0 || setns(ns, CLONE_NEWNS) < 0)
                return 1;
        argv[0] = name;
        execve("/sbin/modprobe", argv, env);
        return 1;
}
