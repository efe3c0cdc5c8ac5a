/* devdep-job: one job in one VM. See ARCHITECTURE.md "How a job starts" for its descriptors.
 *
 * Stages: 1. take the descriptors over and check what they are; 2. confine: no path, no network, no privilege, a
 * filter; 3. only then read the specification, which a repository wrote, and the first byte of the guest; 4. run the
 * loop; 5. exit with the status of the verdict. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/options.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "job/control.h"
#include "job/job.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/spec.h"
#include "loop/loop.h"
#include "sandbox/confine.h"
#include "vm/vm.h"

enum {
        FD_SPEC = 3,
        FD_JOURNAL,
        FD_VMM,
        FD_CHANNEL,
        FD_LIFELINE,
        FD_SOURCE,
        FD_CONTROL,
        FD_SLOT,
        FD_VMM_LOG,
        FD_OWNER,
        FD_LEASH,
        FD_STORE,
        FD_BROKER,
        FD_SECRETS,
        FD_VALUES,
        FD_SERVICE,
};

#define MAX_FILE_SIZE (2 * JOURNAL_MAX_BYTES) /* of the journal, the only file it writes */

static const struct confine_fd wanted[] = {
        {FD_SPEC, S_IFREG, S_IFIFO, false, "job specification"},
        {FD_JOURNAL, S_IFREG, S_IFIFO, false, "journal"},
        {FD_VMM, S_IFSOCK, 0, false, "VMM control"},
        {FD_CHANNEL, S_IFSOCK, 0, false, "door channel"},
        {FD_LIFELINE, S_IFIFO, 0, false, "lifeline"},
        {FD_SOURCE, S_IFSOCK, 0, true, "source socket"},
        {FD_CONTROL, S_IFSOCK, 0, true, "control socket"},
        {FD_SLOT, S_IFREG, 0, true, "slot lock"},
        {FD_VMM_LOG, S_IFREG, 0, true, "log of the VMM"},
        {FD_OWNER, S_IFIFO, 0, true, "owner's pipe"},
        {FD_LEASH, S_IFIFO, 0, true, "leash"}, /* kept open, when whoever started us may be restarted */
        {FD_STORE, S_IFSOCK, 0, true, "store socket"},
        {FD_BROKER, S_IFSOCK, 0, true, "broker socket"},
        {FD_SECRETS, S_IFSOCK, 0, true, "secrets socket"},
        {FD_VALUES, S_IFREG, 0, true, "memory file of secrets"},
        {FD_SERVICE, S_IFSOCK, 0, true, "service socket"},
};

struct options {
        const char *run_dir;
        enum vm_origin origin;
        uid_t uid;
        gid_t gid;
};

static const char usage[] =
        "usage: devdep-job [--run-dir DIR] [--vm ORIGIN] [--uid UID --gid GID]\n"
        "\n"
        "Runs one job in one virtual machine. Started by devdep-cli with descriptors:\n"
        "  3 job specification   4 journal (a terminal or pipe: descriptor 4 may be standard output)\n"
        "  5 VMM control   6 door channel   7 lifeline   8 source socket   9 control socket\n"
        "  10 slot lock   11 log of the VMM   12 a pipe whose hangup ends the job   13 leash\n"
        "  14 store socket   15 broker socket   16 secrets socket   17 memory file of secrets\n"
        "  18 service socket\n"
        "\n"
        "  --run-dir DIR        the only folder it still sees, read-only\n"
        "  --vm ORIGIN          how the machine came to be: booted (default), cloned, parked\n"
        "  --uid UID --gid GID  the user to become; needed when root starts it\n"
        "  --help, --version\n";

static int take_option(int option, const char *value, void *user, struct err *e)
{
        struct options *o = user;

        if (option == 'm')
                return vm_origin_parse(value, &o->origin, e);
        if (option == 'u')
                return confine_read_id(value, "--uid", &o->uid, e);
        if (option == 'g')
                return confine_read_id(value, "--gid", &o->gid, e);
        o->run_dir = value;
        return 0;
}

/* 1: help or version was printed. */
static int read_options(int argc, char **argv, struct options *o, struct err *e)
{
        static const struct option known[] = {{"run-dir", required_argument, NULL, 'r'},
                                              {"vm", required_argument, NULL, 'm'},
                                              {"uid", required_argument, NULL, 'u'},
                                              {"gid", required_argument, NULL, 'g'},
                                              {0}};
        static const struct options_of program = {"devdep-job", usage, known, take_option};

        return options_read(&program, argc, argv, o, e);
}

/* An append-only journal is what makes its offsets stable for readers. */
static int check_journal(struct err *e)
{
        struct stat st;
        int flags = fcntl(FD_JOURNAL, F_GETFL);
        if (fstat(FD_JOURNAL, &st) == 0 && S_ISREG(st.st_mode) && !(flags & O_APPEND))
                return err_set(e, ERR_USAGE, "descriptor 4 (journal) is not open for append");
        return 0;
}

