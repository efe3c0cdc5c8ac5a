#include "wire/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/num.h"
#include "base/str.h"
#include "wire/guest.h"

CLEANUP_DEFINE(struct fields, fields_free)

static const char *const verbs[] = {"hello", "claim", "warm", "ls", "stop"};
static const char *const statuses[] = {"ok", "none", "error"};

const char *pool_verb_name(enum pool_verb v)
{
        return verbs[v];
}

bool pool_class_is(const struct pool_class *a, const struct pool_class *b)
{
        return a->vcpus == b->vcpus && a->memory == b->memory && a->scratch == b->scratch;
}

/* ---- values ---- */

/* A word of letters, digits and a few signs: no slash, no space, nothing that a path, an option or a terminal could be
 * made of. */
static int get_word(const struct fields *f, const char *key, const char *fallback, char *ret, size_t size,
                    struct err *e)
{
        const char *text;
        int r = fallback ? fields_str_opt(f, key, fallback, &text, e) : fields_str(f, key, &text, e);

        if (r < 0)
                return r;
        size_t good = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-");
        if ((!*text && !fallback) || text[good] != '\0' || text[0] == '-' || text[0] == '.')
                return err_set(e, ERR_PROTOCOL, "%s: expected letters, digits and any of ._:@-", key);
        if (!str_copy(ret, size, text))
                return err_set(e, ERR_PROTOCOL, "%s: expected at most %zu bytes", key, size - 1);
        return 0;
}

static int get_text(const struct fields *f, const char *key, char *ret, size_t size, struct err *e)
{
        const char *text;
        int r = fields_str_opt(f, key, "", &text, e);

        if (r == 0 && !str_copy(ret, size, text))
                r = err_set(e, ERR_PROTOCOL, "%s: expected at most %zu bytes", key, size - 1);
        return r;
}

static int get_u32(const struct fields *f, const char *key, uint64_t least, uint64_t most, uint32_t *ret, struct err *e)
{
        uint64_t n = 0;
        int r = fields_u64(f, key, most, &n, e);

        if (r == 0 && n < least)
                r = err_set(e, ERR_PROTOCOL, "%s: expected at least %llu", key, (unsigned long long)least);
        *ret = (uint32_t)n;
        return r;
}

static int get_class(const struct fields *f, struct pool_class *ret, struct err *e)
{
        int r = get_u32(f, "vcpus", 1, POOL_MAX_VCPUS, &ret->vcpus, e);

        if (r == 0)
                r = fields_u64(f, "memory", POOL_MAX_MEMORY, &ret->memory, e);
        if (r == 0)
                r = fields_u64(f, "scratch", POOL_MAX_MEMORY, &ret->scratch, e);
        return r;
}

static int add_class(const struct pool_class *c, struct buf *b, struct err *e)
{
        int r = fields_add_u64(b, "vcpus", c->vcpus, e);

        if (r == 0)
                r = fields_add_u64(b, "memory", c->memory, e);
        if (r == 0)
                r = fields_add_u64(b, "scratch", c->scratch, e);
        return r;
}

static int find(const char *what, const char *word, const char *const *words, size_t n, int *ret, struct err *e)
{
        for (size_t i = 0; i < n; i++) {
                if (strcmp(word, words[i]) == 0) {
                        *ret = (int)i;
                        return 0;
                }
        }
        return err_set(e, ERR_PROTOCOL, "unknown %s", what);
}

/* ---- requests ---- */

static int add_kind(const struct pool_request *q, struct buf *b, struct err *e)
{
        int r = fields_add_str(b, "image", q->image, e);

        if (r == 0)
                r = add_class(&q->class, b, e);
        if (r == 0)
                r = fields_add_str(b, "accel", q->accel, e);
        if (r == 0 && q->verb == POOL_WARM)
                r = fields_add_u64(b, "count", q->count, e);
        return r;
}

