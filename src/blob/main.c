/* devdep-store: the artifacts of one run and the caches of one repository, for one job. Started by store_start() only;
 * man/devdep-store.8.
 *
 * Stages: 1. in its jail already: no network, nothing but two folders that it can write; 2. give up what only loading a
 * program needs; 3. open and clean the folders; 4. serve. It never executes anything. */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "blob/args.h"
#include "blob/server.h"
#include "blob/store.h"
#include "codec/json.h"
#include "sandbox/sandbox.h"

static const char usage[] =
        "usage: devdep-store --artifacts FOLDER --run N --job KEY [--caches FOLDER --scope REF...] [--peer 4]\n"
        "Serves docs/protocol-store.md on descriptor 3, and devdep-service on descriptor 4. Started by devdep-cli, in "
        "a jail.\n";

#define SOCKET_FD 3

static int check(const struct store_args *a, struct err *e)
{
        if (!a->artifacts || !a->run || !a->job || !a->caches != !a->n_scopes)
                return err_set(e, ERR_USAGE, "an argument is missing; devdep-store is started by devdep-cli");
        return 0;
}

static int open_one(const char *folder, enum store_kind kind, struct store **ret, struct err *e)
{
        static const struct store_limits limits[] = {
                [STORE_ARTIFACTS] = STORE_LIMITS_ARTIFACTS, [STORE_CACHES] = STORE_LIMITS_CACHES};
        const struct store_config c = {.folder = folder, .kind = kind, .limits = limits[kind], .writer = true};
        int r = store_open(&c, ret, e);
        return r == STORE_E_MISSING ? err_set(e, ERR_RESOURCES, "the folder %s is not there", folder) : r;
}

static int work(const struct store_args *a, struct err *e)
{
        struct store_server server = {.fd = SOCKET_FD,
                                      .service_fd = a->peer ? STORE_PEER_FD : -1,
                                      .scopes = a->scopes,
                                      .n_scopes = a->n_scopes,
                                      .run = a->run,
                                      .job = a->job};
        json_init();
        int r = sandbox_filter_apply(SANDBOX_FILTER_STORE, e);
        if (r == 0)
                r = open_one(a->artifacts, STORE_ARTIFACTS, &server.artifacts, e);
        if (r == 0 && a->caches)
                r = open_one(a->caches, STORE_CACHES, &server.caches, e);
        if (r == 0)
                r = store_server_run(&server, e);
        else
                store_server_refuse(&server, e);
        store_free(server.artifacts);
        store_free(server.caches);
        return r;
}

int main(int argc, char **argv)
{
        struct store_args args;
        struct err e = ERR_INIT;
        log_init("devdep-store", LOG_WARNING);
        if (argc == 2 && str_eq(argv[1], "--help"))
                return fputs(usage, stdout) < 0;
        if (argc == 2 && str_eq(argv[1], "--version"))
                return puts("devdep-store " DEVDEP_VERSION) < 0;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        int r = store_args_parse(argv, &args, &e);
        if (r == 0)
                r = check(&args, &e);
        if (r == 0)
                r = work(&args, &e);
        /* A client that goes away in the middle knows why. */
        return r < 0 && e.code != ERR_CANCELLED ? log_final(&e) : 0;
}
