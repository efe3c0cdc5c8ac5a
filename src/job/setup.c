#include "job/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/step.h"
#include "wire/guest.h"

#define MAX_WISHES 8u /* of one step */

void setup_free(void *private)
{
        struct setup *u = private;
        strv_done(&u->wishes);
        free(u->file);
        buf_done(&u->told);
        tool_list_done(&u->list);
        free(u);
}

static int warn(struct setup *u, const char *text, struct err *e)
{
        return output_annotate(u->step->output, "warning", NULL, text, e);
}

/* ---- scripts in the guest ---- */

/* What it writes is kept up to a bound; what it complains about is the step's. */
static int on_output(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct setup *u = user;
        if (is_err)
                return step_on_output(u->step, true, data, len, e);
        u->too_much |= len > TOOL_MAX_OUTPUT - u->told.len;
        return u->too_much ? 0 : buf_append(&u->told, data, len, e);
}

static int judge(struct setup *u, const struct exec_exit *x, const char *refusal, struct err *e)
{
        const struct step *s = u->step;
        if (s->cancelled || s->timed_out)
                return err_set(e, ERR_RUN_FAILED, "the step was interrupted");
        if (refusal)
                return err_set(e, ERR_RUN_FAILED, "sh in the guest could not be started: %s", refusal);
        if (u->too_much)
                return err_set(e, ERR_RUN_FAILED, "the guest tells more than %zu KiB of its %s", TOOL_MAX_OUTPUT >> 10,
                               u->tool->what);
        if (x->kind != EXEC_EXITED || x->code != 0)
                return err_set(e, ERR_RUN_FAILED, "setting up %s in the guest failed (%s %u)", u->tool->what,
                               x->kind == EXEC_EXITED ? "exit code" : "signal", x->code);
        return u->ran(u, e);
}

static int on_done(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct setup *u = user;
        u->step->exec = NULL;
        if (x && x->kind == EXEC_LOST)
                return err_set(e, ERR_GUEST_LOST, "the guest lost the process of the step");
        return step_try(u->step, judge(u, x, refusal, e), e);
}

static int build_argv(const struct setup *u, const char *script, const char *const *args, struct strv *ret,
                      struct err *e)
{
        const char *const fixed[] = {u->step->job->programs.sh, "-c", script, "setup"};
        int r = 0;
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed); i++)
                r = strv_add(ret, fixed[i], e);
        for (; r == 0 && *args; args++)
                r = strv_add(ret, *args, e);
        return r;
}

int setup_run(struct setup *u, const char *script, const char *const *args, setup_ran_fn *ran, struct err *e)
{
        static const struct exec_fns fns = {.output = on_output, .done = on_done};
        struct step *s = u->step;
        struct strv argv = STRV_INIT, env = STRV_INIT;
        char group[32];
        if (!s->job->programs.sh)
                return err_set(e, ERR_RUN_FAILED, "the image has no sh");
        snprintf(group, sizeof(group), "step-%d", s->index);
        u->ran = ran;
        buf_clear(&u->told);
        int r = build_argv(u, script, args, &argv, e);
        if (r == 0)
                r = step_environment(s, &env, e);
        if (r == 0)
                r = op_exec(
                        s->job->ops,
                        &(struct exec){
                                .argv = &argv, .env = &env, .cwd = context_workspace(s->job->context), .step = group},
                        &fns, u, &s->exec, e);
        strv_done(&argv);
        strv_done(&env);
        return r;
}

char *setup_told_path(const struct setup *u, unsigned i)
{
        const char *at = (const char *)u->told.data;
        for (size_t left = u->told.len; left;) {
                const char *end = memchr(at, '\n', left);
                size_t n = end ? (size_t)(end - at) : left;
                bool plain = n && n <= TOOL_MAX_PATH && *at == '/';
                for (size_t k = 0; k < n; k++)
                        plain &= at[k] >= ' ' && at[k] <= '~';
                if (i-- == 0)
                        return plain ? str_ndup(at, n) : NULL;
                at += n + (end != NULL);
                left -= n + (end != NULL);
        }
        return NULL;
}

char *setup_folder_of(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash && slash > path ? str_ndup(path, (size_t)(slash - path)) : str_dup("/");
}

int setup_set_env(struct setup *u, const char *name, const char *value, struct err *e)
{
        return value ? step_set_env(u->step, name, value, e) : err_nomem(e);
}

/* ---- the end ---- */