int pool_request_write(const struct pool_request *q, struct buf *b, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);

        if (r == 0)
                r = fields_add_str(b, "op", verbs[q->verb], e);
        if (r == 0)
                r = fields_add_u64(b, "protocol", POOL_PROTOCOL, e);
        if (r == 0 && (q->verb == POOL_CLAIM || q->verb == POOL_WARM))
                r = add_kind(q, b, e);
        if (r == 0 && q->verb == POOL_STOP)
                r = q->all ? fields_add_str(b, "all", "parked", e) : fields_add_u64(b, "slot", q->slot, e);
        return r == 0 ? fields_end(b, mark, e) : r;
}

static int parse_kind(const struct fields *f, struct pool_request *q, struct err *e)
{
        int r = get_word(f, "image", NULL, q->image, sizeof(q->image), e);

        if (r == 0)
                r = get_class(f, &q->class, e);
        if (r == 0)
                r = get_word(f, "accel", NULL, q->accel, sizeof(q->accel), e);
        if (r == 0 && q->verb == POOL_WARM)
                r = get_u32(f, "count", 0, POOL_MAX_KEEP, &q->count, e);
        return r;
}

static int parse_stop(const struct fields *f, struct pool_request *q, struct err *e)
{
        char all[8];
        int r = get_word(f, "all", "", all, sizeof(all), e);

        q->all = r == 0 && strcmp(all, "parked") == 0;
        if (r == 0 && *all && !q->all)
                r = err_set(e, ERR_PROTOCOL, "all: expected parked");
        return r == 0 && !q->all ? get_u32(f, "slot", 0, POOL_MAX_SLOT, &q->slot, e) : r;
}

int pool_request_parse(const struct fields *f, struct pool_request *ret, struct err *e)
{
        char verb[POOL_MAX_WORD + 1];
        uint64_t protocol = 0;
        int index = 0;

        *ret = (struct pool_request){0};
        int r = fields_u64(f, "protocol", UINT32_MAX, &protocol, e);
        if (r == 0 && protocol != POOL_PROTOCOL)
                r = err_set(e, ERR_PROTOCOL,
                            "the client speaks version %llu of the pool's protocol, this pool version %u: install the "
                            "same version of both and restart devdep-pool",
                            (unsigned long long)protocol, POOL_PROTOCOL);
        if (r == 0)
                r = get_word(f, "op", NULL, verb, sizeof(verb), e);
        if (r == 0)
                r = find("verb", verb, verbs, ARRAY_SIZE(verbs), &index, e);
        if (r < 0)
                return r;
        ret->verb = (enum pool_verb)index;
        if (ret->verb == POOL_CLAIM || ret->verb == POOL_WARM)
                return parse_kind(f, ret, e);
        return ret->verb == POOL_STOP ? parse_stop(f, ret, e) : 0;
}

/* ---- answers ---- */

static int write_vm(const struct pool_vm *v, struct buf *b, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);

        if (r == 0)
                r = fields_add_u64(b, "slot", v->slot, e);
        if (r == 0)
                r = fields_add_u64(b, "uid", v->uid, e);
        if (r == 0)
                r = fields_add_u64(b, "pid", (uint64_t)v->pid, e);
        if (r == 0)
                r = fields_add_str(b, "state", v->state, e);
        if (r == 0)
                r = fields_add_str(b, "image", v->image, e);
        if (r == 0)
                r = add_class(&v->class, b, e);
        if (r == 0)
                r = fields_add_str(b, "accel", v->accel, e);
        if (r == 0)
                r = fields_add_u64(b, "age_ms", v->age_ms, e);
        if (r == 0)
                r = fields_add_u64(b, "private", v->private_bytes, e);
        return r == 0 ? fields_end(b, mark, e) : r;
}

static int parse_vm(const struct fields *f, void *row, struct err *e)
{
        struct pool_vm *ret = row;
        uint32_t pid = 0;
        int r = get_u32(f, "slot", 0, POOL_MAX_SLOT, &ret->slot, e);

        if (r == 0)
                r = get_u32(f, "uid", 0, UINT32_MAX, &ret->uid, e);
        if (r == 0)
                r = get_u32(f, "pid", 0, INT32_MAX, &pid, e);
        ret->pid = (int32_t)pid;
        if (r == 0)
                r = get_word(f, "state", NULL, ret->state, sizeof(ret->state), e);
        if (r == 0)
                r = get_word(f, "image", NULL, ret->image, sizeof(ret->image), e);
        if (r == 0)
                r = get_class(f, &ret->class, e);
        if (r == 0)
                r = get_word(f, "accel", NULL, ret->accel, sizeof(ret->accel), e);
        if (r == 0)
                r = fields_u64(f, "age_ms", UINT64_MAX, &ret->age_ms, e);
        return r == 0 ? fields_u64(f, "private", UINT64_MAX, &ret->private_bytes, e) : r;
}

