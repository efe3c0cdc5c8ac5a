/* devdep-cli artifacts: what runs uploaded. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/shelves.h"
#include "blob/unpack.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/render.h"
#include "cli/rundir.h"
#include "cli/runs.h"
#include "cli/state.h"

#define MAX_NAMED 8 /* artifacts that an error lists */

/* One run's artifacts. */
struct shelf {
        char run[STORE_MAX_RUN + 4];
        struct store *store; /* NULL: it has none */
        struct store_list list;
};

static void shelf_done(struct shelf *s)
{
        store_list_done(&s->list);
        s->store = store_free(s->store);
}

/* A run that has no artifacts is an empty list. */
static int shelf_open(const char *state, const char *run, struct shelf *ret, struct err *e)
{
        *ret = (struct shelf){0};
        str_copy(ret->run, sizeof(ret->run), run);
        int r = shelf_open_artifacts(state, run, &ret->store, e);
        if (r == 0)
                r = store_list(ret->store, &ret->list, e);
        return r < 0 ? r : 0;
}

/* "12", of a run that is there. */
static int shelf_of(const char *state, const char *text, struct shelf *ret, struct err *e)
{
        struct rundir_entry run = {0};
        char name[24];
        const char *job = NULL;
        uint64_t number = 0;
        *ret = (struct shelf){0};
        int r = runs_parse_name(text, &number, &job, e);
        if (r == 0 && job)
                r = err_set(e, ERR_USAGE, "'%s': artifacts belong to whole runs; say %llu", text,
                            (unsigned long long)number);
        if (r < 0)
                return r;
        snprintf(name, sizeof(name), "%llu", (unsigned long long)number);
        r = rundir_get(state, number, &run, e);
        rundir_entry_done(&run);
        if (r == RUNDIR_E_MISSING)
                return runs_missing(number, e);
        return r < 0 ? r : shelf_open(state, name, ret, e);
}

static int no_such(const struct shelf *s, const char *name, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = buf_printf(&text, e, "run %s has no artifact '", s->run);
        if (r == 0)
                r = buf_append_escaped(&text, name, strlen(name), e);
        if (r == 0)
                r = buf_append_str(&text, s->list.n ? "'; it has" : "'; it has none", e);
        for (size_t i = 0; r == 0 && i < MIN(s->list.n, MAX_NAMED); i++) {
                r = buf_append_str(&text, i ? ", " : " ", e);
                if (r == 0)
                        r = buf_append_escaped(&text, s->list.v[i].name, strlen(s->list.v[i].name), e);
        }
        if (r == 0 && s->list.n > MAX_NAMED)
                r = buf_printf(&text, e, " and %zu more", s->list.n - MAX_NAMED);
        const char *all = r == 0 ? buf_cstr(&text) : NULL;
        return all ? err_set(e, ERR_USAGE, "%s", all) : r < 0 ? r : err_nomem(e);
}

/* NULL and *e: there is none of that name. */
static const struct store_entry *find(const struct shelf *s, const char *name, struct err *e)
{
        for (size_t i = 0; i < s->list.n; i++)
                if (str_eq(s->list.v[i].name, name))
                        return &s->list.v[i];
        no_such(s, name, e);
        return NULL;
}

/* artifacts ls */

static json_t *row_json(const struct store_entry *x, const char *run)
{
        AUTO(auto_free) char *digest = str_printf("sha256:%s", x->digest);
        uint64_t now = clock_real_ms();
        return !digest ? NULL
                       : json_pack("{s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:s,s:I,s:I,s:I}", "run", run, "name", x->name, "id",
                                   (json_int_t)x->id, "digest", digest, "bytes", (json_int_t)x->bytes, "files",
                                   (json_int_t)x->files, "content", (json_int_t)x->content, "job", x->job, "created_ms",
                                   (json_int_t)x->created_ms, "age_ms", (json_int_t)(now - MIN(now, x->created_ms)),
                                   "expires_ms", (json_int_t)x->expires_ms);
}

