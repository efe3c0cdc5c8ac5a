#include "vm/image_orphans.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define POLL_NS 5000000L

void image_orphans_adopt(bool *ret_before)
{
        int before = 0;

        prctl(PR_GET_CHILD_SUBREAPER, &before, 0, 0, 0);
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        *ret_before = before != 0;
}

void image_orphans_restore(bool before)
{
        prctl(PR_SET_CHILD_SUBREAPER, before, 0, 0, 0);
}

/* Who made a user namespace may kill in it. */
static void kill_children(void)
{
        char path[64];
        long pid;

        snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
        FILE *f = fopen(path, "re");
        if (!f)
                return;
        while (fscanf(f, "%ld", &pid) == 1)
                kill((pid_t)pid, SIGKILL);
        fclose(f);
}

bool image_orphans_end(void)
{
        const struct timespec nap = {.tv_nsec = POLL_NS};
        uint64_t deadline = clock_mono_ms() + IMAGE_ORPHANS_MS;

        for (;;) {
                pid_t pid;
                kill_children();
                while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
                        ;
                if (pid < 0 && errno == ECHILD)
                        return true;
                if (clock_mono_ms() >= deadline)
                        return false;
                nanosleep(&nap, NULL);
        }
}