static int write_keep(const struct pool_keep *k, struct buf *b, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);

        if (r == 0)
                r = fields_add_u64(b, "uid", k->uid, e);
        if (r == 0)
                r = fields_add_u64(b, "count", k->count, e);
        if (r == 0)
                r = fields_add_u64(b, "parked", k->parked, e);
        if (r == 0)
                r = fields_add_str(b, "image", k->image, e);
        if (r == 0)
                r = add_class(&k->class, b, e);
        if (r == 0)
                r = fields_add_str(b, "accel", k->accel, e);
        if (r == 0)
                r = fields_add_str(b, "problem", k->problem, e);
        return r == 0 ? fields_end(b, mark, e) : r;
}

static int parse_keep(const struct fields *f, void *row, struct err *e)
{
        struct pool_keep *ret = row;
        int r = get_u32(f, "uid", 0, UINT32_MAX, &ret->uid, e);

        if (r == 0)
                r = get_u32(f, "count", 0, POOL_MAX_KEEP, &ret->count, e);
        if (r == 0)
                r = get_u32(f, "parked", 0, UINT32_MAX, &ret->parked, e);
        if (r == 0)
                r = get_word(f, "image", NULL, ret->image, sizeof(ret->image), e);
        if (r == 0)
                r = get_class(f, &ret->class, e);
        if (r == 0)
                r = get_word(f, "accel", NULL, ret->accel, sizeof(ret->accel), e);
        return r == 0 ? get_text(f, "problem", ret->problem, sizeof(ret->problem), e) : r;
}

static int write_held(const struct pool_held *h, struct buf *b, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);

        if (r == 0)
                r = fields_add_str(b, "name", h->name, e);
        if (r == 0)
                r = fields_add_str(b, "state", h->state, e);
        if (r == 0)
                r = fields_add_str(b, "why", h->why, e);
        return r == 0 ? fields_end(b, mark, e) : r;
}

static int parse_held(const struct fields *f, void *row, struct err *e)
{
        struct pool_held *ret = row;
        int r = get_word(f, "name", NULL, ret->name, sizeof(ret->name), e);

        if (r == 0)
                r = get_word(f, "state", NULL, ret->state, sizeof(ret->state), e);
        return r == 0 ? get_text(f, "why", ret->why, sizeof(ret->why), e) : r;
}

/* A row is a field list inside the value of a repeated field. */
#define ADD_ROWS(key, rows, n, write)                                                                                  \
        for (size_t i_ = 0; i_ < (n) && r == 0; i_++) {                                                                \
                struct buf row_ = BUF_INIT_MAX(4096);                                                                  \
                r = write(&(rows)[i_], &row_, e);                                                                      \
                if (r == 0)                                                                                            \
                        r = fields_add(b, key, row_.data, row_.len, e);                                                \
                buf_done(&row_);                                                                                       \
        }

int pool_answer_write(const struct pool_answer *a, struct buf *b, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);

        if (r == 0)
                r = fields_add_str(b, "status", statuses[a->status], e);
        if (r == 0 && a->status == POOL_ERROR)
                r = fields_add_u64(b, "code", (uint64_t)a->code, e);
        if (r == 0 && *a->message)
                r = fields_add_str(b, "message", a->message, e);
        if (r == 0 && *a->vm.state)
                ADD_ROWS("claimed", &a->vm, (size_t)1, write_vm);
        if (r == 0 && a->adopt)
                r = fields_add_u64(b, "adopt", 1, e);
        ADD_ROWS("held", a->held, a->n_held, write_held);
        ADD_ROWS("vm", a->vms, a->n_vms, write_vm);
        ADD_ROWS("keep", a->keeps, a->n_keeps, write_keep);
        if (r == 0)
                r = fields_add_u64(b, "budget", a->budget, e);
        if (r == 0)
                r = fields_add_u64(b, "used", a->used, e);
        if (r == 0)
                r = fields_add_u64(b, "stopped", a->stopped, e);
        return r == 0 ? fields_end(b, mark, e) : r;
}

