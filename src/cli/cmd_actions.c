/* devdep-cli actions: the mirror of actions. */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/actions.h"
#include "cli/actions_add.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/state.h"
#include "codec/uses.h"
#include "source/pins.h"

#define MAX_PINS 64u /* of one `add` */

static const struct command_option dir_option = {"actions", 0, "DIR",
                                                 "the mirror (default: STATE/actions.conf says where)", false};

/* OWNER/REPO, folded; NULL and *e: it is none. */
static char *repository_of(const char *text, size_t len, struct err *e)
{
        AUTO(auto_free) char *name = str_ndup(text, len);
        for (char *c = name; c && *c; c++)
                *c = (char)tolower((unsigned char)*c);
        if (!name)
                err_nomem(e);
        else if (!uses_is_repository(name))
                err_set(e, ERR_USAGE, "expected OWNER/REPO, found '%.200s'", text);
        else
                return TAKE_PTR(name);
        return NULL;
}

/* Where the mirror is, there or not. */
static int mirror_path(const struct args *a, char **ret_state, char **ret, struct err *e)
{
        AUTO(auto_free) char *origin = NULL;
        int r = state_path(ret_state, e);
        return r < 0 ? r : actions_path(*ret_state, args_get(a, "actions"), ret, &origin, e);
}

/* actions add */

static int print_added(const char *pin, const char *commit, void *user, struct err *e)
{
        const char *repository = user;
        (void)e;
        if (*pin)
                printf("%s@%s is pinned to %s\n", repository, pin, commit);
        else
                printf("%s has commit %s; use it as %s@%s\n", repository, commit, repository, commit);
        return 0;
}

static int run_add(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL, *folder = NULL;
        AUTO(auto_free) char *repository = repository_of(a->positional[1], strlen(a->positional[1]), e);
        const char *pins[MAX_PINS], *pin;
        size_t n = 0;
        if (!repository)
                return -1;
        while ((pin = args_get_nth(a, "pin", n)) && n < MAX_PINS)
                pins[n++] = pin;
        if (pin)
                return err_set(e, ERR_USAGE, "--pin: more than %u at a time", MAX_PINS);
        int r = mirror_path(a, &state, &folder, e);
        if (r < 0)
                return r;
        const struct actions_add x = {.state = state,
                                      .folder = folder,
                                      .from = a->positional[0],
                                      .repository = repository,
                                      .pins = pins,
                                      .n_pins = n,
                                      .revision = args_get(a, "commit")};
        return actions_add(&x, print_added, repository, e);
}

static const struct command_option add_options[] = {
        {"pin", 0, "REF", "let this tag or branch mean the commit that it names there now", true},
        {"commit", 0, "REV", "another commit for the pins: a tag, a branch, an id (default: the pin itself, else HEAD)",
         false},
        {"actions", 0, "DIR", "the mirror (default: STATE/actions.conf says where)", false},
};

static const struct command command_add = {
        .name = "add",
        .summary = "Take commits of a repository on this host into the mirror, and pin them",
        .positional = "FOLDER-OR-REPOSITORY OWNER/REPO",
        .min_args = 2,
        .max_args = 2,
        .options = add_options,
        .n_options = ARRAY_SIZE(add_options),
        .details = "The commit is copied without its history. A pin that is there already is set anew; what workflows\n"
                   "got before stays in the mirror and can be had by its full id.",
        .examples = "  git clone https://github.com/dorny/paths-filter\n"
                    "  devdep-cli actions add paths-filter dorny/paths-filter --pin v3\n"
                    "  devdep-cli actions add paths-filter dorny/paths-filter --pin v3 --commit v3.0.2\n",
        .run = run_add,
};

/* actions ls */

static const char *kind_of(const char *folder, const char *repository)
{
        AUTO(auto_free) char *bare = str_printf("%s/%s.git", folder, repository);
        AUTO(auto_free) char *clone = str_printf("%s/%s/.git", folder, repository);
        if (bare && fs_exists(bare))
                return "repository";
        return clone && fs_exists(clone) ? "clone" : "missing";
}

struct listing {
        const struct actions *actions;
        const char *owner;
        struct strv names; /* "owner/repo", each once */
};

static int add_name(struct listing *l, const char *name, struct err *e)
{
        return uses_is_repository(name) && !strv_has(&l->names, name) ? strv_add(&l->names, name, e) : 0;
}

static int on_repository(const char *name, void *user, struct err *e)
{
        struct listing *l = user;
        size_t n = strlen(name);
        n -= str_ends(name, ".git") ? strlen(".git") : 0;
        AUTO(auto_free) char *whole = str_printf("%s/%.*s", l->owner, (int)n, name);
        if (!whole)
                return err_nomem(e);
        return str_eq(kind_of(l->actions->folder, whole), "missing") ? 0 : add_name(l, whole, e);
}

