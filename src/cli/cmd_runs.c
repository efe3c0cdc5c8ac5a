/* devdep-cli runs, rm: the kept runs. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/records.h"
#include "cli/render.h"
#include "cli/rundir.h"
#include "cli/runs.h"
#include "cli/state.h"
#include "codec/json.h"

static const char *get_str(const json_t *record, const char *key)
{
        const char *s = json_string_value(json_object_get(record, key));

        return s ? s : "";
}

/* "success", "running", or "interrupted" when the process that made it is gone. */
static const char *entry_state(const struct rundir_entry *x)
{
        const char *conclusion = get_str(x->record, "conclusion");

        if (*conclusion)
                return conclusion;
        return x->alive ? "running" : "interrupted";
}

static int print_row(const struct rundir_entry *x, struct err *e)
{
        struct buf text = BUF_INIT_MAX(65536);
        char when[CLOCK_ISO_SIZE], took[CLOCK_DURATION_SIZE];

        clock_iso((uint64_t)json_integer_value(json_object_get(x->record, "started_ms")), when);
        clock_duration((uint64_t)json_integer_value(json_object_get(x->record, "ms")), took);
        int r = render_plain(get_str(x->record, "title"), &text, e);
        if (r == 0)
                r = buf_append_str(&text, "  ", e);
        if (r == 0)
                r = render_plain(get_str(x->record, "dir"), &text, e);
        const char *s = r == 0 ? buf_cstr(&text) : NULL;
        if (s)
                printf("%5llu  %-11s  %8s  %.19sZ  %.8s  %s\n", (unsigned long long)x->number, entry_state(x),
                       x->alive ? "" : took, when, get_str(x->record, "commit"), s);
        buf_done(&text);
        return r == 0 && !s ? err_nomem(e) : r;
}

static int run_runs(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct rundir_entry *v = NULL;
        size_t n = 0;
        bool json = args_has(a, "json");
        json_t *rows = json ? json_array() : NULL;

        int r = state_path(&state, e);
        if (r == 0)
                r = rundir_list(state, &v, &n, e);
        for (size_t i = 0; i < n; i++) {
                if (r == 0 && json) {
                        json_t *row = v[i].record ? json_copy(v[i].record) : json_object();

                        json_object_set_new(row, "run", json_integer((json_int_t)v[i].number));
                        json_object_set_new(row, "state", json_string(entry_state(&v[i])));
                        json_array_append_new(rows, row);
                } else if (r == 0) {
                        r = print_row(&v[i], e);
                }
                rundir_entry_done(&v[i]);
        }
        free(v);
        if (r == 0 && json)
                return output_json(rows, e);
        json_decref(rows);
        return r;
}

/* "12" or, where a job is allowed, "12/build": *ret_job is what stands behind the slash, or NULL. */
int runs_parse_name(const char *text, uint64_t *ret, const char **ret_job, struct err *e)
{
        const char *slash = strchr(text, '/');
        char number[24];

        *ret_job = slash ? slash + 1 : NULL;
        snprintf(number, sizeof(number), "%.*s", (int)(slash ? MIN(slash - text, 20) : 20), text);
        return num_u64(number, 1, UINT64_MAX, "run", ret, e);
}

int runs_missing(uint64_t number, struct err *e)
{
        return err_set(e, ERR_USAGE, "there is no run %llu; 'devdep-cli runs' lists them", (unsigned long long)number);
}

static int remove_all(const char *state, struct err *e)
{
        struct rundir_entry *v = NULL;
        size_t n = 0;
        int r = rundir_list(state, &v, &n, e);

        for (size_t i = 0; i < n; i++) {
                if (r == 0 && !v[i].alive) {
                        r = rundir_remove(state, v[i].number, e);
                        r = r == RUNDIR_E_MISSING ? 0 : r;
                }
                rundir_entry_done(&v[i]);
        }
        free(v);
        return r;
}

static int run_rm(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        int r = state_path(&state, e);

        /* What was killed has its record before it goes. */
        if (r == 0)
                r = records_recover(state, e);
        if (r == 0 && args_has(a, "all"))
                return remove_all(state, e);
        if (r == 0 && a->n_positional == 0)
                return err_set(e, ERR_USAGE, "%s: name the runs to remove, or --all; see '%s --help'", a->path,
                               a->path);
        for (size_t i = 0; i < a->n_positional && r == 0; i++) {
                uint64_t number;
                const char *job;

                r = runs_parse_name(a->positional[i], &number, &job, e);
                if (r == 0 && job)
                        r = err_set(e, ERR_USAGE, "'%s': only whole runs can be removed", a->positional[i]);
                if (r == 0)
                        r = rundir_remove(state, number, e);
                if (r == RUNDIR_E_MISSING)
                        r = runs_missing(number, e);
        }
        return r;
}

static const struct command_option runs_options[] = {{"json", 0, NULL, "print the list as JSON", false}};
const struct command command_runs = {
        .name = "runs",
        .summary = "List the kept runs, newest first",
        .options = runs_options,
        .n_options = 1,
        .details = "The newest 200 runs, or 2 GiB of logs, are kept.",
        .examples = "  devdep-cli runs\n  devdep-cli runs --json | jq '.[0].conclusion'\n",
        .run = run_runs,
};

static const struct command_option rm_options[] = {{"all", 0, NULL, "every run that is not running", false}};
const struct command command_rm = {
        .name = "rm",
        .summary = "Remove kept runs with their logs",
        .positional = "RUN...",
        .max_args = 1000,
        .options = rm_options,
        .n_options = 1,
        .examples = "  devdep-cli rm 12 13\n  devdep-cli rm --all\n",
        .run = run_rm,
};