/* All rows of one key into memory that the caller gives, `size` bytes each. */
static int parse_rows(const struct fields *f, const char *key, void *rows, size_t size, size_t max, size_t *ret_n,
                      int (*parse)(const struct fields *f, void *row, struct err *e), struct err *e)
{
        for (size_t i = 0; i < fields_count(f); i++) {
                AUTO(fields_freep) struct fields *row = NULL;
                const struct field *x = fields_at(f, i);

                if (strcmp(x->key, key) != 0)
                        continue;
                if (*ret_n == max)
                        return err_set(e, ERR_PROTOCOL, "%s: expected at most %zu rows", key, max);
                int r = fields_parse(x->value, x->len, &row, e);
                if (r == 0)
                        r = parse(row, (char *)rows + *ret_n * size, e);
                if (r < 0)
                        return r;
                ++*ret_n;
        }
        return 0;
}

static size_t count_rows(const struct fields *f, const char *key)
{
        size_t n = 0;

        for (size_t i = 0; i < fields_count(f); i++)
                n += strcmp(fields_at(f, i)->key, key) == 0;
        return n;
}

static int parse_lists(const struct fields *f, struct pool_answer *a, struct err *e)
{
        size_t n_vms = MIN(count_rows(f, "vm"), (size_t)POOL_MAX_ROWS), claimed = 0;
        size_t n_keeps = MIN(count_rows(f, "keep"), (size_t)POOL_MAX_ROWS);

        a->vms = calloc(n_vms + 1, sizeof(*a->vms));
        a->keeps = calloc(n_keeps + 1, sizeof(*a->keeps));
        if (!a->vms || !a->keeps)
                return err_nomem(e);
        int r = parse_rows(f, "vm", a->vms, sizeof(*a->vms), n_vms, &a->n_vms, parse_vm, e);
        if (r == 0)
                r = parse_rows(f, "keep", a->keeps, sizeof(*a->keeps), n_keeps, &a->n_keeps, parse_keep, e);
        if (r == 0)
                r = parse_rows(f, "held", a->held, sizeof(a->held[0]), POOL_MAX_HELD, &a->n_held, parse_held, e);
        return r == 0 ? parse_rows(f, "claimed", &a->vm, sizeof(a->vm), 1, &claimed, parse_vm, e) : r;
}

int pool_answer_parse(const struct fields *f, struct pool_answer *ret, struct err *e)
{
        char status[POOL_MAX_WORD + 1];
        uint64_t code = ERR_PROTOCOL, adopt = 0;
        int index = 0;

        *ret = (struct pool_answer){0};
        int r = get_word(f, "status", NULL, status, sizeof(status), e);
        if (r == 0)
                r = find("status", status, statuses, ARRAY_SIZE(statuses), &index, e);
        if (r == 0)
                r = fields_u64_opt(f, "code", code, 999, &code, e);
        if (r == 0)
                r = get_text(f, "message", ret->message, sizeof(ret->message), e);
        if (r == 0)
                r = fields_u64_opt(f, "adopt", 0, 1, &adopt, e);
        if (r == 0)
                r = fields_u64_opt(f, "budget", 0, UINT64_MAX, &ret->budget, e);
        if (r == 0)
                r = fields_u64_opt(f, "used", 0, UINT64_MAX, &ret->used, e);
        if (r == 0)
                r = get_u32(f, "stopped", 0, UINT32_MAX, &ret->stopped, e);
        if (r < 0)
                return r;
        ret->status = (enum pool_status)index;
        ret->code = (enum err_code)code;
        ret->adopt = adopt != 0;
        return parse_lists(f, ret, e);
}

void pool_answer_done(struct pool_answer *a)
{
        free(a->vms);
        free(a->keeps);
        a->vms = NULL;
        a->keeps = NULL;
        a->n_vms = a->n_keeps = 0;
}
