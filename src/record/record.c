/* From run.json to a record, and what a record may hold: one table says both, and the published schema. */
#include "record/record.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"

/* What a member's value may be. No form lets spaces, control characters or long texts through. */
enum form {
        FORM_INT, /* from 0 */
        FORM_BOOL,
        FORM_WORD,    /* 1 to 64 of [a-z0-9_-], as conclusions, events and accelerators are */
        FORM_KEY,     /* 1 to 128 of [A-Za-z0-9._-]: a job's key */
        FORM_SLUG,    /* owner/name of the same characters */
        FORM_COMMIT,  /* 40 or 64 hexadecimal digits */
        FORM_DIGEST,  /* sha256: and 64 hexadecimal digits */
        FORM_DOMAIN,  /* 1 to 253 of [a-z0-9.-] */
        FORM_WORDS,   /* an object of words: {"vmm.own-user": "ok"} */
        FORM_TIMES,   /* an object of words to integers */
        FORM_DIGESTS, /* a list of digests */
        FORM_JOBS,    /* a list of objects */
        FORM_EGRESS,  /* an object */
};

struct member {
        const char *name;
        enum form form;
        bool optional; /* absent, or of another form in run.json: left out */
};

static const struct member run_members[] = {
        {"run", FORM_INT, false},
        {"attempt", FORM_INT, false},
        {"repository", FORM_SLUG, true},
        {"commit", FORM_COMMIT, true},
        {"working_tree", FORM_BOOL, false},
        {"event", FORM_WORD, true},
        {"entity", FORM_KEY, true},
        {"domain", FORM_DOMAIN, true},
        {"environment", FORM_KEY, true},
        {"workflow_digests", FORM_DIGESTS, false},
        {"profile_digest", FORM_DIGEST, true},
        {"accelerator", FORM_WORD, true},
        {"egress", FORM_EGRESS, false},
        {"artifact_digests", FORM_DIGESTS, true},
        {"jobs", FORM_JOBS, false},
        {"started_ms", FORM_INT, false},
        {"ms", FORM_INT, false},
        {"conclusion", FORM_WORD, false},
        {"code", FORM_INT, false},
};

static const struct member job_members[] = {
        {"key", FORM_KEY, false},          {"label", FORM_KEY, true},          {"spec_digest", FORM_DIGEST, true},
        {"image", FORM_DIGEST, true},      {"measurement", FORM_DIGEST, true}, {"origin", FORM_WORD, true},
        {"protections", FORM_WORDS, true}, {"segments", FORM_TIMES, true},     {"egress", FORM_EGRESS, true},
        {"conclusion", FORM_WORD, false},  {"code", FORM_INT, false},          {"ms", FORM_INT, false},
};

static const struct member egress_members[] = {
        {"profile", FORM_WORD, false},
        {"mirrors", FORM_WORDS, true}, /* names and kinds */
        {"records", FORM_INT, true},
        {"digest", FORM_DIGEST, true},
};

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define HEX "0123456789abcdef"

static bool is_text(const json_t *v, const char *set, size_t max)
{
        const char *s = json_string_value(v);
        size_t len = json_string_length(v);

        return s && len > 0 && len <= max && strspn(s, set) == len;
}

static bool is_hex(const char *s, size_t digits)
{
        return strlen(s) == digits && strspn(s, HEX) == digits;
}

static bool is_slug(const json_t *v)
{
        const char *s = json_string_value(v);
        const char *slash = s ? strchr(s, '/') : NULL;

        return is_text(v, LOWER UPPER DIGITS "._-/", 200) && slash && slash != s && slash[1] && !strchr(slash + 1, '/');
}

static bool is_digest(const json_t *v)
{
        const char *s = json_string_value(v);

        return s && strncmp(s, "sha256:", 7) == 0 && is_hex(s + 7, 64);
}

static bool is_commit(const json_t *v)
{
        const char *s = json_string_value(v);

        return s && (is_hex(s, 40) || is_hex(s, 64));
}

