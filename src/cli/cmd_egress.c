/* devdep-cli egress suggest: the records of a run into the `egress` part of a devdep.yaml. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/journal.h"
#include "cli/rundir.h"
#include "cli/runs.h"
#include "cli/state.h"
#include "codec/json.h"
#include "net/name.h"
#include "net/policy.h"

#define MAX_REPORT ((size_t)256 << 20) /* bytes of a report that is read */
#define MAX_SUGGESTED POLICY_MAX_ENTRIES

/* One entry, and what led to it. */
struct suggested {
        char text[POLICY_TEXT];
        struct policy_entry entry;
        bool denied;  /* every time */
        bool reached; /* once at least */
        uint64_t connections, bytes;
};

struct suggestion {
        struct map *by_text;
        struct suggested *v[MAX_SUGGESTED];
        size_t n;
        bool full;
};

static int find(struct suggestion *s, const char *text, struct suggested **ret, struct err *e)
{
        *ret = map_get(s->by_text, text);
        if (*ret)
                return 0;
        s->full = s->full || s->n == MAX_SUGGESTED;
        if (s->full)
                return 0;
        struct suggested *x = calloc(1, sizeof(*x));
        if (!x)
                return err_nomem(e);
        *x = (struct suggested){.denied = true};
        str_copy(x->text, sizeof(x->text), text);
        if (policy_entry_parse(text, &x->entry, NULL) < 0) {
                free(x);
                return 0; /* nothing that could be listed: a report that somebody wrote by hand */
        }
        int r = map_set(s->by_text, text, x, e);
        if (r < 0) {
                free(x);
                return r;
        }
        s->v[s->n++] = *ret = x;
        return 0;
}

static uint64_t number(const json_t *record, const char *key)
{
        json_int_t v = json_integer_value(json_object_get(record, key));

        return v > 0 ? (uint64_t)v : 0;
}

/* What was asked for, as an entry. */
static bool entry_of(const json_t *record, char ret[POLICY_TEXT])
{
        const char *name = json_string_value(json_object_get(record, "name"));
        const char *address = json_string_value(json_object_get(record, "address"));
        uint64_t port = number(record, "port");
        struct address a;

        if (!port || port > UINT16_MAX || (!name && (!address || !address_parse(address, &a))))
                return false;
        policy_wanted(name, &a, (uint16_t)port, ret);
        return true;
}

static int take(struct suggestion *s, const json_t *record, struct err *e)
{
        const char *verdict = json_string_value(json_object_get(record, "verdict"));
        const char *entry = json_string_value(json_object_get(record, "entry"));
        const char *kind = json_string_value(json_object_get(record, "kind"));
        const char *name = json_string_value(json_object_get(record, "name"));
        bool denied = str_eq(verdict, "denied");
        char text[POLICY_TEXT];
        struct suggested *x = NULL;

        /* The host's own services need no entry. */
        if (name && name_is_internal(name))
                return 0;
        if (denied ? !entry || !str_copy(text, sizeof(text), entry)
                   : !str_eq(kind, "connect") || !entry_of(record, text))
                return 0;
        int r = find(s, text, &x, e);
        if (r < 0 || !x)
                return r;
        x->denied = x->denied && denied;
        x->reached |= str_eq(verdict, "allowed");
        x->connections++;
        x->bytes += number(record, "sent") + number(record, "received");
        return 0;
}

/* ---- where records come from ---- */

static int on_event(const char *type, const struct json_t *event, void *user, struct err *e)
{
        return str_eq(type, "egress") ? take(user, event, e) : 0;
}

struct job_journals {
        struct suggestion *suggestion;
        const char *path, *job;
        size_t found;
};

static int read_journal(const char *file, void *user, struct err *e)
{
        struct job_journals *j = user;
        AUTO(journal_closep) struct journal_reader *reader = NULL;
        AUTO(auto_free) char *path = fs_join(j->path, file);
        size_t len = strlen(file);

        if (!str_ends(file, ".journal") ||
            (j->job && (strlen(j->job) != len - strlen(".journal") || strncmp(j->job, file, strlen(j->job)) != 0)))
                return 0;
        if (!path)
                return err_nomem(e);
        j->found++;
        int r = journal_open(path, on_event, j->suggestion, &reader, e);
        while (r == 0 || r == JOURNAL_E_MORE) {
                r = journal_read(reader, e);
                if (r == 0)
                        return 0;
        }
        return r == JOURNAL_E_BROKEN ? -1 : r;
}