int setup_finish(struct setup *u, const char *version_output, const char *version, struct err *e)
{
        struct step *s = u->step;
        const struct tool_found *x = u->chosen;
        int r = step_set_output(s, version_output, version, e);
        if (r == 0 && inputs_given(s, "cache"))
                r = step_set_output(s, "cache-hit", "false", e);
        if (r == 0)
                r = output_note(s->output, e, "Using %s %s of the image (%s)", u->tool->what, x->text, x->path);
        return r < 0 ? r : step_finish(s, STEP_SUCCESS, e);
}

/* ---- the choice ---- */

static int list_versions(const struct setup *u, struct buf *ret, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < u->list.n; i++)
                r = buf_printf(ret, e, "%s%s (%s)", i ? ", " : "", u->list.v[i].text, u->list.v[i].path);
        return r;
}

static int nothing_fits(const struct setup *u, const char *wish, struct err *e)
{
        const struct setup_tool *t = u->tool;
        struct buf has = BUF_INIT_MAX(400);
        char shown[200];
        str_escape(shown, sizeof(shown), wish ? wish : "", wish ? strlen(wish) : 0);
        list_versions(u, &has, NULL); /* past the limit the list is cut */
        const char *list = has.len ? buf_cstr(&has) : NULL;
        int r = list ? err_set(e, ERR_RUN_FAILED,
                               "the image has no %s %s; it has %s. Build an image with another (devdep-cli image build "
                               "NAME "
                               "--package %s) and name it in runs-on or with --image",
                               t->what, shown, list, t->package)
                     : err_set(e, ERR_RUN_FAILED,
                               "the image has no %s; build one that has it (devdep-cli image build NAME --package %s) "
                               "and "
                               "name it in runs-on or with --image",
                               t->what, t->package);
        buf_done(&has);
        return r;
}

static int choose_one(struct setup *u, const char *wish, struct err *e)
{
        char range[SEMVER_MAX_RANGE + 1], shown[200];
        const char *why;
        str_escape(shown, sizeof(shown), wish, strlen(wish));
        if (!tool_range(u->tool->tool, wish, range, &why))
                return err_set(e, ERR_RUN_FAILED, "with.%s: %s, found '%s'", u->tool->version_input, why, shown);
        u->chosen = tool_choose(u->tool->tool, &u->list, u->kind, range);
        return u->chosen ? 0 : nothing_fits(u, wish, e);
}

/* Each that is asked for has to be there; the last one is used. */
static int on_probed(struct setup *u, struct err *e)
{
        int r = tool_list_parse(u->tool->tool, u->told.data, u->told.len, &u->list, e);
        for (size_t i = 0; r == 0 && i < u->wishes.n; i++)
                r = choose_one(u, u->wishes.v[i], e);
        if (r == 0 && !u->wishes.n) {
                u->chosen = tool_choose(u->tool->tool, &u->list, u->tool->default_kind, "*");
                r = u->chosen ? 0 : nothing_fits(u, NULL, e);
        }
        return r < 0 ? r : u->tool->use(u, e);
}

static int probe(struct setup *u, struct err *e)
{
        static const char *const none[] = {NULL};
        return setup_run(u, u->tool->probe, none, on_probed, e);
}

/* ---- the version file ---- */

static bool is_fallback(const struct setup *u)
{
        return !inputs_given(u->step, u->tool->file_input);
}

static int use_file(struct setup *u, const struct field *data, struct err *e)
{
        AUTO(auto_free) char *wish = NULL;
        const char *slash = strrchr(u->file, '/');
        if (data->len > TOOL_MAX_FILE)
                return err_set(e, ERR_RUN_FAILED, "%s has more than %zu KiB", u->file, TOOL_MAX_FILE >> 10);
        int r = tool_read_file(u->tool->tool, slash + 1, data->value, data->len, &wish, e);
        if (r == TOOL_E_NONE)
                return err_set(e, ERR_RUN_FAILED, "%s names no version of %s", u->file, u->tool->what);
        if (r == 0)
                r = output_note(u->step->output, e, "Resolved %s as %s", u->file, wish);
        return r < 0 ? r : strv_add(&u->wishes, wish, e);
}

static int on_file(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct setup *u = user;
        const char *kind;
        (void)i;
        int r = fields_str(list, "kind", &kind, e);
        const struct field *data = fields_get(list, "data");
        if (r < 0)
                return r;
        if (str_eq(kind, "missing") && is_fallback(u))
                return 0;
        if (str_eq(kind, "missing"))
                r = err_set(e, ERR_RUN_FAILED, "The specified version file at: %s does not exist", u->file);
        else if (!str_eq(kind, "regular") || !data)
                r = err_set(e, ERR_RUN_FAILED, "%s is no regular file, or larger than 1 MiB", u->file);
        else
                r = use_file(u, data, e);
        if (r < 0 && e->code == ERR_RUN_FAILED) {
                u->step->reason = *e;
                return 0;
        }
        return r;
}

