/* run.json: what a run was and how it ended. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/egress.h"
#include "cli/records.h"
#include "cli/rundir.h"
#include "cli/session_internal.h"
#include "codec/hash.h"
#include "codec/json.h"

/* Foreign text as it is, or in its visible form when it is no UTF-8, which JSON cannot hold. */
static json_t *text(const char *s)
{
        size_t len = s ? strlen(s) : 0;
        if (!s)
                return json_null();
        if (str_is_utf8(s, len))
                return json_stringn(s, len);
        AUTO(auto_free) char *shown = malloc(4 * len + 1); /* a byte is at most \xNN */
        if (!shown)
                return NULL;
        str_escape(shown, 4 * len + 1, s, len);
        return json_string(shown);
}

/* Of a job that had no instances: none. */
static json_t *labels_record(const struct plan_instance *i)
{
        json_t *labels = json_array();

        for (size_t k = 0; i && k < i->labels.n; k++)
                json_array_append_new(labels, text(i->labels.v[k]));
        return labels;
}

static json_t *environment_record(const struct session_job *j)
{
        const struct plan_instance *i = j->job->instance;

        if (!i || !i->environment)
                return NULL;
        return json_pack("{s:o,s:o}", "name", text(i->environment), "url", text(j->environment_url));
}

static json_t *segments(const struct process_segments *s)
{
        return json_pack("{s:I,s:I,s:I}", "pre_bootstrap", (json_int_t)s->bootstrap_ms, "run_command",
                         (json_int_t)s->command_ms, "post_teardown", (json_int_t)s->teardown_ms);
}

/* What a record of the run needs beside what people want to see. */
static int add_proofs(json_t *o, const struct session_job *j)
{
        char measurement[IMAGE_REF_SIZE] = "";

        if (j->image && j->image->image)
                image_measurement(j->image->image, j->image->probe.accel, measurement);
        if (*measurement && json_object_set_new(o, "measurement", json_string(measurement)) < 0)
                return -1;
        if (*j->spec_digest && json_object_set_new(o, "spec_digest", json_string(j->spec_digest)) < 0)
                return -1;
        if (j->protections && json_object_set(o, "protections", j->protections) < 0)
                return -1;
        return j->protections ? json_object_set_new(o, "segments", segments(&j->segments)) : 0;
}

static json_t *job_record(const struct session_job *j)
{
        json_t *o = json_pack("{s:s,s:o,s:o,s:s,s:o,s:s?,s:s?,s:s,s:i,s:o,s:I,s:o*,s:O*,s:O?}", "key", j->key, "name",
                              text(j->job->name), "workflow", text(j->workflow->launched->file->file), "state",
                              j->job->state == RUN_STATE_DONE ? "done" : "running", "runs_on",
                              labels_record(j->job->instance), "image",
                              j->image && j->image->image ? j->image->image->digest : NULL, "origin", j->origin,
                              "conclusion", run_conclusion_name(j->job->conclusion), "code", (int)j->job->code,
                              "message", text(j->message), "ms", (json_int_t)j->ms, "environment",
                              environment_record(j), "actions", j->actions, "egress", j->egress_summary);
        if (o && add_proofs(o, j) == 0)
                return o;
        json_decref(o);
        return NULL;
}

static json_t *workflow_digest(const struct selected *x)
{
        uint8_t digest[HASH_SIZE];
        char hex[sizeof("sha256:") + HASH_HEX_SIZE] = "sha256:";

        if (hash_bytes(x->text, x->len, digest, NULL) < 0)
                return NULL;
        hash_hex(digest, hex + strlen(hex));
        return json_string(hex);
}

static int add_run_proofs(json_t *o, const struct session *s)
{
        json_t *digests = json_array(), *artifacts = json_array(), *x;
        const json_t *profile = json_object_get(o, "profile");
        size_t i;

        for (i = 0; i < s->launch.selection.n; i++)
                json_array_append_new(digests, workflow_digest(&s->launch.selection.v[i]));
        json_array_foreach(json_object_get(o, "artifacts"), i, x)
                json_array_append(artifacts, json_object_get(x, "digest"));
        return json_object_update_new(
                o,
                json_pack("{s:i,s:s?,s:b,s:o,s:o,s:O*,s:O*,s:O*,s:O*,s:{s:O,s:o*}}", "attempt", 1, "repository",
                          s->launch.facts.repository, "working_tree", !s->launch.facts.git.bare, "workflow_digests",
                          digests, "artifact_digests", artifacts, "profile_digest", json_object_get(profile, "digest"),
                          "environment", json_object_get(profile, "environment"), "entity",
                          json_object_get(profile, "entity"), "domain", json_object_get(profile, "domain"), "egress",
                          "profile", json_object_get(s->policy, "profile"), "mirrors", egress_mirrors(s->policy)));
}

/* Steals `artifacts`. */
static json_t *run_record(const struct session *s, const char *conclusion, enum err_code code, json_t *artifacts)
{
        json_t *jobs = json_array(), *workflows = json_array();

        for (size_t i = 0; i < s->n_jobs; i++)
                json_array_append_new(jobs, job_record(s->jobs[i]));
        for (size_t i = 0; i < s->launch.selection.n; i++)
                json_array_append_new(workflows, text(s->launch.selection.v[i].file));
        const char *accelerator = s->n_images > 0 ? vm_accel_name(s->images[0]->probe.accel) : "";
        json_t *o = json_pack(
                "{s:i,s:I,s:o,s:o,s:s,s:o,s:s,s:o,s:o,s:s,s:I,s:I,s:s,s:i,s:b,s:o,s:o}", "version", 1, "run",
                (json_int_t)rundir_number(s->rundir), "title", text(plan_title(s->launch.workflows[0].plan)), "dir",
                text(launch_top(&s->launch)), "commit", s->launch.facts.git.commit, "ref", text(launch_ref(&s->launch)),
                "event", s->launch.o.event, "workflows", workflows, "profile", session_profile_record(s), "accelerator",
                accelerator, "started_ms", (json_int_t)s->started_real_ms, "ms",
                (json_int_t)(clock_mono_ms() - s->started_ms), "conclusion", conclusion ? conclusion : "", "code",
                (int)code, "retryable", err_info(code)->retryable, "jobs", jobs, "artifacts", artifacts);
        if (o && add_run_proofs(o, s) == 0)
                return o;
        json_decref(o);
        return NULL;
}

/* Write run.json as things stand. *ret is a new reference. */
static int write_record(const struct session *s, const char *conclusion, enum err_code code, json_t **ret,
                        struct err *e)
{
        json_t *artifacts = NULL;
        int r = session_store_record(s, &artifacts, e);

        if (r < 0)
                return r;
        AUTO(json_decrefp) json_t *record = run_record(s, conclusion, code, artifacts);
        r = record ? rundir_write(s->rundir, record, e) : err_nomem(e);
        if (r == 0)
                *ret = TAKE_PTR(record);
        return r;
}

int session_record(const struct session *s, const char *conclusion, enum err_code code, struct err *e)
{
        AUTO(json_decrefp) json_t *record = NULL;

        return write_record(s, conclusion, code, &record, e);
}

int session_seal(const struct session *s, const char *conclusion, enum err_code code, struct err *e)
{
        AUTO(json_decrefp) json_t *record = NULL;
        char hash[HASH_HEX_SIZE];
        int r = write_record(s, conclusion, code, &record, e);

        return r < 0 ? r : records_seal(s->launch.store.state, s->rundir, record, hash, e);
}
