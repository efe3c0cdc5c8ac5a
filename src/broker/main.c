/* devdep-broker: the outgoing connections of one job. See broker.h; man/devdep-broker.8.
 *
 * Stages: 1. check the descriptors, read this host's resolver configuration; 2. confine: no path, no privilege, a
 * filter; 3. only then read the policy, which a repository wrote, and the first byte of devdep-job; 4. run the loop. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/options.h"
#include "broker/broker.h"
#include "broker/limits.h"
#include "broker/start.h"
#include "codec/json.h"
#include "loop/loop.h"
#include "net/policy.h"
#include "net/resolve.h"
#include "sandbox/confine.h"

enum { FD_JOB = BROKER_FD_SOCKET, FD_POLICY = BROKER_FD_POLICY, FD_REPORT = BROKER_FD_REPORT };

static const struct confine_fd wanted[] = {
        {FD_JOB, S_IFSOCK, 0, false, "socket to devdep-job"},
        {FD_POLICY, S_IFREG, 0, false, "egress policy"},
        {FD_REPORT, S_IFIFO, 0, true, "pipe for the protections that hold"},
};

#define MAX_FILE_SIZE ((uint64_t)1 << 20) /* it writes its standard error only */

static const char usage[] = "usage: devdep-broker [--uid UID --gid GID]\n"
                            "\n"
                            "Makes the outgoing connections of one job. Started by devdep-cli with descriptors:\n"
                            "  3 socket to devdep-job   4 egress policy (sealed)   5 pipe: the protections that hold\n"
                            "\n"
                            "  --uid UID --gid GID  the user to become; needed when root starts it\n"
                            "  --help, --version\n";

struct options {
        uid_t uid;
        gid_t gid;
};

static int take_option(int option, const char *value, void *user, struct err *e)
{
        struct options *o = user;

        if (option == 'u')
                return confine_read_id(value, "--uid", &o->uid, e);
        return confine_read_id(value, "--gid", &o->gid, e);
}

/* 1: help or version was printed. */
static int read_options(int argc, char **argv, struct options *o, struct err *e)
{
        static const struct option known[] = {
                {"uid", required_argument, NULL, 'u'}, {"gid", required_argument, NULL, 'g'}, {0}};
        static const struct options_of program = {"devdep-broker", usage, known, take_option};

        return options_read(&program, argc, argv, o, e);
}

/* Once, and of a file that nobody can change any more. */
static int read_policy(struct policy **ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(json_decrefp) json_t *object = NULL;
        int seals = fcntl(FD_POLICY, F_GET_SEALS);

        if (seals < 0 || !(seals & F_SEAL_WRITE))
                return err_set(e, ERR_USAGE, "descriptor %d (egress policy) is not sealed", FD_POLICY);
        int r = fd_read_all(FD_POLICY, BROKER_MAX_POLICY, "egress policy", &text, e);
        if (r == 0)
                r = json_parse(text.data, text.len, BROKER_MAX_POLICY, "egress policy", &object, e);
        if (r == 0)
                r = policy_from_json(object, ret, e);
        close(FD_POLICY);
        return r;
}

static int serve(struct resolver *resolver, struct err *e)
{
        AUTO(policy_freep) struct policy *policy = NULL;
        struct loop *loop = NULL;
        struct broker *broker = NULL;
        int r = read_policy(&policy, e);

        if (r == 0)
                r = loop_new(&loop, e);
        if (r == 0)
                r = resolver_attach(resolver, loop, e);
        if (r == 0)
                r = broker_new(loop, FD_JOB, policy, resolver, &broker, e);
        if (r == 0)
                r = loop_run(loop, e);
        broker_free(broker);
        resolver_free(resolver);
        loop_free(loop);
        return r;
}

static int tell_protections(const struct sandbox_report *report, struct err *e)
{
        int r = sandbox_report_send(FD_REPORT, report, e);

        close(FD_REPORT);
        return r;
}

static int work(const struct options *o, struct err *e)
{
        bool there[ARRAY_SIZE(wanted)];
        struct resolver *resolver = NULL;
        struct sandbox_report report;
        const struct confine confine = {.name = "broker",
                                        .filter = SANDBOX_FILTER_BROKER,
                                        .host_network = true,
                                        .fds = wanted,
                                        .n_fds = ARRAY_SIZE(wanted),
                                        .uid = o->uid,
                                        .gid = o->gid,
                                        .file_size = MAX_FILE_SIZE};
        int r = confine_check(&confine, "devdep-broker", there, e);

        json_init();
        tzset(); /* the first look at a certificate's dates would open /etc/localtime */
        if (r == 0)
                r = resolver_new(&resolver, e);
        if (r == 0)
                r = confine_self(&confine, &report, e);
        if (r == 0 && there[FD_REPORT - FD_JOB])
                r = tell_protections(&report, e);
        if (r < 0) {
                resolver_free(resolver);
                return r;
        }
        return serve(resolver, e);
}

int main(int argc, char **argv)
{
        struct err e = ERR_INIT;
        struct options o = {.uid = (uid_t)-1, .gid = (gid_t)-1};
        log_init("devdep-broker", LOG_WARNING);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        int r = read_options(argc, argv, &o, &e);
        if (r > 0)
                return 0;
        if (r == 0)
                r = work(&o, &e);
        return r < 0 ? log_final(&e) : 0;
}
