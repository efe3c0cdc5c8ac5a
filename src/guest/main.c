/* devdep-guest, process 1 of the microVM. Theory of operation:
 *
 *   boot      kernel file systems, modules, the root disk behind verity, the channel. Nothing is random yet and nothing
 * is written: a template is stopped here. ready     the ready record was sent; everything but `seed` is refused. seeded
 * random device, clock and names are this guest's own; the scratch disk has a key; jobs have a root.
 *
 * It never returns: what cannot go on says why on the console and powers the machine off. */
#include "base/err.h"
#include "guest/boot.h"
#include "guest/cgroup.h"
#include "guest/channel.h"
#include "guest/console.h"
#include "guest/devices.h"
#include "guest/guest.h"
#include "guest/modprobe.h"
#include "guest/rootdisk.h"
#include "guest/warm.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static int boot(struct guest *g, struct err *e)
{
        struct boot_root root;
        int r = boot_mounts(e);
        r = r < 0 ? r : boot_modules(BOOT_MODULES_FOLDER, BOOT_MODULES_MOST, e);
        console_attach();
        r = r < 0 ? r : boot_root_read(&root, e);
        r = r < 0 ? r : rootdisk_mount(&root, GUEST_IMAGE, e);
        r = r < 0 ? r : scratch_prepare(&g->scratch, e);
        r = r < 0 ? r : cgroup_init(e);
        r = r < 0 ? r : devices_deny_disks(CGROUP_JOB, e);
        if (r == 0)
                warm_up(GUEST_IMAGE);
        return r < 0 ? r : channel_open(&g->channel, e);
}

int main(int argc, char **argv)
{
        static struct guest guest = {.channel = -1, .job = JOBROOT_INIT};
        struct err e = ERR_INIT;
        (void)argc;
        signal(SIGPIPE, SIG_IGN);
        if (getpid() != 1)
                return modprobe_main(argv);
        umask(0); /* every mode below is meant */
        int r = boot(&guest, &e);
        if (r == 0)
                guest_run(&guest, &e);
        console_die(&e);
}
