/* devdep-cli run: options to a session. */
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/egress.h"
#include "cli/host.h"
#include "cli/session.h"
#include "cli/shape.h"
#include "codec/json.h"
#include "vm/probe.h"

static int parse_vm(const struct args *a, struct session_options *ret, struct err *e)
{
        const char *accel = args_get(a, "accel"), *driver = args_get(a, "driver");
        const char *transport = args_get(a, "transport");

        if (vm_accel_parse(accel ? accel : "auto", &ret->accel, e) < 0)
                return err_wrap(e, -1, "--accel");
        if (vm_transport_parse(transport ? transport : "serial", &ret->transport, e) < 0)
                return err_wrap(e, -1, "--transport");
        if (vm_driver_find(driver ? driver : "qemu", &ret->driver, e) < 0)
                return err_wrap(e, -1, "--driver");
        return 0;
}

static int read_secrets(const struct args *a, const char ***named, struct secret_options *ret, struct err *e)
{
        while (args_get_nth(a, "secret", ret->n_named))
                ret->n_named++;
        *named = calloc(ret->n_named + 1, sizeof(**named));
        if (!*named)
                return err_nomem(e);
        for (size_t i = 0; i < ret->n_named; i++)
                (*named)[i] = args_get_nth(a, "secret", i);
        ret->named = *named;
        ret->file = args_get(a, "secrets");
        return 0;
}

static int run_run(const struct args *a, struct err *e)
{
        const char *jobs = args_get(a, "jobs");
        AUTO(auto_free) const char **named = NULL;
        uint64_t n = 0;
        struct session_options o = {
                .image = args_get(a, "image"),
                .color = args_get(a, "color"),
                .progress = args_get(a, "progress"),
                .cold = args_has(a, "cold"),
                .no_pool = args_has(a, "no-pool"),
                .keep_going = args_has(a, "keep-going"),
                .shell_on_failure = args_has(a, "shell-on-failure"),
                .json = args_has(a, "json"),
                .vault = args_get(a, "vault"),
                .mirrors = args_get(a, "mirrors"),
                .egress_report = args_get(a, "egress-report"),
                .egress_syslog = args_has(a, "egress-syslog"),
        };

        if (launch_options(a, &o.launch, e) < 0 || read_secrets(a, &named, &o.secrets, e) < 0)
                return -1;
        if (jobs && num_u64(jobs, 1, HOST_MAX_JOBS, "--jobs", &n, e) < 0)
                return -1;
        o.jobs = (unsigned)n;
        if (shape_parse(a, &o.shape, e) < 0 || parse_vm(a, &o, e) < 0)
                return -1;
        if (o.shell_on_failure && (o.json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
                return err_set(e, ERR_USAGE, "%s: --shell-on-failure needs a terminal, and no --json", a->path);
        AUTO(json_decrefp) struct json_t *egress = NULL;
        if (egress_options(a, &egress, e) < 0)
                return -1;
        o.egress = egress;
        return session_run(&o, e);
}

static const struct command_option options[] = {
        {"workflow", 'W', "FILE", "run this workflow file, whatever event it names", false},
        {"dir", 0, "DIR", "the repository (default: the current folder's)", false},
        {"job", 0, "ID", "run this job and what it needs", false},
        {"event", 0, "NAME", "the event that selects workflows (default: push)", false},
        {"event-file", 0, "FILE", "the event's payload, a JSON object as GitHub sends it", false},
        {"input", 0, "NAME=VALUE", "an input; the event is then workflow_dispatch unless --event names another", true},
        {"image", 0, "NAME", "use this image for every job, whatever runs-on says", false},
        {"var", 0, "NAME=VALUE", "a variable (vars.NAME); ENVIRONMENT/NAME=VALUE: for the jobs of one environment",
         true},
        {"var-file", 0, "FILE", "variables, a NAME=VALUE a line; those below [ENVIRONMENT] are of one environment",
         false},
        {"actions", 0, "DIR", "the mirror of actions (default: STATE/actions.conf says where)", false},
        {"secret", 0, "NAME", "a secret, its value from standard input; NAME@N: from descriptor N", true},
        {"secrets", 0, "FILE", "secrets, NAME=VALUE lines in a file that nobody else can read", false},
        {"vault", 0, "FILE", "how this host signs in to Vault (default: STATE/vault.conf)", false},
        {"keep-going", 'k', NULL, "after a failure still start jobs that do not depend on it", false},
        {"shell-on-failure", 0, NULL, "open a shell in the guest of a job that failed", false},
        {"json", 0, NULL, "print events as JSON Lines instead of text", false},
        {"jobs", 'j', "N", "run at most N jobs at a time (default: by processors and memory)", false},
        {"cpus", 0, "N", "virtual processors of each guest (default: 2)", false},
        {"memory", 0, "SIZE", "memory of each guest (default: 2G)", false},
        {"scratch", 0, "SIZE", "disk of each guest (default: 16G)", false},
        {"profile", 0, "FILE", "go by this profile instead of the repository's " PROFILE_FILE, false},
        {"no-profile", 0, NULL, "go by no profile", false},
        {"environment", 0, "NAME", "the environment of the profile (default: none)", false},
        {"egress", 0, "PROFILE", "what guests may reach: sealed (default), brokered (with --allow), audit", false},
        {"allow", 0, "ENTRY", "NAME[:PORT], *.NAME[:PORT] or ADDRESS/PREFIX:PORT that guests may reach", true},
        {"on-violation", 0, "WHAT", "of a connection that is not allowed: fail (default) the job, or warn", false},
        {"mirrors", 0, "FILE", "the package mirrors of every guest (default: STATE/mirrors.conf)", false},
        {"egress-report", 0, "FILE", "write every outgoing connection to FILE, as JSON Lines", false},
        {"egress-syslog", 0, NULL, "send every outgoing connection to syslog", false},
        {"cold", 0, NULL, "boot every guest instead of cloning it from a template", false},
        {"no-pool", 0, NULL, "take no parked guest of a devdep-pool", false},
        {"accel", 0, "NAME", "auto (default), kvm or tcg", false},
        {"transport", 0, "NAME",
         "how the guest is reached: serial (default), vsock, or auto: vsock where a guest answers on it", false},
        {"driver", 0, "NAME", "the driver of virtual machines (default: qemu)", false},
        {"color", 0, "WHEN", "auto (default), always or never", false},
        {"progress", 0, "WHEN", "say what runs during silence: auto (on a terminal), always, never", false},
};

const struct command command_run = {
        .name = "run",
        .summary = "Run a repository's workflows, each job in a microVM of its own",
        .options = options,
        .n_options = ARRAY_SIZE(options),
        .details =
                "Without -W every workflow in .github/workflows, .forgejo/workflows and .gitea/workflows that the\n"
                "event selects is run. The guests see the working tree: tracked files as they are now, and new ones\n"
                "that are not ignored. What the repository's devdep.yaml asks for holds where no option says "
                "otherwise;\n"
                "see devdep.yaml(5). Logs are kept: see 'devdep-cli runs' and 'devdep-cli logs'.\n"
                "Ctrl-C cancels, and steps with 'if: always()' still run; a second one ends the guests at once.",
        .examples = "  devdep-cli run\n  devdep-cli run -W ci.yml --job test\n"
                    "  devdep-cli run --dir ~/src/hello --keep-going\n"
                    "  devdep-cli run --json | jq -r 'select(.type == \"run_finished\").conclusion'\n",
        .run = run_run,
};
