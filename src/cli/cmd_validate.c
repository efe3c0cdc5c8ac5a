/* devdep-cli validate: every problem of one file, and of the workflows and actions of its repository that it names. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/lookup.h"
#include "cli/output.h"
#include "cli/problems.h"
#include "cli/profile_file.h"
#include "cli/repofile.h"
#include "cli/state.h"
#include "cli/vault.h"
#include "codec/diag.h"
#include "profile/profile.h"
#include "workflow/action.h"
#include "workflow/library.h"
#include "workflow/plan.h"

/* The file, and what was found in it. */
struct validation {
        const char *path;
        const char *vault; /* how this host signs in to Vault; NULL: STATE/vault.conf, if it is there */
        bool offline;
        struct buf text;
        char *top; /* of its repository */
        struct library *library;
        struct diag_list *problems;
        bool is_missing; /* a secret, or that could not be found out: the problems are 201 */
};

static const char *file_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* By its name, or by what is in it. */
static bool is_profile(const char *path, const struct buf *text)
{
        return str_eq(file_name(path), PROFILE_FILE) || profile_is_one(text->data, text->len);
}

static bool is_action(const char *path)
{
        return str_eq(file_name(path), "action.yml") || str_eq(file_name(path), "action.yaml");
}

/* What Vault says is told beside what was found in the file, whatever it is. */
static int look_up(struct validation *v, struct profile *p, struct err *e)
{
        struct profile_file f = {
                .path = (char *)(uintptr_t)v->path, .text = (char *)v->text.data, .len = v->text.len, .profile = p};
        AUTO(vault_account_freep) struct vault_account *account = NULL;
        AUTO(auto_free) char *state = NULL;
        struct err why = ERR_INIT;

        int r = state_path(&state, e);
        if (r == 0)
                r = vault_account_load(state, v->vault, &account, e);
        if (r == 0 && lookup_secrets(&f, account, NULL, v->problems, &why) < 0) {
                if (why.code != ERR_VAULT_MISMATCH) {
                        *e = why;
                        return -1;
                }
                r = diag_add(v->problems, DIAG_ERROR, 0, 0, 0, NULL, e, "%s", why.msg);
        }
        v->is_missing = r == 0 && diag_errors(v->problems) > 0;
        return r;
}

static int find_profile_problems(struct validation *v, struct err *e)
{
        AUTO(profile_freep) struct profile *p = NULL;

        int r = profile_parse(v->text.data, v->text.len, NULL, v->problems, &p, e);
        if (r == PROFILE_E_INVALID)
                return 0;
        if (r == 0 && !v->offline)
                r = look_up(v, p, e);
        if (r == 0)
                diag_sort(v->problems);
        return r;
}

static int find_action_problems(const struct validation *v, const struct plan_options *options, struct err *e)
{
        AUTO(action_freep) struct action *action = NULL;

        int r = action_parse(v->path, v->text.data, v->text.len, v->problems, &action, e);
        return r == 0 ? plan_warn_action(action, options, v->problems, e) : r == ACTION_E_INVALID ? 0 : r;
}

static int find_workflow_problems(const struct validation *v, const struct plan_options *options, struct err *e)
{
        AUTO(workflow_freep) struct workflow *w = NULL;

        int r = workflow_parse(v->path, v->text.data, v->text.len, v->problems, &w, e);
        if (r == WORKFLOW_E_INVALID)
                return 0;
        if (r == 0)
                r = workflow_lint(w, options->source, options->len, v->problems, e);
        return r == 0 ? plan_warn(w, options, v->problems, e) : r;
}

static int read_called(void *user, const char *path, struct buf *ret, struct err *e)
{
        const struct validation *v = user;

        return repofile_read(v->top, path, ret, e);
}

static int find_problems(struct validation *v, struct err *e)
{
        const struct library_source source = {read_called, v};

        if (is_profile(v->path, &v->text))
                return find_profile_problems(v, e);
        int r = repofile_top(v->path, &v->top, e);
        if (r == 0)
                r = library_new(&source, &v->library, e);
        if (r < 0)
                return r;
        const struct plan_options options = {
                .library = v->library, .source = (const char *)v->text.data, .len = v->text.len};
        r = is_action(v->path) ? find_action_problems(v, &options, e) : find_workflow_problems(v, &options, e);
        if (r == 0)
                diag_sort(v->problems);
        return r;
}

