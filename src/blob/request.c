#include "blob/request.h"

#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/names.h"
#include "wire/guest.h"

static int bad(struct err *e, const char *field, const char *expected)
{
        return err_set(e, ERR_PROTOCOL, "request field '%s': expected %s", field, expected);
}

static int parse_nothing(struct store_request *r, struct err *e)
{
        (void)r;
        (void)e;
        return 0;
}

static int parse_get(struct store_request *r, struct err *e)
{
        return fields_u64(r->fields, "id", STORE_MAX_ID, &r->id, e);
}

static int parse_put_artifact(struct store_request *r, struct err *e)
{
        uint64_t days = 0, overwrite = 0;
        int rc = fields_str(r->fields, "name", &r->name, e);
        if (rc == 0 && artifact_name_problem(r->name))
                return bad(e, "name", "a name that artifacts may have");
        if (rc == 0)
                rc = fields_u64(r->fields, "days", STORE_MAX_DAYS, &days, e);
        if (rc == 0)
                rc = fields_str_opt(r->fields, "type", "", &r->type, e);
        if (rc == 0 && *r->type && !artifact_type_is_valid(r->type))
                return bad(e, "type", "a MIME type");
        if (rc == 0)
                rc = fields_u64(r->fields, "overwrite", 1, &overwrite, e);
        if (rc == 0 && days == 0)
                return bad(e, "days", "at least 1");
        r->days = (uint32_t)days;
        r->overwrite = overwrite;
        return rc;
}

static int take_key(struct store_request *r, const struct field *f, struct err *e)
{
        /* The list keeps a NUL behind every value. */
        const char *key = (const char *)f->value;
        if (memchr(f->value, '\0', f->len) || cache_key_problem(key))
                return bad(e, "key", "a key that caches may have");
        if (r->n_keys == STORE_MAX_KEYS)
                return bad(e, "key", "at most 10 of them");
        r->keys[r->n_keys++] = key;
        return 0;
}

static int parse_find(struct store_request *r, struct err *e)
{
        int rc = fields_str(r->fields, "version", &r->version, e);
        if (rc == 0 && !digest_is_valid(r->version))
                return bad(e, "version", "64 hexadecimal digits");
        for (size_t i = 0; rc == 0 && i < fields_count(r->fields); i++)
                if (str_eq(fields_at(r->fields, i)->key, "key"))
                        rc = take_key(r, fields_at(r->fields, i), e);
        return rc == 0 && r->n_keys == 0 ? bad(e, "key", "at least one") : rc;
}

static int parse_put_cache(struct store_request *r, struct err *e)
{
        int rc = parse_find(r, e);
        return rc == 0 && r->n_keys != 1 ? bad(e, "key", "exactly one") : rc;
}

static const struct {
        const char *name;
        int (*parse)(struct store_request *r, struct err *e);
} ops[] = {
        [STORE_OP_LIST_ARTIFACTS] = {"list-artifacts", parse_nothing},
        [STORE_OP_GET_ARTIFACT] = {"get-artifact", parse_get},
        [STORE_OP_PUT_ARTIFACT] = {"put-artifact", parse_put_artifact},
        [STORE_OP_DELETE_ARTIFACT] = {"delete-artifact", parse_get},
        [STORE_OP_FIND_CACHE] = {"find-cache", parse_find},
        [STORE_OP_GET_CACHE] = {"get-cache", parse_get},
        [STORE_OP_PUT_CACHE] = {"put-cache", parse_put_cache},
};

int store_request_parse(const uint8_t *data, size_t len, struct store_request *ret, struct err *e)
{
        const char *op;
        *ret = (struct store_request){0};
        int r = fields_parse(data, len, &ret->fields, e);
        if (r == 0)
                r = fields_str(ret->fields, "op", &op, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
                if (!str_eq(op, ops[i].name))
                        continue;
                ret->op = (enum store_op)i;
                return ops[i].parse(ret, e);
        }
        return bad(e, "op", "an operation of docs/protocol-store.md");
}

void store_request_done(struct store_request *r)
{
        fields_free(r->fields);
        *r = (struct store_request){0};
}
