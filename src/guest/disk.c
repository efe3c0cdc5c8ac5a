#include "guest/disk.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_DISKS 4
#define SERIAL_SIZE 32

static bool serial_is(unsigned index, const char *role)
{
        char path[64], serial[SERIAL_SIZE] = "", expected[SERIAL_SIZE];
        snprintf(path, sizeof(path), "/sys/block/vd%c/serial", (char)('a' + index));
        snprintf(expected, sizeof(expected), "devdep-%s", role);
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, serial, sizeof(serial) - 1) <= 0)
                return false;
        serial[strcspn(serial, "\n")] = 0;
        return str_eq(serial, expected);
}

int disk_find(const char *role, unsigned position, char *ret, size_t size, struct err *e)
{
        for (unsigned i = 0; i < MAX_DISKS; i++)
                if (serial_is(i, role))
                        position = i;
        snprintf(ret, size, "/dev/vd%c", (char)('a' + position));
        AUTO(auto_close) int fd = open(ret, O_RDONLY | O_CLOEXEC);
        uint64_t bytes = 0;
        if (fd < 0 && (errno == ENOENT || errno == ENXIO))
                return DISK_E_MISSING;
        if (fd < 0)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "open %s", ret);
        int r = disk_size(fd, &bytes, e);
        return r < 0 ? r : bytes ? 0 : DISK_E_MISSING;
}

int disk_size(int fd, uint64_t *ret, struct err *e)
{
        return ioctl(fd, BLKGETSIZE64, ret) < 0 ? err_errno(e, ERR_VM_BOOT_FAILED, errno, "read a disk's size") : 0;
}
