#include "job/fileset.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "workflow/fileglob.h"

#define FIND "/usr/bin/find"

struct fileset {
        struct job *job;
        struct fileset_list *list;
        fileset_done_fn *done;
        void *user;
        struct op *exec;
        struct err failure; /* the first */
};

CLEANUP_DEFINE(struct fileset, fileset_free)

struct fileset *fileset_free(struct fileset *f)
{
        if (!f)
                return NULL;
        fileset_list_free(f->list);
        free(f);
        return NULL;
}

void fileset_cancel(struct fileset *f)
{
        if (f->exec)
                op_cancel(f->exec, NULL);
        f->exec = NULL;
}

/* Errors are kept: one that is returned from here would be the session's. What find says for people is not shown: a
 * path that is not there is none, as at GitHub, and folders that cannot be read are in the list. */
static int on_output(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct fileset *f = user;
        (void)e;
        if (!is_err && f->failure.code == ERR_SUCCESS)
                fileset_list_feed(f->list, data, len, &f->failure);
        return 0;
}

static int conclude(struct fileset *f, struct err *e)
{
        const char *const *paths = NULL;
        size_t n = 0;
        if (f->failure.code == ERR_SUCCESS)
                fileset_list_end(f->list, &paths, &n, &f->failure);
        return f->done(paths, n, f->failure.code ? &f->failure : NULL, f->user, e);
}

/* 1: something could not be looked at, for example a path that is not there. */
static int on_done(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct fileset *f = user;
        f->exec = NULL;
        if (refusal)
                err_set(&f->failure, ERR_RUN_FAILED, "look for files with " FIND " in the guest: %s", refusal);
        else if (x->kind == EXEC_LOST)
                return err_set(e, ERR_GUEST_LOST, "the guest lost the process of the step");
        else if ((x->kind != EXEC_EXITED || x->code > 1) && f->failure.code == ERR_SUCCESS)
                err_set(&f->failure, ERR_RUN_FAILED, FIND " in the guest failed (%s %u)",
                        x->kind == EXEC_EXITED ? "exit code" : "signal", x->code);
        return conclude(f, e);
}

static int build_argv(const struct fileset_want *w, struct strv *argv, struct err *e)
{
        static const char *const prune[] = {"-name", ".*", "-prune", "-o"};
        static const char *const print[] = {"-type",  "d",      "(",           "!",       "-readable",
                                            "-o",     "!",      "-executable", ")",       "-printf",
                                            "x%p\\0", "-prune", "-o",          "-printf", "%y%p\\0"};
        int r = strv_add(argv, FIND, e);
        if (r == 0)
                r = strv_add(argv, "-L", e);
        for (size_t i = 0; r == 0 && i < fileglob_searches(w->patterns); i++)
                r = strv_add(argv, fileglob_search_at(w->patterns, i), e);
        for (size_t i = 0; r == 0 && !w->hidden && i < ARRAY_SIZE(prune); i++)
                r = strv_add(argv, prune[i], e);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(print); i++)
                r = strv_add(argv, print[i], e);
        return r;
}

int fileset_environment(struct strv *env, struct err *e)
{
        int r = strv_add(env, "PATH=/usr/bin:/bin", e);
        return r < 0 ? r : strv_add(env, "LC_ALL=C", e);
}

int fileset_find(struct job *j, const struct fileset_want *w, fileset_done_fn *done, void *user, struct fileset **ret,
                 struct err *e)
{
        static const struct exec_fns fns = {.output = on_output, .done = on_done};
        AUTO(fileset_freep) struct fileset *f = calloc(1, sizeof(*f));
        AUTO(strv_done) struct strv argv = STRV_INIT, env = STRV_INIT;
        if (!f)
                return err_nomem(e);
        f->job = j;
        f->done = done;
        f->user = user;
        int r = fileset_list_new(w, &f->list, e);
        if (r == 0)
                r = build_argv(w, &argv, e);
        if (r == 0)
                r = fileset_environment(&env, e);
        if (r == 0)
                r = op_exec(j->ops, &(struct exec){.argv = &argv, .env = &env, .cwd = "/", .step = w->group}, &fns, f,
                            &f->exec, e);
        if (r == 0)
                *ret = TAKE_PTR(f);
        return r;
}
