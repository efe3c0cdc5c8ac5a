/* `uses: actions/download-artifact`, built in: the job's turn with the store -> the run's artifacts are listed -> those
 * that name, ids or pattern choose go one after another into folders of the guest (unstow.h). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/client.h"
#include "blob/limits.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/output.h"
#include "job/spec.h"
#include "job/step.h"
#include "job/store_step.h"
#include "job/store_turn.h"
#include "job/unstow.h"
#include "job/view.h"
#include "workflow/fileglob.h"

#define MAX_IDS 500u

struct chosen {
        uint64_t id;
        char *name;
};

struct download {
        struct step *step;
        struct store_turn turn;
        char *name, *pattern, *path;
        uint64_t ids[MAX_IDS];
        size_t n_ids;
        bool merge, interrupted;
        struct chosen *chosen;
        size_t n, at;
        struct unstow *unstow;
};

static void download_free(void *private)
{
        struct download *d = private;
        for (size_t i = 0; i < d->n; i++)
                free(d->chosen[i].name);
        free(d->chosen);
        unstow_free(d->unstow);
        free(d->name);
        free(d->pattern);
        free(d->path);
        free(d);
}

static void download_interrupt(struct step *s)
{
        struct download *d = s->private;
        d->interrupted = true;
        if (d->unstow)
                unstow_interrupt(d->unstow);
}

/* ---- inputs ---- */

static const char *const known_inputs[] = {"name",       "artifact-ids", "path",         "pattern", "merge-multiple",
                                           "repository", "run-id",       "github-token", NULL};

/* Artifacts of other runs are not here: whoever asks for them has to know. */
static int check_place(struct download *d, struct err *e)
{
        const struct {
                const char *input, *own;
        } places[] = {{"repository", context_github(d->step->job->context, "repository")},
                      {"run-id", d->step->job->spec->run}};
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                AUTO(auto_free) char *text = NULL;
                int r = inputs_text(d->step, places[i].input, &text, e);
                if (r < 0)
                        return r;
                if (text && places[i].own && !str_ieq(text, places[i].own))
                        return err_set(e, ERR_RUN_FAILED,
                                       "with.%s: only artifacts of the own run (%s) can be downloaded, found '%s'",
                                       places[i].input, places[i].own, text);
        }
        return 0;
}

/* Numbers between commas. */
static int read_ids(struct download *d, struct err *e)
{
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(d->step, "artifact-ids", &text, e);
        for (char *at = text, *rest; r == 0 && at; at = rest) {
                rest = strchr(at, ',');
                if (rest)
                        *rest++ = '\0';
                at += strspn(at, " \t\r\n");
                at[strcspn(at, " \t\r\n")] = '\0';
                if (!*at)
                        continue;
                if (d->n_ids == MAX_IDS)
                        return err_set(e, ERR_RUN_FAILED, "with.artifact-ids: more than %u", MAX_IDS);
                r = num_u64(at, 1, STORE_MAX_ID, "with.artifact-ids", &d->ids[d->n_ids++], e);
        }
        if (r < 0 && e->code == ERR_USAGE)
                e->code = ERR_RUN_FAILED;
        return r;
}

static int read_path(struct download *d, struct err *e)
{
        const char *workspace = context_workspace(d->step->job->context);
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(d->step, "path", &text, e);
        if (r < 0)
                return r;
        if (!text)
                d->path = str_dup(workspace);
        else if (text[0] == '~' && (!text[1] || text[1] == '/'))
                d->path = str_printf("%s%s", VIEW_HOME, text + 1);
        else
                d->path = text[0] == '/' ? str_dup(text) : str_printf("%s/%s", workspace, text);
        return d->path ? 0 : err_nomem(e);
}

static int read_inputs(struct download *d, struct err *e)
{
        static const struct inputs_lists lists = {.known = known_inputs};
        struct step *s = d->step;
        int r = inputs_check(s, &lists, e);
        if (r == 0)
                r = check_place(d, e);
        if (r == 0)
                r = inputs_text(s, "name", &d->name, e);
        if (r == 0)
                r = inputs_text(s, "pattern", &d->pattern, e);
        if (r == 0)
                r = inputs_bool(s, "merge-multiple", false, &d->merge, e);
        if (r == 0)
                r = read_ids(d, e);
        if (r == 0)
                r = read_path(d, e);
        if (r == 0 && d->name && d->n_ids)
                r = err_set(e, ERR_RUN_FAILED,
                            "with.name and with.artifact-ids cannot be used together; give one of them");
        return r;
}

/* ---- the end ---- */

/* The failure is a copy: *e is used on the way. */
static int refuse(struct download *d, const struct err *failure, struct err *e)
{
        struct err why = *failure;
        struct step *s = d->step;
        int r = store_turn_end(s->job, &d->turn, e);
        return r < 0 || !s->is_open ? r : store_step_refuse(s, &why, e);
}

