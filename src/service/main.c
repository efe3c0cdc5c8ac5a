/* devdep-service: what a job reaches under http://results.devdep.internal. Started by store_start() only;
 * man/devdep-service.8.
 *
 * Stages: 1. in its jail already: no network, nothing but one folder that it can write; 2. give up what only loading a
 * program needs; 3. open and clean the folder; 4. serve. It never executes anything. */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"
#include "blob/store.h"
#include "codec/json.h"
#include "loop/loop.h"
#include "sandbox/sandbox.h"
#include "service/caches.h"
#include "service/server.h"

static const char usage[] = "usage: devdep-service --run N --job KEY --caches FOLDER --scope REF...\n"
                            "Serves docs/protocol-service.md on descriptor 3. Started by devdep-cli, in a jail.\n";

#define SOCKET_FD 3

struct options {
        const char *caches, *run, *job;
        const char *scopes[STORE_MAX_SCOPES];
        size_t n_scopes;
};

static int add_scope(struct options *o, const char *scope, struct err *e)
{
        if (!cache_scope_is_valid(scope))
                return err_set(e, ERR_USAGE, "--scope: expected a full ref name, found '%s'", scope);
        if (o->n_scopes == STORE_MAX_SCOPES)
                return err_set(e, ERR_USAGE, "--scope: more than %u", STORE_MAX_SCOPES);
        o->scopes[o->n_scopes++] = scope;
        return 0;
}

static int take_option(struct options *o, const char *name, const char *value, struct err *e)
{
        const struct {
                const char *name;
                const char **value;
        } known[] = {{"--caches", &o->caches}, {"--run", &o->run}, {"--job", &o->job}};
        if (!value)
                return err_set(e, ERR_USAGE, "%s: expected a value after it", name);
        if (str_eq(name, "--scope"))
                return add_scope(o, value, e);
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (!str_eq(name, known[i].name))
                        continue;
                *known[i].value = value;
                return 0;
        }
        return err_set(e, ERR_USAGE, "unknown argument '%s'", name);
}

static int parse(char **argv, struct options *o, struct err *e)
{
        int r = 0;
        for (int i = 1; r == 0 && argv[i]; i += 2)
                r = take_option(o, argv[i], argv[i + 1], e);
        if (r == 0 && (!o->caches || !o->run || !o->job || !o->n_scopes))
                r = err_set(e, ERR_USAGE, "an argument is missing; devdep-service is started by devdep-cli");
        return r;
}

static int serve(const struct options *o, struct store *store, struct err *e)
{
        const struct caches_config config = {
                .store = store, .scopes = o->scopes, .n_scopes = o->n_scopes, .run = o->run, .job = o->job};
        struct caches *caches = NULL;
        struct loop *loop = NULL;
        struct server *server = NULL;
        int r = caches_new(&config, &caches, e);
        if (r == 0)
                r = loop_new(&loop, e);
        if (r == 0)
                r = server_new(loop, SOCKET_FD, caches, &server, e);
        if (r == 0)
                r = loop_run(loop, e);
        server_free(server);
        loop_free(loop);
        caches_free(caches);
        return r;
}

static int work(const struct options *o, struct err *e)
{
        const struct store_config c = {
                .folder = o->caches, .kind = STORE_CACHES, .limits = STORE_LIMITS_CACHES, .writer = true};
        AUTO(store_freep) struct store *store = NULL;
        json_init();
        int r = sandbox_filter_apply(SANDBOX_FILTER_SERVICE, e);
        if (r == 0)
                r = store_open(&c, &store, e);
        if (r == STORE_E_MISSING)
                r = err_set(e, ERR_RESOURCES, "the folder %s is not there", o->caches);
        return r < 0 ? r : serve(o, store, e);
}

int main(int argc, char **argv)
{
        struct options o = {0};
        struct err e = ERR_INIT;
        log_init("devdep-service", LOG_WARNING);
        if (argc == 2 && str_eq(argv[1], "--help"))
                return fputs(usage, stdout) < 0;
        if (argc == 2 && str_eq(argv[1], "--version"))
                return puts("devdep-service " DEVDEP_VERSION) < 0;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        int r = parse(argv, &o, &e);
        if (r == 0)
                r = work(&o, &e);
        return r < 0 ? log_final(&e) : 0;
}