static int print_row(const struct store_entry *x, const char *run, struct err *e)
{
        AUTO(buf_done) struct buf name = BUF_INIT;
        char size[OUTPUT_SIZE_TEXT], age[CLOCK_DURATION_SIZE];
        uint64_t now = clock_real_ms();
        output_size(x->content, size);
        clock_duration(now - MIN(now, x->created_ms), age);
        int r = render_plain(x->name, &name, e);
        const char *text = r == 0 ? buf_cstr(&name) : NULL;
        if (text)
                printf("%6s  %10s  %7llu  %9s  sha256:%.12s  %s\n", run, size, (unsigned long long)x->files, age,
                       x->digest, text);
        return r < 0 || text ? r : err_nomem(e);
}

struct listing {
        const char *state;
        json_t *rows; /* NULL: text */
        size_t n;
};

static int show_shelf(struct listing *l, const struct shelf *s, struct err *e)
{
        int r = 0;
        for (size_t i = s->list.n; r == 0 && i-- > 0; l->n++) {
                if (!l->rows && l->n == 0)
                        printf("%6s  %10s  %7s  %9s  %-19s  %s\n", "run", "size", "files", "age", "digest", "name");
                if (!l->rows)
                        r = print_row(&s->list.v[i], s->run, e);
                else if (json_array_append_new(l->rows, row_json(&s->list.v[i], s->run)) < 0)
                        r = err_nomem(e);
        }
        return r;
}

static int show_run(struct listing *l, const char *run, bool named, struct err *e)
{
        struct shelf s;
        int r = named ? shelf_of(l->state, run, &s, e) : shelf_open(l->state, run, &s, e);
        if (r == 0)
                r = show_shelf(l, &s, e);
        shelf_done(&s);
        return r;
}

static int show_all(struct listing *l, struct err *e)
{
        AUTO(strv_done) struct strv runs = STRV_INIT;
        int r = shelf_runs(l->state, &runs, e);
        for (size_t i = 0; r == 0 && i < runs.n; i++)
                r = show_run(l, runs.v[i], false, e);
        return r;
}

static int run_ls(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct listing l = {.rows = args_has(a, "json") ? json_array() : NULL};
        int r = state_path(&state, e);
        l.state = state;
        if (r == 0 && a->n_positional == 0)
                r = show_all(&l, e);
        for (size_t i = 0; r == 0 && i < a->n_positional; i++)
                r = show_run(&l, a->positional[i], true, e);
        if (r == 0 && l.rows)
                return output_json(l.rows, e);
        json_decref(l.rows);
        if (r == 0 && l.n == 0)
                printf("there are no artifacts\n");
        return r;
}

static const struct command_option ls_options[] = {{"json", 0, NULL, "print JSON", false}};
static const struct command command_ls = {
        .name = "ls",
        .summary = "List the artifacts of these runs, or of all",
        .positional = "[RUN...]",
        .max_args = 64,
        .options = ls_options,
        .n_options = ARRAY_SIZE(ls_options),
        .examples = "  devdep-cli artifacts ls\n"
                    "  devdep-cli artifacts ls 12 --json | jq -r '.[] | .name + \" \" + .digest'\n",
        .run = run_ls,
};

/* artifacts get */

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
        (void)signal;
        interrupted = 1;
}

static void catch_signals(void)
{
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
        const struct sigaction action = {.sa_handler = on_signal};
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
                sigaction(signals[i], &action, NULL);
}

/* The folder that the files go to: named, or called as the artifact, which is a guest's word. */
static int choose_folder(const struct args *a, const char *name, const char **ret, struct err *e)
{
        const char *out = args_get(a, "out");
        if (out && !*out)
                return err_set(e, ERR_USAGE, "--out: expected a folder, found nothing");
        if (!out && *name == '.')
                return err_set(e, ERR_USAGE,
                               "the name of the artifact begins with a dot: say with --out which folder "
                               "its files go to");
        *ret = out ? out : name;
        return 0;
}