static int attempt(struct download *d, int r, struct err *e)
{
        return r < 0 && e->code == ERR_RUN_FAILED ? refuse(d, e, e) : r;
}

static int finish(struct download *d, struct err *e)
{
        struct step *s = d->step;
        int r = store_turn_end(s->job, &d->turn, e);
        if (r < 0 || !s->is_open)
                return r;
        r = output_note(s->output, e, "Total of %zu artifact(s) downloaded", d->n);
        if (r == 0)
                r = step_set_output(s, "download-path", d->path, e);
        return r < 0 ? r : step_finish(s, STEP_SUCCESS, e);
}

/* ---- files ---- */

static int next(struct download *d, struct err *e);

static int on_unstowed(struct unstow *u, const struct err *failure, void *user, struct err *e)
{
        struct download *d = user;
        struct err why = failure ? *failure : (struct err)ERR_INIT;
        d->unstow = unstow_free(u);
        if (failure && why.code != ERR_PROTOCOL)
                why.code = ERR_RUN_FAILED;
        if (failure) {
                err_wrap(&why, -1, "artifact %s", d->chosen[d->at].name);
                return refuse(d, &why, e);
        }
        d->at++;
        return attempt(d, next(d, e), e);
}

/* One that was asked for by its name stands in the folder itself, others in folders of their names. */
static int next(struct download *d, struct err *e)
{
        const struct chosen *c = &d->chosen[d->at];
        if (d->interrupted)
                return err_set(e, ERR_RUN_FAILED, "the download was interrupted");
        if (d->at == d->n)
                return finish(d, e);
        AUTO(auto_free)
        char *folder = d->name || d->merge ? str_dup(d->path) : str_printf("%s/%s", d->path, c->name);
        return folder ? unstow_start(d->step, STORE_ITEM_ARTIFACT, c->id, folder, on_unstowed, d, &d->unstow, e)
                      : err_nomem(e);
}

/* ---- choosing ---- */

static bool is_chosen(const struct download *d, const struct store_item *x)
{
        for (size_t i = 0; i < d->n_ids; i++)
                if (d->ids[i] == x->id)
                        return true;
        if (d->n_ids)
                return false;
        if (d->name)
                return str_eq(d->name, x->name);
        return !d->pattern || fileglob_name(d->pattern, x->name);
}

static int choose(struct download *d, const struct store_item *v, size_t n, struct err *e)
{
        int r = 0;
        d->chosen = calloc(n ? n : 1, sizeof(*d->chosen));
        if (!d->chosen)
                return err_nomem(e);
        for (size_t i = n; r == 0 && i-- > 0;) {
                if (!is_chosen(d, &v[i]))
                        continue;
                d->chosen[d->n] = (struct chosen){v[i].id, str_dup(v[i].name)};
                if (!d->chosen[d->n++].name)
                        return err_nomem(e);
                char size[STORE_STEP_SIZE];
                store_step_size(v[i].content, size);
                r = store_step_event(d->step, "artifact", "downloaded", &v[i], e);
                if (r == 0)
                        r = output_note(d->step->output, e, "- %s (ID: %" PRIu64 ", Size: %s, SHA256: %s)", v[i].name,
                                        v[i].id, size, v[i].digest);
        }
        return r;
}

static int check_chosen(const struct download *d, struct err *e)
{
        if (d->name && d->n == 0)
                return err_set(e, ERR_RUN_FAILED,
                               "Unable to download artifact(s): Artifact not found for name: %s; this run has no such "
                               "artifact, or it is past its retention",
                               d->name);
        if (d->n < d->n_ids)
                return err_set(e, ERR_RUN_FAILED,
                               "Unable to download artifact(s): %zu of the %zu artifact-ids are none of this run",
                               d->n_ids - d->n, d->n_ids);
        return 0;
}

static int on_items(struct store_client *c, const struct store_item *v, size_t n, const struct err *failure, void *user,
                    struct err *e)
{
        struct download *d = user;
        (void)c;
        if (failure)
                return refuse(d, failure, e);
        if (!d->step->is_open)
                return 0;
        int r = choose(d, v, n, e);
        if (r == 0)
                r = check_chosen(d, e);
        if (r == 0)
                r = next(d, e);
        return attempt(d, r, e);
}

static int on_turn(void *user, struct err *e)
{
        struct download *d = user;
        return store_ask_artifacts(d->step->job->store, on_items, d, e);
}

static int download_start(struct step *s, struct err *e)
{
        struct download *d = calloc(1, sizeof(*d));
        if (!d)
                return err_nomem(e);
        d->step = s;
        d->turn = (struct store_turn){.begin = on_turn, .user = d};
        s->private = d;
        int r = store_step_check(s, e);
        if (r == 0)
                r = read_inputs(d, e);
        return r < 0 ? r : store_turn_take(s->job, &d->turn, e);
}

const struct builtin builtin_download_artifact = {.name = "actions/download-artifact",
                                                  .start = download_start,
                                                  .interrupt = download_interrupt,
                                                  .free = download_free};