static int read_run(const char *name, struct suggestion *s, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct rundir_entry run = {0};
        struct job_journals j = {.suggestion = s};
        uint64_t number_of_run = 0;
        int r = runs_parse_name(name, &number_of_run, &j.job, e);

        if (r == 0)
                r = state_path(&state, e);
        if (r == 0)
                r = rundir_get(state, number_of_run, &run, e);
        if (r == RUNDIR_E_MISSING)
                return runs_missing(number_of_run, e);
        j.path = run.path;
        if (r == 0)
                r = fs_list(run.path, read_journal, &j, e);
        if (r == 0 && j.job && !j.found)
                r = err_set(e, ERR_USAGE, "run %llu has no job '%s'", (unsigned long long)number_of_run, j.job);
        rundir_entry_done(&run);
        return r;
}

static int read_report(const char *path, struct suggestion *s, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        size_t line = 0;
        int r = fs_read(path, MAX_REPORT, &text, e);

        if (r == FS_E_MISSING)
                return err_set(e, ERR_USAGE, "there is no file %s, and no run of this name", path);
        for (size_t at = 0; r == 0 && at < text.len;) {
                const uint8_t *nl = memchr(text.data + at, '\n', text.len - at);
                size_t end = nl ? (size_t)(nl - text.data) : text.len;
                AUTO(json_decrefp) json_t *record = NULL;
                line++;
                if (json_parse(text.data + at, end - at, JOURNAL_MAX_LINE, "the record", &record, e) < 0 ||
                    !json_is_object(record))
                        return err_set(e, ERR_USAGE, "%s: line %zu is no record of an egress report", path, line);
                r = take(s, record, e);
                at = end + 1;
        }
        return r;
}

/* ---- what is printed ---- */

static int by_text(const void *a, const void *b)
{
        const struct suggested *const *x = a, *const *y = b;

        return (*x)->denied != (*y)->denied ? (*x)->denied - (*y)->denied : strcmp((*x)->text, (*y)->text);
}

static void print(const struct suggestion *s)
{
        bool listed = s->n && !s->v[0]->denied; /* by_text() has put what was denied at the end */

        puts("egress:\n  profile: brokered");
        /* Without a `# ` each line that the reader wants is part of the list. */
        puts(listed ? "  allow:" : s->n ? "  # allow:" : "  allow: []");
        for (size_t i = 0; i < s->n; i++) {
                const struct suggested *x = s->v[i];
                printf("    %s- '%s' # %llu %s, %llu bytes%s%s\n", x->denied ? "# " : "", x->text,
                       (unsigned long long)x->connections, x->connections == 1 ? "connection" : "connections",
                       (unsigned long long)x->bytes,
                       x->denied    ? "; was denied"
                       : x->reached ? ""
                                    : "; could not be reached",
                       policy_entry_is_weak(&x->entry) ? "; plain HTTP: weaker, nothing proves which name is asked for"
                                                       : "");
        }
        if (s->full)
                printf("    # more than %u destinations: the rest is left out\n", MAX_SUGGESTED);
}

static int run_suggest(const struct args *a, struct err *e)
{
        struct suggestion s = {0};
        const char *from = a->positional[0];
        int r = map_new(free, &s.by_text, e);

        if (r == 0)
                r = from[0] >= '0' && from[0] <= '9' && !fs_exists(from) ? read_run(from, &s, e)
                                                                         : read_report(from, &s, e);
        if (r == 0) {
                qsort(s.v, s.n, sizeof(s.v[0]), by_text);
                print(&s);
        }
        map_free(s.by_text);
        return r;
}

static const struct command command_egress_suggest = {
        .name = "suggest",
        .summary = "Print the 'egress' part of a devdep.yaml that allows what a run reached",
        .positional = "RUN[/JOB]|FILE",
        .min_args = 1,
        .max_args = 1,
        .details = "RUN is a kept run, best one of the profile 'audit'; FILE was written by 'run --egress-report'.\n"
                   "What was denied stands in comments: look at each before you list it.",
        .examples = "  devdep-cli run --egress audit\n  devdep-cli egress suggest 12 >> devdep.yaml\n",
        .run = run_suggest,
};

static const struct command *const subcommands[] = {&command_egress_suggest, NULL};

const struct command command_egress = {
        .name = "egress",
        .summary = "Work with the records of outgoing connections",
        .sub = subcommands,
};
