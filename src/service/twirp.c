#include "service/twirp.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/limits.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "net/name.h"
#include "service/caches.h"
#include "service/limits.h"
#include "service/twirp_priv.h"

#define CACHE_SERVICE TWIRP_PREFIX "github.actions.results.api.v1.CacheService/"
#define BASE_URL "http://" NAME_RESULTS

int twirp_answer(json_t *document, struct buf *ret, struct err *e)
{
        AUTO(json_decrefp) json_t *o = document;
        return o ? json_write(o, JSON_WRITE_ASCII, ret, e) : err_nomem(e);
}

int twirp_refuse(unsigned status, const char *code, const char *message, struct buf *ret, unsigned *ret_status,
                 struct err *e)
{
        *ret_status = status;
        return twirp_answer(json_pack("{s:s,s:s}", "code", code, "msg", message), ret, e);
}

static int answer_no(const char *message, struct buf *ret, struct err *e)
{
        return twirp_answer(json_pack("{s:b,s:s}", "ok", 0, "message", message), ret, e);
}

static int take_names(const json_t *o, const char **ret_key, const char **ret_version, struct err *e)
{
        int r = json_get_string(o, "", "key", STORE_MAX_KEY, ret_key, e);
        return r < 0 ? r : json_get_string(o, "", "version", HASH_HEX_SIZE - 1, ret_version, e);
}

static int create(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        const char *key = "", *version = "";
        char token[UPLOADS_TOKEN_SIZE], url[256];
        (void)ret_status;
        int r = take_names(o, &key, &version, e);
        if (r == 0)
                r = caches_create(s->caches, key, version, token, e);
        if (r == CACHES_E_EXISTS)
                return answer_no("cache entry with the same key, version, and scope already exists", ret, e);
        if (r < 0)
                return r;
        snprintf(url, sizeof(url), BASE_URL "/uploads/%s?sig=%s", token, token);
        return twirp_answer(json_pack("{s:b,s:s}", "ok", 1, "signed_upload_url", url), ret, e);
}

int twirp_take_u64(const json_t *o, const char *name, uint64_t *ret, struct err *e)
{
        const json_t *value = json_object_get(o, name);
        *ret = 0;
        if (!value || json_is_null(value))
                return 0;
        if (json_is_integer(value) && json_integer_value(value) >= 0)
                *ret = (uint64_t)json_integer_value(value);
        else if (!json_is_string(value))
                return err_set(e, ERR_USAGE, "%s: expected a number", name);
        return json_is_string(value) ? num_u64(json_string_value(value), 0, INT64_MAX, name, ret, e) : 0;
}

static int finalize(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        const char *key = "", *version = "";
        char text[24];
        uint64_t size = 0, id = 0;
        (void)ret_status;
        int r = take_names(o, &key, &version, e);
        if (r == 0)
                r = twirp_take_u64(o, "size_bytes", &size, e);
        if (r == 0)
                r = caches_finalize(s->caches, key, version, size, &id, e);
        if (r == CACHES_E_EXISTS)
                return answer_no("another job has saved a cache of this key meanwhile", ret, e);
        if (r == CACHES_E_MISSING)
                return answer_no("there is no upload of this key", ret, e);
        if (r < 0)
                return r;
        snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
        return twirp_answer(json_pack("{s:b,s:s}", "ok", 1, "entry_id", text), ret, e);
}

static int take_keys(const json_t *o, const char *first, const char *keys[STORE_MAX_KEYS], size_t *ret_n, struct err *e)
{
        const json_t *more = json_object_get(o, "restore_keys");
        keys[0] = first;
        *ret_n = 1;
        if (more && (!json_is_array(more) || json_array_size(more) >= STORE_MAX_KEYS))
                return err_set(e, ERR_USAGE, "restore_keys: expected a list of at most %u", STORE_MAX_KEYS - 1);
        for (size_t i = 0; i < json_array_size(more); i++) {
                const char *key = json_string_value(json_array_get(more, i));
                if (!key)
                        return err_set(e, ERR_USAGE, "restore_keys: expected texts");
                keys[(*ret_n)++] = key;
        }
        return 0;
}

static int look_up(struct services *s, const json_t *o, struct buf *ret, unsigned *ret_status, struct err *e)
{
        const char *key = "", *version = "", *keys[STORE_MAX_KEYS];
        char matched[STORE_MAX_KEY + 1], url[256];
        uint64_t id = 0;
        size_t n = 0;
        (void)ret_status;
        int r = take_names(o, &key, &version, e);
        if (r == 0)
                r = take_keys(o, key, keys, &n, e);
        if (r == 0)
                r = caches_lookup(s->caches, keys, n, version, &id, matched, e);
        if (r == CACHES_E_MISSING)
                return twirp_answer(json_pack("{s:b}", "ok", 0), ret, e);
        if (r < 0)
                return r;
        snprintf(url, sizeof(url), BASE_URL "/entries/%llu", (unsigned long long)id);
        return twirp_answer(json_pack("{s:b,s:s,s:s}", "ok", 1, "signed_download_url", url, "matched_key", matched),
                            ret, e);
}

static const struct twirp_call cache_calls[] = {{CACHE_SERVICE "CreateCacheEntry", create, "key"},
                                                {CACHE_SERVICE "FinalizeCacheEntryUpload", finalize},
                                                {CACHE_SERVICE "GetCacheEntryDownloadURL", look_up}};

static const struct twirp_call *find_in(const struct twirp_call *calls, size_t n, const char *path)
{
        for (size_t i = 0; i < n; i++)
                if (str_eq(path, calls[i].path))
                        return &calls[i];
        return NULL;
}

static const struct twirp_call *find(const char *path)
{
        const struct twirp_call *call = find_in(cache_calls, ARRAY_SIZE(cache_calls), path);
        return call ? call : find_in(twirp_artifact_calls, twirp_n_artifact_calls, path);
}

bool twirp_names(const char *path, const uint8_t *data, size_t len, char ret[TWIRP_MAX_NAME + 1])
{
        AUTO(json_decrefp) json_t *o = NULL;
        const struct twirp_call *call = find(path);
        if (!call || !call->named || json_parse(data, len, SERVICE_MAX_MESSAGE, "the request", &o, NULL) < 0)
                return false;
        const char *name = json_string_value(json_object_get(o, call->named));
        return name && str_copy(ret, TWIRP_MAX_NAME + 1, name);
}

/* Clients try again after 500 to 504: what will not change is told by others. */
static int answer_failure(const struct err *why, struct buf *ret, unsigned *ret_status, struct err *e)
{
        buf_clear(ret);
        return why->code == ERR_USAGE ? twirp_refuse(400, "invalid_argument", why->msg, ret, ret_status, e)
                                      : twirp_refuse(507, "resource_exhausted", why->msg, ret, ret_status, e);
}

int twirp_call(struct services *s, const char *path, const uint8_t *data, size_t len, struct buf *ret,
               unsigned *ret_status, struct err *e)
{
        AUTO(json_decrefp) json_t *o = NULL;
        struct err why = ERR_INIT;
        const struct twirp_call *call = find(path);
        if (!call)
                return twirp_refuse(404, "bad_route", "there is no such call", ret, ret_status, e);
        *ret_status = 200;
        int r = json_parse(data, len, SERVICE_MAX_MESSAGE, "the request", &o, &why);
        if (r == 0 && !json_is_object(o))
                r = err_set(&why, ERR_USAGE, "the request: expected an object");
        if (r == 0)
                r = call->fn(s, o, ret, ret_status, &why);
        return r < 0 ? answer_failure(&why, ret, ret_status, e) : 0;
}
