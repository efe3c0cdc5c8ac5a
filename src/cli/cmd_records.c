/* devdep-cli records: the log of what ran. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/records.h"
#include "cli/rundir.h"
#include "cli/state.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "record/record.h"
#include "trust/key.h"

CLEANUP_DEFINE(struct key, key_free)

static const char *get_str(const json_t *record, const char *key)
{
        const char *s = json_string_value(json_object_get(record, key));

        return s ? s : "";
}

static json_t *entry_object(const struct record_entry *x)
{
        return json_pack("{s:I,s:s,s:s,s:O}", "index", (json_int_t)x->index, "hash", x->hash, "key", x->key, "record",
                         x->record);
}

/* Records hold no text that a terminal could act on. */
static int list_entry(const struct record_entry *x, void *user, struct err *e)
{
        json_t *rows = user;
        char when[CLOCK_ISO_SIZE];

        if (rows)
                return json_array_append_new(rows, entry_object(x)) < 0 ? err_nomem(e) : 0;
        clock_iso((uint64_t)json_integer_value(json_object_get(x->record, "started_ms")), when);
        printf("%5lld  %-11s  %.19sZ  %-8.8s  %.16s  %s\n",
               (long long)json_integer_value(json_object_get(x->record, "run")), get_str(x->record, "conclusion"), when,
               get_str(x->record, "commit"), x->hash, get_str(x->record, "repository"));
        return 0;
}

/* The state folder, with the entries of runs that were killed. */
static int open_state(char **ret, struct err *e)
{
        int r = state_path(ret, e);

        return r < 0 ? r : records_recover(*ret, e);
}

static int run_list(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        json_t *rows = args_has(a, "json") ? json_array() : NULL;
        int r = open_state(&state, e);

        if (r == 0)
                r = record_each(state, list_entry, rows, e);
        if (r == 0 && rows)
                return output_json(rows, e);
        json_decref(rows);
        return r;
}

struct wanted {
        int64_t run;
        json_t *found;
};

#define STOP 1

static int keep_wanted(const struct record_entry *x, void *user, struct err *e)
{
        struct wanted *w = user;

        if (json_integer_value(json_object_get(x->record, "run")) != w->run)
                return 0;
        w->found = entry_object(x);
        return w->found ? STOP : err_nomem(e);
}

static int run_show(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct wanted w = {0};
        uint64_t run;
        int r = num_u64(a->positional[0], 1, INT64_MAX, "run", &run, e);

        if (r == 0)
                r = open_state(&state, e);
        w.run = (int64_t)run;
        if (r == 0)
                r = record_each(state, keep_wanted, &w, e);
        if (r < 0)
                return r;
        if (!w.found)
                return err_set(e, ERR_USAGE, "run %llu has no record; 'devdep-cli records list' lists them",
                               (unsigned long long)run);
        return output_json(w.found, e);
}

static int load_key(const struct args *a, const char *state, struct key **ret, struct err *e)
{
        const char *given = args_get(a, "key");
        AUTO(auto_free) char *own = str_printf("%s/keys/records.pub", state);
        int r = own ? key_load_public(given ? given : own, ret, e) : err_nomem(e);

        if (r != KEY_E_MISSING)
                return r;
        return given ? err_set(e, ERR_USAGE, "there is no key %s", given)
                     : err_set(e, ERR_USAGE, "there is no key %s: no run has been recorded here", own);
}

static int print_verdict(const struct args *a, const struct record_verdict *v, const char *key, struct err *e)
{
        if (args_has(a, "json"))
                return output_json(json_pack("{s:b,s:I,s:s,s:s,s:I}", "valid", 1, "entries", (json_int_t)v->entries,
                                             "head", v->head, "key", key, "unfinished_bytes",
                                             (json_int_t)v->unfinished),
                                   e);
        printf("%llu records, each as it was written and signed by the key %.16s\nhead: %s\n",
               (unsigned long long)v->entries, key, *v->head ? v->head : "none");
        if (v->unfinished)
                printf("%llu bytes behind the last record were never acknowledged; the next run removes them\n",
                       (unsigned long long)v->unfinished);
        return 0;
}

