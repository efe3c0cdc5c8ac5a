#include "vm/priority.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "vm/qemu.h"

int priority_idle(struct err *e)
{
        const struct sched_param none = {0};

        if (geteuid() == 0 && sched_setscheduler(0, SCHED_IDLE, &none) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "prepare at idle priority");
        return 0;
}

static int set_thread(const char *name, void *user, struct err *e)
{
        const struct sched_param none = {0};
        pid_t tid = (pid_t)strtol(name, NULL, 10);

        (void)user;
        /* A thread that has ended needs none. */
        if (sched_setscheduler(tid, SCHED_OTHER, &none) < 0 && errno != ESRCH)
                return err_errno(e, ERR_RESOURCES, errno, "give thread %s its priority back", name);
        return 0;
}

static int set_process(pid_t pid, struct err *e)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        int r = fs_list(path, set_thread, NULL, e);
        return r == FS_E_MISSING ? err_set(e, ERR_GUEST_LOST, "the VMM has ended") : r;
}

int priority_normal(pid_t jail, struct err *e)
{
        pid_t init = 0, vmm = 0;

        if (geteuid() != 0)
                return 0;
        int r = qemu_vmm(jail, &init, &vmm, e);
        if (r == 0)
                r = set_process(jail, e);
        if (r == 0)
                r = set_process(init, e);
        /* The main thread starts the others: it goes first, so that none inherits what the others are rid of. */
        return r == 0 ? set_process(vmm, e) : r;
}
