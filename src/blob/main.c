/* devdep-store: the artifacts of one run and the caches of one repository, for one job. Started by store_start() only;
 * man/devdep-store.8.
 *
 * Stages: 1. in its jail already: no network, nothing but two folders that it can write; 2. give up what only loading a
 * program needs; 3. open and clean the folders; 4. serve. It never executes anything. */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"
#include "blob/server.h"
#include "blob/store.h"
#include "codec/json.h"
#include "sandbox/sandbox.h"

static const char usage[] =
        "usage: devdep-store --artifacts FOLDER --run N --job KEY [--caches FOLDER --scope REF...]\n"
        "Serves docs/protocol-store.md on descriptor 3. Started by devdep-cli, in a jail.\n";

#define SOCKET_FD 3

struct options {
        const char *artifacts, *caches;
        struct store_server server;
};

static int add_scope(struct store_server *s, const char *scope, struct err *e)
{
        if (!cache_scope_is_valid(scope))
                return err_set(e, ERR_USAGE, "--scope: expected a full ref name, found '%s'", scope);
        if (s->n_scopes == STORE_MAX_SCOPES)
                return err_set(e, ERR_USAGE, "--scope: more than %u", STORE_MAX_SCOPES);
        s->scopes[s->n_scopes++] = scope;
        return 0;
}

static int take_option(struct options *o, const char *name, const char *value, struct err *e)
{
        const struct {
                const char *name;
                const char **value;
        } known[] = {{"--artifacts", &o->artifacts},
                     {"--caches", &o->caches},
                     {"--run", &o->server.run},
                     {"--job", &o->server.job}};
        if (!value)
                return err_set(e, ERR_USAGE, "%s: expected a value after it", name);
        if (str_eq(name, "--scope"))
                return add_scope(&o->server, value, e);
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
        if (r < 0)
                return r;
        if (!o->artifacts || !o->server.run || !o->server.job || !o->caches != !o->server.n_scopes)
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

static int work(struct options *o, struct err *e)
{
        json_init();
        int r = sandbox_filter_apply(SANDBOX_FILTER_STORE, e);
        if (r == 0)
                r = open_one(o->artifacts, STORE_ARTIFACTS, &o->server.artifacts, e);
        if (r == 0 && o->caches)
                r = open_one(o->caches, STORE_CACHES, &o->server.caches, e);
        if (r == 0)
                r = store_server_run(&o->server, e);
        else
                store_server_refuse(o->server.fd, e);
        store_free(o->server.artifacts);
        store_free(o->server.caches);
        return r;
}

int main(int argc, char **argv)
{
        struct options o = {.server = {.fd = SOCKET_FD}};
        struct err e = ERR_INIT;
        log_init("devdep-store", LOG_WARNING);
        if (argc == 2 && str_eq(argv[1], "--help"))
                return fputs(usage, stdout) < 0;
        if (argc == 2 && str_eq(argv[1], "--version"))
                return puts("devdep-store " DEVDEP_VERSION) < 0;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        int r = parse(argv, &o, &e);
        if (r == 0)
                r = work(&o, &e);
        /* A client that goes away in the middle knows why. */
        return r < 0 && e.code != ERR_CANCELLED ? log_final(&e) : 0;
}
