#include "source/config.h"

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "source/names.h"

#include <stdlib.h>
#include <string.h>

/* Extensions that do not change how objects, refs and the index are read. */
static const char *const harmless[] = {"noop", "noop-v1", "preciousobjects", "worktreeconfig"};

static int set_extension(struct repo_config *c, const char *name, const char *value, struct err *e)
{
        if (str_eq(name, "objectformat")) {
                c->hex_len = str_ieq(value, "sha256") ? 64 : str_ieq(value, "sha1") ? 40 : 0;
                if (!c->hex_len)
                        return err_set(e, ERR_USAGE, "the repository's object format is neither sha1 nor sha256");
                return 0;
        }
        if (str_eq(name, "partialclone")) {
                c->partial = true;
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
                if (str_eq(name, harmless[i]))
                        return 0;
        return err_set(e, ERR_USAGE,
                       "the repository uses a git extension that devdep does not know (extensions.* in .git/config)");
}

static bool is_true(const char *value)
{
        return !value || str_ieq(value, "true") || str_ieq(value, "yes") || str_ieq(value, "on") || str_eq(value, "1");
}

static int set_copy(char **slot, const char *value, struct err *e)
{
        free(*slot);
        *slot = str_dup(value);
        return *slot ? 0 : err_nomem(e);
}

/* value is NULL for a key without '='. Keys arrive in lower case but for the middle part. */
static int set_entry(struct repo_config *c, const char *key, const char *value, struct err *e)
{
        const char *text = value ? value : "";
        if (str_eq(key, "core.repositoryformatversion") && !str_eq(text, "0") && !str_eq(text, "1"))
                return err_set(e, ERR_USAGE, "the repository's format version is neither 0 nor 1");
        if (str_eq(key, "core.bare"))
                c->bare = is_true(value);
        if (str_eq(key, "core.worktree"))
                return set_copy(&c->worktree, text, e);
        if (str_starts(key, "extensions."))
                return set_extension(c, key + strlen("extensions."), text, e);
        if (str_eq(key, "remote.origin.url") && !c->remote_url)
                return url_public(text, &c->remote_url, e);
        if (str_starts(key, "remote.") && str_ends(key, ".promisor"))
                c->partial |= is_true(value);
        return 0;
}

int repo_config_parse(const void *data, size_t len, struct repo_config *ret, struct err *e)
{
        *ret = (struct repo_config){.hex_len = 40};
        for (const char *at = data, *end = at + len; at < end;) {
                const char *stop = memchr(at, '\0', (size_t)(end - at));
                if (!stop)
                        return err_set(e, ERR_USAGE, "the repository's configuration is cut short");
                const char *value = memchr(at, '\n', (size_t)(stop - at));
                char key[256];
                size_t n = (size_t)((value ? value : stop) - at);
                if (n < sizeof(key)) { /* no key of ours is longer */
                        memcpy(key, at, n);
                        key[n] = '\0';
                        int r = set_entry(ret, key, value ? value + 1 : NULL, e);
                        if (r < 0)
                                return r;
                }
                at = stop + 1;
        }
        return 0;
}

void repo_config_done(struct repo_config *c)
{
        free(c->worktree);
        free(c->remote_url);
        *c = (struct repo_config){0};
}
