/* `uses: actions/setup-java`, built in. Whatever distribution is asked for, it is the image's JDK that is used. */
#include "base/cleanup.h"
#include "base/err.h"
#include "job/builtin.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/output.h"
#include "job/setup.h"

#include <stdlib.h>

static const char probe[] = "for d in /usr/lib/jvm/* \"$RUNNER_TOOL_CACHE\"/Java_*/*/x64; do\n"
                            "  [ -x \"$d/bin/java\" ] && [ ! -L \"$d\" ] && [ -r \"$d/release\" ] || continue\n"
                            "  k=jre\n"
                            "  [ ! -x \"$d/bin/javac\" ] || k=jdk\n"
                            "  v=$(sed -n 's/^JAVA_RUNTIME_VERSION=\"\\(.*\\)\"$/\\1/p' \"$d/release\")\n"
                            "  [ -n \"$v\" ] || v=$(sed -n 's/^JAVA_VERSION=\"\\(.*\\)\"$/\\1/p' \"$d/release\")\n"
                            "  printf '%s\\t%s\\t%s\\n' $k \"$d\" \"$v\"\n"
                            "done\n";

static int read_inputs(struct setup *u, const char **ret_kind, struct err *e)
{
        AUTO(auto_free) char *distribution = NULL, *package = NULL;
        bool is_default = true;
        int r = inputs_bool(u->step, "set-default", true, &is_default, e);
        if (r == 0 && !is_default)
                r = err_set(e, ERR_RUN_FAILED, "with.set-default: a Java that is set up is the default of the job");
        if (r == 0)
                r = inputs_text(u->step, "distribution", &distribution, e);
        if (r == 0)
                r = inputs_text(u->step, "java-package", &package, e);
        if (r < 0)
                return r;
        if (!distribution)
                return err_set(e, ERR_RUN_FAILED, "with.distribution: Input required and not supplied: distribution");
        *ret_kind = package && str_eq(package, "jre") ? NULL : "jdk";
        if (package && !str_eq(package, "jre") && !str_eq(package, "jdk"))
                return err_set(e, ERR_RUN_FAILED, "with.java-package: expected jdk or jre, found '%.40s'", package);
        return output_note(u->step->output, e, "Whatever distribution is asked for (%s), the image's is used",
                           distribution);
}

/* JAVA_HOME_17_X64 of each that was asked for. */
static int set_homes(struct setup *u, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < u->wishes.n; i++) {
                char range[SEMVER_MAX_RANGE + 1];
                const char *why;
                const struct tool_found *x = NULL;
                if (tool_range(TOOL_JAVA, u->wishes.v[i], range, &why))
                        x = tool_choose(TOOL_JAVA, &u->list, u->kind, range);
                if (!x)
                        continue;
                AUTO(auto_free) char *name = str_printf("JAVA_HOME_%llu_X64", (unsigned long long)x->semver.number[0]);
                r = name ? setup_set_env(u, name, x->path, e) : err_nomem(e);
        }
        return r;
}

static int use(struct setup *u, struct err *e)
{
        const char *home = u->chosen->path;
        AUTO(auto_free) char *bin = str_printf("%s/bin", home), *distribution = NULL;
        int r = bin ? set_homes(u, e) : err_nomem(e);
        if (r == 0)
                r = setup_set_env(u, "JAVA_HOME", home, e);
        if (r == 0)
                r = step_add_path(u->step, bin, e);
        if (r == 0)
                r = inputs_text(u->step, "distribution", &distribution, e);
        if (r == 0)
                r = step_set_output(u->step, "distribution", distribution, e);
        if (r == 0)
                r = step_set_output(u->step, "path", home, e);
        return r < 0 ? r : setup_finish(u, "version", u->chosen->text, e);
}

static int start(struct step *s, struct err *e)
{
        static const char *const known[] = {"java-version", "java-version-file", "distribution",
                                            "java-package", "set-default",       NULL},
                                 *const ignored[] = {"server-id",
                                                     "server-username",
                                                     "server-password",
                                                     "settings-path",
                                                     "overwrite-settings",
                                                     "job-status",
                                                     "mvn-toolchain-id",
                                                     "mvn-toolchain-vendor",
                                                     "server-username-env-var",
                                                     "server-password-env-var",
                                                     "force-download",
                                                     "verify-signature",
                                                     "verify-signature-public-key",
                                                     "cache-jdk",
                                                     "cache-path",
                                                     "cache-read-only",
                                                     "show-download-progress",
                                                     "problem-matcher",
                                                     NULL},
                                 *const refused[] = {"jdk-file",
                                                     "jdkFile",
                                                     "gpg-private-key",
                                                     "gpg-passphrase",
                                                     "gpg-passphrase-env-var",
                                                     NULL};
        static const struct setup_tool tool = {.tool = TOOL_JAVA,
                                               .what = "Java",
                                               .package = "default-jdk-headless",
                                               .version_input = "java-version",
                                               .file_input = "java-version-file",
                                               .must_ask = true,
                                               .known = known,
                                               .ignored = ignored,
                                               .refused = refused,
                                               .probe = probe,
                                               .inputs = read_inputs,
                                               .use = use};
        return setup_start(s, &tool, e);
}

const struct builtin builtin_setup_java = {.name = "actions/setup-java", .start = start, .free = setup_free};