static int on_read(const char *refusal, void *user, struct err *e)
{
        struct setup *u = user;
        struct step *s = u->step;
        int r = 0;
        if (s->cancelled || s->timed_out)
                r = err_set(e, ERR_RUN_FAILED, "the step was interrupted");
        else if (refusal)
                r = err_set(e, ERR_RUN_FAILED, "%s: %s", u->file, refusal);
        else if (s->reason.code != ERR_SUCCESS)
                *e = s->reason, r = -1;
        return step_try(s, r < 0 ? r : probe(u, e), e);
}

static int read_file(struct setup *u, const char *name, struct err *e)
{
        const struct job *j = u->step->job;
        u->file = *name == '/' ? str_dup(name) : str_printf("%s/%s", context_workspace(j->context), name);
        if (!u->file)
                return err_nomem(e);
        const char *const paths[] = {u->file};
        return op_read(j->ops, paths, 1, on_file, on_read, u, e);
}

/* ---- inputs ---- */

/* The latter two mean nothing: nothing is fetched. */
static const char *const common_inputs[] = {"architecture", "cache", "cache-dependency-path",
                                            "check-latest", "token", NULL};

static int check_inputs(struct setup *u, struct err *e)
{
        const struct setup_tool *t = u->tool;
        const struct inputs_lists lists = {t->known, common_inputs, t->ignored, t->refused};
        return inputs_check(u->step, &lists, e);
}

static int check_architecture(struct setup *u, struct err *e)
{
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(u->step, "architecture", &text, e);
        if (r < 0 || !text || str_ieq(text, "x64") || str_ieq(text, "amd64"))
                return r;
        return err_set(e, ERR_RUN_FAILED, "with.architecture: a guest is x64, found '%.40s'", text);
}

static int note_cache(struct setup *u, struct err *e)
{
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(u->step, "cache", &text, e);
        if (r < 0 || !text || str_ieq(text, "false"))
                return r;
        return output_note(u->step->output, e, "cache: this action keeps none here; use actions/cache");
}

/* One per line. */
static int read_wishes(struct setup *u, const char *text, struct err *e)
{
        int r = 0;
        for (const char *at = text; r == 0 && at && *at;) {
                size_t n = strcspn(at, "\n"), skip = strspn(at, " \t\r");
                size_t end = n;
                while (end > skip && strchr(" \t\r", at[end - 1]))
                        end--;
                AUTO(auto_free) char *line = skip < end ? str_ndup(at + skip, end - skip) : NULL;
                if (line && u->wishes.n == MAX_WISHES)
                        return err_set(e, ERR_RUN_FAILED, "with.%s: more than %u versions", u->tool->version_input,
                                       MAX_WISHES);
                if (line)
                        r = strv_add(&u->wishes, line, e);
                at += n + (at[n] == '\n');
        }
        return r;
}

/* Where the wish comes from: the input, the file that is named, or the usual one. */
static int find_wish(struct setup *u, struct err *e)
{
        const struct setup_tool *t = u->tool;
        AUTO(auto_free) char *version = NULL, *file = NULL;
        int r = inputs_text(u->step, t->version_input, &version, e);
        if (r == 0)
                r = inputs_text(u->step, t->file_input, &file, e);
        if (r == 0 && version)
                r = read_wishes(u, version, e);
        if (r < 0)
                return r;
        if (u->wishes.n && file) {
                AUTO(auto_free)
                char *text = str_printf("Both %s and %s inputs are specified, only %s will be used.", t->version_input,
                                        t->file_input, t->version_input);
                r = text ? warn(u, text, e) : err_nomem(e);
        }
        if (r < 0 || u->wishes.n)
                return r < 0 ? r : probe(u, e);
        if (file || t->fallback_file)
                return read_file(u, file ? file : t->fallback_file, e);
        if (t->must_ask)
                return err_set(e, ERR_RUN_FAILED, "with.%s or with.%s says which version is wanted", t->version_input,
                               t->file_input);
        return probe(u, e);
}

int setup_start(struct step *s, const struct setup_tool *tool, struct err *e)
{
        struct setup *u = calloc(1, sizeof(*u));
        if (!u)
                return err_nomem(e);
        *u = (struct setup){.step = s, .tool = tool, .told = BUF_INIT_MAX(TOOL_MAX_OUTPUT)};
        s->private = u;
        int r = check_inputs(u, e);
        if (r == 0)
                r = check_architecture(u, e);
        if (r == 0)
                r = note_cache(u, e);
        if (r == 0 && tool->inputs)
                r = tool->inputs(u, &u->kind, e);
        return r < 0 ? r : find_wish(u, e);
}
