/* `uses: actions/setup-node`, built in. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/setup.h"

static const char probe[] =
        "k=path\n"
        "for p in \"$(command -v node)\" \"$RUNNER_TOOL_CACHE\"/node/*/x64/bin/node; do\n"
        "  [ -x \"$p\" ] && v=$(\"$p\" --version </dev/null) && printf '%s\\t%s\\t%s\\n' $k \"$p\" \"$v\"\n"
        "  k=other\n"
        "done\n"
        "true\n";

static int finish(struct setup *u, struct err *e)
{
        AUTO(auto_free) char *version = str_printf("v%s", u->chosen->text);
        return version ? setup_finish(u, "node-version", version, e) : err_nomem(e);
}

/* ---- the registry: a .npmrc that reads its token from the environment ---- */

static int on_written(const char *refusal, void *user, struct err *e)
{
        struct setup *u = user;
        int r = refusal ? err_set(e, ERR_RUN_FAILED, "write .npmrc: %s", refusal) : finish(u, e);
        return step_try(u->step, r, e);
}

/* The scope's name with its '@' and ':'. */
static int read_scope(struct setup *u, char **ret, struct err *e)
{
        AUTO(auto_free) char *scope = NULL;
        int r = inputs_text(u->step, "scope", &scope, e);
        if (r < 0)
                return r;
        *ret = scope ? str_printf("%s%s:", *scope == '@' ? "" : "@", scope) : str_dup("");
        return *ret ? 0 : err_nomem(e);
}

static int write_npmrc(struct setup *u, const char *registry, struct err *e)
{
        const struct job *j = u->step->job;
        AUTO(auto_free) char *path = str_printf("%s/.npmrc", context_temp(j->context)), *scope = NULL;
        bool always = false;
        int r = path ? read_scope(u, &scope, e) : err_nomem(e);
        if (r == 0)
                r = inputs_bool(u->step, "always-auth", false, &always, e);
        if (r == 0)
                r = setup_set_env(u, "NPM_CONFIG_USERCONFIG", path, e);
        if (r < 0)
                return r;
        const char *host = strstr(registry, "//"), *slash = str_ends(registry, "/") ? "" : "/";
        AUTO(auto_free)
        char *text = str_printf("%s%s:_authToken=${NODE_AUTH_TOKEN}\n%sregistry=%s%s\nalways-auth=%s\n",
                                host ? host : registry, slash, scope, registry, slash, always ? "true" : "false");
        return text ? op_write(j->ops, path, 0600, text, strlen(text), on_written, u, e) : err_nomem(e);
}

static int use(struct setup *u, struct err *e)
{
        AUTO(auto_free) char *folder = setup_folder_of(u->chosen->path), *registry = NULL;
        int r = folder ? inputs_text(u->step, "registry-url", &registry, e) : err_nomem(e);
        if (r == 0 && !str_eq(u->chosen->kind, "path"))
                r = step_add_path(u->step, folder, e);
        if (r == 0 && registry && strpbrk(registry, "\r\n"))
                r = err_set(e, ERR_RUN_FAILED, "with.registry-url: expected one line");
        return r < 0 ? r : registry ? write_npmrc(u, registry, e) : finish(u, e);
}

static int start(struct step *s, struct err *e)
{
        static const char *const known[] = {"node-version", "node-version-file", "registry-url",
                                            "scope",        "always-auth",       NULL},
                                 *const ignored[] = {"mirror", "mirror-token", "package-manager-cache", NULL};
        static const struct setup_tool tool = {.tool = TOOL_NODE,
                                               .what = "Node.js",
                                               .package = "nodejs",
                                               .version_input = "node-version",
                                               .file_input = "node-version-file",
                                               .known = known,
                                               .ignored = ignored,
                                               .probe = probe,
                                               .default_kind = "path",
                                               .use = use};
        return setup_start(s, &tool, e);
}

const struct builtin builtin_setup_node = {.name = "actions/setup-node", .start = start, .free = setup_free};
