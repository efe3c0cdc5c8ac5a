/* The guest of the VM tests: loads the virtio modules, writes the ready record to the door, then does what the door or
 * the kernel command line says. Static, built by tools/test-guest. Words, one byte each, from the door: p poweroff   r
 * reboot   c panic   w write the scratch disk until it fails   s serials of the disks
 * d look at volume and input anew, and write to the volume   any other byte is echoed */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void load_modules(void)
{
        FILE *f = fopen("/modules/order", "re");
        char line[128], path[160];

        while (f && fgets(line, sizeof(line), f)) {
                line[strcspn(line, "\n")] = '\0';
                snprintf(path, sizeof(path), "/modules/%s", line);
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
                        printf("module %s: %s\n", line, strerror(errno));
                close(fd);
        }
        if (f)
                fclose(f);
}

/* The port's name is in sysfs. */
static int open_door(void)
{
        for (int tries = 0; tries < 500; tries++) {
                DIR *d = opendir("/sys/class/virtio-ports");
                struct dirent *e;
                char path[300], name[64];
                while (d && (e = readdir(d))) {
                        snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
                        int fd = open(path, O_RDONLY | O_CLOEXEC);
                        ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
                        close(fd);
                        if (n < 11 || strncmp(name, "devdep.door", 11))
                                continue;
                        snprintf(path, sizeof(path), "/dev/%s", e->d_name);
                        closedir(d);
                        return open(path, O_RDWR | O_CLOEXEC);
                }
                if (d)
                        closedir(d);
                usleep(10000);
        }
        return -1;
}

static char fill_disk(void)
{
        static char data[1 << 20];
        int fd = open("/dev/vdb", O_WRONLY | O_CLOEXEC);
        char verdict = 'E';

        memset(data, 0x5a, sizeof(data));
        if (fd < 0)
                return 'N';
        while (write(fd, data, sizeof(data)) > 0)
                if (fsync(fd) < 0) {
                        verdict = errno == EIO ? 'I' : 'S';
                        break;
                }
        close(fd);
        return verdict;
}

static void serials(int door)
{
        for (char c = 'a'; c <= 'd'; c++) {
                char path[64], text[64] = "";
                snprintf(path, sizeof(path), "/sys/block/vd%c/serial", c);
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                ssize_t n = fd < 0 ? -1 : read(fd, text, 30);
                close(fd);
                text[n < 0 ? 0 : n] = '\n';
                if (write(door, text, (size_t)(n < 0 ? 0 : n) + 1) < 0)
                        return;
        }
}

static void write_word(const char *path, const char *word)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, word, strlen(word)) < 0)
                printf("%s: %s\n", path, strerror(errno));
        close(fd);
}

/* What a clone's disk is it learns by asking its device again: the driver lets go of it and takes it up. */
static void ask_again(char disk)
{
        char path[64], link[256];

        snprintf(path, sizeof(path), "/sys/block/vd%c/device", disk);
        ssize_t n = readlink(path, link, sizeof(link) - 1);
        link[n < 0 ? 0 : n] = '\0';
        const char *device = strrchr(link, '/');
        if (!device)
                return;
        write_word("/sys/bus/virtio/drivers/virtio_blk/unbind", device + 1);
        write_word("/sys/bus/virtio/drivers/virtio_blk/bind", device + 1);
}

/* "c SIZE FIRST-BYTES WRITABLE\n" */
static void look(int door, char disk)
{
        char path[16], text[128], bytes[9] = "";
        unsigned long long size = 0;

        snprintf(path, sizeof(path), "/dev/vd%c", disk);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, BLKGETSIZE64, &size) == 0 && pread(fd, bytes, 8, 0) < 0)
                bytes[0] = '\0';
        close(fd);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        int writable = fd >= 0 && pwrite(fd, "written!", 8, 4096) == 8 && fsync(fd) == 0;
        close(fd);
        int n = snprintf(text, sizeof(text), "%c %llu %s %d\n", disk, size, bytes, writable);
        if (write(door, text, (size_t)n) < 0)
                puts("the door does not take an answer");
}

static void disks(int door)
{
        for (char disk = 'c'; disk <= 'd'; disk++) {
                ask_again(disk);
                look(door, disk);
        }
}

static void obey(int door, char c)
{
        sync();
        if (c == 'p')
                reboot(RB_POWER_OFF);
        if (c == 'r')
                reboot(RB_AUTOBOOT);
        if (c == 'c') {
                puts("about to panic");
                fflush(stdout);
                _exit(1); /* init ends: the kernel panics */
        }
        if (c == 'w')
                c = fill_disk();
        if (c == 's')
                serials(door);
        else if (c == 'd')
                disks(door);
        else if (write(door, &c, 1) != 1)
                puts("the door does not take an answer");
}

/* The console's port is announced by a message of its own, some time after the module was loaded. */
static void take_console(void)
{
        for (int tries = 0; tries < 500; tries++) {
                int fd = open("/dev/hvc0", O_RDWR | O_CLOEXEC);
                if (fd >= 0) {
                        dup2(fd, 1);
                        dup2(fd, 2);
                        return;
                }
                usleep(10000);
        }
}

int main(void)
{
        static const char ready[32] = "DEVDEP-GUEST\0\0\0\0\0\1";
        char c;

        mount("proc", "/proc", "proc", 0, NULL);
        mount("sysfs", "/sys", "sysfs", 0, NULL);
        mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
        setvbuf(stdout, NULL, _IONBF, 0);
        load_modules();
        int door = open_door();
        take_console();
        puts("test guest: up");
        if (door < 0 || write(door, ready, sizeof(ready)) != sizeof(ready)) {
                printf("no door: %s\n", strerror(errno));
                reboot(RB_POWER_OFF);
        }
        for (;;) {
                if (read(door, &c, 1) == 1)
                        obey(door, c);
                else
                        usleep(10000);
        }
}
