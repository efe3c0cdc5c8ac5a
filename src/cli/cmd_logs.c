/* devdep-cli logs: what the jobs of a kept run wrote, from their journals. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/journal.h"
#include "cli/render.h"
#include "cli/rundir.h"
#include "cli/runs.h"
#include "cli/state.h"
#include "codec/json.h"

struct logs {
        const char *path; /* the run's folder */
        const char *job;  /* one key or name, or NULL */
        bool json;
        struct render *render;
        struct render_job *current;
        const struct json_t *record;
        size_t shown;
};

static int on_event(const char *type, const struct json_t *event, void *user, struct err *e)
{
        struct logs *l = user;
        struct buf line = BUF_INIT;

        if (!l->json)
                return render_event(l->current, type, event, e);
        int r = json_write(event, JSON_WRITE_ASCII, &line, e);
        if (r == 0)
                r = buf_append_byte(&line, '\n', e);
        if (r == 0 && fwrite(line.data, 1, line.len, stdout) != line.len)
                r = err_set(e, ERR_RESOURCES, "cannot write to standard output");
        buf_done(&line);
        return r;
}

/* The job's name as run.json has it; the key itself where it has none. */
static const char *job_name(const struct logs *l, const char *key)
{
        const json_t *jobs = json_object_get(l->record, "jobs");

        for (size_t i = 0; i < json_array_size(jobs); i++) {
                const json_t *job = json_array_get(jobs, i);
                const char *k = json_string_value(json_object_get(job, "key"));
                const char *name = json_string_value(json_object_get(job, "name"));
                if (str_eq(k, key) && name)
                        return name;
        }
        return key;
}

static int show_job(const char *file, void *user, struct err *e)
{
        struct logs *l = user;
        AUTO(journal_closep) struct journal_reader *reader = NULL;
        size_t len = strlen(file);

        if (!str_ends(file, ".journal"))
                return 0;
        AUTO(auto_free) char *key = str_ndup(file, len - strlen(".journal"));
        AUTO(auto_free) char *path = fs_join(l->path, file);
        if (!key || !path)
                return err_nomem(e);
        const char *name = job_name(l, key);
        if (l->job && !str_eq(l->job, key) && !str_eq(l->job, name))
                return 0;
        l->shown++;
        int r = render_job_new(l->render, name, &l->current, e);
        if (r == 0)
                r = journal_open(path, on_event, l, &reader, e);
        if (r < 0)
                return r;
        do
                r = journal_read(reader, e);
        while (r == JOURNAL_E_MORE);
        return r == JOURNAL_E_BROKEN ? -1 : r;
}

static size_t longest_name(const json_t *record)
{
        const json_t *jobs = json_object_get(record, "jobs");
        size_t longest = 0;

        for (size_t i = 0; i < json_array_size(jobs); i++) {
                const char *name = json_string_value(json_object_get(json_array_get(jobs, i), "name"));
                longest = MAX(longest, name ? strlen(name) : 0);
        }
        return longest;
}

static int show_run(const struct rundir_entry *run, const char *job, const struct args *a, struct err *e)
{
        AUTO(render_freep) struct render *render = NULL;
        struct render_options o = {.out = stdout, .prefix = !job, .width = longest_name(run->record)};
        struct logs l = {.path = run->path, .job = job, .json = args_has(a, "json"), .record = run->record};

        int r = render_use_color(args_get(a, "color"), stdout, &o.color, e);
        if (r == 0)
                r = render_new(&o, &render, e);
        l.render = render;
        if (r == 0)
                r = fs_list(run->path, show_job, &l, e);
        if (r == 0 && job && l.shown == 0)
                r = err_set(e, ERR_USAGE, "run %llu has no job '%s'; 'devdep-cli logs %llu' shows all of them",
                            (unsigned long long)run->number, job, (unsigned long long)run->number);
        return r;
}

static int run_logs(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct rundir_entry run = {0};
        uint64_t number = 0;
        const char *job = NULL;

        int r = runs_parse_name(a->positional[0], &number, &job, e);
        if (r == 0)
                r = state_path(&state, e);
        if (r == 0)
                r = rundir_get(state, number, &run, e);
        if (r == RUNDIR_E_MISSING)
                return runs_missing(number, e);
        if (r == 0)
                r = show_run(&run, job, a, e);
        rundir_entry_done(&run);
        return r;
}

static const struct command_option options[] = {
        {"json", 0, NULL, "print the events as JSON Lines", false},
        {"color", 0, "WHEN", "auto (default), always or never", false},
};

const struct command command_logs = {
        .name = "logs",
        .summary = "Show what the jobs of a kept run wrote",
        .positional = "RUN[/JOB]",
        .min_args = 1,
        .max_args = 1,
        .options = options,
        .n_options = 2,
        .examples = "  devdep-cli logs 12\n  devdep-cli logs 12/build\n"
                    "  devdep-cli logs 12/build --json | jq -r 'select(.type == \"log\").text'\n",
        .run = run_logs,
};
