/* `uses: actions/setup-python`, built in. The Python of an image belongs to its packages and takes no others (PEP 668),
 * and it may have no `python`. So the job gets an environment of its own on top of it, which has both, at the place
 * where the real action has its installations. */
#include "base/cleanup.h"
#include "base/err.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/setup.h"

#include <string.h>

static const char probe[] =
        "k=path seen=:\n"
        "for p in \"$(command -v python3)\" \"$(command -v python)\" /usr/bin/python3.[0-9]* "
        "/usr/local/bin/python3.[0-9]* "
        "\"$RUNNER_TOOL_CACHE\"/Python/*/x64/bin/python3; do\n"
        "  r=$(readlink -f \"$p\")\n"
        "  case $p:$r in *-config:*|*:) continue;; esac\n"
        "  case $seen in *\":$r:\"*) continue;; esac\n"
        "  seen=$seen$r:\n"
        "  [ -x \"$p\" ] && v=$(\"$p\" -c 'import platform; print(platform.python_version())' </dev/null) && "
        "printf '%s\\t%s\\t%s\\n' $k \"$p\" \"$v\"\n"
        "  k=other\n"
        "done\n"
        "true\n";

/* $1: the environment's folder, $2: the Python under it. Without the module venv it is links. */
static const char make[] = "mkdir -p \"$1/bin\" || exit 1\n"
                           "\"$2\" -m venv --system-site-packages --without-pip \"$1\" >/dev/null 2>&1 || { ln -sf "
                           "\"$2\" \"$1/bin/python3\" && "
                           "ln -sf python3 \"$1/bin/python\"; } || exit 1\n"
                           "\"$1/bin/python\" -m pip --version >/dev/null 2>&1 || exit 0\n"
                           "for n in pip pip3; do\n"
                           "  printf '#!/bin/sh\\nexec \"%s/bin/python\" -m pip \"$@\"\\n' \"$1\" >\"$1/bin/$n\" && "
                           "chmod 755 \"$1/bin/$n\" || exit 1\n"
                           "done\n";

/* RUNNER_TEMP/../_tool/Python/VERSION/x64 */
static char *location(const struct setup *u)
{
        AUTO(auto_free) char *work = setup_folder_of(context_temp(u->step->job->context));
        return work ? str_printf("%s/_tool/Python/%s/x64", work, u->chosen->text) : NULL;
}

static int set_location(struct setup *u, const char *folder, const char *bin, struct err *e)
{
        static const struct {
                const char *name, *ending;
        } variables[] = {{"pythonLocation", ""},
                         {"Python_ROOT_DIR", ""},
                         {"Python2_ROOT_DIR", ""},
                         {"Python3_ROOT_DIR", ""},
                         {"PKG_CONFIG_PATH", "/lib/pkgconfig"}};
        int r = 0;
        for (size_t i = 0; r == 0 && i < sizeof(variables) / sizeof(variables[0]); i++) {
                AUTO(auto_free) char *value = str_printf("%s%s", folder, variables[i].ending);
                r = setup_set_env(u, variables[i].name, value, e);
        }
        if (r == 0)
                r = step_add_path(u->step, folder, e);
        return r < 0 ? r : step_add_path(u->step, bin, e);
}

static int on_made(struct setup *u, struct err *e)
{
        AUTO(auto_free) char *folder = location(u), *bin = folder ? str_printf("%s/bin", folder) : NULL;
        AUTO(auto_free) char *python = folder ? str_printf("%s/bin/python", folder) : NULL;
        bool update = true;
        int r = folder && bin && python ? inputs_bool(u->step, "update-environment", true, &update, e) : err_nomem(e);
        if (r == 0 && update)
                r = set_location(u, folder, bin, e);
        if (r == 0)
                r = step_set_output(u->step, "python-path", python, e);
        return r < 0 ? r : setup_finish(u, "python-version", u->chosen->version, e);
}

static int use(struct setup *u, struct err *e)
{
        AUTO(auto_free) char *folder = location(u);
        const char *const args[] = {folder, u->chosen->path, NULL};
        return folder ? setup_run(u, make, args, on_made, e) : err_nomem(e);
}

static int start(struct step *s, struct err *e)
{
        static const char *const known[] = {"python-version", "python-version-file", "update-environment", NULL},
                                 *const ignored[] = {"allow-prereleases", NULL},
                                 *const refused[] = {"freethreaded", "pip-version", "pip-install", NULL};
        static const struct setup_tool tool = {.tool = TOOL_PYTHON,
                                               .what = "Python",
                                               .package = "python3",
                                               .version_input = "python-version",
                                               .file_input = "python-version-file",
                                               .fallback_file = ".python-version",
                                               .known = known,
                                               .ignored = ignored,
                                               .refused = refused,
                                               .probe = probe,
                                               .default_kind = "path",
                                               .use = use};
        return setup_start(s, &tool, e);
}

const struct builtin builtin_setup_python = {.name = "actions/setup-python", .start = start, .free = setup_free};
