/* devdep-service: what a job reaches under http://results.devdep.internal. Started by store_start() only;
 * man/devdep-service.8.
 *
 * Stages: 1. in its jail already: no network, nothing but one folder that it can write and one that it can read; 2.
 * give up what only loading a program needs; 3. open and clean the folder; 4. serve. It never executes anything. */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "blob/args.h"
#include "blob/direct.h"
#include "blob/store.h"
#include "codec/json.h"
#include "loop/loop.h"
#include "sandbox/sandbox.h"
#include "service/artifacts.h"
#include "service/caches.h"
#include "service/server.h"
#include "service/services.h"

static const char usage[] =
        "usage: devdep-service --run N --job KEY --artifacts FOLDER --caches FOLDER --scope REF... --peer 4\n"
        "Serves docs/protocol-service.md on descriptor 3, and asks devdep-store on descriptor 4. Started by "
        "devdep-cli, "
        "in a jail.\n";

#define SOCKET_FD 3

static int check(const struct store_args *a, struct err *e)
{
        if (!a->artifacts || !a->caches || !a->run || !a->job || !a->n_scopes || !a->peer)
                return err_set(e, ERR_USAGE, "wrong arguments; devdep-service is started by devdep-cli");
        return 0;
}

static int serve(struct services *services, struct err *e)
{
        struct loop *loop = NULL;
        struct server *server = NULL;
        int r = loop_new(&loop, e);
        if (r == 0)
                r = server_new(loop, SOCKET_FD, services, &server, e);
        if (r == 0)
                r = loop_run(loop, e);
        server_free(server);
        loop_free(loop);
        return r;
}

static int serve_from(const struct store_args *a, struct store *store, struct err *e)
{
        struct services services = {0};
        struct store_direct *direct = NULL;
        int r = store_direct_new(STORE_PEER_FD, &direct, e);
        if (r == 0)
                r = uploads_new(store, &services.uploads, e);
        const struct caches_config caches = {.store = store,
                                             .uploads = services.uploads,
                                             .scopes = a->scopes,
                                             .n_scopes = a->n_scopes,
                                             .run = a->run,
                                             .job = a->job};
        const struct artifacts_config artifacts = {
                .folder = a->artifacts, .store = direct, .uploads = services.uploads};
        if (r == 0)
                r = caches_new(&caches, &services.caches, e);
        if (r == 0)
                r = artifacts_new(&artifacts, &services.artifacts, e);
        if (r == 0)
                r = serve(&services, e);
        artifacts_free(services.artifacts);
        caches_free(services.caches);
        uploads_free(services.uploads);
        store_direct_free(direct);
        return r;
}

static int work(const struct store_args *a, struct err *e)
{
        const struct store_config c = {
                .folder = a->caches, .kind = STORE_CACHES, .limits = STORE_LIMITS_CACHES, .writer = true};
        AUTO(store_freep) struct store *store = NULL;
        json_init();
        int r = sandbox_filter_apply(SANDBOX_FILTER_SERVICE, e);
        if (r == 0)
                r = store_open(&c, &store, e);
        if (r == STORE_E_MISSING)
                r = err_set(e, ERR_RESOURCES, "the folder %s is not there", a->caches);
        return r < 0 ? r : serve_from(a, store, e);
}

int main(int argc, char **argv)
{
        struct store_args args;
        struct err e = ERR_INIT;
        log_init("devdep-service", LOG_WARNING);
        if (argc == 2 && str_eq(argv[1], "--help"))
                return fputs(usage, stdout) < 0;
        if (argc == 2 && str_eq(argv[1], "--version"))
                return puts("devdep-service " DEVDEP_VERSION) < 0;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        int r = store_args_parse(argv, &args, &e);
        if (r == 0)
                r = check(&args, &e);
        if (r == 0)
                r = work(&args, &e);
        return r < 0 ? log_final(&e) : 0;
}
