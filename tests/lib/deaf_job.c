/* In devdep-job's place: one that was taken over as soon as it was confined. It keeps what it was given, the lifeline
 * and the slot's lock among it, looks at nothing and never ends. Built with DEATHLESS it has also lost its death
 * signal, which no call that its filter leaves could do: so that what else ends its VM is seen. */
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "sandbox/confine.h"
#include "sandbox/sandbox.h"

/* As in src/job/main.c, and none of them optional. */
static const struct confine_fd wanted[] = {
        {3, S_IFREG, 0, false, "job specification"}, {4, S_IFREG, 0, false, "journal"},
        {5, S_IFSOCK, 0, false, "VMM control"},      {6, S_IFSOCK, 0, false, "door channel"},
        {7, S_IFIFO, 0, false, "lifeline"},          {8, S_IFSOCK, 0, true, "source socket"},
        {9, S_IFSOCK, 0, false, "control socket"},   {10, S_IFREG, 0, false, "slot lock"},
        {11, S_IFREG, 0, false, "log of the VMM"},   {12, S_IFIFO, 0, false, "owner's pipe"},
};

int main(int argc, char **argv)
{
        static const struct option known[] = {{"run-dir", required_argument, NULL, 'r'},
                                              {"uid", required_argument, NULL, 'u'},
                                              {"gid", required_argument, NULL, 'g'},
                                              {"vm", required_argument, NULL, 'm'},
                                              {0}};
        struct confine c = {.name = "job",
                            .filter = SANDBOX_FILTER_JOB,
                            .fds = wanted,
                            .n_fds = ARRAY_SIZE(wanted),
                            .uid = (uid_t)-1,
                            .gid = (gid_t)-1,
                            .file_size = 1 << 20};
        bool there[ARRAY_SIZE(wanted)];
        struct sandbox_report report;
        struct err e = ERR_INIT;
        int option, r = 0;

        log_init("deaf-job", LOG_WARNING);
        while (r == 0 && (option = getopt_long(argc, argv, "", known, NULL)) != -1) {
                if (option == 'r')
                        c.run_dir = optarg;
                else if (option == 'u')
                        r = confine_read_id(optarg, "--uid", &c.uid, &e);
                else if (option == 'g')
                        r = confine_read_id(optarg, "--gid", &c.gid, &e);
        }
#ifdef DEATHLESS
        prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
#endif
        if (r == 0)
                r = confine_check(&c, "deaf-job", there, &e);
        if (r == 0)
                r = confine_self(&c, &report, &e);
        if (r < 0)
                return log_final(&e);
        for (;;)
                poll(NULL, 0, -1);
}
