#include "workflow/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "workflow/value.h"

/* Lines of one caller mostly carry the same contexts, and reading them costs more than most expressions. The text of an
 * object ends where the object ends, so a line that goes on with the same bytes has the same contexts. */
struct answers {
        struct value *none;
        struct value *contexts; /* of `text` */
        struct buf text;
};

struct request {
        const char *line, *at, *end;
        size_t budget;
        struct value *expr;
        struct value *contexts;
        struct err *e;
};

int answers_new(struct answers **ret, struct err *e)
{
        AUTO(answers_freep) struct answers *a = calloc(1, sizeof(*a));
        if (!a)
                return err_nomem(e);
        int r = value_object(&a->none, e);
        if (r == 0)
                *ret = TAKE_PTR(a);
        return r;
}

struct answers *answers_free(struct answers *a)
{
        if (!a)
                return NULL;
        value_unref(a->none);
        value_unref(a->contexts);
        buf_done(&a->text);
        free(a);
        return NULL;
}

static int ask_job_status(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        static const char *const names[] = {"success", "failure", "cancelled"};
        (void)args, (void)n, (void)e;
        *ret = str_ieq(user, names[fn]);
        return 0;
}

struct expr_env answer_env(struct value *contexts)
{
        const char *status = value_get_str(value_get(contexts, "job"), "status");
        struct expr_env env = {.contexts = contexts};
        if (status) {
                union {
                        const char *constant;
                        char *plain;
                } u = {.constant = status}; /* only read again, in ask_job_status() */
                env.user = u.plain;
                env.status = ask_job_status;
        }
        return env;
}

static int fail(const struct request *q, const char *what)
{
        return err_set(q->e, ERR_USAGE, "column %zu: %s", (size_t)(q->at - q->line) + 1, what);
}

static void skip_blanks(struct request *q)
{
        while (q->at < q->end && (*q->at == ' ' || *q->at == '\t' || *q->at == '\r'))
                q->at++;
}

static bool take(struct request *q, char c)
{
        skip_blanks(q);
        if (q->at == q->end || *q->at != c)
                return false;
        q->at++;
        return true;
}

static int read_value(struct request *q, struct value **ret)
{
        size_t used = 0;
        int r = value_parse_json_part(q->at, (size_t)(q->end - q->at), &q->budget, &used, ret, q->e);
        q->at += used;
        return r;
}

static int remember(struct answers *a, const char *text, size_t len, struct value *contexts, struct err *e)
{
        a->contexts = value_unref(a->contexts);
        buf_clear(&a->text);
        int r = buf_append(&a->text, text, len, e);
        if (r == 0)
                a->contexts = value_ref(contexts);
        return r;
}

static int read_contexts(struct answers *a, struct request *q)
{
        skip_blanks(q);
        const char *from = q->at;
        q->contexts = value_unref(q->contexts);
        if (a->contexts && (size_t)(q->end - q->at) >= a->text.len && memcmp(q->at, a->text.data, a->text.len) == 0) {
                q->contexts = value_ref(a->contexts);
                q->at += a->text.len;
                return 0;
        }
        int r = read_value(q, &q->contexts);
        if (r == 0 && value_kind(q->contexts) != VALUE_OBJECT)
                return fail(q, "contexts: expected an object");
        return r < 0 ? r : remember(a, from, (size_t)(q->at - from), q->contexts, q->e);
}

static int read_expr(struct request *q)
{
        q->expr = value_unref(q->expr);
        int r = read_value(q, &q->expr);
        if (r == 0 && value_kind(q->expr) != VALUE_STRING)
                return fail(q, "expr: expected a string");
        return r;
}

enum member { MEMBER_EXPR, MEMBER_CONTEXTS, MEMBER_OTHER };

/* The two keys as they are mostly spelled need no string made of them. */
static int read_key(struct request *q, enum member *ret)
{
        static const char *const names[] = {[MEMBER_EXPR] = "expr", [MEMBER_CONTEXTS] = "contexts"};
        AUTO(value_unrefp) struct value *key = NULL;
        skip_blanks(q);
        for (*ret = MEMBER_EXPR; *ret < MEMBER_OTHER; (*ret)++) {
                size_t len = strlen(names[*ret]);
                if ((size_t)(q->end - q->at) > len + 1 && q->at[0] == '"' && q->at[len + 1] == '"' &&
                    memcmp(q->at + 1, names[*ret], len) == 0) {
                        q->at += len + 2;
                        return 0;
                }
        }
        int r = read_value(q, &key);
        if (r < 0 || value_kind(key) != VALUE_STRING)
                return r < 0 ? r : fail(q, "expected a key in quotes");
        for (*ret = MEMBER_EXPR; *ret < MEMBER_OTHER && !str_eq(value_text(key, NULL), names[*ret]);)
                (*ret)++;
        return 0;
}

