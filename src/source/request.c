#include "source/request.h"

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/uses.h"
#include "source/limits.h"
#include "source/names.h"
#include "wire/guest.h"

#include <stdio.h>
#include <string.h>

static int bad(struct err *e, const char *field, const char *expected)
{
        return err_set(e, ERR_PROTOCOL, "request field '%s': expected %s", field, expected);
}

static int take_id(const struct fields *f, const char *key, const char **ret, struct err *e)
{
        int r = fields_str(f, key, ret, e);
        if (r < 0)
                return r;
        return oid_is_valid(*ret, 40) || oid_is_valid(*ret, 64) ? 0 : bad(e, key, "a full commit id");
}

static int take_repository(const struct fields *f, const char **ret, struct err *e)
{
        int r = fields_str(f, "repository", ret, e);
        if (r < 0 || (*ret)[0] == '\0')
                return r;
        return tree_path_is_valid(*ret) ? 0 : bad(e, "repository", "a path inside the repository");
}

static int take_bool(const struct fields *f, const char *key, bool *ret, struct err *e)
{
        uint64_t value;
        int r = fields_u64(f, key, 1, &value, e);
        if (r == 0)
                *ret = value != 0;
        return r;
}

/* One of the protocol's words; *ret is its index. */
static int take_word(const struct fields *f, const char *key, const char *const words[SOURCE_WORDS], size_t *ret,
                     struct err *e)
{
        const char *value;
        int r = fields_str(f, key, &value, e);
        for (size_t i = 0; r == 0 && i < SOURCE_WORDS; i++) {
                if (str_eq(value, words[i])) {
                        *ret = i;
                        return 0;
                }
        }
        char expected[80];
        snprintf(expected, sizeof(expected), "'%s', '%s' or '%s'", words[0], words[1], words[2]);
        return r < 0 ? r : bad(e, key, expected);
}

static int take_refs(const struct fields *f, enum source_refs *ret, struct err *e)
{
        size_t i = 0;
        int r = take_word(f, "refs", source_refs_words, &i, e);
        *ret = (enum source_refs)i;
        return r;
}

static int take_since(const struct fields *f, enum source_since *ret, struct err *e)
{
        size_t i = 0;
        int r = take_word(f, "since", source_since_words, &i, e);
        *ret = (enum source_since)i;
        return r;
}

static int parse_facts(struct request *r, struct err *e)
{
        (void)e;
        r->repository = "";
        return 0;
}

static int parse_resolve(struct request *r, struct err *e)
{
        int rc = take_repository(r->fields, &r->repository, e);
        if (rc == 0)
                rc = fields_str(r->fields, "ref", &r->ref, e);
        if (rc == 0 && strlen(r->ref) > SOURCE_MAX_REF_NAME)
                return bad(e, "ref", "at most 1024 bytes");
        return rc;
}

static int parse_submodules(struct request *r, struct err *e)
{
        int rc = take_repository(r->fields, &r->repository, e);
        return rc < 0 ? rc : take_id(r->fields, "commit", &r->commit, e);
}

static int parse_changed(struct request *r, struct err *e)
{
        r->repository = "";
        int rc = take_id(r->fields, "base", &r->base, e);
        if (rc == 0)
                rc = take_since(r->fields, &r->since, e);
        return rc < 0 ? rc : take_id(r->fields, "head", &r->head, e);
}

static int parse_checkout(struct request *r, struct err *e)
{
        struct source_checkout *c = &r->checkout;
        uint64_t depth;
        int rc = take_repository(r->fields, &r->repository, e);
        if (rc == 0)
                rc = take_id(r->fields, "commit", &c->commit, e);
        if (rc == 0)
                rc = fields_str(r->fields, "ref", &c->ref, e);
        if (rc == 0)
                rc = take_bool(r->fields, "working", &c->working, e);
        if (rc == 0)
                rc = fields_u64(r->fields, "depth", SOURCE_MAX_DEPTH, &depth, e);
        if (rc == 0)
                rc = take_refs(r->fields, &c->refs, e);
        if (rc < 0)
                return rc;
        c->repository = r->repository;
        c->depth = (uint32_t)depth;
        if (c->ref[0] == '\0')
                c->ref = NULL;
        else if (!ref_name_is_valid(c->ref))
                return bad(e, "ref", "a full ref name");
        if (c->depth && c->refs == SOURCE_REFS_ALL)
                return bad(e, "refs", "'tags' or 'none' with a depth");
        return 0;
}

static int parse_action_tree(struct request *r, struct err *e)
{
        r->repository = "";
        int rc = fields_str(r->fields, "action", &r->action, e);
        if (rc == 0)
                rc = fields_str(r->fields, "ref", &r->ref, e);
        if (rc < 0)
                return rc;
        if (!uses_is_repository(r->action))
                return bad(e, "action", "owner/repo in lower case");
        return uses_is_ref(r->ref) ? 0 : bad(e, "ref", "a tag, a branch or a commit id");
}

static int parse_action(struct request *r, struct err *e)
{
        int rc = parse_action_tree(r, e);
        if (rc == 0)
                rc = fields_str(r->fields, "path", &r->path, e);
        if (rc < 0)
                return rc;
        return !*r->path || tree_path_is_valid(r->path) ? 0 : bad(e, "path", "a path inside the repository");
}

static const struct {
        const char *name;
        int (*parse)(struct request *r, struct err *e);
} ops[] = {
        [REQUEST_FACTS] = {"facts", parse_facts},
        [REQUEST_RESOLVE] = {"resolve", parse_resolve},
        [REQUEST_SUBMODULES] = {"submodules", parse_submodules},
        [REQUEST_CHANGED] = {"changed", parse_changed},
        [REQUEST_CHECKOUT] = {"checkout", parse_checkout},
        [REQUEST_ACTION] = {"action", parse_action},
        [REQUEST_ACTION_TREE] = {"action_tree", parse_action_tree},
};

int request_parse(const uint8_t *data, size_t len, struct request *ret, struct err *e)
{
        const char *op;
        *ret = (struct request){0};
        int r = fields_parse(data, len, &ret->fields, e);
        if (r == 0)
                r = fields_str(ret->fields, "op", &op, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
                if (!str_eq(op, ops[i].name))
                        continue;
                ret->op = (enum request_op)i;
                return ops[i].parse(ret, e);
        }
        return bad(e, "op", "an operation of docs/protocol-source.md");
}

void request_done(struct request *r)
{
        fields_free(r->fields);
        *r = (struct request){0};
}