static int read_spec(struct spec **ret, char digest[HASH_HEX_SIZE + 8], struct err *e)
{
        struct buf b = BUF_INIT;
        uint8_t hash[HASH_SIZE];
        int r = fd_read_all(FD_SPEC, SPEC_MAX_SIZE, "job specification", &b, e);
        if (r == 0)
                r = hash_bytes(b.data, b.len, hash, e);
        if (r == 0) {
                memcpy(digest, "sha256:", 7);
                hash_hex(hash, digest + 7);
                r = spec_parse(b.data, b.len, ret, e);
        }
        buf_wipe(&b);
        close(FD_SPEC);
        return r;
}

/* Whoever must not be outlived holds the other end: it is gone, so the VM ends at once. */
static int on_owner(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)fd;
        (void)events;
        job_kill(user);
        return loop_io_set(io, 0, e);
}

/* The verdict is in the journal, where whoever started us reads it: standard error is for what kept us from one. */
static int run(struct job_config *config, bool has_control, bool has_owner, int *ret_status, struct err *e)
{
        struct job *job = NULL;
        struct control *control = NULL;
        struct loop_io *owner = NULL;
        int r = job_new(config, &job, e);
        if (r == 0 && has_control)
                r = control_new(config->loop, FD_CONTROL, job, &control, e);
        if (r == 0 && has_owner)
                r = loop_io_new(config->loop, FD_OWNER, LOOP_READ, on_owner, job, &owner, e);
        if (r == 0)
                r = loop_run(config->loop, e);
        if (r == 0 && !job_is_done(job))
                r = err_set(e, ERR_RESOURCES, "the job ended without a verdict");
        if (r == 0)
                *ret_status = err_info(job_verdict(job)->code)->status;
        loop_io_free(owner);
        control_free(control);
        job_free(job);
        return r;
}

static int work(const struct options *o, int *ret_status, struct err *e)
{
        bool there[ARRAY_SIZE(wanted)];
        char digest[HASH_HEX_SIZE + 8];
        struct vm_handle vm = VM_HANDLE_INIT;
        const struct confine confine = {.name = "job",
                                        .filter = SANDBOX_FILTER_JOB,
                                        .fds = wanted,
                                        .n_fds = ARRAY_SIZE(wanted),
                                        .run_dir = o->run_dir,
                                        .uid = o->uid,
                                        .gid = o->gid,
                                        .file_size = MAX_FILE_SIZE};
        struct sandbox_report report = {0};
        struct job_config config = {.spec_digest = digest, .vm = &vm, .driver = &vm_driver_qemu, .report = &report};
        AUTO(spec_freep) struct spec *spec = NULL;
        json_wipe_memory();
        int r = confine_check(&confine, "devdep-job", there, e);
        if (r == 0)
                r = check_journal(e);
        if (r == 0)
                r = confine_self(&confine, &report, e);
        if (r == 0)
                r = read_spec(&spec, digest, e);
        if (r < 0)
                return r;
        vm.control_fd = FD_VMM;
        vm.channel_fd = FD_CHANNEL;
        vm.lifeline_fd = FD_LIFELINE;
        vm.origin = o->origin;
        vm.log_fd = there[FD_VMM_LOG - FD_SPEC] ? FD_VMM_LOG : -1;
        config.spec = spec;
        config.source_fd = there[FD_SOURCE - FD_SPEC] ? FD_SOURCE : -1;
        config.store_fd = there[FD_STORE - FD_SPEC] ? FD_STORE : -1;
        config.broker_fd = there[FD_BROKER - FD_SPEC] ? FD_BROKER : -1;
        config.secrets_fd = there[FD_SECRETS - FD_SPEC] ? FD_SECRETS : -1;
        config.values_fd = there[FD_VALUES - FD_SPEC] ? FD_VALUES : -1;
        config.service_fd = there[FD_SERVICE - FD_SPEC] ? FD_SERVICE : -1;
        r = masks_new(&config.masks, e);
        if (r == 0)
                r = journal_new(FD_JOURNAL, config.masks, &config.journal, e);
        if (r == 0)
                r = loop_new(&config.loop, e);
        if (r == 0)
                r = run(&config, there[FD_CONTROL - FD_SPEC], there[FD_OWNER - FD_SPEC], ret_status, e);
        loop_free(config.loop);
        journal_free(config.journal);
        masks_free(config.masks);
        return r;
}

int main(int argc, char **argv)
{
        struct err e = ERR_INIT;
        struct options o = {.uid = (uid_t)-1, .gid = (gid_t)-1};
        log_init("devdep-job", LOG_WARNING);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        int status = 0, r = read_options(argc, argv, &o, &e);
        if (r > 0)
                return 0;
        if (r == 0)
                r = work(&o, &status, &e);
        return r < 0 ? log_final(&e) : status;
}