static bool is_count(const json_t *v)
{
        return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool is_word(const json_t *v)
{
        return is_text(v, LOWER DIGITS "_-", 64);
}

#define MAX_WORDS 256u

static bool are_named(const json_t *v, bool (*is)(const json_t *v))
{
        const char *name;
        json_t *value;

        if (!json_is_object(v) || json_object_size(v) > MAX_WORDS)
                return false;
        json_object_foreach((json_t *)(uintptr_t)v, name, value)
        {
                size_t len = strlen(name);
                if (len == 0 || len > 64 || strspn(name, LOWER DIGITS "._-") != len || !is(value))
                        return false;
        }
        return true;
}

static bool are_digests(const json_t *v)
{
        size_t i;
        json_t *x;

        if (!json_is_array(v) || json_array_size(v) > RECORD_MAX_JOBS)
                return false;
        json_array_foreach(v, i, x) if (!is_digest(x)) return false;
        return true;
}

static bool is_scalar_of(const json_t *v, enum form form)
{
        switch (form) {
        case FORM_INT:
                return is_count(v);
        case FORM_BOOL:
                return json_is_boolean(v);
        case FORM_WORD:
                return is_word(v);
        case FORM_KEY:
                return is_text(v, LOWER UPPER DIGITS "._-", 128);
        case FORM_SLUG:
                return is_slug(v);
        case FORM_COMMIT:
                return is_commit(v);
        case FORM_DIGEST:
                return is_digest(v);
        case FORM_DOMAIN:
                return is_text(v, LOWER DIGITS ".-", 253);
        case FORM_WORDS:
                return are_named(v, is_word);
        case FORM_TIMES:
                return are_named(v, is_count);
        case FORM_DIGESTS:
                return are_digests(v);
        case FORM_JOBS:
        case FORM_EGRESS:
                return false;
        }
        return false;
}

/* ---- making ---- */

static int make_object(const json_t *from, const char *where, const struct member *members, size_t n, json_t **ret,
                       struct err *e);

static int make_jobs(const json_t *from, json_t **ret, struct err *e)
{
        AUTO(json_decrefp) json_t *jobs = json_array();
        size_t i;
        json_t *job;

        if (!jobs)
                return err_nomem(e);
        if (!json_is_array(from) || json_array_size(from) > RECORD_MAX_JOBS)
                return err_set(e, ERR_USAGE, "jobs: expected a list of at most %u jobs", RECORD_MAX_JOBS);
        json_array_foreach(from, i, job)
        {
                json_t *made = NULL;
                int r = make_object(job, "jobs", job_members, ARRAY_SIZE(job_members), &made, e);
                if (r < 0)
                        return r;
                if (json_array_append_new(jobs, made) < 0)
                        return err_nomem(e);
        }
        *ret = TAKE_PTR(jobs);
        return 0;
}

static int make_member(const json_t *from, const struct member *m, json_t **ret, struct err *e)
{
        json_t *v = json_object_get(from, m->name);

        if (m->form == FORM_JOBS)
                return make_jobs(v, ret, e);
        if (m->form == FORM_EGRESS && !json_is_object(v) && m->optional)
                return 0;
        if (m->form == FORM_EGRESS)
                return make_object(v, m->name, egress_members, ARRAY_SIZE(egress_members), ret, e);
        *ret = is_scalar_of(v, m->form) ? json_deep_copy(v) : NULL;
        return 0;
}

static int make_object(const json_t *from, const char *where, const struct member *members, size_t n, json_t **ret,
                       struct err *e)
{
        AUTO(json_decrefp) json_t *o = json_object();

        if (!o)
                return err_nomem(e);
        for (size_t i = 0; i < n; i++) {
                json_t *v = NULL;
                int r = make_member(from, &members[i], &v, e);
                if (r < 0)
                        return r;
                if (!v && !members[i].optional)
                        return err_set(e, ERR_USAGE, "%s%s%s is missing, or not of the form of a record", where,
                                       *where ? "." : "", members[i].name);
                if (v && json_object_set_new(o, members[i].name, v) < 0)
                        return err_nomem(e);
        }
        *ret = TAKE_PTR(o);
        return 0;
}

int record_make(const json_t *run, json_t **ret, struct err *e)
{
        int r = make_object(run, "", run_members, ARRAY_SIZE(run_members), ret, e);

        if (r < 0)
                return err_wrap(e, r, "make the record of the run");
        if (json_object_set_new(*ret, "version", json_integer(RECORD_VERSION)) == 0)
                return 0;
        json_decref(*ret);
        return err_nomem(e);
}

/* Made of itself it is itself, or it holds something else. */
int record_check(const json_t *record, struct err *e)
{
        AUTO(json_decrefp) json_t *again = NULL;
        int r = record_make(record, &again, e);

        if (r == 0 && !json_equal(record, again))
                r = err_set(e, ERR_USAGE, "the record holds what is not of its form");
        return r;
}

/* ---- the schema ---- */

static json_t *text_schema(const char *pattern, int max)
{
        return json_pack("{s:s,s:s,s:i}", "type", "string", "pattern", pattern, "maxLength", max);
}

static json_t *object_schema(const struct member *members, size_t n);

static json_t *form_schema(enum form form)
{
        switch (form) {
        case FORM_INT:
                return json_pack("{s:s,s:i}", "type", "integer", "minimum", 0);
        case FORM_BOOL:
                return json_pack("{s:s}", "type", "boolean");
        case FORM_WORD:
                return text_schema("^[a-z0-9_-]+$", 64);
        case FORM_KEY:
                return text_schema("^[A-Za-z0-9._-]+$", 128);
        case FORM_SLUG:
                return text_schema("^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", 200);
        case FORM_COMMIT:
                return text_schema("^([0-9a-f]{40}|[0-9a-f]{64})$", 64);
        case FORM_DIGEST:
                return text_schema("^sha256:[0-9a-f]{64}$", 71);
        case FORM_DOMAIN:
                return text_schema("^[a-z0-9.-]+$", 253);
        case FORM_WORDS:
        case FORM_TIMES:
                return json_pack("{s:s,s:i,s:o,s:o}", "type", "object", "maxProperties", MAX_WORDS, "propertyNames",
                                 text_schema("^[a-z0-9._-]+$", 64), "additionalProperties",
                                 form_schema(form == FORM_WORDS ? FORM_WORD : FORM_INT));
        case FORM_DIGESTS:
                return json_pack("{s:s,s:i,s:o}", "type", "array", "maxItems", RECORD_MAX_JOBS, "items",
                                 form_schema(FORM_DIGEST));
        case FORM_JOBS:
                return json_pack("{s:s,s:i,s:o}", "type", "array", "maxItems", RECORD_MAX_JOBS, "items",
                                 object_schema(job_members, ARRAY_SIZE(job_members)));
        case FORM_EGRESS:
                return object_schema(egress_members, ARRAY_SIZE(egress_members));
        }
        return NULL;
}

static json_t *object_schema(const struct member *members, size_t n)
{
        AUTO(json_decrefp) json_t *properties = json_object();
        AUTO(json_decrefp) json_t *required = json_array();

        for (size_t i = 0; i < n; i++) {
                if (json_object_set_new(properties, members[i].name, form_schema(members[i].form)) < 0)
                        return NULL;
                if (!members[i].optional && json_array_append_new(required, json_string(members[i].name)) < 0)
                        return NULL;
        }
        return json_pack("{s:s,s:b,s:O,s:O}", "type", "object", "additionalProperties", 0, "properties", properties,
                         "required", required);
}

json_t *record_schema(void)
{
        json_t *schema = object_schema(run_members, ARRAY_SIZE(run_members));
        json_t *properties = json_object_get(schema, "properties");
        json_t *version = json_pack("{s:i}", "const", RECORD_VERSION);

        json_object_set_new(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
        json_object_set_new(schema, "title", json_string("devdep run record"));
        if (json_object_set_new(properties, "version", version) == 0 &&
            json_array_append_new(json_object_get(schema, "required"), json_string("version")) == 0)
                return schema;
        json_decref(schema);
        return NULL;
}