static int read_member(struct answers *a, struct request *q)
{
        AUTO(value_unrefp) struct value *ignored = NULL;
        enum member member;
        int r = read_key(q, &member);
        if (r < 0)
                return r;
        if (!take(q, ':'))
                return fail(q, "expected ':'");
        if (member == MEMBER_CONTEXTS)
                return read_contexts(a, q);
        return member == MEMBER_EXPR ? read_expr(q) : read_value(q, &ignored);
}

static int read_request(struct answers *a, struct request *q)
{
        if (!str_is_utf8(q->line, (size_t)(q->end - q->line)))
                return fail(q, "the line is not UTF-8");
        if (!take(q, '{'))
                return fail(q, "expected an object: {\"expr\": \"...\", \"contexts\": {...}}");
        for (bool more = !take(q, '}'); more;) {
                int r = read_member(a, q);
                if (r < 0)
                        return r;
                more = take(q, ',');
                if (!more && !take(q, '}'))
                        return fail(q, "expected ',' or '}'");
        }
        (void)take(q, '\n');
        if (q->at < q->end)
                return fail(q, "more text after the object");
        return q->expr ? 0 : fail(q, "\"expr\" is missing");
}

static int append_error(const char *kind, const char *message, struct buf *ret, struct err *e)
{
        AUTO(value_unrefp) struct value *text = NULL;
        int r = value_str(message, &text, e);
        if (r == 0)
                r = buf_printf(ret, e, "{\"error\":{\"kind\":\"%s\",\"message\":", kind);
        if (r == 0)
                r = value_to_json_text(text, VALUE_WRITE_ASCII, ret, e);
        return r < 0 ? r : buf_append_str(ret, "}}\n", e);
}

int answers_refuse(const char *why, struct buf *ret, struct err *e)
{
        return append_error("request", why, ret, e);
}

static int append_value(enum value_kind kind, const struct buf *json, struct buf *ret, struct err *e)
{
        int r = buf_append_str(ret, "{\"kind\":\"", e);
        if (r == 0)
                r = buf_append_str(ret, value_kind_name(kind), e);
        if (r == 0)
                r = buf_append_str(ret, "\",\"value\":", e);
        if (r == 0)
                r = buf_append(ret, json->data, json->len, e);
        return r < 0 ? r : buf_append_str(ret, "}\n", e);
}

/* A value may be too large or too deep to be written; then the answer is an error. */
static int append_result(const struct value *v, struct buf *ret, struct err *e)
{
        struct buf json = BUF_INIT_MAX(VALUE_MAX_JSON);
        struct err why = ERR_INIT;
        int r = value_to_json_text(v, VALUE_WRITE_ASCII, &json, &why);
        if (r == 0)
                r = append_value(value_kind(v), &json, ret, e);
        else if (why.errnum == 0)
                r = append_error("evaluation", why.msg, ret, e);
        else
                r = err_set(e, why.code, "%s", why.msg);
        buf_done(&json);
        return r;
}

static int evaluate(const struct request *q, struct value *contexts, struct buf *ret, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        struct expr_env env = answer_env(contexts);
        struct expr_fault fault;
        struct err why = ERR_INIT;
        size_t len;
        const char *text = value_text(q->expr, &len);
        if (expr_evaluate(text, len, &env, &v, &fault, &why) == 0)
                return append_result(v, ret, e);
        if (fault.kind == EXPR_FAULT_NONE)
                return err_set(e, why.code, "%s", why.msg);
        return append_error(expr_fault_name(fault.kind), why.msg, ret, e);
}

int answers_line(struct answers *a, const char *line, size_t len, struct buf *ret, struct err *e)
{
        struct err why = ERR_INIT;
        struct request q = {.line = line, .at = line, .end = line + len, .budget = VALUE_MAX_MEMORY, .e = &why};
        int r = read_request(a, &q);
        if (r == 0)
                r = evaluate(&q, q.contexts ? q.contexts : a->none, ret, e);
        else if (why.code == ERR_USAGE)
                r = answers_refuse(why.msg, ret, e);
        else
                r = err_set(e, why.code, "%s", why.msg);
        value_unref(q.expr);
        value_unref(q.contexts);
        return r;
}
