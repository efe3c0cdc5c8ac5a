#include "job/variables.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/secret.h"
#include "base/str.h"
#include "job/mask.h"
#include "job/texts.h"

struct variables {
        struct map *env;
        struct strv paths;
        struct map *changed; /* of a fork: name to text */
        size_t first_path;   /* of a fork: the first folder that it added itself */
};

const struct map *variables_env(const struct variables *v)
{
        return v->env;
}

const struct strv *variables_paths(const struct variables *v)
{
        return &v->paths;
}

int variables_new(struct variables **ret, struct err *e)
{
        AUTO(variables_freep) struct variables *v = calloc(1, sizeof(*v));
        if (!v)
                return err_nomem(e);
        int r = texts_new(&v->env, e);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

struct variables *variables_free(struct variables *v)
{
        if (!v)
                return NULL;
        map_free(v->env);
        map_free(v->changed);
        strv_done(&v->paths);
        free(v);
        return NULL;
}

int variables_fork(const struct variables *from, struct variables **ret, struct err *e)
{
        AUTO(variables_freep) struct variables *v = NULL;
        int r = variables_new(&v, e);
        if (r == 0)
                r = texts_add(v->env, from->env, e);
        for (size_t i = 0; r == 0 && i < from->paths.n; i++)
                r = strv_add(&v->paths, from->paths.v[i], e);
        if (r == 0)
                r = texts_new(&v->changed, e);
        if (r < 0)
                return r;
        v->first_path = v->paths.n;
        *ret = TAKE_PTR(v);
        return 0;
}

int variables_set(struct variables *v, const char *name, const char *value, struct err *e)
{
        if (!*name || strchr(name, '='))
                return err_set(e, ERR_RUN_FAILED, "'%s' is no name of a variable", name);
        int r = texts_set(v->env, name, value, e);
        return r < 0 || !v->changed ? r : texts_set(v->changed, name, value, e);
}

int variables_add_path(struct variables *v, const char *folder, struct err *e)
{
        if (v->paths.n >= VARIABLES_MAX_PATHS)
                return err_set(e, ERR_RUN_FAILED, "at most %u folders of GITHUB_PATH in a job", VARIABLES_MAX_PATHS);
        return strv_add(&v->paths, folder, e);
}

void variables_settle(struct variables *fork)
{
        fork->env = map_free(fork->env);
}

int variables_join(struct variables *v, const struct variables *fork, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < map_count(fork->changed); i++)
                r = variables_set(v, map_key_at(fork->changed, i), map_value_at(fork->changed, i), e);
        for (size_t i = fork->first_path; r == 0 && i < fork->paths.n; i++)
                r = variables_add_path(v, fork->paths.v[i], e);
        return r;
}

/* When that cannot be told it may. */
static bool may_hold_secret(struct masks *m, const char *text)
{
        bool found = true;
        return masks_found(m, text, strlen(text), &found, NULL) < 0 || found;
}

void variables_forget(struct variables *v, struct masks *m)
{
        size_t kept = 0;
        for (size_t i = 0; i < map_count(v->env); i++) {
                char *text = map_value_at(v->env, i);
                if (may_hold_secret(m, text))
                        secret_wipe(text, strlen(text));
        }
        for (size_t i = 0; i < v->paths.n; i++) {
                if (may_hold_secret(m, v->paths.v[i]))
                        free(v->paths.v[i]);
                else
                        v->paths.v[kept++] = v->paths.v[i];
        }
        if (v->paths.n)
                v->paths.v[kept] = NULL;
        v->paths.n = kept;
}
