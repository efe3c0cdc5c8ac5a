#include "guest/identity.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "guest/ip.h"
#include "guest/reseed.h"
#include "guest/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Over what is there: a claim waits for this, and cutting a file to nothing first costs the file system several
 * milliseconds when emulated. */
static int write_in_place(int folder, const char *name, const char *text, mode_t mode, struct err *e)
{
        off_t len = (off_t)strlen(text);
        struct stat st;
        int fd_raw = -1;
        int r = fs_open_beneath(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, mode, false, &fd_raw, e);
        if (r != 0)
                return r < 0 ? r : err_set(e, ERR_RESOURCES, "open %s", name);
        AUTO(auto_close) int fd = fd_raw;
        r = fd_write_all(fd, text, (size_t)len, name, e);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0 || (st.st_size != len && ftruncate(fd, len) < 0))
                return err_errno(e, ERR_RESOURCES, errno, "set the size of %s", name);
        if ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the mode of %s", name);
        return 0;
}

int identity_apply(const struct seed *s, struct err *e)
{
        int r = reseed_kernel(s->entropy, e);
        if (r < 0)
                return r;
        struct timespec now = {.tv_sec = (time_t)(s->time_ns / 1000000000u),
                               .tv_nsec = (long)(s->time_ns % 1000000000u)};
        if (clock_settime(CLOCK_REALTIME, &now) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the clock");
        if (sethostname(s->hostname, strlen(s->hostname)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the host name");
        char text[SEED_BOOT_ID + 2];
        snprintf(text, sizeof(text), "%s\n", s->boot_id);
        return write_in_place(AT_FDCWD, &IDENTITY_BOOT_ID[1], text, 0444, e);
}

int identity_write_etc(int etc, const struct seed *s, struct err *e)
{
        char text[512];
        snprintf(text, sizeof(text), "%s\n", s->machine_id);
        int r = write_in_place(etc, "machine-id", text, 0444, e);
        snprintf(text, sizeof(text), "%s\n", s->hostname);
        r = r < 0 ? r : write_in_place(etc, "hostname", text, 0644, e);
        snprintf(text, sizeof(text), "127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost ip6-loopback\n",
                 s->hostname);
        r = r < 0 ? r : write_in_place(etc, "hosts", text, 0644, e);
        return r < 0 ? r : write_in_place(etc, "resolv.conf", "nameserver " IP_RESOLVER "\n", 0644, e);
}