/* What is wrong, for programs; the error goes its way all the same. */
static void print_refusal(const struct record_verdict *v, const char *key, const struct err *why)
{
        struct err ignored = ERR_INIT;

        output_json(json_pack("{s:b,s:I,s:s,s:s}", "valid", 0, "entries", (json_int_t)v->entries, "key", key, "message",
                              why->msg),
                    &ignored);
}

/* ---- what runs say of their entries ---- */

static int keep_hash(const struct record_entry *x, void *user, struct err *e)
{
        static char here;

        return map_set(user, x->hash, &here, e);
}

static int check_mark(uint64_t number, const char *hash, void *user, struct err *e)
{
        if (map_get(user, hash))
                return 0;
        return err_set(e, ERR_IMAGE_REFUSED,
                       "run %llu was recorded, and its entry %.64s is not in the log: it was taken away",
                       (unsigned long long)number, hash);
}

/* The runs that are kept know the hashes of their entries. */
static int check_marks(const char *state, struct err *e)
{
        struct map *hashes = NULL;
        int r = map_new(NULL, &hashes, e);

        if (r == 0)
                r = record_each(state, keep_hash, hashes, e);
        if (r == 0)
                r = rundir_marked(state, check_mark, hashes, e);
        map_free(hashes);
        return r;
}

#define HASH_LETTERS (HASH_HEX_SIZE - 1)

/* A hash that was cut would be one that no entry has. */
static int check_head(const char *text, struct err *e)
{
        size_t len = strlen(text);

        if (len == HASH_LETTERS && strspn(text, "0123456789abcdef") == len)
                return 0;
        return err_set(e, ERR_USAGE,
                       "--head: expected the %d hexadecimal digits that 'records verify' printed, found '%.80s'",
                       HASH_LETTERS, text);
}

static int run_verify(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        AUTO(key_freep) struct key *k = NULL;
        struct record_verdict v = {0};
        const char *head = args_get(a, "head");
        int r = head ? check_head(head, e) : 0;

        if (r == 0)
                r = state_path(&state, e);
        if (r == 0)
                r = load_key(a, state, &k, e);
        if (r == 0)
                r = record_verify(state, k, head, &v, e);
        if (r == 0)
                r = check_marks(state, e);
        if (r < 0 && e->code == ERR_IMAGE_REFUSED && k && args_has(a, "json"))
                print_refusal(&v, key_id(k), e);
        return r < 0 ? r : print_verdict(a, &v, key_id(k), e);
}

static int run_schema(const struct args *a, struct err *e)
{
        json_t *schema = record_schema();

        (void)a;
        return schema ? output_json(schema, e) : err_nomem(e);
}

static const struct command_option list_options[] = {{"json", 0, NULL, "print the records as JSON", false}};
static const struct command list = {
        .name = "list",
        .summary = "List the records of runs, oldest first",
        .options = list_options,
        .n_options = 1,
        .examples = "  devdep-cli records list\n",
        .run = run_list,
};

static const struct command show = {
        .name = "show",
        .summary = "Print the record of a run as JSON",
        .positional = "RUN",
        .min_args = 1,
        .max_args = 1,
        .examples = "  devdep-cli records show 12\n",
        .run = run_show,
};

static const struct command_option verify_options[] = {
        {"key", 0, "FILE", "the public key (default: this installation's, keys/records.pub)", false},
        {"head", 0, "HASH", "this entry must be in the log: it was seen as the last one before", false},
        {"json", 0, NULL, "print the verdict as JSON", false},
};
static const struct command verify = {
        .name = "verify",
        .summary = "Recompute the chain of records and check every signature",
        .options = verify_options,
        .n_options = 3,
        .details =
                "A record that was changed, moved or taken out is named, with its line. Records that were taken from\n"
                "the end are found while their runs are kept, and with --head.",
        .examples = "  devdep-cli records verify\n  devdep-cli records verify --key records.pub --head 5e1d...\n",
        .run = run_verify,
};

static const struct command schema = {
        .name = "schema",
        .summary = "Print the JSON Schema of a record",
        .examples = "  devdep-cli records schema > record.schema.json\n",
        .run = run_schema,
};

static const struct command *const subs[] = {&list, &show, &verify, &schema, NULL};

const struct command command_records = {
        .name = "records",
        .summary = "The signed log of what ran",
        .sub = subs,
};
