/* `uses: actions/checkout`, built in: commits come from devdep-source as one tar stream per repository, go unread
 * through the door, and become a work tree by git in the guest (source/checkout.h). The host never unpacks anything
 * here.
 *
 *   resolve `ref` -> for the repository and each submodule, outermost first: put the stream, finish with git -> list
 *   the submodules of what was just made, when asked for -> next
 *
 * One request to devdep-source and one operation in the guest at a time. An interruption takes effect between two of
 * them. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/spec.h"
#include "job/transfer.h"
#include "job/turn.h"
#include "source/checkout.h"
#include "source/client.h"
#include "source/limits.h"

#define MAX_LEVELS 16u /* of submodules inside submodules */

enum submodules { SUBMODULES_NO, SUBMODULES_YES, SUBMODULES_RECURSIVE };

/* One work tree to make: the repository itself, then its submodules as they become known. */
struct tree {
        char *repository; /* "" is the top */
        char *commit;
        unsigned level;
};

struct checkout {
        struct step *step;
        struct source_checkout want;
        char *ref, *target;
        bool clean;
        enum submodules submodules;
        struct tree *trees;
        size_t n_trees, at;
        struct turn turn;
        struct transfer transfer;
        bool interrupted;
};

static void checkout_free(void *private)
{
        struct checkout *c = private;
        for (size_t i = 0; i < c->n_trees; i++) {
                free(c->trees[i].repository);
                free(c->trees[i].commit);
        }
        free(c->trees);
        free(c->ref);
        free(c->target);
        turn_give(&c->turn);
        transfer_done(&c->transfer);
        free(c);
}

/* Between two operations; git is signalled by the step. */
static void checkout_interrupt(struct step *s)
{
        struct checkout *c = s->private;
        c->interrupted = true;
}

static int refuse(struct checkout *c, const struct err *why, struct err *e)
{
        struct err copy = *why;
        turn_give(&c->turn);
        if (copy.code != ERR_PROTOCOL && copy.code != ERR_RESOURCES)
                copy.code = ERR_RUN_FAILED;
        return step_refuse(c->step, &copy, e);
}

/* step_try(), and what ends the step ends its turn. */
static int settle(struct checkout *c, int r, struct err *e)
{
        if (r < 0)
                turn_give(&c->turn);
        return step_try(c->step, r, e);
}

/* ---- inputs ---- */

/* Inputs that mean nothing where no network and no credential exists. */
static const char *const ignored_inputs[] = {"token",
                                             "ssh-key",
                                             "ssh-known-hosts",
                                             "ssh-strict",
                                             "ssh-user",
                                             "persist-credentials",
                                             "show-progress",
                                             "set-safe-directory",
                                             "reference",
                                             "filter",
                                             "github-server-url",
                                             "allow-unsafe-pr-checkout",
                                             NULL};
static const char *const known_inputs[] = {"repository",
                                           "ref",
                                           "path",
                                           "clean",
                                           "fetch-depth",
                                           "fetch-tags",
                                           "submodules",
                                           "sparse-checkout",
                                           "sparse-checkout-cone-mode",
                                           "lfs",
                                           NULL};

