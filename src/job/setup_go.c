/* `uses: actions/setup-go`, built in. As the real one since its version 3 it leaves GOROOT alone: go knows it. */
#include "base/cleanup.h"
#include "base/err.h"
#include "job/builtin.h"
#include "job/job_priv.h"
#include "job/setup.h"

#include <stdlib.h>

static const char probe[] =
        "k=path seen=:\n"
        "for p in \"$(command -v go)\" /usr/local/go/bin/go /usr/lib/go-*/bin/go "
        "\"$RUNNER_TOOL_CACHE\"/go/*/x64/bin/go; do\n"
        "  r=$(readlink -f \"$p\")\n"
        "  case $seen in *\":$r:\"*) continue;; esac\n"
        "  seen=$seen$r:\n"
        "  [ -x \"$p\" ] && set -- $(\"$p\" version </dev/null) && printf '%s\\t%s\\t%s\\n' $k \"$p\" \"${3#go}\"\n"
        "  k=other\n"
        "done\n"
        "true\n";

/* $1: the go that was chosen. Says where its own programs and those that it installs are. */
static const char ask[] = "root=$(\"$1\" env GOROOT) && path=$(\"$1\" env GOPATH) || exit 1\n"
                          "path=${path%%:*}\n"
                          "mkdir -p \"$path/bin\" || exit 1\n"
                          "printf '%s\\n%s\\n' \"$root\" \"$path\"\n";

static int add_bin(struct setup *u, unsigned line, struct err *e)
{
        AUTO(auto_free) char *folder = setup_told_path(u, line);
        AUTO(auto_free) char *bin = folder ? str_printf("%s/bin", folder) : NULL;
        if (!bin)
                return err_set(e, ERR_RUN_FAILED, "go in the guest does not say where it is");
        return step_add_path(u->step, bin, e);
}

static int on_asked(struct setup *u, struct err *e)
{
        int r = add_bin(u, 0, e);
        if (r == 0)
                r = add_bin(u, 1, e);
        return r < 0 ? r : setup_finish(u, "go-version", u->chosen->version, e);
}

static int use(struct setup *u, struct err *e)
{
        const char *const args[] = {u->chosen->path, NULL};
        return setup_run(u, ask, args, on_asked, e);
}

static int start(struct step *s, struct err *e)
{
        static const char *const known[] = {"go-version", "go-version-file", NULL}, *const ignored[] = {
                                                                                            "go-download-base-url",
                                                                                            NULL};
        static const struct setup_tool tool = {.tool = TOOL_GO,
                                               .what = "Go",
                                               .package = "golang-go",
                                               .version_input = "go-version",
                                               .file_input = "go-version-file",
                                               .known = known,
                                               .ignored = ignored,
                                               .probe = probe,
                                               .default_kind = "path",
                                               .use = use};
        return setup_start(s, &tool, e);
}

const struct builtin builtin_setup_go = {.name = "actions/setup-go", .start = start, .free = setup_free};
