/* The tree of the commit comes from devdep-source as one tar stream and goes unread through the door. A folder is made
 * once in a job: what its steps do to it afterwards is theirs, as at GitHub, where the actions lie beside the
 * workspace, too. */
#include "job/action_fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "codec/uses.h"
#include "job/context.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/spec.h"
#include "job/transfer.h"
#include "job/turn.h"
#include "source/client.h"

struct action_fetch {
        struct step *step;
        action_fetch_done_fn *done;
        struct uses uses;
        char *root;   /* of the repository's tree in the guest */
        char *folder; /* of the action in it */
        char *commit; /* once it is known */
        struct turn turn;
        struct transfer transfer;
};

struct action_fetch *action_fetch_free(struct action_fetch *f)
{
        if (!f)
                return NULL;
        turn_give(&f->turn);
        transfer_done(&f->transfer);
        uses_done(&f->uses);
        free(f->root);
        free(f->folder);
        free(f->commit);
        free(f);
        return NULL;
}

static int write_event(struct action_fetch *f, const char *commit, struct err *e)
{
        struct journal *journal = f->step->job->journal;
        AUTO(auto_free) char *uses = str_printf("%s@%s", f->uses.repository, f->uses.ref);
        if (!uses)
                return err_nomem(e);
        journal_begin(journal, "action");
        journal_i64(journal, "step", f->step->index);
        journal_str(journal, "uses", uses);
        journal_str(journal, "commit", commit);
        return journal_end(journal, e);
}

static int is_there(struct action_fetch *f, const char *commit, struct err *e)
{
        int r = write_event(f, commit, e);
        return r < 0 ? r : f->done(f->step, f->folder, NULL, e);
}

static int on_done(const struct err *failure, void *user, struct err *e)
{
        struct action_fetch *f = user;
        turn_give(&f->turn);
        if (failure)
                return f->done(f->step, NULL, failure->msg, e);
        char *commit = str_dup(f->commit);
        int r = commit ? map_set(f->step->job->actions, f->root, commit, e) : err_nomem(e);
        if (r < 0)
                free(commit);
        return r < 0 ? r : is_there(f, commit, e);
}

static int on_streamed(const struct source_totals *t, void *user, struct err *e)
{
        struct action_fetch *f = user;
        f->commit = str_dup(t->commit);
        return f->commit ? 0 : err_nomem(e);
}

static int request(struct source *s, const struct source_stream *fns, void *stream, void *user, struct err *e)
{
        const struct action_fetch *f = user;
        return source_action_tree(s, f->uses.repository, f->uses.ref, fns, stream, e);
}

/* RUNNER_TEMP/../_actions/OWNER/REPO/REF, as at GitHub. */
static int name_folders(struct action_fetch *f, struct err *e)
{
        AUTO(auto_free) char *temp = str_dup(context_temp(f->step->job->context));
        char *slash = temp ? strrchr(temp, '/') : NULL;
        if (!slash)
                return err_nomem(e);
        *slash = '\0';
        f->root = str_printf("%s/_actions/%s/%s", temp, f->uses.repository, f->uses.ref);
        f->folder = str_printf("%s%s%s", f->root ? f->root : "", *f->uses.path ? "/" : "", f->uses.path);
        return f->root && f->folder ? 0 : err_nomem(e);
}

/* By now another step may have brought it. */
static int on_turn(void *user, struct err *e)
{
        static const struct transfer_fns fns = {request, on_streamed, on_done};
        struct action_fetch *f = user;
        struct job *j = f->step->job;
        const char *commit = map_get(j->actions, f->root);
        bool interrupted = f->step->cancelled || f->step->timed_out;
        if (!commit && !interrupted)
                return transfer_start(&f->transfer, j, f->root, true, &fns, f, e);
        turn_give(&f->turn);
        return commit ? is_there(f, commit, e) : f->done(f->step, NULL, "the step was interrupted", e);
}

static int start(struct action_fetch *f, struct err *e)
{
        struct job *j = f->step->job;
        int r = uses_parse(f->step->spec->uses, &f->uses, e);
        if (r < 0 && e->code == ERR_USAGE)
                e->code = ERR_RUN_FAILED;
        if (r < 0)
                return r;
        if (f->uses.kind != USES_REMOTE)
                return err_set(e, ERR_RUN_FAILED, "uses: %s: a Docker action cannot run in a microVM",
                               f->step->spec->uses);
        if (!j->source)
                return err_set(e, ERR_RUN_FAILED, "uses: %s: this run has no mirror of actions", f->step->spec->uses);
        r = name_folders(f, e);
        return r < 0 ? r : turn_take(&f->turn, j, on_turn, f, e);
}

int action_fetch(struct step *s, action_fetch_done_fn *done, struct err *e)
{
        struct action_fetch *f = calloc(1, sizeof(*f));
        if (!f)
                return err_nomem(e);
        f->step = s;
        f->done = done;
        f->transfer = (struct transfer)TRANSFER_INIT;
        turn_init(&f->turn);
        s->fetch = f;
        int r = s->job->actions ? 0 : map_new(free, &s->job->actions, e);
        return r < 0 ? r : start(f, e);
}