static int print_text(const char *path, const struct diag_list *problems, const struct buf *text, struct err *e)
{
        size_t errors = diag_errors(problems), all = diag_count(problems) + diag_dropped(problems);
        struct buf out = BUF_INIT;

        int r = diag_render(problems, (const char *)text->data, text->len, &out, e);
        if (r == 0)
                r = buf_append_escaped(&out, path, strlen(path), e);
        if (r == 0)
                r = all == 0 ? buf_append_str(&out, ": no problems\n", e)
                             : buf_printf(&out, e, ": %zu error%s, %zu warning%s\n", errors, errors == 1 ? "" : "s",
                                          all - errors, all - errors == 1 ? "" : "s");
        if (r == 0)
                r = fd_write_all(STDOUT_FILENO, out.data, out.len, "standard output", e);
        buf_done(&out);
        return r;
}

static int print_json(const char *path, const struct diag_list *problems, struct err *e)
{
        json_t *list = problems_json(problems);
        size_t errors = diag_errors(problems), all = diag_count(problems) + diag_dropped(problems);

        if (!list)
                return err_nomem(e);
        return output_json(json_pack("{s:s,s:b,s:I,s:I,s:I,s:o}", "file", path, "ok", errors == 0, "errors",
                                     (json_int_t)errors, "warnings", (json_int_t)(all - errors), "not_shown",
                                     (json_int_t)diag_dropped(problems), "problems", list),
                           e);
}

static int verdict(const struct validation *v, struct err *e)
{
        int r = diag_to_err(v->problems, e);

        if (r < 0 && v->is_missing)
                e->code = ERR_VAULT_MISMATCH;
        return r;
}

static int validate(struct validation *v, bool json, struct err *e)
{
        int r = problems_read(v->path, &v->text, e);

        if (r == 0)
                r = diag_new(v->path, &v->problems, e);
        if (r == 0)
                r = find_problems(v, e);
        if (r == 0)
                r = json ? print_json(v->path, v->problems, e) : print_text(v->path, v->problems, &v->text, e);
        return r == 0 ? verdict(v, e) : r;
}

static int run_validate(const struct args *a, struct err *e)
{
        struct validation v = {
                .path = args_get(a, "file"), .vault = args_get(a, "vault"), .offline = args_has(a, "offline")};

        if (!v.path)
                return err_set(e, ERR_USAGE, "%s: --file is missing; see '%s --help'", a->path, a->path);
        if (!str_is_utf8(v.path, strlen(v.path)))
                return err_set(e, ERR_USAGE, "%s: the file's name is not UTF-8", a->path);
        int r = validate(&v, args_has(a, "json"), e);
        diag_free(v.problems);
        library_free(v.library);
        free(v.top);
        buf_done(&v.text);
        return r;
}

static const struct command_option options[] = {
        {"file", 0, "FILE", "the workflow file, an action.yml, or the profile (" PROFILE_FILE ")", false},
        {"json", 0, NULL, "print the problems as JSON", false},
        {"offline", 0, NULL, "do not ask Vault whether the secrets of a profile are there", false},
        {"vault", 0, "FILE", "how this host signs in to Vault (default: STATE/vault.conf)", false},
};

const struct command command_validate = {
        .name = "validate",
        .summary = "Check a workflow, an action or devdep.yaml and print every problem with its place",
        .options = options,
        .n_options = ARRAY_SIZE(options),
        .details =
                "Errors are what GitHub refuses, too; the status is then 2. Warnings are what is legal and surely\n"
                "wrong: a condition that never changes, a name that is always empty, a field that anybody can write\n"
                "in a script; and what devdep cannot run yet. Workflows and actions of the repository that the file\n"
                "names are checked with it, each problem under its own file. An action is known by its name,\n"
                "action.yml, a profile by its name, devdep.yaml, or by its keys. Whether the secrets that a profile\n"
                "names are there is asked of Vault, by metadata alone; the status is 201 when one is missing.",
        .examples = "  devdep-cli validate --file .github/workflows/ci.yml\n"
                    "  devdep-cli validate --file devdep.yaml\n"
                    "  devdep-cli validate --file ci.yml --json | jq -r '.problems[].message'\n",
        .run = run_validate,
};
