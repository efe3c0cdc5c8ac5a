/* The actions that are built in, and the inputs of the real ones. What an input does is the job's to say: src/job has a
 * file for each action. Some mean nothing where nothing is fetched and no credential exists. */
#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "codec/uses.h"
#include "workflow/plan.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SETUP "architecture", "cache", "cache-dependency-path", "check-latest", "token"
#define CACHE                                                                                                          \
        "path", "key", "restore-keys", "fail-on-cache-miss", "lookup-only", "save-always", "upload-chunk-size",        \
                "enableCrossOsArchive"

const struct plan_builtin plan_builtins[] = {
        {.name = "actions/checkout",
         .inputs = LIST("repository", "ref", "path", "clean", "fetch-depth", "fetch-tags", "submodules",
                        "sparse-checkout", "sparse-checkout-cone-mode", "lfs", "token", "ssh-key", "ssh-known-hosts",
                        "ssh-strict", "ssh-user", "persist-credentials", "show-progress", "set-safe-directory",
                        "reference", "filter", "github-server-url", "allow-unsafe-pr-checkout")},
        {.name = "actions/upload-artifact",
         .inputs = LIST("name", "path", "if-no-files-found", "retention-days", "compression-level", "overwrite",
                        "include-hidden-files")},
        {.name = "actions/download-artifact",
         .inputs = LIST("name", "artifact-ids", "path", "pattern", "merge-multiple", "repository", "run-id",
                        "github-token")},
        {.name = "actions/cache", .inputs = LIST(CACHE)},
        {.name = "actions/cache/restore", .inputs = LIST(CACHE)},
        {.name = "actions/cache/save", .inputs = LIST("path", "key", "upload-chunk-size", "enableCrossOsArchive")},
        {.name = "actions/setup-node",
         .inputs = LIST("node-version", "node-version-file", "registry-url", "scope", "always-auth", SETUP, "mirror",
                        "mirror-token", "package-manager-cache")},
        {.name = "actions/setup-python",
         .inputs = LIST("python-version", "python-version-file", "update-environment", SETUP, "allow-prereleases"),
         .refused = LIST("freethreaded", "pip-version", "pip-install")},
        {.name = "actions/setup-go", .inputs = LIST("go-version", "go-version-file", SETUP, "go-download-base-url")},
        {.name = "actions/setup-java",
         .inputs = LIST("java-version", "java-version-file", "distribution", "java-package", "set-default", SETUP,
                        "server-id", "server-username", "server-password", "settings-path", "overwrite-settings",
                        "job-status", "mvn-toolchain-id", "mvn-toolchain-vendor", "server-username-env-var",
                        "server-password-env-var", "force-download", "verify-signature", "verify-signature-public-key",
                        "cache-jdk", "cache-path", "cache-read-only", "show-download-progress", "problem-matcher"),
         .refused = LIST("jdk-file", "jdkFile", "gpg-private-key", "gpg-passphrase", "gpg-passphrase-env-var")},
        {.name = NULL},
};

/* Is it the name of this action, its path included? */
static bool is_named(const struct uses *u, const char *name)
{
        size_t n = strlen(u->repository);
        return strncmp(u->repository, name, n) == 0 && str_eq(name + n + (name[n] == '/'), u->path);
}

const struct plan_builtin *plan_builtin_of(const struct uses *u)
{
        for (const struct plan_builtin *b = plan_builtins; u->kind == USES_REMOTE && b->name; b++)
                if (is_named(u, b->name))
                        return b;
        return NULL;
}

const struct plan_builtin *plan_builtin_named(const char *name)
{
        const struct plan_builtin *b = plan_builtins;
        while (b->name && !str_eq(b->name, name))
                b++;
        return b->name ? b : NULL;
}

size_t plan_builtin_inputs(const struct plan_builtin *b, const char *ret[PLAN_MAX_BUILTIN_INPUTS])
{
        size_t n = 0;
        for (const char *const *p = b->inputs; *p && n < PLAN_MAX_BUILTIN_INPUTS; p++)
                ret[n++] = *p;
        for (const char *const *p = b->refused; p && *p && n < PLAN_MAX_BUILTIN_INPUTS; p++)
                ret[n++] = *p;
        return n;
}
