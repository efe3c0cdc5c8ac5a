#include "guest/channel.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "guest/boot.h"
#include "wire/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS "/sys/class/virtio-ports"
#define RETRY_NS 5000000L

static bool port_is_door(const char *port)
{
        char path[320], name[64] = "";
        snprintf(path, sizeof(path), PORTS "/%s/name", port);
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, name, sizeof(name) - 1) <= 0)
                return false;
        name[strcspn(name, "\n")] = 0;
        return str_eq(name, GUEST_PORT_NAME);
}

static int open_port(int *ret)
{
        AUTO(auto_closedir) DIR *d = opendir(PORTS);
        for (struct dirent *entry; d && (entry = readdir(d));) {
                char path[320];
                if (entry->d_name[0] == '.' || !port_is_door(entry->d_name))
                        continue;
                snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                *ret = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
                return *ret < 0 ? -1 : 0;
        }
        return -1;
}

/* This machine's context id; -1 without a vsock device. */
static int own_cid(uint32_t *ret)
{
        AUTO(auto_close) int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, ret) < 0)
                return -1;
        return *ret > VMADDR_CID_HOST && *ret != VMADDR_CID_ANY ? 0 : -1;
}

/* Each guest's port is its own context id: the host gives out both at once. */
static int open_vsock(int *ret)
{
        uint32_t own;
        if (own_cid(&own) < 0)
                return -1;
        AUTO(auto_close) int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_vm address = {
                .svm_family = AF_VSOCK,
                .svm_cid = VMADDR_CID_HOST,
                .svm_port = own,
        };
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -1;
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return -1;
        *ret = TAKE_FD(fd);
        return 0;
}

int channel_open(int *ret, struct err *e)
{
        uint64_t start = clock_mono_ms();
        bool vsock = false;
        do {
                if (open_port(ret) == 0)
                        return 0;
                if (!vsock && clock_mono_ms() - start >= CHANNEL_VSOCK_MS) {
                        int r = boot_modules(BOOT_MODULES_FOLDER, BOOT_MODULES_VSOCK, e);
                        if (r < 0)
                                return r;
                        vsock = true;
                }
                if (vsock && open_vsock(ret) == 0)
                        return 0;
                /* A port's name and device node follow its bus device by some milliseconds, without an event on sysfs.
                 */
                nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
        } while (clock_mono_ms() - start < CHANNEL_WAIT_MS);
        return err_set(e, ERR_VM_BOOT_FAILED,
                       "found no virtio-serial port named " GUEST_PORT_NAME " and no vsock host that listens");
}