static int read_path(struct checkout *c, struct err *e)
{
        AUTO(auto_free) char *path = NULL;
        int r = inputs_text(c->step, "path", &path, e);
        if (r < 0)
                return r;
        for (const char *p = path; p && *p;) {
                size_t n = strcspn(p, "/");
                if (path[0] == '/' || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return err_set(e, ERR_RUN_FAILED,
                                       "with.path: expected a folder below the workspace, found '%s'", path);
                p += n + (p[n] == '/');
        }
        c->target = path ? str_printf("%s/%s", context_workspace(c->step->job->context), path)
                         : str_dup(context_workspace(c->step->job->context));
        return c->target ? 0 : err_nomem(e);
}

static int read_repository(struct checkout *c, struct err *e)
{
        AUTO(auto_free) char *repository = NULL;
        int r = inputs_text(c->step, "repository", &repository, e);
        const char *own = context_github(c->step->job->context, "repository");
        if (r < 0 || !repository || (own && str_ieq(own, repository)))
                return r;
        return err_set(e, ERR_RUN_FAILED,
                       "with.repository: only the repository of the run (%s) can be checked out, found '%s'",
                       own ? own : "none", repository);
}

static int read_depth(struct checkout *c, struct err *e)
{
        bool tags = false, given = false;
        uint64_t depth = 0;
        int r = inputs_bool(c->step, "fetch-tags", false, &tags, e);
        if (r == 0)
                r = inputs_u64(c->step, "fetch-depth", 0, SOURCE_MAX_DEPTH, 0, &depth, &given, e);
        if (r < 0)
                return r;
        c->want.depth = (uint32_t)depth;
        if (given)
                c->want.refs = depth == 0 ? SOURCE_REFS_ALL : tags ? SOURCE_REFS_TAGS : SOURCE_REFS_NONE;
        return 0;
}

static int read_submodules(struct checkout *c, struct err *e)
{
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(c->step, "submodules", &text, e);
        if (r < 0 || !text || str_ieq(text, "false"))
                return r;
        c->submodules = str_ieq(text, "recursive") ? SUBMODULES_RECURSIVE : SUBMODULES_YES;
        if (c->submodules == SUBMODULES_YES && !str_ieq(text, "true"))
                return err_set(e, ERR_RUN_FAILED, "with.submodules: expected true, false or recursive, found '%s'",
                               text);
        return 0;
}

/* What changes only how much there is: said, and not looked at. */
static int note_extent(struct checkout *c, struct err *e)
{
        AUTO(auto_free) char *sparse = NULL;
        bool lfs = false;
        int r = inputs_text(c->step, "sparse-checkout", &sparse, e);
        if (r == 0 && sparse)
                r = output_note(c->step->output, e, "sparse-checkout: all files are checked out here");
        if (r == 0)
                r = inputs_bool(c->step, "lfs", false, &lfs, e);
        if (r < 0 || !lfs)
                return r;
        return output_annotate(c->step->output, "warning", NULL,
                               "lfs: files of Git LFS stay pointers: no server of theirs is asked", e);
}

static int read_inputs(struct checkout *c, struct err *e)
{
        static const struct inputs_lists lists = {.known = known_inputs, .ignored = ignored_inputs};
        int r = inputs_check(c->step, &lists, e);
        if (r == 0)
                r = read_repository(c, e);
        if (r == 0)
                r = read_path(c, e);
        if (r == 0)
                r = read_depth(c, e);
        if (r == 0)
                r = read_submodules(c, e);
        if (r == 0)
                r = note_extent(c, e);
        if (r == 0)
                r = inputs_bool(c->step, "clean", true, &c->clean, e);
        return r < 0 ? r : inputs_text(c->step, "ref", &c->ref, e);
}

/* ---- work trees ---- */

static int next_tree(struct checkout *c, struct err *e);

static int add_tree(struct checkout *c, const char *repository, const char *commit, unsigned level, struct err *e)
{
        if (c->n_trees > SOURCE_MAX_SUBMODULES || level > MAX_LEVELS)
                return err_set(e, ERR_RUN_FAILED, "with.submodules: more than %u submodules, or %u levels",
                               SOURCE_MAX_SUBMODULES, MAX_LEVELS);
        struct tree *trees = reallocarray(c->trees, c->n_trees + 1, sizeof(*trees));
        if (!trees)
                return err_nomem(e);
        c->trees = trees;
        trees[c->n_trees] = (struct tree){.repository = str_dup(repository), .commit = str_dup(commit), .level = level};
        struct tree *t = &trees[c->n_trees++];
        return t->repository && t->commit ? 0 : err_nomem(e);
}

static int finish(struct checkout *c, struct err *e)
{
        struct step *s = c->step;
        turn_give(&c->turn);
        int r = step_set_output(s, "commit", c->trees[0].commit, e);
        if (r == 0)
                r = step_set_output(s, "ref", c->want.ref ? c->want.ref : "", e);
        return r < 0 ? r : step_finish(s, STEP_SUCCESS, e);
}

static int on_submodules(struct source *s, const struct source_submodule *v, size_t n, const struct err *failure,
                         void *user, struct err *e)
{
        struct checkout *c = user;
        int r = 0;
        (void)s;
        if (failure)
                return refuse(c, failure, e);
        for (size_t i = 0; r == 0 && i < n; i++) {
                if (!v[i].present)
                        r = err_set(e, ERR_RUN_FAILED, "with.submodules: %s: %s", v[i].path, v[i].why);
                else
                        r = add_tree(c, v[i].path, c->want.working && *v[i].head ? v[i].head : v[i].commit,
                                     c->trees[c->at].level + 1, e);
        }
        c->at++;
        if (r == 0)
                r = next_tree(c, e);
        return settle(c, r, e);
}

/* A work tree is complete: are there trees below it? */
static int tree_done(struct checkout *c, struct err *e)
{
        struct tree *t = &c->trees[c->at];
        bool deeper = c->submodules == SUBMODULES_RECURSIVE || (c->submodules == SUBMODULES_YES && t->level == 0);
        if (deeper)
                return source_submodules(c->step->job->source, t->repository, t->commit, on_submodules, c, e);
        c->at++;
        return next_tree(c, e);
}

static int on_git_done(struct step *s, const struct exec_exit *x, const char *refusal, struct err *e)
{
        struct checkout *c = s->private;
        int r = 0;
        if (refusal)
                r = err_set(e, ERR_RUN_FAILED, "git in the guest could not be started: %s", refusal);
        else if (x->kind != EXEC_EXITED || x->code != 0)
                r = err_set(e, ERR_RUN_FAILED, "git in the guest failed (%s %u)",
                            x->kind == EXEC_EXITED ? "exit code" : "signal", x->code);
        if (r == 0)
                r = tree_done(c, e);
        return settle(c, r, e);
}

static char *tree_target(const struct checkout *c)
{
        const char *sub = c->trees[c->at].repository;
        return *sub ? str_printf("%s/%s", c->target, sub) : str_dup(c->target);
}

static int git_environment(struct checkout *c, struct strv *ret, struct err *e)
{
        int r = step_environment(c->step, ret, e);
        for (const char *const *v = checkout_finish_env(); r == 0 && *v; v++)
                r = strv_add(ret, *v, e);
        return r;
}

static int start_git(struct checkout *c, struct err *e)
{
        struct strv argv = STRV_INIT, env = STRV_INIT;
        AUTO(auto_free) char *target = tree_target(c);
        int r = target ? git_environment(c, &env, e) : err_nomem(e);
        for (const char *const *v = checkout_finish(c->want.working); r == 0 && *v; v++)
                r = strv_add(&argv, *v, e);
        if (r == 0)
                r = step_exec(c->step, &argv, &env, target, on_git_done, e);
        strv_done(&argv);
        strv_done(&env);
        return r;
}

/* ---- the stream ---- */

static int request(struct source *s, const struct source_stream *fns, void *stream, void *user, struct err *e)
{
        const struct checkout *c = user;
        const struct tree *t = &c->trees[c->at];
        struct source_checkout want = c->want;
        want.repository = t->repository;
        want.commit = t->commit;
        if (c->at > 0)
                want.ref = NULL;
        return source_checkout(s, &want, fns, stream, e);
}

static int on_streamed(const struct source_totals *t, void *user, struct err *e)
{
        struct checkout *c = user;
        int r = 0;
        for (size_t i = 0; r == 0 && i < t->n_notes; i++)
                r = output_note(c->step->output, e, "%s", t->notes[i]);
        return r;
}

static int on_transferred(const struct err *failure, void *user, struct err *e)
{
        struct checkout *c = user;
        if (failure)
                return refuse(c, failure, e);
        return settle(c, start_git(c, e), e);
}

static int next_tree(struct checkout *c, struct err *e)
{
        static const struct transfer_fns fns = {request, on_streamed, on_transferred};
        if (c->interrupted)
                return err_set(e, ERR_RUN_FAILED, "the checkout was interrupted");
        if (c->at == c->n_trees)
                return finish(c, e);
        AUTO(auto_free) char *target = tree_target(c);
        if (!target)
                return err_nomem(e);
        return transfer_start(&c->transfer, c->step->job, target, c->clean && c->at == 0, &fns, c, e);
}

/* ---- beginning ---- */

static int begin(struct checkout *c, const char *commit, const char *ref, struct err *e)
{
        if (ref && *ref) {
                free(c->ref);
                c->ref = str_dup(ref);
                if (!c->ref)
                        return err_nomem(e);
                c->want.ref = c->ref;
        }
        int r = add_tree(c, "", commit, 0, e);
        if (r == 0)
                r = output_note(c->step->output, e, "Checking out %s%s%s", commit,
                                c->want.working ? " with the changes of the working tree" : "", "");
        return r < 0 ? r : next_tree(c, e);
}

static int on_resolved(struct source *s, const struct source_commit *found, const struct err *failure, void *user,
                       struct err *e)
{
        struct checkout *c = user;
        (void)s;
        if (failure)
                return refuse(c, failure, e);
        return settle(c, begin(c, found->commit, found->ref, e), e);
}

static int on_turn(void *user, struct err *e)
{
        struct checkout *c = user;
        const struct job *j = c->step->job;
        if (c->ref)
                return settle(c, source_resolve(j->source, "", c->ref, on_resolved, c, e), e);
        c->want.working = j->spec->source_working;
        return settle(c, begin(c, j->spec->source_commit, context_github(j->context, "ref"), e), e);
}

static int checkout_begin(struct checkout *c, struct err *e)
{
        struct job *j = c->step->job;
        if (!j->source || !j->spec->source_commit)
                return err_set(e, ERR_RUN_FAILED, "uses: %s: this run has no source", c->step->spec->uses);
        int r = read_inputs(c, e);
        return r < 0 ? r : turn_take(&c->turn, j, on_turn, c, e);
}

static int checkout_start(struct step *s, struct err *e)
{
        struct checkout *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        c->step = s;
        c->want = (struct source_checkout)SOURCE_CHECKOUT_INIT;
        c->transfer = (struct transfer)TRANSFER_INIT;
        turn_init(&c->turn);
        s->private = c;
        return checkout_begin(c, e);
}

const struct builtin builtin_checkout = {
        .name = "actions/checkout", .start = checkout_start, .interrupt = checkout_interrupt, .free = checkout_free};