static int on_owner(const char *name, void *user, struct err *e)
{
        struct listing *l = user;
        AUTO(auto_free) char *path = fs_join(l->actions->folder, name);
        struct stat st;
        if (!path)
                return err_nomem(e);
        if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
                return 0;
        l->owner = name;
        int r = fs_list(path, on_repository, l, e);
        return r < 0 ? r : 0;
}

/* Repositories in the order of their names, then what is pinned and not there. */
static int list(struct listing *l, struct err *e)
{
        int r = fs_list(l->actions->folder, on_owner, l, e);
        for (size_t i = 0; r >= 0 && i < pins_count(l->actions->pins); i++)
                r = add_name(l, pins_at(l->actions->pins, i)->repository, e);
        return r < 0 ? r : 0;
}

static json_t *repository_json(const struct actions *x, const char *name)
{
        json_t *pins = json_array();
        for (size_t i = 0; pins && i < pins_count(x->pins); i++) {
                const struct pin *p = pins_at(x->pins, i);
                if (str_eq(p->repository, name))
                        json_array_append_new(pins, json_pack("{s:s,s:s}", "ref", p->ref, "commit", p->commit));
        }
        return json_pack("{s:s,s:s,s:o}", "repository", name, "kind", kind_of(x->folder, name), "pins", pins);
}

static int print_json(const struct listing *l, struct err *e)
{
        json_t *rows = json_array();
        for (size_t i = 0; rows && i < l->names.n; i++)
                json_array_append_new(rows, repository_json(l->actions, l->names.v[i]));
        return output_json(json_pack("{s:s?,s:o}", "mirror", l->actions->folder, "actions", rows), e);
}

static void print_repository(const struct actions *x, const char *name)
{
        const char *kind = kind_of(x->folder, name);
        size_t n = 0;
        for (size_t i = 0; i < pins_count(x->pins); i++) {
                const struct pin *p = pins_at(x->pins, i);
                if (!str_eq(p->repository, name))
                        continue;
                printf("%s  %s@%s%s\n", p->commit, name, p->ref,
                       str_eq(kind, "missing") ? "  (the repository is missing)" : "");
                n++;
        }
        if (!n)
                printf("%-40s  %s\n", "(nothing is pinned)", name);
}

static int run_ls(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        AUTO(actions_done) struct actions x = ACTIONS_INIT;
        struct listing l = {.actions = &x};
        int r = state_path(&state, e);
        if (r == 0)
                r = actions_open(state, args_get(a, "actions"), &x, e);
        if (r == 0 && x.folder)
                r = list(&l, e);
        if (r == 0 && args_has(a, "json"))
                r = print_json(&l, e);
        else if (r == 0 && !l.names.n)
                printf("the mirror is empty; fill it: devdep-cli actions add FOLDER-OR-REPOSITORY OWNER/REPO --pin "
                       "REF\n");
        for (size_t i = 0; r == 0 && !args_has(a, "json") && i < l.names.n; i++)
                print_repository(&x, l.names.v[i]);
        strv_done(&l.names);
        return r;
}

static const struct command_option ls_options[] = {
        {"json", 0, NULL, "print JSON", false},
        {"actions", 0, "DIR", "the mirror (default: STATE/actions.conf says where)", false},
};

static const struct command command_ls = {
        .name = "ls",
        .summary = "List the mirror: repositories, and what is pinned",
        .options = ls_options,
        .n_options = ARRAY_SIZE(ls_options),
        .examples = "  devdep-cli actions ls\n  devdep-cli actions ls --json | jq -r '.actions[].repository'\n",
        .run = run_ls,
};

/* actions rm */

static int remove_one(const char *folder, const char *what, struct err *e)
{
        size_t n = strcspn(what, "@");
        AUTO(auto_free) char *repository = repository_of(what, n, e);
        return repository ? actions_remove(folder, repository, what[n] ? what + n + 1 : NULL, e) : -1;
}

static int run_rm(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL, *folder = NULL;
        int r = mirror_path(a, &state, &folder, e);
        for (size_t i = 0; r == 0 && i < a->n_positional; i++)
                r = remove_one(folder, a->positional[i], e);
        return r;
}

static const struct command command_rm_action = {
        .name = "rm",
        .summary = "Remove pins, or repositories with all their pins",
        .positional = "OWNER/REPO[@REF]...",
        .min_args = 1,
        .max_args = 64,
        .options = &dir_option,
        .n_options = 1,
        .examples = "  devdep-cli actions rm dorny/paths-filter@v2\n  devdep-cli actions rm dorny/paths-filter\n",
        .run = run_rm,
};

static const struct command *const actions_commands[] = {&command_add, &command_ls, &command_rm_action, NULL};

const struct command command_actions = {
        .name = "actions",
        .summary = "Keep the mirror that actions of other repositories come from",
        .sub = actions_commands,
        .examples = "  devdep-cli actions add ~/src/paths-filter dorny/paths-filter --pin v3\n"
                    "  devdep-cli actions ls              what there is, and what is pinned\n",
};
