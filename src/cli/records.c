#include "cli/records.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "cli/rundir.h"
#include "codec/json.h"
#include "record/record.h"
#include "record/signer.h"

CLEANUP_DEFINE(struct signer, signer_free)

static int sign_and_append(const char *state, const json_t *record, char ret_hash[HASH_HEX_SIZE], struct err *e)
{
        AUTO(auto_free) char *keys = fs_join(state, "keys");
        AUTO(signer_freep) struct signer *signer = NULL;
        int r = keys ? signer_start(keys, &signer, e) : err_nomem(e);

        return r < 0 ? r : record_append(state, record, signer_sign, signer, ret_hash, e);
}

int records_seal(const char *state, const struct rundir *d, const json_t *run, char ret_hash[HASH_HEX_SIZE],
                 struct err *e)
{
        AUTO(json_decrefp) json_t *record = NULL;
        int r = record_make(run, &record, e);

        if (r == 0)
                r = sign_and_append(state, record, ret_hash, e);
        return r < 0 ? r : rundir_mark(d, ret_hash, e);
}

/* The words of an end that nobody wrote, for the run and for each of its jobs that has none. */
static int interrupt(json_t *run, struct err *e)
{
        json_t *jobs = json_object_get(run, "jobs"), *job;
        size_t i;

        json_array_foreach(jobs, i, job)
        {
                const char *conclusion = json_string_value(json_object_get(job, "conclusion"));
                const char *state = json_string_value(json_object_get(job, "state"));
                if (conclusion && *conclusion && state && strcmp(state, "done") == 0)
                        continue;
                if (json_object_set_new(job, "conclusion", json_string("interrupted")) < 0 ||
                    json_object_set_new(job, "code", json_integer(ERR_GUEST_LOST)) < 0)
                        return err_nomem(e);
        }
        if (json_object_set_new(run, "conclusion", json_string("interrupted")) < 0 ||
            json_object_set_new(run, "code", json_integer(ERR_GUEST_LOST)) < 0)
                return err_nomem(e);
        return 0;
}

static int recover(const char *state, const struct rundir *d, json_t *run, struct err *e)
{
        const char *conclusion = json_string_value(json_object_get(run, "conclusion"));
        char hash[HASH_HEX_SIZE];
        int r = record_find(state, rundir_number(d), hash, e);

        if (r == 0)
                return rundir_mark(d, hash, e);
        if (r == RECORD_E_MISSING)
                r = conclusion && *conclusion ? 0 : interrupt(run, e);
        if (r == 0)
                r = rundir_write(d, run, e);
        return r < 0 ? r : records_seal(state, d, run, hash, e);
}

/* One run that cannot be recorded is said, and is in nobody's way. */
static int recover_one(uint64_t number, void *user, struct err *e)
{
        const char *state = user;
        AUTO(rundir_freep) struct rundir *d = NULL;
        struct rundir_entry x = {0};
        struct err why = ERR_INIT;
        int r = rundir_adopt(state, number, &d, &why);

        (void)e;
        if (r == 0)
                r = rundir_get(state, number, &x, &why);
        /* Without run.json nothing of it began. */
        if (r == 0 && x.record)
                r = recover(state, d, x.record, &why);
        if (r < 0)
                log_warning("run %llu has no record: %s", (unsigned long long)number, why.msg);
        rundir_entry_done(&x);
        return 0;
}

int records_recover(const char *state, struct err *e)
{
        return rundir_unmarked(state, recover_one, (void *)(uintptr_t)state, e);
}
