#include "blob/args.h"

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"

static int add_scope(struct store_args *a, const char *scope, struct err *e)
{
        if (!cache_scope_is_valid(scope))
                return err_set(e, ERR_USAGE, "--scope: expected a full ref name, found '%s'", scope);
        if (a->n_scopes == STORE_MAX_SCOPES)
                return err_set(e, ERR_USAGE, "--scope: more than %u", STORE_MAX_SCOPES);
        a->scopes[a->n_scopes++] = scope;
        return 0;
}

static int take(struct store_args *a, const char *name, const char *value, struct err *e)
{
        const struct {
                const char *name;
                const char **value;
        } known[] = {{"--artifacts", &a->artifacts}, {"--caches", &a->caches}, {"--run", &a->run}, {"--job", &a->job}};
        if (!value)
                return err_set(e, ERR_USAGE, "%s: expected a value after it", name);
        if (str_eq(name, "--scope"))
                return add_scope(a, value, e);
        if (str_eq(name, "--peer")) {
                uint64_t fd;
                a->peer = true;
                return num_u64(value, STORE_PEER_FD, STORE_PEER_FD, name, &fd, e);
        }
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (!str_eq(name, known[i].name))
                        continue;
                *known[i].value = value;
                return 0;
        }
        return err_set(e, ERR_USAGE, "unknown argument '%s'", name);
}

int store_args_parse(char **argv, struct store_args *ret, struct err *e)
{
        int r = 0;
        *ret = (struct store_args){0};
        for (int i = 1; r == 0 && argv[i]; i += 2)
                r = take(ret, argv[i], argv[i + 1], e);
        return r;
}
