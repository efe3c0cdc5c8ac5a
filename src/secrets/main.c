/* devdep-secrets: what one job may know, from who keeps it. Started by secrets_start() only; man/devdep-secrets.8.
 *
 * Stages: 1. take the descriptors; 2. what loads code or opens files is done; 3. a filter without either; 4. serve. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "codec/json.h"
#include "http/http.h"
#include "sandbox/sandbox.h"
#include "secrets/limits.h"
#include "secrets/order.h"
#include "secrets/server.h"
#include "secrets/start.h"
#include "secrets/values.h"

static const char usage[] = "usage: devdep-secrets [--check] [--network]\n"
                            "Serves docs/protocol-secrets.md on descriptor 4. Started by devdep-cli, in a jail.\n";

CLEANUP_DEFINE(struct values, values_free)
CLEANUP_DEFINE(struct http, http_free)

static int read_order(struct order **ret, struct err *e)
{
        struct buf b = BUF_INIT;
        int r = fd_read_all(SECRETS_FD_ORDER, SECRETS_MAX_ORDER, "the order", &b, e);
        if (r == 0)
                r = order_parse(b.data, b.len, ret, e);
        buf_done(&b);
        return r;
}

struct options {
        bool check, network;
};

/* Beside its jail's: what it did itself. */
static int tell_protections(bool check, struct err *e)
{
        struct sandbox_report report = {0};

        if (fcntl(SECRETS_FD_REPORT, F_GETFD) < 0)
                return 0;
        report.held[SANDBOX_NO_DUMPS].state = SANDBOX_OK;
        report.held[SANDBOX_SECCOMP].state = SANDBOX_OK;
        if (!check)
                report.held[SANDBOX_LOCKED_MEMORY].state = SANDBOX_OK;
        int r = sandbox_report_send(SECRETS_FD_REPORT, &report, e);
        close(SECRETS_FD_REPORT);
        return r;
}

static int work(const struct options *o, struct err *e)
{
        AUTO(http_freep) struct http *http = NULL;
        AUTO(order_freep) struct order *order = NULL;
        AUTO(values_freep) struct values *values = NULL;
        AUTO(secret_area_done) struct secret_area area = SECRET_AREA_INIT;
        AUTO(secret_view_done) struct secret_view credentials = {0};
        int r = secret_no_dumps(e);
        if (r == 0)
                r = secret_view_open(SECRETS_FD_CREDENTIALS, SECRETS_MAX_CREDENTIALS, &credentials, e);
        if (r == 0 && !o->check)
                r = secret_area_take(SECRETS_FD_VALUES, &area, e);
        if (r == 0 && !o->check)
                r = values_new(area.data, area.size, &values, e);
        if (r == 0 && o->network)
                r = http_new(&http, e);
        if (r == 0)
                r = sandbox_filter_apply(SANDBOX_FILTER_SECRETS, e);
        if (r == 0)
                r = tell_protections(o->check, e);
        if (r == 0)
                r = read_order(&order, e);
        const struct server_config config = {.fd = SECRETS_FD_SOCKET,
                                             .values = values,
                                             .order = order,
                                             .credentials = credentials.data,
                                             .credentials_size = credentials.size,
                                             .http = http};
        return r < 0 ? r : server_run(&config, e);
}

static int read_options(char **argv, struct options *o, struct err *e)
{
        for (char **a = argv + 1; *a; a++) {
                if (str_eq(*a, "--check"))
                        o->check = true;
                else if (str_eq(*a, "--network"))
                        o->network = true;
                else
                        return err_set(e, ERR_USAGE, "unknown argument '%s'; see --help", *a);
        }
        return 0;
}

int main(int argc, char **argv)
{
        struct err e = ERR_INIT;
        struct options o = {0};
        log_init("devdep-secrets", LOG_WARNING);
        if (argc == 2 && str_eq(argv[1], "--help"))
                return fputs(usage, stdout) < 0;
        if (argc == 2 && str_eq(argv[1], "--version"))
                return puts("devdep-secrets " DEVDEP_VERSION) < 0;
        signal(SIGPIPE, SIG_IGN);
        int r = read_options(argv, &o, &e);
        if (r == 0)
                r = http_init(&e);
        if (r == 0)
                json_wipe_memory();
        if (r == 0)
                r = work(&o, &e);
        return r < 0 ? log_final(&e) : 0;
}
