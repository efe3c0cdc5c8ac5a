/* devdep-prepare: makes one VM ready for others: the template that clones are made from, or a parked clone that a job
 * can claim. The owner of a VM as devdep-job is, and confined like it before it reads the first byte of VMM or guest.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/options.h"
#include "codec/json.h"
#include "job/preparer.h"
#include "loop/loop.h"
#include "sandbox/confine.h"
#include "vm/vm.h"

enum { FD_VMM = 5, FD_CHANNEL, FD_LIFELINE, FD_SLOT = 10, FD_VMM_LOG, FD_OWNER };
enum { HAS_VMM_LOG = 4, HAS_OWNER }; /* places in `wanted` */

static const struct confine_fd wanted[] = {
        {FD_VMM, S_IFSOCK, 0, false, "VMM control"},      {FD_CHANNEL, S_IFSOCK, 0, false, "door channel"},
        {FD_LIFELINE, S_IFIFO, 0, false, "lifeline"},     {FD_SLOT, S_IFREG, 0, true, "slot lock"},
        {FD_VMM_LOG, S_IFREG, 0, true, "log of the VMM"}, {FD_OWNER, S_IFIFO, 0, true, "owner's pipe"},
};

#define MAX_FILE_SIZE (1u << 20) /* of standard error, should it be a file: nothing else is written */

struct options {
        enum preparer_mode mode;
        bool has_mode;
        uid_t uid;
        gid_t gid;
};

static const char usage[] =
        "usage: devdep-prepare --template | --park [--uid UID --gid GID]\n"
        "\n"
        "Makes one virtual machine ready for others. Started by devdep with descriptors:\n"
        "  5 VMM control   6 door channel   7 lifeline   10 slot lock   11 log of the VMM\n"
        "  12 a pipe whose hangup ends it, and with it the machine\n"
        "\n"
        "  --template           a booted machine: wait until its guest is ready, then save its state\n"
        "  --park               a clone: seed it, run its shells once, pause it\n"
        "  --uid UID --gid GID  the user to become; needed when root starts it\n"
        "  --help, --version\n";

static int read_mode(enum preparer_mode mode, struct options *o, struct err *e)
{
        if (o->has_mode)
                return err_set(e, ERR_USAGE, "one of --template and --park, once; see --help");
        o->mode = mode;
        o->has_mode = true;
        return 0;
}

static int take_option(int option, const char *value, void *user, struct err *e)
{
        struct options *o = user;

        if (option == 'u')
                return confine_read_id(value, "--uid", &o->uid, e);
        if (option == 'g')
                return confine_read_id(value, "--gid", &o->gid, e);
        return read_mode(option == 't' ? PREPARER_TEMPLATE : PREPARER_PARK, o, e);
}

/* 1: help or version was printed. */
static int read_options(int argc, char **argv, struct options *o, struct err *e)
{
        static const struct option known[] = {{"template", no_argument, NULL, 't'},
                                              {"park", no_argument, NULL, 'p'},
                                              {"uid", required_argument, NULL, 'u'},
                                              {"gid", required_argument, NULL, 'g'},
                                              {0}};
        static const struct options_of program = {"devdep-prepare", usage, known, take_option};
        int r = options_read(&program, argc, argv, o, e);

        if (r == 0 && !o->has_mode)
                return err_set(e, ERR_USAGE, "one of --template and --park is needed; see --help");
        return r;
}

/* Whoever wanted this VM may let go of the pipe without ending. */
static int on_owner(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io;
        (void)fd;
        (void)events;
        (void)user;
        return err_set(e, ERR_CANCELLED, "whoever wanted this VM has ended");
}

static int run(enum preparer_mode mode, struct vm_handle *vm, bool has_owner, struct err *e)
{
        struct loop *loop = NULL;
        struct preparer *p = NULL;
        struct loop_io *owner = NULL;
        int r = loop_new(&loop, e);
        if (r == 0)
                r = preparer_new(loop, mode, &vm_driver_qemu, vm, NULL, &p, e);
        if (r == 0 && has_owner)
                r = loop_io_new(loop, FD_OWNER, LOOP_READ, on_owner, NULL, &owner, e);
        if (r == 0)
                r = loop_run(loop, e);
        if (r == 0)
                r = preparer_result(p, e);
        preparer_free(p);
        loop_free(loop);
        return r;
}

int main(int argc, char **argv)
{
        struct err e = ERR_INIT;
        struct options o = {.uid = (uid_t)-1, .gid = (gid_t)-1};
        bool there[ARRAY_SIZE(wanted)];
        struct vm_handle vm = VM_HANDLE_INIT;
        struct sandbox_report report;
        log_init("devdep-prepare", LOG_WARNING);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        json_init();
        int r = read_options(argc, argv, &o, &e);
        const struct confine confine = {.name = "job",
                                        .filter = SANDBOX_FILTER_JOB,
                                        .fds = wanted,
                                        .n_fds = ARRAY_SIZE(wanted),
                                        .uid = o.uid,
                                        .gid = o.gid,
                                        .file_size = MAX_FILE_SIZE};
        if (r > 0)
                return 0;
        if (r == 0)
                r = confine_check(&confine, "devdep-prepare", there, &e);
        if (r == 0)
                r = confine_self(&confine, &report, &e);
        vm.control_fd = FD_VMM;
        vm.channel_fd = FD_CHANNEL;
        vm.lifeline_fd = FD_LIFELINE;
        vm.log_fd = r == 0 && there[HAS_VMM_LOG] ? FD_VMM_LOG : -1;
        if (r == 0)
                r = run(o.mode, &vm, there[HAS_OWNER], &e);
        return r < 0 ? log_final(&e) : 0;
}
