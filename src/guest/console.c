#include "guest/console.h"

#include "base/cleanup.h"
#include "base/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINE 512
#define OPEN_TRIES 200
#define OPEN_PAUSE_NS 5000000L

/* The device of a console that virtio_console brings appears some milliseconds after the module was loaded. */
static int open_console(int flags)
{
        for (unsigned i = 0; i < OPEN_TRIES; i++) {
                int fd = open("/dev/console", flags | O_CLOEXEC | O_NOCTTY);
                if (fd >= 0)
                        return fd;
                nanosleep(&(struct timespec){.tv_nsec = OPEN_PAUSE_NS}, NULL);
        }
        return open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

static void say(const struct err *e)
{
        char line[MAX_LINE];
        int n = snprintf(line, sizeof(line) - 1, "devdep-guest: fatal: %s", e->msg);
        size_t len = n < (int)sizeof(line) - 1 ? (size_t)n : sizeof(line) - 2;
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)line[i] < ' ' || line[i] == 127)
                        line[i] = '?';
        line[len++] = '\n';
        AUTO(auto_close) int fd = open_console(O_WRONLY | O_NONBLOCK);
        if (fd >= 0 && write(fd, line, len) < 0)
                return; /* nobody is left to be told */
}

void console_die(const struct err *e)
{
        say(e);
        reboot(RB_POWER_OFF);
        for (;;)
                pause();
}

void console_attach(void)
{
        int fd = open("/dev/console", O_RDWR | O_NOCTTY);
        if (fd < 0)
                fd = open("/dev/null", O_RDWR);
        for (int to = 0; fd >= 0 && to <= 2; to++)
                dup2(fd, to);
        if (fd > 2)
                close(fd);
}