static int get(const struct shelf *s, const struct args *a, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct unpack_options o = {.force = args_has(a, "force"), .stop = &interrupted};
        char size[OUTPUT_SIZE_TEXT];
        struct store_entry x;
        const struct store_entry *named = find(s, a->positional[1], e);
        if (!named)
                return -1;
        int r = choose_folder(a, named->name, &o.folder, e);
        if (r == 0)
                r = store_read(s->store, named->id, &x, &fd, e);
        if (r == STORE_E_MISSING)
                return err_set(e, ERR_USAGE, "the artifact was removed in this moment");
        if (r < 0)
                return r;
        catch_signals();
        r = unpack_artifact(fd, &x, &o, e);
        if (r < 0)
                return r;
        output_size(x.content, size);
        printf("%llu file%s, %s, sha256:%s, in %s\n", (unsigned long long)x.files, x.files == 1 ? "" : "s", size,
               x.digest, o.folder);
        return 0;
}

static int run_get(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct shelf s = {0};
        int r = state_path(&state, e);
        if (r == 0)
                r = shelf_of(state, a->positional[0], &s, e);
        if (r == 0)
                r = get(&s, a, e);
        shelf_done(&s);
        return r;
}

static const struct command_option get_options[] = {
        {"out", 'o', "DIR", "the folder that the files go to (default: one called as the artifact)", false},
        {"force", 0, NULL, "replace files that are there", false},
};

static const struct command command_get = {
        .name = "get",
        .summary = "Write the files of an artifact into a folder",
        .positional = "RUN NAME",
        .min_args = 2,
        .max_args = 2,
        .options = get_options,
        .n_options = ARRAY_SIZE(get_options),
        .details =
                "The archive is checked against its digest before the first file appears; in a new folder all files\n"
                "appear at once. Nothing is written outside the folder, and nothing is replaced without --force.",
        .examples = "  devdep-cli artifacts get 12 dist\n"
                    "  devdep-cli artifacts get 12 dist --out /srv/www --force\n",
        .run = run_get,
};

/* artifacts rm */

static int check_names(const struct args *a, struct err *e)
{
        bool all = args_has(a, "all");
        if (all && a->n_positional > 1)
                return err_set(e, ERR_USAGE, "%s: either names, or --all", a->path);
        if (!all && a->n_positional == 1)
                return err_set(e, ERR_USAGE, "%s: name the artifacts of run %s to remove, or --all", a->path,
                               a->positional[0]);
        return 0;
}

/* Each by the id that it had when it was looked up: one that was uploaded since stays. */
static int remove_one(const struct shelf *s, const struct store_entry *x, struct err *e)
{
        int r = store_remove(s->store, x->id, e);
        return r < 0 ? r : 0;
}

static int remove_these(const struct shelf *s, const struct args *a, struct err *e)
{
        int r = 0;
        for (size_t i = 1; i < a->n_positional; i++)
                if (!find(s, a->positional[i], e))
                        return -1;
        for (size_t i = 1; r == 0 && i < a->n_positional; i++)
                r = remove_one(s, find(s, a->positional[i], e), e);
        for (size_t i = 0; r == 0 && args_has(a, "all") && i < s->list.n; i++)
                r = remove_one(s, &s->list.v[i], e);
        return r;
}

static int run_rm(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct shelf s = {0};
        int r = check_names(a, e);
        if (r == 0)
                r = state_path(&state, e);
        if (r == 0)
                r = shelf_of(state, a->positional[0], &s, e);
        if (r == 0)
                r = remove_these(&s, a, e);
        shelf_done(&s);
        return r;
}

static const struct command_option rm_options[] = {{"all", 0, NULL, "all artifacts of the run", false}};
static const struct command command_rm_artifact = {
        .name = "rm",
        .summary = "Remove artifacts of a run; its logs and its record stay",
        .positional = "RUN [NAME...]",
        .min_args = 1,
        .max_args = 500,
        .options = rm_options,
        .n_options = ARRAY_SIZE(rm_options),
        .examples = "  devdep-cli artifacts rm 12 dist\n  devdep-cli artifacts rm 12 --all\n",
        .run = run_rm,
};

static const struct command *const artifacts_commands[] = {&command_ls, &command_get, &command_rm_artifact, NULL};

const struct command command_artifacts = {
        .name = "artifacts",
        .summary = "List, fetch and remove what runs uploaded",
        .sub = artifacts_commands,
        .examples = "  devdep-cli artifacts ls 12         what run 12 uploaded\n"
                    "  devdep-cli artifacts get 12 dist   its files, in the folder dist\n",
};
