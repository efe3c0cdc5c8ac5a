#include "blob/manifest.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"
#include "codec/json.h"

#define MANIFEST_VERSION 1
#define MAX_INT INT64_MAX

static const char *const common_keys[] = {"bytes", "content", "created_ms", "digest", "files",
                                          "id",    "job",     "run",        "version"};
static const char *const artifact_keys[] = {"expires_ms", "name", "type"};
static const char *const cache_keys[] = {"cache_version", "key", "scope"};

static int check_keys(enum store_kind kind, const json_t *o, struct err *e)
{
        const char *known[ARRAY_SIZE(common_keys) + ARRAY_SIZE(cache_keys)];
        const char *const *own = kind == STORE_ARTIFACTS ? artifact_keys : cache_keys;
        size_t n_own = kind == STORE_ARTIFACTS ? ARRAY_SIZE(artifact_keys) : ARRAY_SIZE(cache_keys);
        memcpy(known, common_keys, sizeof(common_keys));
        memcpy(known + ARRAY_SIZE(common_keys), own, n_own * sizeof(*own));
        return json_check_keys(o, "", known, ARRAY_SIZE(common_keys) + n_own, e);
}

static int take_int(const json_t *o, const char *key, uint64_t min, uint64_t max, uint64_t *ret, struct err *e)
{
        int64_t value = 0;
        int r = json_get_int(o, "", key, (int64_t)min, (int64_t)max, &value, e);
        *ret = (uint64_t)value;
        return r;
}

static int take_text(const json_t *o, const char *key, char *ret, size_t size, struct err *e)
{
        const char *text = "";
        int r = json_get_string(o, "", key, size - 1, &text, e);
        if (r == 0)
                str_copy(ret, size, text);
        return r;
}

static int take_digest(const json_t *o, const char *key, char ret[HASH_HEX_SIZE], struct err *e)
{
        int r = take_text(o, key, ret, HASH_HEX_SIZE, e);
        return r < 0 || digest_is_valid(ret) ? r : err_set(e, ERR_USAGE, "%s: expected 64 hexadecimal digits", key);
}

static int take_name(const json_t *o, enum store_kind kind, struct store_entry *x, struct err *e)
{
        const char *key = kind == STORE_ARTIFACTS ? "name" : "key";
        int r = take_text(o, key, x->name, sizeof(x->name), e);
        if (r < 0)
                return r;
        const char *problem = kind == STORE_ARTIFACTS ? artifact_name_problem(x->name) : cache_key_problem(x->name);
        return problem ? err_set(e, ERR_USAGE, "%s: it %s", key, problem) : 0;
}

static int take_cache(const json_t *o, struct store_entry *x, struct err *e)
{
        int r = take_digest(o, "cache_version", x->version, e);
        if (r == 0)
                r = take_text(o, "scope", x->scope, sizeof(x->scope), e);
        return r < 0 || cache_scope_is_valid(x->scope) ? r : err_set(e, ERR_USAGE, "scope: expected a full ref name");
}

static int take_artifact(const json_t *o, struct store_entry *x, struct err *e)
{
        int r = take_int(o, "expires_ms", 0, STORE_MAX_TIME_MS, &x->expires_ms, e);
        if (r < 0 || !json_object_get(o, "type"))
                return r;
        r = take_text(o, "type", x->type, sizeof(x->type), e);
        return r < 0 || artifact_type_is_valid(x->type) ? r : err_set(e, ERR_USAGE, "type: expected a MIME type");
}

static int take_maker(const json_t *o, struct store_entry *x, struct err *e)
{
        int r = take_text(o, "run", x->run, sizeof(x->run), e);
        if (r == 0)
                r = take_text(o, "job", x->job, sizeof(x->job), e);
        if (r == 0 && strspn(x->run, "0123456789") != strlen(x->run))
                r = err_set(e, ERR_USAGE, "run: expected a number");
        return r;
}

static int take_numbers(const json_t *o, struct store_entry *x, struct err *e)
{
        uint64_t version = 0;
        int r = take_int(o, "version", MANIFEST_VERSION, MANIFEST_VERSION, &version, e);
        if (r == 0)
                r = take_int(o, "id", 1, STORE_MAX_ID, &x->id, e);
        if (r == 0)
                r = take_int(o, "bytes", 1, MAX_INT, &x->bytes, e);
        if (r == 0)
                r = take_int(o, "files", 0, MAX_INT, &x->files, e);
        if (r == 0)
                r = take_int(o, "content", 0, MAX_INT, &x->content, e);
        return r < 0 ? r : take_int(o, "created_ms", 0, STORE_MAX_TIME_MS, &x->created_ms, e);
}

int manifest_parse(enum store_kind kind, const void *data, size_t len, struct store_entry *ret, struct err *e)
{
        AUTO(json_decrefp) json_t *o = NULL;
        *ret = (struct store_entry){0};
        int r = json_parse(data, len, STORE_MAX_MANIFEST, "manifest", &o, e);
        if (r == 0)
                r = check_keys(kind, o, e);
        if (r == 0)
                r = take_numbers(o, ret, e);
        if (r == 0)
                r = take_digest(o, "digest", ret->digest, e);
        if (r == 0)
                r = take_name(o, kind, ret, e);
        if (r == 0)
                r = take_maker(o, ret, e);
        if (r < 0)
                return r;
        return kind == STORE_ARTIFACTS ? take_artifact(o, ret, e) : take_cache(o, ret, e);
}

int manifest_write(enum store_kind kind, const struct store_entry *x, struct buf *ret, struct err *e)
{
        AUTO(json_decrefp)
        json_t *o = json_pack("{s:i,s:I,s:s,s:I,s:I,s:I,s:I,s:s,s:s,s:s}", "version", MANIFEST_VERSION, "id",
                              (json_int_t)x->id, "digest", x->digest, "bytes", (json_int_t)x->bytes, "files",
                              (json_int_t)x->files, "content", (json_int_t)x->content, "created_ms",
                              (json_int_t)x->created_ms, "run", x->run, "job", x->job,
                              kind == STORE_ARTIFACTS ? "name" : "key", x->name);
        if (!o)
                return err_nomem(e);
        int failed = kind == STORE_ARTIFACTS
                             ? json_object_set_new(o, "expires_ms", json_integer((json_int_t)x->expires_ms)) |
                                       (*x->type ? json_object_set_new(o, "type", json_string(x->type)) : 0)
                             : json_object_set_new(o, "scope", json_string(x->scope)) |
                                       json_object_set_new(o, "cache_version", json_string(x->version));
        if (failed)
                return err_nomem(e);
        int r = json_write(o, JSON_WRITE_SORTED, ret, e);
        return r < 0 ? r : buf_append_byte(ret, '\n', e);
}
